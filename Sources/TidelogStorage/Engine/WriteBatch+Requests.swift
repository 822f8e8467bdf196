// What a turn of the writer does with one request: refuses it, answers it as a repeat, or adds its events.

/// The frame that gathers small requests: what its events do to their streams.
struct GatheredFrame {
    /// How many events there are.
    var count = 0
    var bytes = 0
    /// The events of each request, in their order.
    var requests: ContiguousArray<[EventRecord]> = []
    /// For each distinct stream, in the order of the encoder's codes, the revision of its first event here.
    var baseRevisions: [UInt64] = []
    /// For each the revision that its next event gets.
    var nextRevisions: [UInt64] = []
    /// For each where the growing chunk has it.
    var entries: ContiguousArray<Int32> = []
    /// The growing chunk that `entries` are of.
    var chunk: ObjectIdentifier?

    /// Events after which the frame is written.
    static let countLimit = 4096
    static let bytesLimit = 1 << 20

    mutating func reset() {
        self.count = 0
        self.bytes = 0
        self.requests.removeAll(keepingCapacity: true)
        self.baseRevisions.removeAll(keepingCapacity: true)
        self.nextRevisions.removeAll(keepingCapacity: true)
        self.entries.removeAll(keepingCapacity: true)
        self.chunk = nil
    }
}

/// Where the growing chunk has a stream, and the revision that the stream's next event gets.
struct StreamPlace {
    var entry: Int32
    var nextRevision: UInt64
    var chunk: ObjectIdentifier
}

extension WriteBatch {
    mutating func accept(
        _ request: AppendRequest, _ transaction: borrowing HeadTransaction
    ) throws(StorageError) -> AppendOutcome {
        var events = request.events
        let conditions = request.conditions
        if self.mayRepeat(events) {
            try self.flush(transaction)
            self.index()
            let repeats = Repeats(engine: self.engine, window: self.window!)
            if conditions.skipsKnown {
                let unknown = try repeats.unknown(among: events, transaction)
                if unknown.count < events.records.count { events = try self.engine.prepare(unknown) }
            } else if let earlier = try repeats.outcome(of: events, transaction) {
                return earlier
            }
        }
        if events.draft != nil { try self.flush(transaction) }
        for (stream, expectation) in conditions.expectations {
            try self.check(expectation, of: stream, transaction)
        }
        for absence in conditions.absences { try self.check(absence, transaction) }
        if let check = conditions.check { try check(transaction) }

        var outcome = AppendOutcome(
            firstPosition: self.end + UInt64(self.gathered.count), count: events.records.count)
        if let draft = events.draft {
            try self.append(draft, of: events, transaction, &outcome)
        } else if !events.records.isEmpty {
            try self.gather(events, transaction, &outcome)
        }
        for change in conditions.changes {
            self.hasWritten = true
            switch change {
            case .set(let space, let key, let value):
                try transaction.setRecord(space, key: key, value: value)
            case .remove(let space, let key):
                try transaction.removeRecord(space, key: key)
            }
        }
        if let apply = conditions.apply, try apply(transaction) { self.hasWritten = true }
        return outcome
    }

    /// Whether the window has an id of one of the events' hashes.
    private mutating func mayRepeat(_ events: PreparedEvents) -> Bool {
        switch events.records.count {
        case 0: return false
        case 1: return self.windowWithAll.contains(events.idHash)
        default: return self.windowWithAll.containsAny(events.idHashes)
        }
    }

    /// Writes a frame that the caller encoded.
    private mutating func append(
        _ draft: FrameDraft, of events: PreparedEvents, _ transaction: borrowing HeadTransaction,
        _ outcome: inout AppendOutcome
    ) throws(StorageError) {
        self.index()
        let streams = draft.summary.streams
        let hashes = events.streamHashes
        var (places, hidesSome) = self.engine.shared.withLock {
            ($0.active.places(of: streams, hashes: hashes), !$0.view.hidden.isEmpty)
        }
        for index in streams.indices where places.nextRevisions[index] == 0 || hidesSome {
            do throws(StorageError) {
                places.nextRevisions[index] =
                    try self.place(of: streams[index], hash: hashes[index], transaction).nextRevision
            } catch {
                let first = events.records.first { $0.stream.isExactly(streams[index]) }
                throw first.map { error.about($0.id) } ?? error
            }
        }
        let bases = places.nextRevisions
        try self.write(draft, bases, places: places, isListed: false, transaction)

        var last = bases
        for code in draft.summary.streamCodes where code > 0 { last[Int(code) - 1] += 1 }
        for index in last.indices { last[index] -= 1 }
        outcome = AppendOutcome(
            firstPosition: outcome.firstPosition, count: outcome.count, streams: streams, lastRevisions: last)
    }

    /// Adds a small request to the frame that is being gathered.
    private mutating func gather(
        _ events: PreparedEvents, _ transaction: borrowing HeadTransaction, _ outcome: inout AppendOutcome
    ) throws(StorageError) {
        guard let encoder = self.encoder else {
            throw StorageError(.library, "there is no compression context; the system is out of memory")
        }
        // Through a pointer: a copy of a record counts references whose counters the caller's thread has.
        try events.records.withUnsafeBufferPointer { records throws(StorageError) in
            guard let start = records.baseAddress else { return }
            let first = try self.newPlace(of: start, hash: events.streamHash, encoder, transaction)
            var others: [StreamPlace?] = []
            for index in records.indices.dropFirst() {
                let hash = start[index].stream.map { XXH64.hash($0) } ?? 0
                others.append(try self.newPlace(of: start + index, hash: hash, encoder, transaction))
            }
            // From here on nothing refuses the request any more.
            let position = outcome.firstPosition
            for index in records.indices {
                let code = try encoder.append(at: start + index)
                let hash = records.count == 1 ? events.idHash : events.idHashes[index]
                self.window!.insert(hash, position: position + UInt64(index))
                guard code > 0, let stream = start[index].stream else { continue }
                self.gathered.note(code, index == 0 ? first : others[index - 1])
                outcome.note(stream, self.gathered.nextRevisions[code - 1] - 1)
            }
        }
        self.gathered.requests.append(events.records)
        self.gathered.count += events.records.count
        self.gathered.bytes += events.bytes
        if self.gathered.count >= GatheredFrame.countLimit || self.gathered.bytes >= GatheredFrame.bytesLimit
        {
            try self.flush(transaction)
        }
    }

    /// The place of an event's stream of which nothing was gathered yet; nil for no stream or a known one.
    private mutating func newPlace(
        of record: UnsafePointer<EventRecord>, hash: UInt64, _ encoder: FrameEncoder,
        _ transaction: borrowing HeadTransaction
    ) throws(StorageError) -> StreamPlace? {
        guard let stream = record.pointee.stream, encoder.streamCode(of: stream) == nil else { return nil }
        do throws(StorageError) {
            return try self.place(of: stream, hash: hash, transaction)
        } catch {
            throw error.about(record.pointee.id)
        }
    }

    /// Writes the gathered frame, if there is one.
    mutating func flush(_ transaction: borrowing HeadTransaction) throws(StorageError) {
        guard self.gathered.count > 0, let encoder = self.encoder else { return }
        let draft = try encoder.finish()
        var places: StreamPlaces?
        if let chunk = self.gathered.chunk {
            places = StreamPlaces(chunk: chunk, entries: self.gathered.entries)
        }
        let bases = self.gathered.baseRevisions
        self.gathered.reset()
        try self.write(draft, bases, places: places, isListed: true, transaction)
    }

    mutating func forgetGathered() {
        if self.gathered.count > 0 { self.encoder?.reset() }
        self.gathered.reset()
    }

    // MARK: Streams

    /// The revision that the stream's next event gets, gathered events counted.
    private mutating func nextRevision(
        of stream: String, _ transaction: borrowing HeadTransaction
    ) throws(StorageError) -> UInt64 {
        if self.gathered.count > 0, let code = self.encoder?.streamCode(of: stream) {
            return self.gathered.nextRevisions[code - 1]
        }
        return try self.place(of: stream, hash: XXH64.hash(stream), transaction).nextRevision
    }

    /// Where the stream stands, gathered events left aside.
    private mutating func place(
        of stream: String, hash: UInt64, _ transaction: borrowing HeadTransaction
    ) throws(StorageError) -> StreamPlace {
        self.index()
        let (place, chunk, isDeleted) = self.engine.shared.withLock { shared in
            let isDeleted =
                !shared.view.hidden.isEmpty
                && shared.view.hidden[ExactText(stream)] == .max
            return (
                shared.active.place(of: stream, hash: hash), ObjectIdentifier(shared.active.growing),
                isDeleted
            )
        }
        if !isDeleted, let next = place.nextRevision {
            return StreamPlace(entry: place.entry, nextRevision: next, chunk: chunk)
        }
        let head = try self.engine.head.databases.stream(stream, in: transaction.transaction)
        if isDeleted || head?.isDeleted == true {
            throw StorageError(
                .streamDeleted,
                "stream '\(stream)' was deleted and takes no more events; append to a stream of another name")
        }
        return StreamPlace(entry: -1, nextRevision: head?.nextRevision ?? 0, chunk: chunk)
    }

    private mutating func check(
        _ expectation: StreamExpectation, of stream: String, _ transaction: borrowing HeadTransaction
    ) throws(StorageError) {
        if expectation == .any { return }
        let next = try self.nextRevision(of: stream, transaction)
        let problem: String
        switch expectation {
        case .any: return
        case .noStream:
            if next == 0 { return }
            problem = "expected no such stream"
        case .exists:
            if next > 0 { return }
            problem = "expected it to exist"
        case .exact(let revision):
            if next > 0, next - 1 == revision { return }
            problem = "expected revision \(revision)"
        }
        throw StorageError(
            .conflict,
            "stream '\(stream)' \(next == 0 ? "has no events" : "is at revision \(next - 1)"), \(problem); "
                + "load it again and decide anew",
            actualRevision: next == 0 ? nil : next - 1)
    }
}

extension GatheredFrame {
    /// Counts an event of the stream with this code.
    ///
    /// - Parameter place: where the stream stood before, if this is its first event here.
    mutating func note(_ code: Int, _ place: StreamPlace?) {
        if code > self.nextRevisions.count {
            // Of several new events of a new stream the first one brings its place.
            let base = place?.nextRevision ?? 0
            self.baseRevisions.append(base)
            self.nextRevisions.append(base)
            if self.chunk == nil { self.chunk = place?.chunk }
            // A chunk that began in between has other entries.
            self.entries.append(place?.chunk == self.chunk ? place?.entry ?? -1 : -1)
        }
        self.nextRevisions[code - 1] += 1
    }
}
