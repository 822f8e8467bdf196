/// The events of a subscription as an asynchronous sequence, for one reader.
///
/// Memory is bounded by the subscription's buffer. Letting go of the sequence and its iterator cancels it.
public struct EventStream: AsyncSequence, Sendable {
    /// What it gives.
    public typealias Element = Event
    /// What it throws.
    public typealias Failure = EventLogError

    fileprivate final class Source: Sendable {
        let next: @Sendable () async throws(EventLogError) -> Event?
        let cancel: @Sendable () -> Void

        init(
            next: @escaping @Sendable () async throws(EventLogError) -> Event?,
            cancel: @escaping @Sendable () -> Void
        ) {
            self.next = next
            self.cancel = cancel
        }

        deinit { self.cancel() }
    }

    private let source: Source

    /// A sequence of what `next` gives until that is nil; for authors of buses.
    ///
    /// - Parameters:
    ///   - next: Gives the next event; called by one reader at a time.
    ///   - cancel: Called once, when nobody can read any more.
    public init(
        next: @escaping @Sendable () async throws(EventLogError) -> Event?,
        onCancel cancel: @escaping @Sendable () -> Void
    ) {
        self.source = Source(next: next, cancel: cancel)
    }

    /// Begins to read, where another iterator ended if there was one.
    public func makeAsyncIterator() -> Iterator { Iterator(source: self.source) }

    /// Gives one event after the other.
    public struct Iterator: AsyncIteratorProtocol {
        private let source: Source

        fileprivate init(source: Source) { self.source = source }

        /// The next event; nil when the bus was closed or the task cancelled.
        public mutating func next() async throws(EventLogError) -> Event? { try await self.source.next() }

        /// The next event; nil when the bus was closed or the task cancelled.
        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(EventLogError) -> Event? { try await self.source.next() }
    }
}
