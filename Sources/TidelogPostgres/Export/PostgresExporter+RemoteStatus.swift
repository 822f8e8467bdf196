#if Postgres
    import Tidelog

    extension PostgresExporter {
        /// How the export stands, without an exporter of this process: the database says how far it is and whether
        /// an exporter is connected, and the log what that one has noted in it, a second ago at the most.
        ///
        /// - Returns: a status whose `nextPosition` is nil if the database has no checkpoint of this export. Its
        ///   `state` is `connected` as long as an exporter is connected to the database; else what was last heard
        ///   of one: `paused`, `halted` or `offline` by its last error, or `stopped`.
        /// - Throws: ``PostgresError`` with code `unreachable` if the server cannot be reached, or hangs.
        public func remoteStatus() async throws(PostgresError) -> PostgresExportStatus {
            let remote = try await PlainThread.run("tidelog-status") { () throws(PostgresError) in
                try self.remoteState()
            }
            let noted = try? await self.log.consumers.status(of: self.configuration.consumerName)
            let failure = noted?.lastError.flatMap { failure in
                noted?.lastProgress.map { $0 < failure.time } ?? true ? failure : nil
            }
            let error = failure.flatMap { PostgresError(noted: $0.error) }
            let state: PostgresExportStatus.State =
                if remote.isConnected {
                    .connected
                } else if noted?.isPaused ?? false {
                    .paused
                } else if let error {
                    error.mustHalt ? .halted : .offline
                } else {
                    .stopped
                }
            let checkpoint = remote.checkpoint
            return PostgresExportStatus(
                state: state, lastError: error, lastErrorTime: failure?.time, failures: 0,
                nextPosition: checkpoint.map { Position($0.next) }, logEnd: remote.lag.end,
                lagEvents: remote.lag.events, lagBytes: remote.lag.bytes, lag: remote.lag.age,
                exportedEvents: Int(clamping: checkpoint?.exported ?? 0), exportedBytes: 0,
                eventsPerSecond: noted?.rate ?? 0, lastExport: noted?.lastProgress)
        }

        private struct RemoteState: Sendable {
            var checkpoint: Checkpoint?
            var isConnected = false
            var lag: ExportLag
        }

        private func remoteState() throws(PostgresError) -> RemoteState {
            let facts = try LogFacts(of: self.log)
            let connection = try self.connect()
            let uuid = facts.id.uuid ?? (0, 0)
            var checkpoint: Checkpoint?
            if try Schema(names: self.configuration.names).state(connection) != nil {
                checkpoint = try ExportSession.checkpoint(
                    connection, self.configuration.names, .uuid(uuid.high, uuid.low), self.configuration.name)
            }
            let next = checkpoint?.next ?? self.configuration.start.rawValue
            return RemoteState(
                checkpoint: checkpoint,
                isConnected: try ExportPresence(self.configuration, facts.id).isSeen(connection),
                lag: ExportLag(of: self.log, next: next))
        }
    }

    /// A mark in the database that an exporter is connected: an advisory lock that its session shares with others of
    /// its kind. It ends with the connection, however that ends, and keeps nobody out.
    struct ExportPresence {
        private let number: Int64

        init(_ configuration: PostgresExportConfiguration, _ logID: EventID) {
            self.number = configuration.names.lockNumber(of: "export", logID.description, configuration.name)
        }

        /// Sets the mark.
        func show(_ connection: PostgresConnection) throws(PostgresError) {
            try connection.query("SELECT pg_try_advisory_lock_shared($1)", [.bigint(self.number)])
        }

        /// Whether somebody has set it. Every user may look at the locks.
        func isSeen(_ connection: PostgresConnection) throws(PostgresError) -> Bool {
            var isSeen = false
            try connection.query(
                """
                SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' \
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
                AND objsubid = 1 AND (classid::bigint << 32) | objid::bigint = $1)
                """, [.bigint(self.number)]
            ) { row throws(PostgresError) in isSeen = row.boolean(0) }
            return isSeen
        }
    }
#endif
