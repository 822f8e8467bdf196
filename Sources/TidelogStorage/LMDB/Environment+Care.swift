import CTidelogLMDB
import Glibc
import Synchronization

extension Environment {
    /// What the environment says about itself now.
    package func info() throws(StorageError) -> EnvironmentInfo {
        try self.enter()
        defer { self.leave() }
        var info = MDB_envinfo()
        try checkLMDB(mdb_env_info(self.handle, &info), "asking for the environment's state", path: self.path)
        return EnvironmentInfo(
            mapSizeBytes: info.me_mapsize, lastPage: info.me_last_pgno,
            lastTransactionID: UInt64(info.me_last_txnid), pageSizeBytes: self.pageSizeBytes,
            maxReaders: Int(info.me_maxreaders), readersInUse: Int(info.me_numreaders))
    }

    /// The number of the newest commit of any process, as the mapped meta pages say it; no system call.
    package func newestMappedTransactionID() throws(StorageError) -> UInt64 {
        try self.enter()
        defer { self.leave() }
        var info = MDB_envinfo()
        try checkLMDB(mdb_env_info(self.handle, &info), "asking for the environment's state", path: self.path)
        return UInt64(info.me_last_txnid)
    }

    /// The number of the newest commit, as the meta pages in the file say it, past the map and LMDB.
    package func newestMetaTransactionID() throws(StorageError) -> UInt64 {
        try self.enter()
        defer { self.leave() }
        return try MetaPage.newest(descriptor: self.fileDescriptor, path: self.path).transactionID
    }

    /// Requires that the write transaction just begun follows the newest commit; the write lock is held.
    func requireNext(_ id: UInt64) throws(StorageError) {
        let newest = try MetaPage.newest(descriptor: self.fileDescriptor, path: self.path).transactionID
        guard id == newest &+ 1 else {
            self.isPoisoned.store(true, ordering: .releasing)
            throw self.wrongMeta(id &- 1, newest)
        }
    }

    /// Requires that a reader sees the newest commit.
    ///
    /// Another process may be committing: its meta page is in the file before its number is where readers
    /// find it, for as long as the disk takes, and for ever if it was killed in between. So this looks again
    /// a few times, and then takes the write lock, under which nobody commits and LMDB makes good what a
    /// killed writer has left. Who opened for reading only cannot do that: he waits for a while, and may then
    /// stand one commit back, one that nobody has been told of.
    func requireNewestCommit() throws(StorageError) {
        var triesLeft = self.options.readOnly ? 100 : 5
        while true {
            let before = try self.newestMetaTransactionID()
            let seen = try self.read { $0.id }
            let after = try self.newestMetaTransactionID()
            if seen >= before && seen <= after { return }
            triesLeft -= 1
            if triesLeft <= 0 {
                if !self.options.readOnly {
                    _ = try self.beginWrite()  // throws if it does not follow the newest commit
                    return
                }
                if seen + 1 == after { return }
                throw self.wrongMeta(seen, after)
            }
            usleep(2000)
        }
    }

    private func wrongMeta(_ seen: UInt64, _ newest: UInt64) -> StorageError {
        StorageError(
            .poisoned,
            "LMDB goes on from commit \(seen) while the newest in the file is \(newest): writing now would "
                + "overwrite commits; close the log in all processes and reopen it", path: self.path)
    }

    /// LMDB's list of free pages by the transaction that freed them: each value begins with their number.
    package var freeList: Database {
        Database(name: "free pages", integerKeys: true, handle: 0, environment: self.serial)
    }

    /// Makes everything committed so far durable; needed only with the option `noSync`.
    package func sync() throws(StorageError) {
        try self.enter()
        defer { self.leave() }
        let status = mdb_env_sync(self.handle, 1)
        if status != MDB_SUCCESS { self.isPoisoned.store(true, ordering: .releasing) }
        try checkLMDB(status, "syncing", path: self.path)
    }

    /// Frees the reader slots of processes that died in a read transaction.
    ///
    /// - Returns: how many there were.
    package func clearDeadReaders() throws(StorageError) -> Int {
        try self.enter()
        defer { self.leave() }
        var dead: Int32 = 0
        try checkLMDB(mdb_reader_check(self.handle, &dead), "clearing dead readers", path: self.path)
        return Int(dead)
    }

    /// The oldest commit that a read transaction, of any process, still looks at; nil if there is none.
    ///
    /// Pages freed after that commit cannot be reused yet.
    package func oldestReaderTransactionID() throws(StorageError) -> UInt64? {
        try self.readers().compactMap(\.transactionID).min()
    }

    /// The reader slots that are taken, of all processes.
    package func readers() throws(StorageError) -> [ReaderSlot] {
        try self.enter()
        defer { self.leave() }
        var slots: [ReaderSlot] = []
        let status = withUnsafeMutablePointer(to: &slots) { slots in
            mdb_reader_list(
                self.handle,
                { line, context in
                    guard let line, let slots = context?.assumingMemoryBound(to: [ReaderSlot].self) else {
                        return 0
                    }
                    if let slot = ReaderSlot(line: String(cString: line)) { slots.pointee.append(slot) }
                    return 0
                }, slots)
        }
        if status < 0 { throw .lmdb(status, doing: "listing the readers", path: self.path) }
        return slots
    }

    /// Writes a consistent copy of the environment to a descriptor, from its present offset on, while others
    /// read and write.
    ///
    /// - Parameters:
    ///   - descriptor: open for writing; syncing it is left to the caller.
    ///   - compacting: whether to leave out free pages.
    /// - Throws: ``StorageError`` with code `diskFull` if there is no room.
    package func copy(toDescriptor descriptor: Int32, compacting: Bool) throws(StorageError) {
        try self.enter()
        defer { self.leave() }
        try checkLMDB(
            mdb_env_copyfd2(self.handle, descriptor, compacting ? UInt32(MDB_CP_COMPACT) : 0),
            "copying the environment", path: self.path)
    }
}

/// A place in the table of readers that a transaction has taken, or keeps for the next.
package struct ReaderSlot: Sendable, Hashable {
    /// The process that has it.
    package let process: Int32
    /// The commit that it looks at; nil if it is between two transactions.
    package let transactionID: UInt64?

    /// Reads a line of `mdb_reader_list`, the only way that LMDB tells: process, thread, and transaction or
    /// "-"; nil for its heading.
    init?(line: String) {
        let fields = line.split(whereSeparator: { $0 == " " || $0 == "\n" })
        guard fields.count == 3, let process = Int32(fields[0]) else { return nil }
        self.process = process
        self.transactionID = UInt64(fields[2])
    }
}
