import TidelogStorage

/// Events of a log as an asynchronous sequence; the next batch is decoded while one is consumed.
///
/// Memory is bounded by two batches, whatever the log's length. Iterating twice reads twice.
public struct StoredEvents: AsyncSequence, Sendable {
    /// One event and its place.
    public typealias Element = StoredEvent
    /// What reading throws.
    public typealias Failure = EventLogError

    let log: EventLog
    let query: EventQuery
    /// Whether to wait for further events at the end.
    let isTail: Bool
    /// Whether to begin after everything there is.
    let startsAtEnd: Bool

    /// Begins to read.
    public func makeAsyncIterator() -> Iterator {
        Iterator(log: self.log, query: self.query, isTail: self.isTail, startsAtEnd: self.startsAtEnd)
    }

    /// Reads one event after the other.
    public struct Iterator: AsyncIteratorProtocol {
        private let log: EventLog
        private let query: EventQuery
        private let isTail: Bool
        private var batch: [PlacedRecord] = []
        private var index = 0
        private var reader: BatchReader?
        private var startsAtEnd: Bool
        private var isOver = false

        init(log: EventLog, query: EventQuery, isTail: Bool, startsAtEnd: Bool) {
            self.log = log
            self.query = query
            self.isTail = isTail
            self.startsAtEnd = startsAtEnd
        }

        /// The next event; nil at the end of a read, or when a tail's log closes or its task is cancelled.
        public mutating func next() async throws(EventLogError) -> StoredEvent? {
            try await self.next(isolation: #isolation)
        }

        /// The next event; nil at the end of a read, or when a tail's log closes or its task is cancelled.
        @inline(__always)
        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(EventLogError) -> StoredEvent? {
            if self.index < self.batch.count {
                defer { self.index += 1 }
                return StoredEvent(placed: self.batch[self.index])
            }
            return try await self.refill(isolation: actor)
        }

        private func eventsInMemory() -> [PlacedRecord]? {
            guard let storage = try? self.query.storageQuery() else { return nil }
            return self.log.engine.recordsInMemory(storage)
        }

        private mutating func refill(
            isolation actor: isolated (any Actor)?
        ) async throws(EventLogError) -> StoredEvent? {
            if self.isOver { return nil }
            if self.reader == nil, !self.isTail, let known = self.eventsInMemory() {
                (self.batch, self.index, self.isOver) = (known, 1, true)
                return known.first.map { StoredEvent(placed: $0) }
            }
            if self.reader == nil {
                self.reader = try await BatchReader.start(
                    self.log, self.query, isTail: self.isTail, startsAtEnd: self.startsAtEnd)
            }
            guard let reader = self.reader else { return nil }
            do throws(EventLogError) {
                self.batch = try await reader.next()
            } catch {
                // A tail ends with its log, wherever in its work that finds it.
                guard self.isTail, error.code == .closed else { throw error }
                self.batch = []
            }
            self.index = 1
            if self.batch.isEmpty {
                self.isOver = true
                return nil
            }
            return StoredEvent(placed: self.batch[0])
        }
    }
}

/// Reads batches ahead of the consumer, one at a time.
private final class BatchReader: Sendable {
    private struct State {
        var query: RecordQuery
        var isOver = false
        var ahead: Task<Result<[PlacedRecord], EventLogError>, Never>?
    }

    /// Bytes of one batch; the first is small, so that a short read costs little.
    private static let batchBytes = 1 << 20

    private let log: EventLog
    private let isTail: Bool
    private let state: Lock<State>

    private init(_ log: EventLog, _ query: RecordQuery, isTail: Bool) {
        self.log = log
        self.isTail = isTail
        self.state = Lock(State(query: query))
    }

    static func start(
        _ log: EventLog, _ query: EventQuery, isTail: Bool, startsAtEnd: Bool
    ) async throws(EventLogError) -> BatchReader {
        var storage = try query.storageQuery()
        let end = try await log.run { engine throws(StorageError) in try engine.currentView().end }
        if startsAtEnd {
            storage.positions = end..<UInt64.max
        } else if !isTail {
            // What is appended from here on is another read's business.
            let high = min(storage.positions.upperBound, end)
            storage.positions = min(storage.positions.lowerBound, high)..<high
        }
        return BatchReader(log, storage, isTail: isTail)
    }

    func next() async throws(EventLogError) -> [PlacedRecord] {
        while true {
            let ahead = self.state.withLock { state in
                defer { state.ahead = nil }
                return state.ahead
            }
            let batch: [PlacedRecord]
            if let ahead {
                batch = try await ahead.value.get()
            } else {
                batch = try await self.read()
            }
            if !batch.isEmpty {
                self.readAhead()
                return batch
            }
            let isOver = self.state.withLock { $0.isOver || $0.query.limit == 0 }
            guard self.isTail, !isOver, !Task.isCancelled else { return [] }
            let seen = self.state.withLock { $0.query.positions.lowerBound }
            guard await self.log.engine.notifier.wait(beyond: seen) else { return [] }
        }
    }

    private func readAhead() {
        // A tail at the end waits in `next`; elsewhere the next batch is decoded meanwhile.
        guard !self.isTail, self.state.withLock({ !$0.isOver }) else { return }
        let task = Task { [self] () -> Result<[PlacedRecord], EventLogError> in
            do throws(EventLogError) {
                return .success(try await self.read())
            } catch {
                return .failure(error)
            }
        }
        self.state.withLock { $0.ahead = task }
    }

    /// Reads the next batch and remembers where it ended.
    private func read() async throws(EventLogError) -> [PlacedRecord] {
        let (query, isOver) = self.state.withLock { ($0.query, $0.isOver) }
        if isOver || query.limit == 0 { return [] }
        let (batch, reached) = try await self.log.run { engine throws(StorageError) in
            let end = try engine.currentView().end
            let batch = try engine.records(query, maximumBytes: Self.batchBytes)
            return (batch, end)
        }
        self.state.withLock { state in
            if let limit = state.query.limit { state.query.limit = limit - batch.count }
            let range = state.query.positions
            if let last = batch.last {
                state.query.positions =
                    query.isBackwards
                    ? range.lowerBound..<last.position : last.position + 1..<range.upperBound
            } else if self.isTail {
                // Nothing up to `reached` satisfies the filter.
                state.query.positions =
                    max(range.lowerBound, min(reached, range.upperBound))..<range.upperBound
            } else {
                state.isOver = true
            }
            if state.query.positions.isEmpty { state.isOver = true }
        }
        return batch
    }
}
