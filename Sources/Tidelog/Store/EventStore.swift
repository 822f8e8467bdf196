/// A store of events: streams with revisions, appended to atomically and under conditions, read by criteria.
///
/// ``EventLog`` is one, ``InMemoryEventStore`` another, for tests; others can be written, and
/// `TidelogTesting` has the suite that every one of them passes. All of them keep what this says:
///
/// - an append is durable (as durable as the store is) when it returns, all of its events next to each other
///   or none of them;
/// - its conditions are checked in the moment in which it takes place: no other append comes between;
/// - the same append again (same ids, same order, same streams) stores nothing and answers as the first time;
/// - positions and revisions are never used twice.
public protocol EventStore: Sendable {
    /// Events as they are read.
    associatedtype Events: AsyncSequence & Sendable
    where Events.Element == StoredEvent, Events.Failure == EventLogError

    /// Appends events to the streams that they name, if `condition` holds, together with `snapshots`.
    ///
    /// - Throws: ``EventLogError``: `conflict`, with the stream's actual revision or the place of the event
    ///   that should not be there; `invalidEvent`; `invalidArgument`; `duplicateEvent`; `streamDeleted`; and
    ///   what the store's medium can throw.
    @discardableResult
    func append(
        _ events: [Event], if condition: AppendCondition, snapshots: [StreamSnapshot]
    ) async throws(EventLogError) -> AppendResult

    /// The events that `query` wants, in its order, up to the end of the store as it is when reading begins.
    func load(_ query: EventQuery) -> Events

    /// The events that `query` wants, as one array: for few of them.
    ///
    /// - Parameter offset: how many events are passed over first.
    func events(_ query: EventQuery, offset: Int) async throws(EventLogError) -> [StoredEvent]

    /// What there is, and then what comes, without a gap or a repeat, until the task is cancelled or the
    /// store closes. The query reads oldest first.
    func subscribe(_ query: EventQuery, from start: TailStart) throws(EventLogError) -> Events

    /// How many events `query` wants.
    func count(_ query: EventQuery) async throws(EventLogError) -> Int

    /// The position that the next event gets.
    func end() async throws(EventLogError) -> Position

    /// What is known of a stream; nil if it never had an event.
    func stream(_ name: String) async throws(EventLogError) -> StreamInfo?

    /// Streams with what their events tell, in the order of their names' bytes, a page at a time.
    ///
    /// - Parameters:
    ///   - prefix: only streams whose names begin so.
    ///   - name: only streams after this one: the last one of the page before.
    ///   - limit: the size of a page.
    func describeStreams(
        prefix: String, after name: String?, limit: Int
    ) async throws(EventLogError) -> [StreamDescription]

    /// Hides a stream's events before `revision` for good.
    func truncate(stream: String, before revision: Revision) async throws(EventLogError)

    /// Deletes a stream for good: its events are hidden, and it takes no more.
    func delete(stream: String, expecting: ExpectedRevision) async throws(EventLogError)

    /// The newest snapshot that was kept of a stream; nil if there is none.
    func snapshot(of stream: String) async throws(EventLogError) -> StreamSnapshot?
}

extension EventStore {
    /// Appends events to the streams that they name, if `condition` holds.
    @discardableResult
    public func append(
        _ events: [Event], if condition: AppendCondition
    ) async throws(EventLogError) -> AppendResult {
        try await self.append(events, if: condition, snapshots: [])
    }

    /// Appends events to one stream, if it is where `expectation` says.
    @discardableResult
    public func append(
        _ events: [Event], toStream stream: String, expecting expectation: ExpectedRevision = .any
    ) async throws(EventLogError) -> AppendResult {
        try await self.append(
            events.map { $0.withStream(stream) }, if: .stream(stream, expectation), snapshots: [])
    }

    /// The events that `query` wants, as one array.
    public func events(_ query: EventQuery) async throws(EventLogError) -> [StoredEvent] {
        try await self.events(query, offset: 0)
    }

    /// A stream's events from a revision on, or, backwards, from a revision down to the first one.
    ///
    /// - Parameters:
    ///   - revision: the first one read; nil: the stream's first, or, backwards, its last.
    ///   - order: `.newestFirst` reads backwards.
    public func load(
        stream: String, from revision: Revision? = nil, order: EventQuery.Order = .oldestFirst
    ) -> Events {
        var query = EventQuery.stream(stream)
        query.order = order
        if order == .oldestFirst {
            query.fromRevision = revision
        } else {
            query.toRevision = revision.map { Revision($0.rawValue == .max ? .max : $0.rawValue + 1) }
        }
        return self.load(query)
    }
}

/// A stream with what its events tell.
public struct StreamDescription: Hashable, Sendable {
    /// What is known of it without its events.
    public var info: StreamInfo
    /// How many events can be read: fewer than its revisions after truncation or retention.
    public var count: Int
    /// The timestamps of the first and the last event that can be read; nil if none can.
    public var firstTimestamp: Timestamp?, lastTimestamp: Timestamp?

    /// A description of these parts.
    public init(info: StreamInfo, count: Int, firstTimestamp: Timestamp?, lastTimestamp: Timestamp?) {
        self.info = info
        self.count = count
        self.firstTimestamp = firstTimestamp
        self.lastTimestamp = lastTimestamp
    }
}

/// The state of a stream after one of its events, kept so that loading begins there.
public struct StreamSnapshot: Hashable, Sendable {
    /// The stream.
    public var stream: String
    /// The revision of the last event that the state knows.
    public var revision: Revision
    /// What kind of state it is: a snapshot with another schema is not used.
    public var schema: String
    /// The state.
    public var state: [UInt8]

    /// A snapshot of a stream's state as of `revision`.
    public init(stream: String, revision: Revision, schema: String, state: [UInt8]) {
        self.stream = stream
        self.revision = revision
        self.schema = schema
        self.state = state
    }
}
