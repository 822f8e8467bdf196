import Synchronization

/// The thread that seals in the background, and the lock under which everything that swaps segments runs.
///
/// Sealing, compaction, retention, and backup exclude each other, between processes too (a lock on a file).
/// All of them follow one protocol: write new files under temporary names, sync, rename, sync the directory,
/// then one head transaction that changes the catalogue; what is left over by a crash before or after that
/// transaction is removed at the next open.
final class Maintenance: Sendable {
    private struct State {
        var thread: WorkerThread?
        var isStopping = false
        var lastError: StorageError?
        /// What there was of progress when appends were last asked to wait, and when that was first seen.
        var seen: (progress: Progress, since: ContinuousClock.Instant)?
        /// The growing chunk's first position, and when it was first seen to have events.
        var growing: (first: UInt64, since: ContinuousClock.Instant)?
    }

    /// What changes for as long as maintenance gets on, here or in another process.
    private struct Progress: Equatable {
        var steps: UInt64
        var sealedEnd: UInt64
    }

    private let state = Lock(State())
    /// Counts the frames that maintenance has gone through.
    private let steps = Atomic<UInt64>(0)
    /// Counts the slices after which was asked whether appends wait, and those that let some go first.
    private let slices = Atomic<Int>(0)
    private let yields = Atomic<Int>(0)
    private let signal = WakeSignal()
    /// One maintenance job at a time in this process.
    private let turn = Lock(())

    func start(_ engine: LogEngine) throws(StorageError) {
        guard engine.options.sealsInBackground else { return }
        let thread = try WorkerThread(name: "tidelog-seal", stackBytes: 4 << 20) { [self] in
            while self.sleep(engine.options) {
                do throws(StorageError) {
                    try self.endAgedChunk(engine)
                    try self.exclusively(engine, waiting: false) { () throws(StorageError) in
                        try engine.deleteSealedFrames()
                        try engine.sealFullChunks { self.isStopping }
                    }
                    self.state.withLock { $0.lastError = nil }
                } catch {
                    self.state.withLock { $0.lastError = error }
                    // Appends that wait for sealing are told that it is not going on.
                    engine.writer?.wake()
                }
            }
        }
        self.state.withLock { $0.thread = thread }
    }

    func stop() {
        let thread = self.state.withLock { state in
            state.isStopping = true
            defer { state.thread = nil }
            return state.thread
        }
        self.signal.wake()
        thread?.join()
    }

    /// Says that there may be something to seal.
    func wake() {
        self.signal.wake()
    }

    /// Why the last attempt to seal in the background failed, if it did.
    var lastError: StorageError? { self.state.withLock { $0.lastError } }

    var isStopping: Bool { self.state.withLock { $0.isStopping } }

    /// Runs `body` while no other maintenance runs on the log, in any process.
    func exclusively<Result>(
        _ engine: LogEngine, waiting: Bool = true, _ body: () throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        try self.turn.withLock { _ throws(StorageError) in
            let lock = try FileLock(
                engine.directory + "/" + Head.Names.maintenanceLock, .exclusive, waiting: waiting)
            do throws(StorageError) {
                let result = try body()
                lock.release()
                return result
            } catch {
                lock.release()
                throw error
            }
        }
    }

    private func sleep(_ options: EngineOptions) -> Bool {
        if self.isStopping { return false }
        // After an error (a full disk, another process at work) try again after a while.
        var delay: Duration? = self.lastError.map { error in
            error.code == .locked ? .milliseconds(100) : .milliseconds(500)
        }
        if let age = options.sealAge {
            delay = min(delay ?? age, max(.milliseconds(1), min(age / 4, .seconds(10))))
        }
        self.signal.wait(timeout: delay)
        return !self.isStopping
    }

    // MARK: Sealing by age

    /// Ends the growing chunk if its first event was committed longer ago than the log allows.
    private func endAgedChunk(_ engine: LogEngine) throws(StorageError) {
        guard let age = engine.options.sealAge, let writer = engine.writer else { return }
        try engine.refresh()
        let now = ContinuousClock.now
        let growing = engine.shared.withLock { shared -> UInt64? in
            // What is in the chunk may be in flight; it is sealed only once it is committed.
            shared.active.growing.count > 0 ? shared.active.growing.first : nil
        }
        let isAged = self.state.withLock { state -> Bool in
            guard let growing else {
                state.growing = nil
                return false
            }
            guard let known = state.growing, known.first == growing else {
                state.growing = (growing, now)
                return false
            }
            return now - known.since >= age
        }
        if isAged {
            try writer.perform { _ in engine.shared.withLock { $0.active.rotate() } }
        }
    }

    // MARK: Keeping the head bounded

    /// How many slices were followed by a look at whether appends wait, and how many let some go first.
    var waysGiven: (asked: Int, given: Int) {
        (self.slices.load(ordering: .relaxed), self.yields.load(ordering: .relaxed))
    }

    func noteSlice() { self.slices.wrappingAdd(1, ordering: .relaxed) }

    func noteWayGiven() { self.yields.wrappingAdd(1, ordering: .relaxed) }

    /// Says that maintenance has got on by a frame.
    func noteStep() {
        self.steps.wrappingAdd(1, ordering: .relaxed)
    }

    /// Whether appends have to wait because more full segments wait to be sealed than the log allows.
    ///
    /// They wait only for as long as that helps: not while sealing fails (then the head grows up to its map's
    /// limit, and the error is in the statistics), and not once nothing has moved for a while.
    func holdsAppends(_ engine: LogEngine) -> Bool {
        let limit = engine.options.maximumUnsealedSegments
        guard engine.options.sealsInBackground else { return false }
        // Another process may have sealed them.
        if engine.fullChunks > limit { try? engine.refresh() }
        guard engine.fullChunks > limit else {
            self.state.withLock { $0.seen = nil }
            return false
        }
        let now = ContinuousClock.now
        let progress = Progress(
            steps: self.steps.load(ordering: .relaxed),
            sealedEnd: engine.shared.withLock { $0.view.state.sealedEnd })
        return self.state.withLock { state in
            guard state.thread != nil, !state.isStopping else { return false }
            if let error = state.lastError, error.code != .locked { return false }
            self.signal.wake()
            if let seen = state.seen, seen.progress == progress {
                return now - seen.since < engine.options.sealingPatience
            }
            state.seen = (progress, now)
            return true
        }
    }
}

extension LogEngine {
    /// Segments that take no more events and wait to be sealed.
    var fullChunks: Int { self.shared.withLock { $0.active.chunks.count - 1 } }

    /// Seals full segments where so many wait that appends may be waiting for them: long maintenance calls
    /// this from time to time. To be called under the maintenance lock.
    func sealIfPressed() throws(StorageError) {
        guard self.options.sealsInBackground, self.writer != nil else { return }
        try self.refresh()
        guard self.fullChunks > self.options.maximumUnsealedSegments else { return }
        try self.sealFullChunks { self.maintenance.isStopping }
    }

    /// Why sealing in the background fails, if it does: appends go on meanwhile.
    package var sealingError: StorageError? { self.maintenance.lastError }

    /// Removes what a crash left behind: temporary files, and segments that were never registered or are no
    /// longer, where no other process is at work.
    func removeLeftovers() throws(StorageError) {
        do throws(StorageError) {
            try self.maintenance.exclusively(self, waiting: false) { () throws(StorageError) in
                try self.refresh()
                let known = Set(self.shared.withLock { $0.view.catalogue.segments.map(\.fileName) })
                let directory = self.directory + "/" + Head.Names.segments
                _ = try Files.createDirectory(directory)
                for name in try Files.list(directory) where !known.contains(name) {
                    guard name.hasSuffix(".mdb") || name.contains(".tmp") else { continue }
                    _ = try Files.unlink(directory + "/" + name, ignoringMissing: true)
                }
            }
        } catch {
            if error.code != .locked { throw error }
        }
        let (mustSeal, hasLeftovers) = self.shared.withLock {
            ($0.active.chunks.count > 1, $0.view.state.sealedEnd > 0)
        }
        if mustSeal || hasLeftovers { self.maintenance.wake() }
    }

    /// Deletes frames of the head that have been sealed, in slices, so that the writer never waits long.
    func deleteSealedFrames() throws(StorageError) {
        guard let writer = self.writer else { return }
        var slice = SliceSize(250, in: 50...4000)
        while true {
            let sealedEnd = try self.currentView().state.sealedEnd
            let first = try self.head.environment.read { transaction throws(StorageError) in
                var first: UInt64?
                try transaction.scan(self.head.databases.frames, from: .first) { key, _ in
                    first = key.integerKey
                    return false
                }
                return first
            }
            guard let first, first < sealedEnd else { return }
            let limit = slice.count
            let elapsed = try writer.performTimed { transaction throws(StorageError) in
                _ = try transaction.deleteFrames(below: sealedEnd, limit: limit)
            }
            slice.adapt(to: elapsed)
            self.maintenance.noteStep()
            self.giveWay(after: elapsed)
        }
    }
}
