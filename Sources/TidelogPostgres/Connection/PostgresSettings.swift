#if Postgres
    /// How a database is reached: a connection string as libpq takes it, and limits of time.
    ///
    /// `host=db dbname=farm user=tidelog sslmode=verify-full`, `postgres://tidelog@db/farm?sslmode=require` or
    /// `service=farm`. What it does not say comes from libpq's environment variables (`PGHOST`, `PGPASSWORD`,
    /// …), service files and password files. What is printed of it never has the password.
    public struct PostgresSettings: Sendable, CustomStringConvertible, CustomReflectable {
        let connectionString: String
        /// How long connecting may take. Default: 10 seconds.
        public var connectTimeout: Duration = .seconds(10)
        /// How long a sent packet may stay unanswered by the other machine before the connection counts as
        /// lost; of no effect on a Unix socket. Default: 30 seconds.
        public var networkTimeout: Duration = .seconds(30)
        /// The same as libpq and the server take it.
        var networkMilliseconds: Int64 { max(1, self.networkTimeout.components.seconds) * 1000 }
        /// The name that the server's views of activity show. Default: `tidelog`.
        public var applicationName = "tidelog"

        /// Settings with this connection string; empty: everything from the environment.
        public init(_ connectionString: String) { self.connectionString = connectionString }

        /// Whether the connection string itself holds a password, of the user or of the client's key.
        ///
        /// - Throws: ``PostgresError`` with code `invalidConfiguration` for a string that cannot be read.
        public func hasPassword() throws(PostgresError) -> Bool {
            try !PostgresConnection.passwords(in: self.connectionString).isEmpty
        }

        /// Nothing of the connection string: it can hold a password.
        public var description: String { "PostgresSettings(…)" }

        /// Nothing of the connection string: it can hold a password.
        public var customMirror: Mirror { Mirror(self, children: [:]) }
    }

    /// The names of the tables. Any text is taken and quoted.
    public struct PostgresNames: Sendable, Hashable {
        /// The schema. Default: `tidelog`.
        public var schema: String
        /// The table of events; those beside it begin with its name. Default: `events`.
        public var table: String

        /// These names.
        public init(schema: String = "tidelog", table: String = "events") {
            self.schema = schema
            self.table = table
        }

        /// - Throws: ``PostgresError`` with code `invalidConfiguration` for names that PostgreSQL would cut.
        func validate() throws(PostgresError) {
            // 63 bytes is the most that a name may have, and the longest name made from this one has 20 more.
            for (what, name, most) in [("schema", self.schema, 63), ("table", self.table, 40)] {
                guard !name.isEmpty, name.utf8.count <= most, !name.utf8.contains(0) else {
                    throw PostgresError(
                        .invalidConfiguration,
                        "the name of the \(what) must have 1 to \(most) bytes of UTF-8 and no NUL")
                }
            }
        }

        /// The table of events, or, with a suffix, one beside it, quoted.
        func quoted(_ suffix: String = "") -> String {
            Self.quote(self.schema) + "." + Self.quote(self.table + suffix)
        }

        /// A name as PostgreSQL reads it back unchanged (SQL, delimited identifier).
        static func quote(_ name: String) -> String {
            // Names are quoted for each statement, and next to none has a quotation mark.
            let inner =
                name.utf8.contains(UInt8(ascii: "\"")) ? name.replacing("\"", with: "\"\"") : name
            return "\"" + inner + "\""
        }

        /// The channel that appends and exports are notified on: a name of at most 63 bytes.
        var channel: String {
            let digest = SHA256.digest(Array("\(self.schema)\u{0}\(self.table)".utf8))
            return "tidelog_" + digest.prefix(12).map { Self.hex($0) }.joined()
        }

        /// The number of the advisory lock for changes of the tables.
        var lockNumber: Int64 { self.lockNumber(of: []) }

        /// The number of an advisory lock for something of these tables.
        func lockNumber(of parts: String...) -> Int64 { self.lockNumber(of: parts) }

        private func lockNumber(of parts: [String]) -> Int64 {
            let text = (["tidelog", self.schema, self.table] + parts).joined(separator: "\u{0}")
            let digest = SHA256.digest(Array(text.utf8))
            return digest.prefix(8).reduce(0) { $0 << 8 | Int64($1) }
        }

        private static func hex(_ byte: UInt8) -> String {
            (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }
    }
#endif
