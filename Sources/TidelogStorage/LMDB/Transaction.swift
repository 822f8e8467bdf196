// Transactions: what may be read and written inside one.
//
// Invariants: a handle of LMDB lives in exactly one noncopyable transaction, which ends it when it ends
// itself. Bytes that LMDB hands out are given to closures only: they are valid until the closure returns,
// and in a write transaction until the next change. A transaction keeps its environment open. In a process
// made by `fork` nothing of the parent's is touched: the handles are left alone, for ending them there would
// free reader slots of the parent.
import CTidelogLMDB
import Glibc

/// What read and write transactions have in common: reading.
package protocol StorageTransaction: ~Copyable {
    /// LMDB's transaction; for this module's extensions only.
    var access: TransactionAccess { get }
}

/// LMDB's transaction as the extensions here use it; it opens nothing to anybody else.
package struct TransactionAccess {
    let handle: OpaquePointer
    // The transaction that this comes from holds the environment and outlives every use of this.
    unowned(unsafe) let owner: Environment

    var path: String { self.owner.path }

    @inline(__always)
    func require(_ database: Database, integerKeys: Bool) {
        precondition(
            database.environment == self.owner.serial, "a database was used with another environment")
        precondition(
            database.integerKeys == integerKeys, "a database was used with keys of the wrong kind")
    }
}

/// A consistent view of the environment as it was when this began.
///
/// It may move between threads. As long as it lives, pages freed since are not reused: keep it short.
package struct ReadTransaction: ~Copyable, StorageTransaction {
    private let handle: OpaquePointer
    private let owner: Environment

    init(handle: OpaquePointer, owner: Environment) {
        self.handle = handle
        self.owner = owner
    }

    deinit {
        self.owner.endRead(self.handle)
    }

    /// The number of the newest commit that this sees.
    package var id: UInt64 { UInt64(mdb_txn_id(self.handle)) }

    package var access: TransactionAccess {
        @inline(__always) get { TransactionAccess(handle: self.handle, owner: self.owner) }
    }
}

/// The one write transaction of the environment: all of it is durable after ``commit()``, or nothing of it
/// ever was.
///
/// It belongs to the thread that began it, and ends there. Without a commit it is undone when it ends.
package struct WriteTransaction: ~Copyable, StorageTransaction {
    private let handle: OpaquePointer
    private let owner: Environment
    private let thread: pthread_t
    private var isOpen = true
    /// The number that this commit will have.
    package let id: UInt64

    init(handle: OpaquePointer, owner: Environment, id: UInt64) {
        self.handle = handle
        self.owner = owner
        self.thread = pthread_self()
        self.id = id
    }

    deinit {
        if self.isOpen {
            if self.owner.isOwnProcess { self.requireThread() }
            self.owner.abortWrite(self.handle)
        }
    }

    /// Makes everything written in this transaction durable in one step.
    ///
    /// - Throws: ``StorageError``. With code `diskFull` or `mapFull` nothing was written and the environment
    ///   goes on; after `inputOutput` what is durable is unknown and the environment refuses to write again.
    package consuming func commit() throws(StorageError) {
        self.requireThread()
        self.isOpen = false  // LMDB frees the handle even when the commit fails
        try self.owner.commitWrite(self.handle)
    }

    package var access: TransactionAccess {
        @inline(__always) get { TransactionAccess(handle: self.handle, owner: self.owner) }
    }

    private func requireThread() {
        precondition(
            pthread_equal(self.thread, pthread_self()) != 0,
            "a write transaction was ended on another thread than it began on")
    }
}
