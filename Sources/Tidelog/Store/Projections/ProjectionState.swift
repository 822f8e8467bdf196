import TidelogStorage

/// The state of a projection as its function sees it: what is stored, and what the batch has changed so far.
///
/// Keys are 1 to 400 bytes of UTF-8.
public struct ProjectionState: Sendable {
    private var entries = ProjectionTable()
    /// Entries that the batch changed; an entry stands here once.
    private(set) var changed: ContiguousArray<Int32> = []
    private(set) var changedBytes = 0
    private var cachedBytes = 0
    /// Whether `entries` holds every key that is stored, so that a missing one is known to be missing.
    private var isComplete: Bool
    private let load: @Sendable ([UInt8]) throws(StorageError) -> ProjectionValue?

    /// Entries and bytes that are kept for the next batch.
    private static let cachedEntries = 200_000
    private static let cachedBytesLimit = 64 << 20

    init(isComplete: Bool, load: @escaping @Sendable ([UInt8]) throws(StorageError) -> ProjectionValue?) {
        self.isComplete = isComplete
        self.load = load
    }

    /// The value under a key; nil if there is none.
    ///
    /// - Throws: ``EventLogError`` as reading the log, and `invalidArgument` for a key that cannot be.
    public mutating func value(_ key: String) throws(EventLogError) -> ProjectionValue? {
        try Self.withBytes(of: key) { bytes throws(EventLogError) in try self.value(bytes) }
    }

    private mutating func value(_ key: UnsafeRawBufferPointer) throws(EventLogError) -> ProjectionValue? {
        if let index = self.entries.find(key) { return self.entries.value(index) }
        try Self.checkKey(byteCount: key.count)
        if self.isComplete { return nil }
        let value = try EventLogError.translating { () throws(StorageError) in try self.load(Array(key)) }
        _ = self.entries.insert(key, value, isChanged: false)
        self.cachedBytes += Self.bytes(key.count, value)
        return value
    }

    /// Stores a value under a key, or removes the key if it is nil.
    public mutating func set(_ key: String, _ value: ProjectionValue?) throws(EventLogError) {
        try Self.withBytes(of: key) { bytes throws(EventLogError) in try self.set(bytes, value) }
    }

    private mutating func set(
        _ key: UnsafeRawBufferPointer, _ value: ProjectionValue?
    ) throws(EventLogError) {
        let bytes = Self.bytes(key.count, value)
        if let index = self.entries.find(key) {
            if !self.entries.isChanged(index) { self.changed.append(Int32(index)) }
            self.entries.update(index, value, isChanged: true)
        } else {
            try Self.checkKey(byteCount: key.count)
            self.changed.append(Int32(self.entries.insert(key, value, isChanged: true)))
        }
        self.changedBytes += bytes
        self.cachedBytes += bytes
    }

    /// About what an entry takes.
    private static func bytes(_ keyCount: Int, _ value: ProjectionValue?) -> Int {
        keyCount + (value?.bytes?.count ?? 8) + 64
    }

    /// Removes a key.
    public mutating func remove(_ key: String) throws(EventLogError) { try self.set(key, nil) }

    /// The number under a key; nil if there is none, or something else.
    public mutating func integer(_ key: String) throws(EventLogError) -> Int64? {
        try self.value(key)?.integer
    }

    /// Adds to the number under a key; what is not there, or no number, counts as zero.
    ///
    /// - Returns: the sum. It wraps beyond 64 bits.
    @discardableResult
    public mutating func add(_ count: Int64, to key: String) throws(EventLogError) -> Int64 {
        try Self.withBytes(of: key) { bytes throws(EventLogError) in try self.add(count, bytes) }
    }

    /// As ``add(_:to:)`` with the key `prefix` + `rest`, which is never made: the quick way to count by a part of
    /// the event.
    ///
    /// ```swift
    /// try state.add(1, to: "events/", stored.stream ?? "")
    /// ```
    ///
    /// - Returns: the sum. It wraps beyond 64 bits.
    @discardableResult
    public mutating func add(
        _ count: Int64, to prefix: String, _ rest: String
    ) throws(EventLogError) -> Int64 {
        let size = prefix.utf8.count + rest.utf8.count
        try Self.checkKey(byteCount: size)
        return try withUnsafeTemporaryAllocation(byteCount: Self.maximumKeyBytes, alignment: 8) {
            buffer throws(EventLogError) in
            let key = UnsafeMutableRawBufferPointer(rebasing: buffer[..<size])
            Self.copy(prefix, to: key)
            Self.copy(rest, to: UnsafeMutableRawBufferPointer(rebasing: key[prefix.utf8.count...]))
            return try self.add(count, UnsafeRawBufferPointer(key))
        }
    }

    @inline(__always)
    private mutating func add(_ count: Int64, _ key: UnsafeRawBufferPointer) throws(EventLogError) -> Int64 {
        if let index = self.entries.find(key), let (sum, wasChanged) = self.entries.add(count, to: index) {
            if !wasChanged {
                self.changed.append(Int32(index))
                self.changedBytes += key.count + 72
            }
            return sum
        }
        let sum = (try self.value(key)?.integer ?? 0) &+ count
        try self.set(key, .integer(sum))
        return sum
    }

    @inline(__always)
    private static func copy(_ text: String, to target: UnsafeMutableRawBufferPointer) {
        let isDone: Void? = text.utf8.withContiguousStorageIfAvailable {
            target.copyMemory(from: UnsafeRawBufferPointer($0))
        }
        if isDone == nil { target.copyBytes(from: text.utf8) }
    }

    /// Lends the UTF-8 of a key.
    @inline(__always)
    private static func withBytes<Value>(
        of key: String, _ body: (UnsafeRawBufferPointer) throws(EventLogError) -> Value
    ) throws(EventLogError) -> Value {
        func attempt(_ bytes: UnsafeRawBufferPointer) -> Result<Value, EventLogError> {
            do throws(EventLogError) { return .success(try body(bytes)) } catch { return .failure(error) }
        }
        let result = key.utf8.withContiguousStorageIfAvailable { attempt(UnsafeRawBufferPointer($0)) }
        return try (result ?? Array(key.utf8).withUnsafeBytes { attempt($0) }).get()
    }

    /// The value in JSON under a key as a `Codable` type; nil if there is none.
    public mutating func decode<Value: Decodable>(
        _ key: String, as type: Value.Type = Value.self
    ) throws(EventLogError) -> Value? {
        try self.value(key)?.decode(as: type)
    }

    /// Stores a `Codable` value under a key, in JSON.
    public mutating func encode(_ key: String, _ value: some Encodable) throws(EventLogError) {
        try self.set(key, .json(Array(try EventPayload(encoding: value).bytes)))
    }

    // MARK: Batches

    /// The most entries that one transaction may change.
    ///
    /// Each may dirty a page of its own, and LMDB's transactions must stay small; but where all that is stored
    /// is known, and takes few pages, that is all that can be dirtied.
    var changeLimit: Int {
        self.isComplete && self.cachedBytes < Self.smallBytes ? Self.smallChangeLimit : Self.largeChangeLimit
    }

    private static let smallBytes = 8 << 20
    private static let smallChangeLimit = 16_384
    private static let largeChangeLimit = 4096

    /// The changes of the batch, as they are stored under `prefix`.
    func changes(prefix: [UInt8]) -> [RecordChange] {
        self.changed.map { index in
            let key = self.entries.key(Int(index), prefix: prefix)
            guard let value = self.entries.value(Int(index)) else {
                return .remove(.projections, key: key)
            }
            return .set(.projections, key: key, value: value.stored)
        }
    }

    /// After a commit: what was changed is what is stored. Much of it is forgotten when it has grown large.
    mutating func committed() {
        if self.entries.count > Self.cachedEntries || self.cachedBytes > Self.cachedBytesLimit {
            self.entries.removeAll()
            self.cachedBytes = 0
            self.isComplete = false
        } else {
            for index in self.changed { self.entries.markUnchanged(Int(index)) }
        }
        self.changed.removeAll(keepingCapacity: true)
        self.changedBytes = 0
    }

    /// Forgets the batch and all that was read: nothing here may be believed any more.
    mutating func reset(isComplete: Bool) {
        self.entries.removeAll()
        self.changed.removeAll()
        self.changedBytes = 0
        self.cachedBytes = 0
        self.isComplete = isComplete
    }

    /// The most bytes of UTF-8 that a key has.
    private static let maximumKeyBytes = 400

    static func checkKey(_ key: String) throws(EventLogError) {
        try Self.checkKey(byteCount: key.utf8.count)
    }

    @inline(__always)
    private static func checkKey(byteCount: Int) throws(EventLogError) {
        if byteCount == 0 || byteCount > Self.maximumKeyBytes { try Self.refuseKey(byteCount) }
    }

    @inline(never)
    private static func refuseKey(_ byteCount: Int) throws(EventLogError) {
        throw EventLogError(
            .invalidArgument,
            "a key of a projection has 1 to \(Self.maximumKeyBytes) bytes of UTF-8; this one has \(byteCount)"
        )
    }
}
