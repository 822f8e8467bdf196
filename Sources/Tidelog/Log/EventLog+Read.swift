import TidelogStorage

/// Where a tail begins.
public struct TailStart: Hashable, Sendable {
    enum Kind: Hashable { case beginning, end, position(Position) }
    let kind: Kind

    /// The position to begin at, if it is one.
    package var position: Position? {
        if case .position(let position) = self.kind { position } else { nil }
    }

    /// With the oldest event.
    public static var beginning: Self { .init(kind: .beginning) }
    /// With the first event appended from now on.
    public static var end: Self { .init(kind: .end) }
    /// With the event at this position, or the next one that there is.
    public static func position(_ position: Position) -> Self { .init(kind: .position(position)) }
}

extension EventLog {
    /// Reads the events that `query` wants, up to the end of the log as it is when reading begins.
    ///
    /// ```swift
    /// for try await stored in log.read(.types("order.*")) { … }
    /// ```
    public func read(_ query: EventQuery = .all) -> StoredEvents {
        StoredEvents(log: self, query: query, isTail: false, startsAtEnd: false)
    }

    /// Reads what there is and then waits for more, without a gap or a repeat.
    ///
    /// Events of other processes on the same log arrive as well, within 50 ms. The sequence ends when the
    /// log is closed or the task is cancelled.
    ///
    /// - Parameters:
    ///   - query: what the events must satisfy; its order must be `.oldestFirst`.
    ///   - start: where to begin.
    public func tail(_ query: EventQuery = .all, from start: TailStart = .end) throws(EventLogError)
        -> StoredEvents
    {
        guard query.order == .oldestFirst else {
            throw EventLogError(.invalidArgument, "a tail reads oldest first; set the query's order so")
        }
        _ = try query.storageQuery()
        var query = query
        if case .position(let position) = start.kind { query.from = position }
        return StoredEvents(log: self, query: query, isTail: true, startsAtEnd: start.kind == .end)
    }

    /// How many events satisfy the query. Payloads are not decompressed; a count by type alone reads no
    /// sealed block at all.
    public func count(_ query: EventQuery = .all) async throws(EventLogError) -> Int {
        let storage = try query.storageQuery()
        return try await self.run { engine throws(StorageError) in try engine.count(storage) }
    }

    /// The event at a position; nil if there is none, or none any more.
    public func event(at position: Position) async throws(EventLogError) -> StoredEvent? {
        try await self.run { engine throws(StorageError) in
            try engine.record(at: position.rawValue).map { StoredEvent(placed: $0) }
        }
    }

    /// As ``event(at:)``, for threads that may block.
    public func eventBlocking(at position: Position) throws(EventLogError) -> StoredEvent? {
        try EventLogError.translating { () throws(StorageError) in
            try self.engine.record(at: position.rawValue).map { StoredEvent(placed: $0) }
        }
    }

    /// The event with this id; nil if there is none, or none any more.
    ///
    /// - Complexity: one look-up in each sealed segment's index, newest first, then a scan of the ids of the
    ///   active segment.
    public func event(id: EventID) async throws(EventLogError) -> StoredEvent? {
        try await self.run { engine throws(StorageError) in
            try engine.record(id: id.identifier).map { StoredEvent(placed: $0) }
        }
    }

    /// The position that the next event gets, for threads that may block.
    package func nextPositionBlocking() throws(EventLogError) -> Position {
        Position(
            try EventLogError.translating { () throws(StorageError) in try self.engine.currentView().end })
    }

    /// The oldest position that retention has left, for threads that may block.
    package func firstPositionBlocking() throws(EventLogError) -> Position {
        Position(
            try EventLogError.translating { () throws(StorageError) in
                try self.engine.currentView().state.firstPosition
            })
    }

    /// Suspends until the log ends beyond `position`, by whatever process's append. Answers false when the log
    /// closed or the task was cancelled.
    package func waitForEvents(beyond position: Position) async -> Bool {
        await self.engine.notifier.wait(beyond: position.rawValue)
    }

    /// Reads all events that `query` wants into an array, for threads that may block.
    public func eventsBlocking(_ query: EventQuery = .all) throws(EventLogError) -> [StoredEvent] {
        let storage = try query.storageQuery()
        return try EventLogError.translating { () throws(StorageError) in
            StoredEvent.events(of: try self.engine.records(storage))
        }
    }

    /// Lends each event that `query` wants to `body`, without copying it, until `body` answers false.
    ///
    /// The fastest way to read: nothing is allocated for an event, and what is not asked for is not
    /// decompressed. It blocks the calling thread, which must not be one of Swift's cooperative pool.
    ///
    /// ```swift
    /// var bytes = 0
    /// try log.scan(.types("meter.read")) { view in
    ///     bytes += try view.withPayload { $0.byteCount }
    ///     return true
    /// }
    /// ```
    public func scan(
        _ query: EventQuery = .all, _ body: (borrowing EventView) throws(EventLogError) -> Bool
    ) throws(EventLogError) {
        let storage = try query.storageQuery()
        var failure: EventLogError?
        try EventLogError.translating { () throws(StorageError) in
            try self.engine.scan(storage) { (frame, selection) throws(StorageError) in
                try frame.require(.all)
                return try selection.forEach(backwards: storage.isBackwards) { (index) throws(StorageError) in
                    do throws(EventLogError) {
                        return try body(EventView(frame: frame, index: index))
                    } catch {
                        // The engine knows which file the damage is in.
                        if let cause = error.cause as? StorageError, cause.code == .corrupted { throw cause }
                        failure = error
                        return false
                    }
                }
            }
        }
        if let failure { throw failure }
    }
}

/// One event, lent from the decompressed frame; it cannot outlive the closure that it is lent to.
public struct EventView: ~Copyable {
    let frame: FrameDecoder
    let index: Int

    /// Its place in the whole log.
    public var position: Position { Position(self.frame.position(self.index)) }
    /// Its place in its stream; nil for an event without one.
    public var revision: Revision? { self.frame.revision(self.index).map { Revision($0) } }
    /// When it happened.
    public var timestamp: Timestamp {
        Timestamp(nanosecondsSinceEpoch: self.frame.timestamp(self.index))
    }
    /// Its id.
    public var id: EventID { EventID(self.frame.id(self.index)) }
    /// Its type. The text is made once for each type of a frame.
    public var type: String {
        self.text(.type) ?? ""
    }
    /// Its stream, if it has one. The text is made once for each stream of a frame.
    public var stream: String? {
        self.text(.stream)
    }
    /// What produced it.
    public var source: String? {
        self.text(.source)
    }
    /// The media type of its payload.
    public var contentType: String? {
        self.text(.contentType)
    }

    /// The tenant that its metadata name.
    public var tenantID: String? {
        self.text(.tenant)
    }
    /// The version of its payload's schema.
    public var schemaVersion: UInt32 { self.frame.schemaVersion(self.index) }
    /// What ties together everything that one cause set off.
    public var correlationID: EventID? {
        self.identifier(.correlation)
    }
    /// The event or command that directly caused it.
    public var causationID: EventID? {
        self.identifier(.causation)
    }

    /// Runs `body` with the payload's bytes.
    public func withPayload<Result>(_ body: (RawSpan) -> Result) throws(EventLogError) -> Result {
        try EventLogError.translating { () throws(StorageError) in
            try self.frame.withPayload(self.index) { body($0.bytes) }
        }
    }

    /// Runs `body` with the metadata's bytes, a JSON object or nothing.
    public func withMetadata<Result>(_ body: (RawSpan) -> Result) throws(EventLogError) -> Result {
        try EventLogError.translating { () throws(StorageError) in
            try self.frame.withMetadata(self.index) { body($0.bytes) }
        }
    }

    /// The event as a value of its own.
    public func copy() throws(EventLogError) -> StoredEvent {
        try EventLogError.translating { () throws(StorageError) in
            StoredEvent(
                placed: PlacedRecord(
                    position: self.frame.position(self.index), revision: self.frame.revision(self.index),
                    record: try self.frame.record(self.index)))
        }
    }

    private func identifier(_ column: FrameColumn) -> EventID? {
        self.frame.distinctIdentifier(column, self.frame.code(column, self.index)).map { EventID($0) }
    }

    private func text(_ column: FrameColumn) -> String? {
        self.frame.distinctText(column, self.frame.code(column, self.index))
    }
}
