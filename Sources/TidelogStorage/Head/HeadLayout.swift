/// What the head's databases hold, byte by byte (see Docs/Format.md, "The head").
///
/// Every value outside `frames` begins with eight bytes of XXH64 over the rest, seeded by the hash of its
/// database and key, so that a flipped bit and a misplaced page are both caught. Integers are little-endian.
enum HeadFormat {
    /// The version that this code writes. A head of a newer version is refused.
    static let version: UInt32 = 1

    /// Wraps a value with its checksum.
    static func wrap(_ value: [UInt8], database: String, key: [UInt8]) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: 8)
        result.reserveCapacity(8 + value.count)
        let checksum = value.withUnsafeBytes { XXH64.hash($0, seed: self.seed(database, key)) }
        result.withUnsafeMutableBytes { $0.storeBytes(of: checksum.littleEndian, as: UInt64.self) }
        result.append(contentsOf: value)
        return result
    }

    /// Checks a wrapped value and answers what was wrapped.
    static func unwrap(
        _ bytes: UnsafeRawBufferPointer, database: String, key: [UInt8]
    ) throws(StorageError) -> [UInt8] {
        guard bytes.count >= 8 else {
            throw StorageError(
                .corrupted,
                "a value of the head's database '\(database)' is \(bytes.count) bytes long and lacks its "
                    + "checksum; run `tidelog verify`, then `tidelog repair`")
        }
        let stored = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        let value = UnsafeRawBufferPointer(rebasing: bytes[8...])
        guard XXH64.hash(value, seed: self.seed(database, key)) == stored else {
            throw StorageError(
                .corrupted,
                "a value of the head's database '\(database)' does not match its checksum; run "
                    + "`tidelog verify`, then `tidelog repair`")
        }
        return [UInt8](value)
    }

    private static func seed(_ database: String, _ key: [UInt8]) -> UInt64 {
        key.withUnsafeBytes { XXH64.hash($0, seed: XXH64.hash(database)) }
    }
}

/// The head's own state: one record, rewritten by every transaction that changes it.
package struct HeadState: Equatable, Sendable {
    /// The log's UUID, made when the log was created; a restored copy keeps it.
    package var logID: (UInt64, UInt64)
    /// How often the log was restored from a backup: copies that went different ways differ in it.
    package var incarnation: UInt64
    /// Nanoseconds since 1970 when the log was created.
    package var createdAt: Int64
    /// The position below which nothing is kept any more (retention).
    package var firstPosition: UInt64
    /// The position after the last sealed event: frames below it are leftovers.
    package var sealedEnd: UInt64
    /// Counts changes to the catalogue of segments.
    package var catalogueVersion: UInt64
    /// Counts changes to the set of truncated and deleted streams.
    package var hiddenVersion: UInt64
    /// The dictionary that new small frames are compressed with, or 0.
    package var dictionaryID: UInt32

    package static func == (left: Self, right: Self) -> Bool { left.encoded() == right.encoded() }

    func encoded() -> [UInt8] {
        var bytes = FieldWriter()
        bytes.fixed(HeadFormat.version)
        bytes.fixed(self.dictionaryID)
        bytes.fixed(self.logID.0)
        bytes.fixed(self.logID.1)
        bytes.fixed(self.incarnation)
        bytes.fixed(UInt64(bitPattern: self.createdAt))
        bytes.fixed(self.firstPosition)
        bytes.fixed(self.sealedEnd)
        bytes.fixed(self.catalogueVersion)
        bytes.fixed(self.hiddenVersion)
        return bytes.bytes
    }

    static func decode(_ bytes: [UInt8]) throws(StorageError) -> HeadState {
        var reader = FieldReader(bytes, what: "the head's state")
        let version: UInt32 = try reader.fixed()
        guard version <= HeadFormat.version, version > 0 else {
            throw StorageError(
                .unsupportedFormat,
                "the log has format version \(version) and this build reads up to "
                    + "\(HeadFormat.version); use a newer Tidelog")
        }
        let dictionaryID: UInt32 = try reader.fixed()
        let logID = (try reader.fixed() as UInt64, try reader.fixed() as UInt64)
        return HeadState(
            logID: logID, incarnation: try reader.fixed(),
            createdAt: Int64(bitPattern: try reader.fixed()), firstPosition: try reader.fixed(),
            sealedEnd: try reader.fixed(), catalogueVersion: try reader.fixed(),
            hiddenVersion: try reader.fixed(), dictionaryID: dictionaryID)
    }
}

/// What the head knows of one stream whose events are (also) in sealed segments.
package struct StreamHead: Equatable, Sendable {
    /// The revision that the stream's next event gets.
    package var nextRevision: UInt64
    /// The position of its first event ever.
    package var firstPosition: UInt64
    /// The position of its last event.
    package var lastPosition: UInt64
    /// Events with a lower revision have been truncated.
    package var truncatedBefore: UInt64 = 0
    /// Whether the stream was deleted for good.
    package var isDeleted = false

    func encoded() -> [UInt8] {
        var bytes = FieldWriter()
        bytes.fixed(UInt8(self.isDeleted ? 1 : 0))
        bytes.varint(self.nextRevision)
        bytes.varint(self.firstPosition)
        bytes.varint(self.lastPosition &- self.firstPosition)
        bytes.varint(self.truncatedBefore)
        return bytes.bytes
    }

    static func decode(_ bytes: [UInt8]) throws(StorageError) -> StreamHead {
        var reader = FieldReader(bytes, what: "a stream's head")
        let flags: UInt8 = try reader.fixed()
        let nextRevision = try reader.varint()
        let firstPosition = try reader.varint()
        let lastPosition = firstPosition &+ (try reader.varint())
        return StreamHead(
            nextRevision: nextRevision, firstPosition: firstPosition, lastPosition: lastPosition,
            truncatedBefore: try reader.varint(), isDeleted: flags & 1 != 0)
    }
}
