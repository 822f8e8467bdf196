/// A block of a sealed segment: which events it holds and where its bytes are.
package struct SegmentBlock: Sendable, Hashable {
    /// The block's number in its segment, from 0.
    package var number: Int
    /// The position of its first event.
    package var firstPosition: UInt64
    /// The position of its last event.
    package var lastPosition: UInt64
    /// The number of events in it.
    package var count: Int
    /// The earliest timestamp in it, in nanoseconds since 1970.
    package var minTimestamp: Int64
    /// The latest timestamp in it, in nanoseconds since 1970.
    package var maxTimestamp: Int64
    /// The key of the run of blocks that it is stored in: the first position of the run's first block.
    var run: UInt64
    /// Where it begins in the run, a multiple of 8.
    var offset: Int
    /// The length of its frame.
    package var byteCount: Int
}

/// The blocks of a segment in order, with their times: the segment's time index and the way from the number
/// of a block to its bytes.
///
/// Frames are stored in **runs**: several of them back to back in one LMDB value, because a value takes whole
/// pages of 4 KiB, of which a value per frame would leave a tenth unused. The directory says where each
/// frame lies, so that a run needs no table of its own. It takes about 20 bytes a block and is read whole
/// when the segment is opened.
struct BlockDirectory: Sendable {
    private(set) var blocks: [SegmentBlock] = []

    /// Frames begin at multiples of this within a run.
    static let alignment = 8

    static func aligned(_ offset: Int) -> Int {
        (offset + Self.alignment - 1) & ~(Self.alignment - 1)
    }

    /// Adds the next block.
    mutating func append(_ block: SegmentBlock) {
        self.blocks.append(block)
    }

    /// The number of the block that holds `position` or, if none does, the first one after it; the number of
    /// blocks if there is none.
    func firstBlock(atOrAfter position: UInt64) -> Int {
        var low = 0
        var high = self.blocks.count
        while low < high {
            let middle = (low + high) / 2
            if self.blocks[middle].lastPosition < position { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The blocks as bytes: per block varints of the positions skipped before it, its span of positions less
    /// one, how many of the span have no event, twice its length plus one if it begins a run, and its
    /// earliest timestamp less the previous block's (zigzag) and the span of its timestamps.
    func encode(from firstPosition: UInt64) -> [UInt8] {
        var writer = RecordWriter()
        writer.append(varint: UInt64(self.blocks.count))
        var next = firstPosition
        var timestamp: Int64 = 0
        for block in self.blocks {
            let span = block.lastPosition - block.firstPosition
            writer.append(varint: block.firstPosition - next)
            writer.append(varint: span)
            writer.append(varint: span + 1 - UInt64(block.count))
            writer.append(varint: UInt64(block.byteCount) << 1 | (block.offset == 0 ? 1 : 0))
            writer.append(zigzag: block.minTimestamp &- timestamp)
            writer.append(varint: UInt64(bitPattern: block.maxTimestamp &- block.minTimestamp))
            next = block.lastPosition + 1
            timestamp = block.minTimestamp
        }
        return writer.bytes
    }

    /// Reads what `encode` wrote and checks that the blocks lie in `positions`, in order.
    init(decoding bytes: UnsafeRawBufferPointer, positions: Range<UInt64>) throws(StorageError) {
        var reader = RecordReader(bytes)
        // A block takes six bytes at least.
        let count = reader.count(limit: bytes.count / 6)
        self.blocks.reserveCapacity(count)
        var next = positions.lowerBound
        var timestamp: Int64 = 0
        var run: UInt64 = 0
        var offset = 0
        for number in 0..<count {
            let (first, firstOverflow) = next.addingReportingOverflow(reader.varint())
            let span = reader.varint()
            let (last, lastOverflow) = first.addingReportingOverflow(span)
            let missing = reader.varint()
            let length = reader.count(limit: Int.max >> 8)
            timestamp = timestamp &+ reader.zigzag()
            let maximum = timestamp &+ Int64(bitPattern: reader.varint())
            guard
                !reader.hasFailed, !firstOverflow, !lastOverflow, last < positions.upperBound,
                missing <= span, span < UInt64(Int.max), timestamp <= maximum, length & 1 == 1 || number > 0
            else { throw Self.damaged }
            if length & 1 == 1 {
                run = first
                offset = 0
            }
            self.blocks.append(
                SegmentBlock(
                    number: number, firstPosition: first, lastPosition: last,
                    count: Int(span - missing) + 1, minTimestamp: timestamp, maxTimestamp: maximum,
                    run: run, offset: offset, byteCount: length >> 1))
            offset = Self.aligned(offset + length >> 1)
            next = last + 1
        }
        guard !reader.hasFailed, reader.remaining == 0 else { throw Self.damaged }
    }

    init() {}

    private static var damaged: StorageError {
        StorageError(.corrupted, "the directory of blocks does not hold together")
    }
}
