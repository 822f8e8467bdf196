import ArgumentParser
import Tidelog

struct Compact: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Rewrite sealed files without what is no longer wanted.",
        discussion: """
            Takes out the events of truncated and deleted streams, and merges small files. Positions and \
            revisions of what stays do not change, and the space is free at once.

            Examples:
              tidelog compact shop
              tidelog compact shop --keep-latest
            """)

    @OptionGroup var log: LogArgument

    @Flag(help: "Keep only the latest event of each stream, and events without a stream.")
    var keepLatest = false

    @Flag(help: "Leave small files as they are.")
    var noMerge = false

    @Option(
        help: .init("Merge files up to this many uncompressed bytes. (default: 64MiB)", valueName: "size"),
        transform: Parse.bytes)
    var segmentSize: Int?

    @OptionGroup var output: ReportOptions

    func run() async throws {
        var options = CompactionOptions()
        options.keepsLatestOnly = self.keepLatest
        options.mergesSegments = !self.noMerge
        let log = try await self.log.openForWriting { configuration in
            configuration.sealsInBackground = false
            if let segmentSize { configuration.segmentSizeBytes = segmentSize }
        }
        let watch = Stopwatch()
        let result = try await withLog(log) { [options] log in
            // Files are replaced one after the other, the oldest first; those that stay as they are are passed over.
            let before = try await log.segments()
            let start = before.first?.positions.lowerBound ?? .zero
            let end = before.last?.positions.upperBound ?? start
            return try await ProgressBar.watching(
                "compacting", total: start.distance(to: end), isWanted: !self.output.json,
                describe: { "\(Units.count($0)) positions" },
                measure: {
                    guard let now = try? await log.segments() else { return 0 }
                    let left = Set(now.map(\.fileName))
                    let last = before.last { !left.contains($0.fileName) }
                    return last.map { start.distance(to: $0.positions.upperBound) } ?? 0
                }
            ) { try await log.compact(options) }
        }
        let seconds = watch.seconds
        try report(
            json: self.output.json,
            [
                "segments_before": .integer(result.segmentsBefore),
                "segments_after": .integer(result.segmentsAfter),
                "events_removed": .integer(result.eventsRemoved),
                "bytes_before": .integer(result.bytesBefore),
                "bytes_after": .integer(result.bytesAfter), "seconds": .number(seconds),
            ], Self.lines(result, seconds))
    }

    private static func lines(_ result: CompactionReport, _ seconds: Double) -> [String] {
        var table = Table([.text(""), .number("before"), .number("after")])
        table.add(["segments", Units.count(result.segmentsBefore), Units.count(result.segmentsAfter)])
        table.add(["on disk", Units.bytes(result.bytesBefore), Units.bytes(result.bytesAfter)])
        return table.lines + ["\(Units.events(result.eventsRemoved)) removed in \(Units.duration(seconds))"]
    }
}
