/// The three indexes of a segment that find blocks by a hash.
enum SegmentIndex: UInt8, CaseIterable, Sendable {
    /// By XXH64 of the stream's name.
    case stream = 0x73
    /// By the hash of the correlation id.
    case correlation = 0x63
    /// By the hash of the event's id.
    case id = 0x69

    /// Whether entries carry several blocks with counts.
    var isGrouped: Bool { self != .id }

    /// The place among all cases.
    var ordinal: Int {
        switch self {
        case .stream: 0
        case .correlation: 1
        case .id: 2
        }
    }
}

/// The keys of a segment's databases `meta` and `index`.
enum SegmentKey {
    /// In `meta`: what the segment says of itself.
    static let segment = Array("segment".utf8)
    /// In `meta`: the zstd dictionary, if there is one.
    static let dictionary = Array("dictionary".utf8)
    /// In `meta`: the directory of blocks.
    static let blocks = Array("blocks".utf8)
    /// In `index`: the first byte of the pages of the table of types.
    static let types: UInt8 = 0x74

    /// The key of a page of an index: its kind and its first entry's hash, 40 bits, big-endian.
    static func page(_ index: SegmentIndex, firstKey: UInt64) -> [UInt8] {
        [index.rawValue]
            + stride(from: 32, through: 0, by: -8).map { UInt8(truncatingIfNeeded: firstKey >> UInt64($0)) }
    }

    /// The first hash of the page stored under `key`; nil if it is the key of something else.
    static func firstKey(_ key: UnsafeRawBufferPointer, of index: SegmentIndex) -> UInt64? {
        guard key.count == 6, key[0] == index.rawValue else { return nil }
        return key.dropFirst().reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// The key of the page of the table of types that begins with `type`.
    static func types(from type: String) -> [UInt8] {
        [Self.types] + Array(type.utf8)
    }
}

/// A value with the checksum that it carries in front: XXH64 of the value, its seed XXH64 of the key, whose
/// seed in turn is the database's letter. So a value that is damaged, or stands under another key, is caught.
enum CheckedValue {
    static let checksumBytes = 8

    /// `value` behind its checksum.
    static func wrap(_ value: [UInt8], key: [UInt8], part: SegmentFile.Part) -> [UInt8] {
        let checksum = value.withUnsafeBytes { value in
            key.withUnsafeBytes { Self.checksum(value, key: $0, part: part) }
        }
        var writer = RecordWriter()
        writer.append(fixed: checksum)
        writer.append(bytes: value)
        return writer.bytes
    }

    /// The value behind its checksum, which must be right.
    static func unwrap(
        _ stored: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer, part: SegmentFile.Part
    ) throws(StorageError) -> UnsafeRawBufferPointer {
        guard stored.count >= Self.checksumBytes else {
            throw StorageError(.corrupted, "a value in the segment is too short for its checksum")
        }
        let value = UnsafeRawBufferPointer(rebasing: stored[Self.checksumBytes...])
        let expected = UInt64(littleEndian: stored.loadUnaligned(as: UInt64.self))
        guard Self.checksum(value, key: key, part: part) == expected else {
            throw StorageError(.corrupted, "a value in the segment does not match its checksum")
        }
        return value
    }

    private static func checksum(
        _ value: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer, part: SegmentFile.Part
    ) -> UInt64 {
        XXH64.hash(value, seed: XXH64.hash(key, seed: part.letter))
    }
}
