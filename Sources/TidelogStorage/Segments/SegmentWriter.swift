import Glibc

/// Writes a sealed segment: events come in by position, a complete and immutable file comes out.
///
/// Nothing is visible under the segment's name before ``finish(endPosition:)`` has returned; a crash leaves
/// at most a file whose name ends with `.tmp`. While it is being written an event costs 24 bytes of memory,
/// and 8 more for a moment at the end. After an error the segment is given up.
///
/// Not for several threads at once.
package final class SegmentWriter {
    /// Stored bytes after which a run of blocks is written: an LMDB value takes whole pages, and half a page
    /// of this is little.
    private static let runBytes = 512 << 10
    /// The most events in a block, so that small ones do not make blocks that take long to search.
    private static let blockEvents = 8_192

    /// Bytes of metadata and payloads that reading a single event decompresses.
    private static let groupBytes = 2 << 10

    private let firstPosition: UInt64
    private let generation: UInt32
    private let logID: (UInt64, UInt64)
    private let createdAt: Int64
    private let blockBytes: Int
    private let dictionary: CompressionDictionary?
    private let encoder: FrameEncoder
    private let file: SegmentFile
    private let fileName: String

    private var directory = BlockDirectory()
    private var run: [UInt8] = []
    private var runKey: UInt64 = 0
    private var streams = PostingsBuilder(isGrouped: SegmentIndex.stream.isGrouped)
    private var correlations = PostingsBuilder(isGrouped: SegmentIndex.correlation.isGrouped)
    private var ids = PostingsBuilder(isGrouped: SegmentIndex.id.isGrouped)
    private var transfer = FrameTransfer()
    private var types = TypeTable()
    private var nextPosition: UInt64
    private var count = 0
    private var minTimestamp = Int64.max
    private var maxTimestamp = Int64.min
    private var uncompressedBytes = 0
    private var isEnded = false

    /// What each part of the file took, for reports; complete after `finish`.
    package private(set) var sizes = Sizes()

    /// Bytes by part, LMDB's own overhead left out.
    package struct Sizes: Sendable {
        package var blocks = 0
        package var streams = 0
        package var correlations = 0
        package var ids = 0
        package var types = 0
        package var directory = 0
        package var dictionary = 0
    }

    /// Begins a segment.
    ///
    /// - Parameters:
    ///   - directory: where segments are kept.
    ///   - firstPosition: where the range that the segment covers begins; it names the file.
    ///   - generation: 0 when sealing; one more each time the range is written anew.
    ///   - dictionaryBytes: a zstd dictionary for the blocks; it becomes part of the file.
    ///   - logID: the two halves of the log's UUID.
    ///   - level: zstd's level.
    ///   - blockBytes: the bytes of metadata and payloads after which a block ends.
    /// - Throws: ``StorageError`` with code `alreadyExists` if there is a file of that name.
    package init(
        directory: String, firstPosition: UInt64, generation: UInt32, dictionaryBytes: [UInt8]?,
        logID: (UInt64, UInt64), level: Int32, blockBytes: Int = 16 << 10
    ) throws(StorageError) {
        self.firstPosition = firstPosition
        self.generation = generation
        self.logID = logID
        self.nextPosition = firstPosition
        self.blockBytes = blockBytes
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        self.createdAt = Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
        if let dictionaryBytes {
            self.dictionary = try CompressionDictionary(bytes: dictionaryBytes, level: level)
        } else {
            self.dictionary = nil
        }
        self.encoder = try FrameEncoder(
            level: level, dictionary: self.dictionary, groupBytes: Self.groupBytes)
        self.fileName = SegmentInfo.fileName(firstPosition: firstPosition, generation: generation)
        self.file = try SegmentFile(directory: directory, fileName: self.fileName)
        self.run.reserveCapacity(Self.runBytes + Self.runBytes / 4)
    }

    deinit {
        self.abandon()
    }

    /// Adds an event.
    ///
    /// - Throws: ``StorageError`` with code `invalidArgument` if its position is not after the one before.
    package func append(_ placed: PlacedRecord) throws(StorageError) {
        let record = placed.record
        try self.guarded { () throws(StorageError) in
            try self.checkPosition(placed.position)
            try self.encoder.append(record, position: placed.position, revision: placed.revision)
            let hashes = FrameTransfer.Hashes(
                id: record.id.hash64, correlation: record.correlation?.hash64 ?? 0)
            try self.added(
                placed.position, hashes, stream: record.stream.map { XXH64.hash($0) },
                type: self.types.number(of: record.type))
        }
    }

    /// Adds those events of a decoded frame for which `keep` is true: the fast way, in which no record is
    /// made of an event.
    ///
    /// - Parameter keep: is given the number of an event in the frame.
    package func append(
        contentsOf frame: FrameDecoder, where keep: (Int) -> Bool = { _ in true }
    ) throws(StorageError) {
        try self.append(contentsOf: frame, at: 0..<frame.count, where: keep)
    }

    /// Adds those events of a decoded frame whose numbers, ascending, are in `indices` and for which `keep`
    /// is true.
    package func append(
        contentsOf frame: FrameDecoder, at indices: some Sequence<Int>,
        where keep: (Int) -> Bool = { _ in true }
    ) throws(StorageError) {
        if frame.count == 0 { return }
        try self.guarded { () throws(StorageError) in
            try self.transfer.begin(frame)
            var types = [Int](repeating: -1, count: frame.distinctCount(.type))
            let streams = (0..<frame.distinctCount(.stream)).map { code in
                frame.withDistinctText(.stream, code) { text in text.map { XXH64.hash($0) } }
            }
            for index in indices where keep(index) {
                let position = frame.position(index)
                try self.checkPosition(position)
                let hashes = try self.transfer.append(index, of: frame, to: self.encoder)
                let type = frame.code(.type, index)
                if types[type] < 0 {
                    types[type] = self.types.number(of: frame.distinctText(.type, type) ?? "")
                }
                try self.added(
                    position, hashes, stream: streams[frame.code(.stream, index)], type: types[type])
            }
        }
    }

    @inline(__always)
    private func checkPosition(_ position: UInt64) throws(StorageError) {
        if self.isEnded { try self.requireOpen() }
        guard position >= self.nextPosition, position < .max else {
            throw StorageError(
                .invalidArgument,
                "position \(position) cannot follow in a segment that goes on at \(self.nextPosition)")
        }
    }

    /// Notes what the indexes keep of the event that the encoder was given last.
    @inline(__always)
    private func added(
        _ position: UInt64, _ hashes: FrameTransfer.Hashes, stream: UInt64?, type: Int
    ) throws(StorageError) {
        let block = self.directory.blocks.count
        self.ids.add(hash: hashes.id, block: block)
        if hashes.correlation != 0 { self.correlations.add(hash: hashes.correlation, block: block) }
        if let stream { self.streams.add(hash: stream, block: block) }
        self.types.add(type)
        self.nextPosition = position + 1
        self.count += 1
        if self.encoder.pendingBytes >= self.blockBytes || self.encoder.count >= Self.blockEvents {
            try self.endBlock()
        }
    }

    /// Writes what is left, the indexes and the file's own record, and gives the file its name.
    ///
    /// - Parameter endPosition: where the range that the segment covers ends; at least one after the last
    ///   event.
    /// - Returns: what the catalogue is to keep.
    package func finish(endPosition: UInt64) throws(StorageError) -> SegmentInfo {
        try self.requireOpen()
        guard endPosition > self.firstPosition, endPosition >= self.nextPosition else {
            throw StorageError(
                .invalidArgument,
                "a segment from \(self.firstPosition) on with events below \(self.nextPosition) cannot "
                    + "end at \(endPosition)")
        }
        var info: SegmentInfo?
        try self.guarded { () throws(StorageError) in
            if self.encoder.count > 0 { try self.endBlock() }
            try self.flushRun()
            let meta = try self.writeIndexes(endPosition: endPosition)
            // What opening needs stands together at the end of the file.
            let directory = self.directory.encode(from: self.firstPosition)
            self.sizes.directory = directory.count
            try self.file.put(.meta, key: SegmentKey.blocks, value: directory)
            if let dictionary {
                try self.file.put(.meta, key: SegmentKey.dictionary, value: dictionary.bytes)
                self.sizes.dictionary = dictionary.bytes.count
            }
            try self.file.put(.meta, key: SegmentKey.segment, value: meta.encode())
            let (bytes, digest, pagesDigest) = try self.file.complete()
            self.isEnded = true
            info = SegmentInfo(meta, fileBytes: bytes, digest: digest, pagesDigest: pagesDigest)
        }
        guard let info else { throw StorageError(.closed, "the segment was given up") }
        return info
    }

    /// Gives the segment up and removes its temporary file. Does nothing after `finish` or an error.
    package func abandon() {
        if self.isEnded { return }
        self.isEnded = true
        self.file.abandon()
    }

    private func requireOpen() throws(StorageError) {
        guard !self.isEnded else {
            throw StorageError(.closed, "the segment was finished or given up", path: self.fileName)
        }
    }

    /// Gives the segment up if `body` throws.
    private func guarded(_ body: () throws(StorageError) -> Void) throws(StorageError) {
        do throws(StorageError) { try body() } catch {
            self.abandon()
            throw error
        }
    }
}

extension SegmentWriter {
    /// Compresses the events that wait into a block and adds it to the run.
    private func endBlock() throws(StorageError) {
        let frame = try self.encoder.finishPlaced()
        self.transfer.forget()
        let header = try frame.span.bytes.withUnsafeBytes { bytes throws(StorageError) in
            try FrameHeader.parse(bytes, expectedFirstPosition: nil)
        }
        let number = self.directory.blocks.count
        guard number < 1 << PostingsCode.maximumBlockBits else {
            throw StorageError(.limitExceeded, "a segment has at most 2^24 blocks")
        }
        let padding = BlockDirectory.aligned(self.run.count) - self.run.count
        self.run.append(contentsOf: repeatElement(0, count: padding))
        if self.run.isEmpty { self.runKey = header.firstPosition }
        self.directory.append(
            SegmentBlock(
                number: number, firstPosition: header.firstPosition, lastPosition: header.lastPosition,
                count: header.count, minTimestamp: header.minTimestamp, maxTimestamp: header.maxTimestamp,
                run: self.runKey, offset: self.run.count, byteCount: frame.count))
        self.run.append(contentsOf: frame)
        self.types.endBlock(number)
        self.minTimestamp = min(self.minTimestamp, header.minTimestamp)
        self.maxTimestamp = max(self.maxTimestamp, header.maxTimestamp)
        self.uncompressedBytes += header.envelopePlainBytes + header.bodyPlainBytes
        self.sizes.blocks += frame.count
        if self.run.count >= Self.runBytes { try self.flushRun() }
    }

    private func flushRun() throws(StorageError) {
        guard !self.run.isEmpty else { return }
        try self.file.putRun(key: self.runKey, self.run)
        self.run.removeAll(keepingCapacity: true)
    }

    /// Writes everything in the database `index`, in the order of its keys.
    private func writeIndexes(endPosition: UInt64) throws(StorageError) -> SegmentMeta {
        let blockCount = self.directory.blocks.count
        let correlations = try self.writeIndex(.correlation, &self.correlations, &self.sizes.correlations)
        let ids = try self.writeIndex(.id, &self.ids, &self.sizes.ids)
        let streams = try self.writeIndex(.stream, &self.streams, &self.sizes.streams)
        try self.types.forEachPage(blockCount: blockCount) { first, page throws(StorageError) in
            try self.file.put(.index, key: SegmentKey.types(from: first), value: page)
            self.sizes.types += page.count + CheckedValue.checksumBytes
        }
        return SegmentMeta(
            logID: self.logID, positions: self.firstPosition..<endPosition, count: self.count,
            minTimestamp: self.count > 0 ? self.minTimestamp : 0,
            maxTimestamp: self.count > 0 ? self.maxTimestamp : 0,
            uncompressedBytes: self.uncompressedBytes, dictionaryID: self.dictionary?.id ?? 0,
            dictionaryHash: self.dictionary?.hash ?? 0, generation: self.generation,
            createdAt: self.createdAt, blockCount: blockCount,
            indexes: [streams, correlations, ids])
    }

    /// Writes the pages of one index.
    private func writeIndex(
        _ kind: SegmentIndex, _ builder: inout PostingsBuilder, _ size: inout Int
    ) throws(StorageError) -> SegmentMeta.IndexMeta {
        var pages = 0
        var bytes = 0
        let (code, entries) = try builder.finish(blockCount: self.directory.blocks.count) {
            firstKey, page throws(StorageError) in
            try self.file.put(.index, key: SegmentKey.page(kind, firstKey: firstKey), value: page)
            pages += 1
            bytes += page.count + CheckedValue.checksumBytes
        }
        size = bytes
        return SegmentMeta.IndexMeta(code: code, entries: entries, pages: pages)
    }
}

extension SegmentInfo {
    /// What the catalogue keeps, from what the segment says of itself and what its file turned out to be.
    init(_ meta: SegmentMeta, fileBytes: Int, digest: UInt64, pagesDigest: UInt64) {
        self.init(
            fileName: Self.fileName(firstPosition: meta.positions.lowerBound, generation: meta.generation),
            positions: meta.positions, count: meta.count, minTimestamp: meta.minTimestamp,
            maxTimestamp: meta.maxTimestamp, fileBytes: fileBytes,
            uncompressedBytes: meta.uncompressedBytes, digest: digest, pagesDigest: pagesDigest,
            dictionaryID: meta.dictionaryID,
            dictionaryHash: meta.dictionaryHash, generation: meta.generation, createdAt: meta.createdAt)
    }
}
