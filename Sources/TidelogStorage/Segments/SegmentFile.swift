import Glibc

/// The file of a segment while it is written, under a temporary name that nobody reads.
///
/// Until `complete` has renamed it there is only `NAME.mdb.tmp`, which may be removed at any time; after it
/// the file has its name, its bytes are on the disk, and nothing changes it any more. Commits before that are
/// not synced one by one: the file counts only once all of it is.
final class SegmentFile {
    /// The databases of a segment, and the letter that goes into the checksums of their values.
    enum Part: String, CaseIterable {
        case meta, blocks, index

        var letter: UInt64 {
            switch self {
            case .meta: 0x6d
            case .blocks: 0x62
            case .index: 0x69
            }
        }
    }

    /// The suffix of a file that is not complete.
    static let temporarySuffix = ".tmp"

    private let directory: String
    private let path: String
    private let temporaryPath: String
    private let descriptor: FileDescriptor
    private var environment: Environment?
    private let meta: Database
    private let blocks: Database
    private let index: Database
    /// Values that wait for a transaction, and their bytes.
    private var waiting: [(database: Database, key: [UInt8], value: [UInt8])] = []
    private var waitingBytes = 0
    private static let batchBytes = 4 << 20

    /// Creates the temporary file, removing one that a crash has left.
    init(directory: String, fileName: String) throws(StorageError) {
        self.directory = directory
        self.path = "\(directory)/\(fileName)"
        self.temporaryPath = self.path + Self.temporarySuffix
        guard try !Files.exists(self.path) else {
            throw StorageError(
                .alreadyExists, "a segment of this name is there already; remove it if no catalogue names it",
                path: self.path)
        }
        try Files.unlink(self.temporaryPath, ignoringMissing: true)
        // Opened before the first write, so that its sync reports any write that failed.
        self.descriptor = try Files.open(
            self.temporaryPath, flags: O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
        do throws(StorageError) {
            var options = Environment.Options()
            options.maxDatabases = 3
            options.noLock = true
            options.noSync = true
            options.mapSizeBytes = 1 << 36
            let environment = try Environment(path: self.temporaryPath, options: options)
            self.blocks = try environment.openDatabase(Part.blocks.rawValue, integerKeys: true, create: true)
            self.index = try environment.openDatabase(Part.index.rawValue, integerKeys: false, create: true)
            self.meta = try environment.openDatabase(Part.meta.rawValue, integerKeys: false, create: true)
            self.environment = environment
        } catch {
            _ = Glibc.unlink(self.temporaryPath)
            throw error
        }
    }

    deinit {
        if self.environment != nil { self.abandon() }
    }

    /// Writes a run of blocks. Keys ascend from one call to the next.
    func putRun(key: UInt64, _ run: [UInt8]) throws(StorageError) {
        try self.writing { transaction throws(StorageError) in
            try transaction.reserve(self.blocks, key: key, count: run.count, append: true) { target in
                run.withUnsafeBytes { target.copyMemory(from: $0) }
            }
        }
    }

    /// Writes a value behind its checksum to `index` or `meta`. Keys ascend in each from one call to the
    /// next.
    func put(_ part: Part, key: [UInt8], value: [UInt8]) throws(StorageError) {
        let database = part == .meta ? self.meta : self.index
        self.waiting.append((database, key, CheckedValue.wrap(value, key: key, part: part)))
        self.waitingBytes += value.count + key.count
        if self.waitingBytes >= Self.batchBytes { try self.flush() }
    }

    private func flush() throws(StorageError) {
        guard !self.waiting.isEmpty else { return }
        try self.writing { transaction throws(StorageError) in
            for entry in self.waiting {
                try entry.value.span.bytes.withUnsafeBytes { value throws(StorageError) in
                    try transaction.put(entry.database, key: entry.key, value: value, append: true)
                }
            }
        }
        self.waiting = []
        self.waitingBytes = 0
    }

    /// Syncs the file, gives it its name and makes that durable.
    ///
    /// - Returns: the file's length, its digest, and the digest of the table of its pages.
    func complete() throws(StorageError) -> (bytes: Int, digest: UInt64, pagesDigest: UInt64) {
        try self.flush()
        self.environment?.close()
        let number = self.descriptor.number
        let pagesDigest = try SegmentPages.writeTable(descriptor: number, path: self.temporaryPath)
        try Files.setMode(descriptor: number, 0o400, path: self.temporaryPath)
        try Files.syncFile(descriptor: number, path: self.temporaryPath)
        let bytes = try Files.status(descriptor: number, path: self.temporaryPath).size
        let digest = try Files.digest(descriptor: number, length: bytes, path: self.temporaryPath)
        guard try !Files.exists(self.path) else {
            throw StorageError(
                .alreadyExists, "a segment of this name came into being meanwhile", path: self.path)
        }
        try Files.rename(self.temporaryPath, to: self.path)
        self.environment = nil
        try Files.syncDirectory(self.directory)
        return (bytes, digest, pagesDigest)
    }

    /// Removes the temporary file. Not after `complete`.
    func abandon() {
        self.environment?.close()
        self.environment = nil
        _ = Glibc.unlink(self.temporaryPath)
    }

    private func writing(
        _ body: (borrowing WriteTransaction) throws(StorageError) -> Void
    ) throws(StorageError) {
        guard let environment else {
            throw StorageError(.closed, "the segment was completed or given up", path: self.path)
        }
        try environment.write(body)
    }
}
