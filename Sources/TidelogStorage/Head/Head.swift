import Glibc

/// The head: the LMDB environment that takes every write.
///
/// Opening follows a protocol that survives a kill at any step: an exclusive lock on a file of our own is
/// held around LMDB's opening (two processes that open at once, the first one killed, would otherwise start
/// from the wrong meta page); a new head is made under a temporary name, committed, closed, renamed, and its
/// directory synced (a crash while LMDB initialises a file leaves an invalid one).
package final class Head: Sendable {
    package let environment: Environment
    package let databases: HeadDatabases
    let options: EngineOptions
    private let path: String
    /// The end of what the file system has set aside for the head's file.
    private let allocatedEnd: Lock<Int>
    /// What is known of other readers since they were looked at last.
    let readers = Lock(ReaderWatch())

    /// Names in a log's directory.
    package enum Names {
        package static let head = "head.mdb"
        package static let temporary = "head.mdb.tmp"
        package static let openLock = "open.lock"
        package static let maintenanceLock = "maintenance.lock"
        package static let segments = "segments"
    }

    private init(directory: String, options: EngineOptions) throws(StorageError) {
        self.path = directory + "/" + Names.head
        self.options = options
        self.environment = try Environment(
            path: self.path, options: Self.environmentOptions(options, readOnly: options.isReadOnly))
        self.allocatedEnd = Lock(try Files.size(self.path))
        do throws(StorageError) {
            self.databases = try HeadDatabases(self.environment, create: false)
        } catch {
            self.environment.close()
            guard error.code == .notFound else { throw error }
            // Not that there is no log: one that is created has them all before it gets its name.
            throw StorageError(
                .corrupted,
                "the log's head lacks a part (\(error.message)); run `tidelog verify`, then `tidelog repair`, or "
                    + "restore a backup",
                number: error.number, path: self.path)
        }
    }

    /// The head's state; what is wrong with it names the head's file.
    func state() throws(StorageError) -> HeadState {
        do throws(StorageError) {
            return try self.environment.read { transaction throws(StorageError) in
                try self.databases.state(in: transaction)
            }
        } catch {
            throw StorageError(error.code, error.message, number: error.number, path: error.path ?? self.path)
        }
    }

    private static func environmentOptions(_ options: EngineOptions, readOnly: Bool) -> Environment.Options {
        var result = Environment.Options()
        result.mapSizeBytes = options.mapSizeBytes
        result.readOnly = readOnly
        return result
    }

    /// Opens the head in `directory`, or creates both.
    static func open(directory: String, options: EngineOptions) throws(StorageError) -> Head {
        if !options.isReadOnly, options.createsIfMissing {
            _ = try Files.createDirectory(directory)
        }
        switch try Files.kind(directory) {
        case .directory: break
        case nil:
            throw StorageError(
                .notFound, "there is no log here; create one first, or check the path", path: directory)
        default:
            throw StorageError(
                .invalidArgument, "a log is a directory, and something else stands here", path: directory)
        }
        if !options.allowsNetworkFileSystem { try Files.refuseNetworkFileSystem(directory) }
        let guardLock = try FileLock(directory + "/" + Names.openLock, .exclusive, waiting: true)
        do throws(StorageError) {
            let head = try self.openGuarded(directory, options)
            guardLock.release()
            return head
        } catch {
            guardLock.release()
            throw error
        }
    }

    /// Opens or creates the head; the caller holds the lock.
    private static func openGuarded(
        _ directory: String, _ options: EngineOptions
    ) throws(StorageError) -> Head {
        try self.requireFile(directory + "/" + Names.head + "-lock", mayBeMissing: true)
        try self.requireDirectory(directory + "/" + Names.segments)
        if try Files.kind(directory + "/" + Names.head) == nil {
            try self.create(directory, options)
        }
        try self.requireFile(directory + "/" + Names.head, mayBeMissing: false)
        guard try Files.size(directory + "/" + Names.head) > 0 else {
            throw StorageError(
                .corrupted, "the log's head is empty; restore a backup, or run `tidelog repair`",
                path: directory + "/" + Names.head)
        }
        let head = try Head(directory: directory, options: options)
        _ = try? head.environment.clearDeadReaders()
        return head
    }

    private static func requireFile(_ path: String, mayBeMissing: Bool) throws(StorageError) {
        switch try Files.kind(path) {
        case .file: return
        case nil where mayBeMissing: return
        case .symbolicLink:
            throw StorageError(
                .permission, "a symbolic link stands where a file of the log belongs; remove it", path: path)
        default:
            throw StorageError(
                .corrupted, "something other than a file stands where a file of the log belongs", path: path)
        }
    }

    /// Requires that a directory stands there, or nothing: files are opened in it by name, and only the last part
    /// of a path is kept from being a link by the system.
    private static func requireDirectory(_ path: String) throws(StorageError) {
        switch try Files.kind(path) {
        case .directory, nil: return
        case .symbolicLink:
            throw StorageError(
                .permission, "a symbolic link stands where a directory of the log belongs; remove it",
                path: path)
        default:
            throw StorageError(
                .corrupted, "something other than a directory stands where one of the log belongs", path: path
            )
        }
    }

    private static func create(_ directory: String, _ options: EngineOptions) throws(StorageError) {
        let segments = directory + "/" + Names.segments
        if options.isReadOnly || !options.createsIfMissing {
            throw StorageError(
                .notFound,
                try Files.exists(segments)
                    ? "the log's head is missing though its segments are there; restore a backup, or run "
                        + "`tidelog repair`"
                    : "there is no log here; create one first, or check the path",
                path: directory)
        }
        if try Files.exists(segments), try !Files.list(segments).isEmpty {
            throw StorageError(
                .corrupted,
                "the log's head is missing though its segments are there; restore a backup, or run "
                    + "`tidelog repair`",
                path: directory)
        }
        _ = try Files.createDirectory(segments)
        let temporary = directory + "/" + Names.temporary
        _ = try Files.unlink(temporary, ignoringMissing: true)
        _ = try Files.unlink(temporary + "-lock", ignoringMissing: true)
        try self.initialize(temporary, options, state: .new(createdAt: currentNanoseconds()))
        _ = try Files.unlink(temporary + "-lock", ignoringMissing: true)
        try Files.rename(temporary, to: directory + "/" + Names.head)
        try Files.syncDirectory(directory)
        try Files.syncDirectory(Files.directory(of: directory))
    }

    /// Makes an empty head at `path`.
    static func initialize(
        _ path: String, _ options: EngineOptions, state: HeadState
    ) throws(StorageError) {
        let environment = try Environment(
            path: path, options: self.environmentOptions(options, readOnly: false))
        defer { environment.close() }
        let databases = try HeadDatabases(environment, create: true)
        let transaction = HeadTransaction(
            transaction: try environment.beginWrite(), databases: databases)
        try transaction.setState(state)
        try transaction.commit(through: .durable)
        try Files.syncFile(descriptor: environment.fileDescriptor, path: path)
    }

    func close() {
        self.environment.close()
    }

    /// The newest commit of any process.
    func newestTransactionID() throws(StorageError) -> UInt64 {
        try self.environment.newestMetaTransactionID()
    }

    func beginWrite() throws(StorageError) -> HeadTransaction {
        self.lookAtReadersNowAndThen()
        return HeadTransaction(
            transaction: try self.environment.beginWrite(), databases: self.databases)
    }

    // MARK: Room

    /// Sees to it that `bytes` of new frames fit into the file and the map, with the reserve still free.
    ///
    /// - Throws: ``StorageError`` with code `diskFull` or `mapFull`. Acknowledgements and retention, and what
    ///   sealing changes in the head, do not ask here, and live on the reserve.
    func ensureRoom(for bytes: Int) throws(StorageError) {
        let info = try self.environment.info()
        let needed = bytes + bytes / 2 + 64 * info.pageSizeBytes
        let end = info.usedBytes + needed + self.options.reserveBytes
        if end > info.mapSizeBytes {
            let free = try self.freeSpace()
            guard free.usableBytes > needed + self.options.reserveBytes else {
                throw StorageError(
                    .mapFull,
                    "the head's map of \(info.mapSizeBytes) bytes is full; seal the active segment, or open "
                        + "the log with a larger map" + free.explanation,
                    path: self.path)
            }
            return
        }
        let allocated = self.allocatedEnd.withLock { $0 }
        guard end > allocated else { return }
        let chunk = min(8 << 20, max(1 << 20, info.usedBytes / 4))
        let target = min((end + chunk - 1) / chunk * chunk, info.mapSizeBytes)
        do throws(StorageError) {
            try Files.preallocate(
                descriptor: self.environment.fileDescriptor, offset: allocated, length: target - allocated,
                path: self.path)
            self.allocatedEnd.withLock { $0 = target }
        } catch {
            guard error.code == .diskFull else { throw error }
            if allocated > info.usedBytes + needed + self.options.reserveBytes { return }
            let free = try self.freeSpace()
            if free.usableBytes > needed + self.options.reserveBytes { return }
            throw StorageError(
                .diskFull,
                "the disk has no room for more events; everything acknowledged is safe, and appending goes "
                    + "on once there is room: free some, or apply retention" + free.explanation,
                number: error.number, path: self.path)
        }
    }
}

extension HeadState {
    /// The state of a log that was just created.
    static func new(createdAt: Int64) -> HeadState {
        var generator = SystemRandomNumberGenerator()
        var id = (generator.next() as UInt64, generator.next() as UInt64)
        // The version and variant bits of a random UUID (RFC 9562, version 4).
        id.0 = id.0 & ~0xF000 | 0x4000
        id.1 = id.1 & ~(0b11 << 62) | 0b10 << 62
        return HeadState(
            logID: id, incarnation: 0, createdAt: createdAt, firstPosition: 0, sealedEnd: 0,
            catalogueVersion: 0, hiddenVersion: 0, dictionaryID: 0)
    }
}
