#if Postgres
    /// The tables: made and brought up to date in versioned steps under an advisory lock.
    struct Schema {
        /// The version that this build makes and needs.
        static let version: Int64 = 8

        let names: PostgresNames
        var layout: PostgresLayout = .single
        var indexes: PostgresIndexes = .all

        /// What is there: the version, and the layout that the table of events has now.
        struct State {
            var version: Int64
            var layout: PostgresLayout
        }

        /// Sees to it that the tables are there and up to date; answers their layout.
        ///
        /// - Parameter upTo: the version to stop at; lower than ``version`` only in tests.
        /// - Throws: ``PostgresError`` with codes `foreignTable`, `newerSchema`, `permissionDenied`, `readOnly`.
        func prepare(
            _ connection: PostgresConnection, upTo target: Int64 = Self.version
        ) throws(PostgresError) -> PostgresLayout {
            // What is up to date needs no lock, and no privilege but that of reading.
            if let state = try self.state(connection), state.version >= target {
                try self.refuseNewer(state)
                return state.layout
            }
            // Making an index of a large table takes its time, and so does waiting for who makes it. Where
            // nobody asks whether the server is at work, there is no limit to that.
            let limit = connection.answerLimit
            if connection.inquiry == nil { connection.answerLimit = nil }
            defer { connection.answerLimit = limit }
            return try connection.transaction { () throws(PostgresError) in
                try connection.query("SELECT pg_advisory_xact_lock($1)", [.bigint(self.names.lockNumber)])
                var state = try self.state(connection) ?? State(version: 0, layout: self.layout)
                try self.refuseNewer(state)
                while state.version < target {
                    for statement in self.steps(state)[Int(state.version)] {
                        try connection.execute(statement)
                    }
                    state.version += 1
                    try connection.query(
                        "UPDATE \(self.names.quoted("_meta")) SET version = $1", [.bigint(state.version)])
                }
                return state.layout
            }
        }

        /// What is there; nil if nothing is.
        ///
        /// - Throws: ``PostgresError`` with code `foreignTable` if the name is taken by something else.
        func state(_ connection: PostgresConnection) throws(PostgresError) -> State? {
            var (hasEvents, columns) = (false, 0)
            // Whoever makes the table anew, in another layout, need not tell the table beside it.
            var layout = PostgresLayout.single
            try connection.query(
                """
                SELECT to_regclass($1) IS NOT NULL, (SELECT count(*) FROM pg_attribute \
                WHERE attrelid = to_regclass($2) AND attname IN ('product', 'version', 'layout')), \
                (SELECT p.partstrat::text || ' ' || a.attname FROM pg_partitioned_table p \
                JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0] \
                WHERE p.partrelid = to_regclass($1))
                """, [.text(self.names.quoted()), .text(self.names.quoted("_meta"))]
            ) { row throws(PostgresError) in
                (hasEvents, columns) = (row.boolean(0), Int(try row.requiredInteger(1)))
                switch row.text(2) {
                case "l log_id": layout = .byLog
                case "r occurred_at": layout = .byMonth
                default: break
                }
            }
            if !hasEvents && columns == 0 { return nil }
            var state: State?
            if columns == 3 {
                try connection.query(
                    "SELECT version FROM \(self.names.quoted("_meta")) WHERE product = 'tidelog'"
                ) { row throws(PostgresError) in
                    state = State(version: try row.requiredInteger(0), layout: layout)
                }
            }
            guard let state, hasEvents else {
                throw PostgresError(
                    .foreignTable,
                    "the table \(self.names.quoted()) or one beside it is there and is not Tidelog's; choose "
                        + "another schema or table")
            }
            return state
        }

        private func refuseNewer(_ state: State) throws(PostgresError) {
            guard state.version > Self.version else { return }
            throw PostgresError(
                .newerSchema,
                "the tables have version \(state.version) and this build knows \(Self.version); update this "
                    + "program")
        }

        // MARK: Steps

        /// The statements of each step, from nothing to version 1, from 1 to 2, ….
        private func steps(_ state: State) -> [[String]] {
            [
                self.makeExportTables(state.layout), self.makeStoreTables(), self.makeStoreFunction(),
                // Since version 4 the function finds ids by their index, whatever was known of the table.
                [StoreFunction.definition(self.names)],
                // Null where an earlier version made the checkpoint: it did not note where the export began.
                ["ALTER TABLE \(self.names.quoted("_checkpoints")) ADD COLUMN start_position bigint"],
                // Null as well: it did not note which rows it had counted.
                ["ALTER TABLE \(self.names.quoted("_checkpoints")) ADD COLUMN position_fingerprint bigint"],
                // Since version 7 the function looks for no ids where all are newer than what is there.
                [StoreFunction.definition(self.names)],
                self.countChanges(),
            ]
        }

        private func makeExportTables(_ layout: PostgresLayout) -> [String] {
            let events = self.names.quoted()
            let schema = PostgresNames.quote(self.names.schema)
            let time = layout == .byMonth ? ", occurred_at" : ""
            let partitions =
                switch layout.kind {
                case .single: ""
                case .byLog: " PARTITION BY LIST (log_id)"
                case .byMonth: " PARTITION BY RANGE (occurred_at)"
                }
            var statements = [
                // A schema that is there is used without the right to make one. One that is made at the same moment,
                // for other tables, is there.
                """
                DO \(Self.literal("BEGIN IF to_regnamespace(\(Self.literal(schema))) IS NULL "
                    + "THEN CREATE SCHEMA \(schema); END IF; "
                    + "EXCEPTION WHEN duplicate_schema OR unique_violation THEN NULL; END"))
                """,
                """
                CREATE TABLE \(self.names.quoted("_meta")) \
                (product text PRIMARY KEY, version bigint NOT NULL, layout text NOT NULL)
                """,
                """
                INSERT INTO \(self.names.quoted("_meta")) VALUES ('tidelog', 0, '\(layout.kind.rawValue)')
                """,
                """
                CREATE TABLE \(events) (
                log_id uuid NOT NULL, position bigint NOT NULL CHECK (position >= 0), revision bigint,
                occurred_at timestamptz NOT NULL, nanoseconds smallint NOT NULL, schema_version bigint NOT NULL,
                id text COLLATE "C" NOT NULL, type text COLLATE "C" NOT NULL, stream text COLLATE "C",
                source text COLLATE "C", content_type text COLLATE "C", tenant_id text COLLATE "C",
                correlation_id text COLLATE "C", causation_id text COLLATE "C",
                metadata jsonb, metadata_raw bytea, payload jsonb, payload_raw bytea,
                PRIMARY KEY (log_id, position\(time)))\(partitions)
                """,
                "CREATE UNIQUE INDEX ON \(events) (log_id, stream, revision\(time)) WHERE stream IS NOT NULL",
                """
                CREATE TABLE \(self.names.quoted("_checkpoints")) (
                log_id uuid NOT NULL, exporter text COLLATE "C" NOT NULL, next_position bigint NOT NULL,
                incarnation bigint NOT NULL, filter text NOT NULL, exported bigint NOT NULL,
                anchor_position bigint, anchor_digest bytea, last_position bigint, last_digest bytea,
                updated_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (log_id, exporter))
                """,
            ]
            let all: [(PostgresIndexes, String)] = [
                (.id, "(log_id, id)"), (.type, "(log_id, type, position)"),
                (.correlation, "(log_id, correlation_id, position) WHERE correlation_id IS NOT NULL"),
                (.time, "USING brin (occurred_at)"),
            ]
            for (option, definition) in all where self.indexes.contains(option) {
                let (method, rest) =
                    definition.hasPrefix("USING") ? ("USING brin ", "(occurred_at)") : ("", definition)
                statements.append("CREATE INDEX ON \(events) \(method)\(rest)")
            }
            return statements
        }

        private func makeStoreTables() -> [String] {
            [
                // A log that the event store appends to; its row is what orders the appends.
                """
                CREATE TABLE \(self.names.quoted("_logs")) (
                log_id uuid PRIMARY KEY, name text COLLATE "C" NOT NULL UNIQUE, next_position bigint NOT NULL,
                created_at timestamptz NOT NULL DEFAULT now())
                """,
                // Only streams that were truncated or deleted.
                """
                CREATE TABLE \(self.names.quoted("_streams")) (
                log_id uuid NOT NULL, stream text COLLATE "C" NOT NULL, first_revision bigint NOT NULL,
                last_revision bigint NOT NULL, first_position bigint NOT NULL, last_position bigint NOT NULL,
                is_deleted boolean NOT NULL, PRIMARY KEY (log_id, stream))
                """,
                """
                CREATE TABLE \(self.names.quoted("_snapshots")) (
                log_id uuid NOT NULL, stream text COLLATE "C" NOT NULL, revision bigint NOT NULL,
                kind text COLLATE "C" NOT NULL, state bytea NOT NULL, PRIMARY KEY (log_id, stream))
                """,
            ]
        }

        private func makeStoreFunction() -> [String] {
            [
                // Its one row is written by every append; room in its page keeps the index out of that.
                "ALTER TABLE \(self.names.quoted("_logs")) SET (fillfactor = 10)",
                StoreFunction.definition(self.names),
            ]
        }

        /// Counts how often streams of a log are hidden: by it appends notice that, whoever does it.
        private func countChanges() -> [String] {
            let (logs, function) = (self.names.quoted("_logs"), self.names.quoted("_hidden"))
            let body =
                "BEGIN UPDATE \(logs) SET changes = changes + 1 WHERE log_id = coalesce(NEW.log_id, OLD.log_id); "
                + "RETURN NULL; END"
            return [
                "ALTER TABLE \(logs) ADD COLUMN changes bigint NOT NULL DEFAULT 0",
                "CREATE OR REPLACE FUNCTION \(function) () RETURNS trigger LANGUAGE plpgsql AS \(Self.literal(body))",
                """
                CREATE TRIGGER tidelog_hidden AFTER INSERT OR UPDATE OR DELETE ON \(self.names.quoted("_streams")) \
                FOR EACH ROW EXECUTE FUNCTION \(function) ()
                """,
            ]
        }

        /// A text as a literal of SQL, under standard-conforming strings.
        static func literal(_ text: String) -> String { "'" + text.replacing("'", with: "''") + "'" }
    }
#endif
