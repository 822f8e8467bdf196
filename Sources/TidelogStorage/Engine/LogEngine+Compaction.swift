/// What compaction removes besides truncated events and deleted streams.
package struct CompactionPolicy: Sendable, Equatable {
    /// Keep only the latest event of each stream, and events without a stream.
    package var keepsLatestOnly = false
    /// Neighbouring segments are merged up to this many uncompressed bytes; 0 merges none.
    package var mergedBytes = 64 << 20

    package init() {}
}

/// What a compaction did.
package struct CompactionOutcome: Sendable, Equatable {
    package var segmentsBefore = 0
    package var segmentsAfter = 0
    package var eventsRemoved = 0
    package var bytesBefore = 0
    package var bytesAfter = 0
}

extension LogEngine {
    /// Rewrites sealed segments without what is no longer wanted, and merges small ones.
    ///
    /// Positions and revisions of what stays do not change. Each rewritten segment is swapped in by one
    /// transaction of the head; readers of the old file finish on it.
    package func compact(_ policy: CompactionPolicy) throws(StorageError) -> CompactionOutcome {
        guard self.writer != nil else { throw self.readOnlyError() }
        return try self.maintenance.exclusively(self) { () throws(StorageError) in
            let view = try self.currentView()
            var outcome = CompactionOutcome()
            outcome.segmentsBefore = view.catalogue.segments.count
            outcome.bytesBefore = view.catalogue.segments.reduce(0) { $0 + $1.fileBytes }
            for group in Self.groups(view.catalogue.segments, policy) {
                if group.count == 1, !policy.keepsLatestOnly {
                    guard try self.hasHidden(group[0], view) else { continue }
                }
                let replacement = try self.rewrite(group, policy, view)
                try self.swap(group, for: replacement)
                outcome.eventsRemoved += group.reduce(0) { $0 + $1.count } - (replacement?.count ?? 0)
            }
            try self.forgetCompacted(view)
            let after = try self.currentView().catalogue.segments
            outcome.segmentsAfter = after.count
            outcome.bytesAfter = after.reduce(0) { $0 + $1.fileBytes }
            return outcome
        }
    }

    /// Runs of neighbouring segments that become one.
    private static func groups(_ segments: [SegmentInfo], _ policy: CompactionPolicy) -> [[SegmentInfo]] {
        var groups: [[SegmentInfo]] = []
        var bytes = 0
        for info in segments {
            let joins =
                !groups.isEmpty && bytes + info.uncompressedBytes <= policy.mergedBytes
                && groups[groups.count - 1].last?.positions.upperBound == info.positions.lowerBound
            if joins {
                groups[groups.count - 1].append(info)
                bytes += info.uncompressedBytes
            } else {
                groups.append([info])
                bytes = info.uncompressedBytes
            }
        }
        return groups
    }

    private func hasHidden(_ info: SegmentInfo, _ view: ReadView) throws(StorageError) -> Bool {
        guard !view.hidden.lowestVisible.isEmpty else { return false }
        let segment = try self.segments.segment(info)
        for stream in view.hidden.lowestVisible.keys {
            if try !segment.streamPostings(stream.text).isEmpty { return true }
        }
        return false
    }

    private func rewrite(
        _ group: [SegmentInfo], _ policy: CompactionPolicy, _ view: ReadView
    ) throws(StorageError) -> SegmentInfo? {
        let positions = group[0].positions.lowerBound..<group[group.count - 1].positions.upperBound
        let generation = (group.map(\.generation).max() ?? 0) + 1
        try self.removeLeftover(firstPosition: positions.lowerBound, generation: generation)
        let writer = try SegmentWriter(
            directory: self.directory + "/" + Head.Names.segments, firstPosition: positions.lowerBound,
            generation: generation,
            dictionaryBytes: try self.segments.segment(group[0]).dictionary?.bytes,
            logID: view.state.logID, level: self.options.sealedLevel, blockBytes: self.options.blockBytes)
        do throws(StorageError) {
            var query = RecordQuery()
            query.positions = positions
            var kept = 0
            var scan = Scan(engine: self, query: query, view: view)
            try scan.run { (frame, selection) throws(StorageError) in
                let isLatest = policy.keepsLatestOnly ? try self.latest(frame) : nil
                try frame.require(.all)
                return try selection.forEach(backwards: false) { (index) throws(StorageError) in
                    if let isLatest, !isLatest(index) { return true }
                    kept += 1
                    try writer.append(
                        PlacedRecord(
                            position: frame.position(index), revision: frame.revision(index),
                            record: try frame.record(index)))
                    return true
                }
            }
            if kept == 0 {
                writer.abandon()
                return nil
            }
            return try writer.finish(endPosition: positions.upperBound)
        } catch {
            writer.abandon()
            throw error
        }
    }

    /// Tells which events of the frame are the latest of their stream.
    private func latest(_ frame: FrameDecoder) throws(StorageError) -> (Int) -> Bool {
        try frame.require(.all)
        let distinct = frame.distinctCount(.stream)
        var lastPositions = ContiguousArray<UInt64?>(repeating: nil, count: distinct)
        for entry in 0..<distinct {
            guard let name = frame.distinctText(.stream, entry) else { continue }
            lastPositions[entry] = try self.stream(name)?.lastPosition
        }
        var codes = ContiguousArray<Int>()
        for index in 0..<frame.count { codes.append(frame.code(.stream, index)) }
        let positions = ContiguousArray((0..<frame.count).map { frame.position($0) })
        return { index in
            guard let last = lastPositions[codes[index]] else { return true }
            return positions[index] == last
        }
    }

    private func swap(_ group: [SegmentInfo], for replacement: SegmentInfo?) throws(StorageError) {
        try self.writer?.perform { [self] transaction throws(StorageError) in
            let databases = self.head.databases
            let known = try databases.catalogue(in: transaction.transaction).segments
            guard group.allSatisfy(known.contains) else {
                throw StorageError(.locked, "another process changed the segments meanwhile; compact again")
            }
            for info in group { try transaction.removeSegment(first: info.positions.lowerBound) }
            if let replacement { try transaction.setSegment(replacement) }
            var state = try databases.state(in: transaction.transaction)
            state.catalogueVersion += 1
            try transaction.setState(state)
        }
        try self.removeFiles(group)
    }

    /// Takes streams off the list of hidden ones where nothing hidden is left.
    private func forgetCompacted(_ view: ReadView) throws(StorageError) {
        let finished = view.hidden.lowestVisible.filter { name, _ in
            self.shared.withLock { shared in shared.active.nextRevision(of: name.text) == nil }
        }
        guard !finished.isEmpty, view.state.firstPosition <= view.state.sealedEnd else { return }
        try self.writer?.perform { [self] transaction throws(StorageError) in
            for (name, lowest) in finished {
                let key = Array(name.text.utf8)
                guard try transaction.record(.hiddenStreams, key: key) == HeadKeys.integer(lowest) else {
                    continue
                }
                try transaction.removeRecord(.hiddenStreams, key: key)
            }
            var state = try self.head.databases.state(in: transaction.transaction)
            state.hiddenVersion += 1
            try transaction.setState(state)
        }
    }
}
