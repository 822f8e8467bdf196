import Glibc

/// Tells the processes that share a log which of them are alive.
///
/// Each holds a POSIX record lock on one byte of the file, at the offset of a number of its own. The kernel
/// drops the lock when the process ends, however it ends, and a child made by `fork` does not inherit it. It
/// would drop it as well if the process closed the file another time: so nothing else may open it.
package final class PresenceFile: Sendable {
    private let descriptor: FileDescriptor
    private let path: String

    /// Opens the file, making it if there is none.
    package init(_ path: String) throws(StorageError) {
        self.path = path
        self.descriptor = try Files.open(path, flags: O_RDWR | O_CREAT, mode: 0o600)
    }

    /// Says that this process is there under `number`, until ``withdraw(_:)`` or its end.
    package func announce(_ number: UInt64) throws(StorageError) {
        var lock = Self.lock(F_WRLCK, number)
        let descriptor = self.descriptor.number
        try retrying("locking a byte of the file", path: self.path) { fcntl(descriptor, F_SETLK, &lock) }
    }

    /// Says that it is no longer there.
    package func withdraw(_ number: UInt64) {
        var lock = Self.lock(F_UNLCK, number)
        _ = fcntl(self.descriptor.number, F_SETLK, &lock)
    }

    /// Whether another process is there under `number`. This process's own numbers look absent.
    package func isPresent(_ number: UInt64) -> Bool {
        var lock = Self.lock(F_WRLCK, number)
        // If the question cannot be asked, the other one is believed to live: its leases run out by time.
        guard fcntl(self.descriptor.number, F_GETLK, &lock) == 0 else { return true }
        return Int32(lock.l_type) != Int32(F_UNLCK)
    }

    private static func lock(_ kind: some BinaryInteger, _ number: UInt64) -> flock {
        var lock = flock()
        lock.l_type = Int16(kind)
        lock.l_whence = Int16(SEEK_SET)
        lock.l_start = off_t(number & 0x3FFF_FFFF_FFFF_FFFF)
        lock.l_len = 1
        return lock
    }
}
