/// The log in numbers, as storage knows them.
package struct EngineStatistics: Sendable {
    package var state: HeadState
    package var end: UInt64
    package var segments: [SegmentInfo]
    package var activeBytes: Int
    package var headBytes: Int
    package var sealingProblem: String?
    /// Bytes of the head that were freed and that a reader, of the process named, may still look at.
    package var pinnedHeadBytes: Int
    package var pinningProcess: Int32?
    /// For how long the oldest reader is known to have looked at the same commit.
    package var oldestReaderAge: Duration
}

extension LogEngine {
    /// The log in numbers.
    package func statistics() throws(StorageError) -> EngineStatistics {
        let (view, activeBytes) = try self.withCurrentState { shared in
            (shared.view, shared.active.chunks.reduce(0) { $0 + $1.uncompressedBytes })
        }
        let free = try self.head.freeSpace()
        return EngineStatistics(
            state: view.state, end: view.end, segments: view.catalogue.segments, activeBytes: activeBytes,
            headBytes: try self.head.environment.info().usedBytes, sealingProblem: self.sealingError?.message,
            pinnedHeadBytes: free.oldestReader == nil ? 0 : free.pinnedBytes,
            pinningProcess: free.oldestReader,
            oldestReaderAge: try self.head.oldestReaderAge())
    }

    /// The event with this id; nil if there is none, or none any more.
    package func record(id: Identifier) throws(StorageError) -> PlacedRecord? {
        try self.whileSegmentsStay { view throws(StorageError) in try self.record(id: id, view) }
    }

    private func record(id: Identifier, _ view: ReadView) throws(StorageError) -> PlacedRecord? {
        var query = RecordQuery()
        query.isBackwards = true
        query.positions = view.state.sealedEnd..<UInt64.max
        if let found = try self.record(id: id, within: query) { return found }
        for info in view.catalogue.segments.reversed() {
            let segment = try self.segments.segment(info)
            for number in try segment.idCandidates(id) {
                query.positions =
                    segment.blocks[number].firstPosition..<segment.blocks[number].lastPosition + 1
                if let found = try self.record(id: id, within: query) { return found }
            }
        }
        return nil
    }

    private func record(id: Identifier, within query: RecordQuery) throws(StorageError) -> PlacedRecord? {
        var found: PlacedRecord?
        let hash = id.hash64
        try self.scan(query) { (frame, selection) throws(StorageError) in
            try frame.require(.ids)
            return try selection.forEach(backwards: true) { (index) throws(StorageError) in
                guard frame.idHash(index) == hash, frame.id(index) == id else { return true }
                found = try frame.single(index)
                return false
            }
        }
        return found
    }
}
