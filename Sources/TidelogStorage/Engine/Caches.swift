/// Sealed segments that are open, the least recently used one closed first.
final class SegmentCache: Sendable {
    /// What a file's name is made of.
    private struct Name: Hashable {
        var first: UInt64
        var generation: UInt32

        init(_ info: SegmentInfo) {
            self.first = info.positions.lowerBound
            self.generation = info.generation
        }
    }

    private struct Entry {
        var segment: Segment
        var lastUse: UInt64
    }

    private struct State {
        var entries: [Name: Entry] = [:]
        var clock: UInt64 = 0
    }

    let directory: String
    private let logID: (UInt64, UInt64)
    private let limit: Int
    private let state = Lock(State())

    init(directory: String, logID: (UInt64, UInt64), limit: Int) {
        self.directory = directory
        self.logID = logID
        self.limit = max(1, limit)
    }

    /// The segment, opened and checked against its digest if it is not open yet.
    func segment(_ info: SegmentInfo) throws(StorageError) -> Segment {
        let name = Name(info)
        let known = self.state.withLock { state -> Segment? in
            state.clock += 1
            guard let index = state.entries.index(forKey: name) else { return nil }
            state.entries.values[index].lastUse = state.clock
            return state.entries.values[index].segment
        }
        if let known { return known }
        let opened = try Segment.open(directory: self.directory, info: info, logID: self.logID)
        return self.state.withLock { state in
            if let other = state.entries[name]?.segment { return other }
            state.entries[name] = Entry(segment: opened, lastUse: state.clock)
            if state.entries.count > self.limit {
                let oldest = state.entries.min { $0.value.lastUse < $1.value.lastUse }
                if let oldest, oldest.key != name { state.entries[oldest.key] = nil }
            }
            return opened
        }
    }

    /// Whether the segment is open already.
    func isOpen(_ info: SegmentInfo) -> Bool {
        self.state.withLock { $0.entries[Name(info)] != nil }
    }

    /// How many segments are kept open.
    var capacity: Int { self.limit }

    /// Closes a segment that has been replaced or dropped; readers that use it finish first.
    func remove(_ fileName: String) {
        self.state.withLock { state in
            state.entries = state.entries.filter { $0.value.segment.info.fileName != fileName }
        }
    }

    func removeAll() {
        self.state.withLock { $0.entries = [:] }
    }
}

/// Decoded frames of the head for reads of single events and of streams, the least recently used one dropped
/// first, and decoders for sealed blocks.
///
/// A frame is taken out while it is used, so that no lock is held then; whoever wants the same frame at the
/// same time decodes it once more.
final class FrameCache: Sendable {
    // SAFETY: a decoder is reachable from one place at a time: the cache, or the one reader that took it.
    private struct Entry: @unchecked Sendable {
        var decoder: FrameDecoder
        var lastUse: UInt64
    }

    private struct State {
        var entries: [UInt64: Entry] = [:]
        var spare: [Entry] = []
        var clock: UInt64 = 0
    }

    /// Decoders that are kept for the next frame: as many as threads read at once.
    private static let spareLimit = 8

    private let limit: Int
    private let state = Lock(State())

    init(limit: Int) {
        self.limit = max(1, limit)
    }

    func removeAll() {
        self.state.withLock { $0 = State() }
    }

    /// Lends the frame of a sealed block, read where it stands in the file, with nothing unpacked yet.
    ///
    /// It is not kept: a single event of it costs less than a look-up in a cache that is large enough to hit.
    func withFrame(
        in segment: Segment, block: SegmentBlock, _ body: (FrameDecoder) throws(StorageError) -> Void
    ) throws(StorageError) {
        try self.withDecoder { decoder throws(StorageError) in
            try segment.withBlock(block.number) { bytes throws(StorageError) in
                try decoder.load(
                    bytes, expectedFirstPosition: block.firstPosition, copies: false, verifyBody: false,
                    parts: [], dictionary: segment.dictionaryProvider)
                try body(decoder)
            }
        }
    }

    /// Lends a decoder with nothing loaded: making one costs as much as reading some events.
    func withDecoder(_ body: (FrameDecoder) throws(StorageError) -> Void) throws(StorageError) {
        let entry = self.spare()
        defer {
            entry.decoder.unload()
            self.state.withLock { state in
                if state.spare.count < Self.spareLimit { state.spare.append(entry) }
            }
        }
        try body(entry.decoder)
    }

    /// Lends the head's frame that holds `position`.
    ///
    /// - Throws: ``StorageError`` with code `notFound` if it has been sealed meanwhile.
    func withHeadFrame(
        _ engine: LogEngine, containing position: UInt64,
        _ body: (FrameDecoder) throws(StorageError) -> Void
    ) throws(StorageError) {
        let entry: Entry
        if let first = engine.firstOfHeadFrame(containing: position),
            let known = self.take(first)
        {
            entry = known
        } else {
            entry = self.spare()
            let decoder = entry.decoder
            let found = try engine.head.environment.read { transaction throws(StorageError) in
                try engine.loadHeadFrame(containing: position, into: decoder, transaction)
            }
            guard found else {
                throw StorageError(
                    .notFound, "the frame has been sealed meanwhile", positions: position..<position + 1)
            }
        }
        try body(entry.decoder)
        self.put(entry.decoder.header.firstPosition, entry)
    }

    private func take(_ key: UInt64) -> Entry? {
        self.state.withLock { $0.entries.removeValue(forKey: key) }
    }

    private func spare() -> Entry {
        self.state.withLock { $0.spare.popLast() } ?? Entry(decoder: FrameDecoder(), lastUse: 0)
    }

    private func put(_ key: UInt64, _ entry: consuming Entry) {
        var entry = entry
        self.state.withLock { state in
            state.clock += 1
            entry.lastUse = state.clock
            if let other = state.entries.updateValue(entry, forKey: key), state.spare.count < Self.spareLimit
            {
                state.spare.append(other)
            }
            if state.entries.count > self.limit,
                let oldest = state.entries.min(by: { $0.value.lastUse < $1.value.lastUse })
            {
                state.entries[oldest.key] = nil
                if state.spare.count < Self.spareLimit { state.spare.append(oldest.value) }
            }
        }
    }
}
