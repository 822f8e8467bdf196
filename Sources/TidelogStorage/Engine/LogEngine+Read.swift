/// Frames copied out of the head, so that no transaction stays open while they are decoded.
struct FrameBuffer {
    private var bytes: [UInt8] = []
    private(set) var frames: [(first: UInt64, range: Range<Int>)] = []
    private(set) var dictionaries = CopiedDictionaries()

    mutating func removeAll() {
        self.bytes.removeAll(keepingCapacity: true)
        self.frames.removeAll(keepingCapacity: true)
        self.dictionaries.removeAll()
    }

    /// Adds a frame, and with it what `dictionary` gives for the dictionary that it refers to.
    mutating func append(
        _ frame: UnsafeRawBufferPointer, first: UInt64,
        dictionary: (UInt32) throws(StorageError) -> CompressionDictionary
    ) {
        self.dictionaries.add(for: frame, dictionary)
        let start = self.bytes.count
        self.bytes.append(contentsOf: frame)
        self.frames.append((first, start..<self.bytes.count))
    }

    var byteCount: Int { self.bytes.count }

    func withFrame<Result>(
        _ index: Int, _ body: (UnsafeRawBufferPointer) throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        let range = self.frames[index].range
        return try self.bytes.span.bytes.withUnsafeBytes { bytes throws(StorageError) -> Result in
            try body(UnsafeRawBufferPointer(rebasing: bytes[range]))
        }
    }
}

extension LogEngine {
    /// Copies a batch of the head's frames that overlap `range`, in reading order, beginning with the one
    /// that holds `position`. Answers false if it has been sealed meanwhile.
    func copyFrames(
        from position: UInt64, within range: Range<UInt64>, backwards: Bool, into buffer: inout FrameBuffer
    ) throws(StorageError) -> Bool {
        buffer.removeAll()
        let databases = self.head.databases
        return try self.head.environment.read { transaction throws(StorageError) in
            if try databases.state(in: transaction).sealedEnd > position { return false }
            try transaction.scan(
                databases.frames, from: .atOrBeforeInteger(position),
                direction: backwards ? .backwards : .forwards
            ) { key, frame in
                let first = key.integerKey
                if !backwards, first >= range.upperBound { return false }
                buffer.append(frame, first: first) { (id) throws(StorageError) in
                    try self.headDictionary(id, in: transaction)
                }
                if backwards, first <= range.lowerBound { return false }
                return buffer.byteCount < 1 << 20 && buffer.frames.count < 256
            }
            return true
        }
    }

    /// Positions in the head that the index proposes; nil where it does not help and frames must be scanned.
    func activeCandidates(
        _ filter: RecordFilter, _ range: Range<UInt64>, _ view: ReadView
    ) -> [UInt64]? {
        self.shared.withLock { shared in
            // What has been sealed since `view` is in the index no longer: a scan will notice that.
            guard shared.active.chunks[0].first <= range.lowerBound,
                shared.active.end >= range.upperBound
            else { return nil }
            if !filter.streams.isEmpty {
                var found: [UInt64] = []
                let revisions = filter.revisions ?? 0..<UInt64.max
                for stream in filter.streams {
                    found += shared.active.positions(ofStream: stream, in: range, revisions: revisions)
                }
                return filter.streams.count > 1 ? found.sorted() : found
            }
            if let correlation = filter.correlation {
                return shared.active.positions(ofCorrelation: correlation.hash64, in: range)
            }
            if let types = filter.types {
                let found = shared.active.positions(in: range, ofTypes: types.matches)
                return found.count * 8 < range.count ? found : nil
            }
            return nil
        }
    }

    /// The first position of the head's frame that holds `position`, as far as the index knows.
    func firstOfHeadFrame(containing position: UInt64) -> UInt64? {
        self.shared.withLock { $0.active.firstOfFrame(containing: position) }
    }

    /// Decodes the head's frame that holds `position`; false if there is none (any more).
    func loadHeadFrame<Transaction: StorageTransaction & ~Copyable>(
        containing position: UInt64, into decoder: FrameDecoder, _ transaction: borrowing Transaction
    ) throws(StorageError) -> Bool {
        var found = false
        try transaction.scan(self.head.databases.frames, from: .atOrBeforeInteger(position)) {
            key, frame throws(StorageError) in
            let header = try FrameHeader.parse(frame, expectedFirstPosition: key.integerKey)
            guard position <= header.lastPosition else { return false }
            try decoder.load(frame, expectedFirstPosition: key.integerKey) { (id) throws(StorageError) in
                try self.headDictionary(id, in: transaction)
            }
            found = true
            return false
        }
        return found
    }

    // MARK: Single events

    /// The event at `position`; nil if there is none, or none any more.
    package func record(at position: UInt64) throws(StorageError) -> PlacedRecord? {
        var query = RecordQuery()
        guard position < .max else { return nil }
        query.positions = position..<position + 1
        let view = try self.currentView()
        guard position < view.end, position >= view.state.firstPosition else { return nil }
        if !view.hidden.isEmpty { return try self.records(query).first }
        var result: PlacedRecord?
        let take = { (frame: FrameDecoder) throws(StorageError) in
            result = try Self.record(at: position, frame)
        }
        if position < view.state.sealedEnd {
            guard let info = view.catalogue.segment(covering: position) else { return nil }
            do throws(StorageError) {
                let segment = try self.segments.segment(info)
                guard let block = segment.block(containing: position) else { return nil }
                try self.frames.withFrame(in: segment, block: block, take)
            } catch {
                if error.code == .notFound { return try self.records(query).first }
                throw self.naming(info, in: error)
            }
        } else {
            do throws(StorageError) {
                try self.frames.withHeadFrame(self, containing: position, take)
            } catch {
                if error.code == .notFound { return try self.records(query).first }
                throw error
            }
        }
        return result
    }

    /// `error` with the segment's file and its positions, where it is damage that names none.
    func naming(_ info: SegmentInfo, in error: StorageError) -> StorageError {
        guard error.code == .corrupted || error.code == .unsupportedFormat else { return error }
        return StorageError(
            error.code, error.message, number: error.number,
            path: error.path ?? "\(self.segments.directory)/\(info.fileName)",
            positions: error.positions ?? info.positions, actualRevision: error.actualRevision)
    }

    /// The event at `position` as the writer's transaction sees it.
    ///
    /// - Parameter decoder: keeps the head's frame that was read last, so that neighbours are cheap.
    func record(
        at position: UInt64, _ transaction: borrowing HeadTransaction, with decoder: FrameDecoder
    ) throws(StorageError) -> PlacedRecord? {
        let view = self.shared.withLock { $0.view }
        if position < view.state.firstPosition { return nil }
        if position < view.state.sealedEnd {
            guard let info = view.catalogue.segment(covering: position) else { return nil }
            var result: PlacedRecord?
            let segment = try self.segments.segment(info)
            guard let block = segment.block(containing: position) else { return nil }
            try self.frames.withFrame(in: segment, block: block) { frame throws(StorageError) in
                result = try Self.record(at: position, frame)
            }
            return result
        }
        let isLoaded =
            decoder.count > 0 && decoder.header.firstPosition <= position
            && position <= decoder.header.lastPosition
        if !isLoaded {
            guard try self.loadHeadFrame(containing: position, into: decoder, transaction.transaction) else {
                return nil
            }
        }
        return try Self.record(at: position, decoder)
    }

    private static func record(
        at position: UInt64, _ frame: FrameDecoder
    ) throws(StorageError) -> PlacedRecord? {
        let index = frame.firstIndex(atOrAfterPosition: position)
        guard index < frame.count, frame.position(index) == position else { return nil }
        return try frame.single(index)
    }

    /// Calls `body` with the hash of each event's id in `range`, in order, as the writer's transaction sees
    /// it.
    ///
    /// A sealed segment that cannot be read is left out: what it held cannot be known, and must not keep
    /// others from appending.
    func forEachIdentifier(
        in range: Range<UInt64>, _ transaction: borrowing HeadTransaction,
        _ body: (UInt64, UInt64) -> Void
    ) throws(StorageError) {
        let decoder = FrameDecoder()
        let view = self.shared.withLock { $0.view }
        func visit(_ frame: FrameDecoder) {
            var index = frame.firstIndex(atOrAfterPosition: range.lowerBound)
            while index < frame.count, frame.position(index) < range.upperBound {
                body(frame.idHash(index), frame.position(index))
                index += 1
            }
        }
        for info in view.catalogue.segments where info.positions.overlaps(range) {
            guard let segment = try? self.segments.segment(info) else { continue }
            try? segment.forEachBlock(
                from: max(range.lowerBound, info.positions.lowerBound), direction: .forwards
            ) {
                bytes, first throws(StorageError) in
                guard first < range.upperBound else { return false }
                try decoder.load(
                    bytes, expectedFirstPosition: first, withBodies: false, parts: .ids,
                    dictionary: segment.dictionaryProvider)
                visit(decoder)
                return true
            }
        }
        let start = max(range.lowerBound, view.state.sealedEnd)
        guard start < range.upperBound else { return }
        try transaction.transaction.scan(self.head.databases.frames, from: .atOrBeforeInteger(start)) {
            key, frame throws(StorageError) in
            guard key.integerKey < range.upperBound else { return false }
            try decoder.load(
                frame, expectedFirstPosition: key.integerKey, withBodies: false, parts: .ids
            ) { (id) throws(StorageError) in
                try self.headDictionary(id, in: transaction.transaction)
            }
            visit(decoder)
            return true
        }
    }
}
