import CTidelogZstd

extension StorageError {
    /// The error for a result of zstd that `ZSTD_isError` is true of.
    static func zstd(_ result: Int, doing: String) -> StorageError {
        let number = ZSTD_getErrorCode(result)
        let code: Code
        switch number {
        case ZSTD_error_prefix_unknown, ZSTD_error_version_unsupported,
            ZSTD_error_frameParameter_unsupported:
            code = .unsupportedFormat
        case ZSTD_error_frameParameter_windowTooLarge, ZSTD_error_memory_allocation:
            code = .limitExceeded
        case ZSTD_error_corruption_detected, ZSTD_error_checksum_wrong, ZSTD_error_dictionary_corrupted,
            ZSTD_error_dictionary_wrong, ZSTD_error_srcSize_wrong, ZSTD_error_dstSize_tooSmall:
            code = .corrupted
        case ZSTD_error_parameter_unsupported, ZSTD_error_parameter_outOfBound:
            code = .invalidArgument
        default:
            code = .library
        }
        let meaning = String(cString: ZSTD_getErrorString(number))
        return StorageError(
            code, "\(doing) failed: \(meaning)", number: Int32(truncatingIfNeeded: number.rawValue))
    }
}

/// Throws the error for `result` if it is one; otherwise gives it back.
@inline(__always)
func checkZstd(_ result: Int, _ doing: @autoclosure () -> String) throws(StorageError) -> Int {
    if ZSTD_isError(result) != 0 { throw .zstd(result, doing: doing()) }
    return result
}

/// The version of zstd that this process runs with.
package enum ZstdVersion {
    /// Major, minor and patch, as in "1.5.4".
    package static var linked: String { String(cString: ZSTD_versionString()) }
}
