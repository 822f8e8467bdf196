// Events of streams that were read lately, so that loading a stream again costs no decoding.
//
// Invariants:
// - an entry holds every event of its stream that can be read, from a revision on, below the position `end` of
//   the log; nothing else is ever answered from it;
// - it is believed only under the head's present state, which is asked at each use (two loads from the map, and
//   a lock): what was truncated or deleted has another `hiddenVersion`, what retention took lies below the
//   log's first position, what was appended since, by whichever process, lies at or above `end` and is read
//   from the log first. So what is answered is what a read would have answered;
// - entries are of two generations: what is used is in the young one; once that is large, it becomes the old one,
//   and the one before is forgotten. So finding, keeping and forgetting cost no search.
package import TidelogStorage

/// What is remembered of streams, bounded in bytes.
package final class StreamCache: Sendable {
    fileprivate struct Entry {
        /// Ascending in revision and position.
        var events: [StoredEvent] = []
        /// No event below this revision is here.
        var lowest: UInt64
        /// Events at or above this position are not here.
        var end: UInt64
        var hiddenVersion: UInt64
        var bytes = 0
    }

    fileprivate struct State {
        var young: [ExactText: Entry] = [:]
        var old: [ExactText: Entry] = [:]
        var youngBytes = 0
        var oldBytes = 0
    }

    private let limit: Int
    private let state = Lock(State())

    /// A cache of about so many bytes; 0: nothing is kept.
    init(limit: Int) {
        self.limit = limit
    }

    /// About how many bytes are kept.
    package var byteCount: Int { self.state.withLock { $0.youngBytes + $0.oldBytes } }

    // MARK: Reading

    /// The stream that a query is about, if it is about one alone.
    private func stream(of query: RecordQuery) -> String? {
        self.limit > 0 && query.filter.streams.count == 1 ? query.filter.streams[0] : nil
    }

    /// The answer, if it is known without reading anything; never blocks.
    package func known(_ query: RecordQuery, in engine: LogEngine) throws(StorageError) -> [StoredEvent]? {
        guard let stream = self.stream(of: query), let view = try engine.viewIfCurrent(),
            let entry = self.entry(stream, query, view),
            entry.end >= view.end || !engine.mayHaveEvents(ofStream: stream, from: entry.end)
        else { return nil }
        return entry.answer(query)
    }

    /// The answer, from memory as far as it is there; reads the rest and keeps it.
    package func events(_ query: RecordQuery, in engine: LogEngine) throws(StorageError) -> [StoredEvent] {
        if let known = try self.known(query, in: engine) { return known }
        guard let stream = self.stream(of: query) else { return try engine.storedEvents(query) }
        let view = try engine.currentView()
        if var entry = self.entry(stream, query, view) {
            var later = RecordQuery()
            later.filter.streams = [stream]
            later.positions = entry.end..<max(entry.end, view.end)
            let found = try engine.storedEvents(later)
            entry.add(found, below: view.end)
            self.keep(entry, stream)
            return entry.answer(query)
        }
        guard query.isRestOfStream(view.end) else { return try engine.storedEvents(query) }
        var bounded = query
        bounded.positions = 0..<view.end
        let found = try engine.storedEvents(bounded)
        if query.limit.map({ found.count < $0 }) ?? true {
            var entry = Entry(
                lowest: query.filter.revisions?.lowerBound ?? 0, end: 0,
                hiddenVersion: view.state.hiddenVersion)
            entry.add(query.isBackwards ? found.reversed() : found, below: view.end)
            self.keep(entry, stream)
        }
        return found
    }

    // MARK: Entries

    /// What is kept of the stream, if it is true of `view` and enough for the query.
    private func entry(_ stream: String, _ query: RecordQuery, _ view: ReadView) -> Entry? {
        let key = ExactText(stream)
        let (found, forgotten) = self.state.withLock { state -> (Entry?, [ExactText: Entry]) in
            var forgotten: [ExactText: Entry] = [:]
            var found = state.young[key]
            if found == nil, let entry = state.old.removeValue(forKey: key) {
                state.oldBytes -= entry.bytes
                forgotten = state.insert(entry, key, limit: self.limit)
                found = entry
            }
            return (found, forgotten)
        }
        _ = forgotten  // let go outside the lock
        guard var entry = found, entry.hiddenVersion == view.state.hiddenVersion, entry.end <= view.end,
            entry.lowest <= (query.filter.revisions?.lowerBound ?? 0)
        else { return nil }
        entry.drop(below: view.state.firstPosition)
        return entry
    }

    private func keep(_ entry: Entry, _ stream: String) {
        let key = ExactText(stream)
        guard entry.bytes <= self.limit / 8 else { return self.forget(key) }
        let forgotten = self.state.withLock { state -> [ExactText: Entry] in
            let known = state.young[key] ?? state.old[key]
            // Another thread may have read further meanwhile.
            if let known, known.hiddenVersion == entry.hiddenVersion, known.lowest <= entry.lowest,
                known.end >= entry.end
            {
                return [:]
            }
            state.remove(key)
            return state.insert(entry, key, limit: self.limit)
        }
        _ = forgotten
    }

    private func forget(_ key: ExactText) {
        self.state.withLock { $0.remove(key) }
    }
}

extension StreamCache.State {
    mutating func remove(_ key: ExactText) {
        if let entry = self.young.removeValue(forKey: key) { self.youngBytes -= entry.bytes }
        if let entry = self.old.removeValue(forKey: key) { self.oldBytes -= entry.bytes }
    }

    /// Answers what is to be let go.
    mutating func insert(
        _ entry: StreamCache.Entry, _ key: ExactText, limit: Int
    ) -> [ExactText: StreamCache.Entry] {
        self.young[key] = entry
        self.youngBytes += entry.bytes
        guard self.youngBytes > limit / 8 * 3 else { return [:] }
        defer {
            (self.old, self.oldBytes) = (self.young, self.youngBytes)
            (self.young, self.youngBytes) = ([:], 0)
        }
        return self.old
    }
}

extension StreamCache.Entry {
    /// Takes in later events, and that there are no others below `end`.
    mutating func add(_ later: [StoredEvent], below end: UInt64) {
        if self.bytes == 0 { self.bytes = 256 }
        self.end = end
        if later.isEmpty { return }
        // The events' bytes in one array of their own: the ones that they come in may be of whole frames.
        let total = later.reduce(0) { $0 + $1.placed.record.payload.count + $1.placed.record.metadata.count }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(total)
        for event in later {
            bytes += event.placed.record.payload
            bytes += event.placed.record.metadata
        }
        self.events.reserveCapacity(self.events.count + later.count)
        var start = 0
        for event in later {
            var placed = event.placed
            let middle = start + placed.record.payload.count
            let end = middle + placed.record.metadata.count
            placed.record.payload = bytes[start..<middle]
            placed.record.metadata = bytes[middle..<end]
            start = end
            self.events.append(StoredEvent(placed: placed))
            self.bytes += MemoryLayout<StoredEvent>.stride + placed.record.textBytes
        }
        self.bytes += total + 64
    }

    /// Leaves out what retention has taken.
    mutating func drop(below position: UInt64) {
        guard let first = self.events.first, first.placed.position < position else { return }
        self.events.removeAll { $0.placed.position < position }
    }

    func answer(_ query: RecordQuery) -> [StoredEvent] {
        let revisions = query.filter.revisions ?? 0..<UInt64.max
        let low = max(
            self.firstIndex { ($0.revision ?? 0) >= revisions.lowerBound },
            self.firstIndex { $0.position >= query.positions.lowerBound })
        let high = min(
            self.firstIndex { ($0.revision ?? 0) >= revisions.upperBound },
            self.firstIndex { $0.position >= query.positions.upperBound })
        guard low < high else { return [] }
        var found = self.events[low..<high]
        if !query.filter.isStreamOnly {
            var filter = query.filter
            (filter.streams, filter.revisions) = ([], nil)
            found = found.filter { filter.accepts($0.placed.record, revision: $0.placed.revision) }[...]
        }
        if let limit = query.limit, limit < found.count {
            found = query.isBackwards ? found.suffix(limit) : found.prefix(limit)
        }
        if query.isBackwards { return found.reversed() }
        return found.count == self.events.count ? self.events : Array(found)
    }

    private func firstIndex(where isAtOrAfter: (PlacedRecord) -> Bool) -> Int {
        var low = 0
        var high = self.events.count
        if high == 0 || isAtOrAfter(self.events[0].placed) { return 0 }
        while low < high {
            let middle = (low + high) / 2
            if isAtOrAfter(self.events[middle].placed) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

extension EventRecord {
    /// About what its names take outside of itself: short ones are part of it.
    fileprivate var textBytes: Int {
        var bytes = 0
        for text in [self.stream, self.source, self.contentType, self.tenant, self.type] {
            if let text, text.utf8.count > 15 { bytes += 32 + text.utf8.count }
        }
        for id in [self.id, self.correlation, self.causation] {
            if case .text(let text)? = id, text.utf8.count > 15 { bytes += 32 + text.utf8.count }
        }
        return bytes
    }
}

extension RecordQuery {
    /// Whether it wants all of its stream from a revision on.
    fileprivate func isRestOfStream(_ end: UInt64) -> Bool {
        self.filter.isStreamOnly && self.positions.lowerBound == 0 && self.positions.upperBound >= end
    }
}

extension LogEngine {
    fileprivate func storedEvents(_ query: RecordQuery) throws(StorageError) -> [StoredEvent] {
        try self.records(query).map { StoredEvent(placed: $0) }
    }
}
