// "No event satisfies this query": looked at by the caller on his own thread as far as the log was committed
// then, and by the writer, in the transaction that appends, for everything since.
//
// Invariant: between `looked` and what the writer sees nothing is left out. Three parts follow each other
// without a gap: what is committed or written to the transaction as frames, all of it in the index once
// `WriteBatch.index()` was called; then the events that the writer has accepted and gathered, whose frame
// is not written yet. Those are compared one by one while they are few; when they are many their frame is
// written first, so that a thousand requests with conditions do not cost a million comparisons.

/// A query that must find nothing for an append to go ahead.
package struct AbsenceCheck: Sendable {
    fileprivate let query: RecordQuery
    /// The end of the log up to which the caller has looked.
    fileprivate let looked: UInt64
    /// What the caller has found.
    fileprivate let found: UInt64?
    /// The error for an event at this position.
    fileprivate let conflict: @Sendable (UInt64) -> StorageError

    /// Looks for events that satisfy `query`, whose limit and order do not count; blocks the thread.
    ///
    /// - Parameter conflict: the error of an append that finds an event at this position.
    package init(
        _ query: RecordQuery, in engine: LogEngine, conflict: @escaping @Sendable (UInt64) -> StorageError
    ) throws(StorageError) {
        self.query = query
        self.conflict = conflict
        self.looked = try engine.currentView().end
        self.found = try Self.first(query, in: query.positions.clamped(to: 0..<self.looked), engine)
    }

    fileprivate static func first(
        _ query: RecordQuery, in range: Range<UInt64>, _ engine: LogEngine
    ) throws(StorageError) -> UInt64? {
        if range.isEmpty { return nil }
        var query = query
        query.positions = range
        query.isBackwards = false
        query.limit = 1
        var found: UInt64?
        try engine.scan(query) { frame, selection throws(StorageError) in
            _ = try selection.forEach(backwards: false) { index in
                found = frame.position(index)
                return false
            }
            return false
        }
        return found
    }

    /// What the index proposes, the writer's own uncommitted frames included; nil where it does not help.
    fileprivate func candidates(_ range: Range<UInt64>, _ engine: LogEngine) -> [UInt64]? {
        let filter = self.query.filter
        return engine.shared.withLock { shared in
            guard shared.active.chunks[0].first <= range.lowerBound else { return nil }
            if !filter.streams.isEmpty {
                var found: [UInt64] = []
                for stream in filter.streams { found += shared.active.positions(ofStream: stream, in: range) }
                return found.sorted()
            }
            if let correlation = filter.correlation {
                return shared.active.positions(ofCorrelation: correlation.hash64, in: range)
            }
            return filter.types.map { shared.active.positions(in: range, ofTypes: $0.matches) }
        }
    }
}

extension WriteBatch {
    /// Up to how many gathered events are compared one by one.
    private static let comparedEvents = 128

    /// Refuses a request that finds an event which must not be there.
    mutating func check(
        _ absence: AbsenceCheck, _ transaction: borrowing HeadTransaction
    ) throws(StorageError) {
        if let found = absence.found { throw absence.conflict(found) }
        if self.gathered.count > Self.comparedEvents { try self.flush(transaction) }
        self.index()
        if let found = try self.firstWritten(absence, transaction) ?? self.firstGathered(absence) {
            throw absence.conflict(found)
        }
    }

    /// The first event of what was written since the caller has looked.
    private mutating func firstWritten(
        _ absence: AbsenceCheck, _ transaction: borrowing HeadTransaction
    ) throws(StorageError) -> UInt64? {
        let (view, end) = self.engine.shared.withLock { ($0.view, $0.active.end) }
        let low = max(absence.query.positions.lowerBound, absence.looked)
        let high = min(absence.query.positions.upperBound, end)
        guard low < high else { return nil }
        let sealed = (low..<high).clamped(to: 0..<view.state.sealedEnd)
        if let found = try AbsenceCheck.first(absence.query, in: sealed, self.engine) { return found }
        let rest = (low..<high).clamped(to: view.state.sealedEnd..<UInt64.max)
        return rest.isEmpty ? nil : try self.firstInFrames(rest, absence, view, transaction)
    }

    private mutating func firstInFrames(
        _ range: Range<UInt64>, _ absence: AbsenceCheck, _ view: ReadView,
        _ transaction: borrowing HeadTransaction
    ) throws(StorageError) -> UInt64? {
        let candidates = absence.candidates(range, self.engine)
        if let candidates, candidates.isEmpty { return nil }
        let matcher = FrameMatcher(absence.query.filter, hidden: view.hidden)
        var next = candidates?.first ?? range.lowerBound
        while next < range.upperBound {
            let decoder = try self.frame(containing: next, transaction)
            let low = decoder.firstIndex(atOrAfterPosition: next)
            let high = decoder.firstIndex(atOrAfterPosition: range.upperBound)
            if low < high {
                if matcher.acceptsEverything { return decoder.position(low) }
                var matcher = matcher
                if let first = try matcher.select(decoder, in: low..<high).first {
                    return decoder.position(Int(first))
                }
            }
            let end = decoder.header.lastPosition + 1
            guard let candidates else {
                next = end
                continue
            }
            guard let later = candidates.first(where: { $0 >= end }) else { return nil }
            next = later
        }
        return nil
    }

    /// The frame of the head that holds `position`. Requests that follow each other ask for the same one.
    private mutating func frame(
        containing position: UInt64, _ transaction: borrowing HeadTransaction
    ) throws(StorageError) -> FrameDecoder {
        let decoder = self.checked
        if self.isChecked, decoder.header.firstPosition <= position, position <= decoder.header.lastPosition {
            return decoder
        }
        self.isChecked = false
        guard
            try self.engine.loadHeadFrame(containing: position, into: decoder, transaction.transaction)
        else {
            throw StorageError(
                .corrupted, "a frame is missing from the head; run `tidelog verify`, then `tidelog repair`",
                path: self.engine.directory, positions: position..<position + 1)
        }
        self.isChecked = true
        return decoder
    }

    /// The first event of what was accepted and not written yet.
    private func firstGathered(_ absence: AbsenceCheck) -> UInt64? {
        let wanted = absence.query.positions
        let filter = absence.query.filter
        guard self.gathered.count > 0, wanted.upperBound > self.end else { return nil }
        if !filter.streams.isEmpty, let encoder = self.encoder,
            !filter.streams.contains(where: { encoder.streamCode(of: $0) != nil })
        {
            return nil
        }
        var revisions = filter.revisions == nil ? nil : GatheredRevisions(self.gathered)
        var position = self.end
        for request in self.gathered.requests {
            // Through a pointer: a loop over the array copies each record and counts its references.
            let found = request.withUnsafeBufferPointer { records -> UInt64? in
                guard let start = records.baseAddress else { return nil }
                for index in records.indices {
                    let place = position + UInt64(index)
                    let revision = revisions?.next((start + index).pointee.stream, self.encoder)
                    if wanted.contains(place),
                        filter.accepts((start + index).pointee, revision: revision)
                    {
                        return place
                    }
                }
                return nil
            }
            if let found { return found }
            position += UInt64(request.count)
        }
        return nil
    }
}

/// The revisions that gathered events get, one event after the other.
private struct GatheredRevisions {
    private var next: [UInt64]

    init(_ gathered: GatheredFrame) {
        self.next = gathered.baseRevisions
    }

    mutating func next(_ stream: String?, _ encoder: FrameEncoder?) -> UInt64? {
        guard let stream, let code = encoder?.streamCode(of: stream) else { return nil }
        defer { self.next[code - 1] += 1 }
        return self.next[code - 1]
    }
}
