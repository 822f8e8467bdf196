#if Postgres
    import CTidelogPostgres
    import Glibc

    /// A connection to a server, for one thread: every call blocks. The only place that touches libpq.
    ///
    /// Values go as bound parameters in binary form; names in statements come from ``PostgresNames``. Of the
    /// server's errors only code and primary message are kept: details can quote rows.
    final class PostgresConnection {
        let handle: OpaquePointer
        private let switchOff: ConnectionSwitch
        private let passwords: [String]
        /// The names of prepared statements by their text.
        var prepared: [PreparedKey: String] = [:]
        /// The names of those that have a place.
        var placed: [String?] = .init(repeating: nil, count: PostgresStatement.Place.allCases.count)
        /// The text of a statement that was sent ahead of the call that takes its answer.
        var ahead: String?
        /// Makes events of rows, and keeps what they have in common.
        var decoder = RowDecoder()
        /// The partitions that are known to be there.
        var partitions: Partitions?

        private init(_ handle: OpaquePointer, _ switchOff: ConnectionSwitch, passwords: [String]) {
            self.handle = handle
            self.switchOff = switchOff
            self.passwords = passwords
        }

        deinit {
            self.switchOff.detach()
            PQfinish(self.handle)
        }

        // MARK: Connecting

        /// Connects, and asks for UTF-8, binary-safe settings and quiet.
        ///
        /// - Parameter switchOff: what can cut the connection from another thread, also while it is made.
        static func connect(
            _ settings: PostgresSettings, switchOff: ConnectionSwitch
        ) throws(PostgresError) -> PostgresConnection {
            let passwords = try Self.passwords(in: settings.connectionString)
            let milliseconds = max(1, settings.networkTimeout.components.seconds) * 1000
            // Later words win, so what the connection string says goes before these defaults.
            let words: [(String, String)] = [
                ("keepalives_idle", "30"), ("keepalives_interval", "10"), ("keepalives_count", "3"),
                ("tcp_user_timeout", "\(milliseconds)"),
                ("fallback_application_name", settings.applicationName),
                ("dbname", settings.connectionString), ("client_encoding", "UTF8"),
            ]
            let started = Self.withStrings(words.map(\.0)) { keys in
                Self.withStrings(words.map(\.1)) { values in PQconnectStartParams(keys, values, 1) }
            }
            guard let handle = started else {
                throw PostgresError(.unreachable, "libpq has no memory for a connection")
            }
            let connection = PostgresConnection(handle, switchOff, passwords: passwords)
            PQsetErrorVerbosity(handle, PQERRORS_VERBOSE)
            // By default, libpq prints what the server notes to standard error.
            PQsetNoticeProcessor(handle, { _, _ in }, nil)
            try connection.awaitConnection(settings.connectTimeout)
            guard PQserverVersion(handle) >= 130_000 else {
                throw PostgresError(
                    .unsupportedServer,
                    "the server is version \(PQserverVersion(handle) / 10_000); it must be 13 or newer")
            }
            guard PQparameterStatus(handle, "server_encoding").map({ String(cString: $0) }) == "UTF8" else {
                throw PostgresError(
                    .unsupportedServer, "the database's encoding is not UTF8; create one with ENCODING 'UTF8'"
                )
            }
            try connection.execute(
                "SET client_min_messages = error; SET standard_conforming_strings = on; SET DateStyle = ISO;"
                    + " SET TimeZone = 'UTC'; SET extra_float_digits = 1; SET search_path = pg_catalog, pg_temp;"
                    // Who waited for a lock must see what was committed meanwhile, whatever the default is.
                    + " SET default_transaction_isolation = 'read committed';"
                    // What is acknowledged is on the disk, whatever the server's default is.
                    + " SELECT set_config('synchronous_commit', 'on', false)"
                    + " WHERE current_setting('synchronous_commit') = 'off'"
            )
            return connection
        }

        /// The passwords that the string holds, which no message may show; throws for a string that is malformed.
        static func passwords(in connectionString: String) throws(PostgresError) -> [String] {
            // Without these, libpq takes it for the name of a database.
            let isDatabase =
                !connectionString.contains("=") && !connectionString.hasPrefix("postgres://")
                && !connectionString.hasPrefix("postgresql://")
            // libpq's own message would quote the string.
            guard !connectionString.utf8.contains(0) else { throw Self.malformed }
            if isDatabase {
                // An address that is misspelt would be a database's name for libpq, and the server would repeat it,
                // password and all. A database of such a name is reached by `dbname=`.
                guard !connectionString.contains("@"), !connectionString.contains(":/") else {
                    throw Self.malformed
                }
                return []
            }
            guard let options = PQconninfoParse(connectionString, nil) else { throw Self.malformed }
            defer { PQconninfoFree(options) }
            var passwords: [String] = []
            var option = options
            while let keyword = option.pointee.keyword {
                if String(cString: keyword).hasSuffix("password"), let value = option.pointee.val {
                    passwords.append(String(cString: value))
                }
                option += 1
            }
            return passwords
        }

        private static var malformed: PostgresError {
            PostgresError(
                .invalidConfiguration,
                "the connection string cannot be read; write \"host=… dbname=… user=…\" or "
                    + "\"postgres://user@host/database\"")
        }

        private func awaitConnection(_ timeout: Duration) throws(PostgresError) {
            let end = ContinuousClock.now + timeout
            var status = PGRES_POLLING_WRITING
            var isSecuring = false
            while status != PGRES_POLLING_OK {
                // Without a socket there is nothing to wait for: libpq gave up at once.
                if status == PGRES_POLLING_FAILED || PQstatus(self.handle) == CONNECTION_BAD
                    || PQsocket(self.handle) < 0
                {
                    throw self.connectionFailure(isSecuring: isSecuring)
                }
                if self.switchOff.isOff { throw PostgresError(.closed, "connecting was stopped") }
                guard ContinuousClock.now < end else {
                    throw PostgresError(.unreachable, "no connection within \(timeout); it is tried again")
                }
                // In slices, so that a stop is seen soon.
                var entry = pollfd(
                    fd: PQsocket(self.handle),
                    events: Int16(status == PGRES_POLLING_READING ? POLLIN : POLLOUT), revents: 0)
                if poll(&entry, 1, 50) != 0 {
                    isSecuring = PQstatus(self.handle) == CONNECTION_SSL_STARTUP
                    status = PQconnectPoll(self.handle)
                }
            }
            self.switchOff.attach(PQsocket(self.handle))
            guard PQstatus(self.handle) == CONNECTION_OK else {
                throw self.connectionFailure(isSecuring: false)
            }
        }

        /// Why there is no connection. libpq keeps no SQLSTATE of a refusal but in its verbose message.
        ///
        /// - Parameter isSecuring: whether it ended while TLS was being agreed on.
        private func connectionFailure(isSecuring: Bool) -> PostgresError {
            let text = self.message
            if let match = text.firstMatch(of: #/: +([0-9A-Z]{3}[0-9]{2}): (.*?)( LOCATION:.*)?$/#) {
                return PostgresError(
                    sqlState: String(match.1), message: String(match.2), while: "connecting")
            }
            if PQconnectionNeedsPassword(self.handle) == 1 {
                return PostgresError(
                    .authentication,
                    "connecting: the server asks for a password; set PGPASSWORD or a password file")
            }
            if isSecuring {
                return PostgresError(
                    .tls, "connecting: \(text); check sslmode, sslrootcert, host and the server's certificate"
                )
            }
            return PostgresError(.unreachable, "connecting: \(text); it is tried again")
        }

        /// libpq's message on one line, without the password.
        private var message: String {
            let text = String(cString: PQerrorMessage(self.handle))
            var line = text.split(whereSeparator: \.isNewline).joined(separator: " ")
            for secret in self.passwords where !secret.isEmpty { line = line.replacing(secret, with: "***") }
            return String(line.prefix(500))
        }

        // MARK: Statements

        /// Whether the connection is of no use any more.
        var isBroken: Bool { PQstatus(self.handle) != CONNECTION_OK }

        /// Runs one or more statements without parameters and answers.
        func execute(_ statement: String) throws(PostgresError) {
            let result = ServerAnswer(PQexec(self.handle, statement))
            try self.check(result, statement, accepting: [PGRES_COMMAND_OK, PGRES_TUPLES_OK])
        }

        /// Runs one statement; lends each row of its answer to `body`. Answers how many rows it concerned.
        @discardableResult
        func query(
            _ statement: String, _ parameters: [PostgresValue] = [],
            _ body: (PostgresRow) throws(PostgresError) -> Void = { _ throws(PostgresError) in }
        ) throws(PostgresError) -> Int {
            let result = ServerAnswer(
                self.send(parameters) { count, types, values, lengths, formats in
                    PQexecParams(self.handle, statement, count, types, values, lengths, formats, 1)
                })
            try self.check(result, statement, accepting: [PGRES_COMMAND_OK, PGRES_TUPLES_OK])
            try result.forEachRow(body)
            return Int(String(cString: PQcmdTuples(result.handle))) ?? 0
        }

        /// Runs a `COPY … FROM STDIN (FORMAT binary)` with these bytes; answers how many rows it took.
        func copy(_ statement: String, _ bytes: [UInt8]) throws(PostgresError) -> Int {
            try self.check(
                ServerAnswer(PQexec(self.handle, statement)), statement, accepting: [PGRES_COPY_IN])
            var isLost = false
            bytes.withUnsafeBytes { all in
                var at = 0
                while at < all.count, !isLost {
                    // In pieces: libpq keeps a piece until the socket has taken it.
                    let count = min(256 << 10, all.count - at)
                    let piece = all.baseAddress?.advanced(by: at).assumingMemoryBound(to: CChar.self)
                    isLost = PQputCopyData(self.handle, piece, Int32(count)) != 1
                    at += count
                }
            }
            if isLost || PQputCopyEnd(self.handle, nil) != 1 {
                if self.isBroken { throw self.lost(while: statement) }
            }
            let result = ServerAnswer(PQgetResult(self.handle))
            while let rest = PQgetResult(self.handle) {
                PQclear(rest)
                if self.isBroken { break }
            }
            try self.check(result, statement, accepting: [PGRES_COMMAND_OK])
            return Int(String(cString: PQcmdTuples(result.handle))) ?? 0
        }

        /// Runs `body` in a transaction: committed when it returns, rolled back when it throws.
        func transaction<Value>(
            _ body: () throws(PostgresError) -> Value
        ) throws(PostgresError) -> Value {
            try self.execute("BEGIN")
            do throws(PostgresError) {
                let value = try body()
                try self.execute("COMMIT")
                return value
            } catch {
                if !self.isBroken { try? self.execute("ROLLBACK") }
                throw error
            }
        }

        /// Waits for notifications, at most so long; answers whether there was one.
        func waitForNotification(_ timeout: Duration) throws(PostgresError) -> Bool {
            var entry = pollfd(fd: PQsocket(self.handle), events: Int16(POLLIN), revents: 0)
            let (seconds, attoseconds) = timeout.components
            let milliseconds = Int32(clamping: seconds * 1000 + attoseconds / 1_000_000_000_000_000)
            if PQisBusy(self.handle) == 0, self.takeNotifications() { return true }
            _ = poll(&entry, 1, milliseconds)
            guard PQconsumeInput(self.handle) == 1 else { throw self.lost(while: "LISTEN") }
            return self.takeNotifications()
        }

        private func takeNotifications() -> Bool {
            var isAny = false
            while let notification = PQnotifies(self.handle) {
                PQfreemem(notification)
                isAny = true
            }
            return isAny
        }

        // MARK: Below

        func send<Answer>(
            _ parameters: [PostgresValue],
            _ call: (
                Int32, UnsafePointer<Oid>, UnsafePointer<UnsafePointer<CChar>?>, UnsafePointer<Int32>,
                UnsafePointer<Int32>
            ) -> Answer
        ) -> Answer {
            // One block for all values, each with a byte behind it: an empty one must still have an address, or it
            // would be null.
            let count = parameters.count
            var block: [UInt8] = []
            block.reserveCapacity(parameters.reduce(count + 1) { $0 + $1.byteCount })
            return withUnsafeTemporaryAllocation(of: UInt32.self, capacity: count + 1) { types in
                withUnsafeTemporaryAllocation(of: Int32.self, capacity: 2 * count + 2) { numbers in
                    types.initialize(repeating: 0)
                    // First the lengths, and -1 for null; then the formats, of which 1 is the binary one.
                    numbers.initialize(repeating: 1)
                    for index in 0..<count {
                        types[index] = parameters[index].typeNumber
                        numbers[index] = Int32(parameters[index].write(to: &block) ?? -1)
                        block.append(0)
                    }
                    block.append(0)
                    return Self.withPointers(block, numbers[..<count]) { values in
                        call(
                            Int32(count), UnsafePointer(types.baseAddress.unsafelyUnwrapped), values,
                            UnsafePointer(numbers.baseAddress.unsafelyUnwrapped),
                            UnsafePointer(numbers.baseAddress.unsafelyUnwrapped + count + 1))
                    }
                }
            }
        }

        /// Lends pointers to the values in a block, nil for nulls.
        private static func withPointers<Answer>(
            _ block: [UInt8], _ lengths: Slice<UnsafeMutableBufferPointer<Int32>>,
            _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Answer
        ) -> Answer {
            block.withUnsafeBytes { bytes in
                withUnsafeTemporaryAllocation(
                    of: UnsafePointer<CChar>?.self, capacity: lengths.count + 1
                ) { pointers in
                    pointers.initialize(repeating: nil)
                    var start = 0
                    for index in 0..<lengths.count {
                        let length = Int(lengths[index])
                        if length >= 0 {
                            pointers[index] = bytes.baseAddress?.advanced(by: start)
                                .assumingMemoryBound(to: CChar.self)
                        }
                        start += max(0, length) + 1
                    }
                    return body(UnsafePointer(pointers.baseAddress.unsafelyUnwrapped))
                }
            }
        }

        func check(
            _ result: ServerAnswer, _ statement: String, accepting statuses: [ExecStatusType]
        ) throws(PostgresError) {
            guard let handle = result.handle else { throw self.lost(while: statement) }
            try self.check(handle, statement, accepting: statuses)
        }

        func check(
            _ handle: OpaquePointer, _ statement: String, accepting statuses: [ExecStatusType]
        ) throws(PostgresError) {
            let status = PQresultStatus(handle)
            if statuses.contains(status) { return }
            guard let state = PQresultErrorField(handle, tidelog_pq_sqlstate) else {
                throw self.lost(while: statement)
            }
            let text = PQresultErrorField(handle, tidelog_pq_message).map { String(cString: $0) } ?? ""
            throw PostgresError(
                sqlState: String(cString: state), message: String(text.prefix(300)),
                while: Self.verb(statement))
        }

        func lost(while statement: String) -> PostgresError {
            if self.switchOff.isOff { return PostgresError(.closed, "the connection was cut by a stop") }
            return PostgresError(
                .unreachable, "\(Self.verb(statement)): the connection was lost; it is tried again")
        }

        /// The statement's first word, for messages.
        private static func verb(_ statement: String) -> String {
            String(statement.drop { !$0.isLetter }.prefix { $0.isLetter })
        }

        private static func withStrings<Answer>(
            _ strings: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Answer
        ) -> Answer {
            let copies = strings.map { strdup($0) }
            defer { for copy in copies { free(copy) } }
            return (copies.map { UnsafePointer($0) } + [nil]).withUnsafeBufferPointer {
                body($0.baseAddress.unsafelyUnwrapped)
            }
        }
    }

    /// An answer of libpq, freed with its owner.
    final class ServerAnswer {
        let handle: OpaquePointer?
        init(_ handle: OpaquePointer?) { self.handle = handle }
        deinit { PQclear(self.handle) }

        /// Lends each row of the answer.
        func forEachRow(_ body: (PostgresRow) throws(PostgresError) -> Void) throws(PostgresError) {
            guard let handle else { return }
            for row in 0..<PQntuples(handle) { try body(PostgresRow(result: handle, row: row)) }
        }
    }
#endif
