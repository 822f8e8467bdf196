import CTidelogLMDB

/// A place in a database, from which one goes on to the next entry.
///
/// It must end before its transaction does; it is used inside one call and never handed out.
struct Cursor: ~Copyable {
    typealias Entry = (key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer)

    let handle: OpaquePointer
    private let database: Database
    private let access: TransactionAccess

    init(_ access: TransactionAccess, _ database: Database) throws(StorageError) {
        access.require(database, integerKeys: database.integerKeys)
        var cursor: OpaquePointer?
        let status = mdb_cursor_open(access.handle, database.handle, &cursor)
        guard status == MDB_SUCCESS, let cursor else {
            throw .lmdb(
                status, doing: "opening a cursor in the database \"\(database.name)\"", path: access.path)
        }
        self.handle = cursor
        self.database = database
        self.access = access
    }

    deinit {
        mdb_cursor_close(self.handle)
    }

    /// Goes to the first entry of a scan; nil if there is none.
    func move(to start: CursorStart) throws(StorageError) -> Entry? {
        switch start {
        case .first:
            return try self.move(MDB_FIRST)
        case .last:
            return try self.move(MDB_LAST)
        case .atOrAfter(let key):
            self.require(integerKeys: false)
            return try self.seek(key)
        case .atOrAfterInteger(let key):
            self.require(integerKeys: true)
            return try self.seek(key)
        case .atOrBefore(let key):
            self.require(integerKeys: false)
            guard let entry = try self.seek(key) else { return try self.move(MDB_LAST) }
            let isThere = key.withUnsafeBytes { wanted in
                wanted.count == entry.key.count && wanted.elementsEqual(entry.key)
            }
            return isThere ? entry : try self.move(MDB_PREV)
        case .atOrBeforeInteger(let key):
            self.require(integerKeys: true)
            guard let entry = try self.seek(key) else { return try self.move(MDB_LAST) }
            return entry.key.integerKey == key ? entry : try self.move(MDB_PREV)
        }
    }

    /// Moves by one of LMDB's operations that need no key; nil if there is nothing.
    @inline(__always)
    func move(_ operation: MDB_cursor_op) throws(StorageError) -> Entry? {
        var key = MDB_val()
        var value = MDB_val()
        let status = mdb_cursor_get(self.handle, &key, &value, operation)
        return try self.entry(status, key, value)
    }

    /// Goes to the first entry at or after `key`.
    func seek(_ key: UInt64) throws(StorageError) -> Entry? {
        var wanted = key
        var key = MDB_val()
        var value = MDB_val()
        let status = withUnsafeMutableBytes(of: &wanted) { bytes in
            key = MDB_val(mv_size: bytes.count, mv_data: bytes.baseAddress)
            return mdb_cursor_get(self.handle, &key, &value, MDB_SET_RANGE)
        }
        return try self.entry(status, key, value)
    }

    /// Goes to the first entry at or after `key`; an empty one is before everything.
    func seek(_ wanted: [UInt8]) throws(StorageError) -> Entry? {
        if wanted.isEmpty { return try self.move(MDB_FIRST) }
        var key = MDB_val()
        var value = MDB_val()
        let status = wanted.withUnsafeBytes { bytes in
            key = MDB_val(bytes)
            return mdb_cursor_get(self.handle, &key, &value, MDB_SET_RANGE)
        }
        return try self.entry(status, key, value)
    }

    /// Deletes the entry that the cursor is at; `MDB_NEXT` goes to the one after it.
    func deleteCurrent() throws(StorageError) {
        try checkLMDB(
            mdb_cursor_del(self.handle, 0), "deleting from the database \"\(self.database.name)\"",
            path: self.access.path)
    }

    @inline(__always)
    private func entry(_ status: Int32, _ key: MDB_val, _ value: MDB_val) throws(StorageError) -> Entry? {
        if status == MDB_NOTFOUND { return nil }
        try checkLMDB(
            status, "scanning the database \"\(self.database.name)\"",
            path: self.access.path)
        return (UnsafeRawBufferPointer(key), UnsafeRawBufferPointer(value))
    }

    private func require(integerKeys: Bool) {
        precondition(
            self.database.integerKeys == integerKeys, "a database was scanned with keys of the wrong kind")
    }
}
