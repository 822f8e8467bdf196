/// Hands events to whoever subscribed to their type.
///
/// ```swift
/// let bus: any EventBus = InMemoryBus()
/// let subscription = try await bus.subscribe("order.*") { event in print(event.type) }
/// try await bus.publish(Event(type: "order.placed", json: #"{"total":1299}"#))
/// subscription.cancel()
/// await bus.close()
/// ```
///
/// What every bus promises:
/// - An event goes to each subscription whose pattern matches its type, in the order in which one publisher
///   published; publishers among each other have no order.
/// - A handler that throws is isolated: others still get the event, and the failure is counted, logged, and
///   offered on ``failures``. A trap in a handler ends the process, as everywhere in Swift.
/// - A handler may publish, subscribe and cancel on the bus that calls it.
/// - ``close()`` delivers what was accepted; from then on, publishing and subscribing throw `closed`. What is
///   published meanwhile is either accepted, and delivered, or refused.
/// - An event with an empty type is refused with `invalidEvent`; a cancelled task publishes nothing and gets
///   `cancelled`.
///
/// Authors of other buses run `BusConformance` of `TidelogTesting` against theirs.
public protocol EventBus: Sendable {
    /// Publishes one event.
    ///
    /// - Throws: ``EventLogError``: `closed`, `invalidEvent`, `cancelled`, `limitExceeded` where a buffer is
    ///   full and refuses, and whatever keeps a bus from accepting the event.
    func publish(_ event: Event) async throws(EventLogError)

    /// Publishes events in their order.
    ///
    /// All of them are checked first: if one is not valid, none is published. A bus that does not accept them
    /// together has published those before the one that it refuses, as when it is closed meanwhile.
    func publish(_ events: [Event]) async throws(EventLogError)

    /// Calls `handler` with every event from now on whose type matches.
    ///
    /// - Parameters:
    ///   - pattern: What types of events; see ``TypePattern``.
    ///   - handler: Called with one event at a time from each publisher. It must not block for long.
    /// - Returns: What cancels the subscription. Letting go of it does not.
    /// - Throws: ``EventLogError`` with code `closed`.
    @discardableResult
    func subscribe(
        _ pattern: TypePattern, _ handler: @escaping @Sendable (Event) throws -> Void
    ) async throws(EventLogError) -> BusSubscription

    /// Calls `handler` with every event from now on whose type matches, one after the other, from a task of
    /// the subscription's own. While it is suspended, other subscriptions go on.
    ///
    /// - Parameters:
    ///   - pattern: What types of events; see ``TypePattern``.
    ///   - buffer: How many events may wait for the handler, and what happens beyond.
    ///   - handler: Called with one event at a time, in order.
    /// - Throws: ``EventLogError``: `closed`, `invalidArgument` for a buffer without room.
    @discardableResult
    func subscribe(
        _ pattern: TypePattern, buffer: BusBuffer,
        handler: @escaping @Sendable (Event) async throws -> Void
    ) async throws(EventLogError) -> BusSubscription

    /// The events from now on whose type matches, as a sequence for one reader.
    ///
    /// It ends when the bus is closed, after what was accepted, which can be read also then. Letting go of
    /// its iterator cancels it, and drops the rest.
    func events(
        _ pattern: TypePattern, buffer: BusBuffer
    ) async throws(EventLogError) -> EventStream

    /// Delivers what was accepted, then refuses. A second call waits for the first one to end.
    ///
    /// It waits for handlers, but not for readers of sequences, who may never come: those can read the rest
    /// later. A publisher that waits for room gets `closed`. Called from within a handler of the bus, it does
    /// not wait for that handler.
    func close() async

    /// How the bus fares.
    var health: BusHealth { get async }

    /// The handlers that threw, from now on: a stream of its own each time. The newest 256 that nobody has
    /// read are kept. It ends when the bus is closed.
    var failures: AsyncStream<BusFailure> { get }

    /// The patterns that somebody in this process is subscribed to, each once, in order of subscription.
    var topics: [TypePattern] { get }

    /// How many subscriptions this process has.
    var subscriberCount: Int { get }

    /// How many subscriptions of this process get events of this type.
    func subscriberCount(of type: String) -> Int
}

extension EventBus {
    /// Publishes events one after the other, once all of them have been checked.
    public func publish(_ events: [Event]) async throws(EventLogError) {
        for event in events { try event.requireType() }
        for event in events { try await self.publish(event) }
    }

    /// As ``subscribe(_:buffer:handler:)``, with room for 1,024 events; a publisher waits for room.
    @discardableResult
    public func subscribe(
        _ pattern: TypePattern, handler: @escaping @Sendable (Event) async throws -> Void
    ) async throws(EventLogError) -> BusSubscription {
        try await self.subscribe(pattern, buffer: .init(), handler: handler)
    }

    /// As ``events(_:buffer:)``, with room for 1,024 events; a publisher waits for room.
    public func events(_ pattern: TypePattern = .all) async throws(EventLogError) -> EventStream {
        try await self.events(pattern, buffer: .init())
    }
}

extension Event {
    /// The most bytes that a bus accepts for a type.
    package static var maximumTypeBytes: Int { 255 }

    /// Checks what every bus checks: that there is a type, and that it is not too long.
    ///
    /// - Throws: ``EventLogError`` with code `invalidEvent`.
    @inline(__always)
    package func requireType() throws(EventLogError) {
        let count = self.record.type.utf8.count
        if count == 0 || count > Self.maximumTypeBytes { try self.refuseType() }
    }

    @inline(never)
    private func refuseType() throws(EventLogError) {
        let fault =
            self.type.isEmpty
            ? "it has no type. Subscribers find events by their types: give it one, such as order.placed."
            : "its type has \(self.type.utf8.count) bytes of UTF-8, and \(Self.maximumTypeBytes) is the most."
        let id = TerminalText.escape(String(self.id.description.prefix(80)))
        throw EventLogError(.invalidEvent, "The event \(id) cannot be published: \(fault)")
    }
}

extension EventLogError {
    /// Nothing is published or subscribed on a closed bus.
    package static var busClosed: Self {
        .init(.closed, "The bus is closed and accepts nothing more; open another one.")
    }

    /// A cancelled task publishes nothing.
    package static var publisherCancelled: Self {
        .init(.cancelled, "The task was cancelled before its event was published.")
    }
}
