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
        let none = streams.noneCode
        self.plain.append(0)
        let mode = self.plain.count &- 1
        for index in 0..<values.count {
            let code = Int(streams.codes[index])
            if code == next.count {
                next.append(values[index] &+ 1)
                if streams.codes[index] == none { continue }
                self.plain.appendVarint(values[index])
                continue
            }
            if streams.codes[index] == none { continue }
            let gap = values[index] &- next[code]
            hasGaps = hasGaps || gap != 0
            gaps.appendVarint(Varint.zigzag(Int64(bitPattern: gap)))
            next[code] = values[index] &+ 1
        }
        guard hasGaps else { return }
        self.plain[mode] = 1
        self.plain.append(gaps.bytes)
    }

    // MARK: Texts

    /// The distinct values of a column of texts; nothing if all events have none.
    mutating func values(_ interner: borrowing TextInterner) {
        let distinct = interner.distinctCount
        if distinct == 1, interner.noneCode != nil { return }
        self.plain.appendVarint(UInt64(truncatingIfNeeded: distinct))
        self.plain.appendVarint(interner.noneCode.map { UInt64($0) + 1 } ?? 0)
        let entries = interner.entries.base
        let bytes = UnsafeRawPointer(interner.bytes.base)
        let none = interner.noneCode.map { Int($0) } ?? -1
        self.texts(distinct, distinct &- (none < 0 ? 0 : 1), interner.bytes.count) { index in
            if index == none { return nil }
            return UnsafeRawBufferPointer(
                start: bytes + Int(entries[index].start), count: Int(entries[index].length))
        }
    }

    /// A list of texts: how many bytes each shares with the one before, how many follow, and those.
    @inline(__always)
    mutating func texts(
        _ entries: Int, _ count: Int, _ byteCount: Int, _ text: (Int) -> UnsafeRawBufferPointer?
    ) {
        self.plain.reserve(self.plain.count &+ count &* 2 &+ byteCount)
        var prefix = self.plain.base + self.plain.count
        var suffix = prefix + count
        let start = suffix + count
        var cursor = start
        var previous = UnsafeRawBufferPointer(start: nil, count: 0)
        for index in 0..<entries {
            guard let current = text(index) else { continue }
            var shared = 0
            if let a = previous.baseAddress, let b = current.baseAddress {
                shared = BytesHash.commonPrefix(a, b, atMost: Swift.min(previous.count, current.count))
            }
            let rest = current.count &- shared
            prefix.pointee = UInt8(truncatingIfNeeded: shared)
            suffix.pointee = UInt8(truncatingIfNeeded: rest)
            prefix += 1
            suffix += 1
            if let bytes = current.baseAddress, rest > 0 {
                UnsafeMutableRawPointer(cursor).copyMemory(from: bytes + shared, byteCount: rest)
                cursor += rest
            }
            previous = current
        }
        self.plain.count = cursor - self.plain.base
    }

    /// Codes in 1, 2 or 4 bytes; nothing if there is one distinct value. What is kept is the distance from
    /// the number of values seen so far, so that each value's first appearance is a zero.
    mutating func codes(_ codes: borrowing Numbers<UInt32>, distinct: Int) {
        switch distinct {
        case ...1: return
        case ...0xff: self.codes(codes, as: UInt8.self)
        case ...0xffff: self.codes(codes, as: UInt16.self)
        default: self.codes(codes, as: UInt32.self)
        }
    }

    @inline(__always)
    private mutating func codes<Code: FixedWidthInteger & BitwiseCopyable>(
        _ codes: borrowing Numbers<UInt32>, as type: Code.Type
    ) {
        let width = MemoryLayout<Code>.size
        let start = self.plain.count
        self.plain.resize(start &+ codes.count &* width)
        let target = UnsafeMutableRawPointer(self.plain.base + start)
        var next: UInt32 = 0
        for index in 0..<codes.count {
            let distance = next &- codes[index]
            target.store(Code(truncatingIfNeeded: distance), at: index &* width)
            next &+= distance == 0 ? 1 : 0
        }
    }
}
