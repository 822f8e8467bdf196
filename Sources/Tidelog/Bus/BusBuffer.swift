/// How many events may wait for a consumer, and what happens to the next one when they do.
public struct BusBuffer: Hashable, Sendable {
    /// What happens when the buffer is full.
    public struct Overflow: Hashable, Sendable, CustomStringConvertible {
        private enum Kind: String { case wait, dropNewest, dropOldest, fail }
        private let kind: Kind

        /// The publisher waits for room: a task suspends, a plain thread blocks. Synchronous code in a task,
        /// which could block Swift's own threads, gets `limitExceeded` instead.
        public static var wait: Self { .init(kind: .wait) }
        /// The event that is being published is dropped and counted.
        public static var dropNewest: Self { .init(kind: .dropNewest) }
        /// The event that has waited longest is dropped and counted.
        public static var dropOldest: Self { .init(kind: .dropOldest) }
        /// Publishing throws `limitExceeded`, and nobody gets the event.
        ///
        /// Where a bus dispatches asynchronously, or another publisher or a handler takes the last place meanwhile,
        /// there is nobody to tell: then this subscription alone misses the event, and that is one of its failures.
        public static var fail: Self { .init(kind: .fail) }

        /// The name.
        public var description: String { self.kind.rawValue }
    }

    /// How many events may wait. Default: 1,024.
    public var size = 1024
    /// What happens when that many wait. Default: ``Overflow/wait``.
    public var whenFull: Overflow = .wait

    /// A buffer of the defaults.
    public init() {}

    /// A buffer for so many events.
    public init(size: Int, whenFull: Overflow = .wait) {
        self.size = size
        self.whenFull = whenFull
    }

    /// The most events that a buffer may hold.
    static var maximumSize: Int { 1 << 24 }

    func check() throws(EventLogError) {
        guard (1...Self.maximumSize).contains(self.size) else {
            throw EventLogError(
                .invalidArgument,
                "A buffer for \(self.size) events cannot be made; its size lies between 1 and "
                    + "\(Self.maximumSize).")
        }
    }
}
