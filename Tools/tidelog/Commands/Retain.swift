import ArgumentParser
import Tidelog

struct Retain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Drop the oldest sealed files.",
        discussion: """
            Files are dropped whole, oldest first, as long as what is set allows it; their space is free at \
            once. Events that are not sealed yet stay. Positions and revisions are not used again.

            Examples:
              tidelog retain shop --max-age 30d
              tidelog retain shop --max-bytes 10GB --dry-run
              tidelog retain shop --max-events 1000000
            """)

    @OptionGroup var log: LogArgument

    @Option(
        help: .init("Drop files whose newest event is older than this.", valueName: "duration"),
        transform: Parse.duration)
    var maxAge: Duration?

    @Option(
        help: .init("Drop files until the sealed ones take no more than this.", valueName: "size"),
        transform: Parse.bytes)
    var maxBytes: Int?

    @Option(
        help: .init("Drop files as long as so many events stay.", valueName: "n"), transform: Parse.atLeast(0)
    )
    var maxEvents: Int?

    @Option(help: .init("Drop nothing at or after this position.", valueName: "n"))
    var keepFrom: Position?

    @Flag(help: "Tell what would be dropped, and drop nothing.")
    var dryRun = false

    @OptionGroup var output: ReportOptions

    func validate() throws {
        if self.maxAge == nil, self.maxBytes == nil, self.maxEvents == nil {
            throw ValidationError("say how much to keep: --max-age, --max-bytes or --max-events")
        }
    }

    func run() async throws {
        var policy = RetentionPolicy()
        policy.maximumAge = self.maxAge
        policy.maximumBytes = self.maxBytes
        policy.maximumEvents = self.maxEvents
        policy.keepFrom = self.keepFrom
        let log = try await self.log.openForWriting { $0.sealsInBackground = false }
        let dropped = try await withLog(log) { [policy] log in
            let planned = try await log.retain(policy, isRehearsal: true)
            if self.dryRun { return planned }
            let before = try await log.statistics().sealedBytes
            return try await ProgressBar.watching(
                "dropping", total: planned.reduce(0) { $0 + $1.fileBytes }, isWanted: !self.output.json,
                describe: { Units.bytes($0) },
                measure: { before - ((try? await log.statistics().sealedBytes) ?? before) }
            ) { try await log.retain(policy) }
        }
        let events = dropped.reduce(0) { $0 + $1.count }
        let bytes = dropped.reduce(0) { $0 + $1.fileBytes }
        try report(
            json: self.output.json,
            [
                "dropped": .array(dropped.map(\.json)), "events": .integer(events), "bytes": .integer(bytes),
                "dry_run": .boolean(self.dryRun),
            ],
            dropped.isEmpty
                ? ["Nothing to drop."]
                : table(of: dropped) + [
                    "\(Units.events(events)) in \(dropped.count) files, \(Units.bytes(bytes)), "
                        + (self.dryRun ? "would be dropped" : "dropped")
                ])
    }
}
