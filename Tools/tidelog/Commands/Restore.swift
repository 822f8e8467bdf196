import ArgumentParser
import SystemPackage
import Tidelog

struct RestoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Make a log of a backup.",
        discussion: """
            LOG must be missing or empty. Every file is checked against its digest; after a failure nothing \
            is left.

            Example:
              tidelog restore /mnt/backups/shop shop
            """)

    @Argument(help: "The backup's directory.", completion: .directory)
    var backup: String

    @Argument(help: "Where the log goes.", completion: .directory)
    var log: String

    @OptionGroup var output: ReportOptions

    func run() async throws {
        let watch = Stopwatch()
        let (backup, log) = (FilePath(self.backup), FilePath(self.log))
        let result = try await RecoveryBar.watching("restoring", isWanted: !self.output.json) {
            try await EventLog.restore(from: backup, to: log, progress: $0)
        }
        try report(
            json: self.output.json,
            [
                "next_position": .unsigned(result.nextPosition.rawValue),
                "segments": .integer(result.segments), "incarnation": .unsigned(result.incarnation),
                "seconds": .number(watch.seconds),
            ],
            [
                "Restored all events before position \(result.nextPosition), in \(result.segments) segments and "
                    + "the head, in \(Units.duration(watch.seconds)); this is incarnation \(result.incarnation)"
            ])
    }
}
