/// The events of one decoded frame that a scan found, in ascending order.
package struct FrameSelection {
    /// All events of the frame between these indexes, where `indices` is nil.
    var range: Range<Int>
    /// The events that satisfy the filter, where not all in `range` do.
    var indices: ContiguousArray<Int32>?

    /// How many there are.
    package var count: Int { self.indices?.count ?? self.range.count }

    /// Keeps the first `limit` in reading order.
    mutating func truncate(to limit: Int, backwards: Bool) {
        guard self.count > limit else { return }
        if let indices = self.indices {
            self.indices = ContiguousArray(backwards ? indices.suffix(limit) : indices.prefix(limit))
        } else if backwards {
            self.range = self.range.upperBound - limit..<self.range.upperBound
        } else {
            self.range = self.range.lowerBound..<self.range.lowerBound + limit
        }
    }

    /// Calls `body` with each event's index in the frame, in reading order, until it answers false.
    @inline(__always)
    package func forEach(
        backwards: Bool, _ body: (Int) throws(StorageError) -> Bool
    ) throws(StorageError) -> Bool {
        if let indices {
            if backwards {
                for index in indices.reversed() where try !body(Int(index)) { return false }
            } else {
                for index in indices where try !body(Int(index)) { return false }
            }
        } else if backwards {
            for index in self.range.reversed() where try !body(index) { return false }
        } else {
            for index in self.range where try !body(index) { return false }
        }
        return true
    }
}
