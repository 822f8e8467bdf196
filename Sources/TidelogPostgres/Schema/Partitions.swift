#if Postgres
    import Tidelog

    /// Makes the partitions that rows need, each once.
    struct Partitions {
        let names: PostgresNames
        let layout: PostgresLayout
        private var made: Set<String> = []

        init(names: PostgresNames, layout: PostgresLayout) {
            self.names = names
            self.layout = layout
        }

        /// Sees to the partitions for events of a log in these months, and runs `body`, which is a transaction; once
        /// more if one of them was dropped after it was made.
        mutating func run<Value>(
            _ connection: PostgresConnection, logID: EventID, months: Set<Int>,
            _ body: () throws(PostgresError) -> Value
        ) throws(PostgresError) -> Value {
            if self.layout == .single { return try body() }
            try self.prepare(connection, logID: logID, months: months)
            do throws(PostgresError) {
                return try body()
            } catch {
                guard error.mayLackPartition, !connection.isBroken else { throw error }
                self.made = []
                try self.prepare(connection, logID: logID, months: months)
                return try body()
            }
        }

        /// Sees to the partitions for events of a log in these months, each in a transaction of its own.
        private mutating func prepare(
            _ connection: PostgresConnection, logID: EventID, months: Set<Int>
        ) throws(PostgresError) {
            switch self.layout.kind {
            case .single: return
            case .byLog:
                let id = logID.description
                let digits = String(id.filter { $0 != "-" })
                try self.make(connection, suffix: "_" + digits, "IN (\(Schema.literal(id)))")
            case .byMonth:
                for month in months.sorted() {
                    let (from, to) = (Self.day(month), Self.day(month + 1))
                    let suffix = "_" + String(from.prefix(7)).replacing("-", with: "")
                    try self.make(
                        connection, suffix: suffix,
                        "FROM (\(Schema.literal(from + " 00:00:00+00"))) TO (\(Schema.literal(to + " 00:00:00+00")))"
                    )
                }
            }
        }

        private mutating func make(
            _ connection: PostgresConnection, suffix: String, _ values: String
        ) throws(PostgresError) {
            if self.made.contains(suffix) { return }
            var (isThere, isAttached) = (false, false)
            let name = self.names.quoted(suffix)
            try connection.query(
                """
                SELECT to_regclass($1) IS NOT NULL, EXISTS (SELECT 1 FROM pg_inherits \
                WHERE inhrelid = to_regclass($1) AND inhparent = to_regclass($2))
                """, [.text(name), .text(self.names.quoted())]
            ) { row throws(PostgresError) in (isThere, isAttached) = (row.boolean(0), row.boolean(1)) }
            if isThere, !isAttached {
                throw PostgresError(
                    .foreignTable,
                    "the table \(name) is there and is no partition of \(self.names.quoted()); attach it again, or "
                        + "give it another name")
            }
            if !isThere {
                try connection.transaction { () throws(PostgresError) in
                    try connection.query("SELECT pg_advisory_xact_lock($1)", [.bigint(self.names.lockNumber)])
                    try connection.execute(
                        "CREATE TABLE IF NOT EXISTS \(name) PARTITION OF \(self.names.quoted()) FOR VALUES \(values)"
                    )
                }
            }
            self.made.insert(suffix)
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
#endif
