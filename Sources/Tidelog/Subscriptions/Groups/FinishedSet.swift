/// Which of a grant's events are finished: ascending ranges of their indexes that do not touch.
///
/// What is acknowledged in order is one range, however much it is.
struct FinishedSet: Equatable, Sendable {
    private(set) var ranges: [Range<Int>] = []
    private(set) var count = 0

    init() {}

    /// Ranges as they were stored; nil if they are not ascending or reach beyond `end`.
    init?(stored: [Range<Int>], end: Int) {
        var last = -1
        for range in stored {
            guard range.lowerBound > last, !range.isEmpty, range.upperBound <= end else { return nil }
            last = range.upperBound
            self.count += range.count
        }
        self.ranges = stored
    }

    /// The lowest index that is not in it.
    var firstGap: Int {
        guard let first = self.ranges.first, first.lowerBound == 0 else { return 0 }
        return first.upperBound
    }

    func contains(_ index: Int) -> Bool {
        let place = self.firstRange(endingAbove: index)
        return place < self.ranges.count && self.ranges[place].lowerBound <= index
    }

    /// Whether none of `range` is in it.
    func isDisjoint(from range: Range<Int>) -> Bool {
        let place = self.firstRange(endingAbove: range.lowerBound)
        return place == self.ranges.count || self.ranges[place].lowerBound >= range.upperBound
    }

    /// Adds indexes, none of which may be in it yet.
    mutating func insert(_ range: Range<Int>) {
        precondition(self.isDisjoint(from: range), "an index is finished twice")
        guard !range.isEmpty else { return }
        self.count += range.count
        let place = self.firstRange(endingAbove: range.lowerBound)
        let joinsBefore = place > 0 && self.ranges[place - 1].upperBound == range.lowerBound
        let joinsAfter = place < self.ranges.count && self.ranges[place].lowerBound == range.upperBound
        switch (joinsBefore, joinsAfter) {
        case (true, true):
            self.ranges[place - 1] = self.ranges[place - 1].lowerBound..<self.ranges[place].upperBound
            self.ranges.remove(at: place)
        case (true, false):
            self.ranges[place - 1] = self.ranges[place - 1].lowerBound..<range.upperBound
        case (false, true):
            self.ranges[place] = range.lowerBound..<self.ranges[place].upperBound
        case (false, false): self.ranges.insert(range, at: place)
        }
    }

    /// The parts of `0..<end` that are not in it.
    func gaps(below end: Int) -> [Range<Int>] {
        var gaps: [Range<Int>] = []
        var start = 0
        for range in self.ranges {
            if range.lowerBound > start { gaps.append(start..<range.lowerBound) }
            start = range.upperBound
        }
        if start < end { gaps.append(start..<end) }
        return gaps
    }

    private func firstRange(endingAbove index: Int) -> Int {
        var low = 0
        var high = self.ranges.count
        while low < high {
            let middle = (low + high) / 2
            if self.ranges[middle].upperBound <= index { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
