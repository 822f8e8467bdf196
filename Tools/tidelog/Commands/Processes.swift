import ArgumentParser
import Tidelog

struct Processes: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "How the process managers stand.",
        discussion: """
            How far each is, how much of the log it has not seen yet, and what it stopped at, if it did: the \
            event or timer, the instance, and which event of those that it sent was refused. With --json one \
            object a line.

            Example:
              tidelog processes shop
            """)

    @OptionGroup var log: LogArgument

    @OptionGroup var output: ReportOptions

    func run() async throws {
        let log = try await self.log.openForReading()
        let all = try await withLog(log) { try await $0.processes() }
        if self.output.json { return try show(all.map(\.json.line)) }
        var table = Table([
            .text("process"), .number("next position"), .number("behind"), .text("state"),
        ])
        for status in all {
            table.add([
                status.name, Units.count(status.next.rawValue), Units.count(status.lag),
                status.failure?.line ?? "",
            ])
        }
        if !all.isEmpty { try show(table.lines) }
    }
}

extension ProcessFailure {
    /// For people.
    fileprivate var line: String {
        var place = self.timer.map { "timer \($0)" } ?? self.position.map { "\($0)" } ?? "its beginning"
        if !self.instance.isEmpty { place += " of \(self.instance)" }
        if let output {
            let stream = output.stream.map { " to \($0)" } ?? ""
            place += ", event \(output.index) of those sent (\(output.type)\(stream))"
        }
        return "stopped at \(place): \(self.message)"
    }

    /// For programs.
    fileprivate var json: JSONText {
        let output: JSONText =
            self.output.map {
                [
                    "index": .integer($0.index), "id": .string($0.eventID.description),
                    "type": .string($0.type),
                    "stream": JSONText($0.stream),
                ]
            } ?? .null
        return [
            "position": self.position.map { JSONText($0) } ?? .null, "timer": JSONText(self.timer),
            "instance": .string(self.instance), "code": JSONText(self.code?.description), "output": output,
            "message": .string(self.message),
        ]
    }
}

extension ProcessStatus {
    /// For programs.
    fileprivate var json: JSONText {
        [
            "process": .string(self.name), "next_position": JSONText(self.next), "lag": .unsigned(self.lag),
            "failure": self.failure?.json ?? .null,
        ]
    }
}
