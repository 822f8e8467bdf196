#if Postgres
    public import SystemPackage
    public import Tidelog

    /// A log that a database has events of.
    public struct ExportedLog: Sendable, Hashable {
        /// The log's UUID.
        public let logID: String
        /// The export, by its name.
        public let exporter: String
        /// The position that the log's next event had when it was last exported.
        public let nextPosition: Position
        /// How often the log had been restored when it was last exported.
        public let incarnation: UInt64
        /// Whether a filter leaves events out.
        public let isFiltered: Bool
        /// Events that the export has brought, since it began.
        public let exportedEvents: UInt64
        /// The position that the export began at: what the log had before it was never exported. Nil if an
        /// earlier version began it, which did not note that.
        public let startPosition: Position?
    }

    /// What an import did.
    public struct PostgresImportReport: Sendable, Hashable {
        /// The log's UUID, as it was.
        public let logID: String
        /// Events that were imported.
        public let events: Int
        /// Events at the least that were exported and whose rows the database has no longer; zero unless that was
        /// accepted.
        public let missingRows: Int
        /// The exports of the log, by name, of which nobody knows whether rows are missing: the table has
        /// more rows that they may have brought than they did, as where another export brought events before
        /// the log removed them; or an earlier version counted their rows, beside those of others. Empty if
        /// all is known.
        public let uncertainExports: [String]
        /// The position that the export began at: events before it were never exported, so their rows are not
        /// missing. Nil if an earlier version began it, which did not note that.
        public let startPosition: Position?
        /// The position that the log's next event gets.
        public let nextPosition: Position
        /// The log's incarnation: one more than that of the log that was exported.
        public let incarnation: UInt64
    }

    /// Brings a log back from the database that it was exported to.
    public struct PostgresImporter: Sendable {
        private let settings: PostgresSettings
        private let names: PostgresNames
        private let answerTimeout: Duration
        /// How many events are compared by one digest: the database holds 32 bytes of each in memory, and cannot
        /// hold more than 1 GiB.
        var digestEvents = 1_000_000

        /// An importer from these tables.
        ///
        /// - Parameter answerTimeout: how long the server may be silent while it is waited for. Then another
        ///   connection asks whether it is at work, as on the digest of many events: as long as it is, it is
        ///   waited for. If it is not, or no connection comes about within
        ///   ``PostgresSettings/connectTimeout``, the connection counts as lost. Default: 60 s.
        /// - Throws: ``PostgresError`` with code `invalidConfiguration`.
        public init(
            from settings: PostgresSettings, names: PostgresNames = .init(),
            answerTimeout: Duration = .seconds(60)
        ) throws(PostgresError) {
            try names.validate()
            guard answerTimeout >= .milliseconds(10) else {
                throw PostgresError(.invalidConfiguration, "answerTimeout must be 10 ms or more")
            }
            self.settings = settings
            self.names = names
            self.answerTimeout = answerTimeout
        }

        /// The logs that the database has events of, a line for each export.
        ///
        /// - Throws: ``PostgresError``: `missingSchema` if there are no tables, `unreachable` if the server
        ///   cannot be reached, or hangs.
        public func logs() async throws(PostgresError) -> [ExportedLog] {
            try await PlainThread.run("tidelog-import") { () throws(PostgresError) in
                try self.logs(try self.connect(ConnectionSwitch()))
            }
        }

        private func connect(_ stop: ConnectionSwitch) throws(PostgresError) -> PostgresConnection {
            let connection = try PostgresConnection.connect(
                self.settings, switchOff: stop, answerLimit: self.answerTimeout, asks: true)
            guard let state = try Schema(names: self.names).state(connection) else {
                throw PostgresError(
                    .missingSchema,
                    "there is no table \(self.names.quoted()) in the database; nothing was exported")
            }
            guard state.version <= Schema.version else {
                throw PostgresError(.newerSchema, "the tables are of a newer Tidelog; update this program")
            }
            return connection
        }

        private func logs(_ connection: PostgresConnection) throws(PostgresError) -> [ExportedLog] {
            var logs: [ExportedLog] = []
            try connection.query(
                """
                SELECT log_id, exporter, next_position, incarnation, filter <> '', exported, \
                \(Checkpoint.startExpression) FROM \(self.names.quoted("_checkpoints")) c ORDER BY log_id, exporter
                """
            ) { row throws(PostgresError) in
                guard let uuid = try row.uuid(0) else { return }
                logs.append(
                    ExportedLog(
                        logID: EventID(uuid: uuid.0, uuid.1).description, exporter: row.text(1) ?? "",
                        nextPosition: Position(UInt64(clamping: try row.requiredInteger(2))),
                        incarnation: UInt64(clamping: try row.requiredInteger(3)), isFiltered: row.boolean(4),
                        exportedEvents: UInt64(clamping: try row.requiredInteger(5)),
                        startPosition: try row.integer(6).map { Position(UInt64(clamping: $0)) }))
            }
            return logs
        }

        /// Makes a log in `directory` of the events of an exported log, with their positions, revisions and ids.
        ///
        /// The log keeps its UUID and gets a higher incarnation, as a restored backup does, so that it can be
        /// exported on to where it came from. What is on the disk is verified block by block, and its digest
        /// is compared with the database's. The rows that are there are compared with what the exports of the
        /// log say that they brought: how many, and which one was the last. After a failure nothing is left.
        ///
        /// A task that is cancelled stops it, also while the server hangs; nothing is left then either, and
        /// the import can be made again. One that is cancelled after the last row was compared is finished.
        ///
        /// - Parameters:
        ///   - logID: which log; nil: the only one that there is.
        ///   - exporter: the name of the export.
        ///   - acceptsPartial: whether an export that left events out may be imported, by a filter or because
        ///     it began after them. Streams whose last events are left out then go on at revisions that were
        ///     used before.
        ///   - acceptsMissingRows: whether a log is made although rows that were exported are no longer there, as
        ///     after dropping a partition. Streams whose last rows are missing go on as said above.
        ///   - progress: is told how many events are done.
        /// - Throws: ``PostgresError``: `invalidConfiguration` if there is no such log or more than one to
        ///   choose from, or if another export has brought later events, `log` for a directory in use,
        ///   `rowsMissing`, `diverged` if the digests differ, `cancelled` if the task was cancelled,
        ///   `unreachable` if the server cannot be reached, or hangs.
        public func `import`(
            logID: String? = nil, exporter: String = "default", acceptsPartial: Bool = false,
            acceptsMissingRows: Bool = false, to directory: FilePath,
            progress: (@Sendable (Int) -> Void)? = nil
        ) async throws(PostgresError) -> PostgresImportReport {
            // Only a cancelled task switches it off.
            let stop = ConnectionSwitch()
            do {
                return try await withTaskCancellationHandler {
                    try await PlainThread.run("tidelog-import") { () throws(PostgresError) in
                        let connection = try self.connect(stop)
                        // One snapshot for checkpoint, events and digest, whoever exports meanwhile.
                        try connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                        let job = Job(
                            log: try self.choose(try self.logs(connection), logID, exporter),
                            acceptsPartial: acceptsPartial, acceptsMissingRows: acceptsMissingRows,
                            directory: directory, stop: stop, progress: progress)
                        return try self.run(job, connection)
                    }
                } onCancel: {
                    stop.off()
                }
            } catch {
                if stop.isOff {
                    throw PostgresError(
                        .cancelled, "the import was stopped, and nothing is left of it; it can be made again")
                }
                throw (error as? PostgresError) ?? PostgresError(.log, "the import failed", cause: error)
            }
        }

        /// What an import is to do.
        private struct Job {
            var log: ExportedLog
            var acceptsPartial: Bool
            var acceptsMissingRows: Bool
            var directory: FilePath
            var stop: ConnectionSwitch
            var progress: (@Sendable (Int) -> Void)?

            /// - Throws: ``PostgresError`` with code `closed` once the task was cancelled.
            func goOn() throws(PostgresError) {
                if self.stop.isOff { throw PostgresError(.closed, "the import was cancelled") }
            }
        }

        private func choose(
            _ logs: [ExportedLog], _ logID: String?, _ exporter: String
        ) throws(PostgresError) -> ExportedLog {
            let found = logs.filter { $0.exporter == exporter && (logID ?? $0.logID) == $0.logID }
            guard let log = found.first, found.count == 1 else {
                let known = logs.prefix(10).map { "\($0.logID) (\($0.exporter))" }.joined(separator: ", ")
                throw PostgresError(
                    .invalidConfiguration,
                    found.isEmpty
                        ? "the database has no such log; it has: \(known.isEmpty ? "none" : known)"
                        : "the database has \(found.count) logs; name one of: \(known)")
            }
            return log
        }

        private func run(
            _ job: Job, _ connection: PostgresConnection
        ) throws(PostgresError) -> PostgresImportReport {
            let log = job.log
            guard !log.isFiltered || job.acceptsPartial else {
                throw PostgresError(
                    .invalidConfiguration,
                    "the export \"\(log.exporter)\" left events out by a filter; "
                        + "say that a partial log is wanted")
            }
            if let start = log.startPosition, start > .zero, !job.acceptsPartial {
                throw PostgresError(
                    .invalidConfiguration,
                    "the export \"\(log.exporter)\" began at position \(start) and left out the events before it; "
                        + "say that a partial log is wanted", positions: .zero..<start)
            }
            let id = EventID(log.logID)
            let key = PostgresValue.uuid(id.uuid?.high ?? 0, id.uuid?.low ?? 0)
            var (first, next) = (log.nextPosition.rawValue, log.nextPosition.rawValue)
            try connection.query(
                "SELECT min(position), max(position) FROM \(self.names.quoted()) WHERE log_id = $1", [key]
            ) { row throws(PostgresError) in
                if let position = try row.integer(0) { first = UInt64(clamping: position) }
                if let position = try row.integer(1) { next = max(next, UInt64(clamping: position) + 1) }
            }
            // Its positions would be given a second time, to other events.
            guard next == log.nextPosition.rawValue || job.acceptsPartial else {
                throw PostgresError(
                    .invalidConfiguration,
                    "the export \"\(log.exporter)\" ends at position \(log.nextPosition), and the database "
                        + "has rows of this log up to position \(next) that another one brought. Import that "
                        + "one, or say that a partial log is wanted, to have all that is there",
                    positions: log.nextPosition..<Position(next))
            }
            let incarnation = log.incarnation + 1
            try job.goOn()
            let rebuilder: LogRebuilder
            do throws(EventLogError) {
                rebuilder = try LogRebuilder(
                    at: job.directory, logID: id, incarnation: incarnation, firstPosition: Position(first))
            } catch {
                throw PostgresError(.log, "the log cannot be made: \(error.message)", cause: error)
            }
            do throws(PostgresError) {
                let copied = try self.copy(
                    job, connection, key, before: Position(next), to: rebuilder)
                return PostgresImportReport(
                    logID: log.logID, events: copied.events, missingRows: copied.missing,
                    uncertainExports: copied.uncertain, startPosition: log.startPosition,
                    nextPosition: Position(next), incarnation: incarnation)
            } catch {
                rebuilder.abandon()
                throw error
            }
        }

        private func copy(
            _ job: Job, _ connection: PostgresConnection, _ key: PostgresValue, before next: Position,
            to rebuilder: LogRebuilder
        ) throws(PostgresError) -> (events: Int, missing: Int, uncertain: [String]) {
            let range: [PostgresValue] = [key, .bigint(Int64(clamping: next.rawValue))]
            var parts = ImportedParts(size: self.digestEvents)
            var rows = ImportedRows(try ExportAccount.read(connection, self.names, key, before: next))
            let query = PostgresStatement(
                text: "SELECT \(EventColumns.selection) FROM \(self.names.quoted()) "
                    + "WHERE log_id = $1 AND position < $2 ORDER BY position", parameters: range)
            // A cancelled task cuts the connection, which ends this.
            try connection.stream(query) { row throws(PostgresError) in
                let stored = try connection.decoder.event(row)
                parts.add(stored)
                rows.add(stored)
                do throws(EventLogError) {
                    try rebuilder.append(stored)
                } catch {
                    throw PostgresError(
                        .log, "the event at position \(stored.position) cannot be imported: \(error.message)",
                        cause: error)
                }
                if parts.count % 1000 == 0 { job.progress?(parts.count) }
                return true
            }
            let count = parts.count
            let (missing, uncertain) = (try rows.missing(), try rows.uncertain())
            if let missing, !job.acceptsMissingRows { throw PostgresError(missing, before: next) }
            for part in parts.finish(at: next) {
                try job.goOn()
                let remote = try RemoteDigest.read(connection, self.names, key, part.positions)
                guard remote.count == part.count, remote.digest == part.digest, remote.agrees else {
                    throw PostgresError(
                        .diverged,
                        "what was read is not what the database's digest says: rows were changed there",
                        positions: part.positions)
                }
            }
            try job.goOn()
            do throws(EventLogError) {
                try rebuilder.finish(nextPosition: next)
            } catch {
                throw PostgresError(.log, "the log cannot be made: \(error.message)", cause: error)
            }
            job.progress?(count)
            return (count, missing?.count ?? 0, uncertain)
        }
    }

    /// The digests of what was imported, in parts of so many events, which together are the whole log.
    struct ImportedParts {
        private let size: Int
        private var digest = RangeDigest()
        private var start = Position.zero
        private var done: [(positions: Range<Position>, count: Int, digest: [UInt8])] = []
        /// Events of all parts.
        private(set) var count = 0

        init(size: Int) { self.size = size }

        mutating func add(_ stored: StoredEvent) {
            if self.digest.count == self.size { self.cut(at: stored.position) }
            self.digest.add(stored)
            self.count += 1
        }

        private mutating func cut(at end: Position) {
            let digest = self.digest
            self.done.append((self.start..<end, digest.count, digest.finish()))
            self.digest = RangeDigest()
            self.start = end
        }

        /// The parts, of which the last goes to before `end`.
        mutating func finish(
            at end: Position
        ) -> [(positions: Range<Position>, count: Int, digest: [UInt8])] {
            self.cut(at: end)
            return self.done
        }
    }
#endif
