/// Packs the columns of a frame into chunks, and notes their sizes for the directory.
///
/// A chunk is written into `plain`, then closed: compressed if that makes it clearly smaller, else kept.
struct ColumnPacker: ~Copyable {
    /// The chunk being written.
    var plain = Numbers<UInt8>(capacity: 1 << 12)
    /// Whether it is worth trying to compress the chunk being written.
    var isCompressible = false
    /// The closed chunks as they will stand.
    private(set) var chunks = Numbers<UInt8>(capacity: 1 << 12)
    /// The sizes of the closed chunks.
    private(set) var directory = Numbers<UInt8>(capacity: 256)
    /// The sum of the sizes before compressing.
    private(set) var plainBytes = 0
    /// For each distinct identifier the event that it refers to, or -1.
    var references = Numbers<Int32>()
    /// For each identifier of the list packed last how it is kept.
    var tags = Numbers<UInt8>()
    /// Room for a list of numbers.
    var values = Numbers<UInt64>()
    /// How many chunks are closed; the groups' one, which stands first, counts as if it were.
    private var closed = 1

    init() {}

    /// Closes the chunk in `plain`, which must be `chunk`.
    mutating func close(
        _ chunk: FrameFormat.Chunk, with compressor: Compressor
    ) throws(StorageError) {
        precondition(chunk.rawValue == self.closed, "chunks are closed in their order")
        self.closed &+= 1
        try self.closePlain(with: compressor)
    }

    /// Closes the groups' chunk, after all others.
    mutating func closeGroups(with compressor: Compressor) throws(StorageError) {
        precondition(self.closed == FrameFormat.Chunk.allCases.count, "the groups' chunk is closed last")
        try self.closePlain(with: compressor)
    }

    private mutating func closePlain(with compressor: Compressor) throws(StorageError) {
        let count = self.plain.count
        if count == 0 {
            self.directory.append(0)
            return
        }
        self.plainBytes &+= count
        let isCompressible = self.isCompressible
        self.isCompressible = false
        if isCompressible, count >= FrameFormat.minimumCompressedChunkBytes {
            let before = self.chunks.count
            let stored = try compressor.append(self.plain.bytes, to: &self.chunks)
            if stored &+ count / 8 < count {
                self.directory.appendVarint(UInt64(truncatingIfNeeded: stored) &<< 1 | 1)
                self.directory.appendVarint(UInt64(truncatingIfNeeded: count))
                self.plain.count = 0
                return
            }
            self.chunks.count = before
        }
        self.directory.appendVarint(UInt64(truncatingIfNeeded: count) &<< 1)
        self.chunks.append(self.plain.bytes)
        self.plain.count = 0
    }

    mutating func reset() {
        self.plain.clear(keeping: 1 << 18)
        self.chunks.clear(keeping: 1 << 18)
        self.directory.clear(keeping: 1 << 10)
        self.references.clear(keeping: 1 << 14)
        self.tags.clear(keeping: 1 << 16)
        self.values.clear(keeping: 1 << 16)
        self.plainBytes = 0
        self.isCompressible = false
        self.closed = 1
    }

    /// What there is to know of the groups.
    mutating func groups(_ groups: PackedGroups) {
        self.plain.append(groups.layout)
        self.plain.appendVarint(UInt64(groups.entries.count))
        for entry in groups.entries {
            self.plain.append(entry.codec)
            self.plain.appendVarint(UInt64(entry.plainBytes))
            self.plain.appendVarint(UInt64(entry.storedBytes))
            self.plain.append(littleEndian: entry.checksum)
        }
        for number in groups.tail { self.plain.appendVarint(number) }
        self.isCompressible = groups.isCompressible
    }

    // MARK: Numbers

    /// The first `count` of `values` as a list.
    mutating func list(_ count: Int) {
        if NumberList.write(self.values.base, count, to: &self.plain) { self.isCompressible = true }
    }

    /// A column of numbers.
    mutating func numbers(_ numbers: borrowing Numbers<UInt32>) {
        let count = numbers.count
        self.values.resize(count)
        for index in 0..<count { self.values.base[index] = UInt64(numbers[index]) }
        self.list(count)
    }

    /// Timestamps as differences, counted in the largest unit that divides them all.
    mutating func timestamps(_ timestamps: borrowing Numbers<Int64>, min: Int64, max: Int64) {
        let units = FrameFormat.timestampUnits
        var unitIndex = max.subtractingReportingOverflow(min).overflow ? 0 : units.count - 1
        var unit = units[unitIndex]
        let count = timestamps.count
        for index in 0..<count {
            while timestamps[index] % unit != 0 {
                unitIndex &-= 1
                unit = units[unitIndex]
            }
            if unitIndex == 0 { break }
        }
        self.plain.append(UInt8(truncatingIfNeeded: unitIndex))
        self.values.resize(count)
        let values = self.values.base
        var previous = min
        for index in 0..<count {
            let timestamp = timestamps[index]
            values[index] = Varint.zigzag(timestamp &- previous)
            previous = timestamp
        }
        if unitIndex > 0 {
            for index in 0..<count {
                values[index] = Varint.zigzag(Varint.unzigzag(values[index]) / unit)
            }
        }
        self.list(count)
    }

    /// The gaps between positions.
    mutating func positions(_ positions: borrowing Numbers<UInt64>) {
        let count = positions.count - 1
        self.values.resize(count)
        for index in 0..<count {
            self.values.base[index] = positions[index &+ 1] &- positions[index] &- 1
        }
        self.list(count)
    }

    /// The revisions of placed events: one per distinct stream, and differences from the expected ones if
    /// there are any.
    mutating func revisions(_ revisions: borrowing Numbers<UInt64>, streams: borrowing TextInterner) {
        let count = streams.distinctCount
        if count == 0 { return }
        var next = Numbers<UInt64>(capacity: count)
        var gaps = Numbers<UInt64>()
        var hasGaps = false
        self.values.resize(count)
        for index in 0..<revisions.count {
            let code = Int(streams.codes[index])
            if code == 0 { continue }
            let revision = revisions[index]
            if code > next.count {
                self.values.base[code &- 1] = revision
                next.append(revision &+ 1)
                continue
            }
            let gap = revision &- next[code &- 1]
            hasGaps = hasGaps || gap != 0
            gaps.append(Varint.zigzag(Int64(bitPattern: gap)))
            next[code &- 1] = revision &+ 1
        }
        self.plain.append(hasGaps ? 1 : 0)
        self.list(count)
        guard hasGaps else { return }
        self.values.resize(gaps.count)
        self.values.base.update(from: gaps.base, count: gaps.count)
        self.list(gaps.count)
    }

    // MARK: Texts

    /// The distinct values of a column of texts; nothing if all events have none.
    mutating func values(_ interner: borrowing TextInterner) {
        if interner.isEmpty { return }
        self.distinct(interner.distinctCount, hasNone: interner.hasNone)
        let entries = interner.entries.base
        let bytes = UnsafeRawPointer(interner.bytes.base)
        self.texts(interner.distinctCount, interner.bytes.count) { index in
            UnsafeRawBufferPointer(
                start: bytes + Int(entries[index].start), count: Int(entries[index].length))
        }
    }

    /// How many distinct values follow, and whether some events have none.
    mutating func distinct(_ count: Int, hasNone: Bool) {
        self.plain.appendVarint(UInt64(truncatingIfNeeded: count) &<< 1 | (hasNone ? 1 : 0))
    }

    /// A list of texts: how many bytes each shares with the one before, how many follow, and those.
    @inline(__always)
    mutating func texts(_ count: Int, _ byteCount: Int, _ text: (Int) -> UnsafeRawBufferPointer) {
        let start = self.plain.count
        self.plain.reserve(self.plain.count &+ count &* 2 &+ byteCount)
        let prefixes = self.plain.base + self.plain.count
        let suffixes = prefixes + count
        var cursor = UnsafeMutableRawPointer(suffixes + count)
        var previous = UnsafeRawBufferPointer(start: UnsafeRawPointer(cursor), count: 0)
        for index in 0..<count {
            let current = text(index)
            var shared = 0
            if let a = previous.baseAddress, let b = current.baseAddress {
                shared = BytesHash.commonPrefix(
                    a, b, atMost: Swift.min(previous.count, current.count))
                let rest = current.count &- shared
                cursor.copyMemory(from: b + shared, byteCount: rest)
                cursor += rest
            }
            prefixes[index] = UInt8(truncatingIfNeeded: shared)
            suffixes[index] = UInt8(truncatingIfNeeded: current.count &- shared)
            previous = current
        }
        self.plain.count = cursor - UnsafeMutableRawPointer(self.plain.base)
        if !self.packTexts(count, from: start) { self.isCompressible = true }
    }

    /// The codes of a column; nothing if all are the same.
    ///
    /// What is kept is 0 for a value's first appearance, then 1 for "none" if there is one, and then the
    /// distance from the newest value: numbers that stay small and repeat.
    mutating func codes(_ codes: borrowing Numbers<UInt32>, distinct: Int, hasNone: Bool) {
        if distinct == 0 || distinct == 1 && !hasNone { return }
        let count = codes.count
        self.values.resize(count)
        let values = self.values.base
        let offset: UInt32 = hasNone ? 1 : 0
        var next: UInt32 = 1
        for index in 0..<count {
            let code = codes[index]
            let isNew = code == next
            var distance = next &- code &+ offset
            if code == 0 { distance = 1 }
            if isNew { distance = 0 }
            next &+= isNew ? 1 : 0
            values[index] = UInt64(distance)
        }
        self.list(count)
    }
}
