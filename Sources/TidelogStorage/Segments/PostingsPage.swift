/// One page of an index: a varint with the number of entries, then the entries in bits.
///
/// The first entry's key is not in the page but in the key under which the page is stored; each further key
/// is coded as its distance from the one before. A page holds whole entries only, and entries with the same
/// key never lie in two pages, so a lookup reads one page.
package enum PostingsPage {
    /// The size that a page should reach: two to a leaf of LMDB with their node headers, keys and checksums.
    ///
    /// A leaf of 4,096 bytes has room for 4,080 beyond its header. A node takes 8 bytes and its key, an entry
    /// of the offset table 2; half of 4,080 less those and the page's key of 6 bytes leaves 2,024 bytes, of
    /// which the checksum takes 8.
    package static let targetBytes = 2_016

    /// The blocks under `key` in a page whose first entry is `firstKey`.
    ///
    /// - Complexity: O(*n*) in the entries before the one sought, a few nanoseconds each.
    package static func blocks(
        for key: UInt64, in page: UnsafeRawBufferPointer, firstKey: UInt64, code: PostingsCode
    ) throws(StorageError) -> [BlockPosting] {
        var cursor = try Cursor(page, firstKey: firstKey, code: code)
        guard cursor.seek(key) else {
            try cursor.check()
            return []
        }
        var found: [BlockPosting] = []
        repeat {
            cursor.readBlocks { found.append($0) }
        } while !code.isGrouped && cursor.next() && cursor.key == key
        try cursor.check()
        return found
    }

    /// Gives every entry of a page to `body`.
    package static func forEachEntry(
        in page: UnsafeRawBufferPointer, firstKey: UInt64, code: PostingsCode,
        _ body: (PostingsEntry) throws(StorageError) -> Void
    ) throws(StorageError) {
        var cursor = try Cursor(page, firstKey: firstKey, code: code)
        while cursor.next() {
            var blocks: [BlockPosting] = []
            cursor.readBlocks { blocks.append($0) }
            try cursor.check()
            try body(PostingsEntry(key: cursor.key, blocks: blocks))
        }
        try cursor.checkEnd()
    }

    /// Walks the entries of a page: `next`, then `readBlocks` or `skipBlocks`.
    private struct Cursor {
        private let code: PostingsCode
        private var reader: BitReader
        private var left: Int
        private var isFirst = true
        private var length = 1
        private(set) var key: UInt64

        init(_ page: UnsafeRawBufferPointer, firstKey: UInt64, code: PostingsCode) throws(StorageError) {
            var header = RecordReader(page)
            self.left = header.count(limit: page.count * 8)
            guard !header.hasFailed, self.left > 0 else {
                throw StorageError(.corrupted, "an index page is empty or has no count of its entries")
            }
            self.code = code
            self.key = firstKey
            self.reader = BitReader(header.slice(header.remaining))
        }

        /// Goes to the next entry; false after the last one, or where the page is damaged.
        @inline(__always)
        mutating func next() -> Bool {
            if self.left == 0 || self.reader.isExhausted { return false }
            self.left &-= 1
            if self.isFirst {
                self.isFirst = false
            } else {
                self.key &+= self.reader.readGolomb(order: self.code.hashOrder)
                if self.code.isGrouped { self.key &+= 1 }
            }
            if self.code.isGrouped {
                self.length =
                    Int(truncatingIfNeeded: self.reader.readGolomb(order: self.code.lengthOrder)) &+ 1
            }
            return !self.reader.isExhausted
        }

        /// Goes to the first entry with `key`; false if there is none.
        mutating func seek(_ key: UInt64) -> Bool {
            while self.next() {
                if self.key >= key { return self.key == key }
                self.skipBlocks()
            }
            return false
        }

        mutating func readBlocks(_ body: (BlockPosting) -> Void) {
            self.code.readBlocks(length: self.length, from: &self.reader, body)
        }

        @inline(__always)
        private mutating func skipBlocks() {
            self.reader.skip(count: self.code.blockBits)
            guard self.code.isGrouped else { return }
            self.reader.skipGolomb(order: self.code.countOrder)
            if self.length > 1 { self.skipFurtherBlocks() }
        }

        private mutating func skipFurtherBlocks() {
            let gapOrder = self.code.gapOrder(length: self.length)
            var index = 1
            while index < self.length, !self.reader.isExhausted {
                self.reader.skipGolomb(order: gapOrder)
                self.reader.skipGolomb(order: self.code.countOrder)
                index &+= 1
            }
        }

        func check() throws(StorageError) {
            guard !self.reader.isExhausted else {
                throw StorageError(.corrupted, "an index page ends within an entry")
            }
        }

        func checkEnd() throws(StorageError) {
            try self.check()
            guard self.reader.isAtEnd else {
                throw StorageError(.corrupted, "an index page goes on after its last entry")
            }
        }
    }
}
