#if Postgres
    import CTidelogPostgres
    import Glibc

    /// How a connection is made. libpq looks up names, reads files and negotiates keys meanwhile, and some of that
    /// blocks for as long as it takes (PostgreSQL, "PQconnectStartParams"); so it happens on a thread that can be
    /// left behind.
    extension PostgresConnection {
        /// Connects, and asks for UTF-8, binary-safe settings and quiet; blocks, but no longer than its limit.
        ///
        /// - Parameters:
        ///   - switchOff: what can cut the connection from another thread, also while it is made.
        ///   - answerLimit: how long the server may be silent afterwards; nil: for ever.
        ///   - asks: whether a server that is silent for that long is asked if it is at work, and waited for
        ///     as long again if it is.
        static func connect(
            _ settings: PostgresSettings, switchOff: ConnectionSwitch, answerLimit: Duration? = nil,
            asks: Bool = false
        ) throws(PostgresError) -> PostgresConnection {
            let passwords = try Self.passwords(in: settings.connectionString)
            let end = ContinuousClock.now + settings.connectTimeout
            let connection = try Self.dial(settings, switchOff, passwords)
            let handle = connection.handle
            // Every wait is one of ours, which has a limit.
            guard PQsetnonblocking(handle, 1) == 0 else { throw connection.lost(while: "connecting") }
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
            connection.answerLimit = max(.milliseconds(1), end - ContinuousClock.now)
            try connection.execute(
                "SET client_min_messages = error; SET standard_conforming_strings = on; SET DateStyle = ISO;"
                    + " SET TimeZone = 'UTC'; SET extra_float_digits = 1; SET search_path = pg_catalog, pg_temp;"
                    // Who waited for a lock must see what was committed meanwhile, whatever the default is.
                    + " SET default_transaction_isolation = 'read committed';"
                    // What is acknowledged is on the disk, whatever the server's default is.
                    + " SELECT set_config('synchronous_commit', 'on', false)"
                    + " WHERE current_setting('synchronous_commit') = 'off'; " + Self.keepalives(settings)
            )
            if asks { connection.inquiry = try ServerInquiry(connection, settings) }
            connection.answerLimit = answerLimit
            return connection
        }

        /// Has the server notice as soon as we do that the network is gone, where nobody has set that: otherwise the
        /// session, and what it has locked, stays for two hours while the client is back long since.
        private static func keepalives(_ settings: PostgresSettings) -> String {
            """
            SELECT set_config(v.name, v.value, false) FROM (VALUES ('tcp_keepalives_idle', '30'), \
            ('tcp_keepalives_interval', '10'), ('tcp_keepalives_count', '3'), \
            ('tcp_user_timeout', '\(settings.networkMilliseconds)')) v (name, value) \
            JOIN pg_settings s ON s.name = v.name WHERE s.source = 'default'
            """
        }

        /// What became of a try to connect: libpq's handle, as a number, for it changes threads.
        private struct Dialled: Sendable {
            var handle: UInt
            /// Whether it ended while TLS was being agreed on.
            var isSecuring = false
        }

        private static func dial(
            _ settings: PostgresSettings, _ switchOff: ConnectionSwitch, _ passwords: [String]
        ) throws(PostgresError) -> PostgresConnection {
            let outcome = AbandonableCall.run(
                "tidelog-pgdial", kind: "connect " + settings.connectionString,
                limit: settings.connectTimeout, until: { switchOff.isOff },
                { isWanted in Self.dial(settings, isWanted) },
                discard: { PQfinish(OpaquePointer(bitPattern: $0.handle)) })
            let dialled: Dialled
            switch outcome {
            case .done(let value): dialled = value
            case .stopped: throw PostgresError(.closed, "connecting was stopped")
            case .late:
                throw PostgresError(
                    .unreachable, "no connection within \(settings.connectTimeout); it is tried again")
            case .refused:
                throw PostgresError(
                    .unreachable,
                    "no connection: \(AbandonableCall.abandonedLimit) earlier tries have not come back, as where a "
                        + "name server does not answer; it is tried again")
            }
            guard let handle = OpaquePointer(bitPattern: dialled.handle) else {
                throw PostgresError(.unreachable, "libpq has no memory for a connection")
            }
            let connection = PostgresConnection(handle, switchOff, passwords: passwords)
            guard PQstatus(handle) == CONNECTION_OK else {
                throw connection.connectionFailure(isSecuring: dialled.isSecuring)
            }
            guard connection.attach() else {
                throw PostgresError(
                    .unreachable, "the process has no descriptors left for a connection; it is tried again")
            }
            return connection
        }

        private static func dial(_ settings: PostgresSettings, _ isWanted: () -> Bool) -> Dialled {
            // Later words win, so what the connection string says goes before these defaults.
            let words: [(String, String)] = [
                ("keepalives_idle", "30"), ("keepalives_interval", "10"), ("keepalives_count", "3"),
                ("tcp_user_timeout", "\(settings.networkMilliseconds)"),
                ("fallback_application_name", settings.applicationName),
                ("dbname", settings.connectionString), ("client_encoding", "UTF8"),
            ]
            let started = Self.withStrings(words.map(\.0)) { keys in
                Self.withStrings(words.map(\.1)) { values in PQconnectStartParams(keys, values, 1) }
            }
            guard let handle = started else { return Dialled(handle: 0) }
            PQsetErrorVerbosity(handle, PQERRORS_VERBOSE)
            // By default, libpq prints what the server notes to standard error.
            PQsetNoticeProcessor(handle, { _, _ in }, nil)
            var dialled = Dialled(handle: UInt(bitPattern: handle))
            var status = PGRES_POLLING_WRITING
            // Without a socket there is nothing to wait for: libpq gave up at once.
            while status != PGRES_POLLING_OK, status != PGRES_POLLING_FAILED,
                PQstatus(handle) != CONNECTION_BAD, PQsocket(handle) >= 0, isWanted()
            {
                // In slices, so that it is seen soon that nobody waits any more.
                var entry = pollfd(
                    fd: PQsocket(handle),
                    events: Int16(status == PGRES_POLLING_READING ? POLLIN : POLLOUT), revents: 0)
                if poll(&entry, 1, 50) != 0 {
                    dialled.isSecuring = PQstatus(handle) == CONNECTION_SSL_STARTUP
                    status = PQconnectPoll(handle)
                }
            }
            return dialled
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
    }
#endif
