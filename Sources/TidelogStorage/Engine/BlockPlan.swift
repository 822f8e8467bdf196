/// Chooses the blocks of a sealed segment that a filter needs, from the segment's indexes alone.
struct BlockPlan {
    private let filter: RecordFilter

    init(_ filter: RecordFilter) {
        self.filter = filter
    }

    /// Numbers of the blocks that overlap `part` and may hold matches, ascending; nil where every block must
    /// be looked at.
    func blocks(in segment: Segment, _ part: Range<UInt64>) throws(StorageError) -> [Int]? {
        var numbers: [Int]?
        if !self.filter.streams.isEmpty {
            var found: Set<Int> = []
            for stream in self.filter.streams {
                for posting in try segment.streamPostings(stream) { found.insert(posting.block) }
            }
            numbers = found.sorted()
        } else if let correlation = self.filter.correlation {
            numbers = try segment.correlationPostings(correlation).map(\.block)
        } else if let types = self.filter.types {
            var found: Set<Int> = []
            for (type, _) in try segment.typeCounts() where types.matches(type) {
                for posting in try segment.typeBlocks(type) { found.insert(posting.block) }
            }
            numbers = found.sorted()
        } else if self.filter.since != nil || self.filter.until != nil {
            numbers = Array(segment.blocks.indices)
        }
        return numbers?.filter { self.overlaps(segment.blocks[$0], part) }
    }

    private func overlaps(_ block: SegmentBlock, _ part: Range<UInt64>) -> Bool {
        if block.lastPosition < part.lowerBound || block.firstPosition >= part.upperBound { return false }
        if let since = self.filter.since, block.maxTimestamp < since { return false }
        if let until = self.filter.until, block.minTimestamp >= until { return false }
        return true
    }
}

extension Segment {
    /// Finds the dictionary of the segment's frames.
    var dictionaryProvider: (UInt32) throws(StorageError) -> CompressionDictionary {
        { [self] id throws(StorageError) in try self.dictionary(id: id) }
    }
}
