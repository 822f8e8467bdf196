import CTidelogZstd

/// Compresses pieces of bytes, each into a zstd frame of its own that carries its size.
///
/// It keeps its context and its buffer from one to the next, so each thread has one of its own.
package final class Compressor {
    private let context: OpaquePointer
    private let dictionary: CompressionDictionary?
    private var buffer: UnsafeMutableRawBufferPointer
    private var writesChecksum = false

    /// - Parameters:
    ///   - level: zstd's level, 1 being fast; with a dictionary the dictionary's level counts.
    ///   - dictionary: what all frames refer to; nil for none.
    /// - Throws: ``StorageError`` with code `invalidArgument` for a level that zstd does not know.
    package init(level: Int32, dictionary: CompressionDictionary? = nil) throws(StorageError) {
        guard level >= ZSTD_minCLevel(), level <= ZSTD_maxCLevel() else {
            throw StorageError(.invalidArgument, "zstd has no compression level \(level)")
        }
        guard let context = ZSTD_createCCtx() else {
            throw StorageError(.limitExceeded, "there is no memory for a compression context")
        }
        self.context = context
        self.dictionary = dictionary
        self.buffer = .allocate(byteCount: 0, alignment: 16)
        _ = try checkZstd(
            ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level), "setting the compression level")
        // The table of level 1 does not fit a processor's first cache; this one does, and finds as much.
        if level == 1, dictionary == nil {
            _ = try checkZstd(
                ZSTD_CCtx_setParameter(context, ZSTD_c_hashLog, 12), "setting the size of the hash table")
        }
        if let dictionary {
            guard dictionary.prepared.forCompression != nil else {
                throw StorageError(.invalidArgument, "the dictionary \(dictionary.id) is for reading only")
            }
            _ = try checkZstd(
                ZSTD_CCtx_refCDict(context, dictionary.prepared.forCompression), "setting the dictionary")
        }
    }

    deinit {
        ZSTD_freeCCtx(self.context)
        self.buffer.deallocate()
    }

    /// The most bytes that `count` bytes can become.
    package static func bound(_ count: Int) -> Int { ZSTD_compressBound(count) }

    /// Compresses `source` into the beginning of `destination`.
    ///
    /// - Parameter checksum: whether zstd adds a checksum of its own; without it, and without one of the
    ///   caller's over the frame, damage goes unseen.
    /// - Returns: how many bytes the frame has.
    /// - Throws: ``StorageError`` with code `limitExceeded` if the frame does not fit.
    package func compress(
        _ source: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer, checksum: Bool
    ) throws(StorageError) -> Int {
        if checksum != self.writesChecksum {
            _ = try checkZstd(
                ZSTD_CCtx_setParameter(self.context, ZSTD_c_checksumFlag, checksum ? 1 : 0),
                "setting the checksum flag")
            self.writesChecksum = checksum
        }
        let result = ZSTD_compress2(
            self.context, destination.baseAddress, destination.count, source.baseAddress, source.count)
        if ZSTD_isError(result) != 0, ZSTD_getErrorCode(result) == ZSTD_error_dstSize_tooSmall {
            throw StorageError(
                .limitExceeded, "\(source.count) bytes do not compress into \(destination.count)",
                number: Int32(truncatingIfNeeded: ZSTD_error_dstSize_tooSmall.rawValue))
        }
        return try checkZstd(result, "compressing \(source.count) bytes")
    }

    /// Compresses `source` and adds the frame to the end of `destination`.
    ///
    /// - Returns: how many bytes the frame has.
    @discardableResult
    package func compress(
        _ source: UnsafeRawBufferPointer, into destination: inout [UInt8], checksum: Bool
    ) throws(StorageError) -> Int {
        let bound = Self.bound(source.count)
        if self.buffer.count < bound {
            self.buffer.deallocate()
            self.buffer = .allocate(byteCount: bound, alignment: 16)
        }
        let count = try self.compress(source, into: self.buffer, checksum: checksum)
        destination.append(contentsOf: UnsafeRawBufferPointer(rebasing: self.buffer[..<count]))
        return count
    }
}
