/// The directory that a backup is made in, held against other backups.
struct BackupTarget: ~Copyable {
    static let lockName = "backup.lock"

    let directory: String
    /// What is there already.
    let manifest: BackupManifest?
    private let lock: FileLock

    var segments: String { self.directory + "/" + BackupManifest.segmentsDirectory }

    /// Takes hold of a directory that is missing, empty, or has a backup of the log, whole or begun.
    init(_ directory: String, of state: HeadState) throws(StorageError) {
        try Files.createDirectory(directory)
        // Nothing is put into a directory that is not ours, not even a lock.
        _ = try Self.manifest(in: directory, of: state)
        let lock = try FileLock(directory + "/" + Self.lockName, .exclusive)
        let manifest = try Self.manifest(in: directory, of: state)
        try Files.createDirectory(directory + "/" + BackupManifest.segmentsDirectory)
        self.directory = directory
        self.manifest = manifest
        self.lock = lock
    }

    /// The manifest in a directory that a backup of the log may be made in; nil if there is none yet.
    private static func manifest(
        in directory: String, of state: HeadState
    ) throws(StorageError) -> BackupManifest? {
        guard let manifest = try BackupManifest.read(directory) else {
            try self.requireOurs(directory)
            return nil
        }
        guard manifest.logID == state.logID else {
            throw StorageError(
                .alreadyExists, "this directory has a backup of another log; choose another directory",
                path: directory)
        }
        guard manifest.incarnation <= state.incarnation else {
            throw StorageError(
                .alreadyExists,
                "this directory has a backup of a later copy of the log (incarnation "
                    + "\(manifest.incarnation), this is \(state.incarnation)); choose another directory",
                path: directory)
        }
        return manifest
    }

    private static func requireOurs(_ directory: String) throws(StorageError) {
        var stranger = try Files.list(directory).first { !self.isOurs($0) }
        let segments = directory + "/" + BackupManifest.segmentsDirectory
        if stranger == nil, try Files.exists(segments) {
            stranger = try Files.list(segments).first { !self.isOurSegment($0) }
        }
        guard let stranger else { return }
        throw StorageError(
            .alreadyExists,
            "the directory is neither empty nor a backup: it has '\(stranger)'; choose another directory",
            path: directory)
    }

    /// Whether a name at the top is one that only a backup gives.
    private static func isOurs(_ name: String) -> Bool {
        name == self.lockName || name == BackupManifest.segmentsDirectory
            || name == BackupManifest.name + ".tmp" || self.isOurHead(name)
    }

    private static func isOurHead(_ name: String) -> Bool {
        name.hasPrefix("head-") && (name.hasSuffix(".mdb") || name.hasSuffix(".mdb.tmp"))
    }

    /// A segment's name in a backup: that in the log, the digest, and perhaps the mark of an unfinished one.
    private static func isOurSegment(_ name: String) -> Bool {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == (name.hasSuffix(".tmp") ? 4 : 3) && parts[1].utf8.count == 16
            && Hex.decodeNumber(String(parts[1])) != nil && parts[2] == "mdb"
    }

    /// The files that the backup has already, by the name in the log.
    func known() throws(StorageError) -> [String: BackupManifest.Segment] {
        var known: [String: BackupManifest.Segment] = [:]
        for segment in self.manifest?.segments ?? [] {
            let path = self.segments + "/" + segment.file.name
            guard try Files.kind(path) == .file, try Files.size(path) == segment.file.bytes else { continue }
            known[segment.name] = segment
        }
        return known
    }

    /// A name for a copy of the head that nothing in the backup has.
    func freeHeadName(transactionID: UInt64) throws(StorageError) -> String {
        var name = "head-\(transactionID).mdb"
        var number = 1
        while try Files.exists(self.directory + "/" + name) {
            name = "head-\(transactionID)-\(number).mdb"
            number += 1
        }
        return name
    }

    /// Removes what `manifest` does not name and only a backup can have left.
    func removeOthers(than manifest: BackupManifest) throws(StorageError) {
        for name in try Files.list(self.directory) where Self.isOurHead(name) && name != manifest.head.name {
            try Files.unlink(self.directory + "/" + name, ignoringMissing: true)
        }
        let named = Set(manifest.segments.map(\.file.name))
        for name in try Files.list(self.segments) where Self.isOurSegment(name) && !named.contains(name) {
            try Files.unlink(self.segments + "/" + name, ignoringMissing: true)
        }
    }
}
