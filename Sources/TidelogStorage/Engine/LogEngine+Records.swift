// Records of the head (state of projections, snapshots, timers, schemas) and conditions on events.
//
// Records are changed by `append(_:expecting:changing:check:)` alone: with events or without, in the one head
// transaction that the writer is gathering, after a look (`check`) at what they are there.

/// One state of the head's records, which no commit changes meanwhile. Keep it short: until it ends, pages
/// of the head cannot be reused.
package struct RecordView: ~Copyable, RecordSource {
    private let transaction: ReadTransaction
    private let databases: HeadDatabases

    init(_ transaction: consuming ReadTransaction, _ databases: HeadDatabases) {
        self.transaction = transaction
        self.databases = databases
    }

    /// The record under `key`; nil if there is none.
    package func record(_ space: RecordSpace, key: [UInt8]) throws(StorageError) -> [UInt8]? {
        try self.databases.record(space, key: key, in: self.transaction)
    }

    package func forEachRecord(
        _ space: RecordSpace, prefix: [UInt8], from start: [UInt8],
        _ body: (_ key: [UInt8], _ value: [UInt8]) throws(StorageError) -> Bool
    ) throws(StorageError) {
        try self.databases.forEachRecord(space, prefix: prefix, from: start, in: self.transaction, body)
    }

    /// The same with keys given without the prefix, and `start` likewise.
    package func forEach(
        _ space: RecordSpace, prefix: [UInt8], from start: [UInt8] = [],
        _ body: (_ key: ArraySlice<UInt8>, _ value: [UInt8]) throws(StorageError) -> Bool
    ) throws(StorageError) {
        try self.forEachRecord(space, prefix: prefix, from: prefix + start) {
            key, value throws(StorageError) in
            try body(key.dropFirst(prefix.count), value)
        }
    }
}

extension LogEngine {
    /// The record under `key` in `space`; nil if there is none.
    package func record(_ space: RecordSpace, key: [UInt8]) throws(StorageError) -> [UInt8]? {
        try self.readingRecords { view throws(StorageError) in try view.record(space, key: key) }
    }

    /// Runs `body` with one state of the records.
    package func readingRecords<Result>(
        _ body: (borrowing RecordView) throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        let reader = RecordView(try self.head.environment.beginRead(), self.head.databases)
        return try body(reader)
    }
}

/// "No event satisfies this query": looked at by the caller on his own thread as far as the log was committed
/// then, and by the writer, in the transaction that appends, for everything since.
///
/// Invariant: between `looked` and what the writer sees nothing is left out. The writer gathers small requests
/// before it writes their frame; a request with a check makes it write that frame first, so that every event
/// accepted ahead of the request is a frame of the transaction and in the index.
package struct AbsenceCheck: Sendable {
    private let query: RecordQuery
    /// The end of the log up to which the caller has looked.
    private let looked: UInt64
    /// What the caller has found.
    private let found: UInt64?

    /// Looks for events that satisfy `query`, whose limit and order do not count; blocks the thread.
    package init(_ query: RecordQuery, in engine: LogEngine) throws(StorageError) {
        self.query = query
        self.looked = try engine.currentView().end
        self.found = try Self.first(query, in: query.positions.clamped(to: 0..<self.looked), engine)
    }

    private static func first(
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

    /// The first event that satisfies the query, as the writer's transaction sees the log.
    package func violation(
        in engine: LogEngine, _ transaction: borrowing HeadTransaction
    ) throws(StorageError) -> UInt64? {
        if let found { return found }
        let (view, end) = engine.shared.withLock { ($0.view, $0.active.end) }
        let low = max(self.query.positions.lowerBound, self.looked)
        let high = min(self.query.positions.upperBound, end)
        guard low < high else { return nil }
        let sealed = (low..<high).clamped(to: 0..<view.state.sealedEnd)
        if let found = try Self.first(self.query, in: sealed, engine) { return found }
        let rest = (low..<high).clamped(to: view.state.sealedEnd..<UInt64.max)
        if rest.isEmpty { return nil }
        return try self.firstInFrames(rest, engine, view, transaction)
    }

    private func firstInFrames(
        _ range: Range<UInt64>, _ engine: LogEngine, _ view: ReadView,
        _ transaction: borrowing HeadTransaction
    ) throws(StorageError) -> UInt64? {
        let candidates = self.candidates(range, engine)
        if let candidates, candidates.isEmpty { return nil }
        let matcher = FrameMatcher(self.query.filter, hidden: view.hidden)
        let decoder = FrameDecoder()
        var next = candidates?.first ?? range.lowerBound
        while next < range.upperBound {
            guard try engine.loadHeadFrame(containing: next, into: decoder, transaction.transaction) else {
                throw StorageError(
                    .corrupted,
                    "a frame is missing from the head; run `tidelog verify`, then `tidelog repair`",
                    path: engine.directory, positions: next..<next + 1)
            }
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

    /// What the index proposes, the writer's own uncommitted frames included; nil where it does not help.
    private func candidates(_ range: Range<UInt64>, _ engine: LogEngine) -> [UInt64]? {
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

extension RecordChange {
    /// About how many bytes the changes take, so that a transaction knows what room it needs.
    static func byteCount(_ changes: [RecordChange]) -> Int {
        changes.reduce(0) { sum, change in
            switch change {
            case .set(_, let key, let value): sum + key.count + value.count + 32
            case .remove: sum
            }
        }
    }
}
