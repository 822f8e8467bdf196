// An LMDB environment: one file, mapped into memory, with named databases in it.
//
// Invariants:
// - `users` counts transactions and calls under way, plus `closing` once `close` was called: the handle is
//   freed when the count has come to zero, and nobody enters after that bit is set.
// - Only the process that opened it uses it, or frees it.
// - While the write lock is held, the transaction's number is the newest meta page's plus one. LMDB can start
//   from the wrong meta page when two processes open at once and one dies in it, and acknowledged commits
//   would then be overwritten: the check turns that into the error `poisoned`. Whoever opens holds a lock of
//   his own around it (``FileLock``), so that it does not come to that.
// - After a commit that failed in the operating system, nothing is written any more (`poisoned`).
import CTidelogLMDB
import Glibc
import Synchronization

/// An LMDB file that this process has open: where every transaction begins.
///
/// It is shared freely between threads. It closes itself with the last reference to it or to one of its
/// transactions.
package final class Environment: Sendable {
    /// How to open an environment.
    package struct Options: Sendable {
        /// How far the file may grow; it takes address space, not memory. 0: as long as the file is now.
        /// Default: 16 GiB.
        package var mapSizeBytes: Int = 16 << 30
        /// How many named databases there may be. Default: 16.
        package var maxDatabases: UInt32 = 16
        /// How many read transactions there may be at once, in all processes; the first to open decides.
        /// Default: 512.
        package var maxReaders: UInt32 = 512
        /// Whether to refuse writing; the file must exist then. Default: `false`.
        package var readOnly = false
        /// Whether to do without the lock file and reader slots, for a file that nobody writes any more or that
        /// only this value knows. Default: `false`.
        package var noLock = false
        /// Whether to tell the system not to read ahead. Default: `false`.
        package var noReadAhead = false
        /// Whether commits are left to the system's own time to become durable, until
        /// ``Environment/sync()``: for a file that counts only once it is complete. Default: `false`.
        package var noSync = false
        /// Whether a missing or empty file is an error and not a new environment. Default: `false`.
        package var mustExist = false
        /// Whether a file system in user space is accepted. Default: `false`.
        package var allowUserSpaceFileSystem = false
        /// The permission bits of a new file. Default: 0600.
        package var fileMode: UInt32 = 0o600

        package init() {}
    }

    static let closing = 1 << 62
    static let serials = Atomic<UInt64>(1)

    /// Where the file is.
    package let path: String
    /// What it was opened with.
    package let options: Options
    /// The descriptor that LMDB reads the file through; it lives as long as the environment is open.
    package let fileDescriptor: Int32
    /// The size of a page.
    package let pageSizeBytes: Int
    /// A number that no other environment of this process has.
    let serial: UInt64
    // SAFETY: LMDB allows sharing MDB_env between threads; freed once, in `close`, when nobody uses it.
    nonisolated(unsafe) let handle: OpaquePointer
    private let process: pid_t
    private let identity: FileIdentity
    let users = Atomic<Int>(0)
    private let drained = WakeSignal()
    private let isClosed = Lock(false)
    let isPoisoned = Atomic<Bool>(false)
    /// The thread in the write transaction, so that nesting is an error and not a standstill.
    let writer = Atomic<UInt>(0)
    let idleReaders = IdleReaders()
    /// LMDB forbids opening named databases in two transactions at once.
    private let databaseOpening = Lock(())

    /// Opens the environment in the file `path`, creating it if there is none.
    ///
    /// The caller holds a lock of its own against other processes that open the same file, and lets go of it
    /// when this has returned.
    ///
    /// - Parameter path: the file; `/proc/self/fd/N`, with the options `readOnly` and `noLock`, opens what the
    ///   descriptor N stands for. Its lock file is `path` with "-lock" added; nothing else in the process may
    ///   open or close that one.
    /// - Throws: ``StorageError`` with code `locked` if this process has the file open already; `corrupted` if
    ///   the file is shorter than its meta page says; `unsupportedFormat` if it is no LMDB file, or on a
    ///   network file system; `permission` also if a symbolic link stands there or in the lock file's place;
    ///   `notFound` if it is missing and must exist; `poisoned` if LMDB does not see the newest commit.
    package init(path: String, options: Options = Options()) throws(StorageError) {
        let opened = try EnvironmentOpener(path: path, options: options).open()
        self.path = path
        self.options = options
        self.handle = opened.handle
        self.identity = opened.identity
        self.fileDescriptor = opened.descriptor
        self.pageSizeBytes = opened.pageSizeBytes
        self.process = ProcessMark.current
        self.serial = Self.serials.wrappingAdd(1, ordering: .relaxed).oldValue
        // A throw from here on releases the reference, and `deinit` closes.
        try self.requireNewestCommit()
    }

    deinit {
        self.close()
    }

    /// Ends the environment once all transactions have ended; later calls throw `closed`. A second call does
    /// nothing.
    ///
    /// A thread must not call this inside a transaction of its own: it would wait for itself.
    package func close() {
        // A child made by `fork` must leave the parent's reader slots and locks alone.
        guard self.isOwnProcess else { return }
        self.isClosed.withLock { isClosed in
            if isClosed { return }
            isClosed = true
            let before = self.users.bitwiseOr(Self.closing, ordering: .acquiringAndReleasing).oldValue
            if before != 0 { self.drained.wait() }
            self.idleReaders.endAll()
            EnvironmentRegistry.withOpen { open in
                mdb_env_close(self.handle)
                _ = open.remove(self.identity)
            }
        }
    }

    /// Whether this is the process that opened the environment, and not a child of it made by `fork`.
    var isOwnProcess: Bool { ProcessMark.current == self.process }

    /// Counts a use of the handle; each is ended by ``leave()``.
    @inline(__always)
    func enter() throws(StorageError) {
        guard self.isOwnProcess else {
            throw StorageError(
                .closed, "the environment was opened before a fork; this process must open it anew",
                path: self.path)
        }
        let before = self.users.wrappingAdd(1, ordering: .acquiring).oldValue
        if before & Self.closing != 0 {
            self.leave()
            throw StorageError(.closed, "the environment is closed", path: self.path)
        }
    }

    @inline(__always)
    func leave() {
        let after = self.users.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue
        if after == Self.closing { self.drained.wake() }
    }

    /// Opens a named database; do it once for each, before anything else is under way.
    ///
    /// - Parameters:
    ///   - integerKeys: whether its keys are integers of eight bytes.
    ///   - create: whether to create it, in a transaction of its own, if it is missing.
    /// - Throws: ``StorageError`` with code `notFound` if it is missing and `create` is `false`;
    ///   `unsupportedFormat` if it is there with another kind of keys; `limitExceeded` if there are too many.
    package func openDatabase(
        _ name: String, integerKeys: Bool, create: Bool
    ) throws(StorageError) -> Database {
        try self.databaseOpening.withLock { _ throws(StorageError) in
            let flags = integerKeys ? UInt32(MDB_INTEGERKEY) : 0
            let number =
                create && !self.options.readOnly
                ? try self.createHandle(name, flags | UInt32(MDB_CREATE)) : try self.openHandle(name, flags)
            let database = Database(
                name: name, integerKeys: integerKeys, handle: number, environment: self.serial)
            try self.requireKind(of: database)
            return database
        }
    }

    private func createHandle(_ name: String, _ flags: UInt32) throws(StorageError) -> MDB_dbi {
        var number: MDB_dbi = 0
        let transaction = try self.beginWrite()
        try checkLMDB(
            mdb_dbi_open(transaction.access.handle, name, flags, &number),
            "creating the database \"\(name)\"",
            path: self.path)
        try transaction.commit()
        return number
    }

    private func openHandle(_ name: String, _ flags: UInt32) throws(StorageError) -> MDB_dbi {
        try self.enter()
        defer { self.leave() }
        var number: MDB_dbi = 0
        let transaction = try self.beginReadHandle()
        let status = mdb_dbi_open(transaction, name, flags, &number)
        guard status == MDB_SUCCESS else {
            mdb_txn_abort(transaction)
            throw .lmdb(status, doing: "opening the database \"\(name)\"", path: self.path)
        }
        // The number lasts only if the transaction that it came from commits, a read-only one too.
        try checkLMDB(mdb_txn_commit(transaction), "opening the database \"\(name)\"", path: self.path)
        return number
    }

    /// LMDB takes the flags of an existing database from the file, whatever was asked for.
    private func requireKind(of database: Database) throws(StorageError) {
        let flags = try self.read { transaction throws(StorageError) in
            var flags: UInt32 = 0
            try checkLMDB(
                mdb_dbi_flags(transaction.access.handle, database.handle, &flags),
                "looking at the database \"\(database.name)\"", path: self.path)
            return flags
        }
        let expected = database.integerKeys ? UInt32(MDB_INTEGERKEY) : 0
        guard flags == expected else {
            throw StorageError(
                .unsupportedFormat, "the database \"\(database.name)\" has another kind of keys or values",
                path: self.path)
        }
    }
}
