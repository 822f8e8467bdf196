/// What readers of all processes keep from being used again, as of the last look at them.
struct ReaderWatch: Sendable {
    var checked = ContinuousClock.now
    /// The oldest commit that some reader looks at, and when that was seen first.
    var oldest: (commit: UInt64, since: ContinuousClock.Instant)?

    /// Takes in what a look has shown.
    mutating func note(oldest commit: UInt64?, at now: ContinuousClock.Instant) {
        guard let commit else {
            self.oldest = nil
            return
        }
        if self.oldest?.commit != commit { self.oldest = (commit, now) }
    }
}

/// The pages of the head that earlier commits freed.
struct FreeSpace: Sendable, Equatable {
    /// What the next commits may use.
    var usableBytes = 0
    /// What some reader may still look at, and the process whose reader is the oldest.
    var pinnedBytes = 0
    var oldestReader: Int32?

    /// What to add to an error that says that there is no room.
    var explanation: String {
        guard self.pinnedBytes > 0, let process = self.oldestReader else { return "" }
        return
            "; a read in process \(process) that has not ended keeps \(self.pinnedBytes) bytes from being used "
            + "again"
    }
}

extension Head {
    /// A process that died in a read transaction keeps the pages of its snapshot from being used again; only
    /// writing makes that grow, so whoever writes looks for it.
    func lookAtReadersNowAndThen() {
        let now = ContinuousClock.now
        let isDue = self.readers.withLock { watch in
            guard now - watch.checked >= self.options.readerCheckInterval else { return false }
            watch.checked = now
            return true
        }
        guard isDue else { return }
        _ = try? self.environment.clearDeadReaders()
        if let age = try? self.oldestReaderAge() { self.options.onReaderCheck?(age) }
    }

    /// For how long the oldest reader of any process is known to have looked at the same commit; zero if there is
    /// none. It is known from the first look that found it, so it may be older by the time between two looks.
    func oldestReaderAge() throws(StorageError) -> Duration {
        let oldest = try self.environment.oldestReaderTransactionID()
        let now = ContinuousClock.now
        return self.readers.withLock { watch in
            watch.note(oldest: oldest, at: now)
            return watch.oldest.map { now - $0.since } ?? .zero
        }
    }

    /// The pages that earlier transactions freed.
    ///
    /// LMDB uses those again that were freed before the commit which the oldest reader looks at. Those freed since are
    /// no room: whoever counted them would let appends eat the reserve, for as long as that reader lives.
    func freeSpace() throws(StorageError) -> FreeSpace {
        let pageSize = self.environment.pageSizeBytes
        return try self.environment.read { transaction throws(StorageError) in
            // The transaction itself is a reader, of the newest commit.
            let oldest = try self.environment.readers().filter { $0.transactionID != nil }
                .min { $0.transactionID! < $1.transactionID! }
            let limit = min(transaction.id, oldest?.transactionID ?? .max)
            var free = FreeSpace()
            try transaction.scan(self.environment.freeList, from: .first) { key, value in
                guard value.count >= 8 else { return true }
                let bytes = Int(clamping: value.loadUnaligned(as: UInt64.self)) * pageSize
                if key.integerKey < limit {
                    free.usableBytes += bytes
                } else {
                    free.pinnedBytes += bytes
                }
                return true
            }
            if limit < transaction.id { free.oldestReader = oldest?.process }
            return free
        }
    }
}
