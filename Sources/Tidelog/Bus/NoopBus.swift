import Logging
import TidelogStorage

/// A bus that accepts events, counts them, and delivers none: for apps that are configured without events,
/// and for measuring what publishing itself costs.
///
/// Subscriptions are kept and answered for, but never called.
public final class NoopBus: EventBus {
    private struct State {
        var published: UInt64 = 0
        var isClosed = false
        var nextNumber = 0
        var subscriptions: [(number: Int, pattern: TypePattern, end: (@Sendable () -> Void)?)] = []
    }

    private let state = Lock(State())
    private let channel = BusFailures(logger: Logger(label: "tidelog.bus"))

    /// A bus that delivers nothing.
    public init() {}

    /// How many events were published.
    public var publishedCount: UInt64 { self.state.withLock { $0.published } }

    /// Counts the event.
    public func publish(_ event: Event) throws(EventLogError) {
        if Task.isCancelled { throw .publisherCancelled }
        try event.requireType()
        let isOpen = self.state.withLock { state in
            if !state.isClosed { state.published += 1 }
            return !state.isClosed
        }
        guard isOpen else { throw .busClosed }
    }

    /// Remembers the subscription; the handler is never called.
    @discardableResult
    public func subscribe(
        _ pattern: TypePattern, _ handler: @escaping @Sendable (Event) throws -> Void
    ) throws(EventLogError) -> BusSubscription {
        try self.add(pattern, end: nil)
    }

    /// Remembers the subscription; the handler is never called.
    @discardableResult
    public func subscribe(
        _ pattern: TypePattern, buffer: BusBuffer = .init(),
        handler: @escaping @Sendable (Event) async throws -> Void
    ) throws(EventLogError) -> BusSubscription {
        try buffer.check()
        return try self.add(pattern, end: nil)
    }

    /// A sequence that gives nothing and ends when the bus is closed.
    public func events(
        _ pattern: TypePattern = .all, buffer: BusBuffer = .init()
    ) throws(EventLogError) -> EventStream {
        try buffer.check()
        let queue = EventQueue(buffer)
        let subscription = try self.add(pattern) { queue.close() }
        return EventStream(
            next: { () async throws(EventLogError) in
                await withTaskCancellationHandler {
                    _ = await queue.next(after: 0)
                    return nil
                } onCancel: {
                    queue.wakeConsumer()
                }
            },
            onCancel: { subscription.cancel() })
    }

    private func add(
        _ pattern: TypePattern, end: (@Sendable () -> Void)?
    ) throws(EventLogError) -> BusSubscription {
        let number = self.state.withLock { state -> Int? in
            if state.isClosed { return nil }
            state.nextNumber += 1
            state.subscriptions.append((state.nextNumber, pattern, end))
            return state.nextNumber
        }
        guard let number else { throw .busClosed }
        return BusSubscription(pattern: pattern) { [weak self] in
            self?.state.withLock { state in state.subscriptions.removeAll { $0.number == number } }
        }
    }

    /// Refuses from now on.
    public func close() async {
        let ends = self.state.withLock { state in
            state.isClosed = true
            defer { state.subscriptions = [] }
            return state.subscriptions.compactMap(\.end)
        }
        for end in ends { end() }
        self.channel.finish()
    }

    /// How many events there were, and whether the bus is open.
    public var health: BusHealth {
        self.state.withLock { state in
            var health = BusHealth(state.isClosed ? .closed : .healthy)
            health.published = state.published
            health.subscribers = state.subscriptions.count
            return health
        }
    }

    /// Nothing is called, so nothing fails; it ends when the bus is closed.
    public var failures: AsyncStream<BusFailure> { self.channel.stream() }

    /// The patterns that somebody subscribed to.
    public var topics: [TypePattern] {
        var seen: Set<TypePattern> = []
        return self.state.withLock { $0.subscriptions.map(\.pattern) }.filter { seen.insert($0).inserted }
    }

    /// How many subscriptions there are.
    public var subscriberCount: Int { self.state.withLock { $0.subscriptions.count } }

    /// How many subscriptions would get events of this type.
    public func subscriberCount(of type: String) -> Int {
        self.state.withLock { state in state.subscriptions.count { $0.pattern.matches(type) } }
    }
}
