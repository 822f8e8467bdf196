package import TidelogStorage

/// Which events a read wants, and in which order. Everything that is set must hold at once.
///
/// ```swift
/// var query = EventQuery.types("order.*")
/// query.since = Timestamp.now().advanced(by: .seconds(-3600))
/// query.order = .newestFirst
/// query.limit = 10
/// ```
public struct EventQuery: Sendable, Hashable {
    /// In which order events are read.
    public struct Order: Hashable, Sendable {
        let isBackwards: Bool
        /// As they were appended.
        public static var oldestFirst: Self { .init(isBackwards: false) }
        /// The other way round.
        public static var newestFirst: Self { .init(isBackwards: true) }
    }

    /// The lowest position. Default: nil, from the beginning.
    public var from: Position?
    /// The position before which to stop. Default: nil, to the end as it was when reading began.
    public var to: Position?
    /// In which order. Default: `.oldestFirst`.
    public var order: Order = .oldestFirst
    /// The most events to read. Default: nil, no limit.
    public var limit: Int?
    /// Events of these streams only. Default: empty, all.
    public var streams: [String] = []
    /// Events of streams whose names begin so. Default: nil, all.
    public var streamPrefix: String?
    /// The lowest revision; events without a stream have none. Default: nil.
    public var fromRevision: Revision?
    /// The revision before which to stop. Default: nil.
    public var toRevision: Revision?
    /// Events whose type matches one of these. Default: empty, all.
    public var types: [TypePattern] = []
    /// Events with a timestamp at or after this one. Default: nil.
    public var since: Timestamp?
    /// Events with a timestamp before this one. Default: nil.
    public var until: Timestamp?
    /// Events with this correlation id. Default: nil, all.
    public var correlationID: EventID?
    /// Events with this causation id. Default: nil, all.
    public var causationID: EventID?
    /// Events from this source. Default: nil, all.
    public var source: String?
    /// Events of this tenant, as their metadata names it. Default: nil, all.
    public var tenantID: String?

    /// Every event, oldest first.
    public init() {}

    /// Every event, oldest first.
    public static var all: Self { .init() }

    /// The events of one stream.
    public static func stream(_ name: String) -> Self {
        var query = Self()
        query.streams = [name]
        return query
    }

    /// The events whose type matches one of the patterns.
    public static func types(_ patterns: TypePattern...) -> Self {
        var query = Self()
        query.types = patterns
        return query
    }

    /// The events with this correlation id.
    public static func correlation(_ id: EventID) -> Self {
        var query = Self()
        query.correlationID = id
        return query
    }

    /// The query as storage takes it.
    ///
    /// - Throws: ``EventLogError`` with code `invalidArgument` for bounds that contradict each other.
    package func storageQuery() throws(EventLogError) -> RecordQuery {
        if let limit, limit < 0 { throw Self.contradiction("the limit is \(limit); it cannot be negative") }
        let low = self.from?.rawValue ?? 0
        let high = self.to?.rawValue ?? .max
        if low > high { throw Self.contradiction("'to' (\(high)) comes before 'from' (\(low))") }
        if let since, let until, until < since {
            throw Self.contradiction("'until' (\(until)) comes before 'since' (\(since))")
        }
        var query = RecordQuery()
        query.positions = low..<high
        query.isBackwards = self.order.isBackwards
        query.limit = self.limit
        query.filter = try self.storageFilter()
        return query
    }

    private func storageFilter() throws(EventLogError) -> RecordFilter {
        var filter = RecordFilter()
        filter.streams = Set(self.streams.map { ExactText($0) }).map(\.text)
        filter.streamPrefix = self.streamPrefix
        if self.fromRevision != nil || self.toRevision != nil {
            let low = self.fromRevision?.rawValue ?? 0
            let high = self.toRevision?.rawValue ?? .max
            if low > high { throw Self.contradiction("'toRevision' comes before 'fromRevision'") }
            filter.revisions = low..<high
        }
        if !self.types.isEmpty, !self.types.contains(where: \.matchesEverything) {
            let types = self.types
            filter.types = .init { type in types.contains { $0.matches(type) } }
        }
        filter.since = self.since?.nanosecondsSinceEpoch
        filter.until = self.until?.nanosecondsSinceEpoch
        filter.correlation = self.correlationID?.identifier
        filter.causation = self.causationID?.identifier
        filter.source = self.source
        filter.tenant = self.tenantID
        return filter
    }

    private static func contradiction(_ problem: String) -> EventLogError {
        EventLogError(.invalidArgument, "this query cannot be answered: \(problem)")
    }
}
