/// Sealed segments that are open, the least recently used one closed first.
final class SegmentCache: Sendable {
    private struct Entry {
        var segment: Segment
        var lastUse: UInt64
    }

    private struct State {
        var entries: [String: Entry] = [:]
        var clock: UInt64 = 0
    }

    private let directory: String
    private let limit: Int
    private let state = Lock(State())

    init(directory: String, limit: Int) {
        self.directory = directory
        self.limit = max(1, limit)
    }

    /// The segment, opened and checked against its digest if it is not open yet.
    func segment(_ info: SegmentInfo) throws(StorageError) -> Segment {
        let known = self.state.withLock { state -> Segment? in
            state.clock += 1
            state.entries[info.fileName]?.lastUse = state.clock
            return state.entries[info.fileName]?.segment
        }
        if let known { return known }
        let opened = try Segment.open(directory: self.directory, info: info)
        return self.state.withLock { state in
            if let other = state.entries[info.fileName]?.segment { return other }
            state.entries[info.fileName] = Entry(segment: opened, lastUse: state.clock)
            if state.entries.count > self.limit {
                let oldest = state.entries.min { $0.value.lastUse < $1.value.lastUse }
                if let oldest, oldest.key != info.fileName { state.entries[oldest.key] = nil }
            }
            return opened
        }
    }

    /// Closes a segment that has been replaced or dropped; readers that use it finish first.
    func remove(_ fileName: String) {
        self.state.withLock { $0.entries[fileName] = nil }
    }

    func removeAll() {
        self.state.withLock { $0.entries = [:] }
    }
}

/// Decoded frames for reads of single events and of streams, the least recently used one dropped first.
///
/// A frame is taken out while it is used, so that no lock is held then; whoever wants the same frame at the
/// same time decodes it once more.
final class FrameCache: Sendable {
    private struct Key: Hashable {
        /// The segment's file, or empty for the head.
        var file: String
        var first: UInt64
    }

    // SAFETY: a decoder is reachable from one place at a time: the cache, or the one reader that took it.
    private struct Entry: @unchecked Sendable {
        var decoder: FrameDecoder
        var lastUse: UInt64
    }

    private struct State {
        var entries: [Key: Entry] = [:]
        var spare: [Entry] = []
        var clock: UInt64 = 0
    }

    private let limit: Int
    private let state = Lock(State())

    init(limit: Int) {
        self.limit = max(1, limit)
    }

    func removeAll() {
        self.state.withLock { $0 = State() }
    }

    /// Lends the frame of a sealed block.
    func withFrame(
        in segment: Segment, block: SegmentBlock, _ body: (FrameDecoder) throws(StorageError) -> Void
    ) throws(StorageError) {
        let key = Key(file: segment.info.fileName, first: block.firstPosition)
        let entry: Entry
        if let known = self.take(key) {
            entry = known
        } else {
            entry = self.spare()
            try segment.withBlock(block.number) { bytes throws(StorageError) in
                try entry.decoder.load(
                    bytes, expectedFirstPosition: block.firstPosition, verifyBody: false, parts: [],
                    dictionary: segment.dictionaryProvider)
            }
        }
        try body(entry.decoder)
        self.put(key, entry)
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
            let known = self.take(Key(file: "", first: first))
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
        self.put(Key(file: "", first: entry.decoder.header.firstPosition), entry)
    }

    private func take(_ key: Key) -> Entry? {
        self.state.withLock { $0.entries.removeValue(forKey: key) }
    }

    private func spare() -> Entry {
        self.state.withLock { $0.spare.popLast() } ?? Entry(decoder: FrameDecoder(), lastUse: 0)
    }

    private func put(_ key: Key, _ entry: consuming Entry) {
        var entry = entry
        self.state.withLock { state in
            state.clock += 1
            entry.lastUse = state.clock
            if let other = state.entries.updateValue(entry, forKey: key), state.spare.count < 4 {
                state.spare.append(other)
            }
            if state.entries.count > self.limit,
                let oldest = state.entries.min(by: { $0.value.lastUse < $1.value.lastUse })
            {
                state.entries[oldest.key] = nil
                if state.spare.count < 4 { state.spare.append(oldest.value) }
            }
        }
    }
}
