import TidelogStorage

/// A consumer in this process: its members share what is fetched, and one loop, the pump, talks to the
/// writer for all of them (`ConsumerCore+Pump.swift`).
///
/// Locks are taken in this order: the core's, then a batch's. Nobody is resumed under a lock.
final class ConsumerCore: Sendable {
    let hub: SubscriptionHub
    let number: UInt64
    /// Says which events must not overtake each other; may hold a function, which the log cannot.
    let ordering: EventOrdering
    let state: Lock<CoreState>

    init(
        hub: SubscriptionHub, name: String, number: UInt64, settings: ConsumerSettings,
        snapshot: LedgerSnapshot
    ) {
        self.hub = hub
        self.number = number
        self.ordering = settings.ordering
        self.state = Lock(
            CoreState(
                name: name, settings: settings, snapshot: snapshot, scannedTo: snapshot.frontier,
                logEnd: hub.engine.knownEnd))
    }

    var name: String { self.state.withLock { $0.name } }
    var settings: ConsumerSettings { self.state.withLock { $0.settings } }

    // MARK: Waking the pump

    /// Lets the pump look at what there is to do.
    func signal() {
        self.state.withLock { Self.signal(&$0) }?.resume()
    }

    /// As ``signal()``, under the lock: resume what it answers after it.
    static func signal(_ state: inout CoreState) -> UnsafeContinuation<Void, Never>? {
        if let pump = state.pump {
            state.pump = nil
            return pump
        }
        state.isSignalled = true
        return nil
    }

    /// The log has grown to `end`.
    func logGrew(to end: UInt64) {
        self.state.withLock { state -> UnsafeContinuation<Void, Never>? in
            state.logEnd = max(state.logEnd, end)
            return Self.signal(&state)
        }?.resume()
    }

    /// Another process may have changed the consumer.
    func lookAgain() {
        self.state.withLock { state -> UnsafeContinuation<Void, Never>? in
            state.mustLook = true
            return Self.signal(&state)
        }?.resume()
    }

    // MARK: Taking

    /// The next event for a lane, if one is at hand.
    func takeNow(_ lane: Int32) throws(EventLogError) -> Delivery? {
        let now = BootClock.now
        let (delivery, pump, failure) = self.state.withLock { state in
            let delivery = state.failure == nil ? state.takeOne(lane, now: now) : nil
            return (delivery, state.isWaitingForPump ? Self.signal(&state) : nil, state.failure)
        }
        pump?.resume()
        if delivery == nil, let failure { throw failure }
        return delivery
    }

    /// Waits for events for a lane: at least one, unless the time is over. Nil when the consumer has ended, or
    /// the task was cancelled.
    func take(_ lane: Int32, maximum: Int, wait: Duration?) async throws(EventLogError) -> [Delivery]? {
        let deadline = wait.map { BootClock.now &+ $0.wholeNanoseconds }
        let id = self.state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        let result = await withTaskCancellationHandler {
            await withUnsafeContinuation {
                (reply: UnsafeContinuation<Result<[Delivery]?, EventLogError>, Never>) in
                let taker = Taker(id: id, lane: lane, maximum: maximum, deadline: deadline, reply: reply)
                let (answer, pump) = self.enter(taker)
                pump?.resume()
                if let answer {
                    reply.resume(returning: answer)
                } else if let deadline {
                    self.hub.wake(self, at: deadline)
                }
                // A cancellation that came before the taker was there has found nobody.
                if answer == nil, Task.isCancelled { self.dismiss(id) }
            }
        } onCancel: {
            self.dismiss(id)
        }
        return try result.get()
    }

    private func enter(
        _ taker: Taker
    ) -> (Result<[Delivery]?, EventLogError>?, UnsafeContinuation<Void, Never>?) {
        let now = BootClock.now
        return self.state.withLock { state in
            if let failure = state.failure { return (.failure(failure), nil) }
            if state.isStopping { return (.success(nil), nil) }
            let deliveries = state.take(taker.lane, taker.maximum, now: now)
            let isOver = !deliveries.isEmpty || (taker.deadline.map { $0 <= now } ?? false)
            if !isOver { state.takers.append(taker) }
            let pump = state.isWaitingForPump ? Self.signal(&state) : nil
            return (isOver ? .success(deliveries) : nil, pump)
        }
    }

    private func dismiss(_ id: Int) {
        let taker = self.state.withLock { state -> Taker? in
            guard let place = state.takers.firstIndex(where: { $0.id == id }) else { return nil }
            return state.takers.remove(at: place)
        }
        taker?.reply.resume(returning: .success(nil))
    }

    // MARK: Settling

    func acknowledge(_ batch: DeliveryBatch, _ index: Int) throws(EventLogError) {
        let mustList = try batch.acknowledge(index)
        let key = batch.grant.key(index)
        if mustList || key != 0 { self.settled(key, mustList: mustList) }
    }

    /// Acknowledges an event, and what its lane has in hand at positions before it, of whatever grant.
    func acknowledgeUpTo(_ batch: DeliveryBatch, _ index: Int) throws(EventLogError) {
        let lane = batch.lane(of: index)
        let position = batch.grant.positions[index]
        // Looked up first: an acknowledgement may put the next events into the lane's hands.
        let batches = self.state.withLock { Array($0.batches.values) }
        let earlier = batches.map { (batch: $0, indexes: $0.held(by: lane, before: position)) }
        try self.acknowledge(batch, index)
        for (batch, indexes) in earlier {
            // What was settled or lost meanwhile stays as it is.
            for index in indexes { try? self.acknowledge(batch, index) }
        }
    }

    private func settled(_ key: UInt32, mustList: Bool) {
        // Looked at where somebody may be waiting alone: the clock is a good part of an acknowledgement's cost.
        let now = mustList ? BootClock.now : 0
        let (fed, linger) = self.state.withLock { state -> ([(Taker, [Delivery])], UInt64?) in
            var linger: UInt64?
            if mustList {
                if state.lingerUntil == nil {
                    linger = now &+ state.settings.acknowledgeWithin.wholeNanoseconds
                    state.lingerUntil = linger
                }
            }
            let isFreed = state.queue.release(key)
            let isAwaited = isFreed && !state.takers.isEmpty
            return (isAwaited ? state.feed(now: BootClock.now) : [], linger)
        }
        for (taker, deliveries) in fed { taker.reply.resume(returning: .success(deliveries)) }
        if let linger { self.hub.wake(self, at: linger) }
    }

    /// Notes that a delivery did not end well.
    func fail(
        _ batch: DeliveryBatch, _ index: Int, error: String, delay: UInt64?, isFinal: Bool
    ) throws(EventLogError) {
        try batch.settle(index)
        self.noteFailure(batch, index, error: error, delay: delay, isFinal: isFinal)
    }

    private func noteFailure(
        _ batch: DeliveryBatch, _ index: Int, error: String, delay: UInt64?, isFinal: Bool
    ) {
        let key = batch.grant.key(index)
        let (fed, pump) = self.state.withLock { state in
            state.failed.append(
                SessionReport.Failure(
                    grant: batch.grant.number, index: index, error: String(error.prefix(2000)), delay: delay,
                    isFinal: isFinal))
            // What follows it under its key waits until it is done.
            if !isFinal { state.withhold(key) }
            let isFreed = state.queue.release(key)
            return (isFreed ? state.feed(now: BootClock.now) : [], Self.signal(&state))
        }
        for (taker, deliveries) in fed { taker.reply.resume(returning: .success(deliveries)) }
        pump?.resume()
    }

    /// Gives a delivery back as if it had not been made.
    func release(_ batch: DeliveryBatch, _ index: Int) throws(EventLogError) {
        try batch.settle(index)
        let key = batch.grant.key(index)
        let pump = self.state.withLock { state in
            state.released.append((batch.grant.number, index..<index + 1))
            state.withhold(key)
            _ = state.queue.release(key)
            return Self.signal(&state)
        }
        pump?.resume()
    }

    /// Suspends until what was settled of these indexes is durable.
    func waitUntilDurable(_ batch: DeliveryBatch, _ indexes: Range<Int>) async throws(EventLogError) {
        let failure = await withUnsafeContinuation { (reply: UnsafeContinuation<EventLogError?, Never>) in
            let (refusal, pump) = self.state.withLock {
                state -> (EventLogError?, UnsafeContinuation<Void, Never>?) in
                if let failure = state.failure { return (failure, nil) }
                if state.isStopping { return (Self.closedError, nil) }
                state.settling.append(
                    Settling(grant: batch.grant.number, indexes: indexes, reply: reply))
                return (nil, Self.signal(&state))
            }
            if let refusal { reply.resume(returning: refusal) }
            pump?.resume()
        }
        if let failure { throw failure }
    }

    /// Suspends until everything that was settled so far is durable.
    func flush() async throws(EventLogError) {
        if let ending = self.state.withLock({ $0.ending }) {
            if let failure = await ending.wait() { throw failure }
            return
        }
        let failure = await withUnsafeContinuation { (reply: UnsafeContinuation<EventLogError?, Never>) in
            let (answer, pump) = self.state.withLock {
                state -> (EventLogError??, UnsafeContinuation<Void, Never>?) in
                if let failure = state.failure { return (failure, nil) }
                if state.isStopping { return (.some(Self.closedError), nil) }
                state.settling.append(Settling(grant: 0, indexes: 0..<0, reply: reply))
                return (nil, Self.signal(&state))
            }
            if let answer { reply.resume(returning: answer) }
            pump?.resume()
        }
        if let failure { throw failure }
    }

    static var closedError: EventLogError {
        EventLogError(
            .closed, "the consumer was left, or its log closed; what was not durable is delivered again")
    }

    // MARK: Members

    /// Adds a member of this process; nil if the core has ended, because its last member left.
    func join(_ events: AsyncStream<ConsumerEvent>.Continuation) -> Int? {
        let (id, pump) = self.state.withLock { state -> (Int?, UnsafeContinuation<Void, Never>?) in
            if state.isStopping { return (nil, nil) }
            state.nextID += 1
            state.members[state.nextID] = LocalMember(events: events)
            state.membersChanged = true
            return (state.nextID, Self.signal(&state))
        }
        pump?.resume()
        return id
    }

    /// A lane of a member's own.
    func addLane(_ member: Int) -> Int32 {
        self.state.withLock { state in
            state.nextLane += 1
            state.members[member]?.lanes.insert(state.nextLane)
            return state.nextLane
        }
    }

    /// Takes a member out; what it holds goes to others. With the last one the core ends.
    func leave(_ member: Int) -> CoreEnding? {
        let (gone, takers, ending, pump) = self.state.withLock { state in
            guard let gone = state.members.removeValue(forKey: member) else {
                return (LocalMember?.none, [Taker](), state.ending, UnsafeContinuation<Void, Never>?.none)
            }
            state.membersChanged = true
            for batch in state.batches.values {
                for index in batch.withdraw(lanes: gone.lanes) {
                    let key = batch.grant.key(index)
                    state.released.append((batch.grant.number, index..<index + 1))
                    state.withhold(key)
                    _ = state.queue.release(key)
                }
            }
            let takers = state.takers.filter { gone.lanes.contains($0.lane) }
            state.takers.removeAll { gone.lanes.contains($0.lane) }
            let ending = state.members.isEmpty ? self.end(&state) : nil
            return (gone, takers, ending, Self.signal(&state))
        }
        for taker in takers { taker.reply.resume(returning: .success(nil)) }
        pump?.resume()
        gone?.events.finish()
        if ending != nil { self.hub.remove(self) }
        return ending
    }

    func emit(_ event: ConsumerEvent) {
        let members = self.state.withLock { $0.members.values.map(\.events) }
        for member in members { member.yield(event) }
    }

    /// Ends the core with an error that everybody gets.
    func fail(_ error: EventLogError) {
        let (takers, settling, pump, members) = self.state.withLock { state in
            if state.failure == nil { state.failure = error }
            defer { (state.takers, state.settling) = ([], []) }
            return (state.takers, state.settling, Self.signal(&state), state.members.values.map(\.events))
        }
        self.hub.remove(self)
        let isClosed = error.code == .closed
        for taker in takers { taker.reply.resume(returning: isClosed ? .success(nil) : .failure(error)) }
        for waiter in settling { waiter.reply.resume(returning: error) }
        for member in members { member.yield(.ended(error)) }
        pump?.resume()
    }
}
