import ArgumentParser
import Tidelog

struct Segments: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the sealed segments.",
        discussion: """
            Examples:
              tidelog segments shop
              tidelog segments shop --json
            """)

    @OptionGroup var log: LogArgument
    @OptionGroup var output: ReportOptions

    func run() async throws {
        let log = try await self.log.openForReading()
        let segments = try await withLog(log) { log in try await log.segments() }
        try report(
            json: self.output.json, ["segments": .array(segments.map(\.json))],
            segments.isEmpty ? ["No segments are sealed yet."] : table(of: segments))
    }
}

/// Segments for people.
func table(of segments: [Segment]) -> [String] {
    var table = Table([
        .text("file"), .number("positions"), .number("events"), .number("on disk"), .number("ratio"),
        .number("bytes/event"), .text("times"),
    ])
    for segment in segments {
        let count = Double(segment.count)
        let last = segment.positions.upperBound.rawValue - 1
        table.add([
            segment.fileName, "\(Units.count(segment.positions.lowerBound.rawValue)) to \(Units.count(last))",
            Units.count(segment.count), Units.bytes(segment.fileBytes),
            Units.decimal(Double(segment.uncompressedBytes) / Double(max(1, segment.fileBytes)), 1),
            segment.count > 0 ? Units.decimal(Double(segment.fileBytes) / count, 1) : "",
            segment.count > 0 ? "\(segment.timestamps.lowerBound) to \(segment.timestamps.upperBound)" : "",
        ])
    }
    return table.lines
}

extension Segment {
    /// For programs.
    var json: JSONText {
        let digits = String(self.digest, radix: 16)
        return [
            "file": .string(self.fileName), "first_position": JSONText(self.positions.lowerBound),
            "end_position": JSONText(self.positions.upperBound), "events": .integer(self.count),
            "oldest_event": JSONText(self.timestamps.lowerBound),
            "newest_event": JSONText(self.timestamps.upperBound), "file_bytes": .integer(self.fileBytes),
            "uncompressed_bytes": .integer(self.uncompressedBytes),
            "digest": .string(String(repeating: "0", count: 16 - digits.count) + digits),
        ]
    }
}
