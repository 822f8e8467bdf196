/// Packs the columns of a frame into chunks, and notes their sizes for the directory.
///
/// A chunk is written into `plain`, then closed: compressed if that makes it clearly smaller, else kept.
struct ColumnPacker: ~Copyable {
    /// The chunk being written.
    var plain = Numbers<UInt8>(capacity: 1 << 12)
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
    /// Room for the codes of a column as they are kept.
    private var distances = Numbers<UInt32>()
    private var closed = 0

    init() {}

    /// Closes the chunk in `plain`, which must be `chunk`.
    mutating func close(
        _ chunk: FrameFormat.Chunk, with compressor: Compressor, isRandom: Bool = false
    ) throws(StorageError) {
        precondition(chunk.rawValue == self.closed, "chunks are closed in their order")
        let count = self.plain.count
        self.closed &+= 1
        self.plainBytes &+= count
        if count >= FrameFormat.minimumCompressedChunkBytes, !isRandom {
            let before = self.chunks.count
            let stored = try compressor.append(self.plain.bytes, to: &self.chunks)
            if stored &+ 8 < count {
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
        self.distances.clear(keeping: 1 << 16)
        self.plainBytes = 0
        self.closed = 0
    }

    // MARK: Numbers

    /// A column of numbers: one if all are the same, else one for each event.
    mutating func numbers(_ values: borrowing Numbers<UInt32>) {
        let count = values.count
        let first = values[0]
        var difference: UInt32 = 0
        for index in 0..<count { difference |= values[index] ^ first }
        guard difference != 0 else {
            self.plain.append(0)
            self.plain.appendVarint(UInt64(first))
            return
        }
        self.plain.append(1)
        self.plain.reserve(self.plain.count &+ count &* 5)
        var cursor = self.plain.base + self.plain.count
        for index in 0..<count { Varint.write(UInt64(values[index]), at: &cursor) }
        self.plain.count = cursor - self.plain.base
    }

    /// Timestamps as differences, counted in the largest unit that divides them all.
    mutating func timestamps(_ values: borrowing Numbers<Int64>, min: Int64, max: Int64) {
        let units = FrameFormat.timestampUnits
        var unitIndex = max.subtractingReportingOverflow(min).overflow ? 0 : units.count - 1
        var unit = units[unitIndex]
        for index in 0..<values.count {
            while values[index] % unit != 0 {
                unitIndex &-= 1
                unit = units[unitIndex]
            }
            if unitIndex == 0 { break }
        }
        self.plain.append(UInt8(truncatingIfNeeded: unitIndex))
        self.plain.reserve(self.plain.count &+ values.count &* Varint.maximumBytes)
        var cursor = self.plain.base + self.plain.count
        var previous = min
        for index in 0..<values.count {
            var difference = values[index] &- previous
            if unitIndex > 0 { difference /= unit }
            Varint.write(Varint.zigzag(difference), at: &cursor)
            previous = values[index]
        }
        self.plain.count = cursor - self.plain.base
    }

    /// The gaps between positions.
    mutating func positions(_ values: borrowing Numbers<UInt64>) {
        for index in 1..<values.count {
            self.plain.appendVarint(values[index] &- values[index &- 1] &- 1)
        }
    }

    /// The revisions of placed events: one per distinct stream, and differences from the expected ones if
    /// there are any.
    mutating func revisions(_ values: borrowing Numbers<UInt64>, streams: borrowing TextInterner) {
        var next = Numbers<UInt64>(capacity: streams.distinctCount)
        var gaps = Numbers<UInt8>()
        var hasGaps = false
        let mode = self.plain.count
        self.plain.append(0)
        for index in 0..<values.count {
            let code = Int(streams.codes[index])
            if code == 0 { continue }
            let revision = values[index]
            if code > next.count {
                next.append(revision &+ 1)
                self.plain.appendVarint(revision)
                continue
            }
            let gap = revision &- next[code &- 1]
            hasGaps = hasGaps || gap != 0
            gaps.appendVarint(Varint.zigzag(Int64(bitPattern: gap)))
            next[code &- 1] = revision &+ 1
        }
        guard hasGaps else { return }
        self.plain[mode] = 1
        self.plain.append(gaps.bytes)
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
    }

    /// Codes in 1, 2 or 4 bytes; nothing if all are the same.
    ///
    /// What is kept is 0 for a value's first appearance, then 1 for "none" if there is one, and then the
    /// distance from the newest value: numbers that stay small and repeat.
    mutating func codes(_ codes: borrowing Numbers<UInt32>, distinct: Int, hasNone: Bool) {
        if distinct == 0 || distinct == 1 && !hasNone { return }
        let count = codes.count
        self.distances.resize(count)
        let distances = self.distances.base
        let offset: UInt32 = hasNone ? 1 : 0
        var next: UInt32 = 1
        var union: UInt32 = 0
        for index in 0..<count {
            let code = codes[index]
            let isNew = code == next
            var distance = next &- code &+ offset
            if code == 0 { distance = 1 }
            if isNew { distance = 0 }
            next &+= isNew ? 1 : 0
            union |= distance
            distances[index] = distance
        }
        let start = self.plain.count
        if union <= 0xff {
            self.plain.resize(start &+ count)
            let target = self.plain.base + start
            for index in 0..<count { target[index] = UInt8(truncatingIfNeeded: distances[index]) }
        } else if union <= 0xffff {
            self.plain.resize(start &+ count &* 2)
            let target = UnsafeMutableRawPointer(self.plain.base + start)
            for index in 0..<count {
                target.store(UInt16(truncatingIfNeeded: distances[index]), at: index &* 2)
            }
        } else {
            self.plain.resize(start &+ count &* 4)
            let target = UnsafeMutableRawPointer(self.plain.base + start)
            for index in 0..<count { target.store(distances[index], at: index &* 4) }
        }
    }
}
