/// The files that this process has open as environments.
///
/// LMDB forbids opening one file twice in a process: the second close would wipe the first one's reader
/// table, and with it the promise that no page is reused under a reader. Files are told apart by device and
/// inode, so another name or a link for one does not get round it. Opening and closing happen with the
/// registry locked.
enum EnvironmentRegistry {
    static let open = Lock<Set<FileIdentity>>([])
}
