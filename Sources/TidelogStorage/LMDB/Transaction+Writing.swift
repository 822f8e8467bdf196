import CTidelogLMDB
import Glibc

extension WriteTransaction {
    /// Stores `value` under `key`, replacing what was there.
    ///
    /// - Parameter append: whether `key` is known to be after all others, which is faster.
    /// - Throws: ``StorageError`` with code `mapFull`; `alreadyExists` if `append` was asked for and `key` is
    ///   not after all others; `invalidArgument` for a key that is empty or over 511 bytes.
    @inline(__always)
    package func put(
        _ database: Database, key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer,
        append: Bool = false
    ) throws(StorageError) {
        let access = self.access
        access.require(database, integerKeys: false)
        try access.checkKey(database, key.count)
        var entry = MDB_val(value)
        var key = MDB_val(key)
        try checkLMDB(
            mdb_put(access.handle, database.handle, &key, &entry, append ? UInt32(MDB_APPEND) : 0),
            "writing to the database \"\(database.name)\"", path: access.path)
    }

    /// Stores `value` under `key`, replacing what was there.
    @inline(__always)
    package func put(
        _ database: Database, key: [UInt8], value: UnsafeRawBufferPointer, append: Bool = false
    ) throws(StorageError) {
        let access = self.access
        access.require(database, integerKeys: false)
        try access.checkKey(database, key.count)
        var entry = MDB_val(value)
        let status = key.withUnsafeBytes { bytes in
            var key = MDB_val(bytes)
            return mdb_put(access.handle, database.handle, &key, &entry, append ? UInt32(MDB_APPEND) : 0)
        }
        try checkLMDB(status, "writing to the database \"\(database.name)\"", path: access.path)
    }

    /// Stores `value` under `key` in a database with integer keys, replacing what was there.
    @inline(__always)
    package func put(
        _ database: Database, key: UInt64, value: UnsafeRawBufferPointer, append: Bool = false
    ) throws(StorageError) {
        var entry = MDB_val(value)
        try self.put(database, integer: key, &entry, flags: append ? UInt32(MDB_APPEND) : 0)
    }

    /// Makes room for `count` bytes under `key` and lets `fill` write them in place, without a copy.
    ///
    /// `fill` must write every byte: what it leaves out is whatever the page held before.
    @inline(__always)
    package func reserve(
        _ database: Database, key: UInt64, count: Int, append: Bool,
        _ fill: (UnsafeMutableRawBufferPointer) -> Void
    ) throws(StorageError) {
        var entry = MDB_val(mv_size: count, mv_data: nil)
        try self.put(
            database, integer: key, &entry, flags: UInt32(MDB_RESERVE) | (append ? UInt32(MDB_APPEND) : 0))
        fill(UnsafeMutableRawBufferPointer(start: entry.mv_data, count: count))
    }

    @inline(__always)
    private func put(
        _ database: Database, integer: UInt64, _ entry: inout MDB_val, flags: UInt32
    ) throws(StorageError) {
        let access = self.access
        access.require(database, integerKeys: true)
        var integer = integer
        let status = withUnsafeMutableBytes(of: &integer) { bytes in
            var key = MDB_val(mv_size: bytes.count, mv_data: bytes.baseAddress)
            return mdb_put(access.handle, database.handle, &key, &entry, flags)
        }
        try checkLMDB(status, "writing to the database \"\(database.name)\"", path: access.path)
    }

    /// Deletes the entry under `key`.
    ///
    /// - Returns: whether there was one.
    @discardableResult
    package func delete(_ database: Database, key: UnsafeRawBufferPointer) throws(StorageError) -> Bool {
        let access = self.access
        access.require(database, integerKeys: false)
        try access.checkKey(database, key.count)
        return try self.delete(database, rawKey: key)
    }

    /// Deletes the entry under `key`.
    ///
    /// - Returns: whether there was one.
    @discardableResult
    package func delete(_ database: Database, key: [UInt8]) throws(StorageError) -> Bool {
        let access = self.access
        access.require(database, integerKeys: false)
        try access.checkKey(database, key.count)
        return try key.span.bytes.withUnsafeBytes { bytes throws(StorageError) in
            try self.delete(database, rawKey: bytes)
        }
    }

    /// Deletes the entry under `key` in a database with integer keys.
    ///
    /// - Returns: whether there was one.
    @discardableResult
    package func delete(_ database: Database, key: UInt64) throws(StorageError) -> Bool {
        self.access.require(database, integerKeys: true)
        return try withUnsafeBytes(of: key) { bytes throws(StorageError) in
            try self.delete(database, rawKey: bytes)
        }
    }

    private func delete(
        _ database: Database, rawKey key: UnsafeRawBufferPointer
    ) throws(StorageError) -> Bool {
        let access = self.access
        var key = MDB_val(key)
        let status = mdb_del(access.handle, database.handle, &key, nil)
        if status == MDB_NOTFOUND { return false }
        try checkLMDB(status, "deleting from the database \"\(database.name)\"", path: access.path)
        return true
    }

    /// Deletes entries from `first` up to but not including `bound`, in order.
    ///
    /// - Parameter limit: how many at most: very large deletions make later transactions slower, so delete
    ///   in slices of a few thousand.
    /// - Returns: how many were deleted; fewer than `limit` only if none is left.
    @discardableResult
    package func deleteRange(
        _ database: Database, fromInteger first: UInt64, belowInteger bound: UInt64, limit: Int
    ) throws(StorageError) -> Int {
        try self.deleteRange(database, from: .atOrAfterInteger(first), limit: limit) { key in
            key.integerKey < bound
        }
    }

    /// Deletes entries from `first` up to but not including `bound`, in the order of their bytes.
    ///
    /// - Returns: how many were deleted; fewer than `limit` only if none is left.
    @discardableResult
    package func deleteRange(
        _ database: Database, from first: [UInt8], below bound: [UInt8], limit: Int
    ) throws(StorageError) -> Int {
        try self.deleteRange(database, from: .atOrAfter(first), limit: limit) { key in
            key.lexicographicallyPrecedes(bound)
        }
    }

    private func deleteRange(
        _ database: Database, from start: CursorStart, limit: Int,
        while isInside: (UnsafeRawBufferPointer) -> Bool
    ) throws(StorageError) -> Int {
        guard limit > 0 else { return 0 }
        let cursor = try Cursor(self.access, database)
        var found = try cursor.move(to: start)
        var count = 0
        while let entry = found, count < limit, isInside(entry.key) {
            try cursor.deleteCurrent()
            count += 1
            found = try cursor.move(MDB_NEXT)
        }
        return count
    }
}
