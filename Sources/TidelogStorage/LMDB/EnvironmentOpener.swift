// Opening an environment: everything that is checked before LMDB maps the file, and the opening itself.
import CTidelogLMDB
import Glibc

/// Opens one environment; used once.
struct EnvironmentOpener {
    struct Opened {
        let handle: OpaquePointer
        let identity: FileIdentity
        let descriptor: Int32
        let pageSizeBytes: Int
    }

    private struct Checked {
        let identity: FileIdentity
        let isNew: Bool
        let size: Int
    }

    private struct File: ~Copyable {
        let descriptor: FileDescriptor
        let isNew: Bool
    }

    let path: String
    let options: Environment.Options

    private var isDescriptorPath: Bool { self.path.hasPrefix("/proc/self/fd/") }

    /// Opens the environment and enters its file into the registry.
    func open() throws(StorageError) -> Opened {
        try EnvironmentRegistry.withOpen { open throws(StorageError) in
            let checked = try self.check(alreadyOpen: open)
            do throws(StorageError) {
                let handle = try self.openHandle(checked)
                do throws(StorageError) {
                    let opened = try self.describe(handle, checked)
                    open.insert(checked.identity)
                    return opened
                } catch {
                    mdb_env_close(handle)
                    throw error
                }
            } catch {
                if checked.isNew { _ = Glibc.unlink(self.path) }
                throw error
            }
        }
    }

    // MARK: - Before mapping

    /// Looks at the file through a descriptor of our own, which is safe to close: LMDB's record locks are on
    /// the lock file alone.
    private func check(alreadyOpen: Set<FileIdentity>) throws(StorageError) -> Checked {
        if !self.options.noLock { try self.checkLockFile() }
        let file = try self.openFile()
        do throws(StorageError) {
            let status = try Files.status(descriptor: file.descriptor.number, path: self.path)
            guard !alreadyOpen.contains(status.identity) else {
                throw StorageError(
                    .locked, "this process has the file open already; share that environment", path: self.path
                )
            }
            if !self.options.noLock {
                try Files.refuseNetworkFileSystem(
                    descriptor: file.descriptor.number, path: self.path,
                    allowingUserSpace: self.options.allowUserSpaceFileSystem)
            }
            if status.size == 0 {
                guard !self.options.readOnly && !self.options.mustExist else {
                    throw StorageError(.corrupted, "the file is empty", path: self.path)
                }
            } else {
                try FileLengthCheck(descriptor: file.descriptor.number, path: self.path).run()
            }
            return Checked(identity: status.identity, isNew: file.isNew, size: status.size)
        } catch {
            if file.isNew { _ = Glibc.unlink(self.path) }
            throw error
        }
    }

    private func openFile() throws(StorageError) -> File {
        if self.isDescriptorPath {
            guard self.options.readOnly && self.options.noLock else {
                throw StorageError(
                    .invalidArgument, "an environment behind a descriptor is read-only and without locks",
                    path: self.path)
            }
            let number = try retrying("opening the file", path: self.path) {
                Glibc.open(self.path, O_RDONLY | O_CLOEXEC)
            }
            return File(descriptor: FileDescriptor(owning: number), isNew: false)
        }
        // For writing, so that a file system with layers copies the file up before its identity is taken.
        let flags = self.options.readOnly ? O_RDONLY : O_RDWR
        let mayCreate = !self.options.readOnly && !self.options.mustExist
        do throws(StorageError) {
            return File(descriptor: try Files.open(self.path, flags: flags), isNew: false)
        } catch  where error.code == .notFound && mayCreate {
            let descriptor = try Files.open(
                self.path, flags: O_RDWR | O_CREAT | O_EXCL, mode: self.options.fileMode)
            return File(descriptor: descriptor, isNew: true)
        }
    }

    private func checkLockFile() throws(StorageError) {
        let lockPath = self.path + "-lock"
        switch try Files.kind(lockPath) {
        case nil, .file: return
        case .symbolicLink: throw .system(ELOOP, doing: "opening the lock file", path: lockPath)
        default:
            throw StorageError(
                .unsupportedFormat, "something else stands where the lock file should be", path: lockPath)
        }
    }

    // MARK: - Opening

    private func openHandle(_ checked: Checked) throws(StorageError) -> OpaquePointer {
        var created: OpaquePointer?
        let status = mdb_env_create(&created)
        guard status == MDB_SUCCESS, let handle = created else {
            throw .lmdb(status, doing: "creating an environment", path: self.path)
        }
        do throws(StorageError) {
            let mapSize =
                self.options.mapSizeBytes > 0 ? self.options.mapSizeBytes : max(checked.size, 4096)
            try checkLMDB(
                mdb_env_set_mapsize(handle, mapSize), "setting the map size to \(mapSize) bytes",
                path: self.path)
            try checkLMDB(
                mdb_env_set_maxdbs(handle, self.options.maxDatabases), "setting the number of databases",
                path: self.path)
            try checkLMDB(
                mdb_env_set_maxreaders(handle, self.options.maxReaders), "setting the number of readers",
                path: self.path)
            try checkLMDB(
                mdb_env_open(handle, self.path, self.flags, mdb_mode_t(self.options.fileMode)),
                "opening the environment", path: self.path)
            return handle
        } catch {
            mdb_env_close(handle)
            throw error
        }
    }

    private var flags: UInt32 {
        var flags = MDB_NOSUBDIR | MDB_NOTLS
        if self.options.readOnly { flags |= MDB_RDONLY }
        if self.options.noLock { flags |= MDB_NOLOCK }
        if self.options.noReadAhead { flags |= MDB_NORDAHEAD }
        if self.options.noSync { flags |= MDB_NOSYNC }
        return UInt32(flags)
    }

    private func describe(_ handle: OpaquePointer, _ checked: Checked) throws(StorageError) -> Opened {
        var descriptor: mdb_filehandle_t = -1
        try checkLMDB(
            mdb_env_get_fd(handle, &descriptor), "asking for the file's descriptor", path: self.path)
        let identity = try Files.status(descriptor: descriptor, path: self.path).identity
        guard identity == checked.identity else {
            throw StorageError(
                .inputOutput, "another file took this one's place while it was opened; try again",
                path: self.path)
        }
        try self.closeOnExec(descriptor, identity)
        var statistics = MDB_stat()
        try checkLMDB(mdb_env_stat(handle, &statistics), "asking for the page size", path: self.path)
        return Opened(
            handle: handle, identity: identity, descriptor: descriptor,
            pageSizeBytes: Int(statistics.ms_psize))
    }

    /// Keeps programs that the app starts from inheriting the file: LMDB 0.9.24 does so for its lock file alone.
    ///
    /// For writing, LMDB has a second descriptor of which it does not tell; it is found by its inode.
    private func closeOnExec(_ descriptor: Int32, _ identity: FileIdentity) throws(StorageError) {
        var descriptors = [descriptor]
        if !self.options.readOnly {
            descriptors += try Files.list("/proc/self/fd").compactMap { Int32($0) }
        }
        for number in descriptors {
            var status = stat()
            // What is closed meanwhile is none of LMDB's.
            guard fstat(number, &status) == 0, FileIdentity(status) == identity else { continue }
            let flags = fcntl(number, F_GETFD)
            if flags & FD_CLOEXEC == 0 { _ = fcntl(number, F_SETFD, flags | FD_CLOEXEC) }
        }
    }
}
