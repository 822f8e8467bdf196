import TidelogStorage

/// A sealed segment: an immutable file that holds a contiguous range of positions.
public struct Segment: Hashable, Sendable {
    /// Its file, in the log's folder `segments`.
    public let fileName: String
    /// The positions that it covers.
    public let positions: Range<Position>
    /// The events that it holds: fewer than positions after compaction.
    public let count: Int
    /// The timestamps of its events, oldest and newest.
    public let timestamps: ClosedRange<Timestamp>
    /// Bytes on disk, indexes and all.
    public let fileBytes: Int
    /// Bytes of its events before compression.
    public let uncompressedBytes: Int
    /// XXH64 of the whole file.
    public let digest: UInt64

    init(_ info: SegmentInfo) {
        self.fileName = info.fileName
        self.positions = Position(info.positions.lowerBound)..<Position(info.positions.upperBound)
        self.count = info.count
        let first = Timestamp(nanosecondsSinceEpoch: min(info.minTimestamp, info.maxTimestamp))
        self.timestamps = first...Timestamp(nanosecondsSinceEpoch: max(info.minTimestamp, info.maxTimestamp))
        self.fileBytes = info.fileBytes
        self.uncompressedBytes = info.uncompressedBytes
        self.digest = info.digest
    }
}

/// A log in numbers.
public struct LogStatistics: Hashable, Sendable {
    /// The log's UUID, the same in every copy of it.
    public let logID: String
    /// How often this copy or one that it descends from was restored from a backup.
    public let incarnation: UInt64
    /// When the log was created.
    public let createdAt: Timestamp
    /// The position of the oldest event that retention has left.
    public let firstPosition: Position
    /// The position that the next event gets.
    public let nextPosition: Position
    /// The position after the last sealed event.
    public let sealedEnd: Position
    /// Sealed segments.
    public let segments: Int
    /// Events in sealed segments.
    public let sealedEvents: Int
    /// Events in the active segment.
    public let activeEvents: Int
    /// Bytes on disk of sealed segments.
    public let sealedBytes: Int
    /// Bytes of sealed events before compression.
    public let sealedUncompressedBytes: Int
    /// Bytes of events in the active segment before compression.
    public let activeUncompressedBytes: Int
    /// Bytes of the head's file that are in use.
    public let headBytes: Int
    /// Why sealing in the background fails, if it does.
    public let sealingProblem: String?
    /// Bytes of the head's file that are free but for a read that has not ended: while it goes on the head cannot use
    /// them again, and grows instead. 0 where nobody keeps any.
    public let pinnedHeadBytes: Int
    /// The process whose read that is; the oldest, if there are several.
    public let pinningProcess: Int?
    /// For how long this process has seen the oldest read, of any process, stand at the same commit; it looks every
    /// five seconds in which it writes, and whenever statistics are asked for.
    public let oldestReaderAge: Duration
}

/// How much of the log is kept; everything that is set must hold. Whole sealed segments are dropped, oldest
/// first.
public struct RetentionPolicy: Hashable, Sendable {
    /// Segments whose newest event is older than this are dropped. Default: nil.
    public var maximumAge: Duration?
    /// The most bytes on disk of sealed segments. Default: nil.
    public var maximumBytes: Int?
    /// At least so many of the newest events stay, and segments beyond them are dropped. Default: nil.
    public var maximumEvents: Int?
    /// Nothing at or after this position is dropped. Default: nil.
    public var keepFrom: Position?
    /// Whether events go although a consumer has not finished them, or a projection or process manager has not seen
    /// them. Such a consumer ends with `eventsGone`, or skips them if it is set so; projections and process managers
    /// go on without them. Default: `false`, retention waits for the slowest of all of these.
    public var ignoresConsumers = false

    /// Keeps everything.
    public init() {}
}

/// What compaction takes out besides truncated events and deleted streams.
public struct CompactionOptions: Hashable, Sendable {
    /// Keep only the latest event of each stream (and events without a stream). Default: `false`.
    public var keepsLatestOnly = false
    /// Neighbouring small segments are merged up to the log's segment size. Default: `true`.
    public var mergesSegments = true

    /// Takes out what was truncated or deleted, and merges small segments.
    public init() {}
}

/// What a compaction did.
public struct CompactionReport: Hashable, Sendable {
    /// Segments before and after.
    public let segmentsBefore: Int, segmentsAfter: Int
    /// Events taken out.
    public let eventsRemoved: Int
    /// Bytes on disk before and after.
    public let bytesBefore: Int, bytesAfter: Int
}

extension EventLog {
    /// The sealed segments, oldest first.
    public func segments() async throws(EventLogError) -> [Segment] {
        try await self.run { engine throws(StorageError) in
            try engine.currentView().catalogue.segments.map { Segment($0) }
        }
    }

    /// The log in numbers.
    public func statistics() async throws(EventLogError) -> LogStatistics {
        try await self.run { engine throws(StorageError) in try engine.statistics() }
            .asStatistics()
    }

    /// As ``segments()``, for threads that may block.
    public func segmentsBlocking() throws(EventLogError) -> [Segment] {
        try EventLogError.translating { () throws(StorageError) in
            try self.engine.currentView().catalogue.segments.map { Segment($0) }
        }
    }

    /// As ``statistics()``, for threads that may block.
    public func statisticsBlocking() throws(EventLogError) -> LogStatistics {
        try EventLogError.translating { () throws(StorageError) in try self.engine.statistics() }
            .asStatistics()
    }

    /// Seals everything that was committed before the call, and returns the new segments once they are
    /// registered.
    @discardableResult
    public func seal() async throws(EventLogError) -> [Segment] {
        try await self.run { engine throws(StorageError) in try engine.seal().map { Segment($0) } }
    }

    /// Drops sealed segments beyond the policy; returns which. Their space is free at once.
    ///
    /// - Parameter isRehearsal: whether to tell only what would be dropped.
    @discardableResult
    public func retain(
        _ policy: RetentionPolicy, isRehearsal: Bool = false
    ) async throws(EventLogError) -> [Segment] {
        var limits = RetentionLimits()
        limits.maximumAge = policy.maximumAge.map { $0.nanoseconds }
        limits.maximumBytes = policy.maximumBytes
        limits.maximumEvents = policy.maximumEvents
        limits.keepFrom = policy.keepFrom?.rawValue
        if [policy.maximumBytes, policy.maximumEvents].contains(where: { ($0 ?? 0) < 0 })
            || (policy.maximumAge ?? .zero) < .zero
        {
            throw EventLogError(.invalidArgument, "a limit of retention is negative; give zero or more")
        }
        let ignoresConsumers = policy.ignoresConsumers
        return try await self.run { [limits] engine throws(StorageError) in
            var limits = limits
            if !ignoresConsumers {
                let needed = [
                    limits.keepFrom, try LedgerStore.lowestNeeded(in: engine),
                    try engine.readingRecords { view throws(StorageError) in try view.lowestUnseen() },
                ]
                limits.keepFrom = needed.compactMap { $0 }.min()
            }
            return try engine.retain(limits, isRehearsal: isRehearsal).map { Segment($0) }
        }
    }

    /// Rewrites sealed segments without what is no longer wanted, and merges small ones.
    ///
    /// Positions and revisions of what stays do not change. Readers and appends go on meanwhile.
    @discardableResult
    public func compact(_ options: CompactionOptions = .init()) async throws(EventLogError)
        -> CompactionReport
    {
        var policy = CompactionPolicy()
        policy.keepsLatestOnly = options.keepsLatestOnly
        policy.mergedBytes = options.mergesSegments ? self.configuration.segmentSizeBytes : 0
        let outcome = try await self.run { [policy] engine throws(StorageError) in
            try engine.compact(policy)
        }
        return CompactionReport(
            segmentsBefore: outcome.segmentsBefore, segmentsAfter: outcome.segmentsAfter,
            eventsRemoved: outcome.eventsRemoved, bytesBefore: outcome.bytesBefore,
            bytesAfter: outcome.bytesAfter)
    }
}

extension EngineStatistics {
    fileprivate func asStatistics() -> LogStatistics {
        LogStatistics(
            logID: EventID(uuid: self.state.logID.0, self.state.logID.1).description,
            incarnation: self.state.incarnation,
            createdAt: Timestamp(nanosecondsSinceEpoch: self.state.createdAt),
            firstPosition: Position(self.state.firstPosition), nextPosition: Position(self.end),
            sealedEnd: Position(self.state.sealedEnd), segments: self.segments.count,
            sealedEvents: self.segments.reduce(0) { $0 + $1.count },
            activeEvents: Int(self.end - self.state.sealedEnd),
            sealedBytes: self.segments.reduce(0) { $0 + $1.fileBytes },
            sealedUncompressedBytes: self.segments.reduce(0) { $0 + $1.uncompressedBytes },
            activeUncompressedBytes: self.activeBytes, headBytes: self.headBytes,
            sealingProblem: self.sealingProblem, pinnedHeadBytes: self.pinnedHeadBytes,
            pinningProcess: self.pinningProcess.map { Int($0) }, oldestReaderAge: self.oldestReaderAge)
    }
}

extension Duration {
    fileprivate var nanoseconds: Int64 {
        let (seconds, attoseconds) = self.components
        let whole = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        return whole.overflow ? .max : whole.partialValue &+ attoseconds / 1_000_000_000
    }
}
