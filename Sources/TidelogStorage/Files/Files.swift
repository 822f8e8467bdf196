import Glibc

/// The calls on files and directories that the storage layer makes: each follows no symbolic link at the
/// end of a path, sets close-on-exec, goes on after a signal, and turns `errno` into a ``StorageError``.
package enum Files {
    /// The path without symbolic links; the path itself where nothing stands there yet.
    package static func resolved(_ path: String) -> String {
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// Creates the directory, its parent being there, unless it is there already.
    ///
    /// - Returns: whether it was created now.
    /// - Throws: ``StorageError`` with code `alreadyExists` if something else stands there, `permission` if a
    ///   symbolic link does.
    @discardableResult
    package static func createDirectory(_ path: String, mode: UInt32 = 0o700) throws(StorageError) -> Bool {
        if mkdir(path, mode) == 0 { return true }
        let number = errno
        guard number != ENOENT else {
            throw StorageError(
                .notFound,
                "the directory cannot be made, for the one above it is missing; make that one first",
                number: number, path: path)
        }
        guard number == EEXIST else { throw .system(number, doing: "creating the directory", path: path) }
        switch try Self.kind(path) {
        case .directory: return false
        case .symbolicLink: throw .system(ELOOP, doing: "creating the directory", path: path)
        default:
            throw StorageError(
                .alreadyExists, "something that is no directory stands where one should be", path: path)
        }
    }

    /// What stands under `path`; nil if nothing does.
    package static func kind(_ path: String) throws(StorageError) -> FileKind? {
        var status = stat()
        if lstat(path, &status) == 0 { return FileKind(mode: status.st_mode) }
        let number = errno
        if number == ENOENT { return nil }
        throw .system(number, doing: "looking at the file", path: path)
    }

    /// Whether anything stands under `path`, a dangling symbolic link included.
    package static func exists(_ path: String) throws(StorageError) -> Bool {
        try Self.kind(path) != nil
    }

    /// What the system says about what stands under `path`, itself and not what a link points to.
    package static func status(_ path: String) throws(StorageError) -> FileStatus {
        var status = stat()
        try retrying("looking at the file", path: path) { lstat(path, &status) }
        return FileStatus(status)
    }

    /// What the system says about an open file.
    package static func status(descriptor: Int32, path: String? = nil) throws(StorageError) -> FileStatus {
        var status = stat()
        try retrying("looking at the open file", path: path) { fstat(descriptor, &status) }
        return FileStatus(status)
    }

    /// The length in bytes of the file under `path`.
    package static func size(_ path: String) throws(StorageError) -> Int {
        try Self.status(path).size
    }

    /// Opens a file for reading.
    ///
    /// - Throws: ``StorageError`` with code `notFound`, `permission` (also for a symbolic link), or
    ///   `unsupportedFormat` if it is no regular file.
    package static func openReadOnlyNoFollow(_ path: String) throws(StorageError) -> FileDescriptor {
        try Self.open(path, flags: O_RDONLY)
    }

    /// Opens a file with `flags` of `open(2)`, to which no-follow and close-on-exec are added.
    ///
    /// - Throws: as ``openReadOnlyNoFollow(_:)``; `alreadyExists` if `flags` ask for a new file.
    package static func open(
        _ path: String, flags: Int32, mode: UInt32 = 0o600
    ) throws(StorageError) -> FileDescriptor {
        // Without O_NONBLOCK, opening a pipe would wait for its other end.
        let number = try retrying("opening the file", path: path) {
            Glibc.open(path, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, mode)
        }
        let descriptor = FileDescriptor(owning: number)
        let kind = try Self.status(descriptor: number, path: path).kind
        guard kind == .file else {
            throw StorageError(.unsupportedFormat, "this is no regular file", path: path)
        }
        return descriptor
    }

    /// Renames a file, replacing what stands under the new name in one step.
    ///
    /// It is durable once the directory has been synced: ``syncDirectory(_:)``.
    package static func rename(_ path: String, to newPath: String) throws(StorageError) {
        try retrying("renaming the file to \(newPath)", path: path) { Glibc.rename(path, newPath) }
    }

    /// Removes a file's name.
    ///
    /// - Parameter ignoringMissing: whether a name that is not there is fine.
    /// - Returns: whether there was one.
    @discardableResult
    package static func unlink(_ path: String, ignoringMissing: Bool = false) throws(StorageError) -> Bool {
        if Glibc.unlink(path) == 0 { return true }
        let number = errno
        if ignoringMissing && number == ENOENT { return false }
        throw .system(number, doing: "removing the file", path: path)
    }

    /// Removes an empty directory.
    package static func removeDirectory(_ path: String) throws(StorageError) {
        try retrying("removing the directory", path: path) { rmdir(path) }
    }

    /// Sets the permission bits of an open file.
    package static func setMode(
        descriptor: Int32, _ mode: UInt32, path: String? = nil
    ) throws(StorageError) {
        try retrying("setting the file's mode", path: path) { fchmod(descriptor, mode) }
    }

    /// The names in a directory, without "." and "..", sorted by their bytes.
    ///
    /// A name that is not UTF-8 is given with U+FFFD in place of what is not.
    package static func list(_ path: String) throws(StorageError) -> [String] {
        let descriptor = try Self.openDirectory(path)
        // `closedir` closes the descriptor that it was given, so it gets one of its own.
        let number = try retrying("reading the directory", path: path) {
            fcntl(descriptor.number, F_DUPFD_CLOEXEC, 0)
        }
        guard let stream = fdopendir(number) else {
            let failure = errno
            close(number)
            throw .system(failure, doing: "reading the directory", path: path)
        }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw .system(errno, doing: "reading the directory", path: path) }
                break
            }
            let name = withUnsafePointer(to: &entry.pointee.d_name) { name in
                name.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        names.sort()
        return names
    }

    static func openDirectory(_ path: String) throws(StorageError) -> FileDescriptor {
        FileDescriptor(
            owning: try retrying("opening the directory", path: path) {
                Glibc.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            })
    }
}
