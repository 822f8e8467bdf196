import Glibc

/// A lock on a file of our own, held until this value ends or the process does, however it dies.
///
/// It is `flock(2)`: it belongs to this value and not to the process, so two of them in one process exclude
/// each other as well. A child made by `fork` shares it until it runs another program.
package struct FileLock: ~Copyable, Sendable {
    /// Who may hold the lock at the same time.
    package enum Mode: Sendable {
        /// Nobody else.
        case exclusive
        /// All who ask for it shared.
        case shared
    }

    private let descriptor: FileDescriptor
    /// The file that carries the lock; it is never removed.
    package let path: String

    /// Takes the lock on `path`, creating the file if it is missing.
    ///
    /// - Parameters:
    ///   - path: a file for this purpose alone, not one that LMDB opens.
    ///   - waiting: whether to wait as long as another holds it; else that is an error at once.
    /// - Throws: ``StorageError`` with code `locked` if another holds it; `permission` also if a symbolic
    ///   link stands there.
    package init(
        _ path: String, _ mode: Mode, waiting: Bool = false, fileMode: UInt32 = 0o600
    ) throws(StorageError) {
        let descriptor = try Files.open(path, flags: O_RDWR | O_CREAT, mode: fileMode)
        let number = descriptor.number
        let operation = (mode == .exclusive ? LOCK_EX : LOCK_SH) | (waiting ? 0 : LOCK_NB)
        try retrying("locking the file", path: path) { flock(number, operation) }
        self.descriptor = descriptor
        self.path = path
    }

    /// Gives the lock up.
    package consuming func release() {}
}
