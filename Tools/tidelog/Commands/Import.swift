import ArgumentParser
import Glibc
import Tidelog

struct Import: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Append events from a file, one JSON object a line.",
        usage: "tidelog import <log> <file> [--batch <n>] [--window <n>] [--segment-size <size>] [--json]",
        discussion: """
            Reads CloudEvents and the plain form, told apart line by line. A batch is stored wholly or not at \
            all. Events that the log has already, by id, are not stored twice, so an import that was cut off \
            can be run again; ids are looked for among the newest events, --window of them. An id that comes \
            again with other contents stops the import, and so does a line that is no event: what came before \
            its batch stays.

            Examples:
              tidelog import shop events.ndjson
              zcat events.ndjson.gz | tidelog import shop -
              tidelog import shop events.ndjson --batch 100 --json
            """ + Self.otherSources)

    private static var otherSources: String {
        #if Postgres
            "\n\n`tidelog import postgres` brings a log back from the database that it was exported to."
        #else
            ""
        #endif
    }

    @OptionGroup var log: LogArgument

    @Argument(help: "The file; - for standard input.", completion: .file())
    var file: String

    @Option(help: .init("Events of a batch.", valueName: "n"), transform: Parse.atLeast(1))
    var batch = 1000

    @Option(
        help: .init(
            "Among how many of the newest events ids are looked for; up to 32 bytes of memory each.",
            valueName: "n"), transform: Parse.atLeast(1))
    var window = 6_000_000

    @Option(
        help: .init(
            "Seal whenever this many uncompressed bytes have gathered. (default: 64MiB)",
            valueName: "size"), transform: Parse.bytes)
    var segmentSize: Int?

    @OptionGroup var output: ReportOptions

    func run() async throws {
        // The file first: where it cannot be read, the log need not be opened.
        let input = try LineReader.open(self.file)
        let log = try await self.log.openForWriting { configuration in
            if let segmentSize { configuration.segmentSizeBytes = segmentSize }
        }
        let (batch, window, isJSON) = (self.batch, self.window, self.output.json)
        let result = try await withLog(log) { log in
            try await onThread {
                try Importer(log: log, input: input, batch: batch, window: window, showsProgress: !isJSON)
                    .run()
            }
        }
        try report(
            json: self.output.json,
            [
                "events": .integer(result.added + result.repeated), "added": .integer(result.added),
                "repeated": .integer(result.repeated), "bytes": .integer(result.bytes),
                "batches": .integer(result.batches), "seconds": .number(result.seconds),
                "events_per_second": .number(
                    result.seconds > 0 ? Double(result.added + result.repeated) / result.seconds : 0),
            ], Self.lines(result))
    }

    private static func lines(_ result: ImportResult) -> [String] {
        let all = result.added + result.repeated
        let added =
            "\(Units.events(result.added)) added"
            + (result.repeated > 0 ? ", \(Units.count(result.repeated)) in the log already" : "")
        return [
            added,
            "\(Units.bytes(result.bytes)) in \(Units.duration(result.seconds)), "
                + Units.rate(all, result.seconds),
        ]
    }
}
