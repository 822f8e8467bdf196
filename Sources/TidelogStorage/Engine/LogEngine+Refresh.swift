// How the cache in memory follows the head.
//
// Invariants:
// - `view.end` never exceeds what is committed; `active.end` may, by the writer's transaction in flight;
// - a committed frame is added to `active` exactly once: by the writer that appended it, or by a catch-up,
//   which skips what is there already. LMDB lets one writer in at a time and that writer catches up first,
//   so positions from `active.end` on cannot be somebody else's while our own are uncommitted;
// - after an aborted transaction `active` is emptied before the writer lock is given back, so nobody
//   mistakes uncommitted events for somebody else's committed ones. A commit that fails gives that lock back
//   itself, so from its beginning until its outcome is taken in the cache stays as it is (`isCommitting`): the
//   writer has caught up, nobody else can commit meanwhile, and what he commits is acknowledged to nobody yet;
// - `view` and `active` are of the same moment only where `isComplete` says so, under one lock;
// - what is sealed goes into the head before it leaves `active`: so whoever asks both asks `active` first, and
//   finds what is sealed in between in both. The other way round he would find it in neither.
extension LogEngine {
    /// What readers need, brought up to date with the newest commit of any process.
    package func currentView() throws(StorageError) -> ReadView {
        try self.refresh()
        return self.shared.withLock { $0.view }
    }

    /// Runs `body` with the view and the index of the active segment, both as of the same moment and brought
    /// up to date with the newest commit. The engine's lock is held meanwhile.
    func withCurrentState<Value: Sendable>(
        _ body: (inout SharedState) -> Value
    ) throws(StorageError) -> Value {
        while true {
            try self.refresh()
            let value = self.shared.withLock { shared -> Value? in
                shared.isComplete ? body(&shared) : nil
            }
            if let value { return value }
        }
    }

    /// Brings the cache up to date; costs two small reads of the mapped file when nothing has changed.
    package func refresh() throws(StorageError) {
        let newest = try self.head.environment.newestMappedTransactionID()
        let isCurrent = self.shared.withLock { shared in
            shared.isCommitting || shared.view.transactionID >= newest && shared.isComplete
        }
        if isCurrent { return }
        try self.refreshing.withLock { _ throws(StorageError) in
            if self.shared.withLock({ $0.isCommitting }) { return }
            try self.head.environment.read { snapshot throws(StorageError) in
                try self.catchUp(snapshot, committed: snapshot.id)
            }
        }
    }

    /// Brings the cache up to what `snapshot` sees, which is the outcome of transaction `committed`.
    func catchUp<Snapshot: StorageTransaction & ~Copyable>(
        _ snapshot: borrowing Snapshot, committed: UInt64
    ) throws(StorageError) {
        let (known, isComplete) = self.shared.withLock { ($0.view, $0.isComplete) }
        if known.transactionID >= committed, isComplete { return }

        var view = known
        view.state = try self.head.databases.state(in: snapshot)
        view.transactionID = committed
        if view.state.catalogueVersion != known.state.catalogueVersion || known.transactionID == 0 {
            view.catalogue = try self.head.databases.catalogue(in: snapshot)
        }
        if view.state.hiddenVersion != known.state.hiddenVersion || known.transactionID == 0 {
            view.hidden = try self.hiddenStreams(view.state.hiddenVersion, known, snapshot)
        }
        let sealedEnd = view.state.sealedEnd
        self.shared.withLock { $0.active.dropSealed(below: sealedEnd) }

        let end = try self.addFrames(snapshot, sealedEnd: sealedEnd)
        if known.transactionID == 0 { try self.head.databases.requireAllFrames(in: snapshot) }
        self.shared.withLock { [view] shared in
            guard view.transactionID >= shared.view.transactionID else { return }
            shared.view = view
            shared.view.end = max(end, sealedEnd)
        }
        self.notifier.changed(end: max(end, sealedEnd))
    }

    /// The list of hidden streams at this version, from the one that is known if this process alone has changed it.
    private func hiddenStreams<Snapshot: StorageTransaction & ~Copyable>(
        _ version: UInt64, _ known: ReadView, _ snapshot: borrowing Snapshot
    ) throws(StorageError) -> HiddenStreams {
        if known.transactionID > 0, let change = self.shared.withLock({ $0.hiddenChange }),
            change.version == version, known.state.hiddenVersion + 1 == version
        {
            return known.hidden.changed(by: change)
        }
        return try self.head.databases.hiddenStreams(in: snapshot)
    }

    /// Adds the frames that the index does not know; answers the end of the committed log.
    ///
    /// - Throws: ``StorageError`` with code `corrupted`, and the positions, if a frame is missing.
    private func addFrames<Snapshot: StorageTransaction & ~Copyable>(
        _ snapshot: borrowing Snapshot, sealedEnd: UInt64
    ) throws(StorageError) -> UInt64 {
        let decoder = FrameDecoder()
        var end = max(self.shared.withLock { $0.active.chunks[0].first }, sealedEnd)
        if let last = try self.head.databases.endOfFrames(in: snapshot) { end = max(end, last) }
        // What is sealed may have lost some of its frames already; from there on each begins where the one before
        // ends.
        var reached = max(self.shared.withLock { $0.active.end }, sealedEnd)
        guard reached < end else { return end }
        try snapshot.scan(self.head.databases.frames, from: .atOrAfterInteger(reached)) {
            key, bytes throws(StorageError) in
            let first = key.integerKey
            guard first == reached else { return false }
            try decoder.load(
                bytes, expectedFirstPosition: first, withBodies: false
            ) { (id) throws(StorageError) in try self.headDictionary(id, in: snapshot) }
            let summary = try decoder.summary()
            let bases = Self.baseRevisions(summary, decoder)
            self.shared.withLock { shared in
                shared.add(FrameForIndex(summary: summary, first: first, baseRevisions: bases))
            }
            reached = decoder.header.lastPosition + 1
            return true
        }
        guard reached == end else { throw self.missingFrames(at: reached, before: end, snapshot) }
        return end
    }

    /// The error of a position that the view has in the head and that no frame holds.
    func missingFrames(at position: UInt64, _ view: ReadView) -> StorageError {
        do throws(StorageError) {
            return try self.head.environment.read { snapshot throws(StorageError) in
                self.missingFrames(at: position, before: view.end, snapshot)
            }
        } catch {
            return error
        }
    }

    private func missingFrames<Snapshot: StorageTransaction & ~Copyable>(
        at position: UInt64, before end: UInt64, _ snapshot: borrowing Snapshot
    ) -> StorageError {
        let gap = try? self.head.databases.gap(around: position, before: end, in: snapshot)
        return StorageError(
            .corrupted, "frames are missing from the head; run `tidelog verify`, then `tidelog repair`",
            path: self.directory, positions: gap ?? position..<position + 1)
    }

    /// The revision of each stream's first event in the frame.
    private static func baseRevisions(_ summary: FrameSummary, _ frame: FrameDecoder) -> [UInt64] {
        var bases = [UInt64?](repeating: nil, count: summary.streams.count)
        for (index, code) in summary.streamCodes.enumerated() where code > 0 && bases[Int(code) - 1] == nil {
            bases[Int(code) - 1] = frame.revision(index)
        }
        return bases.map { $0 ?? 0 }
    }

    /// Says that the writer's transaction is about to be committed; whoever brings the cache up to date is done then.
    func beginCommit() {
        self.refreshing.withLock { _ in self.shared.withLock { $0.isCommitting = true } }
    }

    /// Takes in the outcome of a transaction without events.
    func endCommit(failed: Bool) {
        self.shared.withLock { shared in
            shared.isCommitting = false
            if failed { shared.hiddenChange = nil }
        }
    }

    /// Forgets what the index knows, after a transaction that was not committed.
    func invalidate() {
        self.shared.withLock { shared in
            shared.active = ActiveIndex(first: shared.view.state.sealedEnd)
            shared.view.transactionID = 0
            shared.isCommitting = false
            shared.hiddenChange = nil
        }
    }
}
