/// What is intact in a sealed segment's file, whatever state the file is in.
///
/// The file is read without LMDB. Where its trees are broken, every page is looked at for what it holds. A
/// block counts only if the segment's own directory of blocks says that it begins there, or, where that
/// directory is lost, if all blocks before it in its run are in their place: so that bytes of a payload that
/// look like a block are never taken for one.
struct SegmentRemains {
    /// A block that is intact.
    struct Block: Hashable {
        var positions: Range<UInt64>
        var count: Int
        var fileOffset: Int
        var byteCount: Int
    }

    /// What the segment says of itself, if that can be read.
    private(set) var meta: SegmentMeta?
    private(set) var dictionary: [UInt8]?
    /// The intact blocks in order, apart from each other.
    private(set) var blocks: [Block] = []
    /// Positions whose events cannot be read; for a compacted segment, also some that had none.
    private(set) var lost = PositionRanges()
    /// How many events are lost, if the directory of blocks tells.
    private(set) var lostCount: Int?
    /// Streams with events in lost blocks, with the revision after their last event there, as far as the
    /// blocks' envelopes are intact.
    private(set) var lostStreams: [ExactText: UInt64] = [:]
    let checker = FrameChecker()

    /// Looks through an open file.
    ///
    /// - Parameter info: what the catalogue says of the segment, if there is a catalogue.
    /// - Throws: ``StorageError`` only if the system cannot read the file.
    init(descriptor: Int32, path: String, info: SegmentInfo?) throws(StorageError) {
        let file = try PageFile(descriptor: descriptor, path: path)
        var finds = Finds(dictionaryID: info?.dictionaryID ?? 0, dictionaryHash: info?.dictionaryHash ?? 0)
        let isWhole = try finds.followTrees(file)
        if !isWhole || !finds.isComplete { try finds.scanPages(file) }
        self.meta = finds.meta
        self.dictionary = finds.dictionary
        let id = info?.dictionaryID ?? finds.meta?.dictionaryID ?? 0
        if id != 0, let dictionary = finds.dictionary { self.checker.add(dictionary: id, dictionary) }
        let whole = info?.positions ?? finds.meta?.positions
        if let bytes = finds.directory, let whole, let directory = Self.directory(bytes, whole) {
            try self.take(directory, finds.runs, file)
        } else {
            try self.takeChains(finds.runs, within: whole, file)
        }
    }

    /// The dictionary `id` out of the segments in `directory`, the newest first; nil if none has it intact.
    ///
    /// The head's frames are compressed with dictionaries of segments, so where the head's own copy is damaged,
    /// a segment's serves as well.
    static func dictionary(_ id: UInt32, in directory: String) -> [UInt8]? {
        guard let names = try? Files.list(directory) else { return nil }
        for name in names.sorted(by: >) where name.hasSuffix(".mdb") {
            let path = directory + "/" + name
            guard let descriptor = try? Files.openReadOnlyNoFollow(path) else { continue }
            var finds = Finds(dictionaryID: id, dictionaryHash: 0)
            guard let file = try? PageFile(descriptor: descriptor.number, path: path),
                (try? finds.followTrees(file)) != nil, let bytes = finds.dictionary,
                let dictionary = try? CompressionDictionary(bytes: bytes, level: 1, isForReading: true)
            else { continue }
            if dictionary.id == id { return bytes }
        }
        return nil
    }

    private static func directory(_ bytes: [UInt8], _ positions: Range<UInt64>) -> BlockDirectory? {
        bytes.withUnsafeBytes { try? BlockDirectory(decoding: $0, positions: positions) }
    }

    // MARK: Blocks

    /// Takes the blocks that the directory lists.
    private mutating func take(
        _ directory: BlockDirectory, _ runs: [UInt64: [RunPlace]], _ file: PageFile
    ) throws(StorageError) {
        self.lostCount = 0
        var buffer: [UInt8] = []
        for block in directory.blocks {
            let positions = block.firstPosition..<block.lastPosition + 1
            var isFound = false
            for run in runs[block.run] ?? [] where !isFound {
                guard block.byteCount <= run.byteCount - min(run.byteCount, block.offset) else { continue }
                let offset = run.fileOffset + block.offset
                guard try file.read(at: offset, count: block.byteCount, into: &buffer) else { continue }
                isFound = buffer.withUnsafeBytes { bytes in
                    self.check(UnsafeRawBufferPointer(rebasing: bytes[..<block.byteCount]), block)
                }
                if isFound {
                    self.blocks.append(
                        Block(
                            positions: positions, count: block.count, fileOffset: offset,
                            byteCount: block.byteCount))
                }
            }
            if !isFound {
                self.lost.append(positions)
                self.lostCount? += block.count
            }
        }
    }

    private mutating func check(_ bytes: UnsafeRawBufferPointer, _ block: SegmentBlock) -> Bool {
        if let header = try? self.checker.check(bytes, expectedFirstPosition: block.firstPosition) {
            return header.lastPosition == block.lastPosition && header.count == block.count
        }
        let remains = self.checker.remains(bytes, expectedFirstPosition: block.firstPosition)
        for stream in remains.streams {
            let name = ExactText(stream.name)
            self.lostStreams[name] = max(self.lostStreams[name] ?? 0, stream.nextRevision)
        }
        return false
    }

    /// Takes the blocks of each run one after the other, as long as each says where the next one begins.
    private mutating func takeChains(
        _ runs: [UInt64: [RunPlace]], within whole: Range<UInt64>?, _ file: PageFile
    ) throws(StorageError) {
        var found: Set<Block> = []
        var buffer: [UInt8] = []
        for (key, places) in runs {
            for run in places {
                guard try file.read(at: run.fileOffset, count: run.byteCount, into: &buffer) else { continue }
                buffer.withUnsafeBytes { bytes in
                    let run = (
                        place: run, key: key, bytes: UnsafeRawBufferPointer(rebasing: bytes[..<run.byteCount])
                    )
                    found.formUnion(self.chain(run.bytes, run.place, key: run.key, within: whole))
                }
            }
        }
        let ordered = found.sorted {
            ($0.positions.lowerBound, $0.fileOffset) < ($1.positions.lowerBound, $1.fileOffset)
        }
        // Blocks of one segment never overlap: two that do are both doubtful, unless they are the same.
        var doubtful: Set<Int> = []
        for index in ordered.indices.dropFirst()
        where ordered[index].positions.overlaps(ordered[index - 1].positions) {
            if ordered[index].positions == ordered[index - 1].positions,
                ordered[index].byteCount == ordered[index - 1].byteCount
            {
                doubtful.insert(index)  // a copy that a later commit left behind
            } else {
                doubtful.formUnion([index - 1, index])
            }
        }
        self.blocks = ordered.indices.filter { !doubtful.contains($0) }.map { ordered[$0] }
        if let whole {
            self.lost = PositionRanges(self.blocks.map(\.positions)).gaps(in: whole)
        }
    }

    private func chain(
        _ bytes: UnsafeRawBufferPointer, _ place: RunPlace, key: UInt64, within whole: Range<UInt64>?
    ) -> [Block] {
        var result: [Block] = []
        var offset = 0
        var next = key
        while offset < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
            guard let frame = FrameHeader.claimed(rest),
                let stated = try? FrameHeader.parse(frame, expectedFirstPosition: nil),
                stated.firstPosition >= next, offset > 0 || stated.firstPosition == key
            else { break }
            let positions = stated.firstPosition..<stated.lastPosition + 1
            if let whole, positions.clamped(to: whole) != positions { break }
            if (try? self.checker.check(frame, expectedFirstPosition: nil)) != nil {
                result.append(
                    Block(
                        positions: positions, count: stated.count, fileOffset: place.fileOffset + offset,
                        byteCount: frame.count))
            }
            next = positions.upperBound
            offset += BlockDirectory.aligned(frame.count)
        }
        return result
    }

    /// Reads an intact block; it is loaded in ``checker``'s decoder then.
    func load(_ block: Block, _ file: PageFile) throws(StorageError) -> FrameDecoder {
        var buffer: [UInt8] = []
        guard try file.read(at: block.fileOffset, count: block.byteCount, into: &buffer) else {
            throw StorageError(
                .corrupted, "the file became shorter while it was read", path: file.path,
                positions: block.positions)
        }
        try buffer.span.bytes.withUnsafeBytes { bytes throws(StorageError) in
            _ = try self.checker.check(
                UnsafeRawBufferPointer(rebasing: bytes[..<block.byteCount]),
                expectedFirstPosition: block.positions.lowerBound)
        }
        return self.checker.decoder
    }
}

/// Where a run of blocks stands in the file.
struct RunPlace: Hashable {
    var fileOffset: Int
    var byteCount: Int
}

/// The values of a segment's databases, from wherever they were found.
private struct Finds {
    var meta: SegmentMeta?
    var dictionary: [UInt8]?
    var directory: [UInt8]?
    var runs: [UInt64: [RunPlace]] = [:]
    private let dictionaryID: UInt32
    private let dictionaryHash: UInt64

    init(dictionaryID: UInt32, dictionaryHash: UInt64) {
        self.dictionaryID = dictionaryID
        self.dictionaryHash = dictionaryHash
    }

    var isComplete: Bool {
        guard let meta, self.directory != nil else { return false }
        return meta.dictionaryID == 0 || self.dictionary != nil
    }

    /// Follows the trees of the newest commit; answers whether they are sound.
    mutating func followTrees(_ file: PageFile) throws(StorageError) -> Bool {
        guard let meta = file.metas.first else { return false }
        let walk = PageWalk(file, meta)
        var databases: [String: PageDatabase] = [:]
        var isWhole = try walk.walk(meta.main) { entry in
            guard entry.isDatabase, entry.value.count == PageDatabase.byteCount else { return }
            databases[String(decoding: entry.key, as: UTF8.self)] = PageDatabase(entry.value)
        }.isWhole
        for part in SegmentFile.Part.allCases {
            guard let database = databases[part.rawValue] else {
                isWhole = false
                continue
            }
            var finds = self
            let result = try walk.walk(database) { entry in
                if part == .blocks {
                    finds.takeRun(entry.key, entry.value, entry.fileOffset)
                } else {
                    finds.take(entry.key, entry.value, part)
                }
            }
            self = finds
            isWhole = isWhole && result.isWhole
        }
        return isWhole
    }

    /// Looks at every page.
    mutating func scanPages(_ file: PageFile) throws(StorageError) {
        var finds = self
        try PageScan(file: file).run { found in
            if let key = found.key {
                finds.takeRun(key, found.value, found.fileOffset)
                finds.take(key, found.value, .meta)
                finds.take(key, found.value, .index)
            } else if let header = FrameHeader.claimed(found.value).flatMap({
                try? FrameHeader.parse($0, expectedFirstPosition: nil)
            }) {
                finds.add(
                    run: header.firstPosition,
                    RunPlace(fileOffset: found.fileOffset, byteCount: found.value.count))
            } else {
                finds.takeLooseDictionary(found.value)
            }
        }
        self = finds
    }

    private mutating func take(
        _ key: UnsafeRawBufferPointer, _ stored: UnsafeRawBufferPointer, _ part: SegmentFile.Part
    ) {
        guard let value = try? CheckedValue.unwrap(stored, key: key, part: part) else { return }
        switch part {
        case .meta where key.elementsEqual(SegmentKey.segment):
            self.meta = (try? SegmentMeta(decoding: value)) ?? self.meta
        case .meta where key.elementsEqual(SegmentKey.dictionary): self.dictionary = [UInt8](value)
        case .meta where key.elementsEqual(SegmentKey.blocks): self.directory = [UInt8](value)
        default: break
        }
    }

    private mutating func takeRun(
        _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ fileOffset: Int
    ) {
        guard key.count == 8 else { return }
        self.add(run: key.integerKey, RunPlace(fileOffset: fileOffset, byteCount: value.count))
    }

    private mutating func add(run key: UInt64, _ place: RunPlace) {
        if self.runs[key]?.contains(where: { $0.fileOffset == place.fileOffset }) ?? false { return }
        self.runs[key, default: []].append(place)
    }

    /// Takes a dictionary whose length is not known, if its hash tells where it ends.
    private mutating func takeLooseDictionary(_ value: UnsafeRawBufferPointer) {
        let start = CheckedValue.checksumBytes
        guard
            self.dictionary == nil, self.dictionaryID != 0, value.count >= start + 8,
            value.loadUnaligned(fromByteOffset: start, as: UInt32.self).littleEndian == 0xEC30_A437,
            value.loadUnaligned(fromByteOffset: start + 4, as: UInt32.self).littleEndian == self.dictionaryID
        else { return }
        var stream = XXH64Stream()
        for end in start..<min(value.count, start + 4 << 20) {
            stream.update(UnsafeRawBufferPointer(rebasing: value[end..<end + 1]))
            if stream.finish() == self.dictionaryHash {
                self.dictionary = [UInt8](value[start...end])
                return
            }
        }
    }
}
