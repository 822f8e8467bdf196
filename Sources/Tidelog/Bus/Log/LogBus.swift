import Synchronization
import TidelogStorage

/// A bus on a log: publishing appends, and subscribers get what has been committed.
///
/// ```swift
/// let log = try await EventLog.open(at: "farm.tidelog")
/// let bus = LogBus(log)
/// try await bus.subscribe("milk.*", durable: "dairy") { stored in print(stored.position) }
/// try await bus.publish(Event(type: "milk.weighed", stream: "cow-17", json: #"{"litres":21.4}"#))
/// ```
///
/// - `publish` returns once the event is durable; several events of one call are appended together or not at
///   all. No subscriber sees an event before that.
/// - Whatever is appended to the log is published too, exactly once to each subscription: through this bus,
///   through ``EventLog/append(_:to:expecting:)-([Event],_,_)``, or by another process on the same log
///   (within 50 ms).
/// - Every subscription gets its events in the order of the log, from a task of its own, at its own pace: the
///   log is the buffer, so nothing is dropped and no publisher waits for a subscriber. The `buffer` that
///   ``EventBus`` asks for is not used.
/// - A subscription with a name goes on after a restart where it was, see
///   ``subscribe(_:durable:from:handler:)``.
///
/// Closing the bus leaves the log open; the log must be closed after the bus.
public final class LogBus: EventBus {
    struct State {
        var isClosing = false
        var isClosed = false
        var fault: EventLogError?
        var nextNumber = 0
        var members: [Member] = []
        /// Tasks of subscriptions that were cancelled and have not ended, by number.
        var ending: [Int: Task<Void, Never>] = [:]
        var durableNames: Set<String> = []
        var awaiting: [UnsafeContinuation<Void, Never>] = []
        /// Appends that began before the bus was closed, and who waits for them to end.
        var appending = 0
        var awaitingAppends: UnsafeContinuation<Void, Never>?
        var published: UInt64 = 0
        var delivered: UInt64 = 0
        var failed: UInt64 = 0
    }

    struct Member: Sendable {
        let number: Int
        let pattern: TypePattern
        let follower: BusFollower
        var task: Task<Void, Never>?
    }

    /// The log that it stands on.
    public let log: EventLog
    let core: Core

    /// What subscriptions' tasks hold: they end with the bus, so they must not keep it.
    final class Core: Sendable {
        let number = LaneSet.nextNumber()
        let state = Lock(State())
        let channel: BusFailures
        let instruments: BusInstruments?

        init(_ telemetry: BusTelemetry) {
            self.channel = BusFailures(logger: telemetry.logger)
            self.instruments = BusInstruments(telemetry)
        }
    }

    /// A bus on a log that is open.
    ///
    /// - Parameter telemetry: What it tells, and to whom; counters are handed over with each event.
    public init(_ log: EventLog, telemetry: BusTelemetry = .init()) {
        self.log = log
        self.core = Core(telemetry)
    }

    deinit {
        let members = self.core.state.withLock { $0.members }
        for member in members { member.follower.cancel() }
        self.core.channel.finish()
    }

    // MARK: Publishing

    /// Appends the event, and returns once it is durable.
    ///
    /// - Throws: ``EventLogError``: `closed`, `invalidEvent`, `cancelled`, and what
    ///   ``EventLog/append(_:to:expecting:)-([Event],_,_)`` throws.
    public func publish(_ event: Event) async throws(EventLogError) {
        try event.requireType()
        if let instruments = self.core.instruments, instruments.isTracing {
            try await instruments.publishing(event) { event async throws(EventLogError) in
                try await self.append([event])
            }
        } else {
            try await self.append([event])
        }
    }

    /// Appends the events together, all or none, and returns once they are durable.
    public func publish(_ events: [Event]) async throws(EventLogError) {
        for event in events { try event.requireType() }
        if let instruments = self.core.instruments, instruments.isTracing {
            try await instruments.publishing(events) { events async throws(EventLogError) in
                try await self.append(events)
            }
        } else {
            try await self.append(events)
        }
    }

    /// As ``publish(_:)-(Event)``, for threads that may block.
    public func publishBlocking(_ event: Event) throws(EventLogError) {
        try event.requireType()
        try self.core.beginAppend()
        defer { self.core.endAppend() }
        try self.log.appendBlocking([event])
        self.count(1)
    }

    private func append(_ events: [Event]) async throws(EventLogError) {
        if Task.isCancelled { throw .publisherCancelled }
        try self.core.beginAppend()
        defer { self.core.endAppend() }
        try await self.log.append(events)
        self.count(events.count)
    }

    private func count(_ events: Int) {
        self.core.state.withLock { $0.published += UInt64(events) }
        self.core.report()
    }

    private func requireOpen() throws(EventLogError) {
        if self.core.state.withLock({ $0.isClosing }) { throw .busClosed }
    }

    // MARK: Subscribing

    /// Calls `handler` with every event from now on whose type matches, in the order of the log.
    ///
    /// - Throws: ``EventLogError`` with code `closed`.
    @discardableResult
    public func subscribe(
        _ pattern: TypePattern, _ handler: @escaping @Sendable (Event) throws -> Void
    ) async throws(EventLogError) -> BusSubscription {
        try await self.subscribe(pattern, buffer: .init()) { try handler($0) }
    }

    /// Calls `handler` with every event from now on whose type matches, in the order of the log.
    ///
    /// - Throws: ``EventLogError`` with code `closed`.
    @discardableResult
    public func subscribe(
        _ pattern: TypePattern, buffer: BusBuffer,
        handler: @escaping @Sendable (Event) async throws -> Void
    ) async throws(EventLogError) -> BusSubscription {
        try buffer.check()
        let core = self.core
        let (follower, number) = try await self.add(pattern, from: nil) { follower in
            do throws(EventLogError) {
                while let stored = try await follower.next() {
                    await core.deliver(stored, pattern) { try await handler($0.event) }
                }
            } catch {
                core.broke(error, pattern)
            }
        }
        return self.subscription(pattern, follower, number)
    }

    /// The events from now on whose type matches, in the order of the log, for one reader.
    ///
    /// - Throws: ``EventLogError`` with code `closed`; reading it throws what reading the log throws.
    public func events(
        _ pattern: TypePattern = .all, buffer: BusBuffer = .init()
    ) async throws(EventLogError) -> EventStream {
        try buffer.check()
        let (follower, number) = try await self.add(pattern, from: nil)
        let core = self.core
        let subscription = self.subscription(pattern, follower, number)
        return EventStream(
            next: { () async throws(EventLogError) in
                guard let stored = try await follower.next() else { return nil }
                core.state.withLock { $0.delivered += 1 }
                core.report()
                return stored.event
            },
            onCancel: { subscription.cancel() })
    }

    /// Adds a member that reads from a position, or from the end as it is now; `body` is its task, if it has
    /// one, and known from the first: closing waits for those it knows.
    func add(
        _ pattern: TypePattern, from position: Position?,
        _ body: (@Sendable (BusFollower) async -> Void)? = nil
    ) async throws(EventLogError) -> (BusFollower, Int) {
        try self.requireOpen()
        let start: Position
        if let position { start = position } else { start = try await self.end() }
        let follower = try BusFollower(self.log, pattern: pattern, from: start)
        let core = self.core
        let number = core.state.withLock { state -> Int? in
            if state.isClosing { return nil }
            state.nextNumber += 1
            let number = state.nextNumber
            var member = Member(number: number, pattern: pattern, follower: follower)
            if let body {
                member.task = Task {
                    await BusContext.$handling.withValue([core.number]) { await body(follower) }
                    core.ended(number)
                }
            }
            state.members.append(member)
            return number
        }
        guard let number else { throw .busClosed }
        return (follower, number)
    }

    func subscription(
        _ pattern: TypePattern, _ follower: BusFollower, _ number: Int
    ) -> BusSubscription {
        let core = self.core
        return BusSubscription(pattern: pattern) {
            follower.cancel()
            core.cancelled(number)
        }
    }

    private func end() async throws(EventLogError) -> Position {
        try await self.log.run { engine throws(StorageError) in Position(try engine.currentView().end) }
    }

    /// Where subscriptions are to stop. Where the log does not tell, they stop as they are, and it is said.
    private func lastEnd() async -> Position? {
        do throws(EventLogError) {
            return try await self.end()
        } catch {
            if error.code != .closed { self.core.broke(error, .all) }
            return nil
        }
    }

    // MARK: The rest

    /// Delivers what was committed before, then refuses. The log stays open.
    ///
    /// It waits for handlers, but not for readers of sequences: as long as the log is open, those can still
    /// read what was committed before. Called from within a handler of the bus, it does not wait for that
    /// handler.
    public func close() async {
        let isFirst = self.core.state.withLock { state in
            defer { state.isClosing = true }
            return !state.isClosing
        }
        let isWithin = BusContext.handling.contains(self.core.number)
        if isFirst {
            await self.core.waitForAppends()
            let end = await self.lastEnd()
            let core = self.core
            if isWithin { Task { await core.drain(to: end) } } else { await core.drain(to: end) }
        } else if !isWithin {
            await self.core.waitUntilClosed()
        }
        self.core.report()
    }

    /// How the bus fares; degraded if a subscription could not go on reading the log.
    public var health: BusHealth { self.core.health }

    /// The handlers that threw, from now on.
    public var failures: AsyncStream<BusFailure> { self.core.channel.stream() }

    /// The patterns that somebody in this process is subscribed to, each once, in order of subscription.
    public var topics: [TypePattern] {
        var seen: Set<TypePattern> = []
        return self.core.state.withLock { $0.members.map(\.pattern) }.filter { seen.insert($0).inserted }
    }

    /// How many subscriptions this process has.
    public var subscriberCount: Int { self.core.state.withLock { $0.members.count } }

    /// How many subscriptions of this process get events of this type.
    public func subscriberCount(of type: String) -> Int {
        self.core.state.withLock { state in state.members.count { $0.pattern.matches(type) } }
    }
}
