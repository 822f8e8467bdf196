#if Postgres
    import Tidelog

    /// A connection on which a log is exported: compares both sides, and commits batches with the checkpoint.
    final class ExportSession {
        let connection: PostgresConnection
        let names: PostgresNames
        let layout: PostgresLayout
        let configuration: PostgresExportConfiguration
        let log: EventLog
        var facts: LogFacts
        private var partitions: Partitions

        /// Connects and prepares tables and staging.
        init(
            log: EventLog, settings: PostgresSettings, configuration: PostgresExportConfiguration,
            switchOff: ConnectionSwitch
        ) throws(PostgresError) {
            self.log = log
            self.configuration = configuration
            self.names = configuration.names
            self.facts = try LogFacts(of: log)
            self.connection = try PostgresConnection.connect(
                settings, switchOff: switchOff, answerLimit: configuration.answerTimeout, asks: true)
            // The rows of a transaction whose exporter was stopped in its middle, or has given up, are free
            // again then.
            try self.connection.execute("SET idle_in_transaction_session_timeout = '60s'")
            let schema = Schema(
                names: configuration.names, layout: configuration.layout, indexes: configuration.indexes)
            self.layout = try schema.prepare(self.connection)
            self.partitions = Partitions(names: configuration.names, layout: self.layout)
            try ExportPresence(configuration, self.facts.id).show(self.connection)
            try self.connection.execute(
                """
                CREATE TEMP TABLE tidelog_stage ON COMMIT DELETE ROWS \
                AS SELECT \(EventColumns.list) FROM \(self.names.quoted()) WITH NO DATA
                """)
        }

        var key: [PostgresValue] { [self.logKey, .text(self.configuration.name)] }

        var logKey: PostgresValue {
            let uuid = self.facts.id.uuid ?? (0, 0)
            return .uuid(uuid.high, uuid.low)
        }

        /// Puts a batch and the checkpoint behind it into the database: both or neither.
        ///
        /// - Throws: ``PostgresError`` with code `busy` if another exporter of this name has moved the
        ///   checkpoint; `diverged` if other events are there at these positions; `eventsGone` if retention
        ///   dropped some of them after log and database were compared.
        func export(_ batch: ExportBatch) throws(PostgresError) {
            let expected = max(batch.from, self.facts.first)
            if batch.logFirst > expected, !self.configuration.accepts.contains(.missingEvents) {
                throw PostgresError(eventsGone: Position(expected)..<Position(batch.logFirst))
            }
            try self.transaction(batch) { () throws(PostgresError) in
                let moved = try self.connection.query(
                    """
                    UPDATE \(self.names.quoted("_checkpoints")) SET next_position = $4, incarnation = $5, \
                    exported = exported + $6, anchor_position = coalesce($7, anchor_position), \
                    anchor_digest = coalesce($8, anchor_digest), \
                    last_position = coalesce($9, last_position), last_digest = coalesce($10, last_digest), \
                    position_fingerprint = position_fingerprint # $12, updated_at = clock_timestamp() \
                    WHERE log_id = $1 AND exporter = $2 AND next_position = $3 \
                    RETURNING pg_notify($11, $1::text)
                    """,
                    self.key + [
                        .bigint(Int64(clamping: batch.from)), .bigint(Int64(clamping: batch.next)),
                        .bigint(Int64(clamping: self.facts.incarnation)), .bigint(Int64(batch.count)),
                        Self.number(batch.anchor), Self.digest(batch.anchor), Self.number(batch.last),
                        Self.digest(batch.last), .text(self.names.channel),
                        .bigint(Int64(bitPattern: batch.fingerprint.bits)),
                    ])
                guard moved == 1 else {
                    throw PostgresError(
                        .busy,
                        "another exporter named \"\(self.configuration.name)\" exports this log and has moved the "
                            + "checkpoint; stop one of them, or name them differently")
                }
                if batch.count > 0 { _ = try self.insert(batch) }
            }
        }

        /// Puts a batch into the database without touching the checkpoint; answers how many rows were new.
        func insertAgain(_ batch: ExportBatch) throws(PostgresError) -> Int {
            if batch.count == 0 { return 0 }
            return try self.transaction(batch) { () throws(PostgresError) in try self.insert(batch) }
        }

        /// A transaction that finds the partitions for a batch.
        private func transaction<Value>(
            _ batch: ExportBatch, _ body: () throws(PostgresError) -> Value
        ) throws(PostgresError) -> Value {
            try self.partitions.run(self.connection, logID: self.facts.id, months: { batch.months }) {
                () throws(PostgresError) in try self.connection.transaction(body)
            }
        }

        private func insert(_ batch: ExportBatch) throws(PostgresError) -> Int {
            let staged = try self.connection.copy(
                "COPY pg_temp.tidelog_stage (\(EventColumns.list)) FROM STDIN (FORMAT binary)", batch.bytes)
            guard staged == batch.count else {
                throw PostgresError(.server, "the server took \(staged) of \(batch.count) rows")
            }
            let range = Position(batch.from)..<Position(batch.next)
            if self.layout == .byMonth { try self.compareStaged(range, distinctTimes: true) }
            let inserted: Int
            do throws(PostgresError) {
                let time = self.layout == .byMonth ? ", occurred_at" : ""
                inserted = try self.connection.query(
                    """
                    INSERT INTO \(self.names.quoted()) (\(EventColumns.list)) \
                    SELECT \(EventColumns.list) FROM pg_temp.tidelog_stage \
                    ON CONFLICT (log_id, position\(time)) DO NOTHING
                    """)
            } catch {
                guard error.sqlState == "23505" else { throw error }
                throw PostgresError(
                    .diverged,
                    "the database has another event for a stream and revision that the log has between "
                        + "\(range.lowerBound) and \(range.upperBound): log and database went different ways",
                    sqlState: error.sqlState, positions: range)
            }
            if inserted < staged { try self.compareStaged(range, distinctTimes: false) }
            return inserted
        }

        /// Sees that what is there already is the same as what is staged.
        private func compareStaged(
            _ range: Range<Position>, distinctTimes: Bool
        ) throws(PostgresError) {
            let differs =
                distinctTimes
                ? "e.occurred_at <> s.occurred_at"
                : "\(EventDigest.expression("s")) <> \(EventDigest.expression("e"))"
            var found: Int64?
            try self.connection.query(
                """
                SELECT min(s.position) FROM pg_temp.tidelog_stage s JOIN \(self.names.quoted()) e \
                ON e.log_id = s.log_id AND e.position = s.position \
                WHERE e.log_id = $1 AND e.position >= $2 AND e.position < $3 AND \(differs)
                """,
                [
                    self.logKey, .bigint(Int64(clamping: range.lowerBound.rawValue)),
                    .bigint(Int64(clamping: range.upperBound.rawValue)),
                ]
            ) { row throws(PostgresError) in found = try row.integer(0) }
            guard let found else { return }
            let position = Position(UInt64(clamping: found))
            throw PostgresError(
                .diverged,
                "the database has another event at position \(position): log and database went different ways. "
                    + "Import the database's events into a new log, or export this one to another table",
                positions: position..<Position(position.rawValue + 1))
        }

        private static func number(_ anchor: Anchor?) -> PostgresValue {
            anchor.map { .bigint(Int64(clamping: $0.position)) } ?? .bigintNull
        }

        private static func digest(_ anchor: Anchor?) -> PostgresValue {
            anchor.map { .bytes($0.digest) } ?? .bytesNull
        }
    }
#endif
