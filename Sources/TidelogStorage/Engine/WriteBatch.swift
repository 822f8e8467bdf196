/// One turn of the writer thread: the requests that wait become one head transaction.
///
/// Small requests are encoded together, so that a thousand callers with one event each give one frame; large
/// ones arrive encoded. The index and the window of ids are changed as requests are accepted, ahead of the
/// commit, and emptied if it fails (they are rebuilt from the head).
struct WriteBatch {
    private let engine: LogEngine
    private let encoder: FrameEncoder?
    private var window: IdentifierWindow?
    private var outcomes: [Result<AppendOutcome, StorageError>] = []

    /// Small requests of the frame that is being gathered, and what they do to their streams.
    private var gathered = 0
    private var gatheredBytes = 0
    private var gatheredStreams: [ExactText: UInt64] = [:]
    private var hasWritten = false
    /// The position after the last event that the index knows, the gathered ones left aside.
    private var end: UInt64 = 0

    /// Events after which a gathered frame is written.
    private static let gatheredLimit = 4096
    private static let gatheredBytesLimit = 1 << 20

    init(engine: LogEngine) {
        self.engine = engine
        self.encoder = try? FrameEncoder(level: engine.options.headLevel)
    }

    // MARK: Transactions

    /// Runs `body` in a transaction of its own.
    mutating func run(
        _ body: (borrowing HeadTransaction) throws(StorageError) -> Void
    ) throws(StorageError) {
        let transaction = try self.engine.head.beginWrite()
        try self.engine.catchUp(transaction.transaction, committed: transaction.id - 1)
        try body(transaction)
        try transaction.commit(through: self.engine.options.seam)
        try self.engine.refresh()
    }

    /// Appends what can be appended and makes it durable.
    mutating func commit(_ requests: [AppendRequest]) -> Result<Void, StorageError> {
        self.outcomes.removeAll(keepingCapacity: true)
        self.hasWritten = false
        do throws(StorageError) {
            try self.attempt(requests)
            return .success(())
        } catch {
            self.forgetGathered()
            self.window = nil
            self.engine.invalidate()
            return .failure(error)
        }
    }

    /// Tells each caller what became of his request.
    mutating func answer(_ requests: [AppendRequest], _ result: Result<Void, StorageError>) {
        switch result {
        case .success:
            for (request, outcome) in zip(requests, self.outcomes) { request.reply(outcome) }
        case .failure(let error):
            for request in requests { request.reply(.failure(error)) }
        }
        self.outcomes.removeAll(keepingCapacity: true)
    }

    private mutating func attempt(_ requests: [AppendRequest]) throws(StorageError) {
        let engine = self.engine
        let bytes = requests.reduce(0) { $0 + $1.bytes }
        // What only changes records, such as acknowledgements, lives on the reserve.
        if bytes > 0 { try engine.head.ensureRoom(for: bytes) }
        let transaction = try engine.head.beginWrite()
        let id = transaction.id
        do throws(StorageError) {
            try engine.catchUp(transaction.transaction, committed: id - 1)
            try self.fill(transaction, with: requests)
        } catch {
            // While the transaction still keeps other writers out: see LogEngine+Refresh.swift.
            engine.invalidate()
            throw error
        }
        guard self.hasWritten else { return }  // nothing to make durable: the transaction is dropped
        try transaction.commit(through: engine.options.seam)
        engine.committed(transaction: id)
    }

    private mutating func fill(
        _ transaction: borrowing HeadTransaction, with requests: [AppendRequest]
    ) throws(StorageError) {
        self.end = self.engine.shared.withLock { $0.active.end }
        try self.catchUpWindow(transaction)
        for request in requests {
            let outcome: Result<AppendOutcome, StorageError>
            do throws(StorageError) {
                outcome = .success(try self.accept(request, transaction))
            } catch {
                if Self.endsTransaction(error) { throw error }
                outcome = .failure(error)
            }
            self.outcomes.append(outcome)
        }
        try self.flush(transaction)
    }

    /// Whether an error concerns the transaction as a whole, and not one request.
    private static func endsTransaction(_ error: StorageError) -> Bool {
        switch error.code {
        case .mapFull, .diskFull, .inputOutput, .poisoned, .library: true
        default: false
        }
    }

    // MARK: Requests

    private mutating func accept(
        _ request: AppendRequest, _ transaction: borrowing HeadTransaction
    ) throws(StorageError) -> AppendOutcome {
        if self.window!.containsAny(request.idHashes) {
            try self.flush(transaction)
            let repeats = Repeats(engine: self.engine, window: self.window!)
            if let earlier = try repeats.outcome(of: request, transaction) { return earlier }
        }
        if request.draft != nil || request.check != nil { try self.flush(transaction) }
        for (stream, expectation) in request.expectations {
            try self.check(expectation, of: stream, transaction)
        }
        if let check = request.check { try check(transaction) }

        let first = self.nextPosition
        var outcome = AppendOutcome(
            firstPosition: first, count: request.records.count, streams: [], lastRevisions: [],
            isRepeat: false)
        if let draft = request.draft {
            try self.append(draft, hashes: request.streamHashes, transaction, &outcome)
        } else if !request.records.isEmpty {
            try self.gather(request, transaction, &outcome)
        }
        for change in request.changes {
            self.hasWritten = true
            switch change {
            case .set(let space, let key, let value):
                try transaction.setRecord(space, key: key, value: value)
            case .remove(let space, let key):
                try transaction.removeRecord(space, key: key)
            }
        }
        if let apply = request.apply, try apply(transaction) { self.hasWritten = true }
        return outcome
    }

    private var nextPosition: UInt64 { self.end + UInt64(self.gathered) }

    /// Writes a frame that the caller encoded.
    private mutating func append(
        _ draft: FrameDraft, hashes: [UInt64], _ transaction: borrowing HeadTransaction,
        _ outcome: inout AppendOutcome
    ) throws(StorageError) {
        let streams = draft.summary.streams
        var (places, hidesSome) = self.engine.shared.withLock {
            ($0.active.growing.places(of: streams, hashes: hashes), !$0.view.hidden.lowestVisible.isEmpty)
        }
        for index in streams.indices where places.entries[index] < 0 || hidesSome {
            places.nextRevisions[index] = try self.nextRevision(of: streams[index], transaction)
        }
        let bases = places.nextRevisions
        try self.write(draft, bases, places: places, transaction)

        var last = bases
        for code in draft.summary.streamCodes where code > 0 { last[Int(code) - 1] += 1 }
        outcome.streams = draft.summary.streams
        outcome.lastRevisions = last.map { $0 - 1 }
        self.window!.insert(draft.summary.idHashes, first: outcome.firstPosition)
    }

    /// Adds a small request to the frame that is being gathered.
    private mutating func gather(
        _ request: AppendRequest, _ transaction: borrowing HeadTransaction, _ outcome: inout AppendOutcome
    ) throws(StorageError) {
        guard let encoder = self.encoder else {
            throw StorageError(.library, "there is no compression context; the system is out of memory")
        }
        if request.records.count == 1 { return try self.gatherOne(request, transaction, &outcome) }
        var next: [UInt64] = []
        var touched: [ExactText: UInt64] = [:]
        for record in request.records {
            guard let name = record.stream else {
                next.append(0)
                continue
            }
            let stream = ExactText(name)
            let revision: UInt64
            if let known = touched[stream] {
                revision = known
            } else {
                revision = try self.nextRevision(of: name, transaction)
            }
            next.append(revision)
            touched[stream] = revision + 1
        }
        self.gatheredStreams.merge(touched) { $1 }
        for (index, record) in request.records.enumerated() {
            try encoder.append(record)
            self.window!.insert(
                request.idHashes[index], position: outcome.firstPosition + UInt64(index))
            guard let stream = record.stream else { continue }
            if let known = outcome.streams.firstIndex(where: stream.isExactly) {
                outcome.lastRevisions[known] = next[index]
            } else {
                outcome.streams.append(stream)
                outcome.lastRevisions.append(next[index])
            }
        }
        try self.countGathered(request, transaction)
    }

    /// The same for a request of one event, the most frequent one.
    private mutating func gatherOne(
        _ request: AppendRequest, _ transaction: borrowing HeadTransaction, _ outcome: inout AppendOutcome
    ) throws(StorageError) {
        guard let encoder = self.encoder else { return }
        let record = request.records[0]
        if let stream = record.stream {
            let revision = try self.nextRevision(of: stream, transaction)
            self.gatheredStreams[ExactText(stream)] = revision + 1
            outcome.streams = [stream]
            outcome.lastRevisions = [revision]
        }
        try encoder.append(record)
        self.window!.insert(request.idHashes[0], position: outcome.firstPosition)
        try self.countGathered(request, transaction)
    }

    private mutating func countGathered(
        _ request: AppendRequest, _ transaction: borrowing HeadTransaction
    ) throws(StorageError) {
        self.gathered += request.records.count
        self.gatheredBytes += request.bytes
        if self.gathered >= Self.gatheredLimit || self.gatheredBytes >= Self.gatheredBytesLimit {
            try self.flush(transaction)
        }
    }

    /// Writes the gathered frame, if there is one.
    private mutating func flush(_ transaction: borrowing HeadTransaction) throws(StorageError) {
        guard self.gathered > 0, let encoder = self.encoder else { return }
        let draft = try encoder.finish()
        var occurrences = [UInt64](repeating: 0, count: draft.summary.streams.count)
        for code in draft.summary.streamCodes where code > 0 { occurrences[Int(code) - 1] += 1 }
        var bases: [UInt64] = []
        bases.reserveCapacity(occurrences.count)
        for (index, stream) in draft.summary.streams.enumerated() {
            bases.append((self.gatheredStreams[ExactText(stream)] ?? 0) - occurrences[index])
        }
        self.gathered = 0
        self.gatheredBytes = 0
        self.gatheredStreams.removeAll(keepingCapacity: true)
        try self.write(draft, bases, transaction)
    }

    private mutating func write(
        _ draft: FrameDraft, _ bases: [UInt64], places: StreamPlaces? = nil,
        _ transaction: borrowing HeadTransaction
    ) throws(StorageError) {
        let engine = self.engine
        let first = self.end
        self.end += UInt64(draft.summary.count)
        self.hasWritten = true
        try transaction.appendFrame(draft, first: first, baseRevisions: bases)
        engine.shared.withLock { shared in
            shared.active.append(draft.summary, first: first, baseRevisions: bases, places: places)
            if shared.active.growingBytes >= engine.options.segmentBytes { shared.active.rotate() }
        }
    }

    private mutating func forgetGathered() {
        if self.gathered > 0 { _ = try? self.encoder?.finish() }
        self.gathered = 0
        self.gatheredBytes = 0
        self.gatheredStreams.removeAll()
    }

    // MARK: Streams

    private func nextRevision(
        of stream: String, _ transaction: borrowing HeadTransaction
    ) throws(StorageError) -> UInt64 {
        if !self.gatheredStreams.isEmpty, let gathered = self.gatheredStreams[ExactText(stream)] {
            return gathered
        }
        let (active, isDeleted) = self.engine.shared.withLock { shared in
            let hidden = shared.view.hidden.lowestVisible
            return (
                shared.active.nextRevision(of: stream), !hidden.isEmpty && hidden[ExactText(stream)] == .max
            )
        }
        if !isDeleted, let active { return active }
        let head = try self.engine.head.databases.stream(stream, in: transaction.transaction)
        if isDeleted || head?.isDeleted == true {
            throw StorageError(
                .streamDeleted,
                "stream '\(stream)' was deleted and takes no more events; append to a stream of another name")
        }
        return head?.nextRevision ?? 0
    }

    private func check(
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

    // MARK: The window of ids

    /// Brings the window up to what other processes appended, or fills it after opening.
    private mutating func catchUpWindow(_ transaction: borrowing HeadTransaction) throws(StorageError) {
        let (end, state) = self.engine.shared.withLock { ($0.active.end, $0.view.state) }
        let covered = self.window?.end ?? 0
        if self.window != nil, covered >= end { return }
        let lowest = end - min(end, UInt64(self.engine.options.idempotenceWindow))
        let start = max(self.window == nil ? lowest : covered, lowest, state.firstPosition)
        var window = IdentifierWindow(minimum: self.engine.options.idempotenceWindow, start: start)
        if let known = self.window, covered >= lowest { window = known }
        try self.engine.forEachIdentifier(in: start..<end, transaction) { hash, position in
            window.insert(hash, position: position)
        }
        window.advance(to: end)
        self.window = window
    }
}

extension LogEngine {
    /// Makes what transaction `id` appended visible to readers, and starts sealing when it is time.
    func committed(transaction id: UInt64) {
        let (end, mustSeal) = self.shared.withLock { shared in
            shared.view.transactionID = max(shared.view.transactionID, id)
            shared.view.end = shared.active.end
            return (shared.view.end, shared.active.chunks.count > 1)
        }
        self.notifier.changed(end: end)
        if mustSeal { self.maintenance.wake() }
    }
}
