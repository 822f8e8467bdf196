/// A process over many events: it waits for some, asks for others, and takes back what it asked for.
///
/// One instance exists for each correlation id; it begins with the first event that names it. Instance, timers,
/// what it sends and how far it has read are committed in one transaction: each event and each timer takes
/// effect exactly once, whatever is killed in between.
///
/// ```swift
/// let checkout = ProcessManager("checkout", state: Checkout(), of: .types("order.*", "payment.*")) { stored in
///     stored.event.correlationID?.description
/// } handle: { stored, state, actions in
///     switch stored.type {
///     case "order.placed":
///         actions.send(Event(type: "payment.requested", stream: "payments"),
///             undoneBy: Event(type: "payment.cancelled", stream: "payments"))
///         actions.setTimer("unpaid", after: .seconds(900))
///     case "payment.received": actions.complete()
///     case "payment.refused": actions.undo(); actions.complete()
///     default: break
///     }
/// } timer: { name, state, actions in
///     actions.undo()
///     actions.complete()
/// }
/// ```
///
/// The functions depend on their arguments alone: they may be called again for the same event.
public struct ProcessManager<State: Codable & Sendable>: Sendable {
    /// Its name: 1 to 64 bytes of UTF-8 without control characters.
    public let name: String
    /// The state of an instance before its first event.
    public let initial: State
    /// The events that it is about. Order and limit do not count.
    public let query: EventQuery
    /// The clock that timers go by. Default: the system's; another one is for tests.
    public var now: @Sendable () -> Timestamp = { .now() }

    let correlate: @Sendable (StoredEvent) -> String?
    let handle: @Sendable (StoredEvent, inout State, inout ProcessActions) throws -> Void
    let timer: @Sendable (String, inout State, inout ProcessActions) throws -> Void

    /// A process.
    ///
    /// - Parameters:
    ///   - state: the state of an instance before its first event.
    ///   - query: the events that it is about.
    ///   - correlate: the instance that an event belongs to, 1 to 200 bytes of UTF-8; nil: none.
    ///   - handle: what an event does to its instance.
    ///   - timer: what a timer does, by its name, when it is due.
    public init(
        _ name: String, state: State, of query: EventQuery,
        correlate: @escaping @Sendable (StoredEvent) -> String?,
        handle: @escaping @Sendable (StoredEvent, inout State, inout ProcessActions) throws -> Void,
        timer: @escaping @Sendable (String, inout State, inout ProcessActions) throws -> Void = { _, _, _ in }
    ) {
        self.name = name
        self.initial = state
        self.query = query
        self.correlate = correlate
        self.handle = handle
        self.timer = timer
    }
}

/// What an instance does in answer to an event or a timer. All of it takes effect, or none.
public struct ProcessActions: Sendable {
    enum Timer: Sendable { case set(String, Timestamp), clear(String) }

    /// The time, by the process's clock.
    public let now: Timestamp
    private(set) var sent: [Event] = []
    private(set) var undoing: [Event]
    /// What of `undoing` is new, and which of `sent` it takes back.
    private(set) var remembered: [(index: Int, event: Event)] = []
    private(set) var timers: [Timer] = []
    private(set) var isComplete = false

    init(now: Timestamp, undoing: [Event]) {
        self.now = now
        self.undoing = undoing
    }

    /// Appends an event, by custom a command to others, to the stream that it names.
    ///
    /// It is caused by the event that is being handled, or, if a timer sends it, by the one that began the
    /// instance, unless it names a cause of its own.
    ///
    /// - Parameter undo: what takes it back; ``undo()`` sends it. It must be an event that the log takes as well.
    public mutating func send(_ event: Event, undoneBy undo: Event? = nil) {
        if let undo {
            self.undoing.append(undo)
            self.remembered.append((self.sent.count, undo))
        }
        self.sent.append(event)
    }

    /// Sends what takes back everything that was sent so far by this instance, the last one first.
    public mutating func undo() {
        // The events are made when they are remembered, once; sent, they are forgotten.
        self.sent += self.undoing.reversed()
        self.undoing = []
        self.remembered = []
    }

    /// Wakes the instance up at a moment; a timer of the same name is set anew.
    public mutating func setTimer(_ name: String, at time: Timestamp) { self.timers.append(.set(name, time)) }

    /// Wakes the instance up after a time.
    public mutating func setTimer(_ name: String, after duration: Duration) {
        self.setTimer(name, at: self.now.advanced(by: duration))
    }

    /// Takes a timer back; does nothing if there is none of the name.
    public mutating func clearTimer(_ name: String) { self.timers.append(.clear(name)) }

    /// Ends the instance: its state and timers are removed. A later event of the same correlation begins a
    /// new one.
    public mutating func complete() { self.isComplete = true }
}
