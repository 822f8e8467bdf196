/// The events that the sealed files of one catalogue have of a stream.
struct SealedStream: Sendable {
    /// What one file has; there is a part for each file, also for one without the stream.
    struct Part: Sendable {
        /// What tells the file from every other that the log ever had: its range, its generation, and the
        /// digest of its contents.
        private let first: UInt64
        private let digest: UInt64
        private let generation: UInt32
        /// How many of the stream's events it has.
        let count: UInt32

        init(_ info: SegmentInfo, count: Int) {
            self.first = info.positions.lowerBound
            self.digest = info.digest
            self.generation = info.generation
            self.count = UInt32(truncatingIfNeeded: count)
        }

        /// Whether its file's range begins where that of `info` does, or before.
        func begins(atOrBefore info: SegmentInfo) -> Bool { self.first <= info.positions.lowerBound }

        /// Whether this is what the file of `info` has.
        func isOf(_ info: SegmentInfo) -> Bool {
            self.first == info.positions.lowerBound && self.generation == info.generation
                && self.digest == info.digest
        }
    }

    /// The version of the catalogue whose files these are.
    let catalogueVersion: UInt64
    /// In the order of their positions.
    let parts: [Part]
    /// The events of all parts, ascending by position and, since it is one stream, by revision.
    let records: [PlacedRecord]
    /// About what it takes in memory.
    let bytes: Int

    init(catalogueVersion: UInt64, parts: [Part], records: [PlacedRecord]) {
        self.catalogueVersion = catalogueVersion
        self.parts = parts
        self.records = records
        self.bytes =
            records.reduce(256) { $0 + Self.bytes(of: $1) } + parts.count * MemoryLayout<Part>.stride
    }

    /// About what an event takes in memory: its values, its bytes, and what allocations cost.
    static func bytes(of placed: PlacedRecord) -> Int {
        let record = placed.record
        return MemoryLayout<PlacedRecord>.stride + record.payload.count + record.metadata.count + 96
    }

    /// The events between two positions with a revision in a range.
    func records(in positions: Range<UInt64>, revisions: Range<UInt64>) -> ArraySlice<PlacedRecord> {
        let low = self.firstIndex { $0.position >= positions.lowerBound }
        let high = self.firstIndex { $0.position >= positions.upperBound }
        let lowest = self.firstIndex { ($0.revision ?? 0) >= revisions.lowerBound }
        let highest = self.firstIndex { ($0.revision ?? 0) >= revisions.upperBound }
        let start = max(low, lowest)
        return self.records[start..<max(start, min(high, highest))]
    }

    /// The index of the first event from which on `isReached` holds.
    private func firstIndex(_ isReached: (PlacedRecord) -> Bool) -> Int {
        var (low, high) = (0, self.records.count)
        while low < high {
            let middle = (low + high) / 2
            if isReached(self.records[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

/// Sealed events of streams that were read as a whole, so that reading such a stream again decodes nothing.
///
/// Invariants:
///
/// - An entry never becomes wrong. It says which events of a stream certain files have, and sealed files never
///   change. It is used as it is for the catalogue that it was made of; under a later one, parts of files that
///   are still there are taken over, and the other files are read (`LogEngine+StreamReads.swift`).
/// - What a reader may see is no part of an entry: truncated and deleted streams, and what retention has left,
///   are looked at in each read.
/// - What it holds was verified when it was read from its file. A file that is damaged later is noticed by
///   whoever reads it, as with every page that was read before.
/// - Memory is bounded: two generations of entries have half of `limit` each. What is used moves to the young
///   one; once that is full, it becomes the old one, and what was in the old one and was not used is forgotten.
final class StreamCache: Sendable {
    private struct State {
        var young: [ExactText: SealedStream] = [:]
        var old: [ExactText: SealedStream] = [:]
        var youngBytes = 0
    }

    /// Bytes of all entries; nothing is kept if it is 0.
    private let limit: Int
    private let state = Lock(State())

    init(limit: Int) {
        self.limit = limit
    }

    /// The most that an entry may have; of a larger stream nothing is kept, for a scan of it is well spent.
    var entryLimit: Int { self.limit / 16 }

    /// What is known of a stream, under whatever catalogue it was read.
    func find(_ name: ExactText) -> SealedStream? {
        self.state.withLock { state in
            if let known = state.young[name] { return known }
            guard let known = state.old.removeValue(forKey: name) else { return nil }
            self.insert(known, name, &state)
            return known
        }
    }

    /// The same, if that can be told at once: nil as well while another thread is at it, or where the stream was
    /// not used lately.
    func peek(_ name: ExactText) -> SealedStream? {
        self.state.withLockIfAvailable { $0.young[name] } ?? nil
    }

    /// Keeps what was read.
    func keep(_ stream: SealedStream, _ name: ExactText) {
        guard stream.bytes <= self.entryLimit else { return }
        self.state.withLock { state in
            state.old[name] = nil
            self.insert(stream, name, &state)
        }
    }

    private func insert(_ stream: SealedStream, _ name: ExactText, _ state: inout State) {
        if let other = state.young.updateValue(stream, forKey: name) { state.youngBytes -= other.bytes }
        state.youngBytes += stream.bytes
        guard state.youngBytes > self.limit / 2 else { return }
        state.old = state.young
        state.young = [:]
        state.youngBytes = 0
    }

    func removeAll() {
        self.state.withLock { $0 = State() }
    }

    /// How many streams there are, and about what they take.
    var contents: (streams: Int, bytes: Int) {
        self.state.withLock { state in
            (
                state.young.count + state.old.count,
                state.youngBytes + state.old.values.reduce(0) { $0 + $1.bytes }
            )
        }
    }
}
