import ArgumentParser
import Tidelog

struct Seal: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Move the newest events into immutable compressed files now.",
        discussion: """
            A log seals by itself whenever enough has gathered.

            Example:
              tidelog seal shop
            """)

    @OptionGroup var log: LogArgument
    @OptionGroup var output: ReportOptions

    func run() async throws {
        let log = try await self.log.openForWriting { $0.sealsInBackground = false }
        let watch = Stopwatch()
        let segments = try await withLog(log) { log in
            let before = try await log.statistics()
            let start = before.sealedEnd
            return try await ProgressBar.watching(
                "sealing", total: before.activeEvents, isWanted: !self.output.json,
                measure: {
                    let end = (try? await log.statistics().sealedEnd) ?? start
                    return start.distance(to: end)
                }
            ) { try await log.seal() }
        }
        let seconds = watch.seconds
        let events = segments.reduce(0) { $0 + $1.count }
        try report(
            json: self.output.json,
            [
                "segments": .array(segments.map(\.json)), "events": .integer(events),
                "seconds": .number(seconds),
            ],
            segments.isEmpty
                ? ["Nothing to seal: every event is sealed."]
                : table(of: segments) + [
                    "\(Units.events(events)) sealed in \(Units.duration(seconds)), \(Units.rate(events, seconds))"
                ])
    }
}
