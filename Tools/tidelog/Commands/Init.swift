import ArgumentParser
import Glibc
import Tidelog

struct Init: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make an empty log.",
        discussion: """
            The directory is made if it is not there. Where a log is already, nothing is changed and the exit \
            status is 3; with --if-missing it is 0.

            Examples:
              tidelog init farm.tidelog
              tidelog init farm.tidelog --if-missing --json
            """)

    @OptionGroup var log: LogArgument

    @Flag(help: "Do nothing where a log is already.")
    var ifMissing = false

    @OptionGroup var output: ReportOptions

    func run() async throws {
        let isThere = access("\(self.log.log)/head.mdb", F_OK) == 0
        if !isThere {
            let log = try await self.log.open(EventLogConfiguration())
            await log.close()
        } else if !self.ifMissing {
            throw Failure(
                .unable, "there is a log in \(self.log.log) already; use it, or choose another directory")
        }
        try report(
            json: self.output.json, ["log": .string(self.log.log), "made": .boolean(!isThere)], [])
    }
}
