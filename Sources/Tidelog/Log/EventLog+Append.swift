package import TidelogStorage

/// What must be true of a stream for an append to it to go ahead.
public struct ExpectedRevision: Hashable, Sendable, CustomStringConvertible {
    private enum Kind: Hashable { case any, noStream, streamExists, exact(Revision) }
    private let kind: Kind

    /// Whatever its revision is.
    public static var any: Self { .init(kind: .any) }
    /// The stream has never had an event.
    public static var noStream: Self { .init(kind: .noStream) }
    /// The stream has had an event.
    public static var streamExists: Self { .init(kind: .streamExists) }
    /// The stream's last event has this revision.
    public static func exact(_ revision: Revision) -> Self { .init(kind: .exact(revision)) }

    /// For people.
    public var description: String {
        switch self.kind {
        case .any: "any"
        case .noStream: "no stream"
        case .streamExists: "stream exists"
        case .exact(let revision): "revision \(revision)"
        }
    }

    /// The revision that the stream's last event must have; nil for the other expectations.
    package var exactRevision: Revision? {
        if case .exact(let revision) = self.kind { revision } else { nil }
    }

    package var storage: StreamExpectation {
        switch self.kind {
        case .any: .any
        case .noStream: .noStream
        case .streamExists: .exists
        case .exact(let revision): .exact(revision.rawValue)
        }
    }
}

/// What an append answers: where the events are.
public struct AppendResult: Hashable, Sendable {
    /// The positions of the events, in their order and without a gap; empty if none were given.
    public let positions: Range<Position>
    /// The streams that got events, in the order of their first one, with the revision of their last one.
    public var streams: [(name: String, lastRevision: Revision)] {
        zip(self.outcome.streams, self.outcome.lastRevisions).map { ($0, Revision($1)) }
    }
    /// Whether the log had these events already: then this is the answer to the first append.
    public var isRepeat: Bool { self.outcome.isRepeat }
    private let outcome: AppendOutcome

    /// The revision of the last event of the stream; nil if it got none.
    public func lastRevision(of stream: String) -> Revision? {
        self.outcome.streams.firstIndex(where: stream.isExactly).map {
            Revision(self.outcome.lastRevisions[$0])
        }
    }

    /// An answer, for stores that keep events elsewhere.
    public init(
        positions: Range<Position>, streams: [(name: String, lastRevision: Revision)], isRepeat: Bool = false
    ) {
        self.init(
            AppendOutcome(
                firstPosition: positions.lowerBound.rawValue, count: positions.count,
                streams: streams.map(\.name), lastRevisions: streams.map(\.lastRevision.rawValue),
                isRepeat: isRepeat))
    }

    init(_ outcome: AppendOutcome) {
        self.positions =
            Position(outcome.firstPosition)..<Position(outcome.firstPosition + UInt64(outcome.count))
        self.outcome = outcome
    }
}

extension EventLog {
    /// Appends events, all of them next to each other or none, and returns once they are durable.
    ///
    /// Each event goes to the stream that it names, or to `stream` if that is given. Appending the same
    /// events again (same ids, same order) within the idempotence window stores nothing and answers as the
    /// first time; their timestamps, and the trace in their metadata, may be others then. With a tracer
    /// (``EventLogConfiguration/consumerTelemetry``) the caller's span travels in the metadata.
    ///
    /// - Parameters:
    ///   - events: what to append; an empty array changes nothing.
    ///   - stream: the stream for all of them; nil: each event's own.
    ///   - expectation: what must be true of `stream`; checked in the transaction that appends.
    /// - Throws: ``EventLogError``: `conflict` with the actual revision; `invalidEvent`; `schemaViolation`;
    ///   `duplicateEvent`; `streamDeleted`; `limitExceeded`; `storageFull`; `poisoned`; `closed`; `cancelled`.
    @discardableResult
    public func append(
        _ events: [Event], to stream: String? = nil, expecting expectation: ExpectedRevision = .any
    ) async throws(EventLogError) -> AppendResult {
        let (records, expectations) = try self.prepare(events, stream, expectation)
        return try await self.commit(records, expectations)
    }

    /// Appends one event; see ``append(_:to:expecting:)-([Event],_,_)``.
    @discardableResult
    public func append(
        _ event: Event, to stream: String? = nil, expecting expectation: ExpectedRevision = .any
    ) async throws(EventLogError) -> AppendResult {
        try await self.append([event], to: stream, expecting: expectation)
    }

    /// Appends events to the streams that they name, atomically, each stream with an expectation of its own.
    ///
    /// - Parameter expectations: by stream; a stream that is not named may have any revision.
    @discardableResult
    public func append(
        _ events: [Event], expecting expectations: [String: ExpectedRevision]
    ) async throws(EventLogError) -> AppendResult {
        let records = try self.records(events, stream: nil)
        return try await self.commit(records, expectations.map { ($0.key, $0.value.storage) })
    }

    /// As ``append(_:to:expecting:)-([Event],_,_)``, for threads that may block.
    @discardableResult
    public func appendBlocking(
        _ events: [Event], to stream: String? = nil, expecting expectation: ExpectedRevision = .any
    ) throws(EventLogError) -> AppendResult {
        let (records, expectations) = try self.prepare(events, stream, expectation)
        return try self.commitBlocking(records, expectations)
    }

    /// As ``append(_:expecting:)``, for threads that may block.
    @discardableResult
    public func appendBlocking(
        _ events: [Event], expecting expectations: [String: ExpectedRevision]
    ) throws(EventLogError) -> AppendResult {
        let records = try self.records(events, stream: nil)
        return try self.commitBlocking(records, expectations.map { ($0.key, $0.value.storage) })
    }

    private func commitBlocking(
        _ records: [EventRecord], _ expectations: [(stream: String, expectation: StreamExpectation)]
    ) throws(EventLogError) -> AppendResult {
        if records.isEmpty, expectations.isEmpty { return try self.emptyResult() }
        do throws(StorageError) {
            return AppendResult(try self.engine.appendBlocking(records, expecting: expectations))
        } catch {
            throw EventLogError(error)
        }
    }

    private func commit(
        _ records: [EventRecord], _ expectations: [(stream: String, expectation: StreamExpectation)]
    ) async throws(EventLogError) -> AppendResult {
        if records.isEmpty, expectations.isEmpty { return try self.emptyResult() }
        do throws(StorageError) {
            return AppendResult(try await self.engine.append(records, expecting: expectations))
        } catch {
            throw EventLogError(error)
        }
    }

    private func prepare(
        _ events: [Event], _ stream: String?, _ expectation: ExpectedRevision
    ) throws(EventLogError) -> ([EventRecord], [(stream: String, expectation: StreamExpectation)]) {
        let records = try self.records(events, stream: stream)
        if expectation == .any { return (records, []) }
        let names = stream.map { [$0] } ?? Set(records.compactMap(\.stream).map { ExactText($0) }).map(\.text)
        guard names.count == 1 else {
            throw EventLogError(
                .invalidArgument,
                "an expected revision needs one stream, and the events name \(names.count); name it in the "
                    + "call, or give each stream its own expectation")
        }
        return (records, [(names[0], expectation.storage)])
    }

    func records(_ events: [Event], stream: String?) throws(EventLogError) -> [EventRecord] {
        try self.checked(events, stream: stream).records
    }

    /// The records of events that the log accepts, and the schemas that they fit.
    ///
    /// - Parameter warns: as in ``SchemaRegistry/validate(_:warns:)``.
    func checked(
        _ events: [Event], stream: String? = nil, warns: Bool = true
    ) throws(EventLogError) -> (records: [EventRecord], schemas: SchemaStamp) {
        var records = Event.records(of: self.subscriptions.instruments?.tracing(events) ?? events)
        if let stream {
            for index in records.indices { records[index].stream = stream }
        }
        try Event.validate(records, limits: self.configuration.limits)
        return (records, try self.schemas.validate(records, warns: warns))
    }

    private func emptyResult() throws(EventLogError) -> AppendResult {
        let end = try EventLogError.translating { () throws(StorageError) in try self.engine.currentView().end
        }
        return AppendResult(
            AppendOutcome(firstPosition: end, count: 0, streams: [], lastRevisions: [], isRepeat: false))
    }
}

extension Event {
    /// The records of events, without copying one: an append of a thousand events would spend a quarter of
    /// its time on counting references.
    fileprivate static func records(of events: [Event]) -> [EventRecord] {
        // SAFETY: an event is its record and nothing else, so an array of either has the same layout; the
        // storage keeps its own type, and with it the way in which it is released.
        guard MemoryLayout<Event>.size == MemoryLayout<EventRecord>.size,
            MemoryLayout<Event>.stride == MemoryLayout<EventRecord>.stride
        else { return events.map(\.record) }
        return unsafeBitCast(events, to: [EventRecord].self)
    }
}
