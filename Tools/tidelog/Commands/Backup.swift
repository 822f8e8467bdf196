import ArgumentParser
import SystemPackage
import Tidelog

struct Backup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Copy a log that is in use into a backup.",
        discussion: """
            The directory is made if it is missing. If it has an earlier backup of the log, only new sealed \
            files and the head are copied. Every file is checked against its digest meanwhile.

            Examples:
              tidelog backup shop /mnt/backups/shop
              tidelog backup shop /mnt/backups/shop --json
            """)

    @OptionGroup var log: LogArgument

    @Argument(help: "The backup's directory.", completion: .directory)
    var directory: String

    @OptionGroup var output: ReportOptions

    func run() async throws {
        let log = try await self.log.openForWriting { $0.sealsInBackground = false }
        let watch = Stopwatch()
        let target = FilePath(self.directory)
        let result = try await withLog(log) { log in
            try await RecoveryBar.watching("copying", isWanted: !self.output.json) {
                try await log.backup(to: target, progress: $0)
            }
        }
        try report(
            json: self.output.json,
            [
                "next_position": .unsigned(result.nextPosition.rawValue),
                "segments_copied": .integer(result.segmentsCopied),
                "segments_kept": .integer(result.segmentsKept),
                "bytes_copied": .integer(result.bytesCopied), "seconds": .number(watch.seconds),
            ],
            [
                "Backed up all events before position \(result.nextPosition): \(result.segmentsCopied) segments "
                    + "copied, \(result.segmentsKept) there already, \(Units.bytes(result.bytesCopied)) in "
                    + "\(Units.duration(watch.seconds))"
            ])
    }
}
