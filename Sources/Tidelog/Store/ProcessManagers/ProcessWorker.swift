// One process manager at work, on threads that may block.
//
// Invariants:
// - a batch is committed only if the progress record is still the one that it was computed from; each commit
//   counts in that record, so that of two that run the same process only one commits;
// - everything that the functions asked for, the state and the progress are in that one transaction.
import TidelogStorage

/// A process manager, advanced a batch at a time.
final class ProcessWorker<State: Codable & Sendable>: Sendable {
    enum Step {
        /// Something was committed.
        case advanced
        /// There is nothing to do until the log grows beyond this, or a timer is due.
        case caughtUp(UInt64, nextTimer: Timestamp?)
        /// A function threw; everything is as of before.
        case failed(ProcessFailure)
        /// Somebody else changed the records; look at them again.
        case superseded
    }

    let process: ProcessManager<State>
    private let log: EventLog
    private let query: RecordQuery
    /// How far it is, and what is stored of that; nil before the first commit.
    private let place = Lock<(progress: ProcessProgress, expected: [UInt8]?)>((ProcessProgress(), nil))
    var progress: ProcessProgress { self.place.withLock { $0.progress } }

    private static var batchEvents: Int { 256 }
    private static var batchBytes: Int { 4 << 20 }

    init(_ process: ProcessManager<State>, _ log: EventLog) throws(EventLogError) {
        self.process = process
        self.log = log
        var query = process.query
        query.order = .oldestFirst
        query.limit = nil
        self.query = try query.storageQuery()
        try self.load()
    }

    private func load() throws(EventLogError) {
        let name = self.process.name
        let stored = try EventLogError.translating { () throws(StorageError) in
            try self.log.engine.record(.processes, key: ProcessKeys.progress(name))
        }
        let progress = try EventLogError.translating { () throws(StorageError) in
            try stored.map { bytes throws(StorageError) in try ProcessProgress(stored: bytes) }
                ?? ProcessProgress()
        }
        self.place.withLock { $0 = (progress, stored) }
    }

    /// Handles the timers that are due, then the next events, and commits.
    func step() throws(EventLogError) -> Step {
        let now = self.process.now()
        let timers = try self.dueTimers(now)
        if !timers.due.isEmpty { return try self.fire(timers.due, now) }
        let end = try EventLogError.translating { () throws(StorageError) in
            try self.log.engine.currentView().end
        }
        guard self.progress.next < end else { return .caughtUp(end, nextTimer: timers.next) }
        return try self.handle(below: end, now)
    }

    // MARK: Events

    private func handle(below end: UInt64, _ now: Timestamp) throws(EventLogError) -> Step {
        var query = self.query
        let low = max(query.positions.lowerBound, self.progress.next)
        let high = max(low, min(query.positions.upperBound, end))
        query.positions = low..<high
        query.limit = Self.batchEvents
        let events = try EventLogError.translating { () throws(StorageError) in
            StoredEvent.events(of: try self.log.engine.records(query, maximumBytes: Self.batchBytes))
        }
        var batch = ProcessBatch(self.log, name: self.process.name)
        var next = end
        for (index, stored) in events.enumerated() {
            guard let instance = self.process.correlate(stored) else { continue }
            do {
                try self.run(instance, stored.event, now, &batch) { state, actions in
                    try self.process.handle(stored, &state, &actions)
                }
            } catch {
                let failure = ProcessFailure(
                    position: stored.position, instance: instance, timer: nil, message: "\(error)")
                return try self.commit(batch, next: stored.position.rawValue, failure: failure)
            }
            if batch.bytes >= Self.batchBytes, index + 1 < events.count {
                return try self.commit(batch, next: stored.position.rawValue + 1, failure: nil)
            }
        }
        // A read that was cut short by a limit has not looked at what comes after its last event.
        if let last = events.last, try self.isCutShort(events, query) { next = last.position.rawValue + 1 }
        return try self.commit(batch, next: next, failure: nil)
    }

    private func isCutShort(_ events: [StoredEvent], _ query: RecordQuery) throws(EventLogError) -> Bool {
        let bytes = events.reduce(0) {
            $0 + $1.placed.record.payload.count + $1.placed.record.metadata.count + 128
        }
        return events.count == query.limit || bytes >= Self.batchBytes
    }

    /// Runs one of the process's functions on an instance; if it throws, the batch is as it was before.
    private func run(
        _ instance: String, _ cause: Event?, _ now: Timestamp, _ batch: inout ProcessBatch,
        _ body: (inout State, inout ProcessActions) throws -> Void
    ) throws {
        try ProcessKeys.check(instance: instance)
        let stored = try batch.instance(instance)
        var state = self.process.initial
        if let stored { state = try EventPayload(bytes: stored.state).decode() }
        var decoder = EventJSONDecoder(form: .cloudEvents)
        let undoing = try stored?.undoing.map { try decoder.decode($0) } ?? []
        var actions = ProcessActions(now: now, undoing: undoing)
        try body(&state, &actions)
        let sent = try actions.sent.map { event in
            let event = cause.map { event.causationID == nil ? event.caused(by: $0) : event } ?? event
            // What the log would refuse is the function's fault, and is known here, at its event.
            try self.log.validate([event])
            return event
        }
        var next = ProcessInstance(state: Array(try EventPayload(encoding: state).bytes))
        let encoder = EventJSONEncoder(form: .cloudEvents)
        next.undoing = actions.undoing.map { encoder.encode($0) }
        next.timers = stored?.timers ?? []
        for timer in actions.timers {
            switch timer {
            case .set(let name, let due):
                try ProcessKeys.check(timer: name)
                next.timers.removeAll { $0.name.isExactly(name) }
                next.timers.append((name, due.nanosecondsSinceEpoch))
            case .clear(let name): next.timers.removeAll { $0.name.isExactly(name) }
            }
        }
        batch.set(instance, from: stored, to: actions.isComplete ? nil : next, sending: sent)
    }

    // MARK: Timers

    private func dueTimers(
        _ now: Timestamp
    ) throws(EventLogError) -> (due: [(due: Int64, instance: String, timer: String)], next: Timestamp?) {
        let prefix = ProcessKeys.timers(self.process.name)
        return try EventLogError.translating { () throws(StorageError) in
            try self.log.engine.readingRecords { view throws(StorageError) in
                var due: [(due: Int64, instance: String, timer: String)] = []
                var next: Timestamp?
                try view.forEach(.processTimers, prefix: prefix) { key, _ in
                    guard let timer = ProcessKeys.parse(key) else { return true }
                    if timer.due > now.nanosecondsSinceEpoch {
                        next = Timestamp(nanosecondsSinceEpoch: timer.due)
                        return false
                    }
                    due.append(timer)
                    return due.count < Self.batchEvents
                }
                return (due, next)
            }
        }
    }

    private func fire(
        _ timers: [(due: Int64, instance: String, timer: String)], _ now: Timestamp
    ) throws(EventLogError) -> Step {
        var batch = ProcessBatch(self.log, name: self.process.name)
        for timer in timers {
            // One that the instance took back or set anew since is not its timer any more.
            guard var stored = try batch.instance(timer.instance),
                stored.timers.contains(where: { $0.name.isExactly(timer.timer) && $0.due == timer.due })
            else { continue }
            do {
                let before = stored
                stored.timers.removeAll { $0.name.isExactly(timer.timer) }
                batch.set(timer.instance, from: before, to: stored, sending: [])
                try self.run(timer.instance, nil, now, &batch) { state, actions in
                    try self.process.timer(timer.timer, &state, &actions)
                }
            } catch {
                batch.restore(timer.instance, timer.timer, due: timer.due)
                let failure = ProcessFailure(
                    position: nil, instance: timer.instance, timer: timer.timer, message: "\(error)")
                return try self.commit(batch, next: self.progress.next, failure: failure)
            }
        }
        return try self.commit(batch, next: self.progress.next, failure: nil)
    }

    // MARK: Committing

    private func commit(
        _ batch: ProcessBatch, next: UInt64, failure: ProcessFailure?
    ) throws(EventLogError) -> Step {
        let (before, expected) = self.place.withLock { $0 }
        var progress = before
        progress.next = next
        progress.commits += 1
        progress.failure = failure
        let key = ProcessKeys.progress(self.process.name)
        let changes = batch.changes() + [.set(.processes, key: key, value: progress.stored)]
        let records = try self.log.records(batch.sent, stream: nil)
        do throws(StorageError) {
            let check: @Sendable (borrowing HeadTransaction) throws(StorageError) -> Void = {
                transaction throws(StorageError) in
                guard try transaction.record(.processes, key: key) == expected else {
                    throw StorageError(.conflict, "somebody else runs this process")
                }
            }
            let outcome = try self.log.engine.appendBlocking(records, changing: changes, check: check)
            if outcome.isRepeat, !records.isEmpty {
                // Events with ids of the function's own are in the log already: then the rest goes alone.
                _ = try self.log.engine.appendBlocking([], changing: changes, check: check)
            }
        } catch {
            guard error.code == .conflict else { throw EventLogError(error) }
            try self.load()
            return .superseded
        }
        self.place.withLock { [progress] in $0 = (progress, progress.stored) }
        return failure.map { .failed($0) } ?? .advanced
    }
}

/// What a batch of events and timers leads to.
private struct ProcessBatch {
    private struct Entry {
        var before: ProcessInstance?
        var now: ProcessInstance?
    }

    private let log: EventLog
    private let name: String
    private var entries: [ExactText: Entry] = [:]
    private(set) var sent: [Event] = []
    private(set) var bytes = 0

    init(_ log: EventLog, name: String) {
        self.log = log
        self.name = name
    }

    /// An instance, with what the batch has made of it so far.
    mutating func instance(_ instance: String) throws(EventLogError) -> ProcessInstance? {
        let exact = ExactText(instance)
        if let entry = self.entries[exact] { return entry.now }
        let key = ProcessKeys.instances(self.name) + Array(instance.utf8)
        let stored = try EventLogError.translating { () throws(StorageError) in
            try self.log.engine.record(.processes, key: key).map { bytes throws(StorageError) in
                try ProcessInstance(stored: bytes)
            }
        }
        self.entries[exact] = Entry(before: stored, now: stored)
        return stored
    }

    mutating func set(
        _ instance: String, from before: ProcessInstance?, to now: ProcessInstance?, sending events: [Event]
    ) {
        self.entries[ExactText(instance), default: Entry(before: before)].now = now
        self.sent += events
        self.bytes += (now?.state.count ?? 0) + 64
        self.bytes += events.reduce(0) { $0 + $1.record.payload.count + $1.record.metadata.count + 128 }
    }

    /// Puts back a timer whose function threw.
    mutating func restore(_ instance: String, _ timer: String, due: Int64) {
        self.entries[ExactText(instance)]?.now?.timers.append((timer, due))
    }

    func changes() -> [RecordChange] {
        var changes: [RecordChange] = []
        for (exact, entry) in self.entries {
            let key = ProcessKeys.instances(self.name) + Array(exact.text.utf8)
            for timer in entry.before?.timers ?? [] {
                changes.append(
                    .remove(
                        .processTimers,
                        key: ProcessKeys.timer(self.name, due: timer.due, exact.text, timer.name)))
            }
            for timer in entry.now?.timers ?? [] {
                changes.append(
                    .set(
                        .processTimers,
                        key: ProcessKeys.timer(self.name, due: timer.due, exact.text, timer.name),
                        value: []))
            }
            if let now = entry.now {
                changes.append(.set(.processes, key: key, value: now.stored))
            } else if entry.before != nil {
                changes.append(.remove(.processes, key: key))
            }
        }
        return changes
    }
}

extension ProcessFailure {
    func error(of name: String) -> EventLogError {
        let place = self.timer.map { "the timer '\($0)'" } ?? "an event"
        return EventLogError(
            .projectionFailed,
            "the process '\(name)' stopped at \(place) of instance '\(TerminalText.escape(self.instance))': "
                + "\(self.message); everything is as of before",
            positions: self.position.map { $0..<Position($0.rawValue + 1) })
    }
}
