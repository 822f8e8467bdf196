/// What the first bytes of a frame say about it.
package struct FrameHeader: Sendable, Hashable {
    /// The position of the first event.
    package internal(set) var firstPosition: UInt64 = 0
    /// The position of the last event.
    package internal(set) var lastPosition: UInt64 = 0
    /// How many events there are; at least one.
    package internal(set) var count = 0
    /// Whether there are gaps between the positions.
    package internal(set) var isSparse = false
    /// Whether the revisions stand in the envelope and not in the revision table.
    package internal(set) var hasPlacedRevisions = false
    /// The dictionary that the groups need; 0 for none.
    package internal(set) var dictionaryID: UInt32 = 0
    /// The smallest timestamp.
    package internal(set) var minTimestamp: Int64 = 0
    /// The largest timestamp.
    package internal(set) var maxTimestamp: Int64 = 0
    /// The bytes of directory and chunks as they stand.
    package internal(set) var envelopeBytes = 0
    /// The bytes of the chunks, unpacked.
    package internal(set) var envelopePlainBytes = 0
    /// The bytes of the groups as they stand.
    package internal(set) var bodyBytes = 0
    /// The bytes of metadata and payloads.
    package internal(set) var bodyPlainBytes = 0
    /// How many groups the metadata and payloads are in.
    package internal(set) var groupCount = 0
    /// The bytes of one number of the revision table: 0 (all are zero), 1, 2, 4 or 8.
    var revisionWidth = 0
    /// The numbers in the revision table: one for each distinct stream.
    var revisionCount = 0
    /// The checksum of directory and chunks.
    var envelopeChecksum: UInt64 = 0

    init() {}

    /// The bytes of header and revision table.
    var prefixBytes: Int { FrameFormat.headerBytes + self.revisionWidth * self.revisionCount }

    /// The bytes of the whole frame.
    package var frameBytes: Int { self.prefixBytes + self.envelopeBytes + self.bodyBytes }

    /// Reads the header of the frame in `bytes` and checks its checksum, its sizes, and nothing else.
    ///
    /// - Parameter expectedFirstPosition: where the frame was found, if that is known; another position in
    ///   the header means that the frame was misplaced.
    /// - Throws: ``StorageError`` with code `corrupted`, or `unsupportedFormat` for a newer version.
    package static func parse(
        _ bytes: UnsafeRawBufferPointer, expectedFirstPosition: UInt64?
    ) throws(StorageError) -> FrameHeader {
        typealias Offset = FrameFormat.Offset
        func damaged(_ what: String) -> StorageError {
            corruptedFrame(what, first: expectedFirstPosition)
        }
        guard bytes.count >= FrameFormat.headerBytes, let start = bytes.baseAddress else {
            throw damaged("\(bytes.count) bytes are too few for a header")
        }
        guard start.littleEndian(UInt32.self, at: Offset.magic) == FrameFormat.magic else {
            throw damaged("it does not begin like one")
        }
        let version = start.littleEndian(UInt16.self, at: Offset.version)
        guard version == FrameFormat.version else {
            throw StorageError(
                .unsupportedFormat,
                "the frame\(expectedFirstPosition.map { " at position \($0)" } ?? "") has format version "
                    + "\(version), and this software reads version \(FrameFormat.version); use a newer one")
        }
        guard Int(start.littleEndian(UInt16.self, at: Offset.headerBytes)) == FrameFormat.headerBytes else {
            throw damaged("the size of its header is wrong")
        }
        var header = FrameHeader()
        header.revisionWidth = Int(start.littleEndian(UInt8.self, at: Offset.revisionWidth))
        header.revisionCount = Int(start.littleEndian(UInt32.self, at: Offset.revisionCount))
        guard
            [0, 1, 2, 4, 8].contains(header.revisionWidth),
            header.revisionCount <= FrameFormat.maximumEvents, header.prefixBytes <= bytes.count
        else { throw damaged("its revision table does not fit") }
        guard
            FrameHeader.checksum(UnsafeRawBufferPointer(start: start, count: header.prefixBytes))
                == start.littleEndian(UInt64.self, at: Offset.headerChecksum)
        else { throw damaged("the checksum of its header is wrong") }
        header.read(start)
        let flags = start.littleEndian(UInt16.self, at: Offset.flags)
        guard
            flags & ~(FrameFormat.Flag.sparse | FrameFormat.Flag.placedRevisions) == 0,
            start.littleEndian(UInt8.self, at: Offset.codec) == FrameFormat.codecZstd,
            start.littleEndian(UInt32.self, at: Offset.reserved) == 0
        else { throw damaged("its flags or its codec are unknown") }
        try header.check(bytes.count, expectedFirstPosition)
        return header
    }

    /// The id of the dictionary that the frame at the beginning of `bytes` refers to; 0 for none, or for too few
    /// bytes. Nothing of it is checked.
    static func dictionaryID(of bytes: UnsafeRawBufferPointer) -> UInt32 {
        guard bytes.count >= FrameFormat.headerBytes, let start = bytes.baseAddress else { return 0 }
        return start.littleEndian(UInt32.self, at: FrameFormat.Offset.dictionaryID)
    }

    private mutating func read(_ start: UnsafeRawPointer) {
        typealias Offset = FrameFormat.Offset
        let flags = start.littleEndian(UInt16.self, at: Offset.flags)
        self.firstPosition = start.littleEndian(UInt64.self, at: Offset.firstPosition)
        self.lastPosition = start.littleEndian(UInt64.self, at: Offset.lastPosition)
        self.count = Int(start.littleEndian(UInt32.self, at: Offset.count))
        self.isSparse = flags & FrameFormat.Flag.sparse != 0
        self.hasPlacedRevisions = flags & FrameFormat.Flag.placedRevisions != 0
        self.dictionaryID = start.littleEndian(UInt32.self, at: Offset.dictionaryID)
        self.minTimestamp = start.littleEndian(Int64.self, at: Offset.minTimestamp)
        self.maxTimestamp = start.littleEndian(Int64.self, at: Offset.maxTimestamp)
        self.envelopeBytes = Int(start.littleEndian(UInt32.self, at: Offset.envelopeBytes))
        self.envelopePlainBytes = Int(start.littleEndian(UInt32.self, at: Offset.envelopePlainBytes))
        self.bodyBytes = Int(start.littleEndian(UInt32.self, at: Offset.bodyBytes))
        self.bodyPlainBytes = Int(start.littleEndian(UInt32.self, at: Offset.bodyPlainBytes))
        self.groupCount = Int(start.littleEndian(UInt32.self, at: Offset.groupCount))
        self.envelopeChecksum = start.littleEndian(UInt64.self, at: Offset.envelopeChecksum)
    }

    private func check(_ byteCount: Int, _ expected: UInt64?) throws(StorageError) {
        if let expected, expected != self.firstPosition {
            throw corruptedFrame(
                "it says that it belongs at position \(self.firstPosition)", first: expected)
        }
        guard self.count >= 1, self.count <= FrameFormat.maximumEvents else {
            throw corruptedFrame("\(self.count) events are more or fewer than it may hold", first: expected)
        }
        let (last, overflow) = self.firstPosition.addingReportingOverflow(UInt64(self.count - 1))
        guard
            !overflow, self.lastPosition < .max,
            self.isSparse ? self.lastPosition >= last : self.lastPosition == last
        else { throw corruptedFrame("its range of positions is impossible", first: expected) }
        guard
            self.minTimestamp <= self.maxTimestamp, self.frameBytes == byteCount,
            self.bodyPlainBytes <= FrameFormat.maximumBodyBytes,
            self.groupCount >= 1, self.groupCount <= FrameFormat.maximumTypes + 2,
            !self.hasPlacedRevisions || self.revisionCount == 0
        else {
            throw corruptedFrame(
                "its sizes do not match its \(byteCount) bytes", first: self.firstPosition,
                last: self.lastPosition)
        }
    }

    /// The checksum over header and revision table: seeded by the first eight bytes, over all bytes behind
    /// the checksum itself.
    static func checksum(_ prefix: UnsafeRawBufferPointer) -> UInt64 {
        guard let start = prefix.baseAddress, prefix.count >= FrameFormat.headerBytes else { return 0 }
        return XXH64.hash(
            UnsafeRawBufferPointer(start: start + 16, count: prefix.count - 16),
            seed: start.littleEndian(UInt64.self, at: 0))
    }

    /// Writes the fields to `start`, the checksum left out.
    func write(to start: UnsafeMutableRawPointer) {
        typealias Offset = FrameFormat.Offset
        var flags: UInt16 = 0
        if self.isSparse { flags |= FrameFormat.Flag.sparse }
        if self.hasPlacedRevisions { flags |= FrameFormat.Flag.placedRevisions }
        start.store(FrameFormat.magic, at: Offset.magic)
        start.store(FrameFormat.version, at: Offset.version)
        start.store(UInt16(FrameFormat.headerBytes), at: Offset.headerBytes)
        start.store(self.firstPosition, at: Offset.firstPosition)
        start.store(self.lastPosition, at: Offset.lastPosition)
        start.store(UInt32(truncatingIfNeeded: self.count), at: Offset.count)
        start.store(flags, at: Offset.flags)
        start.store(UInt8(truncatingIfNeeded: self.revisionWidth), at: Offset.revisionWidth)
        start.store(FrameFormat.codecZstd, at: Offset.codec)
        start.store(UInt32(truncatingIfNeeded: self.revisionCount), at: Offset.revisionCount)
        start.store(self.dictionaryID, at: Offset.dictionaryID)
        start.store(self.minTimestamp, at: Offset.minTimestamp)
        start.store(self.maxTimestamp, at: Offset.maxTimestamp)
        start.store(UInt32(truncatingIfNeeded: self.envelopeBytes), at: Offset.envelopeBytes)
        start.store(UInt32(truncatingIfNeeded: self.envelopePlainBytes), at: Offset.envelopePlainBytes)
        start.store(UInt32(truncatingIfNeeded: self.bodyBytes), at: Offset.bodyBytes)
        start.store(UInt32(truncatingIfNeeded: self.bodyPlainBytes), at: Offset.bodyPlainBytes)
        start.store(UInt32(truncatingIfNeeded: self.groupCount), at: Offset.groupCount)
        start.store(UInt32(0), at: Offset.reserved)
        start.store(self.envelopeChecksum, at: Offset.envelopeChecksum)
    }
}

extension UnsafeRawPointer {
    /// The little-endian number at `offset`, which need not be aligned.
    @inline(__always)
    func littleEndian<Number: FixedWidthInteger & BitwiseCopyable>(
        _ type: Number.Type, at offset: Int
    ) -> Number {
        Number(littleEndian: (self + offset).loadUnaligned(as: Number.self))
    }
}

extension UnsafeMutableRawPointer {
    /// Writes `number` in little-endian order at `offset`, which need not be aligned.
    @inline(__always)
    func store<Number: FixedWidthInteger & BitwiseCopyable>(_ number: Number, at offset: Int) {
        (self + offset).storeBytes(of: number.littleEndian, as: Number.self)
    }
}
