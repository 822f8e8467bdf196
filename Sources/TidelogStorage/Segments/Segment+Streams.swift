extension Segment {
    /// What a segment holds of a stream.
    package struct StreamHead: Sendable, Hashable {
        /// The stream's name.
        package var stream: String
        /// The lowest revision in the segment.
        package var firstRevision: UInt64
        /// The highest revision in the segment.
        package var lastRevision: UInt64
        /// The position of the event with the lowest revision.
        package var firstPosition: UInt64
        /// The position of the event with the highest revision.
        package var lastPosition: UInt64
        /// The number of the stream's events in the segment.
        package var count: Int
    }

    /// Gives every stream that has events in the segment to `body`, in no particular order.
    ///
    /// - Complexity: O(*n*) in the events of the segment: every block's stream and revision columns are
    ///   unpacked, no payload is. Holds all of the segment's stream names in memory while it runs.
    package func streamHeads(_ body: (StreamHead) throws(StorageError) -> Void) throws(StorageError) {
        var heads: [ExactText: StreamHead] = [:]
        let decoder = FrameDecoder()
        try self.forEachBlock(from: self.info.positions.lowerBound) { frame, first throws(StorageError) in
            try decoder.load(
                frame, expectedFirstPosition: first, withBodies: false, parts: [.streams, .revisions],
                dictionary: self.dictionary(id:))
            for index in 0..<decoder.count {
                guard
                    let revision = decoder.revision(index),
                    let stream = decoder.distinctText(.stream, decoder.code(.stream, index))
                else { continue }
                let position = decoder.position(index)
                let fresh = StreamHead(
                    stream: stream, firstRevision: revision, lastRevision: revision, firstPosition: position,
                    lastPosition: position,
                    count: 0)
                let key = ExactText(stream)
                // Events of a stream stand in the order of their revisions.
                heads[key, default: fresh].count += 1
                heads[key, default: fresh].lastRevision = revision
                heads[key, default: fresh].lastPosition = position
            }
            return true
        }
        for head in heads.values { try body(head) }
    }
}
