import Glibc

extension Files {
    /// Makes a directory's names durable: what was created, renamed or removed in it.
    package static func syncDirectory(_ path: String) throws(StorageError) {
        let descriptor = try Self.openDirectory(path)
        try retrying("syncing the directory", path: path) { fsync(descriptor.number) }
    }

    /// Makes a file's contents and length durable.
    ///
    /// After a failure the system may have thrown the unwritten bytes away: a second try proves nothing.
    package static func syncFile(descriptor: Int32, path: String? = nil) throws(StorageError) {
        try retrying("syncing the file", path: path) { fsync(descriptor) }
    }

    /// Fills `buffer` with the file's bytes from `offset` on.
    ///
    /// - Returns: how many bytes were read: fewer than asked for only at the end of the file.
    package static func read(
        descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer, offset: Int, path: String? = nil
    ) throws(StorageError) -> Int {
        var done = 0
        while done < buffer.count {
            let count = try retrying("reading the file", path: path) {
                pread(descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done, offset + done)
            }
            if count == 0 { break }
            done += count
        }
        return done
    }

    /// Writes all of `bytes` at the descriptor's present offset.
    package static func write(
        descriptor: Int32, _ bytes: UnsafeRawBufferPointer, path: String? = nil
    ) throws(StorageError) {
        var done = 0
        while done < bytes.count {
            done += try retrying("writing the file", path: path) {
                Glibc.write(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
            }
        }
    }

    /// The contents of a file of at most `maximumBytes`.
    ///
    /// - Throws: ``StorageError`` with code `limitExceeded` if it is longer.
    package static func contents(
        _ path: String, maximumBytes: Int = 1 << 20
    ) throws(StorageError) -> [UInt8] {
        let descriptor = try Self.openReadOnlyNoFollow(path)
        let size = try Self.status(descriptor: descriptor.number, path: path).size
        guard size <= maximumBytes else {
            throw StorageError(
                .limitExceeded, "the file has \(size) bytes, over the \(maximumBytes) expected at most",
                path: path)
        }
        var bytes = [UInt8](repeating: 0, count: size)
        var span = bytes.mutableSpan
        let count = try span.withUnsafeMutableBytes { buffer throws(StorageError) in
            try Self.read(descriptor: descriptor.number, into: buffer, offset: 0, path: path)
        }
        bytes.removeLast(size - count)
        return bytes
    }

    /// Puts `bytes` under `path` so that after a crash there is either the old file or the new one, whole.
    ///
    /// It writes `path.tmp`, syncs it, renames it over `path`, and syncs the directory.
    package static func writeAtomically(
        _ bytes: [UInt8], to path: String, mode: UInt32 = 0o600
    ) throws(StorageError) {
        let temporary = path + ".tmp"
        try Self.unlink(temporary, ignoringMissing: true)
        do throws(StorageError) {
            let descriptor = try Self.open(temporary, flags: O_WRONLY | O_CREAT | O_EXCL, mode: mode)
            try bytes.span.bytes.withUnsafeBytes { buffer throws(StorageError) in
                try Self.write(descriptor: descriptor.number, buffer, path: temporary)
            }
            try Self.syncFile(descriptor: descriptor.number, path: temporary)
            try Self.rename(temporary, to: path)
        } catch {
            _ = Glibc.unlink(temporary)
            throw error
        }
        try Self.syncDirectory(Self.directory(of: path))
    }

    /// The XXH64, seed 0, of the first `length` bytes of an open file; its offset is left alone.
    ///
    /// - Throws: ``StorageError`` with code `corrupted` if the file is shorter.
    /// - Complexity: O(`length`), in pieces of 1 MiB.
    package static func digest(
        descriptor: Int32, length: Int, path: String? = nil
    ) throws(StorageError) -> UInt64 {
        let piece = min(max(length, 1), 1 << 20)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: piece, alignment: 64)
        defer { buffer.deallocate() }
        var stream = XXH64Stream()
        var offset = 0
        while offset < length {
            let wanted = UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(piece, length - offset)])
            let count = try Self.read(descriptor: descriptor, into: wanted, offset: offset, path: path)
            guard count == wanted.count else {
                throw StorageError(
                    .corrupted, "the file ends after \(offset + count) of \(length) bytes", path: path)
            }
            stream.update(UnsafeRawBufferPointer(wanted))
            offset += count
        }
        return stream.finish()
    }

    /// Reserves disk blocks for `length` bytes from `offset` on, lengthening the file where it ends earlier.
    ///
    /// - Throws: ``StorageError`` with code `diskFull` if there is no room; nothing is reserved then.
    package static func preallocate(
        descriptor: Int32, offset: Int, length: Int, path: String? = nil
    ) throws(StorageError) {
        guard length > 0 else { return }
        var number: Int32
        repeat {
            number = posix_fallocate(descriptor, off_t(offset), off_t(length))
        } while number == EINTR
        guard number == 0 else {
            throw .system(number, doing: "reserving \(length) bytes of disk", path: path)
        }
    }

    /// Cuts or lengthens an open file to `length` bytes.
    package static func truncate(
        descriptor: Int32, length: Int, path: String? = nil
    ) throws(StorageError) {
        try retrying("setting the file's length", path: path) { ftruncate(descriptor, off_t(length)) }
    }

    /// The directory part of a path: "." if it has none.
    package static func directory(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
