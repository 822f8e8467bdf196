/// The index of the active segment, kept in memory because a random B-tree update per event in the head
/// would cost ten times the append itself.
///
/// It is a cache: everything in it follows from the frames in the head, from which it is rebuilt at open and
/// caught up when another process wrote. Invariants:
///
/// - chunks are contiguous: each begins where the one before ends, the first at or below the sealed end;
/// - a chunk never changes once a later one exists, so that it can be sealed while appends go on;
/// - positions at or above the log's committed end may be present (the writer's own transaction in flight)
///   and are never shown to a reader, who bounds every answer by the end it knows.
package struct ActiveIndex {
    private(set) package var chunks: [ActiveChunk]

    package init(first: UInt64) {
        self.chunks = [ActiveChunk(first: first)]
    }

    /// The position after the last event that the index knows.
    package var end: UInt64 { self.chunks[self.chunks.count - 1].end }

    /// Bytes of events, uncompressed, in the chunk that still grows.
    package var growingBytes: Int { self.chunks[self.chunks.count - 1].uncompressedBytes }

    /// The chunk that takes appends.
    package var growing: ActiveChunk { self.chunks[self.chunks.count - 1] }

    /// Ends the growing chunk and begins another, unless it is empty.
    package mutating func rotate() {
        if self.growing.count > 0 { self.chunks.append(ActiveChunk(first: self.end)) }
    }

    /// Forgets chunks whose events have all been sealed.
    package mutating func dropSealed(below sealedEnd: UInt64) {
        while self.chunks.count > 1, self.chunks[0].end <= sealedEnd { self.chunks.removeFirst() }
        if self.chunks[0].end <= sealedEnd { self.chunks = [ActiveChunk(first: sealedEnd)] }
    }

    /// Adds the events of one frame, whose first event has position `first`.
    ///
    /// - Parameter places: where the growing chunk has the frame's streams, if that was looked up since its
    ///   last change.
    package mutating func append(
        _ summary: FrameSummary, first: UInt64, baseRevisions: [UInt64], places: StreamPlaces? = nil
    ) {
        self.growing.append(summary, first: first, baseRevisions: baseRevisions, places: places)
    }

    /// The revision that the stream's next event gets, where the active segment has events of it.
    package func nextRevision(of stream: String) -> UInt64? {
        self.place(of: stream, hash: XXH64.hash(stream)).nextRevision
    }

    /// The stream's entry in the growing chunk, or -1, and the revision that its next event gets, where the
    /// active segment has events of it.
    ///
    /// - Parameter hash: XXH64 of the name.
    func place(of stream: String, hash: UInt64) -> (entry: Int32, nextRevision: UInt64?) {
        var number = self.chunks.count - 1
        while number >= 0 {
            if let found = self.chunks[number].place(of: stream, hash: hash) {
                return (number == self.chunks.count - 1 ? found.entry : -1, found.nextRevision)
            }
            number -= 1
        }
        return (-1, nil)
    }

    /// Where the growing chunk has these streams, and the revisions that their next events get, where the
    /// active segment has events of them.
    ///
    /// - Parameter hashes: XXH64 of the names.
    func places(of streams: [String], hashes: [UInt64]) -> StreamPlaces {
        var places = StreamPlaces(chunk: ObjectIdentifier(self.growing))
        places.entries = ContiguousArray(repeating: -1, count: streams.count)
        places.nextRevisions = [UInt64](repeating: 0, count: streams.count)
        for number in self.chunks.indices.reversed() {
            self.chunks[number].streams.find(
                streams, hashes: hashes, keepsEntries: number == self.chunks.count - 1, into: &places)
        }
        return places
    }

    /// See ``StreamTable/touch(_:)``; `hashes` are XXH64 of names.
    func touch(_ hashes: Span<UInt64>) -> UInt64 {
        var sum: UInt64 = 0
        for chunk in self.chunks { sum &+= chunk.streams.touch(hashes) }
        return sum
    }

    /// The first position of the frame that holds `position`.
    package func firstOfFrame(containing position: UInt64) -> UInt64? {
        self.chunks.first { $0.first <= position && position < $0.end }?.firstOfFrame(containing: position)
    }

    /// Positions of the stream's events in `range`, ascending; of those alone that have `revisions`.
    package func positions(
        ofStream stream: String, in range: Range<UInt64>, revisions: Range<UInt64> = 0..<UInt64.max
    ) -> [UInt64] {
        var result: [UInt64] = []
        for chunk in self.chunks where chunk.first < range.upperBound && chunk.end > range.lowerBound {
            result.append(contentsOf: chunk.positions(ofStream: stream, in: range, revisions: revisions))
        }
        return result
    }

    /// Positions of events in `range` that may carry the correlation id, ascending; to be checked again.
    package func positions(ofCorrelation hash: UInt64, in range: Range<UInt64>) -> [UInt64] {
        var result: [UInt64] = []
        for chunk in self.chunks {
            chunk.forEachOffset(in: range) { offset in
                if chunk.correlationHashes[offset] == hash { result.append(chunk.first + UInt64(offset)) }
            }
        }
        return result
    }

    /// Positions of events in `range` whose type satisfies `matches`, ascending.
    package func positions(
        in range: Range<UInt64>, ofTypes matches: (String) -> Bool
    ) -> [UInt64] {
        var result: [UInt64] = []
        for chunk in self.chunks {
            let wanted = chunk.types.map(matches)
            if !wanted.contains(true) && !chunk.hasUnnamedTypes { continue }
            chunk.forEachOffset(in: range) { offset in
                let code = Int(chunk.typeCodes[offset])
                if code >= wanted.count || wanted[code] { result.append(chunk.first + UInt64(offset)) }
            }
        }
        return result
    }
}

/// A contiguous run of the active segment's events, as columns.
// SAFETY: a chunk is changed only through the index that holds it, under the engine's lock, and only while
// it is the growing one; once another begins it is immutable and may be read from any thread.
package final class ActiveChunk: @unchecked Sendable {
    /// What the chunk knows of one frame.
    package struct Frame {
        package var firstOffset: UInt32
        package var count: UInt32
        package var minTimestamp: Int64
        package var maxTimestamp: Int64
    }

    package let first: UInt64
    package private(set) var frames: ContiguousArray<Frame> = []
    package private(set) var types: [String] = []
    package private(set) var typeCodes: ContiguousArray<UInt16> = []
    package private(set) var correlationHashes: ContiguousArray<UInt64> = []
    /// For each event the offset plus one of the event before it in its stream and this chunk, or 0.
    private var previousInStream: ContiguousArray<UInt32> = []
    package private(set) var streams = StreamTable()
    package private(set) var uncompressedBytes = 0
    private var codeOfType: [ExactText: UInt16] = [:]

    /// The code of types beyond the number that a chunk can name; such events match every type filter
    /// here and are told apart in their frame.
    private static let unnamedType = UInt16.max

    init(first: UInt64) {
        self.first = first
    }

    package var count: Int { self.typeCodes.count }
    package var end: UInt64 { self.first + UInt64(self.count) }
    var hasUnnamedTypes: Bool { self.types.count >= Int(Self.unnamedType) }

    /// The stream's entry and the revision that its next event gets; nil if the chunk has none of it.
    @inline(__always)
    fileprivate func place(of stream: String, hash: UInt64) -> (entry: Int32, nextRevision: UInt64)? {
        guard let entry = self.streams.find(stream, hash: hash) else { return nil }
        return (Int32(entry), self.streams.entries[entry].nextRevision)
    }

    fileprivate func append(
        _ summary: FrameSummary, first: UInt64, baseRevisions: [UInt64], places: StreamPlaces?
    ) {
        precondition(first == self.end, "frames join without a gap")
        let start = UInt32(self.count)
        self.frames.append(
            Frame(
                firstOffset: start, count: UInt32(summary.count), minTimestamp: summary.minTimestamp,
                maxTimestamp: summary.maxTimestamp))
        self.uncompressedBytes += summary.uncompressedBytes
        self.correlationHashes.append(contentsOf: summary.correlationHashes)

        let codes = summary.types.map { self.code(ofType: $0) }
        for code in summary.typeCodes { self.typeCodes.append(codes[Int(code)]) }

        var entries: ContiguousArray<Int32>
        if let places, places.chunk == ObjectIdentifier(self) {
            entries = places.entries
        } else {
            entries = ContiguousArray(repeating: -1, count: summary.streams.count)
        }
        for index in entries.indices where entries[index] < 0 {
            entries[index] = Int32(
                self.streams.findOrInsert(summary.streams[index], nextRevision: baseRevisions[index]))
        }
        self.streams.link(summary.streamCodes, entries: entries, start: start, into: &self.previousInStream)
    }

    private func code(ofType type: String) -> UInt16 {
        let key = ExactText(type)
        if let code = self.codeOfType[key] { return code }
        guard self.types.count < Int(Self.unnamedType) else { return Self.unnamedType }
        let code = UInt16(self.types.count)
        self.types.append(type)
        self.codeOfType[key] = code
        return code
    }

    func firstOfFrame(containing position: UInt64) -> UInt64 {
        var low = 0
        var high = self.frames.count
        let offset = UInt32(position - self.first)
        while low + 1 < high {
            let middle = (low + high) / 2
            if self.frames[middle].firstOffset <= offset { low = middle } else { high = middle }
        }
        return self.first + UInt64(self.frames[low].firstOffset)
    }

    func forEachOffset(in range: Range<UInt64>, _ body: (Int) -> Void) {
        let low = max(range.lowerBound, self.first)
        let high = min(range.upperBound, self.end)
        guard low < high else { return }
        for offset in Int(low - self.first)..<Int(high - self.first) { body(offset) }
    }

    /// The position of the stream's last event below `end`, where its first one is, and how many come after.
    func lastPosition(ofEntry entry: Int, below end: UInt64) -> (position: UInt64, after: UInt64) {
        var link = self.streams.entries[entry].lastOffset &+ 1
        var after: UInt64 = 0
        while self.first + UInt64(link - 1) >= end, self.previousInStream[Int(link - 1)] != 0 {
            link = self.previousInStream[Int(link - 1)]
            after += 1
        }
        return (self.first + UInt64(link - 1), after)
    }

    func positions(
        ofStream stream: String, in range: Range<UInt64>, revisions: Range<UInt64>
    ) -> [UInt64] {
        guard let entry = self.streams.find(stream) else { return [] }
        var result: [UInt64] = []
        var link = self.streams.entries[entry].lastOffset &+ 1
        // Within a chunk a stream's revisions have no gap.
        var next = self.streams.entries[entry].nextRevision
        while link != 0, next > revisions.lowerBound {
            let position = self.first + UInt64(link - 1)
            if position < range.lowerBound { break }
            if position < range.upperBound, next <= revisions.upperBound { result.append(position) }
            link = self.previousInStream[Int(link - 1)]
            next -= 1
        }
        result.reverse()
        return result
    }
}
