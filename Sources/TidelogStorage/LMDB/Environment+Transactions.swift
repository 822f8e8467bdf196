import CTidelogLMDB
import Glibc
import Synchronization

extension Environment {
    /// Runs `body` in a consistent view of the environment, which ends when `body` returns.
    ///
    /// - Throws: what `body` throws; ``StorageError`` with code `readersFull` if all reader slots are taken,
    ///   also after those of dead processes were cleared; `closed`.
    @inline(__always)
    package func read<Value: ~Copyable>(
        _ body: (borrowing ReadTransaction) throws(StorageError) -> Value
    ) throws(StorageError) -> Value {
        let transaction = try self.beginRead()
        return try body(transaction)
    }

    /// Runs `body` in the one write transaction: commits when it returns, undoes everything when it throws.
    ///
    /// It waits until other write transactions, of other processes too, have ended.
    ///
    /// - Throws: what `body` throws; otherwise as ``beginWrite()`` and ``WriteTransaction/commit()``.
    @inline(__always)
    package func write<Value: ~Copyable>(
        _ body: (borrowing WriteTransaction) throws(StorageError) -> Value
    ) throws(StorageError) -> Value {
        let transaction = try self.beginWrite()
        let value = try body(transaction)
        try transaction.commit()
        return value
    }

    /// Begins a consistent view of the environment, which ends with the value returned.
    package func beginRead() throws(StorageError) -> ReadTransaction {
        try self.enter()
        if let idle = self.idleReaders.take() {
            if mdb_txn_renew(idle) == MDB_SUCCESS { return ReadTransaction(handle: idle, owner: self) }
            mdb_txn_abort(idle)
        }
        do throws(StorageError) {
            return ReadTransaction(handle: try self.beginReadHandle(), owner: self)
        } catch {
            self.leave()
            throw error
        }
    }

    /// Begins one without counting it as a use of the environment.
    func beginReadHandle() throws(StorageError) -> OpaquePointer {
        var handle: OpaquePointer?
        var status = mdb_txn_begin(self.handle, nil, UInt32(MDB_RDONLY), &handle)
        if status == MDB_READERS_FULL {
            var dead: Int32 = 0
            if mdb_reader_check(self.handle, &dead) == MDB_SUCCESS, dead > 0 {
                status = mdb_txn_begin(self.handle, nil, UInt32(MDB_RDONLY), &handle)
            }
        }
        guard status == MDB_SUCCESS, let handle else {
            throw .lmdb(status, doing: "beginning a read transaction", path: self.path)
        }
        return handle
    }

    /// Ends a read transaction; called once for each, by its `deinit`.
    func endRead(_ handle: OpaquePointer) {
        guard self.isOwnProcess else { return }
        mdb_txn_reset(handle)
        if !self.idleReaders.put(handle) { mdb_txn_abort(handle) }
        self.leave()
    }

    /// Begins the one write transaction, which must end on the thread that begins it.
    ///
    /// It waits until other write transactions, of other processes too, have ended.
    ///
    /// - Throws: ``StorageError`` with code `poisoned` if an earlier commit failed, or if LMDB does not see
    ///   the newest commit: close and reopen; `invalidArgument` if this thread is in a write transaction already;
    ///   `permission` if the environment is read-only; `closed`.
    package func beginWrite() throws(StorageError) -> WriteTransaction {
        try self.requireWritable()
        try self.enter()
        do throws(StorageError) {
            var begun: OpaquePointer?
            let status = mdb_txn_begin(self.handle, nil, 0, &begun)
            guard status == MDB_SUCCESS, let handle = begun else {
                throw .lmdb(status, doing: "beginning a write transaction", path: self.path)
            }
            do throws(StorageError) {
                let id = UInt64(mdb_txn_id(handle))
                try self.requireNext(id)
                self.writer.store(UInt(pthread_self()), ordering: .relaxed)
                return WriteTransaction(handle: handle, owner: self, id: id)
            } catch {
                mdb_txn_abort(handle)
                throw error
            }
        } catch {
            self.leave()
            throw error
        }
    }

    private func requireWritable() throws(StorageError) {
        if self.options.readOnly {
            throw StorageError(.permission, "the environment was opened for reading only", path: self.path)
        }
        if self.isPoisoned.load(ordering: .acquiring) {
            throw StorageError(
                .poisoned, "an earlier commit failed, so what is durable is unknown: close and reopen",
                path: self.path)
        }
        if self.writer.load(ordering: .relaxed) == UInt(pthread_self()) {
            throw StorageError(
                .invalidArgument, "this thread is in a write transaction already", path: self.path)
        }
    }

    /// Undoes a write transaction; called by its `deinit`.
    func abortWrite(_ handle: OpaquePointer) {
        guard self.isOwnProcess else { return }
        self.writer.store(0, ordering: .relaxed)
        mdb_txn_abort(handle)
        self.leave()
    }

    /// Commits a write transaction; called once, by its `commit`.
    func commitWrite(_ handle: OpaquePointer) throws(StorageError) {
        guard self.isOwnProcess else {
            throw StorageError(
                .closed, "the transaction began before a fork; only its own process can commit it",
                path: self.path)
        }
        self.writer.store(0, ordering: .relaxed)
        errno = 0
        let status = mdb_txn_commit(handle)
        // LMDB makes EIO out of a write that was cut short, which the system does where the room ends; a
        // write that the disk failed has left that number behind.
        let isShortWrite = status == EIO && errno == 0
        if status != MDB_SUCCESS && !isShortWrite && Self.leavesDoubt(status) {
            self.isPoisoned.store(true, ordering: .releasing)
        }
        self.leave()
        if isShortWrite {
            throw StorageError(
                .diskFull,
                "committing failed: only a part could be written; make room, or raise the quota or the "
                    + "file-size limit", number: status, path: self.path)
        }
        try checkLMDB(status, "committing", path: self.path)
    }

    /// Whether a commit that failed so may have left something half durable.
    ///
    /// Without room, LMDB has not touched a meta page: what was committed before stands, and the pages of the
    /// failed commit are written anew by the next one. Of anything else the outcome is unknown; after a
    /// failed sync LMDB itself would go on, and the system may have dropped the pages it could not write.
    private static func leavesDoubt(_ status: Int32) -> Bool {
        switch status {
        case ENOSPC, EDQUOT, EFBIG, ENOMEM, MDB_MAP_FULL, MDB_TXN_FULL, MDB_BAD_TXN: false
        default: true
        }
    }
}
