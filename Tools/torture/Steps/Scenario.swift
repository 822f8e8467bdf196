import SystemPackage
package import Tidelog
import TidelogStorage

/// Something that a process does with a log while it is killed, stopped or failed at one of its calls.
///
/// Each can be done again after it was interrupted, and leaves the same then.
package enum Scenario: String, CaseIterable, Sendable {
    /// Makes a log and appends.
    case create
    /// Opens a log that is there, appends, closes.
    case open
    /// Appends batches of several sizes.
    case append
    /// Seals the active part.
    case seal
    /// Rewrites the sealed segments into one.
    case compact
    /// Drops the oldest segments.
    case retain
    /// Hides the beginning of a stream.
    case truncate
    /// Backs the log up where an older backup is.
    case backup
    /// Makes a log of the backup.
    case restore
    /// Brings a projection up to date: its state and how far it is.
    case project
    /// Builds a projection anew and switches over.
    case rebuild
    /// Carries out commands on an aggregate: its events and a snapshot.
    case command
    /// Lets a process manager answer events and timers: its state, timers, what it sends, how far it is.
    case timers
    /// Lets a process manager undo what it did, because an event or a timer says so.
    case compensate
    /// Answers events exactly once, in several transactions.
    case transform

    /// Whether opening the log belongs to what is interrupted.
    var beginsWithOpening: Bool { self == .create || self == .open }

    /// Whether it is about what the store keeps beside events, in a log of its own.
    var isOfStore: Bool {
        switch self {
        case .project, .rebuild, .command, .timers, .compensate: true
        default: false
        }
    }
}

/// The directory that a scenario works in, and the log in it.
///
/// Event number N has the id `e-N`, is in stream `s(N % 7)` and stands at position N, unless somebody else
/// appended too.
package struct Workplace: Sendable {
    package let directory: String
    package var log: String { self.directory + "/log.tidelog" }
    package var backup: String { self.directory + "/backup" }
    package var restored: String { self.directory + "/restored.tidelog" }

    /// Events in the log before a scenario, and in its backup.
    package static let events = 450
    package static let backedUp = 300
    /// Events before this position go when the log is retained.
    package static let retained = 150
    /// What scenarios append.
    static let batches = [1, 60, 3]
    /// The stream that is truncated, and before which revision.
    package static let truncated = (stream: "s3", revision: UInt64(20))

    package init(_ directory: String) {
        self.directory = directory
    }

    /// Small segments, sealed only when asked for.
    package static var configuration: EventLogConfiguration {
        var configuration = EventLogConfiguration()
        configuration.segmentSizeBytes = 64 << 10
        configuration.blockSizeBytes = 4 << 10
        configuration.dictionarySizeBytes = 2 << 10
        configuration.dictionaryEvents = 100
        configuration.idempotenceWindow = 1000
        configuration.sealsInBackground = false
        return configuration
    }

    package static func event(_ number: Int) -> Event {
        Batch.event(id: "e-\(number)", stream: "s\(number % 7)")
    }

    package func open() throws(EventLogError) -> EventLog {
        try EventLog.openBlocking(at: FilePath(self.log), configuration: Self.configuration)
    }

    /// Makes a log of three segments and an active part, and a backup of the first two.
    package func prepare() throws {
        let log = try self.open()
        for start in stride(from: 0, to: Self.events, by: 50) {
            // Few enough for the writer to encode them, with the dictionary of the segment before.
            for few in [start..<start + 25, start + 25..<start + 50] {
                try log.appendBlocking(few.map { Self.event($0) })
            }
            if [100, 250, 350].contains(start) { _ = try log.engine.seal() }
            if start == 250 { _ = try log.engine.backUp(to: self.backup) }
        }
        log.closeBlocking()
    }

    /// Appends what scenarios append, from `first` on, and tells `report` what was acknowledged.
    func append(
        _ log: EventLog, from first: Int, report: (String) -> Void = { _ in }
    ) throws(EventLogError) {
        var next = first
        for count in Self.batches {
            let result = try log.appendBlocking((next..<next + count).map { Self.event($0) })
            report("ACK \(result.positions.lowerBound) \(next) \(count)")
            next += count
        }
    }
}

/// The child's side: does a scenario with a fault in it, and, if it lives, goes on from there.
struct ScenarioRun {
    let scenario: Scenario
    let place: Workplace
    let fault: Fault

    func run() throws {
        var log = self.scenario.beginsWithOpening || self.scenario == .restore ? nil : try self.place.open()
        acknowledge("BEGINS")
        self.fault.arm()
        var hasFailed = false
        do throws(EventLogError) {
            // A consumer waits for room; here nobody makes any.
            try self.perform(&log, patience: self.fault.action == .full ? .milliseconds(500) : .seconds(60))
            log?.closeBlocking()
            log = nil
            acknowledge("DONE")
        } catch {
            hasFailed = true
            acknowledge("ERROR \(error.code) \(error)")
        }
        acknowledge("CALLS \(Fault.disarm())")
        guard hasFailed else { return }
        // In the same process: it goes on, or refuses with a reason. Reopened, it must go on.
        if log != nil {
            do throws(EventLogError) {
                try self.perform(&log)
                acknowledge("WENT-ON")
            } catch {
                acknowledge("REFUSED \(error.code) \(error)")
            }
            log?.closeBlocking()
            log = nil
        }
        try self.perform(&log)
        log?.closeBlocking()
        acknowledge("RECOVERED")
    }

    private func perform(_ opened: inout EventLog?, patience: Duration = .seconds(60)) throws(EventLogError) {
        if self.scenario == .restore {
            try EventLogError.translating { () throws(StorageError) in
                _ = try Restore.run(from: self.place.backup, to: self.place.restored)
            }
            return
        }
        let log: EventLog
        if let known = opened { log = known } else { log = try self.place.open() }
        opened = log
        if self.scenario.isOfStore {
            return try StoreSteps(place: self.place).perform(self.scenario, log, report: acknowledge)
        }
        if self.scenario == .create {
            return try self.place.append(log, from: 0, report: acknowledge)
        }
        if self.scenario == .open || self.scenario == .append {
            return try self.place.append(log, from: Workplace.events, report: acknowledge)
        }
        if self.scenario == .transform { return try Transforming.finish(log, patience: patience) }
        try EventLogError.translating { () throws(StorageError) in try self.maintain(log.engine) }
    }

    private func maintain(_ engine: LogEngine) throws(StorageError) {
        switch self.scenario {
        case .seal: _ = try engine.seal()
        case .compact: _ = try engine.compact(CompactionPolicy())
        case .retain:
            var limits = RetentionLimits()
            limits.maximumAge = 0
            limits.keepFrom = UInt64(Workplace.retained)
            _ = try engine.retain(limits)
            acknowledge("RETAINED")
        case .truncate:
            let (stream, revision) = Workplace.truncated
            try engine.truncate(stream: stream, before: revision)
            acknowledge("TRUNCATED")
        case .backup:
            _ = try engine.backUp(to: self.place.backup)
            acknowledge("BACKED-UP")
        default: break
        }
    }
}
