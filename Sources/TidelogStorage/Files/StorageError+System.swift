import Glibc

extension StorageError {
    /// The error for an operating system's `errno`.
    ///
    /// - Parameters:
    ///   - number: the value of `errno` right after the call that failed.
    ///   - doing: what was being done, as in "rename head.tmp".
    ///   - path: the file or directory concerned.
    static func system(_ number: Int32, doing: String, path: String? = nil) -> StorageError {
        let code: Code
        let advice: String
        switch number {
        case ENOSPC, EDQUOT, EFBIG:
            code = .diskFull
            advice = "; make room, or raise the quota or the file-size limit"
        case EACCES, EPERM, EROFS:
            code = .permission
            advice = "; check the owner and mode of the file and its directory"
        case ENOENT:
            code = .notFound
            advice = ""
        case EEXIST, ENOTEMPTY:
            code = .alreadyExists
            advice = ""
        case ELOOP:
            code = .permission
            advice = "; a symbolic link stands where a file should be, and links are not followed"
        case EWOULDBLOCK:
            code = .locked
            advice = "; another process or part of this one holds it"
        case EINVAL, ENAMETOOLONG, ENOTDIR, EISDIR, EBADF:
            code = .invalidArgument
            advice = ""
        case EMFILE, ENFILE, ENOMEM, EAGAIN:
            code = .limitExceeded
            advice = "; the process or the system has no more of it to give"
        default:
            code = .inputOutput
            advice = ""
        }
        let meaning = String(cString: strerror(number))
        return StorageError(
            code, "\(doing) failed: \(meaning)\(advice)", number: number, path: path)
    }
}

/// Calls `body` again while a signal interrupts it.
///
/// - Returns: what `body` returned, not negative.
/// - Throws: the error for `errno`, when `body` returned a negative number.
@discardableResult
@inline(__always)
func retrying<Number: SignedInteger>(
    _ doing: @autoclosure () -> String, path: @autoclosure () -> String? = nil, _ body: () -> Number
) throws(StorageError) -> Number {
    while true {
        let result = body()
        if result >= 0 { return result }
        let number = errno
        if number != EINTR { throw .system(number, doing: doing(), path: path()) }
    }
}
