/// One turn of the writer thread: the requests that wait become one head transaction.
///
/// Small requests are encoded together, so that a thousand callers with one event each give one frame; large
/// ones arrive encoded. The index and the window of ids are changed as requests are accepted, ahead of the
/// commit, and emptied if it fails (they are rebuilt from the head). Only the frame that a turn writes last
/// enters them after the callers have been answered: nothing in the turn asks for it any more.
struct WriteBatch {
    let engine: LogEngine
    let encoder: FrameEncoder?
    /// The dictionary that ``encoder`` was told to use, or told in vain; 0 for none.
    private var dictionaryID: UInt32 = 0
    var window: IdentifierWindow?
    private var outcomes: [Result<AppendOutcome, StorageError>] = []
    /// How long the disk took for the last commit.
    private(set) var syncTime: Duration = .zero

    /// Small requests of the frame that is being gathered, and what they do to their streams.
    var gathered = GatheredFrame()
    /// The head's frame that conditions were compared with last.
    let checked = FrameDecoder()
    /// Whether ``checked`` holds a frame of this turn's transaction.
    var isChecked = false
    var hasWritten = false
    /// The position after the last event that was written, the gathered ones left aside.
    var end: UInt64 = 0
    /// The frame that was written last and is not in the index yet.
    private var unindexed: FrameForIndex?
    /// Means nothing: see ``StreamTable/touch(_:)``.
    private var touched: UInt64 = 0
    /// Whether the ids of `unindexed` are to be added to the window too.
    private var isUnlisted = false

    init(engine: LogEngine) {
        self.engine = engine
        self.encoder = try? FrameEncoder(
            level: engine.options.headLevel, dictionaryLimitBytes: HeadDictionaries.limitBytes)
    }

    // MARK: Transactions

    /// Runs `body` in a transaction of its own.
    mutating func run(
        _ body: (borrowing HeadTransaction) throws(StorageError) -> Void
    ) throws(StorageError) {
        let transaction = try self.engine.head.beginWrite()
        try self.engine.catchUp(transaction.transaction, committed: transaction.id - 1)
        do throws(StorageError) {
            try body(transaction)
            self.engine.beginCommit()
            try transaction.commit(through: self.engine.options.seam)
        } catch {
            self.engine.endCommit(failed: true)
            throw error
        }
        self.engine.endCommit(failed: false)
        try self.engine.refresh()
    }

    /// Appends what can be appended and makes it durable.
    mutating func commit(_ requests: [AppendRequest]) -> Result<Void, StorageError> {
        self.outcomes.removeAll(keepingCapacity: true)
        self.hasWritten = false
        self.isChecked = false
        do throws(StorageError) {
            try self.attempt(requests)
            return .success(())
        } catch {
            self.forgetGathered()
            self.unindexed = nil
            self.window = nil
            self.engine.invalidate()
            return .failure(error)
        }
    }

    /// Tells each caller what became of his request.
    mutating func answer(_ requests: [AppendRequest], _ result: Result<Void, StorageError>) {
        switch result {
        case .success:
            for index in requests.indices { requests[index].reply(self.outcomes[index]) }
        case .failure(let error):
            for request in requests { request.reply(.failure(error)) }
        }
        self.outcomes.removeAll(keepingCapacity: true)
    }

    /// Does what was put off until the callers were answered.
    mutating func settle() {
        if let frame = self.unindexed {
            self.list(frame)
            self.unindexed = nil
        }
        // Whoever looks at the index completes it.
        let mustSeal = self.engine.shared.withLock { $0.active.chunks.count > 1 }
        if mustSeal { self.engine.maintenance.wake() }
    }

    private mutating func attempt(_ requests: [AppendRequest]) throws(StorageError) {
        let engine = self.engine
        let bytes = requests.reduce(0) { $0 + $1.roomBytes }
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
        let start = ContinuousClock.now
        engine.beginCommit()
        try transaction.commit(through: engine.options.seam)
        self.syncTime = ContinuousClock.now - start
        engine.committed(transaction: id, end: self.end, last: self.unindexed)
    }

    private mutating func fill(
        _ transaction: borrowing HeadTransaction, with requests: [AppendRequest]
    ) throws(StorageError) {
        self.end = self.engine.shared.withLock { $0.active.end }
        self.chooseDictionary(transaction)
        try self.catchUpWindow(transaction)
        for index in requests.indices {
            if index % Self.touchedAtOnce == 0 { self.touch(requests[index...].prefix(Self.touchedAtOnce)) }
            do throws(StorageError) {
                self.outcomes.append(.success(try self.accept(requests[index], transaction)))
            } catch {
                if Self.endsTransaction(error) { throw error }
                self.outcomes.append(.failure(error))
            }
        }
        try self.flush(transaction)
    }

    /// Compresses with the dictionary that the head has for new small frames.
    private mutating func chooseDictionary(_ transaction: borrowing HeadTransaction) {
        let id = self.engine.shared.withLock { $0.view.state.dictionaryID }
        guard id != self.dictionaryID, let encoder = self.encoder else { return }
        self.dictionaryID = id
        do throws(StorageError) {
            try encoder.use(
                id == 0 ? nil : try self.engine.headDictionary(id, in: transaction.transaction))
        } catch {
            // What is appended needs none; whoever reads what was compressed with it learns of the damage.
            try? encoder.use(nil)
        }
    }

    /// Requests whose places in index and window are asked for together.
    private static let touchedAtOnce = 64

    /// Brings what single events are going to need of index and window into the processor's cache, for many
    /// at once; one after the other, each would wait for memory by itself.
    private mutating func touch(_ requests: ArraySlice<AppendRequest>) {
        guard requests.count > 1 else { return }
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 2 * requests.count) { hashes in
            var count = 0
            for request in requests where request.events.draft == nil && request.events.streamHash != 0 {
                hashes.initializeElement(at: count, to: request.events.idHash)
                hashes.initializeElement(at: requests.count + count, to: request.events.streamHash)
                count += 1
            }
            let ids = UnsafeBufferPointer(rebasing: hashes[..<count])
            let streams = UnsafeBufferPointer(rebasing: hashes[requests.count..<requests.count + count])
            self.touched &+= self.window?.touch(ids.span) ?? 0
            self.touched &+= self.engine.shared.withLock { $0.active.touch(streams.span) }
        }
    }

    /// Whether an error concerns the transaction as a whole, and not one request.
    private static func endsTransaction(_ error: StorageError) -> Bool {
        switch error.code {
        case .mapFull, .diskFull, .inputOutput, .poisoned, .library: true
        default: false
        }
    }

    // MARK: Frames

    /// Writes a frame; it enters the index, and its ids the window, when that is needed or the turn is over.
    ///
    /// - Parameter isListed: whether the window has its ids already.
    mutating func write(
        _ draft: FrameDraft, _ bases: [UInt64], places: StreamPlaces?, isListed: Bool,
        _ transaction: borrowing HeadTransaction
    ) throws(StorageError) {
        self.index()
        let first = self.end
        self.hasWritten = true
        try transaction.appendFrame(draft, first: first, baseRevisions: bases)
        self.end += UInt64(draft.summary.count)
        self.unindexed = FrameForIndex(
            summary: draft.summary, first: first, baseRevisions: bases, places: places)
        self.isUnlisted = !isListed
    }

    /// Adds the frame that was written last to index and window, if it is not there yet.
    mutating func index() {
        guard let frame = self.unindexed else { return }
        self.list(frame)
        self.unindexed = nil
        self.engine.shared.withLock { $0.add(frame) }
    }

    private mutating func list(_ frame: FrameForIndex) {
        guard self.isUnlisted else { return }
        self.isUnlisted = false
        self.window?.insert(frame.summary.idHashes, first: frame.first)
    }

    // MARK: The window of ids

    /// The window with everything that was written.
    var windowWithAll: IdentifierWindow {
        mutating _read {
            if let frame = self.unindexed { self.list(frame) }
            yield self.window!
        }
    }

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
    /// Makes what transaction `id` appended visible to readers.
    ///
    /// - Parameter last: the frame before `end` that the index lacks, if it does.
    func committed(transaction id: UInt64, end: UInt64, last: FrameForIndex?) {
        self.shared.withLock { shared in
            shared.view.transactionID = max(shared.view.transactionID, id)
            shared.view.end = max(shared.view.end, end)
            shared.leave(last)
            shared.isCommitting = false
        }
        self.notifier.changed(end: end)
    }
}
