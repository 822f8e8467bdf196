/// What a sealed segment says of itself: the record `segment` of its database `meta`.
///
/// The catalogue says the same and more (`SegmentInfo`); this record lets a segment be checked against it,
/// and lets a catalogue be made anew from the files alone.
struct SegmentMeta: Hashable, Sendable {
    /// The version of the segment's layout that this code writes, and the only one it reads.
    static let version: UInt8 = 1

    /// The id of the log: the two halves of its UUID.
    var logID: (UInt64, UInt64)
    var positions: Range<UInt64>
    var count: Int
    var minTimestamp: Int64
    var maxTimestamp: Int64
    var uncompressedBytes: Int
    var dictionaryID: UInt32
    var dictionaryHash: UInt64
    var generation: UInt32
    var createdAt: Int64
    var blockCount: Int
    /// How the indexes are coded, in the order of `SegmentIndex.allCases`.
    var indexes: [IndexMeta]

    /// How one index is coded, and how much it holds.
    struct IndexMeta: Hashable, Sendable {
        var code: PostingsCode
        var entries: Int
        var pages: Int
    }

    static func == (left: Self, right: Self) -> Bool {
        left.encode() == right.encode()
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(self.encode())
    }

    func encode() -> [UInt8] {
        var writer = RecordWriter()
        writer.append(Self.version)
        writer.append(UInt8(self.indexes.count))
        writer.append(fixed: UInt16(0))
        writer.append(fixed: self.generation)
        writer.append(fixed: self.logID.0.bigEndian)
        writer.append(fixed: self.logID.1.bigEndian)
        writer.append(fixed: self.positions.lowerBound)
        writer.append(fixed: self.positions.upperBound)
        writer.append(fixed: UInt64(self.count))
        writer.append(fixed: self.minTimestamp)
        writer.append(fixed: self.maxTimestamp)
        writer.append(fixed: UInt64(self.uncompressedBytes))
        writer.append(fixed: self.createdAt)
        writer.append(fixed: self.dictionaryHash)
        writer.append(fixed: self.dictionaryID)
        writer.append(fixed: UInt32(self.blockCount))
        for index in self.indexes {
            let code = index.code
            writer.append(code.isGrouped ? 1 : 0)
            for part in [
                code.hashBits, code.blockBits, code.lowBits, code.lengthOrder, code.gapShift,
                code.countOrder,
            ] {
                writer.append(UInt8(part))
            }
            writer.append(UInt8(0))
            writer.append(fixed: UInt32(index.entries))
            writer.append(fixed: UInt32(index.pages))
        }
        return writer.bytes
    }
}

extension SegmentMeta {
    /// Reads the record and checks that its parts agree with each other.
    init(decoding bytes: UnsafeRawBufferPointer) throws(StorageError) {
        var reader = RecordReader(bytes)
        let version = reader.byte()
        guard version == Self.version else {
            throw StorageError(
                version > Self.version ? .unsupportedFormat : .corrupted,
                "the segment has format version \(version); this build reads version \(Self.version)")
        }
        let indexCount = Int(reader.byte())
        let flags = reader.fixed(UInt16.self)
        self.generation = reader.fixed(UInt32.self)
        self.logID.0 = UInt64(bigEndian: reader.fixed(UInt64.self))
        self.logID.1 = UInt64(bigEndian: reader.fixed(UInt64.self))
        let lower = reader.fixed(UInt64.self)
        let upper = reader.fixed(UInt64.self)
        let count = reader.fixed(UInt64.self)
        self.minTimestamp = reader.fixed(Int64.self)
        self.maxTimestamp = reader.fixed(Int64.self)
        let uncompressedBytes = reader.fixed(UInt64.self)
        self.createdAt = reader.fixed(Int64.self)
        self.dictionaryHash = reader.fixed(UInt64.self)
        self.dictionaryID = reader.fixed(UInt32.self)
        self.blockCount = Int(reader.fixed(UInt32.self))
        self.indexes = []
        for _ in 0..<indexCount { self.indexes.append(Self.readIndex(&reader)) }
        let limit = UInt64(1) << 62
        guard
            !reader.hasFailed, reader.remaining == 0, flags == 0, lower < upper, count <= upper - lower,
            count < limit, uncompressedBytes < limit, self.minTimestamp <= self.maxTimestamp,
            UInt64(self.blockCount) <= count, indexCount == SegmentIndex.allCases.count,
            (self.dictionaryID == 0) == (self.dictionaryHash == 0)
        else { throw Self.damaged }
        for (kind, index) in zip(SegmentIndex.allCases, self.indexes) {
            let code = index.code
            guard
                code.isGrouped == kind.isGrouped, (1...PostingsCode.maximumHashBits).contains(code.hashBits),
                code.blockBits == PostingsCode.bits(toNumber: self.blockCount),
                code.lowBits < PostingsCode.maximumHashBits, code.lengthOrder < 16, code.gapShift < 16,
                code.countOrder < 16, index.pages <= index.entries
            else { throw Self.damaged }
        }
        self.positions = lower..<upper
        self.count = Int(count)
        self.uncompressedBytes = Int(uncompressedBytes)
    }

    private static func readIndex(_ reader: inout RecordReader) -> IndexMeta {
        let isGrouped = reader.byte() == 1
        var code = PostingsCode(isGrouped: isGrouped, hashBits: Int(reader.byte()), blockBits: 0)
        code.blockBits = Int(reader.byte())
        code.lowBits = Int(reader.byte())
        code.lengthOrder = Int(reader.byte())
        code.gapShift = Int(reader.byte())
        code.countOrder = Int(reader.byte())
        if reader.byte() != 0 { reader.fail() }
        let entries = Int(reader.fixed(UInt32.self))
        return IndexMeta(code: code, entries: entries, pages: Int(reader.fixed(UInt32.self)))
    }

    private static var damaged: StorageError {
        StorageError(.corrupted, "what the segment says of itself does not hold together")
    }
}
