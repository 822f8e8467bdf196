import ArgumentParser
import Tidelog

struct Stream: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "One stream in detail.",
        discussion: """
            The exit status is 1 if there is no such stream.

            Example:
              tidelog stream shop order-42
            """)

    @OptionGroup var log: LogArgument

    @Argument(help: "The stream.")
    var name: String

    @OptionGroup var output: ReportOptions

    func run() async throws {
        let log = try await self.log.openForReading()
        let found = try await withLog(log) { log -> (StreamInfo, Int, StoredEvent?)? in
            guard let stream = try await log.stream(self.name) else { return nil }
            var query = EventQuery.stream(self.name)
            let count = try await log.count(query)
            query.order = .newestFirst
            query.limit = 1
            var last: StoredEvent?
            for try await event in log.read(query) { last = event }
            return (stream, count, last)
        }
        guard let (stream, count, last) = found else {
            throw Failure(.unmet, "there is no stream \"\(self.name)\"; `tidelog streams LOG` lists them")
        }
        try report(
            json: self.output.json, Self.json(stream, count, last), Self.lines(stream, count, last))
    }

    private static func lines(_ stream: StreamInfo, _ count: Int, _ last: StoredEvent?) -> [String] {
        var facts = Facts()
        facts.add("stream", stream.name + (stream.isDeleted ? " (deleted)" : ""))
        facts.add("events", Units.count(count))
        facts.add("last revision", Units.count(stream.lastRevision.rawValue))
        if stream.firstRevision > 0, !stream.isDeleted {
            facts.add("truncated", "before revision \(Units.count(stream.firstRevision.rawValue))")
        }
        facts.add("first position", Units.count(stream.firstPosition.rawValue))
        facts.add("last position", Units.count(stream.lastPosition.rawValue))
        if let last { facts.add("last event", "\(last.type) at \(last.timestamp)") }
        return facts.lines
    }

    private static func json(_ stream: StreamInfo, _ count: Int, _ last: StoredEvent?) -> JSONText {
        [
            "stream": .string(stream.name), "first_revision": JSONText(stream.firstRevision),
            "last_revision": JSONText(stream.lastRevision), "first_position": JSONText(stream.firstPosition),
            "last_position": JSONText(stream.lastPosition), "deleted": .boolean(stream.isDeleted),
            "events": .integer(count), "last_type": JSONText(last?.type),
            "last_time": JSONText(last?.timestamp),
        ]
    }
}
