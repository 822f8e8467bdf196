import ArgumentParser
import SystemPackage
import Tidelog

struct RepairCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "repair",
        abstract: "Keep what is intact of a damaged log, and say what is lost.",
        discussion: """
            The repaired log takes the damaged one's place, which is kept beside it under another name; with \
            --to it goes elsewhere and nothing is moved. Positions do not change, and lost ones are not used \
            again. Nobody may have the log open. Ends with 0 if nothing was lost and with 1 otherwise.

            Examples:
              tidelog repair shop
              tidelog repair shop --to shop-repaired --json
            """)

    @OptionGroup var log: LogArgument

    @Option(help: .init("Where the repaired log goes.", valueName: "directory"), completion: .directory)
    var to: String?

    @OptionGroup var output: ReportOptions

    func run() async throws {
        Signals.setLog(self.log.log)
        let watch = Stopwatch()
        let (path, target) = (FilePath(self.log.log), self.to.map { FilePath($0) })
        let result = try await RecoveryBar.watching("repairing", isWanted: !self.output.json) {
            try await EventLog.repair(at: path, to: target, progress: $0)
        }
        try report(
            json: self.output.json,
            [
                "changed": .boolean(result.isChanged), "log": .string(result.directory.string),
                "damaged": result.damagedDirectory.map { .string($0.string) } ?? .null,
                "events_kept": .integer(result.eventsKept),
                "next_position": .unsigned(result.nextPosition.rawValue),
                "findings": .array(result.findings.map(Verify.json)),
                "lost": .array(result.losses.map(Self.json)),
                "lost_streams": .array(result.lostStreams.map { .string($0) }),
                "lost_records": .array(result.lostRecords.map { .string($0) }),
                "seconds": .number(watch.seconds),
            ], Self.lines(result, watch.seconds))
        if !result.losses.isEmpty || !result.lostRecords.isEmpty { throw ExitCode(1) }
    }

    private static func json(_ loss: RepairReport.Loss) -> JSONText {
        .object([
            ("from", .unsigned(loss.positions.lowerBound.rawValue)),
            ("to", .unsigned(loss.positions.upperBound.rawValue)), ("file", .string(loss.file)),
            ("certain", .boolean(loss.isCertain)),
        ])
    }

    private static func lines(_ result: RepairReport, _ seconds: Double) -> [String] {
        guard result.isChanged else { return ["Whole: nothing to repair"] }
        var lines = Verify.lines(result.findings)
        for loss in result.losses {
            lines.append(
                "lost: positions \(loss.positions.lowerBound) to before \(loss.positions.upperBound) of "
                    + "\(TerminalText.escape(loss.file))" + (loss.isCertain ? "" : ", at the most"))
        }
        if !result.lostStreams.isEmpty {
            lines.append(
                "streams that lost events: "
                    + result.lostStreams.map { TerminalText.escape($0) }.joined(separator: ", "))
        }
        for record in result.lostRecords { lines.append("lost: \(TerminalText.escape(record))") }
        lines.append(
            "\(Units.events(result.eventsKept)) kept in \(result.directory) in \(Units.duration(seconds))")
        if let damaged = result.damagedDirectory { lines.append("the damaged log is in \(damaged)") }
        return lines
    }
}
