/// One page of an index, made so that an entry is found without reading those before it.
///
/// It holds *n* entries in ascending order of their keys, whole entries only, and entries with the same key
/// never lie in two pages, so that a lookup reads one page. The first entry's key is the page's own, under
/// which it is stored; the others are kept as their difference from it, in the manner of Elias and Fano: the
/// low bits of each as they are, and of the high bits *h* of entry *i* a one bit at place *h + i* of a string
/// that has zeros elsewhere. To find a key, one counts zeros up to its high bits, a word at a time, and
/// compares the low bits of the few entries there.
///
/// | part | size |
/// | --- | --- |
/// | the number of entries *n*, a varint | |
/// | the high bits *h* of the last entry, a varint | |
/// | the string of high bits | *n + h* bits |
/// | the low bits of each entry | *n* × `lowBits` |
/// | the first block of each entry | *n* × `blockBits` |
/// | grouped only: where the rest of entry 16, 32, 48, … begins, from the first one's on | 14 bits each |
/// | grouped only: the rest of each entry: its number of blocks less one, then `PostingsCode.writeRest` | |
package enum PostingsPage {
    /// The size that a page should reach: two to a leaf of LMDB with their node headers, keys and checksums.
    ///
    /// A leaf of 4,096 bytes has room for 4,080 beyond its header. A node takes 8 bytes and its key, an entry
    /// of the offset table 2; half of 4,080 less those and the page's key of 6 bytes leaves 2,024 bytes, of
    /// which the checksum takes 8.
    package static let targetBytes = 2_016
    /// Every how many entries there is a pointer to the rest of one.
    static let pointerDistance = 16
    /// The size of such a pointer: enough for a page of the target size. A larger page has one entry.
    static let pointerBits = 14

    /// The blocks under `key` in a page whose first entry is `firstKey`.
    ///
    /// - Complexity: a few dozen steps, whatever the number of entries.
    package static func blocks(
        for key: UInt64, in page: UnsafeRawBufferPointer, firstKey: UInt64, code: PostingsCode
    ) throws(StorageError) -> [BlockPosting] {
        var page = try Layout(page, code: code)
        var found: [BlockPosting] = []
        try page.seek(key &- firstKey) { entry, page throws(StorageError) in
            try page.readBlocks(entry) { found.append($0) }
        }
        return found
    }

    /// Gives every entry of a page to `body`, and checks that there is nothing else in it.
    package static func forEachEntry(
        in page: UnsafeRawBufferPointer, firstKey: UInt64, code: PostingsCode,
        _ body: (PostingsEntry) throws(StorageError) -> Void
    ) throws(StorageError) {
        var page = try Layout(page, code: code)
        var place = 0
        for entry in 0..<page.count {
            while try !page.isOne(place) { place += 1 }
            let high = UInt64(place - entry)
            place += 1
            var blocks: [BlockPosting] = []
            try page.readBlocks(entry) { blocks.append($0) }
            let key = firstKey &+ (high &<< UInt64(code.lowBits) | page.low(entry))
            try body(PostingsEntry(key: key, blocks: blocks))
        }
        try page.checkEnd(lastPlace: place)
    }

    /// Where the parts of a page lie, in bits.
    private struct Layout {
        let count: Int
        private let code: PostingsCode
        private let highest: Int
        private let highByte: Int
        private let lows: Int
        private let blocks: Int
        private let pointers: Int
        private let rests: Int
        private var reader: BitReader

        init(_ page: UnsafeRawBufferPointer, code: PostingsCode) throws(StorageError) {
            var header = RecordReader(page)
            let bitCount = page.count * 8
            let count = header.count(limit: bitCount)
            let highest = header.count(limit: bitCount)
            let start = header.offset * 8
            self.code = code
            self.count = count
            self.highest = highest
            self.highByte = header.offset
            self.lows = start + count + highest
            self.blocks = self.lows + count * code.lowBits
            self.pointers = self.blocks + count * code.blockBits
            let pointerCount = code.isGrouped ? (count - 1) / pointerDistance : 0
            self.rests = self.pointers + pointerCount * pointerBits
            self.reader = BitReader(page)
            guard !header.hasFailed, count > 0, self.rests <= bitCount else { throw Self.damaged }
        }

        static var damaged: StorageError {
            StorageError(.corrupted, "a page of an index does not hold together")
        }

        @inline(__always)
        func low(_ entry: Int) -> UInt64 {
            self.reader.bits(at: self.lows &+ entry &* self.code.lowBits, count: self.code.lowBits)
        }

        /// Whether there is a one bit at a place of the string of high bits.
        func isOne(_ place: Int) throws(StorageError) -> Bool {
            guard place < self.count + self.highest else { throw Self.damaged }
            return self.reader.bits(at: self.highByte * 8 + place, count: 1) == 1
        }

        /// Gives the entries whose key lies `distance` after the page's first to `body`.
        mutating func seek(
            _ distance: UInt64, _ body: (Int, inout Self) throws(StorageError) -> Void
        ) throws(StorageError) {
            let high = distance &>> UInt64(truncatingIfNeeded: self.code.lowBits)
            guard high <= UInt64(self.highest) else { return }
            let low = distance & (1 &<< UInt64(truncatingIfNeeded: self.code.lowBits) &- 1)
            var place = try self.place(behindZeros: Int(high))
            while place < self.count + self.highest, try self.isOne(place) {
                let entry = place - Int(high)
                guard entry < self.count else { throw Self.damaged }
                let kept = self.low(entry)
                if kept > low { return }
                if kept == low { try body(entry, &self) }
                place += 1
            }
        }

        /// The place behind the first `zeros` zeros in the string of high bits.
        private func place(behindZeros zeros: Int) throws(StorageError) -> Int {
            var left = zeros
            if left == 0 { return 0 }
            var place = 0
            while place < self.count + self.highest {
                var word = ~self.reader.word(atByte: self.highByte &+ place &>> 3)
                let here = word.nonzeroBitCount
                if here >= left {
                    while left > 1 {
                        word &= word &- 1
                        left &-= 1
                    }
                    return place &+ word.trailingZeroBitCount &+ 1
                }
                left &-= here
                place &+= 64
            }
            throw Self.damaged
        }

        /// Gives the blocks of an entry to `body`.
        mutating func readBlocks(_ entry: Int, _ body: (BlockPosting) -> Void) throws(StorageError) {
            let code = self.code
            let first = Int(
                self.reader.bits(at: self.blocks &+ entry &* code.blockBits, count: code.blockBits))
            guard code.isGrouped else { return body(BlockPosting(block: first, count: 1)) }
            let pointer = entry / pointerDistance
            var place = self.rests
            if pointer > 0 {
                place += Int(
                    self.reader.bits(at: self.pointers + (pointer - 1) * pointerBits, count: pointerBits))
            }
            self.reader.seek(toBit: place)
            var skipped = pointer * pointerDistance
            while skipped < entry {
                code.skipRest(length: self.readLength(), from: &self.reader)
                skipped &+= 1
            }
            code.readRest(first: first, length: self.readLength(), from: &self.reader, body)
            guard !self.reader.isExhausted else { throw Self.damaged }
        }

        @inline(__always)
        private mutating func readLength() -> Int {
            Int(truncatingIfNeeded: self.reader.readGolomb(order: self.code.lengthOrder)) &+ 1
        }

        /// Checks that a walk over all entries has come to the end of the page.
        mutating func checkEnd(lastPlace: Int) throws(StorageError) {
            if !self.code.isGrouped { self.reader.seek(toBit: self.rests) }
            guard lastPlace == self.count + self.highest, self.reader.isAtEnd else { throw Self.damaged }
        }
    }
}
