/// How a bus fares: a reading of its counters, taken while it works.
public struct BusHealth: Hashable, Sendable {
    /// What a bus is able to do.
    public struct Status: Hashable, Sendable, CustomStringConvertible {
        private enum Kind: String { case healthy, degraded, closed }
        private let kind: Kind

        /// It accepts and delivers.
        public static var healthy: Self { .init(kind: .healthy) }
        /// It works, but not as it should; ``BusHealth/reason`` says why.
        public static var degraded: Self { .init(kind: .degraded) }
        /// It was closed.
        public static var closed: Self { .init(kind: .closed) }

        /// The name.
        public var description: String { self.kind.rawValue }
    }

    /// What it is able to do.
    public var status: Status
    /// Why it is not healthy, for people.
    public var reason: String?
    /// Events that were accepted.
    public var published: UInt64 = 0
    /// Calls of handlers, and events that sequences were given.
    public var delivered: UInt64 = 0
    /// Calls of handlers that threw.
    public var failed: UInt64 = 0
    /// Events that a full buffer dropped.
    public var dropped: UInt64 = 0
    /// Events that wait in the buffers now.
    public var waiting = 0
    /// Subscriptions of this process.
    public var subscribers = 0

    /// A reading without any counts.
    public init(_ status: Status, reason: String? = nil) {
        self.status = status
        self.reason = reason
    }
}
