#if Postgres
    import Tidelog

    /// Makes the partitions that rows need, each once.
    ///
    /// A partition is known by the values that it takes, not by its name: earlier versions gave names that
    /// PostgreSQL cut, and people rename.
    struct Partitions {
        let names: PostgresNames
        /// As the table was when it was last looked at.
        private(set) var layout: PostgresLayout
        private var made: Set<String> = []

        init(names: PostgresNames, layout: PostgresLayout) {
            self.names = names
            self.layout = layout
        }

        /// Sees to the partitions for events of a log, and runs `body`, which is a transaction; once more if one of
        /// them was dropped after it was made, or the table is another one now.
        ///
        /// - Parameter months: those of the events; asked for where the table is partitioned by month.
        mutating func run<Value>(
            _ connection: PostgresConnection, logID: EventID, months: () -> Set<Int>,
            _ body: () throws(PostgresError) -> Value
        ) throws(PostgresError) -> Value {
            try self.prepareAsItIs(connection, logID: logID, months)
            do throws(PostgresError) {
                return try body()
            } catch {
                guard error.mayLackPartition, !connection.isBroken else { throw error }
                let before = self.layout
                try self.lookAgain(connection)
                // Where there are no partitions, and were none, a constraint of somebody's is in the way.
                if self.layout == .single, before == .single { throw error }
                guard self.layout != .byMonth || !months().isEmpty else {
                    throw PostgresError(
                        .foreignTable,
                        "the table \(self.names.quoted()) was made anew, and is partitioned by month now; "
                            + "open it again",
                        sqlState: error.sqlState)
                }
                try self.prepare(connection, logID: logID, months)
                return try body()
            }
        }

        /// Looks at the table again. One that is not there, or is another program's, leaves what is known.
        private mutating func lookAgain(_ connection: PostgresConnection) throws(PostgresError) {
            self.made = []
            do throws(PostgresError) {
                if let state = try Schema(names: self.names).state(connection) { self.layout = state.layout }
            } catch {
                if error.code != .foreignTable { throw error }
            }
        }

        /// As ``prepare(_:logID:_:)``, also where the table is no longer as it was when it was last looked at.
        private mutating func prepareAsItIs(
            _ connection: PostgresConnection, logID: EventID, _ months: () -> Set<Int>
        ) throws(PostgresError) {
            do throws(PostgresError) {
                try self.prepare(connection, logID: logID, months)
            } catch {
                if connection.isBroken { throw error }
                let before = self.layout
                try self.lookAgain(connection)
                if self.layout == before { throw error }
                try self.prepare(connection, logID: logID, months)
            }
        }

        /// Sees to the partitions for events of a log, each in a transaction of its own.
        private mutating func prepare(
            _ connection: PostgresConnection, logID: EventID, _ months: () -> Set<Int>
        ) throws(PostgresError) {
            switch self.layout.kind {
            case .single: return
            case .byLog:
                let value = Schema.literal(logID.description)
                try self.make(
                    connection, self.names.partition(of: logID), takes: value, "IN (\(value))")
            case .byMonth:
                for month in months().sorted() {
                    let (from, to) = (Self.day(month), Self.day(month + 1))
                    let name = self.names.table + "_" + String(from.prefix(7)).replacing("-", with: "")
                    let values =
                        "FROM (\(Schema.literal(from + " 00:00:00+00"))) TO "
                        + "(\(Schema.literal(to + " 00:00:00+00")))"
                    try self.make(connection, name, takes: values, values)
                }
            }
        }

        /// - Parameters:
        ///   - part: what the bounds of a partition have in them, as PostgreSQL writes them, if it takes the
        ///     values.
        ///   - values: the bounds that a new one gets.
        private mutating func make(
            _ connection: PostgresConnection, _ table: String, takes part: String, _ values: String
        ) throws(PostgresError) {
            if self.made.contains(table) { return }
            let name = PostgresNames.quote(self.names.schema) + "." + PostgresNames.quote(table)
            let parent = self.names.quoted()
            var (isThere, isFound) = (false, false)
            try connection.query(
                """
                SELECT to_regclass($1) IS NOT NULL, EXISTS (SELECT 1 FROM pg_inherits i \
                JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhrelid = to_regclass($1) \
                AND i.inhparent = to_regclass($2) AND position($3 IN pg_get_expr(c.relpartbound, c.oid)) > 0)
                """, [.text(name), .text(parent), .text(part)]
            ) { row throws(PostgresError) in (isThere, isFound) = (row.boolean(0), row.boolean(1)) }
            if !isFound {
                try connection.query(
                    """
                    SELECT EXISTS (SELECT 1 FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
                    WHERE i.inhparent = to_regclass($1) \
                    AND position($2 IN pg_get_expr(c.relpartbound, c.oid)) > 0)
                    """, [.text(parent), .text(part)]
                ) { row throws(PostgresError) in isFound = row.boolean(0) }
            }
            if isThere, !isFound {
                throw PostgresError(
                    .foreignTable,
                    "the table \(name) is there and is no partition of \(parent) for this; attach it again, "
                        + "or give it another name")
            }
            if !isFound { try self.create(connection, name, values) }
            self.made.insert(table)
        }

        /// Makes a partition, with the columns and indexes that the table has now, unless another takes the
        /// values.
        private func create(
            _ connection: PostgresConnection, _ name: String, _ values: String
        ) throws(PostgresError) {
            do throws(PostgresError) {
                try connection.transaction { () throws(PostgresError) in
                    try connection.query("SELECT pg_advisory_xact_lock($1)", [.bigint(self.names.lockNumber)])
                    try connection.execute(
                        "CREATE TABLE IF NOT EXISTS \(name) PARTITION OF \(self.names.quoted()) FOR VALUES \(values)"
                    )
                }
            } catch {
                // A wider partition is there (42P17), or the default one has such rows (23514): rows go
                // there.
                guard error.sqlState == "42P17" || error.mayLackPartition, !connection.isBroken else {
                    throw error
                }
            }
        }

        /// The month of a timestamp: months since the year 0.
        static func month(of timestamp: Timestamp) -> Int {
            let text = timestamp.description  // RFC 3339 in UTC
            return (Int(text.prefix(4)) ?? 0) * 12 + (Int(text.dropFirst(5).prefix(2)) ?? 1) - 1
        }

        private static func day(_ month: Int) -> String {
            let (year, rest) = (month / 12, month % 12 + 1)
            return "\(year)-\(rest < 10 ? "0" : "")\(rest)-01"
        }
    }

    extension PostgresNames {
        /// The name of a log's partition: its table's, and the digits of its UUID. Where PostgreSQL, which
        /// takes 63 bytes, would cut that, digits of a digest of the UUID, of which fewer tell two logs
        /// apart.
        func partition(of logID: EventID) -> String {
            let digits = String(logID.description.filter { $0 != "-" })
            if self.table.utf8.count + 1 + digits.utf8.count <= 63 { return self.table + "_" + digits }
            let digest = SHA256.digest(Array(digits.utf8)).prefix(11)
            return self.table + "_"
                + digest.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        }
    }
#endif
