import TidelogStorage

/// A bus within one process, and the fastest one: events live in memory, and nothing of them remains.
///
/// With synchronous dispatch, the default, `publish` calls the handlers on the caller's thread, in order of
/// subscription, and returns when they have. With asynchronous dispatch it puts the event into a bounded
/// buffer, from which a task of the bus calls them; the order of each publisher is kept.
///
/// ```swift
/// let bus = InMemoryBus()
/// try bus.subscribe("order.>") { event in print(event.type) }
/// try bus.publish(Event(type: "order.placed"))  // synchronous code; `try await` in tasks
/// ```
///
/// A publish on a bus without subscribers costs a few nanoseconds, with ten some tens, allocates nothing,
/// and scales with the number of threads, since publishers share no memory that they write to.
///
/// Handlers that may suspend, and sequences, have a queue of their own each. A handler that publishes on its
/// own bus never waits for room there, or it might wait for itself: queues grow up to twice their size for
/// it, and beyond that it gets `limitExceeded`.
public final class InMemoryBus: EventBus {
    /// How events get from publishers to handlers.
    public struct Dispatch: Hashable, Sendable {
        let buffer: BusBuffer?

        /// The publisher's thread calls the handlers.
        public static var synchronous: Self { .init(buffer: nil) }
        /// A task of the bus calls them; events wait in a buffer of this size.
        public static func asynchronous(
            size: Int = 1024, whenFull: BusBuffer.Overflow = .wait
        ) -> Self {
            .init(buffer: BusBuffer(size: size, whenFull: whenFull))
        }
    }

    let state: MemoryBusState
    /// The state's core, to be reached without counting references; and whether publishing is its affair alone.
    private let hot: Unmanaged<BusCore>
    private let isSimple: Bool
    /// The buffer, where publishing is its affair alone.
    private let buffer: Unmanaged<EventQueue>?

    /// A bus with synchronous dispatch that logs failures.
    public convenience init() {
        self.init(state: MemoryBusState(dispatch: nil, telemetry: .init()))
    }

    /// A bus.
    ///
    /// - Throws: ``EventLogError`` with code `invalidArgument` for a buffer without room.
    public convenience init(
        dispatch: Dispatch, telemetry: BusTelemetry = .init()
    ) throws(EventLogError) {
        try dispatch.buffer?.check()
        self.init(state: MemoryBusState(dispatch: dispatch.buffer, telemetry: telemetry))
    }

    private init(state: MemoryBusState) {
        self.state = state
        self.hot = .passUnretained(state.core)
        self.isSimple = state.isSimple
        self.buffer = state.simpleQueue
        state.start()
    }

    deinit { self.state.abandon() }

    // MARK: Publishing

    /// Publishes one event from synchronous code.
    ///
    /// Where room must be waited for, a plain thread blocks; in a task, whose thread must not be blocked, it
    /// throws `limitExceeded`: publish with `await` there. On a bus with synchronous dispatch that has no
    /// subscribers, it does not look whether the task was cancelled.
    ///
    /// - Throws: ``EventLogError``: `closed`, `invalidEvent`, `cancelled`, `limitExceeded`.
    /// - Complexity: O(*n*) in the handlers of the event's type.
    public func publish(_ event: Event) throws(EventLogError) {
        try event.requireType()
        if self.isSimple, self.hot._withUnsafeGuaranteedRef({ $0.countUnheard() }) { return }
        if try self.publishesAtOnce(event) { return }
        try self.state.publishOtherwise(event)
    }

    /// Publishes where nothing is waited for or traced; false: it has to be done in another way.
    ///
    /// Apart from its callers: without subscribers the one needs no room on the stack, and the other is
    /// asynchronous, where what lies in memory of a thread must not be kept.
    @inline(never)
    private func publishesAtOnce(_ event: Event) throws(EventLogError) -> Bool {
        if self.isSimple {
            switch self.hot._withUnsafeGuaranteedRef({ core in
                core.dispatch(event, core.lane, counts: true, for: .publisher)
            }) {
            case .done: return true
            case .closed: throw .busClosed
            case .cancelled: throw .publisherCancelled
            case .full: return false
            }
        }
        guard let buffer = self.buffer else { return false }
        if Task.isCancelled { throw .publisherCancelled }
        switch buffer._withUnsafeGuaranteedRef({ $0.offer(event, upTo: .size) }) {
        case .accepted, .dropped: return true
        case .closed: throw .busClosed
        case .full: return false
        }
    }

    /// Publishes events in their order from synchronous code; if one is not valid, none is published.
    public func publish(_ events: [Event]) throws(EventLogError) {
        for event in events { try event.requireType() }
        for event in events { try self.publish(event) }
    }

    /// Publishes one event; where room must be waited for, the task suspends.
    ///
    /// - Throws: ``EventLogError``: `closed`, `invalidEvent`, `cancelled`, `limitExceeded`.
    public func publish(_ event: Event) async throws(EventLogError) {
        try event.requireType()
        try await self.publishChecked(event)
    }

    /// Publishes events in their order; if one is not valid, none is published.
    public func publish(_ events: [Event]) async throws(EventLogError) {
        for event in events { try event.requireType() }
        for event in events { try await self.publishChecked(event) }
    }

    private func publishChecked(_ event: Event) async throws(EventLogError) {
        if Task.isCancelled { throw .publisherCancelled }
        if try self.publishesAtOnce(event) { return }
        try await self.state.publish(event)
    }

    // MARK: Subscribing

    /// Calls `handler` with every event from now on whose type matches.
    ///
    /// - Throws: ``EventLogError`` with code `closed`.
    /// - Complexity: O(*n*) in the subscriptions of the bus.
    @discardableResult
    public func subscribe(
        _ pattern: TypePattern, _ handler: @escaping @Sendable (Event) throws -> Void
    ) throws(EventLogError) -> BusSubscription {
        try self.state.subscribe(HandlerEntry(pattern, queue: nil, handler))
    }

    /// Calls `handler` with every event from now on whose type matches, from a task of its own.
    ///
    /// - Throws: ``EventLogError``: `closed`, `invalidArgument` for a buffer without room.
    @discardableResult
    public func subscribe(
        _ pattern: TypePattern, buffer: BusBuffer = .init(),
        handler: @escaping @Sendable (Event) async throws -> Void
    ) throws(EventLogError) -> BusSubscription {
        try buffer.check()
        let (entry, queue) = MemoryBusState.queued(pattern, buffer)
        return try self.state.subscribe(entry, queue, handler)
    }

    /// The events from now on whose type matches, as a sequence for one reader.
    ///
    /// - Throws: ``EventLogError``: `closed`, `invalidArgument` for a buffer without room.
    public func events(
        _ pattern: TypePattern = .all, buffer: BusBuffer = .init()
    ) throws(EventLogError) -> EventStream {
        try buffer.check()
        let (entry, queue) = MemoryBusState.queued(pattern, buffer)
        let subscription = try self.state.subscribe(entry)
        let reader = QueueReader(queue, core: self.state.core)
        return EventStream(
            next: { () async throws(EventLogError) in await reader.next() },
            onCancel: { subscription.cancel() })
    }

    // MARK: The rest

    /// Delivers what was accepted, then refuses. A second call waits for the first one to end.
    ///
    /// It waits for handlers, but not for readers of sequences: a sequence takes the rest, beyond its size if
    /// need be, and gives it to its reader also after closing. Publishers that wait for room get `closed`.
    /// Called from within a handler of the bus, it does not wait for that handler.
    public func close() async { await self.state.close() }

    /// How the bus fares.
    public var health: BusHealth { self.state.health }

    /// The handlers that threw, from now on.
    public var failures: AsyncStream<BusFailure> { self.state.core.failures.stream() }

    /// The patterns that somebody is subscribed to, each once, in order of subscription.
    public var topics: [TypePattern] {
        var seen: Set<TypePattern> = []
        return self.state.core.current.entries.map(\.pattern).filter { seen.insert($0).inserted }
    }

    /// How many subscriptions there are.
    public var subscriberCount: Int { self.state.core.current.entries.count }

    /// How many subscriptions get events of this type.
    public func subscriberCount(of type: String) -> Int {
        self.state.core.current.entries.count { $0.pattern.matches(type) }
    }
}

extension InMemoryBus: CustomStringConvertible {
    /// How many subscriptions it has.
    public var description: String { "in-memory bus with \(self.subscriberCount) subscriptions" }
}
