import ArgumentParser
import Tidelog

struct State: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What a stream's events add up to, now or at a moment of the past.",
        discussion: """
            The JSON payloads are merged in the order of the stream (RFC 7396: later members replace earlier \
            ones, null removes them); events whose payload is no JSON object are counted and passed over. \
            --as-of takes a position of the log, or a time that is compared with the events' timestamps. The \
            exit status is 1 if the stream has no event by then.

            Examples:
              tidelog state shop order-42
              tidelog state shop order-42 --as-of 1000
              tidelog state shop order-42 --as-of 2013-07-01 --json
            """)

    @OptionGroup var log: LogArgument

    @Argument(help: "The stream.")
    var name: String

    @Option(
        name: .customLong("as-of"),
        help: .init("A position, a time, a day, or how long ago.", valueName: "moment"),
        transform: State.moment)
    var moment: StoreMoment?

    @OptionGroup var output: ReportOptions

    /// A whole number is a position; anything else must be a time.
    @Sendable static func moment(_ text: String) throws -> StoreMoment {
        if let position = Position(text) { return .position(position) }
        return .time(try Parse.timestamp(text))
    }

    private struct Sum: Sendable {
        var document = JSONValue.object([])
        var events = 0
        var passedOver = 0
        var last: StoredEvent?
    }

    func run() async throws {
        let log = try await self.log.openForReading()
        let found = try await withLog(log) { log in
            try await log.state(of: self.name, asOf: self.moment, from: Sum()) { sum, stored in
                sum.events += 1
                sum.last = stored
                if let value = try? JSONValue(stored.payload.bytes), case .object = value {
                    sum.document = sum.document.merged(with: value)
                } else {
                    sum.passedOver += 1
                }
            }
        }
        guard found.state.last != nil else {
            throw Failure(
                .unmet,
                "stream \"\(self.name)\" has no event\(self.moment.map { " as of \($0)" } ?? ""); "
                    + "`tidelog streams LOG` lists the streams")
        }
        try report(json: self.output.json, self.json(found), self.lines(found))
    }

    private func lines(_ found: StreamState<Sum>) -> [String] {
        var facts = Facts()
        facts.add("stream", self.name)
        if let moment { facts.add("as of", moment.description) }
        facts.add("events", Units.count(found.state.events))
        if found.state.passedOver > 0 {
            facts.add("no JSON object", "\(Units.count(found.state.passedOver)) passed over")
        }
        if let revision = found.revision { facts.add("revision", Units.count(revision.rawValue)) }
        if let last = found.state.last {
            facts.add("position", Units.count(last.position.rawValue))
            facts.add("last event", "\(last.type) at \(last.timestamp)")
        }
        var text: [UInt8] = []
        found.state.document.write(to: &text)
        facts.add("state", String(decoding: text, as: UTF8.self))
        return facts.lines
    }

    private func json(_ found: StreamState<Sum>) -> JSONText {
        [
            "stream": .string(self.name), "as_of": JSONText(self.moment?.description),
            "events": .integer(found.state.events), "passed_over": .integer(found.state.passedOver),
            "revision": JSONText(found.revision),
            "position": found.position.map { JSONText($0) } ?? .null,
            "last_type": JSONText(found.state.last?.type), "last_time": JSONText(found.state.last?.timestamp),
            "state": JSONText(found.state.document),
        ]
    }
}

extension JSONText {
    /// A document that was read.
    init(_ value: JSONValue) {
        switch value {
        case .null: self = .null
        case .boolean(let value): self = .boolean(value)
        case .number(let number): self = .written(number.text)
        case .string(let value): self = .string(value)
        case .array(let values): self = .array(values.map { JSONText($0) })
        case .object(let members): self = .object(members.map { ($0.key, JSONText($0.value)) })
        }
    }
}
