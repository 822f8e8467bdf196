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
    package static func blocks(
        for key: UInt64, in page: UnsafeRawBufferPointer, firstKey: UInt64, code: PostingsCode
    ) throws(StorageError) -> [BlockPosting] {
        var found: [BlockPosting] = []
        var cursor = try Cursor(page, firstKey: firstKey, code: code)
        while try cursor.next() {
            if cursor.key < key {
                cursor.skipBlocks()
            } else if cursor.key == key {
                cursor.readBlocks { found.append($0) }
                if code.isGrouped { break }
            } else {
                break
            }
        }
        try cursor.check()
        return found
    }

    /// Gives every entry of a page to `body`.
    package static func forEachEntry(
        in page: UnsafeRawBufferPointer, firstKey: UInt64, code: PostingsCode,
        _ body: (PostingsEntry) throws(StorageError) -> Void
    ) throws(StorageError) {
        var cursor = try Cursor(page, firstKey: firstKey, code: code)
        while try cursor.next() {
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
        private var length = 0
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

        mutating func next() throws(StorageError) -> Bool {
            if self.left == 0 { return false }
            self.left -= 1
            if self.isFirst {
                self.isFirst = false
            } else {
                self.key &+= self.reader.readGolomb(order: self.code.hashOrder)
                if self.code.isGrouped { self.key &+= 1 }
            }
            self.length = 1
            if self.code.isGrouped {
                self.length = Int(self.reader.readGolomb(order: self.code.lengthOrder)) + 1
            }
            if self.reader.isExhausted { try self.check() }
            return true
        }

        mutating func readBlocks(_ body: (BlockPosting) -> Void) {
            self.code.readBlocks(length: self.length, from: &self.reader, body)
        }

        mutating func skipBlocks() {
            guard self.code.isGrouped else {
                self.reader.skip(count: self.code.blockBits)
                return
            }
            let gapOrder = self.code.gapOrder(length: self.length)
            self.reader.skip(count: self.code.blockBits)
            self.reader.skipGolomb(order: self.code.countOrder)
            var index = 1
            while index < self.length, !self.reader.isExhausted {
                self.reader.skipGolomb(order: gapOrder)
                self.reader.skipGolomb(order: self.code.countOrder)
                index += 1
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
