// Backing up an open log.
//
// Order, so that a kill at any point leaves the backup that was there, or the new one:
// 1. segments that the backup lacks are copied to `NAME.tmp`, synced, renamed to a name that nothing else
//    has, and the directory is synced;
// 2. the head is copied from one snapshot, looked through, synced, and renamed to a name that nothing else has;
// 3. the manifest is replaced in one step: from here on the new backup counts;
// 4. what the new manifest does not name is removed.
//
// The maintenance lock is held meanwhile: nothing compacts or retains, and nothing seals but the backup itself
// where appends wait for that, between two files; so the catalogue in the copy of the head is the one whose
// files are copied. That is checked all the same. Appends go on: the copy of the
// head has all that was committed before it was begun.
import Glibc

/// What a backup did.
package struct BackupOutcome: Sendable {
    package var manifest: BackupManifest
    /// Segments that were copied now.
    package var segmentsCopied: Int
    /// Segments that an earlier backup had copied.
    package var segmentsKept: Int
    package var bytesCopied: Int
}

/// The steps of a backup after each of which a kill must do no harm.
package enum BackupStep: Sendable, Hashable {
    case segmentWritten, segmentNamed, headWritten, headNamed, manifestWritten, othersRemoved
}

extension LogEngine {
    /// Backs the log up into a directory that is missing, empty, or has a backup of this log; segments that it
    /// has already are not copied again. Durable when it returns.
    ///
    /// - Parameters:
    ///   - progress: told how far it has come; an error ends the backup and leaves the earlier one.
    ///   - step: told what has just been done; for tests.
    /// - Throws: ``StorageError`` with code `alreadyExists` if something else is in the directory, `locked` if
    ///   another backup is being made in it, `corrupted` naming the file if the log is damaged, `diskFull`.
    package func backUp(
        to directory: String,
        progress: (@Sendable (RecoveryProgress) throws(StorageError) -> Void)? = nil,
        step: ((BackupStep) throws(StorageError) -> Void)? = nil
    ) throws(StorageError) -> BackupOutcome {
        try self.maintenance.exclusively(self) { () throws(StorageError) in
            let view = try self.currentView()
            let target = try BackupTarget(directory, of: view.state)
            let job = BackupJob(
                engine: self, segments: view.catalogue.segments, progress: progress, step: step)
            return try job.run(target)
        }
    }
}

private final class BackupJob {
    private let engine: LogEngine
    private var segments: [SegmentInfo]
    private let progress: (@Sendable (RecoveryProgress) throws(StorageError) -> Void)?
    private let step: ((BackupStep) throws(StorageError) -> Void)?
    private var bytesDone = 0
    private var bytesTotal = 0

    init(
        engine: LogEngine, segments: [SegmentInfo],
        progress: (@Sendable (RecoveryProgress) throws(StorageError) -> Void)?,
        step: ((BackupStep) throws(StorageError) -> Void)?
    ) {
        self.engine = engine
        self.segments = segments
        self.progress = progress
        self.step = step
    }

    func run(_ target: borrowing BackupTarget) throws(StorageError) -> BackupOutcome {
        let known = try target.known()
        let headBytes = try self.engine.head.environment.info().usedBytes
        var copied: Set<String> = []
        while true {
            let missing = self.segments.filter { info in
                let file = known[info.fileName]?.file
                return !copied.contains(info.fileName)
                    && (file?.bytes != info.fileBytes || file?.digest != info.digest)
            }
            self.bytesTotal = missing.reduce(self.bytesDone + headBytes) { $0 + $1.fileBytes }
            if missing.isEmpty { break }
            for info in missing {
                try self.copy(info, target)
                copied.insert(info.fileName)
                // Appends may be waiting for this; a segment that it adds is copied in the next round.
                try self.engine.sealIfPressed()
            }
            self.segments = try self.engine.currentView().catalogue.segments
        }
        try Files.syncDirectory(target.segments)
        let manifest = try self.copyHead(target)
        try Files.writeAtomically(manifest.encoded(), to: target.directory + "/" + BackupManifest.name)
        try Files.syncDirectory(Files.directory(of: target.directory))
        try self.step?(.manifestWritten)
        try target.removeOthers(than: manifest)
        try self.step?(.othersRemoved)
        return BackupOutcome(
            manifest: manifest, segmentsCopied: copied.count,
            segmentsKept: self.segments.count - copied.count, bytesCopied: self.bytesDone)
    }

    private func copy(_ info: SegmentInfo, _ target: borrowing BackupTarget) throws(StorageError) {
        let name = Head.Names.segments + "/" + info.fileName
        let path = target.segments + "/" + BackupManifest.fileName(of: info)
        let temporary = path + ".tmp"
        let expected = BackupManifest.File(
            name: info.fileName, bytes: info.fileBytes, digest: info.digest)
        let copy = FileCopy { [self] file, bytes throws(StorageError) in try self.advance(file, bytes) }
        try Files.unlink(temporary, ignoringMissing: true)
        do throws(StorageError) {
            try copy.copy(
                self.engine.directory + "/" + name, expected, name: name, to: temporary, mode: 0o400)
            try self.step?(.segmentWritten)
            try Files.rename(temporary, to: path)
            try self.step?(.segmentNamed)
        } catch {
            _ = Glibc.unlink(temporary)
            throw error
        }
    }

    private func advance(_ file: String, _ bytes: Int) throws(StorageError) {
        self.bytesDone += bytes
        self.engine.maintenance.noteStep()
        try self.progress?(
            RecoveryProgress(
                activity: "copying", file: file, bytesDone: min(self.bytesDone, self.bytesTotal),
                bytesTotal: self.bytesTotal))
    }

    // MARK: The head

    private func copyHead(_ target: borrowing BackupTarget) throws(StorageError) -> BackupManifest {
        let name = try target.freeHeadName(transactionID: try self.engine.head.newestTransactionID())
        let path = target.directory + "/" + name
        let temporary = path + ".tmp"
        try Files.unlink(temporary, ignoringMissing: true)
        do throws(StorageError) {
            let descriptor = try Files.open(temporary, flags: O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
            try self.copyHead(to: descriptor.number, temporary)
            try Files.syncFile(descriptor: descriptor.number, path: temporary)
            let size = try Files.status(descriptor: descriptor.number, path: temporary).size
            let digest = try Files.digest(descriptor: descriptor.number, length: size, path: temporary)
            let manifest = try self.manifest(
                descriptor.number, temporary,
                head: BackupManifest.File(name: name, bytes: size, digest: digest))
            descriptor.close()
            try self.advance(Head.Names.head, size)
            try self.step?(.headWritten)
            try Files.rename(temporary, to: path)
            try Files.syncDirectory(target.directory)
            try self.step?(.headNamed)
            return manifest
        } catch {
            _ = Glibc.unlink(temporary)
            throw error
        }
    }

    private func copyHead(to descriptor: Int32, _ path: String) throws(StorageError) {
        let environment = self.engine.head.environment
        do throws(StorageError) {
            try environment.copy(toDescriptor: descriptor, compacting: true)
        } catch {
            // LMDB refuses to leave out free pages if it has lost track of one, which harms nothing else.
            guard error.code == .unsupportedFormat else { throw error }
            try Files.truncate(descriptor: descriptor, length: 0, path: path)
            guard lseek(descriptor, 0, SEEK_SET) == 0 else {
                throw .system(errno, doing: "rewinding the file", path: path)
            }
            try environment.copy(toDescriptor: descriptor, compacting: false)
        }
    }

    /// Looks through the copy of the head and says what the backup consists of.
    private func manifest(
        _ descriptor: Int32, _ path: String, head: BackupManifest.File
    ) throws(StorageError) -> BackupManifest {
        let collected = HeadCollection()
        _ = try HeadWalk(descriptor: descriptor, path: path, mode: .verify) { collected.take($0) }
            .run(snapshot: nil)
        if let finding = collected.findings.first(where: { !$0.isNote }) {
            throw StorageError(
                .corrupted,
                "the log's head is damaged (\(finding.message)), so no backup was made and the earlier one "
                    + "stays; run `tidelog verify`, then `tidelog repair`",
                path: self.engine.directory + "/" + Head.Names.head, positions: finding.positions)
        }
        guard let state = collected.state, collected.segments == self.segments else {
            throw StorageError(
                .locked, "the catalogue of segments changed while the log was backed up; try again",
                path: self.engine.directory)
        }
        return BackupManifest(
            logID: state.logID, incarnation: state.incarnation, createdAt: currentNanoseconds(),
            positions: state.firstPosition..<max(collected.end, state.sealedEnd), head: head,
            segments: collected.segments.map { info in
                BackupManifest.Segment(
                    name: info.fileName,
                    file: BackupManifest.File(
                        name: BackupManifest.fileName(of: info), bytes: info.fileBytes, digest: info.digest),
                    positions: info.positions, count: info.count)
            })
    }
}
