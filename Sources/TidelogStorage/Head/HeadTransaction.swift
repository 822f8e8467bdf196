/// Databases of the head; opened once, when the log is opened, and never dropped.
package struct HeadDatabases: Sendable {
    let meta: Database
    let frames: Database
    let segments: Database
    let streams: Database
    let dictionaries: Database
    let records: Database

    init(_ environment: Environment, create: Bool) throws(StorageError) {
        self.meta = try environment.openDatabase("meta", integerKeys: false, create: create)
        self.frames = try environment.openDatabase("frames", integerKeys: true, create: create)
        self.segments = try environment.openDatabase("segments", integerKeys: true, create: create)
        self.streams = try environment.openDatabase("streams", integerKeys: false, create: create)
        self.dictionaries = try environment.openDatabase("dictionaries", integerKeys: true, create: create)
        self.records = try environment.openDatabase("records", integerKeys: false, create: create)
    }
}

/// A part of the `records` database with keys of its own.
package struct RecordSpace: Sendable, Hashable {
    let byte: UInt8

    /// Streams with events that readers must not see: name to the lowest visible revision.
    package static let hiddenStreams = RecordSpace(byte: 1)
    /// Consumers of durable subscriptions: offsets, in-flight deliveries, retries.
    package static let consumers = RecordSpace(byte: 2)
    /// State of projections.
    package static let projections = RecordSpace(byte: 3)
    /// Snapshots of streams.
    package static let snapshots = RecordSpace(byte: 4)
    /// Scheduled events.
    package static let timers = RecordSpace(byte: 5)
    /// Settings of the log.
    package static let settings = RecordSpace(byte: 6)
    /// Process managers: how far they are, and their instances.
    package static let processes = RecordSpace(byte: 8)
    /// Timers of process managers, in the order in which they are due.
    package static let processTimers = RecordSpace(byte: 9)
    /// Whatever the app keeps with its events.
    package static let app = RecordSpace(byte: 7)

    func key(_ key: [UInt8]) -> [UInt8] { [self.byte] + key }
}

/// The one type through which the head changes: it knows every mutation there is.
///
/// Whatever is done through one value of it becomes durable together, or not at all.
package struct HeadTransaction: ~Copyable {
    let transaction: WriteTransaction
    let databases: HeadDatabases

    /// The id that this transaction will have once committed.
    package var id: UInt64 { self.transaction.id }

    // MARK: Frames

    /// Adds a frame whose first event has position `first`.
    func appendFrame(_ draft: FrameDraft, first: UInt64, baseRevisions: [UInt64]) throws(StorageError) {
        try self.transaction.reserve(
            self.databases.frames, key: first, count: draft.byteCount(baseRevisions: baseRevisions),
            append: true
        ) { draft.write(firstPosition: first, baseRevisions: baseRevisions, into: $0) }
    }

    /// Deletes at most `limit` frames that begin below `position`; answers how many there were.
    func deleteFrames(below position: UInt64, limit: Int) throws(StorageError) -> Int {
        try self.transaction.deleteRange(
            self.databases.frames, fromInteger: 0, belowInteger: position, limit: limit)
    }

    // MARK: The head's own records

    func setState(_ state: HeadState) throws(StorageError) {
        try self.put(self.databases.meta, key: Array("state".utf8), value: state.encoded())
    }

    func setSegment(_ info: SegmentInfo) throws(StorageError) {
        let key = info.positions.lowerBound
        let value = HeadFormat.wrap(
            info.encode(), database: "segments", key: HeadKeys.integer(key))
        try value.span.bytes.withUnsafeBytes { bytes throws(StorageError) in
            try self.transaction.put(self.databases.segments, key: key, value: bytes)
        }
    }

    func removeSegment(first: UInt64) throws(StorageError) {
        _ = try self.transaction.delete(self.databases.segments, key: first)
    }

    func setStream(_ name: String, _ head: StreamHead) throws(StorageError) {
        try self.put(self.databases.streams, key: Array(name.utf8), value: head.encoded())
    }

    func setDictionary(_ id: UInt32, _ bytes: [UInt8]) throws(StorageError) {
        let value = HeadFormat.wrap(
            bytes, database: "dictionaries", key: HeadKeys.integer(UInt64(id)))
        try value.span.bytes.withUnsafeBytes { bytes throws(StorageError) in
            try self.transaction.put(self.databases.dictionaries, key: UInt64(id), value: bytes)
        }
    }

    func removeDictionary(_ id: UInt32) throws(StorageError) {
        _ = try self.transaction.delete(self.databases.dictionaries, key: UInt64(id))
    }

    // MARK: Records of other parts of the product

    /// Stores `value` under `key` in `space`; replaces what was there.
    package func setRecord(_ space: RecordSpace, key: [UInt8], value: [UInt8]) throws(StorageError) {
        try self.put(self.databases.records, key: space.key(key), value: value)
    }

    /// Removes the record, if there is one; answers whether there was.
    @discardableResult
    package func removeRecord(_ space: RecordSpace, key: [UInt8]) throws(StorageError) -> Bool {
        try self.transaction.delete(self.databases.records, key: space.key(key))
    }

    /// The value under `key` in `space`, with what this transaction has changed so far.
    package func record(_ space: RecordSpace, key: [UInt8]) throws(StorageError) -> [UInt8]? {
        try self.databases.record(space, key: key, in: self.transaction)
    }

    private func put(_ database: Database, key: [UInt8], value: [UInt8]) throws(StorageError) {
        let wrapped = HeadFormat.wrap(value, database: database.name, key: key)
        try wrapped.span.bytes.withUnsafeBytes { bytes throws(StorageError) in
            try self.transaction.put(database, key: key, value: bytes)
        }
    }

    /// Makes everything durable. `seam` is the one place where a commit happens, so that a test can fail it.
    consuming func commit(through seam: CommitSeam) throws(StorageError) {
        try seam.commit(self.finished())
    }

    private consuming func finished() -> WriteTransaction { self.transaction }
}

/// The narrow place where head transactions become durable; tests put a failing one in its stead.
package struct CommitSeam: Sendable {
    let commit: @Sendable (consuming WriteTransaction) throws(StorageError) -> Void

    package init(commit: @escaping @Sendable (consuming WriteTransaction) throws(StorageError) -> Void) {
        self.commit = commit
    }

    /// Commits through LMDB: data and meta synced before it returns.
    package static let durable = CommitSeam { transaction throws(StorageError) in
        try transaction.commit()
    }
}

enum HeadKeys {
    static func integer(_ value: UInt64) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian) { [UInt8]($0) }
    }
}
