extension Segment {
    /// Goes through the whole segment and lists everything that does not hold, instead of stopping at the
    /// first.
    ///
    /// It checks every frame, every page of every index, and that the directory of blocks says of the blocks
    /// what they are. The file's digest was checked when it was opened and is not checked again.
    ///
    /// - Parameter deep: whether payloads are decompressed too, and the indexes compared with what the blocks
    ///   hold, entry by entry. That takes 24 bytes of memory an event.
    /// - Returns: what was found, each with the positions concerned; empty if all is well.
    package func verify(deep: Bool) -> [StorageError] {
        var verification = SegmentVerification(self, deep: deep)
        verification.run()
        return verification.findings
    }
}

/// One pass of `Segment.verify`.
private struct SegmentVerification {
    private let segment: Segment
    private let deep: Bool
    private(set) var findings: [StorageError] = []
    private var indexes = SegmentIndex.allCases.map { PostingsBuilder(isGrouped: $0.isGrouped) }
    private var types: [ExactText: [BlockPosting]] = [:]
    /// Whether every block could be read, without which the indexes cannot be compared.
    private var isComplete = true
    /// Findings beyond this say nothing new.
    private static let maximumFindings = 1_000

    init(_ segment: Segment, deep: Bool) {
        self.segment = segment
        self.deep = deep
    }

    mutating func run() {
        let decoder = FrameDecoder()
        for block in self.segment.blocks {
            let read = self.attempt(block.firstPosition..<block.lastPosition + 1) {
                verification throws(StorageError) in
                try verification.verify(block, decoder)
            }
            if !read { self.isComplete = false }
        }
        for kind in SegmentIndex.allCases {
            self.attempt(nil) { verification throws(StorageError) in
                try verification.verify(kind)
            }
        }
        self.attempt(nil) { verification throws(StorageError) in
            try verification.verifyTypes()
        }
    }

    // MARK: - Blocks

    private mutating func verify(_ block: SegmentBlock, _ decoder: FrameDecoder) throws(StorageError) {
        try self.segment.withBlock(block.number) { frame throws(StorageError) in
            try decoder.load(
                frame, expectedFirstPosition: block.firstPosition, dictionary: self.segment.dictionary(id:))
        }
        let header = decoder.header
        guard
            header.lastPosition == block.lastPosition, header.count == block.count,
            header.minTimestamp == block.minTimestamp, header.maxTimestamp == block.maxTimestamp
        else {
            throw StorageError(
                .corrupted, "block \(block.number) is not what the directory of blocks says of it")
        }
        guard self.deep else { return }
        for index in 0..<decoder.count {
            _ = try decoder.withPayload(index) { $0.count }
        }
        let summary = try decoder.summary()
        for index in 0..<summary.count {
            self.add(.id, summary.idHashes[index], block)
            self.add(.correlation, summary.correlationHashes[index], block)
        }
        let streams = summary.streams.map { XXH64.hash($0) }
        for code in summary.streamCodes where code > 0 {
            self.indexes[SegmentIndex.stream.ordinal].add(hash: streams[Int(code) - 1], block: block.number)
        }
        var counts = [Int](repeating: 0, count: summary.types.count)
        for code in summary.typeCodes { counts[Int(code)] += 1 }
        for (type, count) in zip(summary.types, counts) where count > 0 {
            self.types[ExactText(type), default: []].append(BlockPosting(block: block.number, count: count))
        }
    }

    private mutating func add(_ kind: SegmentIndex, _ hash: UInt64, _ block: SegmentBlock) {
        if hash != 0 { self.indexes[kind.ordinal].add(hash: hash, block: block.number) }
    }

    // MARK: - Indexes

    /// Reads every page of an index and compares it with what the blocks hold.
    private mutating func verify(_ kind: SegmentIndex) throws(StorageError) {
        let stated = self.segment.meta.indexes[kind.ordinal]
        var expected =
            self.deep && self.isComplete ? self.indexes[kind.ordinal].sorted(by: stated.code) : nil
        var pages = 0
        var entries = 0
        var differences = 0
        let blockCount = self.segment.blocks.count
        try self.segment.file.forEachPage(of: kind.rawValue) { key, page throws(StorageError) in
            guard let firstKey = SegmentKey.firstKey(key, of: kind) else {
                throw StorageError(.corrupted, "the index \"\(kind)\" has a page with a key of no known form")
            }
            pages += 1
            try PostingsPage.forEachEntry(in: page, firstKey: firstKey, code: stated.code) {
                entry throws(StorageError) in
                entries += 1
                guard entry.blocks.allSatisfy({ $0.block < blockCount }) else {
                    throw StorageError(.corrupted, "the index \"\(kind)\" names a block that is not there")
                }
                guard let wanted = expected?.nextEntry() else { return }
                if wanted != entry { differences += 1 }
            }
        }
        guard pages == stated.pages, entries == stated.entries else {
            throw StorageError(
                .corrupted,
                "the index \"\(kind)\" has \(pages) pages with \(entries) entries, not the "
                    + "\(stated.pages) with \(stated.entries) that it should have")
        }
        guard differences == 0, expected?.nextEntry() == nil else {
            throw StorageError(.corrupted, "the index \"\(kind)\" does not agree with the blocks")
        }
    }

    private mutating func verifyTypes() throws(StorageError) {
        var listed: [ExactText: [BlockPosting]] = [:]
        var total = 0
        let blockCount = self.segment.blocks.count
        try self.segment.file.forEachPage(of: SegmentKey.types) { _, page throws(StorageError) in
            try TypeTable.forEachEntry(in: page, blockCount: blockCount) { entry throws(StorageError) in
                listed[ExactText(entry.name)] = try entry.blocks()
                total += entry.count
                return true
            }
        }
        guard total == self.segment.info.count else {
            throw StorageError(.corrupted, "the table of types counts \(total) events")
        }
        guard !self.deep || !self.isComplete || listed == self.types else {
            throw StorageError(.corrupted, "the table of types does not agree with the blocks")
        }
    }

    /// Runs `body` and keeps what it throws.
    @discardableResult
    private mutating func attempt(
        _ positions: Range<UInt64>?, _ body: (inout Self) throws(StorageError) -> Void
    ) -> Bool {
        do throws(StorageError) {
            try body(&self)
            return true
        } catch {
            guard self.findings.count < Self.maximumFindings else { return false }
            self.findings.append(
                StorageError(
                    error.code, error.message, number: error.number, path: self.segment.path,
                    positions: error.positions ?? positions ?? self.segment.info.positions))
            return false
        }
    }
}
