/// Collects what one index of a segment holds and writes its pages, sorted by hash.
///
/// An event costs 8 bytes here: the top 40 bits of the hash and the number of its block in the low 24. Blocks
/// are added in ascending order, and the sort keeps the order of equal keys, so that it need not look at
/// block numbers.
package struct PostingsBuilder {
    private var packed: [UInt64] = []
    private let isGrouped: Bool
    private static let blockMask: UInt64 = 1 << UInt64(PostingsCode.maximumBlockBits) - 1

    package init(isGrouped: Bool) {
        self.isGrouped = isGrouped
    }

    /// The number of events added.
    package var count: Int { self.packed.count }

    /// Adds an event. The numbers of blocks must not fall from one call to the next.
    @inline(__always)
    package mutating func add(hash: UInt64, block: Int) {
        self.packed.append(hash & ~Self.blockMask | UInt64(block))
    }

    /// Sorts what was added and gives the pages in ascending order of their first keys. The builder is then
    /// empty.
    ///
    /// - Parameter blockCount: the number of blocks of the segment.
    /// - Parameter body: is given a page's first key and its bytes.
    /// - Returns: the code that the pages are written in, and the number of entries.
    package mutating func finish(
        blockCount: Int, _ body: (UInt64, [UInt8]) throws(StorageError) -> Void
    ) throws(StorageError) -> (code: PostingsCode, entries: Int) {
        var code = PostingsCode(
            isGrouped: self.isGrouped,
            hashBits: min(
                PostingsCode.maximumHashBits,
                PostingsCode.bits(toNumber: self.packed.count) + PostingsCode.spareBits),
            blockBits: PostingsCode.bits(toNumber: blockCount))
        Self.sort(&self.packed, topBits: code.hashBits)
        self.chooseOrders(&code)
        var page = OpenPage(code: code)
        var total = 0
        var entries = Entries(self.packed, code: code)
        while let key = entries.next() {
            if !page.fits(key, entries.blocks) {
                try body(page.firstKey, page.finish())
            }
            page.append(key, entries.blocks)
            total += 1
        }
        if page.count > 0 { try body(page.firstKey, page.finish()) }
        self.packed = []
        return (code, total)
    }

    /// Sorts what was added and gives it entry by entry, as pages of `code` hold it. The builder is then
    /// empty.
    mutating func sorted(by code: PostingsCode) -> Entries {
        Self.sort(&self.packed, topBits: code.hashBits)
        defer { self.packed = [] }
        return Entries(self.packed, code: code)
    }

    /// Sorts by the top `topBits` bits, eleven at a time from the lowest, keeping the order of equals.
    static func sort(_ values: inout [UInt64], topBits: Int) {
        guard values.count > 1 else { return }
        let digit = 11
        var source = values
        // Both buffers must be unshared, or writing to one copies it.
        values = []
        var target = [UInt64](repeating: 0, count: source.count)
        var shift = 64 - topBits
        while shift < 64 {
            let mask: UInt64 = 1 << UInt64(min(digit, 64 - shift)) - 1
            var starts = [Int](repeating: 0, count: Int(mask) + 1)
            for value in source { starts[Int(value &>> UInt64(shift) & mask)] += 1 }
            var start = 0
            for index in starts.indices {
                let count = starts[index]
                starts[index] = start
                start += count
            }
            for value in source {
                let index = Int(value &>> UInt64(shift) & mask)
                target[starts[index]] = value
                starts[index] += 1
            }
            swap(&source, &target)
            shift += digit
        }
        values = source
    }
}

extension PostingsBuilder {
    /// Goes through sorted events, gathering those with the same key into one entry.
    struct Entries {
        private let packed: [UInt64]
        private let code: PostingsCode
        private var index: Int
        private(set) var blocks: [BlockPosting] = []

        /// Where the next entry begins.
        var position: Int { self.index }

        init(_ packed: [UInt64], code: PostingsCode, from index: Int = 0) {
            self.packed = packed
            self.code = code
            self.index = index
        }

        /// The next entry, owned.
        mutating func nextEntry() -> PostingsEntry? {
            self.next().map { PostingsEntry(key: $0, blocks: self.blocks) }
        }

        /// The next entry's key; its blocks are then in `blocks`.
        mutating func next() -> UInt64? {
            guard self.index < self.packed.count else { return nil }
            let first = self.packed[self.index]
            let key = self.code.key(of: first)
            var block = Int(first & blockMask)
            var count = 1
            self.index += 1
            self.blocks.removeAll(keepingCapacity: true)
            guard self.code.isGrouped else {
                self.blocks.append(BlockPosting(block: block, count: 1))
                return key
            }
            while self.index < self.packed.count {
                let next = self.packed[self.index]
                guard self.code.key(of: next) == key else { break }
                if Int(next & blockMask) == block {
                    count += 1
                } else {
                    self.blocks.append(BlockPosting(block: block, count: count))
                    block = Int(next & blockMask)
                    count = 1
                }
                self.index += 1
            }
            self.blocks.append(BlockPosting(block: block, count: count))
            return key
        }
    }

    /// The page being filled; `PostingsPage` describes the result.
    private struct OpenPage {
        private let code: PostingsCode
        private(set) var firstKey: UInt64 = 0
        private var distances: [UInt64] = []
        private var blocks: [Int] = []
        private var pointers: [Int] = []
        private var rests = BitWriter()
        /// The two numbers at the beginning take 6 bytes at most in a page of more than one entry.
        private let budget = (PostingsPage.targetBytes - 6) * 8

        init(code: PostingsCode) {
            self.code = code
        }

        var count: Int { self.distances.count }

        /// Whether the entry belongs in this page: it has room, is empty, or ends with the same key.
        func fits(_ key: UInt64, _ blocks: [BlockPosting]) -> Bool {
            guard let last = self.distances.last, key - self.firstKey != last else { return true }
            let count = self.count + 1
            var bits = count * (1 + self.code.lowBits + self.code.blockBits)
            bits += Int((key - self.firstKey) >> UInt64(self.code.lowBits))
            if self.code.isGrouped {
                bits += count / PostingsPage.pointerDistance * PostingsPage.pointerBits
                bits += self.rests.bitCount + self.code.restCost(blocks)
                bits += BitWriter.golombCost(UInt64(blocks.count - 1), order: self.code.lengthOrder)
            }
            return bits <= self.budget
        }

        mutating func append(_ key: UInt64, _ blocks: [BlockPosting]) {
            if self.count == 0 { self.firstKey = key }
            if self.code.isGrouped {
                if self.count > 0, self.count % PostingsPage.pointerDistance == 0 {
                    self.pointers.append(self.rests.bitCount)
                }
                self.rests.writeGolomb(UInt64(blocks.count - 1), order: self.code.lengthOrder)
                self.code.writeRest(blocks, to: &self.rests)
            }
            self.distances.append(key - self.firstKey)
            self.blocks.append(blocks[0].block)
        }

        mutating func finish() -> [UInt8] {
            let lowBits = UInt64(self.code.lowBits)
            var page = RecordWriter()
            page.append(varint: UInt64(self.count))
            page.append(varint: (self.distances.last ?? 0) >> lowBits)
            var bits = BitWriter()
            var previous: UInt64 = 0
            for distance in self.distances {
                bits.writeZeros(Int(distance >> lowBits - previous))
                bits.write(1, count: 1)
                previous = distance >> lowBits
            }
            for distance in self.distances {
                bits.write(distance & (1 << lowBits - 1), count: self.code.lowBits)
            }
            for block in self.blocks { bits.write(UInt64(block), count: self.code.blockBits) }
            for pointer in self.pointers { bits.write(UInt64(pointer), count: PostingsPage.pointerBits) }
            bits.append(self.rests)
            page.append(bytes: bits.finish())
            self.distances.removeAll(keepingCapacity: true)
            self.blocks.removeAll(keepingCapacity: true)
            self.pointers.removeAll(keepingCapacity: true)
            self.rests.reset()
            return page.bytes
        }
    }

    /// Sets the orders of the Golomb codes and the number of low bits to those that cost least, judged on a
    /// sample of some thousand entries.
    private func chooseOrders(_ code: inout PostingsCode) {
        guard !self.packed.isEmpty else { return }
        let sampleRuns = 64
        let runEntries = 256
        let stride = max(1, self.packed.count / sampleRuns)
        var costs = Costs(code: code)
        var start = 0
        var covered = 0
        while start < self.packed.count {
            var index = max(start, covered)
            if index > 0 {
                // Begin with a whole entry.
                while index < self.packed.count,
                    code.key(of: self.packed[index]) == code.key(of: self.packed[index - 1])
                { index += 1 }
            }
            var entries = Entries(self.packed, code: code, from: index)
            var previous: UInt64?
            for _ in 0..<runEntries {
                guard let key = entries.next() else { break }
                costs.add(distance: previous.map { key - $0 }, blocks: entries.blocks)
                previous = key
                covered = entries.position
            }
            start += stride
        }
        costs.choose(&code)
    }
}
