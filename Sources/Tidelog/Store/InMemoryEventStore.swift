import TidelogStorage

/// A store that keeps its events in memory alone: for tests, and for trying things out.
///
/// It behaves as the log does, save that nothing outlives it and that it holds everything it was given.
///
/// ```swift
/// let store = InMemoryEventStore()
/// try await store.append([Event(type: "order.placed")], toStream: "order-42", expecting: .noStream)
/// ```
public final class InMemoryEventStore: EventStore {
    private struct Stream {
        var info: StreamInfo
        var next: UInt64
    }

    private struct State {
        var events: [StoredEvent] = []
        var places: [EventID: Int] = [:]
        var streams: [ExactText: Stream] = [:]
        var snapshots: [ExactText: StreamSnapshot] = [:]
        var waiters: [UInt64: UnsafeContinuation<Void, Never>] = [:]
        var nextWaiter: UInt64 = 0
    }

    private let limits: EventLimits
    private let state = Lock(State())

    /// An empty store.
    public init(limits: EventLimits = .init()) {
        self.limits = limits
    }

    // MARK: Appending

    /// Appends events to the streams that they name, if `condition` holds, together with `snapshots`.
    @discardableResult
    public func append(
        _ events: [Event], if condition: AppendCondition, snapshots: [StreamSnapshot]
    ) async throws(EventLogError) -> AppendResult {
        if Task.isCancelled {
            throw EventLogError(.cancelled, "the task was cancelled before its events were accepted")
        }
        for event in events { try event.validate(limits: self.limits) }
        for snapshot in snapshots { _ = try snapshot.change }
        for absence in condition.absences { _ = try absence.boundedQuery() }
        if Set(events.map(\.id)).count < events.count {
            throw EventLogError(
                .invalidArgument, "a batch holds the same event id twice; give each event its own")
        }
        let (result, waiters) = try self.state.withLock { state throws(EventLogError) in
            if let earlier = try Self.earlier(events, state) {
                return (earlier, [UnsafeContinuation<Void, Never>]())
            }
            for (stream, expectation) in condition.revisions {
                try Self.check(expectation, of: stream, state)
            }
            for absence in condition.absences {
                let query = try absence.boundedQuery().storageQuery()
                if let found = state.events.first(where: { Self.isVisible($0, state) && query.matches($0) }) {
                    throw absence.conflict(at: found.position)
                }
            }
            for name in Set(events.compactMap(\.stream)) { _ = try Self.next(of: name, state) }
            let result = Self.store(events, &state)
            for snapshot in snapshots { state.snapshots[ExactText(snapshot.stream)] = snapshot }
            defer { state.waiters = [:] }
            return (result, Array(state.waiters.values))
        }
        for waiter in waiters { waiter.resume() }
        return result
    }

    private static func store(_ events: [Event], _ state: inout State) -> AppendResult {
        let first = Position(UInt64(state.events.count))
        var touched: [(name: String, lastRevision: Revision)] = []
        for event in events {
            let position = Position(UInt64(state.events.count))
            var revision: Revision?
            if let name = event.stream {
                let key = ExactText(name)
                let known = state.streams[key]
                let next = Revision(known?.next ?? 0)
                revision = next
                state.streams[key] = Stream(
                    info: StreamInfo(
                        name: name, lastRevision: next, firstRevision: known?.info.firstRevision ?? .zero,
                        firstPosition: known?.info.firstPosition ?? position, lastPosition: position,
                        isDeleted: false),
                    next: next.rawValue + 1)
                if let index = touched.firstIndex(where: { $0.name.isExactly(name) }) {
                    touched[index].lastRevision = next
                } else {
                    touched.append((name, next))
                }
            }
            state.places[event.id] = state.events.count
            state.events.append(StoredEvent(event, position: position, revision: revision))
        }
        return AppendResult(
            positions: first..<first.advanced(by: events.count), streams: touched)
    }

    /// The answer to an append that was made before; nil if it is a new one.
    private static func earlier(_ events: [Event], _ state: State) throws(EventLogError) -> AppendResult? {
        let places = events.compactMap { state.places[$0.id] }
        guard let first = places.first else { return nil }
        let stored = places.map { state.events[$0] }
        let isSame =
            places.count == events.count && places == Array(first..<first + places.count)
            && zip(stored, events).allSatisfy { stored, event in event.isRepeat(of: stored.event) }
        guard isSame else {
            throw EventLogError(
                .duplicateEvent,
                "an event's id is in the store already, and this is not the append that brought it: repeat "
                    + "that one whole, or give new events new ids",
                positions: stored[0].position..<stored[0].position.advanced(by: 1))
        }
        var touched: [(name: String, lastRevision: Revision)] = []
        for event in stored {
            guard let name = event.stream, let revision = event.revision else { continue }
            touched.removeAll { $0.name.isExactly(name) && $0.lastRevision < revision }
            touched.append((name, revision))
        }
        let start = stored[0].position
        return AppendResult(
            positions: start..<start.advanced(by: stored.count), streams: touched, isRepeat: true)
    }

    private static func next(of name: String, _ state: State) throws(EventLogError) -> UInt64 {
        guard let stream = state.streams[ExactText(name)] else { return 0 }
        guard !stream.info.isDeleted else {
            throw EventLogError(
                .streamDeleted,
                "stream '\(name)' was deleted and takes no more events; append to a stream of another name")
        }
        return stream.next
    }

    private static func check(
        _ expectation: ExpectedRevision, of name: String, _ state: State
    ) throws(EventLogError) {
        if expectation == .any { return }
        let next = try Self.next(of: name, state)
        let actual = next == 0 ? nil : Revision(next - 1)
        let holds =
            switch expectation {
            case .noStream: next == 0
            case .streamExists: next > 0
            default: actual.map { expectation == .exact($0) } ?? false
            }
        guard !holds else { return }
        throw EventLogError(
            .conflict,
            "stream '\(name)' \(actual.map { "is at revision \($0)" } ?? "has no events"), expected "
                + "\(expectation); load it again and decide anew", actualRevision: actual)
    }

    // MARK: Reading

    private static func isVisible(_ stored: StoredEvent, _ state: State) -> Bool {
        guard let name = stored.stream, let info = state.streams[ExactText(name)]?.info else { return true }
        return !info.isDeleted && (stored.revision ?? .zero) >= info.firstRevision
    }

    /// The events that `query` wants, as one array.
    public func events(_ query: EventQuery, offset: Int) async throws(EventLogError) -> [StoredEvent] {
        try self.select(query, offset: offset)
    }

    func select(_ query: EventQuery, offset: Int = 0) throws(EventLogError) -> [StoredEvent] {
        let storage = try query.storageQuery()
        try StoreInput.checkOffset(offset)
        return self.state.withLock { state in
            var found = state.events.filter { Self.isVisible($0, state) && storage.matches($0) }
            if query.order == .newestFirst { found.reverse() }
            return Array(found.dropFirst(offset).prefix(query.limit ?? .max))
        }
    }

    /// The events that `query` wants, in its order.
    public func load(_ query: EventQuery) -> InMemoryEvents {
        InMemoryEvents(store: self, query: query, isTail: false)
    }

    /// What there is, and then what comes.
    public func subscribe(
        _ query: EventQuery, from start: TailStart
    ) throws(EventLogError) -> InMemoryEvents {
        guard query.order == .oldestFirst else {
            throw EventLogError(.invalidArgument, "a tail reads oldest first; set the query's order so")
        }
        _ = try query.storageQuery()
        var query = query
        switch start.kind {
        case .beginning: break
        case .position(let position): query.from = position
        case .end: query.from = self.state.withLock { Position(UInt64($0.events.count)) }
        }
        if let from = query.from, let to = query.to, from > to { query.from = to }
        return InMemoryEvents(store: self, query: query, isTail: true)
    }

    /// How many events `query` wants.
    public func count(_ query: EventQuery) async throws(EventLogError) -> Int {
        try self.select(query).count
    }

    /// The position that the next event gets.
    public func end() async throws(EventLogError) -> Position { self.currentEnd }

    var currentEnd: Position { self.state.withLock { Position(UInt64($0.events.count)) } }

    /// Waits until there is something at or after `position`, or the task is cancelled.
    func wait(until position: Position) async {
        let id = self.state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        await withTaskCancellationHandler {
            await withUnsafeContinuation { (reply: UnsafeContinuation<Void, Never>) in
                let isReady = self.state.withLock { state in
                    if Position(UInt64(state.events.count)) > position || Task.isCancelled { return true }
                    state.waiters[id] = reply
                    return false
                }
                if isReady { reply.resume() }
            }
        } onCancel: {
            self.state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
        }
    }

    // MARK: Streams

    /// What is known of a stream.
    public func stream(_ name: String) async throws(EventLogError) -> StreamInfo? {
        self.state.withLock { $0.streams[ExactText(name)]?.info }
    }

    /// Streams with what their events tell.
    public func describeStreams(
        prefix: String, after name: String?, limit: Int
    ) async throws(EventLogError) -> [StreamDescription] {
        try StoreInput.checkPage(limit)
        let infos = self.state.withLock { state in
            state.streams.values.map(\.info).filter { info in
                info.name.utf8.starts(with: prefix.utf8)
                    && (name.map { $0.utf8.lexicographicallyPrecedes(info.name.utf8) } ?? true)
            }
        }
        var result: [StreamDescription] = []
        for info in infos.sorted(by: { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }).prefix(limit) {
            let events = try self.select(.stream(info.name))
            result.append(
                StreamDescription(
                    info: info, count: events.count, firstTimestamp: events.first?.timestamp,
                    lastTimestamp: events.last?.timestamp))
        }
        return result
    }

    /// Hides a stream's events before `revision` for good.
    public func truncate(stream: String, before revision: Revision) async throws(EventLogError) {
        try self.hide(stream) { info, next, _ throws(EventLogError) in
            guard revision.rawValue <= next else {
                throw EventLogError(
                    .invalidArgument,
                    "stream '\(stream)' ends at revision \(next - 1), so it cannot be truncated before "
                        + "\(revision)", actualRevision: Revision(next - 1))
            }
            return info.hidden(before: max(info.firstRevision, revision), isDeleted: false)
        }
    }

    /// Deletes a stream for good.
    public func delete(stream: String, expecting: ExpectedRevision) async throws(EventLogError) {
        try self.hide(stream) { info, next, state throws(EventLogError) in
            try Self.check(expecting, of: stream, state)
            return info.hidden(before: Revision(next), isDeleted: true)
        }
    }

    /// Looks at a stream and changes what is seen of it, with nothing in between.
    private func hide(
        _ name: String, _ change: (StreamInfo, UInt64, State) throws(EventLogError) -> StreamInfo
    ) throws(EventLogError) {
        try self.state.withLock { state throws(EventLogError) in
            guard let stream = state.streams[ExactText(name)] else {
                throw EventLogError(.notFound, "there is no stream '\(name)'")
            }
            if stream.info.isDeleted {
                throw EventLogError(.streamDeleted, "stream '\(name)' was deleted already")
            }
            let info = try change(stream.info, stream.next, state)
            state.streams[ExactText(name)]?.info = info
        }
    }

    /// The newest snapshot that was kept of a stream.
    public func snapshot(of stream: String) async throws(EventLogError) -> StreamSnapshot? {
        self.state.withLock { $0.snapshots[ExactText(stream)] }
    }
}

extension StreamInfo {
    fileprivate func hidden(before revision: Revision, isDeleted: Bool) -> StreamInfo {
        StreamInfo(
            name: self.name, lastRevision: self.lastRevision, firstRevision: revision,
            firstPosition: self.firstPosition, lastPosition: self.lastPosition, isDeleted: isDeleted)
    }
}

/// Events of an ``InMemoryEventStore`` as an asynchronous sequence.
public struct InMemoryEvents: AsyncSequence, Sendable {
    /// One event and its place.
    public typealias Element = StoredEvent
    /// What reading throws.
    public typealias Failure = EventLogError

    let store: InMemoryEventStore
    let query: EventQuery
    let isTail: Bool

    /// Begins to read.
    public func makeAsyncIterator() -> Iterator {
        Iterator(store: self.store, query: self.query, isTail: self.isTail)
    }

    /// Reads one event after the other.
    public struct Iterator: AsyncIteratorProtocol {
        private let store: InMemoryEventStore
        private var query: EventQuery
        private let isTail: Bool
        private var batch: ArraySlice<StoredEvent> = []
        private var hasBegun = false
        private var isOver = false

        init(store: InMemoryEventStore, query: EventQuery, isTail: Bool) {
            self.store = store
            self.query = query
            self.isTail = isTail
        }

        /// The next event; nil at the end, or when a subscription's task is cancelled.
        public mutating func next() async throws(EventLogError) -> StoredEvent? {
            try await self.next(isolation: #isolation)
        }

        /// The next event; nil at the end, or when a subscription's task is cancelled.
        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(EventLogError) -> StoredEvent? {
            if let event = self.batch.popFirst() { return event }
            if !self.isTail {
                if self.hasBegun { return nil }
                self.hasBegun = true
                self.batch = try self.store.select(self.query)[...]
                return self.batch.popFirst()
            }
            while !Task.isCancelled, !self.isOver, self.query.limit != 0 {
                let end = self.store.currentEnd
                let from = self.query.from ?? .zero
                if from < end {
                    self.batch = try self.store.select(self.query)[...].prefix { $0.position < end }
                    if let limit = self.query.limit { self.query.limit = limit - self.batch.count }
                    self.query.from = end
                    if let to = self.query.to, to <= end { self.isOver = true }
                    if let event = self.batch.popFirst() { return event }
                } else {
                    await self.store.wait(until: from)
                }
            }
            return nil
        }
    }
}
