import ArgumentParser
import Tidelog

struct Streams: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the streams.",
        discussion: """
            In the order of their names. With --json one object a line.

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
                let page = try await log.streams(prefix: self.prefix, after: last, limit: min(remaining, 1000))
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
                last = next.name
                isFirst = false
            }
            try output.flush()
        }
    }

    private static func table(_ streams: [StreamInfo]) -> Table {
        var table = Table([
            .text("stream"), .number("revisions"), .number("first position"), .number("last position"),
            .text("state"),
        ])
        for stream in streams {
            table.add([
                stream.name,
                "\(Units.count(stream.firstRevision.rawValue)) to \(Units.count(stream.lastRevision.rawValue))",
                Units.count(stream.firstPosition.rawValue), Units.count(stream.lastPosition.rawValue),
                stream.isDeleted ? "deleted" : "",
            ])
        }
        return table
    }
}

extension StreamInfo {
    /// For programs.
    var json: JSONText {
        [
            "stream": .string(self.name), "first_revision": JSONText(self.firstRevision),
            "last_revision": JSONText(self.lastRevision), "first_position": JSONText(self.firstPosition),
            "last_position": JSONText(self.lastPosition), "deleted": .boolean(self.isDeleted),
        ]
    }
}
