import CTidelogLMDB
import Glibc

extension UnsafeRawBufferPointer {
    /// The key of an entry in a database with integer keys.
    package var integerKey: UInt64 {
        @inline(__always) get { self.loadUnaligned(as: UInt64.self) }
    }

    @inline(__always)
    init(_ value: MDB_val) {
        self.init(start: value.mv_data, count: value.mv_size)
    }
}

extension MDB_val {
    /// Borrows `bytes` for a call that does not change them, whatever its signature says.
    @inline(__always)
    init(_ bytes: UnsafeRawBufferPointer) {
        self.init(mv_size: bytes.count, mv_data: UnsafeMutableRawPointer(mutating: bytes.baseAddress))
    }
}

/// The longest key that LMDB takes.
package let maximumKeyBytes = 511

extension TransactionAccess {
    @inline(__always)
    func checkKey(_ database: Database, _ count: Int) throws(StorageError) {
        if count == 0 || count > maximumKeyBytes { throw self.badKey(database, count) }
    }

    private func badKey(_ database: Database, _ count: Int) -> StorageError {
        StorageError(
            .invalidArgument,
            "a key of \(count) bytes for the database \"\(database.name)\": 1 to \(maximumKeyBytes) are "
                + "possible",
            path: self.path)
    }

    @inline(__always)
    func get<Result>(
        _ database: Database, rawKey key: UnsafeRawBufferPointer,
        _ body: (UnsafeRawBufferPointer) throws(StorageError) -> Result
    ) throws(StorageError) -> Result? {
        var key = MDB_val(key)
        var value = MDB_val()
        let status = mdb_get(self.handle, database.handle, &key, &value)
        if status == MDB_NOTFOUND { return nil }
        try checkLMDB(status, "reading from the database \"\(database.name)\"", path: self.path)
        return try body(UnsafeRawBufferPointer(value))
    }
}

extension StorageTransaction where Self: ~Copyable {
    /// Runs `body` with the bytes stored under `key`, which are valid until it returns.
    ///
    /// - Returns: what `body` returned; nil if nothing is stored there.
    @inline(__always)
    package func get<Result>(
        _ database: Database, key: UnsafeRawBufferPointer,
        _ body: (UnsafeRawBufferPointer) throws(StorageError) -> Result
    ) throws(StorageError) -> Result? {
        let access = self.access
        access.require(database, integerKeys: false)
        try access.checkKey(database, key.count)
        return try access.get(database, rawKey: key, body)
    }

    /// Runs `body` with the bytes stored under `key` in a database with integer keys.
    @inline(__always)
    package func get<Result>(
        _ database: Database, key: UInt64,
        _ body: (UnsafeRawBufferPointer) throws(StorageError) -> Result
    ) throws(StorageError) -> Result? {
        let access = self.access
        access.require(database, integerKeys: true)
        var key = key
        var entry = MDB_val()
        let status = withUnsafeMutableBytes(of: &key) { bytes in
            var key = MDB_val(mv_size: bytes.count, mv_data: bytes.baseAddress)
            return mdb_get(access.handle, database.handle, &key, &entry)
        }
        if status == MDB_NOTFOUND { return nil }
        try checkLMDB(status, "reading from the database \"\(database.name)\"", path: access.path)
        return try body(UnsafeRawBufferPointer(entry))
    }

    /// Runs `body` with the bytes stored under `key`.
    @inline(__always)
    package func get<Result>(
        _ database: Database, key: [UInt8],
        _ body: (UnsafeRawBufferPointer) throws(StorageError) -> Result
    ) throws(StorageError) -> Result? {
        let access = self.access
        access.require(database, integerKeys: false)
        try access.checkKey(database, key.count)
        var entry = MDB_val()
        let status = key.withUnsafeBytes { bytes in
            var key = MDB_val(bytes)
            return mdb_get(access.handle, database.handle, &key, &entry)
        }
        if status == MDB_NOTFOUND { return nil }
        try checkLMDB(status, "reading from the database \"\(database.name)\"", path: access.path)
        return try body(UnsafeRawBufferPointer(entry))
    }

    /// How many entries the database has.
    package func entryCount(_ database: Database) throws(StorageError) -> Int {
        let access = self.access
        access.require(database, integerKeys: database.integerKeys)
        var statistics = MDB_stat()
        try checkLMDB(
            mdb_stat(access.handle, database.handle, &statistics),
            "counting the entries of the database \"\(database.name)\"", path: access.path)
        return Int(statistics.ms_entries)
    }

    /// Runs `body` with one entry after the other until it returns `false` or none is left.
    ///
    /// The bytes are valid until `body` returns. In a write transaction `body` must not change `database`.
    ///
    /// - Complexity: O(log *n*) to find the start, then O(1) an entry; nothing is allocated for an entry.
    package func scan(
        _ database: Database, from start: CursorStart, direction: ScanDirection = .forwards,
        _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws(StorageError) -> Bool
    ) throws(StorageError) {
        let access = self.access
        let cursor = try Cursor(access, database)
        var found = try cursor.move(to: start)
        let step = direction == .forwards ? MDB_NEXT : MDB_PREV
        while let entry = found {
            guard try body(entry.key, entry.value) else { return }
            found = try cursor.move(step)
        }
    }
}
