import CTidelogZstd

/// Decompresses frames of zstd into buffers of exactly the size expected: a small frame that would become a
/// huge one is refused before a byte of it is decompressed.
///
/// It keeps its context from one to the next, so each thread has one of its own.
package final class Decompressor {
    private let context: OpaquePointer

    package init() {
        guard let context = ZSTD_createDCtx() else {
            preconditionFailure("there is no memory for a decompression context")
        }
        self.context = context
    }

    deinit {
        ZSTD_freeDCtx(self.context)
    }

    /// The size that `source`, one frame, says it decompresses to; trust it only after a check of your own.
    ///
    /// - Throws: ``StorageError`` with code `corrupted` if the frame does not say it, or is none.
    package static func contentSize(_ source: UnsafeRawBufferPointer) throws(StorageError) -> UInt64 {
        let size = ZSTD_getFrameContentSize(source.baseAddress, source.count)
        if size == tidelog_zstd_content_size_unknown {
            throw StorageError(.corrupted, "a compressed frame does not tell its size")
        }
        if size == tidelog_zstd_content_size_error {
            throw StorageError(.corrupted, "\(source.count) bytes are no compressed frame")
        }
        return UInt64(size)
    }

    /// Decompresses `source`, one frame and nothing after it, into all of `destination`.
    ///
    /// - Parameters:
    ///   - destination: a buffer of exactly the size that the caller knows from a checked source.
    ///   - dictionary: the dictionary that the frame refers to; nil if it refers to none.
    /// - Throws: ``StorageError`` with code `corrupted` if the frame is damaged, has another size, or was
    ///   compressed with another dictionary; what `destination` holds then is of no use.
    package func decompress(
        _ source: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer,
        dictionary: CompressionDictionary? = nil
    ) throws(StorageError) {
        let size = try Self.contentSize(source)
        guard size == UInt64(destination.count) else {
            throw StorageError(
                .corrupted,
                "a compressed frame says it holds \(size) bytes where \(destination.count) should be")
        }
        let wanted = ZSTD_getDictID_fromFrame(source.baseAddress, source.count)
        guard wanted == dictionary?.id ?? 0 else {
            throw StorageError(
                .corrupted,
                "a compressed frame needs the dictionary \(wanted), not \(dictionary?.id ?? 0) (0 is none)")
        }
        let frame = ZSTD_findFrameCompressedSize(source.baseAddress, source.count)
        guard try checkZstd(frame, "looking at a compressed frame") == source.count else {
            throw StorageError(
                .corrupted, "a compressed frame ends after \(frame) of \(source.count) bytes")
        }
        let result: Int
        if let dictionary {
            result = ZSTD_decompress_usingDDict(
                self.context, destination.baseAddress, destination.count, source.baseAddress, source.count,
                dictionary.prepared.forDecompression)
        } else {
            result = ZSTD_decompressDCtx(
                self.context, destination.baseAddress, destination.count, source.baseAddress, source.count)
        }
        guard try checkZstd(result, "decompressing \(source.count) bytes") == destination.count else {
            throw StorageError(.corrupted, "a compressed frame decompressed to \(result) bytes, not \(size)")
        }
    }
}
