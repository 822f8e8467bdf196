import ArgumentParser
import Tidelog

struct Truncate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Hide the beginning of a stream for good.",
        discussion: """
            Events of the stream before the revision are hidden from every reader at once. `tidelog compact` \
            takes them off the disk. Revisions are not used again.

            Example:
              tidelog truncate shop order-42 --before 10
            """)

    @OptionGroup var log: LogArgument

    @Argument(help: "The stream.")
    var stream: String

    @Option(help: .init("The lowest revision that stays.", valueName: "n"))
    var before: Revision

    @OptionGroup var output: ReportOptions

    func run() async throws {
        let log = try await self.log.openForWriting()
        try await withLog(log) { log in
            try await withKnownStream(self.stream) {
                try await log.truncate(stream: self.stream, before: self.before)
            }
        }
        try report(
            json: self.output.json, ["stream": .string(self.stream), "before": JSONText(self.before)], [])
    }
}

/// Turns "there is no such stream" into an answer: what was asked about does not hold.
func withKnownStream(_ stream: String, _ body: () async throws -> Void) async throws {
    do {
        try await body()
    } catch EventLogError.Code.notFound {
        throw Failure(.unmet, "there is no stream \"\(stream)\"; `tidelog streams LOG` lists them")
    }
}
