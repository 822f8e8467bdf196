import ArgumentParser
import Tidelog

struct Delete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Delete a stream for good.",
        discussion: """
            Its events are hidden from every reader at once, and it takes no more. `tidelog compact` takes them \
            off the disk.

            Examples:
              tidelog delete shop order-42
              tidelog delete shop order-42 --expect 7
            """)

    @OptionGroup var log: LogArgument

    @Argument(help: "The stream.")
    var stream: String

    @Option(
        help: .init("Delete it only if its last event has this revision.", valueName: "n"),
        transform: Parse.expectation)
    var expect: ExpectedRevision = .any

    @OptionGroup var output: ReportOptions

    func run() async throws {
        let log = try await self.log.openForWriting()
        try await withLog(log) { log in
            try await withKnownStream(self.stream) {
                try await log.delete(stream: self.stream, expecting: self.expect)
            }
        }
        try report(
            json: self.output.json, ["stream": .string(self.stream), "deleted": .boolean(true)], [])
    }
}
