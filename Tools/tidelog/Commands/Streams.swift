import ArgumentParser
import Tidelog

struct Streams: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the streams.",
        discussion: """
            In the order of their names: how many events can be read, of which revisions, and the times of the \
            first and the last one. With --json one object a line, with positions too.

            Examples:
              tidelog streams shop --limit 20
              tidelog streams shop --prefix order-
            """)

    @OptionGroup var log: LogArgument

    @Option(help: .init("Streams whose names begin so.", valueName: "prefix"))
    var prefix = ""

    @Option(help: .init("Streams after this one.", valueName: "name"))
    var after: String?

    @Option(help: .init("At most so many.", valueName: "n"), transform: Parse.atLeast(0))
    var limit: Int?

    @OptionGroup var output: ReportOptions

    func run() async throws {
        let log = try await self.log.openForReading()
        try await withLog(log) { log in
            let output = LineOutput()
            var widths: [Int] = []
            var last = self.after
            var remaining = self.limit ?? .max
            var isFirst = true
            while remaining > 0 {
                let page = try await log.describeStreams(
                    prefix: self.prefix, after: last, limit: min(remaining, 1000))
                if self.output.json {
                    for stream in page {
                        try output.write { text in
                            text.append(contentsOf: stream.json.line.utf8)
                            text.append(UInt8(ascii: "\n"))
                        }
                    }
                } else if !page.isEmpty {
                    for line in Self.table(page).lines(withTitle: isFirst, widths: &widths) {
                        try output.write(line: line)
                    }
                }
                remaining -= page.count
                guard let next = page.last, page.count == min(1000, remaining + page.count) else { break }
                last = next.info.name
                isFirst = false
            }
            try output.flush()
        }
    }

    private static func table(_ streams: [StreamDescription]) -> Table {
        var table = Table([
            .text("stream"), .number("events"), .number("revisions"), .text("first event"),
            .text("last event"), .text("state"),
        ])
        for stream in streams {
            let (first, last) = (stream.info.firstRevision.rawValue, stream.info.lastRevision.rawValue)
            table.add([
                stream.info.name, Units.count(stream.count),
                stream.info.isDeleted ? "" : "\(Units.count(first)) to \(Units.count(last))",
                stream.firstTimestamp?.description ?? "", stream.lastTimestamp?.description ?? "",
                stream.info.isDeleted ? "deleted" : "",
            ])
        }
        return table
    }
}

extension StreamDescription {
    /// For programs.
    fileprivate var json: JSONText {
        [
            "stream": .string(self.info.name), "events": .integer(self.count),
            "first_revision": JSONText(self.info.firstRevision),
            "last_revision": JSONText(self.info.lastRevision), "first_event": JSONText(self.firstTimestamp),
            "last_event": JSONText(self.lastTimestamp), "first_position": JSONText(self.info.firstPosition),
            "last_position": JSONText(self.info.lastPosition), "deleted": .boolean(self.info.isDeleted),
        ]
    }
}
