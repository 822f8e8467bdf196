/// How the entries of one index of a segment are coded: what the pages share.
///
/// An index finds, by the hash of a name or an id, the blocks of the segment that hold it. It is a list sorted
/// by hash, cut into pages (`PostingsPage`); a page is one value of the database `index`.
///
/// There are two forms. In the **grouped** form (streams, correlations) an entry is a hash with all its
/// blocks, each with the number of events in it. In the **single** form (event ids) an entry is a hash with
/// one block, and entries with the same hash may stand beside each other.
///
/// Only as much of a hash is kept as tells entries apart well: the bits that number the entries and
/// `spareBits` more, so that a lookup of something that is not there passes once in 2^spareBits times. Two
/// names whose kept bits are the same share an entry; whoever asks compares names in the block anyway.
package struct PostingsCode: Hashable, Sendable {
    /// The bits kept beyond those that number the entries.
    package static let spareBits = 12
    /// The most bits kept; what a key holds and what the writer collects.
    package static let maximumHashBits = 40
    /// The most bits of a block number.
    package static let maximumBlockBits = 24

    /// Whether entries carry several blocks with counts.
    package var isGrouped: Bool
    /// The number of top bits of the 64-bit hash that are kept.
    package var hashBits: Int
    /// The number of bits of an entry's first block number.
    package var blockBits: Int
    /// The number of low bits of an entry's hash that are kept as they are; the rest is kept in unary.
    package var lowBits: Int
    /// The order of the Golomb code of an entry's number of blocks less one.
    package var lengthOrder: Int
    /// What is taken from the expected order of the distance between an entry's blocks: more when blocks of
    /// one entry lie close together.
    package var gapShift: Int
    /// The order of the Golomb code of the events in a block less one.
    package var countOrder: Int

    package init(
        isGrouped: Bool, hashBits: Int, blockBits: Int, lowBits: Int = 0, lengthOrder: Int = 0,
        gapShift: Int = 0, countOrder: Int = 0
    ) {
        self.isGrouped = isGrouped
        self.hashBits = hashBits
        self.blockBits = blockBits
        self.lowBits = lowBits
        self.lengthOrder = lengthOrder
        self.gapShift = gapShift
        self.countOrder = countOrder
    }

    /// The part of `hash` that is kept.
    package func key(of hash: UInt64) -> UInt64 {
        hash &>> UInt64(64 - self.hashBits)
    }

    /// The order of the Golomb code of the distance between blocks of an entry that has `length` of them:
    /// the logarithm of the distance expected if they lie evenly, less `gapShift`.
    func gapOrder(length: Int) -> Int {
        let lengthBits = Int.bitWidth - 1 - length.leadingZeroBitCount
        return max(0, self.blockBits - lengthBits - self.gapShift)
    }

    /// The number of bits that number `count` things: 0 for none or one.
    static func bits(toNumber count: Int) -> Int {
        count <= 1 ? 0 : Int.bitWidth - (count - 1).leadingZeroBitCount
    }
}

/// A block of a segment that may hold what was looked for.
package struct BlockPosting: Hashable, Sendable {
    /// The block's number in its segment, from 0.
    package var block: Int
    /// The number of events in it that match, those of a name with the same hash included.
    package var count: Int

    package init(block: Int, count: Int) {
        self.block = block
        self.count = count
    }
}

/// One entry of an index.
package struct PostingsEntry: Hashable, Sendable {
    /// The kept bits of the hash.
    package var key: UInt64
    /// The blocks, ascending.
    package var blocks: [BlockPosting]

    package init(key: UInt64, blocks: [BlockPosting]) {
        self.key = key
        self.blocks = blocks
    }
}

extension PostingsCode {
    /// What follows the first block's number in the code of an entry: its number of events, then for each
    /// further block the distance from the one before less one, and its number of events.
    func writeRest(_ blocks: [BlockPosting], to writer: inout BitWriter) {
        let gapOrder = self.gapOrder(length: blocks.count)
        var previous = -1
        for posting in blocks {
            if previous >= 0 {
                writer.writeGolomb(UInt64(posting.block - previous - 1), order: gapOrder)
            }
            writer.writeGolomb(UInt64(posting.count - 1), order: self.countOrder)
            previous = posting.block
        }
    }

    /// The number of bits that `writeRest` takes.
    func restCost(_ blocks: [BlockPosting]) -> Int {
        let gapOrder = self.gapOrder(length: blocks.count)
        var bits = 0
        var previous = -1
        for posting in blocks {
            if previous >= 0 {
                bits += BitWriter.golombCost(UInt64(posting.block - previous - 1), order: gapOrder)
            }
            bits += BitWriter.golombCost(UInt64(posting.count - 1), order: self.countOrder)
            previous = posting.block
        }
        return bits
    }

    /// Reads what `writeRest` wrote of `length` blocks, giving each to `body`; stops where the bytes end.
    @inline(__always)
    func readRest(first: Int, length: Int, from reader: inout BitReader, _ body: (BlockPosting) -> Void) {
        let gapOrder = self.gapOrder(length: length)
        var block = first
        var left = length
        while true {
            let count = Int(truncatingIfNeeded: reader.readGolomb(order: self.countOrder)) &+ 1
            if reader.isExhausted { return }
            body(BlockPosting(block: block, count: count))
            left &-= 1
            if left <= 0 { return }
            block &+= Int(truncatingIfNeeded: reader.readGolomb(order: gapOrder)) &+ 1
        }
    }

    /// Passes over what `writeRest` wrote of `length` blocks; stops where the bytes end.
    @inline(__always)
    func skipRest(length: Int, from reader: inout BitReader) {
        reader.skipGolomb(order: self.countOrder)
        if length == 1 { return }
        let gapOrder = self.gapOrder(length: length)
        var left = length &- 1
        while left > 0, !reader.isExhausted {
            reader.skipGolomb(order: gapOrder)
            reader.skipGolomb(order: self.countOrder)
            left &-= 1
        }
    }
}
