import Glibc

/// The files that this process has open as environments.
///
/// LMDB forbids opening one file twice in a process: the second close would wipe the first one's reader
/// table, and with it the promise that no page is reused under a reader. Files are told apart by device and
/// inode, so another name or a link for one does not get round it. Opening and closing happen with the
/// registry locked. A child made by `fork` starts with none: what it inherited, it cannot use.
enum EnvironmentRegistry {
    private struct Entries {
        var process: pid_t = 0
        var open: Set<FileIdentity> = []
    }

    private static let entries = Lock(Entries())

    /// Runs `body` with the files that are open; nobody opens or closes one meanwhile.
    static func withOpen<Result, Failure: Error>(
        _ body: (inout Set<FileIdentity>) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        try self.entries.withLock { entries throws(Failure) in
            if entries.process != ProcessMark.current {
                entries = Entries(process: ProcessMark.current)
            }
            return try body(&entries.open)
        }
    }
}
