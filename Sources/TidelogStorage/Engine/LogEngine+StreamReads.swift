// Reading one stream: what is sealed of it comes from the cache or goes into it, the rest from the head.
extension RecordFilter {
    /// The stream, if nothing else is asked for than its events, perhaps of some revisions.
    fileprivate var onlyStream: String? {
        guard self.streams.count == 1 else { return nil }
        var rest = self
        rest.streams = []
        rest.revisions = nil
        return rest.isEmpty ? self.streams[0] : nil
    }
}

extension LogEngine {
    /// The events of one stream that `query` wants, in its order, where all of them are in memory; nil where they
    /// are not, or where that cannot be told at once.
    ///
    /// For threads that must not block, as those of Swift's pool: it waits for no lock, opens no transaction and
    /// makes no system call. And yet it answers what a read would that begins now: the number of the newest
    /// commit of any process stands in the mapped head from before that commit is acknowledged, and what is
    /// known of the head, as of that number or later, says that the stream has no events but sealed ones.
    package func recordsInMemory(_ query: RecordQuery) -> [PlacedRecord]? {
        guard self.options.streamCacheBytes > 0, let name = query.filter.onlyStream,
            let newest = try? self.head.environment.newestMappedTransactionID(),
            let view = self.shared.withLockIfAvailable({ shared in
                shared.viewOfSealed(stream: name, since: newest)
            }) ?? nil
        else { return nil }
        let key = ExactText(name)
        guard let sealed = self.streams.peek(key), sealed.catalogueVersion == view.state.catalogueVersion
        else { return nil }
        let found = self.visible(sealed, key, query, view)
        let limit = query.limit ?? .max
        if query.isBackwards { return found.suffix(max(0, limit)).reversed() }
        if found.count == sealed.records.count, limit >= found.count { return sealed.records }
        return Array(found.prefix(max(0, limit)))
    }

    /// Those of a stream's sealed events that `query` wants and a reader may see.
    private func visible(
        _ sealed: SealedStream, _ name: ExactText, _ query: RecordQuery, _ view: ReadView
    ) -> ArraySlice<PlacedRecord> {
        let first = view.state.firstPosition
        let positions = query.positions.clamped(to: first..<max(first, view.state.sealedEnd))
        var revisions = query.filter.revisions ?? 0..<UInt64.max
        if let lowest = view.hidden[name] {
            revisions = revisions.clamped(to: lowest..<UInt64.max)
        }
        return sealed.records(in: positions, revisions: revisions)
    }

    /// The events of one stream that `query` wants, in its order; nil where the query wants something else or
    /// the cache is of no use for it.
    func cachedStreamRecords(
        _ query: RecordQuery, maximumBytes: Int
    ) throws(StorageError) -> [PlacedRecord]? {
        guard self.options.streamCacheBytes > 0, let name = query.filter.onlyStream else { return nil }
        let view = try self.currentView()
        guard !view.catalogue.segments.isEmpty else { return nil }
        let key = ExactText(name)
        let first = view.state.firstPosition
        let positions = query.positions.clamped(to: first..<max(first, view.end))
        guard let sealed = self.sealedStream(key, query, view) else { return nil }

        let found = self.visible(sealed, key, query, view)
        var rest = query
        rest.positions = positions.clamped(to: view.state.sealedEnd..<UInt64.max)
        if rest.positions.isEmpty, query.limit == nil, !query.isBackwards, sealed.bytes <= maximumBytes {
            return found.count == sealed.records.count ? sealed.records : Array(found)
        }
        var collected = CollectedRecords(limit: query.limit ?? .max, maximumBytes: maximumBytes)
        if query.isBackwards {
            try self.collect(rest, view, into: &collected)
            for placed in found.reversed() where !collected.isFull { collected.add(placed) }
        } else {
            for placed in found where !collected.isFull { collected.add(placed) }
            rest.limit = query.limit.map { $0 - collected.records.count }
            if !collected.isFull { try self.collect(rest, view, into: &collected) }
        }
        return collected.records
    }

    // MARK: The cache

    /// What the view's sealed files have of a stream: known, or read now if the query is for all of it.
    private func sealedStream(_ name: ExactText, _ query: RecordQuery, _ view: ReadView) -> SealedStream? {
        let known = self.streams.find(name)
        let version = view.state.catalogueVersion
        if let known, known.catalogueVersion == version { return known }
        let isWhole =
            query.limit == nil && query.filter.revisions == nil
            && query.positions.lowerBound <= view.state.firstPosition
            && query.positions.upperBound >= view.state.sealedEnd
        guard isWhole else { return nil }
        // Whatever goes wrong is left to the scan, which knows what to do about it and what to say.
        guard let made = try? self.readSealedStream(name, known, query.filter, view) else { return nil }
        self.streams.keep(made, name)
        return made
    }

    /// Puts together what the files of the view have of a stream; nil if it is too much to be kept.
    private func readSealedStream(
        _ name: ExactText, _ known: SealedStream?, _ filter: RecordFilter, _ view: ReadView
    ) throws(StorageError) -> SealedStream? {
        let segments = view.catalogue.segments
        var missing: [SegmentInfo] = []
        try Self.join(known, segments) { info, events in if events == nil { missing.append(info) } }
        self.openAhead(missing, view.state.firstPosition..<view.state.sealedEnd, filter)

        var expected = 0
        var postings: [[BlockPosting]] = []
        for info in missing {
            let found = try self.segments.segment(info).streamPostings(name.text)
            postings.append(found)
            expected += found.reduce(0) { $0 + $1.count }
        }
        // What the index counts are events, at the least as large as without a payload.
        guard expected * MemoryLayout<PlacedRecord>.stride <= self.streams.entryLimit else { return nil }

        var parts: [SealedStream.Part] = []
        var records: [PlacedRecord] = []
        records.reserveCapacity(expected + (known?.records.count ?? 0))
        var room = self.streams.entryLimit
        var next = 0
        try Self.join(known, segments) { info, events throws(StorageError) in
            let before = records.count
            if let events {
                records.append(contentsOf: events)
            } else {
                try self.readStream(name.text, info, postings[next], into: &records, &room)
                next += 1
            }
            parts.append(SealedStream.Part(info, count: records.count - before))
        }
        guard room >= 0 else { return nil }
        return SealedStream(
            catalogueVersion: view.state.catalogueVersion, parts: parts, records: records)
    }

    /// Gives each segment to `body`, with the stream's events in it where they are known.
    private static func join(
        _ known: SealedStream?, _ segments: [SegmentInfo],
        _ body: (SegmentInfo, ArraySlice<PlacedRecord>?) throws(StorageError) -> Void
    ) throws(StorageError) {
        // Both are in the order of positions; a file that is gone is passed over.
        var (part, start) = (0, 0)
        for info in segments {
            var events: ArraySlice<PlacedRecord>?
            if let known {
                var (ahead, offset) = (part, start)
                while ahead < known.parts.count, !known.parts[ahead].isOf(info),
                    known.parts[ahead].begins(atOrBefore: info)
                {
                    offset += Int(known.parts[ahead].count)
                    ahead += 1
                }
                (part, start) = (ahead, offset)
                if ahead < known.parts.count, known.parts[ahead].isOf(info) {
                    let end = offset + Int(known.parts[ahead].count)
                    events = known.records[offset..<end]
                    (part, start) = (ahead + 1, end)
                }
            }
            try body(info, events)
        }
    }

    /// Adds a segment's events of a stream, found in the blocks that the index names, as long as there is room:
    /// a stream of large events is not to be held in memory by a read that wants it piece by piece.
    private func readStream(
        _ name: String, _ info: SegmentInfo, _ postings: [BlockPosting],
        into records: inout [PlacedRecord], _ room: inout Int
    ) throws(StorageError) {
        if postings.isEmpty || room < 0 { return }
        let segment = try self.segments.segment(info)
        if postings.count > 1 { segment.prefetch(postings.map(\.block)) }
        for posting in postings {
            try self.frames.withFrame(in: segment, block: segment.blocks[posting.block]) {
                frame throws(StorageError) in
                for index in try frame.events(ofStream: name) where room >= 0 {
                    var placed = try frame.single(index)
                    if let last = records.last { placed.record.shareTexts(with: last.record) }
                    room -= SealedStream.bytes(of: placed)
                    records.append(placed)
                }
            }
        }
    }

    // MARK: The rest

    /// Adds what a scan finds.
    private func collect(
        _ query: RecordQuery, _ view: ReadView, into collected: inout CollectedRecords
    ) throws(StorageError) {
        if query.positions.isEmpty { return }
        try self.scan(query, view) { (frame, selection) throws(StorageError) in
            try collected.add(frame, selection, backwards: query.isBackwards)
        }
    }
}

extension LogEngine {
    /// Reads owned events into an array: the next batch of a longer read.
    package func records(_ query: RecordQuery, maximumBytes: Int = .max) throws(StorageError)
        -> [PlacedRecord]
    {
        try self.batch(query, maximumBytes: maximumBytes).records
    }

    /// As ``records(_:maximumBytes:)``; also answers whether a limit has ended it, so that there may be more.
    package func batch(
        _ query: RecordQuery, maximumBytes: Int
    ) throws(StorageError) -> (records: [PlacedRecord], isFull: Bool) {
        var collected = CollectedRecords(limit: query.limit ?? .max, maximumBytes: maximumBytes)
        if let known = try self.cachedStreamRecords(query, maximumBytes: maximumBytes) {
            let bytes = known.reduce(0) { $0 + CollectedRecords.bytes(of: $1) }
            return (known, known.count >= query.limit ?? .max || bytes >= maximumBytes)
        }
        // A scan ends itself at the limit.
        try self.scan(query) { (frame, selection) throws(StorageError) in
            try collected.add(frame, selection, backwards: query.isBackwards)
        }
        return (collected.records, collected.isFull)
    }
}

/// Owned events that a read gathers, up to a number of events and of bytes.
struct CollectedRecords {
    private(set) var records: [PlacedRecord] = []
    private var bytes = 0
    private let limit: Int
    private let maximumBytes: Int
    /// Up to one event in so many is read for itself, without unpacking its frame.
    private static let singleReadShare = 32

    init(limit: Int = .max, maximumBytes: Int) {
        self.limit = limit
        self.maximumBytes = maximumBytes
    }

    var isFull: Bool { self.records.count >= self.limit || self.bytes >= self.maximumBytes }

    /// What an event counts in memory, about.
    static func bytes(of placed: PlacedRecord) -> Int {
        placed.record.payload.count + placed.record.metadata.count + 128
    }

    mutating func add(_ placed: PlacedRecord) {
        self.bytes += Self.bytes(of: placed)
        self.records.append(placed)
    }

    /// Adds the chosen events of a frame; answers whether there is room for more.
    mutating func add(
        _ frame: FrameDecoder, _ selection: FrameSelection, backwards: Bool
    ) throws(StorageError) -> Bool {
        // A few events are read in place, each for itself.
        let isSparse = selection.count * Self.singleReadShare <= frame.count
        if !isSparse {
            try frame.require(.all)
            // Doubled, as appending would: room for each frame alone means a copy of everything for each.
            let needed = self.records.count + selection.count
            if self.records.capacity < needed {
                self.records.reserveCapacity(max(needed, 2 * self.records.capacity))
            }
        }
        return try selection.forEach(backwards: backwards) { (index) throws(StorageError) in
            self.add(
                isSparse
                    ? try frame.single(index)
                    : PlacedRecord(
                        position: frame.position(index), revision: frame.revision(index),
                        record: try frame.record(index)))
            return !self.isFull
        }
    }
}

extension EventRecord {
    /// Takes the other's texts where they are the same, so that they are in memory once.
    fileprivate mutating func shareTexts(with other: EventRecord) {
        if self.type.isExactly(other.type) { self.type = other.type }
        if self.stream.isExactly(other.stream) { self.stream = other.stream }
        if self.source.isExactly(other.source) { self.source = other.source }
        if self.contentType.isExactly(other.contentType) { self.contentType = other.contentType }
        if self.tenant.isExactly(other.tenant) { self.tenant = other.tenant }
    }
}
