import CTidelogLMDB
import Glibc

extension StorageError {
    /// The error for a number that LMDB returned: one of its own, or an `errno`.
    ///
    /// - Parameters:
    ///   - number: what the call returned, not 0.
    ///   - doing: what was being done, as in "beginning a write transaction".
    ///   - path: the environment's file.
    static func lmdb(_ number: Int32, doing: String, path: String? = nil) -> StorageError {
        if number > 0 { return .system(number, doing: doing, path: path) }
        let code: Code
        let advice: String
        switch number {
        case MDB_NOTFOUND:
            code = .notFound
            advice = ""
        case MDB_KEYEXIST:
            code = .alreadyExists
            advice = ""
        case MDB_PAGE_NOTFOUND, MDB_CORRUPTED, MDB_CURSOR_FULL, MDB_PAGE_FULL:
            code = .corrupted
            advice = "; verify the log and repair it"
        case MDB_PANIC:
            code = .poisoned
            advice = "; an update of the meta page failed, so what is durable is unknown: close and reopen"
        case MDB_VERSION_MISMATCH, MDB_INVALID, MDB_INCOMPATIBLE:
            code = .unsupportedFormat
            advice = "; the file is of another kind or of another version"
        case MDB_MAP_FULL:
            code = .mapFull
            advice = "; open it with a larger map, or seal and remove what is old"
        case MDB_READERS_FULL:
            code = .readersFull
            advice = "; end some readers, or open it with more reader slots"
        case MDB_DBS_FULL, MDB_TXN_FULL:
            code = .limitExceeded
            advice = ""
        case MDB_MAP_RESIZED:
            code = .poisoned
            advice = "; another process let the file grow beyond this one's map: reopen with a larger map"
        case MDB_BAD_VALSIZE:
            code = .invalidArgument
            advice = "; the key or the value has a length that LMDB does not take"
        default:
            code = .library
            advice = ""
        }
        let meaning = String(cString: mdb_strerror(number))
        return StorageError(code, "\(doing) failed: \(meaning)\(advice)", number: number, path: path)
    }
}

/// Throws the error for `number` unless it is 0.
@inline(__always)
func checkLMDB(
    _ number: Int32, _ doing: @autoclosure () -> String, path: @autoclosure () -> String? = nil
) throws(StorageError) {
    if number != MDB_SUCCESS { throw .lmdb(number, doing: doing(), path: path()) }
}
