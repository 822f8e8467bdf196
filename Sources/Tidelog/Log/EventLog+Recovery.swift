public import SystemPackage
import TidelogStorage

/// How far a backup, a restoration, a verification or a repair has come.
public struct RecoveryProgressReport: Hashable, Sendable {
    /// What is being done, as in "copying".
    public let activity: String
    /// The file at work, relative to the log's directory.
    public let file: String
    /// Bytes done, of ``bytesTotal``.
    public let bytesDone: Int
    /// Bytes to do, as far as is known.
    public let bytesTotal: Int
}

/// What a backup did.
public struct BackupReport: Hashable, Sendable {
    /// The position that the backed-up log's next event gets.
    public let nextPosition: Position
    /// Segments that were copied.
    public let segmentsCopied: Int
    /// Segments that the backup had already.
    public let segmentsKept: Int
    /// Bytes copied, those of the head included.
    public let bytesCopied: Int
}

/// What a restoration did.
public struct RestoreReport: Hashable, Sendable {
    /// The position that the restored log's next event gets.
    public let nextPosition: Position
    /// Segments that were restored.
    public let segments: Int
    /// The incarnation of the restored log: one more than that of the log that was backed up.
    public let incarnation: UInt64
}

/// What a verification found.
public struct VerificationReport: Hashable, Sendable {
    /// One thing that was found.
    public struct Finding: Hashable, Sendable {
        /// What is concerned, in one word: `headFile`, `headPages`, `headValue`, `headFrame`,
        /// `missingEvents`, `stream`, `catalogue`, `segmentMissing`, `segmentFile`, `segmentContents`,
        /// `extraFile`.
        public let kind: String
        /// Whether it is no damage and needs no repair.
        public let isNote: Bool
        /// The file, relative to the log's directory.
        public let file: String?
        /// The positions concerned, if known.
        public let positions: Range<Position>?
        /// What was found, for a person.
        public let message: String

        init(_ finding: RecoveryFinding) {
            self.kind = finding.kind.rawValue
            self.isNote = finding.isNote
            self.file = finding.file
            self.positions = finding.positions.map { Position($0.lowerBound)..<Position($0.upperBound) }
            self.message = finding.message
        }
    }

    /// What was found, damage and notes.
    public let findings: [Finding]
    /// Segments whose files were checked.
    public let segments: Int
    /// Bytes of segments that were checked.
    public let segmentBytes: Int
    /// The position that the next event gets.
    public let nextPosition: Position
    /// Whether no damage was found.
    public var isClean: Bool { self.findings.allSatisfy(\.isNote) }

    init(_ outcome: VerificationOutcome) {
        self.findings = outcome.findings.map { Finding($0) }
        self.segments = outcome.segments.count
        self.segmentBytes = outcome.segmentBytes
        self.nextPosition = Position(outcome.end)
    }
}

extension EventLog {
    /// What is told how far a long job has come.
    public typealias RecoveryProgressHandler = @Sendable (RecoveryProgressReport) -> Void

    /// Backs the log up while it is in use, into a directory that is missing, empty, or has an earlier backup
    /// of it; segments that are there already are not copied again.
    ///
    /// The backup is valid at every moment: the old one until the new one is complete. Durable when this
    /// returns. Sealing, compaction and retention wait meanwhile; appends and reads do not.
    ///
    /// - Throws: ``EventLogError`` with code `alreadyExists` if something else is in the directory, `locked`,
    ///   `corrupted` naming the damaged file, `storageFull`.
    @discardableResult
    public func backup(
        to directory: FilePath, progress: RecoveryProgressHandler? = nil
    ) async throws(EventLogError) -> BackupReport {
        let outcome = try await self.run { engine throws(StorageError) in
            try engine.backUp(to: directory.string, progress: Self.adapt(progress))
        }
        return BackupReport(
            nextPosition: Position(outcome.manifest.positions.upperBound),
            segmentsCopied: outcome.segmentsCopied,
            segmentsKept: outcome.segmentsKept, bytesCopied: outcome.bytesCopied)
    }

    /// Makes a log of a backup, in a directory that is missing or empty; every file is checked against its
    /// digest while it is copied.
    ///
    /// Events appended after the backup are not there. The log's id is as it was and its incarnation one
    /// higher, which is how copies that go different ways are told apart. After a failure nothing is left.
    ///
    /// - Throws: ``EventLogError`` with code `notFound` if there is no backup, `alreadyExists`, `corrupted`
    ///   naming the file, `unsupportedFormat`, `storageFull`.
    @discardableResult
    public static func restore(
        from backup: FilePath, to directory: FilePath, progress: RecoveryProgressHandler? = nil
    ) async throws(EventLogError) -> RestoreReport {
        try await blocking { () throws(StorageError) in
            let (manifest, state) = try Restore.run(
                from: backup.string, to: directory.string, progress: Self.adapt(progress))
            return RestoreReport(
                nextPosition: Position(manifest.positions.upperBound), segments: manifest.segments.count,
                incarnation: state.incarnation)
        }
    }

    /// Verifies a log that this process does not have open: the head in full, and the digest of each segment.
    ///
    /// It changes nothing, and other processes may read and append meanwhile. A damaged head can end the
    /// process that walks it: where the program can serve as a child of itself, the walk runs there.
    ///
    /// - Parameter isDeep: whether every block and index of every segment is decoded and compared, too.
    /// - Throws: ``EventLogError`` with code `notFound`, `locked` if this process has the log open,
    ///   `unsupportedFormat`. Damage is not thrown but reported.
    public static func verify(
        at directory: FilePath, isDeep: Bool = false, progress: RecoveryProgressHandler? = nil
    ) async throws(EventLogError) -> VerificationReport {
        try await blocking { () throws(StorageError) in
            var options = VerificationOptions()
            options.isDeep = isDeep
            options.progress = Self.adapt(progress)
            return VerificationReport(
                try Verification.run(directory: directory.string, options: options))
        }
    }

    /// Verifies this log while it is in use; see ``verify(at:isDeep:progress:)``.
    public func verify(
        isDeep: Bool = false, progress: RecoveryProgressHandler? = nil
    ) async throws(EventLogError) -> VerificationReport {
        try await self.run { engine throws(StorageError) in
            var options = VerificationOptions()
            options.isDeep = isDeep
            options.progress = Self.adapt(progress)
            return VerificationReport(try engine.verify(options))
        }
    }

    /// Lets this program serve as the child process that walks the head of a damaged log.
    ///
    /// To be called first thing in `main`, with the program's arguments. It returns unless the program was
    /// started as such a child.
    public static func serveAsRecoveryChildIfAsked(_ arguments: [String]) {
        HeadWorker.runIfAsked(arguments)
    }

    static func adapt(
        _ handler: RecoveryProgressHandler?
    ) -> (@Sendable (RecoveryProgress) throws(StorageError) -> Void)? {
        guard let handler else { return nil }
        return { progress throws(StorageError) in
            handler(
                RecoveryProgressReport(
                    activity: progress.activity, file: progress.file, bytesDone: progress.bytesDone,
                    bytesTotal: progress.bytesTotal))
        }
    }
}

/// What a repair did.
public struct RepairReport: Hashable, Sendable {
    /// Events that could not be kept.
    public struct Loss: Hashable, Sendable {
        /// Their positions; where it is not known how far the loss goes, all that can be concerned.
        public let positions: Range<Position>
        /// The file that held them, relative to the log's directory.
        public let file: String
        /// Whether it is certain that events were there.
        public let isCertain: Bool
    }

    /// What was wrong.
    public let findings: [VerificationReport.Finding]
    /// Whether a new log was written.
    public let isChanged: Bool
    /// Where the repaired log is.
    public let directory: FilePath
    /// Where the damaged log is kept, if it had to make room.
    public let damagedDirectory: FilePath?
    /// What was lost, ascending.
    public let losses: [Loss]
    /// Streams that are known to have lost events.
    public let lostStreams: [String]
    /// What else was lost, in words.
    public let lostRecords: [String]
    /// Events that were kept.
    public let eventsKept: Int
    /// The position that the next event gets; above every position that was ever seen.
    public let nextPosition: Position

    init(_ outcome: RepairOutcome) {
        self.findings = outcome.findings.map { .init($0) }
        self.isChanged = outcome.isChanged
        self.directory = FilePath(outcome.directory)
        self.damagedDirectory = outcome.damagedDirectory.map { FilePath($0) }
        self.losses = outcome.lost.map {
            Loss(
                positions: Position($0.positions.lowerBound)..<Position($0.positions.upperBound),
                file: $0.file,
                isCertain: $0.isCertain)
        }
        self.lostStreams = outcome.lostStreams
        self.lostRecords = outcome.lostRecords
        self.eventsKept = outcome.eventsKept
        self.nextPosition = Position(outcome.nextPosition)
    }
}

extension EventLog {
    /// Makes a log of what is intact in a damaged one, and reports exactly what is lost; it never guesses.
    ///
    /// The damaged log is kept beside the repaired one, which takes its place, unless `target` names another
    /// place. Positions, revisions and the log's id stay; lost positions are not used again. Nothing happens
    /// to a log that is whole. No process may have the log open.
    ///
    /// - Throws: ``EventLogError`` with code `notFound`, `locked`, `alreadyExists`, `storageFull`.
    public static func repair(
        at directory: FilePath, to target: FilePath? = nil, progress: RecoveryProgressHandler? = nil
    ) async throws(EventLogError) -> RepairReport {
        try await blocking { () throws(StorageError) in
            var options = RepairOptions()
            options.target = target?.string
            options.progress = Self.adapt(progress)
            return RepairReport(try Repair.run(directory: directory.string, options: options))
        }
    }
}
