public import Tidelog

/// A bus that remembers what was published, for tests; it hands everything on to another bus.
///
/// ```swift
/// let bus = RecordingBus()
/// try await Shop(bus: bus).order("hay")
/// #expect(bus.hasEvent(ofType: "order.placed"))
/// let paid = try await bus.waitForEvent(ofType: "order.paid", timeout: .seconds(5))
/// ```
public final class RecordingBus: EventBus {
    private struct Waiter {
        var number: Int
        var condition: @Sendable (Event) -> Bool
        var reply: CheckedContinuation<Event?, Never>
    }

    private struct State {
        /// What was recorded, in the order in which publishing began.
        var recorded: [(number: Int, event: Event)] = []
        var waiters: [Waiter] = []
        /// The waits that have not been given up; their waiters may have yet to come.
        var waits: Set<Int> = []
        var nextNumber = 0
    }

    private let inner: any EventBus
    private let state = Recorded(State())

    /// A bus that records, and has another one deliver. Default: an ``InMemoryBus`` of its own.
    public init(forwardingTo inner: any EventBus = InMemoryBus()) {
        self.inner = inner
    }

    // MARK: What was recorded

    /// What was published, in the order in which publishing began: an event comes before what its handlers
    /// published. What the inner bus refused is not among it.
    public var events: [Event] { self.state.withLock { $0.recorded.map(\.event) } }

    /// What was published with a type that matches, in order.
    public func events(ofType pattern: TypePattern) -> [Event] {
        self.events.filter { pattern.matches($0.type) }
    }

    /// Whether an event with a type that matches was published.
    public func hasEvent(ofType pattern: TypePattern) -> Bool {
        self.hasEvent { pattern.matches($0.type) }
    }

    /// Whether an event was published that is as `condition` has it.
    public func hasEvent(where condition: (Event) -> Bool) -> Bool {
        self.events.contains(where: condition)
    }

    /// Forgets what was published.
    public func clear() { self.state.withLock { $0.recorded = [] } }

    /// The first event with a type that matches: one that was published, or else the next one.
    ///
    /// - Throws: ``EventLogError`` with code `notFound` if there is none within the time, `cancelled` if the
    ///   task is cancelled.
    public func waitForEvent(
        ofType pattern: TypePattern, timeout: Duration = .seconds(10)
    ) async throws(EventLogError) -> Event {
        try await self.waitForEvent("of a type that matches \(pattern)", timeout) { pattern.matches($0.type) }
    }

    /// The first event that is as `condition` has it: one that was published, or else the next one.
    ///
    /// - Throws: ``EventLogError`` with code `notFound` if there is none within the time, `cancelled` if the
    ///   task is cancelled.
    public func waitForEvent(
        timeout: Duration = .seconds(10), where condition: @escaping @Sendable (Event) -> Bool
    ) async throws(EventLogError) -> Event {
        try await self.waitForEvent("that is as expected", timeout, condition)
    }

    private func waitForEvent(
        _ what: String, _ timeout: Duration, _ condition: @escaping @Sendable (Event) -> Bool
    ) async throws(EventLogError) -> Event {
        let number = self.begin { $0.waits.insert($1) }
        let state = self.state
        let giveUp: @Sendable () -> Void = {
            let waiter = state.withLock { state -> Waiter? in
                state.waits.remove(number)
                let index = state.waiters.firstIndex { $0.number == number }
                return index.map { state.waiters.remove(at: $0) }
            }
            waiter?.reply.resume(returning: nil)
        }
        let clock = Task {
            try? await Task.sleep(for: timeout)
            giveUp()
        }
        defer { clock.cancel() }
        let event = await withTaskCancellationHandler {
            await withCheckedContinuation { (reply: CheckedContinuation<Event?, Never>) in
                let isWaiting = state.withLock { state in
                    if Task.isCancelled || !state.waits.contains(number) { return false }
                    state.waiters.append(Waiter(number: number, condition: condition, reply: reply))
                    return true
                }
                // What is published from now on comes to the waiter; this is about what was before.
                let known = self.events.first(where: condition)
                if !isWaiting { return reply.resume(returning: known) }
                if let known { Self.take([number], from: state).first?.reply.resume(returning: known) }
            }
        } onCancel: {
            clock.cancel()  // which gives up at once
        }
        if let event { return event }
        if Task.isCancelled {
            throw EventLogError(.cancelled, "the task that waited for an event was cancelled")
        }
        // The time may have ended while it was looked for.
        if let known = self.events.first(where: condition) { return known }
        let seen = self.events.map(\.type)
        throw EventLogError(
            .notFound, "no event \(what) was published within \(timeout); there were \(seen.count): \(seen)")
    }

    /// A number that is greater than all before.
    private func begin(_ body: (inout State, Int) -> Void = { _, _ in }) -> Int {
        self.state.withLock { state in
            state.nextNumber += 1
            body(&state, state.nextNumber)
            return state.nextNumber
        }
    }

    /// Records what the inner bus has accepted, where its number belongs.
    private func record(_ events: [Event], _ number: Int) {
        let waiters = self.state.withLock { state in
            let before = state.recorded.lastIndex { $0.number < number }
            let place = before.map { $0 + 1 } ?? 0
            state.recorded.insert(contentsOf: events.map { (number: number, event: $0) }, at: place)
            return state.waiters
        }
        // Conditions are asked outside of the lock: they may ask this bus in turn.
        var found: [Int: Event] = [:]
        for waiter in waiters { found[waiter.number] = events.first(where: waiter.condition) }
        for waiter in Self.take(Set(found.keys), from: self.state) {
            waiter.reply.resume(returning: found[waiter.number])
        }
    }

    /// Takes waiters out, so that they are resumed once; those that are gone already are not among them.
    private static func take(_ numbers: Set<Int>, from state: Recorded<State>) -> [Waiter] {
        state.withLock { state in
            let taken = state.waiters.filter { numbers.contains($0.number) }
            state.waiters.removeAll { numbers.contains($0.number) }
            return taken
        }
    }

    // MARK: The bus

    /// Publishes on the inner bus, and records the event if that accepted it.
    public func publish(_ event: Event) async throws(EventLogError) {
        let number = self.begin()
        try await self.inner.publish(event)
        self.record([event], number)
    }

    /// Publishes on the inner bus, and records the events if that accepted them all. Where it refused one, it is not
    /// known which it had accepted before, and none is recorded.
    public func publish(_ events: [Event]) async throws(EventLogError) {
        let number = self.begin()
        try await self.inner.publish(events)
        self.record(events, number)
    }

    /// Subscribes on the inner bus.
    @discardableResult
    public func subscribe(
        _ pattern: TypePattern, _ handler: @escaping @Sendable (Event) throws -> Void
    ) async throws(EventLogError) -> BusSubscription {
        try await self.inner.subscribe(pattern, handler)
    }

    /// Subscribes on the inner bus.
    @discardableResult
    public func subscribe(
        _ pattern: TypePattern, buffer: BusBuffer,
        handler: @escaping @Sendable (Event) async throws -> Void
    ) async throws(EventLogError) -> BusSubscription {
        try await self.inner.subscribe(pattern, buffer: buffer, handler: handler)
    }

    /// Subscribes on the inner bus.
    public func events(
        _ pattern: TypePattern, buffer: BusBuffer
    ) async throws(EventLogError) -> EventStream {
        try await self.inner.events(pattern, buffer: buffer)
    }

    /// Closes the inner bus; what was recorded stays.
    public func close() async { await self.inner.close() }

    /// How the inner bus fares.
    public var health: BusHealth { get async { await self.inner.health } }

    /// The failures of the inner bus's handlers.
    public var failures: AsyncStream<BusFailure> { self.inner.failures }

    /// The topics of the inner bus.
    public var topics: [TypePattern] { self.inner.topics }

    /// The subscriptions of the inner bus.
    public var subscriberCount: Int { self.inner.subscriberCount }

    /// The subscriptions of the inner bus that get events of this type.
    public func subscriberCount(of type: String) -> Int { self.inner.subscriberCount(of: type) }
}
