/// An open sealed segment: its blocks and what finds them.
///
/// Nothing changes the file. What is read of it is checked first: its pages against a table of digests, frames
/// and pages of indexes against checksums of their own. Any number of threads may read at once. Bytes are lent
/// inside closures. The file is closed with the last reference, also when its name was removed before.
package final class Segment: Sendable {
    /// The catalogue's record that this was opened by.
    package let info: SegmentInfo
    /// Where the file was opened.
    package let path: String
    /// What the blocks were compressed with, if anything.
    package let dictionary: CompressionDictionary?
    let meta: SegmentMeta
    let directory: BlockDirectory
    /// Where each block begins in the file, if it is there.
    private let starts: [Int?]
    let file: SegmentReader

    init(info: SegmentInfo, meta: SegmentMeta, file: SegmentReader) throws(StorageError) {
        self.info = info
        self.path = file.path
        self.file = file
        self.meta = meta
        self.dictionary = try file.dictionary(meta)
        self.directory = try file.blockDirectory(meta)
        self.starts = try file.blockStarts(self.directory)
    }

    // MARK: - Blocks

    /// The blocks in order, with their positions, counts and times: what finds events by time without opening
    /// a block.
    package var blocks: [SegmentBlock] { self.directory.blocks }

    /// The block that holds `position` or, if none does, the first one after it.
    package func block(atOrAfter position: UInt64) -> SegmentBlock? {
        let number = self.directory.firstBlock(atOrAfter: position)
        return number < self.blocks.count ? self.blocks[number] : nil
    }

    /// The block whose range of positions has `position` in it. In a compacted segment the event may still
    /// be gone.
    package func block(containing position: UInt64) -> SegmentBlock? {
        guard let block = self.block(atOrAfter: position), block.firstPosition <= position else { return nil }
        return block
    }

    /// The block that holds `position` or, if none does, the last one before it.
    package func block(atOrBefore position: UInt64) -> SegmentBlock? {
        let number = self.directory.firstBlock(atOrAfter: position)
        if number < self.blocks.count, self.blocks[number].firstPosition <= position {
            return self.blocks[number]
        }
        return number > 0 ? self.blocks[number - 1] : nil
    }

    /// Runs `body` with the frame of a block, which is valid until it returns.
    package func withBlock<Result>(
        _ number: Int, _ body: (UnsafeRawBufferPointer) throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        do throws(StorageError) {
            let result = try body(try self.frame(number))
            withExtendedLifetime(self) {}
            return result
        } catch {
            throw SegmentReader.located(error, self.path)
        }
    }

    /// Gives the frames of blocks to `body`, with the position of their first event, until it returns false.
    ///
    /// The bytes are those of the mapped file and valid until `body` returns.
    ///
    /// - Parameters:
    ///   - position: begins at the block that holds it or, if none does, at the next one in `direction`.
    ///   - body: must not close the log or wait for other work.
    package func forEachBlock(
        from position: UInt64, direction: ScanDirection = .forwards,
        _ body: (_ frame: UnsafeRawBufferPointer, _ firstPosition: UInt64) throws(StorageError) -> Bool
    ) throws(StorageError) {
        let step = direction == .forwards ? 1 : -1
        let start =
            direction == .forwards ? self.block(atOrAfter: position) : self.block(atOrBefore: position)
        guard var number = start?.number else { return }
        var goesOn = true
        var ahead = 0..<0
        while goesOn, self.blocks.indices.contains(number) {
            self.readAhead(of: number, direction, &ahead)
            goesOn = try self.withBlock(number) { frame throws(StorageError) in
                try body(frame, self.blocks[number].firstPosition)
            }
            number += step
        }
    }

    /// Bytes that are read ahead of a scan; the next ones are asked for once half of them have been used.
    private static let aheadBytes = 1 << 20

    private func readAhead(of number: Int, _ direction: ScanDirection, _ ahead: inout Range<Int>) {
        guard let start = self.starts[number], !ahead.contains(start) else { return }
        let end = start + self.blocks[number].byteCount
        let half = Self.aheadBytes / 2
        if direction == .forwards {
            self.file.pages.prefetch(start..<end + Self.aheadBytes)
            ahead = start..<start + half
        } else {
            self.file.pages.prefetch(max(0, start - Self.aheadBytes)..<end)
            ahead = max(0, start - half)..<start + 1
        }
    }

    private func frame(_ number: Int) throws(StorageError) -> UnsafeRawBufferPointer {
        let block = self.blocks[number]
        guard let start = self.starts[number] else {
            throw StorageError(
                .corrupted, "block \(block.number) lies outside of its run, or its run is missing",
                path: self.path, positions: block.firstPosition..<block.lastPosition + 1)
        }
        return self.file.pages.bytes(start..<start + block.byteCount)
    }

    /// The most blocks of a segment that are worth reading ahead, all at once.
    static let prefetchedBlocks = 256

    /// Asks the kernel to read blocks ahead, all at once; each once.
    func prefetch(_ numbers: [Int]) {
        for number in numbers {
            guard let start = self.starts[number] else { continue }
            self.file.pages.prefetchOnce(start..<start + self.blocks[number].byteCount)
        }
    }

    /// The dictionary that a frame of this segment names: what `FrameDecoder.load` asks for.
    package func dictionary(id: UInt32) throws(StorageError) -> CompressionDictionary {
        guard let dictionary, dictionary.id == id else {
            throw StorageError(
                .corrupted, "a block needs the dictionary \(id), which the segment does not have",
                path: self.path, positions: self.info.positions)
        }
        return dictionary
    }
}

// MARK: - Indexes

extension Segment {
    /// The blocks that may hold events of a stream, ascending, each with the number of such events.
    ///
    /// Another stream may share the entry, about once in 4,096 times: compare names in the block. Empty if
    /// the segment has no event of the stream.
    ///
    /// - Complexity: one B-tree seek and a page of about 2 KB; some microseconds.
    package func streamPostings(_ name: String) throws(StorageError) -> [BlockPosting] {
        try self.streamPostings(hash: XXH64.hash(name))
    }

    /// The same by XXH64, seed 0, of the stream's name.
    package func streamPostings(hash: UInt64) throws(StorageError) -> [BlockPosting] {
        try self.lookup(.stream, hash)
    }

    /// The blocks that may hold events with a correlation id, ascending, each with the number of such events.
    ///
    /// What is said of ``streamPostings(_:)`` holds here too.
    package func correlationPostings(_ id: Identifier) throws(StorageError) -> [BlockPosting] {
        try self.lookup(.correlation, id.hash64)
    }

    /// The blocks that may hold the event with this id: none, or nearly always one.
    ///
    /// About one lookup in 4,096 of an id that is not there gives a block all the same.
    package func idCandidates(_ id: Identifier) throws(StorageError) -> [Int] {
        try self.idCandidates(hash: id.hash64)
    }

    /// The same by the id's `hash64`.
    package func idCandidates(hash: UInt64) throws(StorageError) -> [Int] {
        try self.lookup(.id, hash).map(\.block)
    }

    private func lookup(_ kind: SegmentIndex, _ hash: UInt64) throws(StorageError) -> [BlockPosting] {
        let index = self.meta.indexes[kind.ordinal]
        if index.pages == 0 { return [] }
        let key = index.code.key(of: hash)
        var found: [BlockPosting] = []
        try self.file.page(atOrBefore: SegmentKey.page(kind, firstKey: key)) {
            pageKey, page throws(StorageError) in
            guard let firstKey = SegmentKey.firstKey(pageKey, of: kind) else { return }
            found = try PostingsPage.blocks(for: key, in: page, firstKey: firstKey, code: index.code)
        }
        guard found.last?.block ?? 0 < max(1, self.blocks.count) else {
            throw StorageError(
                .corrupted, "an index names a block that is not there", path: self.path,
                positions: self.info.positions)
        }
        return found
    }

    /// The distinct types in the order of their UTF-8 bytes, with their numbers of events; exact.
    package func typeCounts() throws(StorageError) -> [(type: String, count: Int)] {
        var counts: [(type: String, count: Int)] = []
        try self.file.forEachPage(of: SegmentKey.types) { _, page throws(StorageError) in
            try TypeTable.forEachEntry(in: page, blockCount: self.blocks.count) { entry in
                counts.append((entry.name, entry.count))
                return true
            }
        }
        return counts
    }

    /// The blocks that hold events of a type, ascending, each with the number of such events; exact. Empty if
    /// the segment has none.
    package func typeBlocks(_ type: String) throws(StorageError) -> [BlockPosting] {
        guard type.utf8.count <= 255 else { return [] }
        var found: [BlockPosting] = []
        try self.file.page(atOrBefore: SegmentKey.types(from: type)) { key, page throws(StorageError) in
            guard key.first == SegmentKey.types else { return }
            try TypeTable.forEachEntry(in: page, blockCount: self.blocks.count) {
                entry throws(StorageError) in
                guard entry.name.utf8.elementsEqual(type.utf8) else { return true }
                found = try entry.blocks()
                return false
            }
        }
        return found
    }
}
