import Glibc

/// Keeps everybody else away from a log while it is repaired.
struct RepairGuard: ~Copyable {
    private let opening: FileLock
    private let maintenance: FileLock

    /// - Throws: ``StorageError`` with code `locked` if anybody has the log open, in this process or another.
    init(_ directory: String) throws(StorageError) {
        let head = directory + "/" + Head.Names.head
        // Before any file of the log is opened: closing one would take this process's own locks away.
        if try Files.kind(head) == .file {
            let identity = try Files.status(head).identity
            guard !EnvironmentRegistry.withOpen({ $0.contains(identity) }) else {
                throw StorageError(
                    .locked, "this process has the log open; close it before repairing it", path: directory)
            }
        }
        let opening = try FileLock(directory + "/" + Head.Names.openLock, .exclusive)
        let maintenance = try FileLock(directory + "/" + Head.Names.maintenanceLock, .exclusive)
        if let process = try Self.user(of: head + "-lock") {
            throw StorageError(
                .locked, "process \(process) has the log open; end it before repairing the log",
                path: directory)
        }
        self.opening = opening
        self.maintenance = maintenance
    }

    /// Lets others in again; until here they are kept away.
    consuming func release() {}

    /// A process that has the environment open: each keeps a shared lock on the first byte of the lock file.
    private static func user(of lockPath: String) throws(StorageError) -> pid_t? {
        guard try Files.kind(lockPath) == .file else { return nil }
        let descriptor = try Files.openReadOnlyNoFollow(lockPath)
        var lock = Glibc.flock()
        lock.l_type = Int16(F_WRLCK)
        lock.l_whence = Int16(SEEK_SET)
        lock.l_start = 0
        lock.l_len = 1
        let number = descriptor.number
        try retrying("asking for locks", path: lockPath) { fcntl(number, F_GETLK, &lock) }
        descriptor.close()
        return lock.l_type == Int16(F_UNLCK) ? nil : lock.l_pid
    }
}
