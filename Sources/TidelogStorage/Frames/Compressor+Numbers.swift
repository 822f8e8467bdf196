extension Compressor {
    /// Compresses `source` to the end of `target`.
    ///
    /// No checksum of zstd's own: the frame has one over what this writes, and checks it before it
    /// decompresses.
    ///
    /// - Returns: how many bytes were added.
    func append(
        _ source: UnsafeRawBufferPointer, to target: inout Numbers<UInt8>
    ) throws(StorageError) -> Int {
        let start = target.count
        let bound = Self.bound(source.count)
        target.reserve(start + bound)
        let room = UnsafeMutableRawBufferPointer(start: target.base + start, count: bound)
        let count = try self.compress(source, into: room, checksum: false)
        target.count = start + count
        return count
    }
}
