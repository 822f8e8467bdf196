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
            let finished = try self.withoutActiveEvents(view.hidden)
            var outcome = CompactionOutcome()
            outcome.segmentsBefore = view.catalogue.segments.count
            outcome.bytesBefore = view.catalogue.segments.reduce(0) { $0 + $1.fileBytes }
            let sieve = EventSieve(engine: self, view: view, keepsLatestOnly: policy.keepsLatestOnly)
            for group in Self.groups(view.catalogue.segments, policy) {
                try self.sealIfPressed()
                // A segment of which nothing goes, and that nothing joins, stays as it is.
                if group.count == 1, try !sieve.drops(from: group[0]) { continue }
                let replacement = try self.rewrite(group, sieve, view)
                try self.swap(group, for: replacement)
                outcome.eventsRemoved += group.reduce(0) { $0 + $1.count } - (replacement?.count ?? 0)
            }
            try self.forget(finished, view)
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

    private func rewrite(
        _ group: [SegmentInfo], _ sieve: EventSieve, _ view: ReadView
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
            let decoder = FrameDecoder()
            var kept = 0
            for info in group {
                let segment = try self.segments.segment(info)
                try segment.forEachBlock(from: info.positions.lowerBound) {
                    bytes, first throws(StorageError) in
                    try decoder.load(
                        bytes, expectedFirstPosition: first, verifyBody: false, parts: [],
                        dictionary: segment.dictionaryProvider)
                    let keeps = try sieve.selection(decoder)
                    kept += keeps.map { (0..<decoder.count).count(where: $0) } ?? decoder.count
                    try writer.append(contentsOf: decoder) { keeps?($0) ?? true }
                    self.maintenance.noteStep()
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

    /// The hidden streams of which the active segment holds nothing: all that is hidden of them is in the
    /// sealed segments. (What is appended to a truncated stream from now on is visible.)
    private func withoutActiveEvents(_ hidden: HiddenStreams) throws(StorageError) -> [ExactText: UInt64] {
        try self.withCurrentState { shared in
            hidden.all.filter { name, _ in shared.active.nextRevision(of: name.text) == nil }
        }
    }

    /// Takes streams off the list of hidden ones, after the segments were rewritten without what was hidden; in
    /// slices, so that the writer never waits long.
    private func forget(_ finished: [ExactText: UInt64], _ view: ReadView) throws(StorageError) {
        guard let writer = self.writer, view.state.firstPosition <= view.state.sealedEnd else { return }
        var rest = Array(finished)[...]
        var slice = SliceSize(250, in: 50...4000)
        while !rest.isEmpty {
            let part = rest.prefix(slice.count)
            let elapsed = try writer.performTimed { [self] transaction throws(StorageError) in
                var changes: [(ExactText, UInt64?)] = []
                for (name, lowest) in part {
                    let key = Array(name.text.utf8)
                    guard try transaction.record(.hiddenStreams, key: key) == HeadKeys.integer(lowest) else {
                        continue
                    }
                    try transaction.removeRecord(.hiddenStreams, key: key)
                    changes.append((name, nil))
                }
                try self.changeHidden(changes, transaction)
            }
            rest = rest.dropFirst(part.count)
            slice.adapt(to: elapsed)
            self.maintenance.noteStep()
            self.giveWay(after: elapsed)
        }
    }
}
