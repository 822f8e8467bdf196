import Glibc

/// Copies files, checking on the way that they are what they should be.
struct FileCopy {
    /// Told how many bytes were copied, piece by piece; an error ends the copy.
    var progress: (_ file: String, _ bytes: Int) throws(StorageError) -> Void

    /// Copies a file and checks its length and digest while copying.
    ///
    /// The copy is synced; its name is made durable by syncing its directory.
    ///
    /// - Parameters:
    ///   - name: what to call the file in messages, relative to the log or backup.
    ///   - target: must not exist.
    /// - Throws: ``StorageError`` with code `corrupted` that names `source` if it is not what it should be.
    func copy(
        _ source: String, _ expected: BackupManifest.File, name: String, to target: String, mode: UInt32
    ) throws(StorageError) {
        let reading = try Files.openReadOnlyNoFollow(source)
        let size = try Files.status(descriptor: reading.number, path: source).size
        guard size == expected.bytes else {
            throw StorageError(
                .corrupted, "\(name) has \(size) bytes and should have \(expected.bytes)", path: source)
        }
        let writing = try Files.open(target, flags: O_WRONLY | O_CREAT | O_EXCL, mode: mode)
        var stream = XXH64Stream()
        var buffer = [UInt8](repeating: 0, count: min(max(size, 1), 1 << 20))
        var offset = 0
        while offset < size {
            let wanted = min(buffer.count, size - offset)
            var span = buffer.mutableSpan
            let count = try span.withUnsafeMutableBytes { bytes throws(StorageError) in
                let piece = UnsafeMutableRawBufferPointer(rebasing: bytes[..<wanted])
                let count = try Files.read(
                    descriptor: reading.number, into: piece, offset: offset, path: source)
                let filled = UnsafeRawBufferPointer(rebasing: piece[..<count])
                stream.update(filled)
                try Files.write(descriptor: writing.number, filled, path: target)
                return count
            }
            guard count == wanted else {
                throw StorageError(.corrupted, "\(name) became shorter while it was copied", path: source)
            }
            offset += count
            try self.progress(name, count)
        }
        guard stream.finish() == expected.digest else {
            throw StorageError(
                .corrupted,
                "\(name) does not have the digest that it should have: it was damaged or replaced",
                path: source)
        }
        try Files.syncFile(descriptor: writing.number, path: target)
        reading.close()
        writing.close()
    }
}
