/// Decides which sealed events compaction keeps.
///
/// It reads envelopes only. Invariant: an event that it would drop now, it would drop at any later time, for
/// streams only grow and what is hidden stays hidden; so segments may be looked through ahead of rewriting.
struct EventSieve {
    private let engine: LogEngine
    private let view: ReadView
    private let keepsLatestOnly: Bool

    init(engine: LogEngine, view: ReadView, keepsLatestOnly: Bool) {
        self.engine = engine
        self.view = view
        self.keepsLatestOnly = keepsLatestOnly
    }

    /// What of one stream goes: events of a lower revision, and those at another position than the last.
    private struct Rule {
        var lowestRevision: UInt64 = 0
        var lastPosition: UInt64?

        func keeps(revision: UInt64, position: UInt64) -> Bool {
            revision >= self.lowestRevision && position == self.lastPosition ?? position
        }
    }

    /// Tells which events of the frame stay; nil if all do.
    func selection(_ frame: FrameDecoder) throws(StorageError) -> ((Int) -> Bool)? {
        let hidden = self.view.hidden
        if hidden.isEmpty && !self.keepsLatestOnly { return nil }
        try frame.require([.streams, .revisions])
        var rules = try self.rules(frame, hidden)
        guard rules.contains(where: { $0 != nil }) else { return nil }
        let keeps = (0..<frame.count).map { index -> Bool in
            guard let rule = rules[frame.code(.stream, index)] else { return true }
            return rule.keeps(revision: frame.revision(index) ?? 0, position: frame.position(index))
        }
        rules.removeAll()
        return keeps.contains(false) ? { keeps[$0] } : nil
    }

    /// For each code of the column of streams what goes; nil for those of which everything stays.
    private func rules(
        _ frame: FrameDecoder, _ hidden: HiddenStreams
    ) throws(StorageError) -> [Rule?] {
        var rules = [Rule?](repeating: nil, count: frame.distinctCount(.stream))
        for code in rules.indices.dropFirst() {
            guard let name = frame.distinctText(.stream, code) else { continue }
            if let lowest = hidden[ExactText(name)] { rules[code] = Rule(lowestRevision: lowest) }
        }
        guard self.keepsLatestOnly else { return rules }
        let lasts = try self.engine.lastPositions(
            rules.indices.map { $0 == 0 ? nil : frame.distinctText(.stream, $0) })
        for code in rules.indices.dropFirst() {
            guard let last = lasts[code] else { continue }
            rules[code] = Rule(lowestRevision: rules[code]?.lowestRevision ?? 0, lastPosition: last)
        }
        return rules
    }

    /// Whether rewriting the segment would leave anything out. Ends at the first event that would go.
    func drops(from info: SegmentInfo) throws(StorageError) -> Bool {
        if self.view.hidden.isEmpty && !self.keepsLatestOnly { return false }
        let segment = try self.engine.segments.segment(info)
        if !self.keepsLatestOnly {
            // The index says for most segments that no hidden stream is in them.
            var mayDrop = false
            for stream in self.view.hidden.all.keys where !mayDrop {
                mayDrop = try !segment.streamPostings(stream.text).isEmpty
            }
            if !mayDrop { return false }
        }
        let decoder = FrameDecoder()
        var found = false
        try segment.forEachBlock(from: info.positions.lowerBound) { bytes, first throws(StorageError) in
            try decoder.load(
                bytes, expectedFirstPosition: first, withBodies: false, parts: [],
                dictionary: segment.dictionaryProvider)
            found = try self.selection(decoder) != nil
            self.engine.maintenance.noteStep()
            return !found
        }
        return found
    }
}

extension LogEngine {
    /// The positions of the streams' last committed events, in one read of the head; nil for no such stream.
    func lastPositions(_ names: [String?]) throws(StorageError) -> [UInt64?] {
        let active = try self.withCurrentState { shared -> [UInt64?] in
            let (chunks, end) = (shared.active.chunks, shared.view.end)
            return names.map { name in name.flatMap { Self.lastPosition(of: $0, in: chunks, below: end) } }
        }
        self.options.betweenReads?()
        return try self.head.environment.read { transaction throws(StorageError) in
            var lasts = active
            for (index, name) in names.enumerated() {
                guard let name, let head = try self.head.databases.stream(name, in: transaction) else {
                    continue
                }
                lasts[index] = max(lasts[index] ?? 0, head.lastPosition)
            }
            return lasts
        }
    }

    /// The position of the stream's last event below `end` in the chunks; nil if they have none.
    private static func lastPosition(
        of name: String, in chunks: [ActiveChunk], below end: UInt64
    ) -> UInt64? {
        for chunk in chunks.reversed() {
            guard let entry = chunk.streams.find(name),
                chunk.first + UInt64(chunk.streams.entries[entry].firstOffset) < end
            else { continue }
            return chunk.lastPosition(ofEntry: entry, below: end).position
        }
        return nil
    }
}
