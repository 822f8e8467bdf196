import TidelogStorage

/// What is known of one stream.
public struct StreamInfo: Hashable, Sendable {
    /// Its name.
    public let name: String
    /// The revision of its last event.
    public let lastRevision: Revision
    /// The lowest revision that truncation has left; retention and compaction may have taken more.
    public let firstRevision: Revision
    /// The position of its first event ever.
    public let firstPosition: Position
    /// The position of its last event.
    public let lastPosition: Position
    /// Whether it was deleted: then nothing of it can be read, and it takes no more events.
    public let isDeleted: Bool

    /// What another store knows of one of its streams.
    public init(
        name: String, lastRevision: Revision, firstRevision: Revision, firstPosition: Position,
        lastPosition: Position, isDeleted: Bool
    ) {
        self.name = name
        self.lastRevision = lastRevision
        self.firstRevision = firstRevision
        self.firstPosition = firstPosition
        self.lastPosition = lastPosition
        self.isDeleted = isDeleted
    }

    init(_ summary: StreamSummary) {
        self.name = summary.name
        self.lastRevision = Revision(summary.lastRevision)
        self.firstRevision = Revision(summary.firstRevision)
        self.firstPosition = Position(summary.firstPosition)
        self.lastPosition = Position(summary.lastPosition)
        self.isDeleted = summary.isDeleted
    }
}

extension EventLog {
    /// What is known of a stream; nil if it never had an event.
    public func stream(_ name: String) async throws(EventLogError) -> StreamInfo? {
        try await self.run { engine throws(StorageError) in
            try engine.stream(name).map { StreamInfo($0) }
        }
    }

    /// Streams in the order of their names' bytes, a page at a time.
    ///
    /// - Parameters:
    ///   - prefix: only streams whose names begin so.
    ///   - name: only streams after this one: the last one of the page before.
    ///   - limit: the size of a page.
    public func streams(
        prefix: String = "", after name: String? = nil, limit: Int = 1000
    ) async throws(EventLogError) -> [StreamInfo] {
        guard limit > 0 else {
            throw EventLogError(.invalidArgument, "a page of \(limit) streams; ask for one at the least")
        }
        return try await self.run { engine throws(StorageError) in
            try engine.streams(prefix: prefix, after: name, limit: limit).map { StreamInfo($0) }
        }
    }

    /// Hides a stream's events before `revision` from every reader at once and for good.
    ///
    /// ``compact(_:)`` takes them off the disk. Revisions are not reused. Durable when it returns.
    ///
    /// - Throws: ``EventLogError`` with code `notFound`, `streamDeleted`, or `invalidArgument` for a
    ///   revision past the stream's end.
    public func truncate(stream: String, before revision: Revision) async throws(EventLogError) {
        try await self.run { engine throws(StorageError) in
            try engine.truncate(stream: stream, before: revision.rawValue)
        }
    }

    /// Deletes a stream for good: its events are hidden at once, and appending to it is refused.
    ///
    /// ``compact(_:)`` takes its events off the disk. Durable when it returns.
    ///
    /// - Throws: ``EventLogError`` with code `notFound`, `streamDeleted`, or `conflict`.
    public func delete(
        stream: String, expecting expectation: ExpectedRevision = .any
    ) async throws(EventLogError) {
        try await self.run { engine throws(StorageError) in
            try engine.delete(stream: stream, expecting: expectation.storage)
        }
    }
}
