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
    }

    private let state = Lock(State())
    private let signal = WakeSignal()
    /// One maintenance job at a time in this process.
    private let turn = Lock(())

    func start(_ engine: LogEngine) throws(StorageError) {
        guard engine.options.sealsInBackground else { return }
        let thread = try WorkerThread(name: "tidelog-seal", stackBytes: 4 << 20) { [self] in
            while self.sleep() {
                do throws(StorageError) {
                    try self.exclusively(engine, waiting: false) { () throws(StorageError) in
                        try engine.deleteSealedFrames()
                        try engine.sealFullChunks { self.isStopping }
                    }
                    self.state.withLock { $0.lastError = nil }
                } catch {
                    self.state.withLock { $0.lastError = error }
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

    private func sleep() -> Bool {
        if self.isStopping { return false }
        // After an error (a full disk, another process at work) try again after a while.
        let delay: Duration? = self.lastError == nil ? nil : .milliseconds(500)
        self.signal.wait(timeout: delay)
        return !self.isStopping
    }
}

extension LogEngine {
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
            try writer.perform { transaction throws(StorageError) in
                _ = try transaction.deleteFrames(below: sealedEnd, limit: 1000)
            }
        }
    }
}
