/// The frame that a ``FrameDecoder`` holds, and the memory that it reuses from frame to frame.
///
/// Nothing here trusts the bytes: a chunk is read through a ``ByteReader`` or with a length checked before,
/// arithmetic on what was read wraps, and a result is believed only after the checks that follow it. The
/// state stands behind a pointer, which keeps checks for exclusive access out of the loops.
struct DecoderState: ~Copyable {
    /// Where a chunk stands, and where it was unpacked to.
    struct ChunkEntry: BitwiseCopyable {
        var storedStart = 0
        var storedCount = 0
        var plainStart = 0
        var plainCount = 0
        var isCompressed = false
        var isUnpacked = false
    }

    var header = FrameHeader()
    /// How many events are loaded; 0 if no frame is.
    var count = 0
    /// The parts that are unpacked and checked.
    var parts: FrameParts = []
    /// Where the frame's bytes stand: in `frame`, or where the caller lends them.
    var source: UnsafePointer<UInt8>
    /// A copy of the frame's bytes, up to the end of the envelope or of the bodies.
    var frame = Numbers<UInt8>(capacity: 1 << 12)
    var hasBodies = false
    /// Chunks that were compressed.
    var plain = Numbers<UInt8>(capacity: 1 << 12)
    var chunks = Numbers<ChunkEntry>()
    // Never changed; `let` here makes Swift 6.3 fail under Thread Sanitizer (an invalid bitcast).
    private(set) var columns: UnsafeMutablePointer<DecodedColumn>
    var positions = Numbers<UInt64>()
    var timestamps = Numbers<Int64>()
    var revisions = Numbers<UInt64>()
    /// The distinct correlation ids, the distinct causation ids, the event ids.
    private(set) var identifiers: UnsafeMutablePointer<DecodedIdentifiers>
    /// The event ids.
    var ids: UnsafeMutablePointer<DecodedIdentifiers> { self.identifiers + 2 }
    var schemaVersions = Numbers<UInt32>()
    var metadataLengths = Numbers<UInt32>()
    var payloadLengths = Numbers<UInt32>()
    /// Where each event's metadata begin in `body`.
    var metadataStarts = Numbers<UInt32>()
    /// Where each event's payload begins in `body`.
    var payloadStarts = Numbers<UInt32>()
    var groups = Numbers<GroupEntry>()
    /// How metadata and payloads are laid out, as `FrameFormat.Layout` says.
    var layout = FrameFormat.Layout.together
    /// For each event its group, if groups hold consecutive events.
    var groupOfEvent = Numbers<UInt32>()
    /// For each distinct type its group, if there are several.
    var groupOfType = Numbers<UInt32>()
    /// The rest of the groups' chunk: which type is in which.
    var groupMap: ByteReader?
    /// Room for where the next event of each group begins.
    var cursors = Numbers<Int>()
    /// Room for the lengths, and for the bytes, of a packed list of texts.
    var textNumbers = Numbers<UInt8>()
    var textScratch = Numbers<UInt8>()
    /// Room for a list of numbers.
    var values = Numbers<UInt64>()
    /// Room for the next revision of each stream.
    var nextRevisions = Numbers<UInt64>()
    /// All groups, one after the other; those that were asked for are unpacked.
    var body = Numbers<UInt8>(capacity: 1 << 12)
    /// Owned copies of groups that records share.
    var sharedGroups: [[UInt8]] = []
    var dictionary: CompressionDictionary?
    /// The bytes of text rebuilt so far, which are limited.
    var textBytes = 0
    /// How many groups were decompressed since the decoder was made.
    var unpackedGroups = 0
    let decompressor = Decompressor()

    init() {
        self.source = UnsafePointer(self.frame.base)
        let count = FrameColumn.allCases.count
        self.columns = .allocate(capacity: count)
        for index in 0..<count { (self.columns + index).initialize(to: DecodedColumn()) }
        self.identifiers = .allocate(capacity: 3)
        for index in 0..<3 { (self.identifiers + index).initialize(to: DecodedIdentifiers()) }
    }

    deinit {
        self.columns.deinitialize(count: FrameColumn.allCases.count)
        self.columns.deallocate()
        self.identifiers.deinitialize(count: 3)
        self.identifiers.deallocate()
    }

    /// The distinct identifiers of a column of them.
    @inline(__always)
    func identifiers(of column: FrameColumn) -> UnsafeMutablePointer<DecodedIdentifiers> {
        column == .correlation ? self.identifiers : self.identifiers + 1
    }

    /// The error for this frame.
    @inline(never)
    func damaged(_ what: String) -> StorageError {
        corruptedFrame(what, first: self.header.firstPosition, last: self.header.lastPosition)
    }

    /// Forgets the frame, and gives memory back if the frame was far larger than usual.
    mutating func unload() {
        self.count = 0
        self.parts = []
        self.hasBodies = false
        self.dictionary = nil
        self.textBytes = 0
        self.sharedGroups.removeAll(keepingCapacity: true)
        for index in 0..<FrameColumn.allCases.count { self.columns[index].clear() }
        for index in 0..<3 { self.identifiers[index].clear() }
        self.positions.clear(keeping: 1 << 16)
        self.timestamps.clear(keeping: 1 << 16)
        self.revisions.clear(keeping: 1 << 16)
        self.schemaVersions.clear(keeping: 1 << 16)
        self.metadataLengths.clear(keeping: 1 << 16)
        self.payloadLengths.clear(keeping: 1 << 16)
        self.metadataStarts.clear(keeping: 1 << 16)
        self.payloadStarts.clear(keeping: 1 << 16)
        self.groupOfEvent.clear(keeping: 1 << 16)
        self.values.clear(keeping: 1 << 16)
        self.nextRevisions.clear(keeping: 1 << 16)
        self.textNumbers.clear(keeping: 1 << 16)
        self.textScratch.clear(keeping: 1 << 18)
        self.frame.clear(keeping: 1 << 20)
        self.source = UnsafePointer(self.frame.base)
        self.plain.clear(keeping: 1 << 20)
        self.body.clear(keeping: 1 << 21)
    }

    /// Takes over the frame in `bytes`: checks the envelope's checksum and reads the directory.
    mutating func load(
        _ bytes: UnsafeRawBufferPointer, header: FrameHeader, withBodies: Bool, copies: Bool,
        maximumBodyBytes: Int
    ) throws(StorageError) {
        self.header = header
        guard header.bodyPlainBytes <= maximumBodyBytes else {
            throw self.damaged(
                "it claims \(header.bodyPlainBytes) bytes of metadata and payloads, and \(maximumBodyBytes) "
                    + "are allowed")
        }
        guard header.envelopePlainBytes <= FrameFormat.maximumEnvelopeBytes else {
            throw self.damaged("it claims an envelope of \(header.envelopePlainBytes) bytes")
        }
        let envelopeEnd = header.prefixBytes + header.envelopeBytes
        if copies {
            let kept = withBodies ? bytes.count : envelopeEnd
            self.frame.append(UnsafeRawBufferPointer(rebasing: bytes[0..<kept]))
            self.source = UnsafePointer(self.frame.base)
        } else if let start = bytes.baseAddress {
            self.source = start.assumingMemoryBound(to: UInt8.self)
        }
        let envelope = UnsafeRawBufferPointer(
            start: self.source + header.prefixBytes, count: header.envelopeBytes)
        guard XXH64.hash(envelope) == header.envelopeChecksum else {
            throw self.damaged("the checksum of its envelope is wrong")
        }
        self.hasBodies = withBodies
        try self.readDirectory(envelope)
        self.count = header.count
        if header.isSparse { try self.readPositions() }
        try self.readGroups()
    }

    private mutating func readDirectory(_ envelope: UnsafeRawBufferPointer) throws(StorageError) {
        guard let start = envelope.baseAddress else { throw self.damaged("it has no envelope") }
        var reader = ByteReader(start.assumingMemoryBound(to: UInt8.self), count: envelope.count)
        let chunkCount = FrameFormat.Chunk.allCases.count
        self.chunks.resize(chunkCount)
        var plainTotal = 0
        var unpackedEnd = 0
        for index in 0..<chunkCount {
            let size = reader.varint()
            var entry = ChunkEntry()
            guard size &>> 1 <= UInt64(envelope.count) else {
                throw self.damaged("chunk \(index) of its envelope is too long")
            }
            entry.storedCount = Int(size &>> 1)
            entry.isCompressed = size & 1 != 0
            entry.plainCount = entry.storedCount
            if entry.isCompressed {
                entry.plainCount = reader.size(atMost: FrameFormat.maximumEnvelopeBytes)
                entry.plainStart = unpackedEnd
                unpackedEnd += entry.plainCount + padding
            }
            plainTotal += entry.plainCount
            self.chunks[index] = entry
        }
        var offset = self.header.prefixBytes + (envelope.count - reader.remaining)
        for index in 0..<chunkCount {
            self.chunks.base[index].storedStart = offset
            offset += self.chunks[index].storedCount
        }
        guard
            !reader.isBroken, offset == self.header.prefixBytes + envelope.count,
            plainTotal == self.header.envelopePlainBytes
        else { throw self.damaged("the directory of its envelope does not add up") }
        self.plain.resize(unpackedEnd)
    }

    /// The bytes of a chunk, decompressed at the first use. They stay where they are until the next load.
    mutating func chunk(_ chunk: FrameFormat.Chunk) throws(StorageError) -> UnsafeRawBufferPointer {
        let index = chunk.rawValue
        let entry = self.chunks[index]
        let stored = UnsafeRawBufferPointer(
            start: self.source + entry.storedStart, count: entry.storedCount)
        guard entry.isCompressed else { return stored }
        let target = UnsafeMutableRawBufferPointer(
            start: self.plain.base + entry.plainStart, count: entry.plainCount)
        if !entry.isUnpacked {
            do {
                try self.decompressor.decompress(stored, into: target, dictionary: nil)
            } catch {
                throw self.damaged("\(chunk) cannot be decompressed (\(error.message))")
            }
            self.chunks.base[index].isUnpacked = true
        }
        return UnsafeRawBufferPointer(target)
    }

    /// A reader over a chunk.
    mutating func reader(_ chunk: FrameFormat.Chunk) throws(StorageError) -> ByteReader {
        let bytes = try self.chunk(chunk)
        let start = bytes.baseAddress ?? UnsafeRawPointer(self.source)
        return ByteReader(start.assumingMemoryBound(to: UInt8.self), count: bytes.count)
    }

    /// Unpacks those of `parts`, and what they need, that are not unpacked yet.
    mutating func require(_ wanted: FrameParts) throws(StorageError) {
        var wanted = wanted
        if wanted.contains(.revisions) { wanted.insert(.streams) }
        if wanted.contains(.ids) || wanted.contains(.column(.correlation))
            || wanted.contains(.column(.causation))
        {
            wanted.formUnion([.timestamps, .ids])
        }
        if wanted.contains(.bodies), self.hasGroupsByType { wanted.insert(.types) }
        wanted.subtract(self.parts)
        if wanted.contains(.timestamps) { try self.readTimestamps() }
        if wanted.contains(.ids) { try self.readIDs() }
        for column in FrameColumn.allCases where wanted.contains(.column(column)) {
            try self.readColumn(column)
        }
        if wanted.contains(.revisions) { try self.readRevisions() }
        if wanted.contains(.schemaVersions) { try self.readSchemaVersions() }
        if wanted.contains(.bodies) { try self.readBodies() }
        self.parts.formUnion(wanted)
    }
}
