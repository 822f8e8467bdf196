import ArgumentParser
import Tidelog

struct Stats: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "The log in numbers.",
        discussion: """
            Examples:
              tidelog stats shop
              tidelog stats shop --json
            """)

    @OptionGroup var log: LogArgument
    @OptionGroup var output: ReportOptions

    func run() async throws {
        let log = try await self.log.openForReading()
        let (statistics, oldest, newest) = try await withLog(log) { log in
            let statistics = try await log.statistics()
            return (
                statistics, try await Self.end(log, .oldestFirst), try await Self.end(log, .newestFirst)
            )
        }
        try report(
            json: self.output.json, Self.json(statistics, oldest, newest),
            self.lines(statistics, oldest, newest))
    }

    /// When the first event in this order happened.
    private static func end(_ log: EventLog, _ order: EventQuery.Order) async throws -> Timestamp? {
        var query = EventQuery.all
        query.order = order
        query.limit = 1
        for try await event in log.read(query) { return event.timestamp }
        return nil
    }

    private func lines(_ s: LogStatistics, _ oldest: Timestamp?, _ newest: Timestamp?) -> [String] {
        var facts = Facts()
        facts.add("log", "\(s.logID)  \(self.log.log)")
        facts.add(
            "created", "\(s.createdAt)" + (s.incarnation > 0 ? ", restored \(s.incarnation) times" : ""))
        facts.add("events", Units.count(s.sealedEvents + s.activeEvents))
        facts.add(
            "positions",
            s.nextPosition > s.firstPosition
                ? "\(Units.count(s.firstPosition.rawValue)) to \(Units.count(s.nextPosition.rawValue - 1))"
                : "none; the next is \(Units.count(s.nextPosition.rawValue))")
        if let oldest { facts.add("first event", "\(oldest)") }
        if let newest { facts.add("last event", "\(newest)") }
        facts.add(
            "sealed",
            "\(Units.events(s.sealedEvents)) in \(Units.count(s.segments)) segments, "
                + "\(Units.bytes(s.sealedBytes)) on disk")
        if s.sealedEvents > 0, s.sealedBytes > 0 {
            let ratio = Double(s.sealedUncompressedBytes) / Double(s.sealedBytes)
            facts.add(
                "compression",
                "\(Units.decimal(ratio, 1)) times smaller than the \(Units.bytes(s.sealedUncompressedBytes)) of "
                    + "its events, \(Units.decimal(Double(s.sealedBytes) / Double(s.sealedEvents), 1)) bytes an "
                    + "event")
        }
        facts.add(
            "active",
            "\(Units.events(s.activeEvents)), \(Units.bytes(s.activeUncompressedBytes)) before compression")
        facts.add("head", "\(Units.bytes(s.headBytes)) in use")
        if let process = s.pinningProcess {
            facts.add(
                "held back",
                "\(Units.bytes(s.pinnedHeadBytes)) of the head, by a read in process \(process) that has not ended"
            )
        }
        if let problem = s.sealingProblem { facts.add("sealing", "FAILS: \(problem)") }
        return facts.lines
    }

    private static func json(_ s: LogStatistics, _ oldest: Timestamp?, _ newest: Timestamp?) -> JSONText {
        [
            "log_id": .string(s.logID), "incarnation": .unsigned(s.incarnation),
            "created_at": JSONText(s.createdAt), "events": .integer(s.sealedEvents + s.activeEvents),
            "first_position": JSONText(s.firstPosition), "next_position": JSONText(s.nextPosition),
            "sealed_end": JSONText(s.sealedEnd), "first_event_time": JSONText(oldest),
            "last_event_time": JSONText(newest), "segments": .integer(s.segments),
            "sealed_events": .integer(s.sealedEvents), "active_events": .integer(s.activeEvents),
            "sealed_bytes": .integer(s.sealedBytes),
            "sealed_uncompressed_bytes": .integer(s.sealedUncompressedBytes),
            "active_uncompressed_bytes": .integer(s.activeUncompressedBytes),
            "head_bytes": .integer(s.headBytes),
            "compression_ratio": s.sealedBytes > 0
                ? .number(Double(s.sealedUncompressedBytes) / Double(s.sealedBytes)) : .null,
            "bytes_per_event": s.sealedEvents > 0
                ? .number(Double(s.sealedBytes) / Double(s.sealedEvents)) : .null,
            "sealing_problem": JSONText(s.sealingProblem),
            "pinned_head_bytes": .integer(s.pinnedHeadBytes),
            "pinning_process": s.pinningProcess.map { .integer($0) } ?? .null,
        ]
    }
}
