import CTidelogZstd

/// A dictionary trained by zstd, ready for compressing and decompressing, shared by any number of threads.
///
/// zstd decompresses with a wrong dictionary into wrong bytes without an error, so that ``hash`` is stored
/// beside what was compressed, and checked.
package final class CompressionDictionary: Sendable {
    /// The number that zstd gave it and writes into each frame; never 0.
    package let id: UInt32
    /// The dictionary as it is stored.
    package let bytes: [UInt8]
    /// The XXH64 of ``bytes``, seed 0.
    package let hash: UInt64
    /// The level that it compresses with.
    package let level: Int32
    // SAFETY: zstd changes neither after its creation and allows sharing; freed once, in `deinit`.
    nonisolated(unsafe) let prepared: (forCompression: OpaquePointer?, forDecompression: OpaquePointer)

    /// Prepares `bytes` for use.
    ///
    /// - Parameters:
    ///   - level: what it compresses with; decompressing does not depend on it.
    ///   - expectedHash: the hash that was stored with it, if one was.
    ///   - isForReading: whether it will only decompress, which is prepared much quicker.
    /// - Throws: ``StorageError`` with code `corrupted` if `bytes` are no dictionary of zstd or do not have
    ///   the expected hash.
    package init(
        bytes: [UInt8], level: Int32, expectedHash: UInt64? = nil, isForReading: Bool = false
    ) throws(StorageError) {
        let hash = bytes.withUnsafeBytes { XXH64.hash($0) }
        if let expectedHash, expectedHash != hash {
            throw StorageError(.corrupted, "a compression dictionary does not have the hash stored with it")
        }
        let id = bytes.withUnsafeBytes { ZSTD_getDictID_fromDict($0.baseAddress, $0.count) }
        guard id != 0 else {
            throw StorageError(.corrupted, "\(bytes.count) bytes given as a dictionary of zstd are none")
        }
        let decompression = bytes.withUnsafeBytes { ZSTD_createDDict($0.baseAddress, $0.count) }
        guard let decompression else {
            throw StorageError(.corrupted, "the compression dictionary \(id) is damaged")
        }
        let compression =
            isForReading
            ? nil : bytes.withUnsafeBytes { ZSTD_createCDict($0.baseAddress, $0.count, level) }
        guard isForReading || compression != nil else {
            ZSTD_freeDDict(decompression)
            throw StorageError(.corrupted, "the compression dictionary \(id) is damaged")
        }
        self.id = id
        self.bytes = bytes
        self.hash = hash
        self.level = level
        self.prepared = (compression, decompression)
    }

    deinit {
        ZSTD_freeCDict(self.prepared.forCompression)
        ZSTD_freeDDict(self.prepared.forDecompression)
    }

    /// Makes a dictionary out of samples of what is to be compressed.
    ///
    /// - Parameters:
    ///   - samples: the samples, one after the other.
    ///   - sampleSizes: the size of each.
    ///   - capacity: how large the dictionary may become, in bytes; about a hundredth of the samples is wise.
    /// - Throws: ``StorageError`` with code `invalidArgument` if there are too few samples to learn from.
    package static func train(
        samples: [UInt8], sampleSizes: [Int], capacity: Int
    ) throws(StorageError) -> [UInt8] {
        var total = 0
        for size in sampleSizes {
            let sum = total.addingReportingOverflow(size)
            guard size >= 0, !sum.overflow, sum.partialValue <= samples.count else {
                throw StorageError(.invalidArgument, "the sizes of the samples exceed the samples")
            }
            total = sum.partialValue
        }
        guard !sampleSizes.isEmpty, capacity >= 256, capacity <= 16 << 20 else {
            throw StorageError(
                .invalidArgument, "a dictionary of \(capacity) bytes from \(sampleSizes.count) samples")
        }
        var dictionary = [UInt8](repeating: 0, count: capacity)
        let result = dictionary.withUnsafeMutableBytes { buffer in
            ZDICT_trainFromBuffer(
                buffer.baseAddress, buffer.count, samples, sampleSizes, UInt32(sampleSizes.count))
        }
        guard ZDICT_isError(result) == 0 else {
            let meaning = String(cString: ZDICT_getErrorName(result))
            throw StorageError(
                .invalidArgument,
                "training a dictionary of \(capacity) bytes on \(sampleSizes.count) samples of \(total) "
                    + "bytes failed: \(meaning)",
                number: Int32(truncatingIfNeeded: ZSTD_getErrorCode(result).rawValue))
        }
        dictionary.removeLast(capacity - result)
        return dictionary
    }
}
