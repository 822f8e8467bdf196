import Glibc

/// Makes a log of a backup again.
package struct Restore {
    /// The mark of a directory that is being restored into; it means nothing once there is a head.
    static let markName = "restore.incomplete"

    private let backup: String
    private let manifest: BackupManifest
    private let progress: (@Sendable (RecoveryProgress) throws(StorageError) -> Void)?

    /// Restores the backup in `backup` into `directory`, which must be missing or empty.
    ///
    /// Positions, revisions and the log's id are as they were; events appended after the backup are not
    /// there, and the log's incarnation is one higher, which is how copies that go different ways from here
    /// are told apart. Every file is checked against its digest while it is copied. The head is put in place
    /// last, in one step: until then there is no log, and after a failure nothing is left.
    ///
    /// - Throws: ``StorageError`` with code `notFound` if there is no backup, `alreadyExists`, `corrupted` that
    ///   names the file, `unsupportedFormat`, `diskFull`.
    package static func run(
        from backup: String, to directory: String,
        progress: (@Sendable (RecoveryProgress) throws(StorageError) -> Void)? = nil
    ) throws(StorageError) -> (manifest: BackupManifest, state: HeadState) {
        let restore = try Restore(backup, progress)
        let isNew = try self.prepare(directory)
        do throws(StorageError) {
            return (restore.manifest, try restore.run(into: directory))
        } catch {
            self.clear(directory)
            if isNew { _ = rmdir(directory) }
            throw error
        }
    }

    /// Checks every file of a backup against the manifest, and the head for what it holds.
    package static func check(
        _ backup: String, progress: (@Sendable (RecoveryProgress) throws(StorageError) -> Void)? = nil
    ) throws(StorageError) -> BackupManifest {
        let restore = try Restore(backup, progress)
        var done = 0
        for (path, file) in restore.files {
            let name = path.dropFirst(backup.utf8.count + 1)
            let descriptor = try Files.openReadOnlyNoFollow(path)
            let size = try Files.status(descriptor: descriptor.number, path: path).size
            guard size == file.bytes,
                try Files.digest(descriptor: descriptor.number, length: size, path: path) == file.digest
            else {
                throw StorageError(
                    .corrupted, "\(name) has not the length and digest that the backup's manifest keeps",
                    path: path)
            }
            done += size
            try restore.report("verifying", String(name), done)
        }
        let head = backup + "/" + restore.manifest.head.name
        let descriptor = try Files.openReadOnlyNoFollow(head)
        _ = try restore.state(descriptor.number, head)
        descriptor.close()
        return restore.manifest
    }

    private init(
        _ backup: String, _ progress: (@Sendable (RecoveryProgress) throws(StorageError) -> Void)?
    ) throws(StorageError) {
        guard let manifest = try BackupManifest.read(backup) else {
            throw StorageError(
                .notFound, "there is no backup here: the file '\(BackupManifest.name)' is missing",
                path: backup)
        }
        self.backup = backup
        self.manifest = manifest
        self.progress = progress
    }

    private var files: [(path: String, file: BackupManifest.File)] {
        let segments = self.backup + "/" + BackupManifest.segmentsDirectory + "/"
        return self.manifest.segments.map { (segments + $0.file.name, $0.file) }
            + [(self.backup + "/" + self.manifest.head.name, self.manifest.head)]
    }

    private func report(_ activity: String, _ file: String, _ done: Int) throws(StorageError) {
        try self.progress?(
            RecoveryProgress(
                activity: activity, file: file, bytesDone: done,
                bytesTotal: self.files.reduce(0) { $0 + $1.file.bytes }))
    }

    // MARK: The directory

    /// Takes a missing or empty directory, or one that an interrupted restore has left; answers whether it
    /// was missing.
    private static func prepare(_ directory: String) throws(StorageError) -> Bool {
        let isNew = try Files.createDirectory(directory)
        let mark = directory + "/" + self.markName
        let names = try Files.list(directory)
        // A kill may have come before the mark had its name.
        let isInterrupted = names.contains(self.markName) || names == [self.markName + ".tmp"]
        if isInterrupted, !names.contains(Head.Names.head) { self.clear(directory) }
        if let name = try Files.list(directory).first {
            throw StorageError(
                .alreadyExists,
                "a backup is restored into a missing or empty directory, and this one has '\(name)'",
                path: directory)
        }
        try Files.writeAtomically([], to: mark)
        return isNew
    }

    /// Removes what a restore has put there: the head first, so that there is never a log that lacks segments.
    private static func clear(_ directory: String) {
        _ = unlink(directory + "/" + Head.Names.head)
        let segments = directory + "/" + Head.Names.segments
        for name in (try? Files.list(segments)) ?? [] { _ = unlink(segments + "/" + name) }
        _ = rmdir(segments)
        for name in [
            Head.Names.temporary, Head.Names.temporary + "-lock", self.markName, self.markName + ".tmp",
        ] {
            _ = unlink(directory + "/" + name)
        }
    }

    // MARK: Copying

    private func run(into directory: String) throws(StorageError) -> HeadState {
        var done = 0
        let copy = FileCopy { [self] file, bytes throws(StorageError) in
            done += bytes
            try self.report("copying", file, done)
        }
        let segments = directory + "/" + Head.Names.segments
        try Files.createDirectory(segments)
        for segment in self.manifest.segments {
            let name = BackupManifest.segmentsDirectory + "/" + segment.file.name
            try copy.copy(
                self.backup + "/" + name, segment.file, name: name, to: segments + "/" + segment.name,
                mode: 0o400)
        }
        try Files.syncDirectory(segments)
        let temporary = directory + "/" + Head.Names.temporary
        try copy.copy(
            self.backup + "/" + self.manifest.head.name, self.manifest.head, name: self.manifest.head.name,
            to: temporary, mode: 0o600)
        let state = try self.raiseIncarnation(temporary)
        try Files.rename(temporary, to: directory + "/" + Head.Names.head)
        try Files.syncDirectory(directory)
        try Files.syncDirectory(Files.directory(of: directory))
        _ = unlink(directory + "/" + Self.markName)  // beside a head it means nothing
        return state
    }

    /// Checks that the head is that of the manifest, and counts its incarnation up.
    private func raiseIncarnation(_ path: String) throws(StorageError) -> HeadState {
        let reading = try Files.openReadOnlyNoFollow(path)
        var state = try self.state(reading.number, path)
        reading.close()
        state.incarnation += 1
        var options = Environment.Options()
        options.mapSizeBytes = EngineOptions().mapSizeBytes
        options.noLock = true
        options.mustExist = true
        let environment = try Environment(path: path, options: options)
        defer { environment.close() }
        let databases = try HeadDatabases(environment, create: false)
        let transaction = HeadTransaction(transaction: try environment.beginWrite(), databases: databases)
        try transaction.setState(state)
        try transaction.commit(through: .durable)
        try Files.syncFile(descriptor: environment.fileDescriptor, path: path)
        return state
    }

    private func state(_ descriptor: Int32, _ path: String) throws(StorageError) -> HeadState {
        let collected = HeadCollection()
        _ = try HeadWalk(descriptor: descriptor, path: path, mode: .verify) { collected.take($0) }
            .run(snapshot: nil)
        if let finding = collected.findings.first(where: { !$0.isNote }) {
            throw StorageError(
                .corrupted, "the head in the backup is damaged: \(finding.message)", path: path,
                positions: finding.positions)
        }
        let named = self.manifest.segments.map { [$0.name, "\($0.file.bytes)", "\($0.file.digest)"] }
        let known = collected.segments.map { [$0.fileName, "\($0.fileBytes)", "\($0.digest)"] }
        guard let state = collected.state, state.logID == self.manifest.logID, named == known else {
            throw StorageError(
                .corrupted, "the head in the backup is not the one that the manifest describes", path: path)
        }
        return state
    }
}
