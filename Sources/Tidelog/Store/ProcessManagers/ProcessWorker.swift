// One process manager at work, on threads that may block.
//
// Invariants:
// - a batch is committed only if the progress record is still the one that it was computed from; each commit
//   counts in that record, so that of two that run the same process only one commits;
// - everything that the functions asked for, the state and the progress are in that one transaction;
// - a batch that the log refuses is done again one event or timer at a time, so that what comes before the one that
//   is refused is committed; that one is written down as the failure, with nothing else, and stops the process.
//   What may pass by itself, such as a full disk, is thrown and not written down.
import TidelogStorage

/// A process manager, advanced a batch at a time.
final class ProcessWorker<State: Codable & Sendable>: Sendable {
    enum Step {
        /// Something was committed.
        case advanced
        /// There is nothing to do until the log grows beyond this, or a timer is due.
        case caughtUp(UInt64, nextTimer: Timestamp?)
        /// A function threw, or the log refused what it sent; everything is as of before.
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
    /// How many batches are still to be of one event or timer, since the log refused them together.
    private let single = Lock(0)
    private var batchLimit: Int { self.single.withLock { $0 > 0 ? 1 : Self.batchEvents } }

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
        query.limit = self.batchLimit
        let events: [StoredEvent]
        do throws(StorageError) {
            events = StoredEvent.events(
                of: try self.log.engine.records(query, maximumBytes: Self.batchBytes))
        } catch {
            guard error.code == .corrupted else { throw EventLogError(error) }
            return try self.stopAtDamage(EventLogError(error), in: low..<high, now)
        }
        var batch = ProcessBatch(self.log, name: self.process.name)
        var next = end
        for (index, stored) in events.enumerated() {
            guard let instance = self.process.correlate(stored) else { continue }
            let input = ProcessInput(position: stored.position, instance: instance)
            let failure = try self.run(input, stored.event, now, &batch) { state, actions in
                try self.process.handle(stored, &state, &actions)
            }
            if let failure {
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

    /// Handles what comes before events that cannot be read, then stops there.
    private func stopAtDamage(
        _ error: EventLogError, in positions: Range<UInt64>, _ now: Timestamp
    ) throws(EventLogError) -> Step {
        let low = positions.lowerBound
        let damaged = max(low, error.positions?.lowerBound.rawValue ?? low)
        if damaged > low, damaged < positions.upperBound { return try self.handle(below: damaged, now) }
        let failure = ProcessInput(position: Position(low), instance: "").failure(refused: error)
        return try self.commit(ProcessBatch(self.log, name: self.process.name), next: low, failure: failure)
    }

    private func isCutShort(_ events: [StoredEvent], _ query: RecordQuery) throws(EventLogError) -> Bool {
        let bytes = events.reduce(0) {
            $0 + $1.placed.record.payload.count + $1.placed.record.metadata.count + 128
        }
        return events.count == query.limit || bytes >= Self.batchBytes
    }

    /// Runs one of the process's functions on an instance. If it throws, or the log would refuse what it sends, this
    /// answers why, and the batch is as it was before.
    private func run(
        _ input: ProcessInput, _ cause: Event?, _ now: Timestamp, _ batch: inout ProcessBatch,
        _ body: (inout State, inout ProcessActions) throws -> Void
    ) throws(EventLogError) -> ProcessFailure? {
        do throws(EventLogError) {
            try ProcessKeys.check(instance: input.instance)
            let stored = try batch.instance(input.instance)
            var state = self.process.initial
            if let stored { state = try EventPayload(bytes: stored.state).decode() }
            var decoder = EventJSONDecoder(form: .cloudEvents)
            var undoing: [Event] = []
            for event in stored?.undoing ?? [] { undoing.append(try decoder.decode(event)) }
            var actions = ProcessActions(now: now, undoing: undoing)
            do {
                try body(&state, &actions)
            } catch {
                return input.failure(of: error)
            }
            var sent: [Event] = []
            for (index, event) in actions.sent.enumerated() {
                let event = Self.linked(event, cause, stored?.origin)
                // What the log would refuse whatever it holds is known here, at its event.
                do throws(EventLogError) {
                    _ = try self.checked([event], warns: false)
                } catch {
                    guard error.isRefusal else { throw error }
                    return input.failure(refused: error, ProcessOutput(event, index: index))
                }
                sent.append(event)
            }
            // What undoes something is kept for later, when it would be too late to refuse it.
            for (index, event) in actions.isComplete ? [] : actions.remembered {
                do throws(EventLogError) {
                    _ = try self.checked([event], warns: false)
                } catch {
                    guard error.isRefusal else { throw error }
                    return input.failure(refused: error, ProcessOutput(event, index: index))
                }
            }
            var next = try self.instance(state, after: stored, actions)
            next.origin =
                stored?.origin
                ?? cause.map { ProcessOrigin(event: $0.id, correlation: $0.correlationID ?? $0.id) }
            let encoder = EventJSONEncoder(form: .cloudEvents)
            next.undoing = actions.undoing.map { encoder.encode($0) }
            batch.add(input, from: stored, to: actions.isComplete ? nil : next, sending: sent)
            return nil
        } catch {
            guard error.isRefusal else { throw error }
            return input.failure(refused: error)
        }
    }

    /// An event with what led to it, where it does not name that itself: the event that is handled, or, if a timer
    /// sends it, the one that began the instance.
    private static func linked(_ event: Event, _ cause: Event?, _ origin: ProcessOrigin?) -> Event {
        if let cause { return event.causationID == nil ? event.caused(by: cause) : event }
        guard let origin else { return event }
        var event = event
        event.causationID = event.causationID ?? origin.event
        event.correlationID = event.correlationID ?? origin.correlation
        return event
    }

    /// An instance with its new state and timers.
    private func instance(
        _ state: State, after stored: ProcessInstance?, _ actions: ProcessActions
    ) throws(EventLogError) -> ProcessInstance {
        var next = ProcessInstance(state: Array(try EventPayload(encoding: state).bytes))
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
        return next
    }

    // MARK: Timers

    private func dueTimers(
        _ now: Timestamp
    ) throws(EventLogError) -> (due: [(due: Int64, instance: String, timer: String)], next: Timestamp?) {
        let prefix = ProcessKeys.timers(self.process.name)
        let limit = self.batchLimit
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
                    return due.count < limit
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
            let input = ProcessInput(instance: timer.instance, timer: timer.timer)
            let stored: ProcessInstance?
            do throws(EventLogError) {
                stored = try batch.instance(timer.instance)
            } catch {
                guard error.isRefusal else { throw error }
                let failure = input.failure(refused: error)
                return try self.commit(batch, next: self.progress.next, failure: failure)
            }
            let isThere = stored?.timers.contains { $0.name.isExactly(timer.timer) && $0.due == timer.due }
            guard isThere == true else { continue }
            batch.take(timer.timer, of: timer.instance)
            let failure = try self.run(input, nil, now, &batch) { state, actions in
                try self.process.timer(timer.timer, &state, &actions)
            }
            if let failure {
                batch.restore(timer.instance, timer.timer, due: timer.due)
                return try self.commit(batch, next: self.progress.next, failure: failure)
            }
        }
        return try self.commit(batch, next: self.progress.next, failure: nil)
    }

    // MARK: Committing

    private enum Outcome {
        case committed
        case superseded
        case refused(EventLogError)
    }

    private func commit(
        _ batch: ProcessBatch, next: UInt64, failure: ProcessFailure?
    ) throws(EventLogError) -> Step {
        switch try self.attempt(batch, next: next, failure) {
        case .committed:
            self.single.withLock { $0 -= min($0, 1) }
            return failure.map { .failed($0) } ?? .advanced
        case .superseded:
            try self.load()
            return .superseded
        case .refused(let error):
            // Without an event or a timer it is the failure itself that cannot be written down.
            if batch.inputs.isEmpty { throw error }
            guard failure == nil, batch.inputs.count == 1 else {
                // Each by itself: what comes before the one that is refused is committed then.
                self.single.withLock { $0 = batch.inputs.count + 1 }
                return .superseded
            }
            let input = batch.inputs[0]
            let failure = input.failure(refused: error, self.output(refused: error, batch.sent))
            let nothing = ProcessBatch(self.log, name: self.process.name)
            return try self.commit(
                nothing, next: input.position?.rawValue ?? self.progress.next, failure: failure)
        }
    }

    /// Which of the events was refused.
    private func output(refused error: EventLogError, _ sent: [Event]) -> ProcessOutput? {
        if let known = error.output(among: sent) { return known }
        for (index, event) in sent.enumerated() {
            do throws(EventLogError) {
                _ = try self.checked([event], warns: false)
            } catch  where error.isRefusal {
                return ProcessOutput(event, index: index)
            } catch {
                return nil
            }
        }
        return nil
    }

    /// The records of events that the log accepts. Schemas that are some milliseconds old refuse nothing: another
    /// process may have let the events through since.
    ///
    /// - Parameter warns: whether this is what is committed next: what schemas only warn of is logged then.
    private func checked(
        _ events: [Event], warns: Bool
    ) throws(EventLogError) -> (records: [EventRecord], schemas: SchemaStamp) {
        do throws(EventLogError) {
            return try self.log.checked(events, warns: warns)
        } catch {
            guard error.code == .schemaViolation else { throw error }
            try self.log.schemas.lookAgain()
            return try self.log.checked(events, warns: warns)
        }
    }

    private func attempt(
        _ batch: ProcessBatch, next: UInt64, _ failure: ProcessFailure?
    ) throws(EventLogError) -> Outcome {
        let (before, expected) = self.place.withLock { $0 }
        var progress = before
        progress.next = next
        progress.commits += 1
        progress.failure = failure
        let key = ProcessKeys.progress(self.process.name)
        let changes = batch.changes() + [.set(.processes, key: key, value: progress.stored)]
        while true {
            let found = Lock<Found?>(nil)
            do throws(EventLogError) {
                let (records, schemas) = try self.checked(batch.sent, warns: true)
                try EventLogError.translating { () throws(StorageError) in
                    _ = try self.log.engine.appendBlocking(records, changing: changes, skipsKnown: true) {
                        transaction throws(StorageError) in
                        if try transaction.record(.processes, key: key) != expected {
                            found.withLock { $0 = .otherProgress }
                            throw StorageError(.conflict, "somebody else runs this process")
                        }
                        if !records.isEmpty, try !schemas.isCurrent(in: transaction) {
                            found.withLock { $0 = .otherSchemas }
                            throw StorageError(
                                .conflict, "the schemas have changed since the events were checked")
                        }
                    }
                }
                self.place.withLock { [progress] in $0 = (progress, progress.stored) }
                return .committed
            } catch {
                switch found.withLock({ $0 }) {
                case .otherProgress: return .superseded
                case .otherSchemas: try self.log.schemas.lookAgain()
                case nil:
                    guard error.isRefusal else { throw error }
                    return .refused(error)
                }
            }
        }
    }

    /// What a transaction found to be another way than the batch was computed from.
    private enum Found { case otherProgress, otherSchemas }
}
