#if Postgres
    public import Tidelog

    /// What exporting to PostgreSQL, checking an export and importing from it throw.
    ///
    /// Messages never hold payloads, passwords or connection strings.
    public struct PostgresError: Error, CustomStringConvertible {
        /// What went wrong, in terms a caller can act on. New codes may come; none will change its meaning.
        public struct Code: Hashable, Sendable, CustomStringConvertible {
            private enum Kind: String, Sendable {
                case unreachable, authentication, tls, permissionDenied, readOnly, storageFull, busy
                case foreignTable, newerSchema, missingSchema, unsupportedServer, invalidConfiguration
                case diverged, logBehind, databaseBehind, unverifiable, eventsGone, rowsMissing
                case unsupportedEvent, log, closed, cancelled, server
            }

            private let kind: Kind
            private init(_ kind: Kind) { self.kind = kind }

            /// No connection, or it was lost. The normal state of a device; it is tried again.
            public static var unreachable: Self { .init(.unreachable) }
            /// The server does not accept the user, the password or the database's name.
            public static var authentication: Self { .init(.authentication) }
            /// No encrypted connection came about: the server offers none, or its certificate is not the expected
            /// one.
            public static var tls: Self { .init(.tls) }
            /// The user lacks a privilege.
            public static var permissionDenied: Self { .init(.permissionDenied) }
            /// The server or the session accepts no writes, as a standby does.
            public static var readOnly: Self { .init(.readOnly) }
            /// The server's disk, memory or connections are used up.
            public static var storageFull: Self { .init(.storageFull) }
            /// Another transaction was in the way (a deadlock, a lock, a statement's time limit).
            public static var busy: Self { .init(.busy) }
            /// A table of the chosen name is there and is not Tidelog's.
            public static var foreignTable: Self { .init(.foreignTable) }
            /// A newer version of Tidelog made the tables.
            public static var newerSchema: Self { .init(.newerSchema) }
            /// The tables are not there, and this call does not make them.
            public static var missingSchema: Self { .init(.missingSchema) }
            /// The database's encoding is not UTF-8, or the server is too old.
            public static var unsupportedServer: Self { .init(.unsupportedServer) }
            /// A setting that cannot be used.
            public static var invalidConfiguration: Self { .init(.invalidConfiguration) }
            /// Log and database hold different events at the same positions.
            public static var diverged: Self { .init(.diverged) }
            /// The database has events that the log has not: the log comes from an older backup.
            public static var logBehind: Self { .init(.logBehind) }
            /// The database has lost events that it had taken: it comes from an older backup.
            public static var databaseBehind: Self { .init(.databaseBehind) }
            /// What would show that the log is the one that was exported is no longer kept, and the log was restored or
            /// does not remember the export.
            public static var unverifiable: Self { .init(.unverifiable) }
            /// Retention dropped events of the log before they were exported.
            public static var eventsGone: Self { .init(.eventsGone) }
            /// Rows that an export had brought are no longer there.
            public static var rowsMissing: Self { .init(.rowsMissing) }
            /// An event that the database cannot hold.
            public static var unsupportedEvent: Self { .init(.unsupportedEvent) }
            /// The log itself failed; see ``PostgresError/cause``.
            public static var log: Self { .init(.log) }
            /// It was stopped or closed.
            public static var closed: Self { .init(.closed) }
            /// The task was cancelled; nothing is left of what it did.
            public static var cancelled: Self { .init(.cancelled) }
            /// Any other error of the server; see ``PostgresError/sqlState``.
            public static var server: Self { .init(.server) }

            /// The code of this name, as ``description`` gives it; nil if there is none.
            init?(named name: Substring) {
                guard let kind = Kind(rawValue: String(name)) else { return nil }
                self.init(kind)
            }

            /// The code's name.
            public var description: String { self.kind.rawValue }

            /// Whether `error` is a ``PostgresError`` with this code, so that `catch` can name codes.
            public static func ~= (code: Self, error: any Error) -> Bool {
                (error as? PostgresError)?.code == code
            }
        }

        /// What went wrong, to act on.
        public let code: Code
        /// What went wrong, for a person: what happened and the way out.
        public let message: String
        /// The server's code for it (five characters), if the server said it.
        public let sqlState: String?
        /// The error below this one, if there is one.
        public let cause: (any Error)?
        /// The positions concerned, if known.
        public let positions: Range<Position>?
        /// Whether what failed may have taken place all the same: the answer to its commit was not heard.
        ///
        /// Append the same events again, with their ids: what is stored is known by them, and stored once. Truncate
        /// a stream again, which changes nothing where it was done. Where a stream may be deleted, deleting it again
        /// throws `streamDeleted` if it is.
        public let isOutcomeUnknown: Bool

        /// An error with this code and message.
        public init(
            _ code: Code, _ message: String, sqlState: String? = nil, cause: (any Error)? = nil,
            positions: Range<Position>? = nil, isOutcomeUnknown: Bool = false
        ) {
            self.isOutcomeUnknown = isOutcomeUnknown
            self.code = code
            self.message = message
            self.sqlState = sqlState
            self.cause = cause
            self.positions = positions
        }

        /// Code, message and the server's code on one line.
        public var description: String {
            "\(self.code): \(self.message)" + (self.sqlState.map { " [SQLSTATE \($0)]" } ?? "")
        }

        /// The same error, of an append of which it is not known whether it was stored.
        var ofUnknownOutcome: PostgresError {
            self.ofUnknownOutcome(
                "Whether the events were stored is not known: append them again with the same ids, which stores "
                    + "them once")
        }

        /// The same error, of a change of which it is not known whether it was made, as `advice` says.
        func ofUnknownOutcome(_ advice: String) -> PostgresError {
            PostgresError(
                self.code, "\(self.message). \(advice)", sqlState: self.sqlState, cause: self.cause,
                positions: self.positions, isOutcomeUnknown: true)
        }

        /// The error that was noted as this description; nil if it is none.
        init?(noted text: String) {
            guard let end = text.firstIndex(of: ":"), let code = Code(named: text[..<end]) else { return nil }
            self.init(code, String(text[end...].dropFirst(2)))
        }

        /// Whether a row has no partition to go to (check_violation: the same as that of a constraint).
        var mayLackPartition: Bool { self.sqlState == "23514" }

        /// Whether a row of this key is there (unique_violation).
        var isDuplicateKey: Bool { self.sqlState == "23505" }

        /// Whether the connection is of no use any more.
        var endsConnection: Bool { self.code == .unreachable || self.code == .closed }

        /// Whether trying again without a person's help can go well.
        var isTransient: Bool { [.unreachable, .busy, .storageFull].contains(self.code) }

        /// Whether going on could do harm, so that a person must decide.
        var mustHalt: Bool {
            [.diverged, .logBehind, .databaseBehind, .unverifiable, .eventsGone].contains(self.code)
        }

        /// The log's error.
        init(_ error: EventLogError) {
            self.init(
                error.code == .closed ? .closed : .log, "the log cannot be read: \(error.message)",
                cause: error,
                positions: error.positions)
        }

        /// The server's error: the one place where its codes are translated (PostgreSQL, appendix A).
        init(sqlState: String, message: String, while action: String) {
            let code: Code =
                switch sqlState {
                case "25006": .readOnly
                case "42501": .permissionDenied
                case "3D000": .authentication
                case "57014", "55P03", "40001", "40P01": .busy
                // These end the connection, also those that say that it was idle for too long.
                case "57P01", "57P02", "57P03", "57P05", "25P03": .unreachable
                // A connection that finds no cache of the catalogue writes one; when the disk is full, the server
                // gives that up as an internal error (PostgreSQL, src/backend/utils/cache/relcache.c).
                case "XX000" where message.contains("could not write init file"): .storageFull
                default:
                    switch sqlState.prefix(2) {
                    case "08": .unreachable
                    case "28": .authentication
                    case "53": .storageFull
                    default: .server
                    }
                }
            let advice =
                switch code {
                case .readOnly: "; connect to the primary server"
                case .permissionDenied: "; grant the user what it needs, see Docs/Postgres.md"
                case .authentication: "; check user, password and database"
                case .storageFull: "; make room on the server, it is tried again"
                case .unreachable: "; it is tried again"
                default: ""
                }
            self.init(code, "\(action): the server says: \(message)\(advice)", sqlState: sqlState)
        }
    }
#endif
