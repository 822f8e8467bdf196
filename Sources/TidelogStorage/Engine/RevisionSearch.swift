/// Leaves out blocks of a sealed segment whose events of a stream come before or after the wanted revisions.
///
/// A segment's index tells the blocks that a stream has events in, and not their revisions. But revisions ascend
/// with positions, so that a few blocks are looked at instead of all: most reads want a stream's last events,
/// those after a snapshot, and so the search begins at the end.
///
/// Invariant: a block is left out only if an event of the stream was seen in it, or on the far side of it, whose
/// revision says so. A block that the index proposes in vain (another name with the same hash) decides nothing.
struct RevisionSearch {
    private let stream: String
    private let revisions: Range<UInt64>
    private let segment: Segment
    private let frames: FrameCache

    /// Nil where the filter does not ask for some revisions of one stream.
    init?(_ filter: RecordFilter, _ segment: Segment, _ frames: FrameCache) {
        guard let revisions = filter.revisions, filter.streams.count == 1 else { return nil }
        (self.stream, self.revisions) = (filter.streams[0], revisions)
        (self.segment, self.frames) = (segment, frames)
    }

    /// Those of `blocks`, ascending, that may hold what is wanted.
    ///
    /// - Complexity: O(log *n*) blocks are looked into, of *n*; where what is wanted is in the last one, that one.
    func narrowed(_ blocks: [Int]) throws(StorageError) -> [Int] {
        if self.revisions.isEmpty { return [] }
        guard blocks.count > 1 else { return blocks }
        var kept = blocks[...]
        if self.revisions.lowerBound > 0 {
            // The block before which nothing can be wanted, as it begins at the lowest revision or before.
            var (low, high, step) = (0, blocks.count, 1)
            while high - low > 1 {
                let middle = max(low + 1, step > 0 ? high - step : (low + high) / 2)
                if let first = try self.firstRevision(blocks[middle]), first <= self.revisions.lowerBound {
                    low = middle
                    step = 0
                } else {
                    high = middle
                    step *= 2
                }
            }
            kept = kept[low...]
        }
        if self.revisions.upperBound < .max {
            // The block from which on nothing can be wanted, as it begins beyond the highest revision.
            var (low, high) = (kept.startIndex, kept.endIndex)
            while low < high {
                let middle = (low + high) / 2
                if let first = try self.firstRevision(blocks[middle]), first >= self.revisions.upperBound {
                    high = middle
                } else {
                    low = middle + 1
                }
            }
            kept = kept[..<high]
        }
        return Array(kept)
    }

    /// The revision of the stream's first event in a block; nil if it has none.
    private func firstRevision(_ block: Int) throws(StorageError) -> UInt64? {
        var found: UInt64?
        try self.frames.withFrame(in: self.segment, block: self.segment.blocks[block]) {
            frame throws(StorageError) in
            guard let index = try frame.events(ofStream: self.stream).first else { return }
            try frame.require([.column(.stream), .revisions])
            found = frame.revision(index)
        }
        return found
    }
}
