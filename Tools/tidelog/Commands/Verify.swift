import ArgumentParser
import SystemPackage
import Tidelog

struct Verify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check that a log is whole.",
        discussion: """
            Checks every value of the head and the digest of every sealed file; with --deep also decodes \
            every block and compares the indexes. Changes nothing; others may read and append meanwhile. Ends \
            with 0 if the log is whole and with 1 if damage was found.

            Examples:
              tidelog verify shop
              tidelog verify shop --deep --json
            """)

    @OptionGroup var log: LogArgument

    @Flag(help: "Decode every block and compare every index.")
    var deep = false

    @OptionGroup var output: ReportOptions

    func run() async throws {
        Signals.setLog(self.log.log)
        let watch = Stopwatch()
        let (path, isDeep) = (FilePath(self.log.log), self.deep)
        let result = try await RecoveryBar.watching("verifying", isWanted: !self.output.json) {
            try await EventLog.verify(at: path, isDeep: isDeep, progress: $0)
        }
        try report(
            json: self.output.json,
            [
                "clean": .boolean(result.isClean), "next_position": .unsigned(result.nextPosition.rawValue),
                "segments": .integer(result.segments), "segment_bytes": .integer(result.segmentBytes),
                "findings": .array(result.findings.map(Self.json)), "seconds": .number(watch.seconds),
            ], Self.lines(result, watch.seconds))
        if !result.isClean { throw ExitCode(1) }
    }

    static func json(_ finding: VerificationReport.Finding) -> JSONText {
        .object([
            ("kind", .string(finding.kind)), ("note", .boolean(finding.isNote)),
            ("file", finding.file.map { .string($0) } ?? .null),
            ("from", finding.positions.map { .unsigned($0.lowerBound.rawValue) } ?? .null),
            ("to", finding.positions.map { .unsigned($0.upperBound.rawValue) } ?? .null),
            ("message", .string(finding.message)),
        ])
    }

    static func lines(_ findings: [VerificationReport.Finding]) -> [String] {
        findings.map { finding in
            var text = "\(finding.isNote ? "note" : "damage"): "
            if let file = finding.file { text += "\(TerminalText.escape(file)): " }
            text += TerminalText.escape(finding.message)
            if let positions = finding.positions {
                text += " (positions \(positions.lowerBound) to before \(positions.upperBound))"
            }
            return text
        }
    }

    private static func lines(_ result: VerificationReport, _ seconds: Double) -> [String] {
        let damage = result.findings.count { !$0.isNote }
        return self.lines(result.findings) + [
            result.isClean
                ? "Whole: \(Units.count(result.nextPosition.rawValue)) positions, \(result.segments) segments, "
                    + "\(Units.bytes(result.segmentBytes)) checked in \(Units.duration(seconds))"
                : "\(damage) damaged places; `tidelog repair` keeps what is intact, a backup has the rest"
        ]
    }
}

/// Shows on a terminal how far a recovery job has come.
enum RecoveryBar {
    static func watching<Value: Sendable>(
        _ activity: String, isWanted: Bool,
        _ body: (@escaping EventLog.RecoveryProgressHandler) async throws -> Value
    ) async throws -> Value {
        let state = RecoveryState()
        return try await ProgressBar.watching(
            activity, total: nil, isWanted: isWanted, describe: { state.describe($0) },
            measure: { state.bytesDone }
        ) { try await body { state.set($0.bytesDone, of: $0.bytesTotal) } }
    }
}
