#if Postgres
    public import Logging
    public import Tidelog

    /// How a ``PostgresEventStore`` works. Every setting has a default.
    public struct PostgresStoreConfiguration: Sendable {
        /// The name of the log in the tables; it is made by the first store that is opened with it.
        /// Default: `default`.
        public var log = "default"
        /// The names of the tables. Default: `tidelog.events`.
        public var names = PostgresNames()
        /// How the table of events is made where it is missing. Default: one table.
        public var layout: PostgresLayout = .single
        /// The indexes that the table of events gets where it is made; the store needs `id`. Default: all.
        public var indexes: PostgresIndexes = .all
        /// How large events may be. Default: those of a log.
        public var limits = EventLimits()
        /// Connections for reading, opened when they are needed. Appends have one of their own, and
        /// subscriptions share one. Default: 4.
        public var maximumReaders = 4
        /// Events of a page of reading; two pages are held. Default: 4,000.
        public var pageEvents = 4000
        /// Bytes of a page, beyond which it ends early. Default: 4 MiB.
        public var pageBytes = 4 << 20
        /// Bytes of events that may wait to be appended; beyond them, calls of `append` wait. Default: 64 MiB.
        public var maximumWaitingBytes = 64 << 20
        /// How long a subscription waits for a notification before it looks for itself. Default: 1 s.
        public var pollInterval: Duration = .seconds(1)
        /// How long a call goes on trying while the server cannot be reached, or another append holds the
        /// log. Subscriptions go on for ever. Default: 10 s.
        public var patience: Duration = .seconds(10)
        /// How long the server may be silent while a call waits for its answer. Then the connection counts as lost and
        /// is dropped, and the call goes on as ``patience`` says; the time in which an append waits for another one, as
        /// `patience` lets it, is no such silence. It also limits closing. A query that the server works on for longer
        /// before it answers at all, as one that counts a very long log may, needs a higher limit. Default: 60 s.
        public var answerTimeout: Duration = .seconds(60)
        /// Where the store says what cannot be thrown. Default: a logger labelled `tidelog.postgres`.
        public var logger = Logger(label: "tidelog.postgres")

        /// A configuration of defaults.
        public init() {}

        /// - Throws: ``PostgresError`` with code `invalidConfiguration`.
        func validate() throws(PostgresError) {
            try self.names.validate()
            func require(_ isFine: Bool, _ problem: String) throws(PostgresError) {
                if !isFine { throw PostgresError(.invalidConfiguration, problem) }
            }
            try require(
                !self.log.isEmpty && self.log.utf8.count <= 255 && !self.log.utf8.contains(0),
                "the log's name must have 1 to 255 bytes of UTF-8 and no NUL")
            try require(
                self.indexes.contains(.id), "the store finds events by their ids: it needs that index")
            try require((1...100).contains(self.maximumReaders), "maximumReaders must be 1 to 100")
            try require((1...100_000).contains(self.pageEvents), "pageEvents must be 1 to 100,000")
            try require((1024...(256 << 20)).contains(self.pageBytes), "pageBytes must be 1 KiB to 256 MiB")
            try require(self.maximumWaitingBytes > 0, "maximumWaitingBytes must be above zero")
            try require(self.pollInterval >= .milliseconds(10), "pollInterval must be 10 ms or more")
            try require(self.patience >= .zero, "patience must not be negative")
            try require(self.answerTimeout >= .milliseconds(10), "answerTimeout must be 10 ms or more")
        }
    }

    extension EventLogError {
        /// The database's error as the callers of a store see it.
        init(_ error: PostgresError) {
            let code: Code =
                switch error.code {
                case .unreachable: .unavailable
                case .authentication, .tls, .permissionDenied, .readOnly: .permissionDenied
                case .storageFull: .storageFull
                case .busy: .locked
                case .foreignTable: .alreadyExists
                case .newerSchema, .unsupportedServer: .unsupportedFormat
                case .missingSchema: .notFound
                case .invalidConfiguration, .unsupportedEvent: .invalidArgument
                case .closed: .closed
                case .diverged: .corrupted
                default: .inputOutput
                }
            self.init(code, error.message, cause: error, positions: error.positions)
        }
    }
#endif
