// Sealing: the active segment becomes an immutable file.
//
// Steps, each of which may be the last one before a crash:
// 1. write `segments/NAME.mdb.tmp`, sync, rename, sync the directory: a file that the catalogue does not
//    know, removed at the next open;
// 2. stream heads of the sealed events go into the head, in slices: true at any time, needed only when the
//    frames are gone;
// 3. one transaction registers the segment, moves `sealedEnd` and makes the segment's dictionary the one for
//    new small frames: from here on readers use the segment;
// 4. the frames below `sealedEnd` are deleted in slices; what is left over is deleted later.
extension LogEngine {
    /// Seals everything that was committed before the call; answers what was sealed.
    package func seal() throws(StorageError) -> [SegmentInfo] {
        guard let writer = self.writer else { throw self.readOnlyError() }
        return try self.maintenance.exclusively(self) { () throws(StorageError) in
            // In the writer's turn, so that no frame is added to a chunk that has ended.
            try writer.perform { [self] _ in self.shared.withLock { $0.active.rotate() } }
            return try self.sealFullChunks { false }
        }
    }

    /// Seals the chunks that no longer grow. To be called under the maintenance lock.
    @discardableResult
    func sealFullChunks(until isCancelled: () -> Bool) throws(StorageError) -> [SegmentInfo] {
        var sealed: [SegmentInfo] = []
        while !isCancelled() {
            let view = try self.currentView()
            let chunk = self.shared.withLock { shared in
                shared.active.chunks.count > 1 ? shared.active.chunks[0] : nil
            }
            guard let chunk else { break }
            let range = max(chunk.first, view.state.sealedEnd)..<chunk.end
            guard !range.isEmpty, range.upperBound <= view.end else { break }
            let dictionary = try self.trainDictionary(range)
            let info = try self.writeSegment(range, view, dictionary, isCancelled)
            guard let info else { break }
            try self.writeStreamHeads(of: chunk)
            try self.register(info, dictionary)
            try self.deleteSealedFrames()
            sealed.append(info)
        }
        return sealed
    }

    private func writeSegment(
        _ range: Range<UInt64>, _ view: ReadView, _ dictionary: [UInt8]?, _ isCancelled: () -> Bool
    ) throws(StorageError) -> SegmentInfo? {
        let segments = self.directory + "/" + Head.Names.segments
        _ = try Files.createDirectory(segments)
        try self.removeLeftover(firstPosition: range.lowerBound, generation: 0)
        let segment = try SegmentWriter(
            directory: segments, firstPosition: range.lowerBound, generation: 0,
            dictionaryBytes: dictionary, logID: view.state.logID, level: self.options.sealedLevel,
            blockBytes: self.options.blockBytes)
        do throws(StorageError) {
            var query = RecordQuery()
            query.positions = range
            var wasCancelled = false
            // Events of truncated streams are sealed too: positions stay gapless until compaction.
            let unfiltered = ReadView(
                state: view.state, transactionID: view.transactionID, end: view.end,
                catalogue: view.catalogue)
            var scan = Scan(engine: self, query: query, view: unfiltered, decoder: FrameDecoder())
            try scan.run { (frame, selection) throws(StorageError) in
                if let indices = selection.indices {
                    try segment.append(contentsOf: frame, at: indices.map { Int($0) })
                } else {
                    try segment.append(contentsOf: frame, at: selection.range)
                }
                self.maintenance.noteStep()
                wasCancelled = isCancelled()
                return !wasCancelled
            }
            if wasCancelled {
                segment.abandon()
                return nil
            }
            return try segment.finish(endPosition: range.upperBound)
        } catch {
            segment.abandon()
            throw error
        }
    }

    /// Trains a dictionary on a sample of the events to be sealed; nil where that is not worth it.
    private func trainDictionary(_ range: Range<UInt64>) throws(StorageError) -> [UInt8]? {
        let capacity = self.options.dictionaryBytes
        guard capacity > 0, range.count >= self.options.dictionaryEvents else { return nil }
        var samples: [UInt8] = []
        var sizes: [Int] = []
        let wanted = capacity * 40
        // A few runs spread over the range, so that few frames need decoding.
        let runs: UInt64 = 16
        for run in 0..<runs {
            var query = RecordQuery()
            let start = range.lowerBound + UInt64(range.count) / runs * run
            query.positions = start..<range.upperBound
            query.limit = 2000
            let enough = wanted / Int(runs) * Int(run + 1)
            try self.scan(query) { (frame, selection) throws(StorageError) in
                try frame.require(.all)
                return try selection.forEach(backwards: false) { (index) throws(StorageError) in
                    let before = samples.count
                    try frame.withMetadata(index) { samples.append(contentsOf: $0) }
                    try frame.withPayload(index) { samples.append(contentsOf: $0.prefix(4096)) }
                    if samples.count > before { sizes.append(samples.count - before) }
                    return samples.count < enough
                }
            }
        }
        guard sizes.count >= 100 else { return nil }
        // Events that have nothing in common give no dictionary: then there is none.
        return try? CompressionDictionary.train(samples: samples, sampleSizes: sizes, capacity: capacity)
    }

    private func writeStreamHeads(of chunk: ActiveChunk) throws(StorageError) {
        guard let writer = self.writer else { return }
        let streams = chunk.streams
        let order = streams.entriesInOrder()
        var slice = SliceSize(500, in: 50...4000)
        var start = 0
        while start < order.count {
            let part = order[start..<min(start + slice.count, order.count)]
            let elapsed = try writer.performTimed { [self] transaction throws(StorageError) in
                for index in part {
                    let entry = streams.entries[index]
                    let name = streams.name(index)
                    var head =
                        try self.head.databases.stream(name, in: transaction.transaction)
                        ?? StreamHead(
                            nextRevision: 0, firstPosition: chunk.first + UInt64(entry.firstOffset),
                            lastPosition: 0)
                    guard head.nextRevision < entry.nextRevision else { continue }
                    head.nextRevision = entry.nextRevision
                    head.lastPosition = chunk.first + UInt64(entry.lastOffset)
                    try transaction.setStream(name, head)
                }
            }
            start += part.count
            slice.adapt(to: elapsed)
            self.maintenance.noteStep()
            self.giveWay(after: elapsed)
        }
    }

    private func register(_ info: SegmentInfo, _ dictionary: [UInt8]?) throws(StorageError) {
        let usage = try self.dictionaryUsage(from: info.positions.upperBound)
        try self.writer?.perform { [self] transaction throws(StorageError) in
            var state = try self.head.databases.state(in: transaction.transaction)
            guard state.sealedEnd <= info.positions.lowerBound else {
                throw StorageError(
                    .locked, "another process sealed the same events", positions: info.positions)
            }
            try transaction.setSegment(info)
            state.sealedEnd = info.positions.upperBound
            state.catalogueVersion += 1
            if let dictionary { try self.adopt(dictionary, &state, transaction) }
            try self.dropDictionaries(besides: state.dictionaryID, usage, transaction)
            try transaction.setState(state)
        }
    }

    func readOnlyError() -> StorageError {
        StorageError(
            .permission, "the log was opened read-only; open it read-write to change it", path: self.directory
        )
    }
}
