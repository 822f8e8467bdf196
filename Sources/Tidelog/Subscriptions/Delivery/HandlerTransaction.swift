import TidelogStorage

/// What a handler wants to happen exactly once: it is committed together with the acknowledgement of the events that
/// it was given, or not at all.
///
/// Whatever ends the process, for N events that come in, the outcome of N handlers is in the log. What a handler
/// does elsewhere (a call to a server) may still happen twice: after a failure or a kill, and also where a value that
/// it has read through the transaction is another one by the commit. Then it is run again at once.
///
/// What it appends and schedules must fit the schemas as they are at the commit, also where another process has
/// changed them since.
public final class HandlerTransaction: Sendable {
    private struct State {
        var events: [Event] = []
        var expectations: [(stream: String, expectation: StreamExpectation)] = []
        var values: [[UInt8]: [UInt8]?] = [:]
        /// What was read of the log: it must be so still at the commit.
        var reads: [[UInt8]: [UInt8]?] = [:]
        var schedules: [ScheduledEvent] = []
        var cancellations: [EventID] = []
        /// The schemas that the events fitted when they came; the oldest, if they have changed meanwhile.
        var schemas: SchemaStamp?
    }

    private enum Outcome { case committed, outdated, schemasChanged }

    private let log: EventLog
    private let state = Lock(State())

    init(log: EventLog) {
        self.log = log
    }

    /// Appends events, each to the stream that it names, or all to `stream`.
    ///
    /// - Parameter expectation: what must be true of `stream` when everything is committed; if it is not, nothing
    ///   is, and the events are delivered again as the retry policy says.
    public func append(
        _ events: [Event], to stream: String? = nil, expecting expectation: ExpectedRevision = .any
    ) throws(EventLogError) {
        if stream == nil, expectation != .any {
            throw EventLogError(.invalidArgument, "an expected revision needs a stream; name it in the call")
        }
        var placed = self.log.subscriptions.instruments?.tracing(events) ?? events
        if let stream { for index in placed.indices { placed[index].stream = stream } }
        let schemas = try self.log.validate(placed)
        self.state.withLock { [placed] state in
            state.events.append(contentsOf: placed)
            state.schemas = schemas.older(state.schemas)
            if let stream, expectation != .any { state.expectations.append((stream, expectation.storage)) }
        }
    }

    /// Appends one event.
    public func append(
        _ event: Event, to stream: String? = nil, expecting expectation: ExpectedRevision = .any
    ) throws(EventLogError) {
        try self.append([event], to: stream, expecting: expectation)
    }

    /// Keeps a value with the log, under a key of 1 to 255 bytes: the state of a projection, say. It replaces
    /// what was there.
    public func set(_ value: [UInt8], for key: String) throws(EventLogError) {
        let record = try HandlerValues.key(key)
        self.state.withLock { $0.values[record] = .some(value) }
    }

    /// Removes a value.
    public func remove(_ key: String) throws(EventLogError) {
        let record = try HandlerValues.key(key)
        self.state.withLock { $0.values[record] = .some(nil) }
    }

    /// The value under a key, as this transaction leaves it.
    ///
    /// Nothing is committed if another handler, here or in another process, has changed it by then: the handler is
    /// run again on the same events, which counts as no attempt. So handlers that count, or keep a state, may run at
    /// the same time. ``EventLog/value(for:)`` is not watched so.
    public func value(for key: String) async throws(EventLogError) -> [UInt8]? {
        let record = try HandlerValues.key(key)
        let known = self.state.withLock { state -> [UInt8]?? in
            if let own = state.values[record] { return .some(own) }
            return state.reads[record]
        }
        if let known { return known }
        let value = try await self.log.value(for: key)
        return self.state.withLock { state -> [UInt8]? in
            // Of two looks at the same time the first one counts, for both.
            if let first = state.reads[record] { return first }
            state.reads[record] = .some(value)
            return value
        }
    }

    /// Appends an event later: a timer. See ``EventLog/schedule(_:to:at:)``.
    public func schedule(_ event: Event, to stream: String? = nil, at time: Timestamp) throws(EventLogError) {
        try self.schedule(event, stream, .at(time))
    }

    /// Appends an event after a time.
    public func schedule(
        _ event: Event, to stream: String? = nil, after delay: Duration
    ) throws(EventLogError) {
        try self.schedule(event, stream, .after(delay))
    }

    private func schedule(
        _ event: Event, _ stream: String?, _ due: ScheduledEvent.Due
    ) throws(EventLogError) {
        let scheduled = try ScheduledEvent(event, stream, due, for: self.log)
        let schemas = try self.log.validate([scheduled.event], warns: false)
        self.state.withLock { state in
            state.schedules.append(scheduled)
            state.schemas = schemas.older(state.schemas)
        }
    }

    /// Takes back what was scheduled, if it is still to come.
    public func cancelScheduled(id: EventID) {
        self.state.withLock { $0.cancellations.append(id) }
    }

    // MARK: Committing

    /// Commits everything with the acknowledgement of `deliveries`.
    ///
    /// False if a value that was read is another one by now: then nothing was committed, and the deliveries are in
    /// hand as before.
    func commit(acknowledging deliveries: [Delivery]) async throws(EventLogError) -> Bool {
        let state = self.state.withLock { $0 }
        let core = deliveries[0].batch.core
        var settled: [Delivery] = []
        let isDone: Bool
        do throws(EventLogError) {
            for delivery in deliveries {
                try delivery.batch.settle(delivery.index)
                settled.append(delivery)
            }
            isDone = try await self.commit(state, deliveries, core)
        } catch {
            core.unsettle(settled)
            throw error
        }
        guard isDone else {
            core.unsettle(settled)
            return false
        }
        core.committed(deliveries)
        if !state.schedules.isEmpty { core.hub.lookAtSchedules() }
        return true
    }

    private func commit(
        _ state: State, _ deliveries: [Delivery], _ core: ConsumerCore
    ) async throws(EventLogError) -> Bool {
        var state = state
        while true {
            switch try await self.attempt(state, deliveries, core) {
            case .committed: return true
            case .outdated: return false
            case .schemasChanged: state.schemas = try await self.validateAgain(state)
            }
        }
    }

    /// Refuses what does not fit the schemas as they are now.
    private func validateAgain(_ state: State) async throws(EventLogError) -> SchemaStamp {
        let records = (state.events + state.schedules.map(\.event)).map(\.record)
        return try await self.log.work { log throws(EventLogError) in
            try log.schemas.lookAgain()
            return try log.schemas.validate(records)
        }
    }

    private func attempt(
        _ state: State, _ deliveries: [Delivery], _ core: ConsumerCore
    ) async throws(EventLogError) -> Outcome {
        let hub = core.hub
        let (session, number, name) = (hub.session, core.number, core.name)
        var report = SessionReport()
        for delivery in deliveries {
            report.finished.append((delivery.batch.grant.number, delivery.index..<delivery.index + 1))
        }
        let changes = state.values.map { key, value -> RecordChange in
            value.map { .set(.app, key: key, value: $0) } ?? .remove(.app, key: key)
        }
        let touched = Lock(false)
        let refusal = Lock<Outcome?>(nil)
        let moved = Lock<LedgerMove?>(nil)
        let change = HeadChange(
            check: { [report] transaction throws(StorageError) in
                try hub.ledgers.inspect(name, number: number, in: transaction) {
                    ledger throws(StorageError) in
                    for item in report.finished where !ledger.holds(item.grant, session, item.range) {
                        throw StorageError(
                            .leaseLost,
                            "the lease ended before the handler's transaction was committed, so nothing of it "
                                + "was; the events are delivered again")
                    }
                }
                guard try Self.isCurrent(state.reads, in: transaction) else {
                    refusal.withLock { $0 = .outdated }
                    throw StorageError(.conflict, "a value that the handler read has changed since")
                }
                if let schemas = state.schemas, try !schemas.isCurrent(in: transaction) {
                    refusal.withLock { $0 = .schemasChanged }
                    throw StorageError(.conflict, "the schemas have changed since the events were checked")
                }
            },
            apply: { [report] transaction throws(StorageError) in
                touched.withLock { $0 = true }
                for scheduled in state.schedules { try scheduled.write(in: transaction) }
                for id in state.cancellations { _ = try ScheduledEvent.remove(id: id, in: transaction) }
                if !state.schedules.isEmpty { try ControlCounter.raise(in: transaction) }
                _ = try hub.ledgers.change(name, number: number, in: transaction) { ledger in
                    let before = ledger.counters
                    let verdict = ledger.note(report, from: session, .now)
                    moved.withLock { [ledger] in $0 = LedgerMove(before, ledger) }
                    return (verdict, mustWrite: true)
                }
                return true
            })
        do throws(StorageError) {
            let records = state.events.map(\.record)
            let outcome = try await self.log.engine.append(
                records, expecting: state.expectations, changing: changes, change)
            if outcome.isRepeat, !touched.withLock({ $0 }) {
                // The events were in the log already, so the writer has only looked: the rest is still to do.
                _ = try await self.log.engine.append([], expecting: [], changing: changes, change)
            }
            if let move = moved.withLock({ $0 }) { hub.report(move, of: name) }
        } catch {
            if touched.withLock({ $0 }) { hub.ledgers.forget(number) }
            if let refusal = refusal.withLock({ $0 }) { return refusal }
            throw EventLogError(error)
        }
        return .committed
    }

    /// Whether every value is what it was when it was read.
    private static func isCurrent(
        _ reads: [[UInt8]: [UInt8]?], in transaction: borrowing HeadTransaction
    ) throws(StorageError) -> Bool {
        for (key, value) in reads {
            let present = try transaction.record(.app, key: key)
            if present != value { return false }
        }
        return true
    }
}

/// Values that handlers keep with the log.
enum HandlerValues {
    static func key(_ key: String) throws(EventLogError) -> [UInt8] {
        guard (1...255).contains(key.utf8.count) else {
            throw EventLogError(.invalidArgument, "the key of a value has 1 to 255 bytes of UTF-8")
        }
        return [UInt8(ascii: "v")] + Array(key.utf8)
    }
}

extension EventLog {
    /// A value that a handler's transaction has kept with the log; nil if there is none.
    public func value(for key: String) async throws(EventLogError) -> [UInt8]? {
        let record = try HandlerValues.key(key)
        return try await self.run { engine throws(StorageError) in
            try engine.readingRecords { reader throws(StorageError) in try reader.record(.app, key: record) }
        }
    }
}

extension ConsumerCore {
    /// Puts deliveries whose transaction was not committed back into their handler's hands, save those that were lost
    /// meanwhile.
    func unsettle(_ deliveries: [Delivery]) {
        let lost = deliveries.filter { !$0.batch.unsettle($0.index) }
        if lost.isEmpty { return }
        self.state.withLock { state in
            for delivery in lost where delivery.batch.epoch == state.snapshot.epoch {
                state.withhold(delivery.batch.grant.key(delivery.index))
            }
        }
        self.free(lost)
    }

    /// Deliveries were acknowledged by a transaction of their handler's.
    func committed(_ deliveries: [Delivery]) { self.free(deliveries) }

    /// Hands out what had to wait for deliveries that are in nobody's hands any more.
    private func free(_ deliveries: [Delivery]) {
        let now = BootClock.now
        let (fed, pump) = self.state.withLock { state in
            var isFreed = false
            for delivery in deliveries {
                if state.queue.release(delivery.batch.grant.key(delivery.index)) { isFreed = true }
            }
            return (isFreed ? state.feed(now: now) : [], Self.signal(&state))
        }
        for (taker, more) in fed { taker.reply.resume(returning: .success(more)) }
        pump?.resume()
    }
}

extension Consumer {
    /// Calls `handler` with events and a transaction, and commits what it put there together with their
    /// acknowledgement: exactly once, also across a kill at any moment.
    ///
    /// When the handler throws, or the commit is refused, nothing of it is committed, and the events are tried
    /// again as the settings say. Handlers must leave the settling of their deliveries to the transaction.
    ///
    /// A handler may be run several times for one attempt, each time with a new transaction and the whole lease: until
    /// no value that it has read is changed before its commit. What it does outside of its transaction happens each
    /// time.
    ///
    /// - Parameters:
    ///   - max: how many events share a transaction at most.
    ///   - concurrency: how many handlers may run at once; of one key always one.
    public func runExactlyOnce(
        batchesOf max: Int = 1, concurrency: Int = 1,
        _ handler: @escaping @Sendable ([Delivery], HandlerTransaction) async throws -> Void
    ) async throws(EventLogError) {
        try await self.run(batchesOf: max, concurrency: concurrency) { [log, core] deliveries in
            while true {
                let transaction = HandlerTransaction(log: log)
                try await handler(deliveries, transaction)
                if try await transaction.commit(acknowledging: deliveries) { return }
                try Task.checkCancellation()
                let lease = core.settings.leaseDuration
                for delivery in deliveries { try delivery.extendLease(by: lease) }
            }
        }
    }
}
