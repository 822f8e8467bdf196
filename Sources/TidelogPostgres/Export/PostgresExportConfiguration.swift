#if Postgres
    public import CoreMetrics
    public import Logging
    public import Tidelog

    /// How a log is exported. Every setting has a default.
    public struct PostgresExportConfiguration: Sendable {
        /// What would halt the export and is taken all the same.
        public struct Acceptance: OptionSet, Sendable, Hashable {
            /// The options as bits.
            public let rawValue: Int
            /// Options from bits.
            public init(rawValue: Int) { self.rawValue = rawValue }

            /// A database that was restored from an older backup: what it lost is exported again.
            public static var olderDatabase: Self { .init(rawValue: 1) }
            /// A log that can no longer show that it is the one that was exported: it was restored, or does not
            /// remember the export, and the events that both sides knew are gone.
            public static var restoredLog: Self { .init(rawValue: 2) }
            /// Events that retention dropped before they were exported: they are passed over.
            public static var missingEvents: Self { .init(rawValue: 4) }
        }

        /// How a continuous export shares processors and disk with the app's appends.
        public struct Pace: Sendable, Hashable {
            private enum Kind { case yieldToAppends, full }
            private let kind: Kind
            private init(_ kind: Kind) { self.kind = kind }

            /// Works a tenth of the time while events are appended, in small batches, and all the time while none
            /// are. If less is exported than is appended for ten seconds, the share is doubled, again and again if
            /// need be, so that the lag stops growing where the database can keep up at all.
            public static var yieldToAppends: Self { .init(.yieldToAppends) }
            /// Works all the time as long as something is not exported.
            public static var full: Self { .init(.full) }
        }

        /// The name of this export: it has a checkpoint of its own for each log. Default: `default`.
        public var name = "default"
        /// Which events; its order, limit and range of positions must be left alone. Default: all.
        public var filter = EventQuery.all
        /// Where to begin when the database has no checkpoint. Beyond the log's end nothing is exported, which is
        /// told as `invalidConfiguration`, until the log has come to it. Default: the oldest event.
        public var start: Position = .zero
        /// The names of the tables. Default: `tidelog.events`.
        public var names = PostgresNames()
        /// How the table of events is made where it is missing. Default: one table.
        public var layout: PostgresLayout = .single
        /// The indexes that the table of events gets where it is made. Default: all.
        public var indexes: PostgresIndexes = .all
        /// Bytes of a batch, as they are sent; a larger event is a batch of its own. Two batches are held in
        /// memory at most. Default: 4 MiB.
        public var batchBytes = 4 << 20
        /// Events of a batch. Default: 20,000.
        public var batchEvents = 20_000
        /// How a continuous export shares processors and disk with the app's appends; an export that ends by itself
        /// (``PostgresExporter/exportOnce()``) never waits. Default: `.yieldToAppends`.
        public var pace: Pace = .yieldToAppends
        /// How long new events wait for others, once everything before them is exported. Default: 50 ms.
        public var gathering: Duration = .milliseconds(50)
        /// The delay before the first new try after a failure; it doubles. Default: 0.5 s.
        public var firstRetryDelay: Duration = .milliseconds(500)
        /// The longest delay between tries. Default: 60 s.
        public var longestRetryDelay: Duration = .seconds(60)
        /// How often in a row an export that is not continuous may fail for reasons that may pass. Default: 5.
        public var attempts = 5
        /// How long the server may be silent while it is waited for. Then another connection asks whether it
        /// is at work, as on the digest of a long range, an index, or rows that others have locked: as long
        /// as it is, it is waited for, however long that takes. If it is not, or no connection comes about
        /// within ``PostgresSettings/connectTimeout``, the connection counts as lost. An export then tries
        /// again as after any loss, from where the database stands; a check, a status and a range that is
        /// sent again throw `unreachable`. Default: 60 s.
        public var answerTimeout: Duration = .seconds(60)
        /// What would halt the export and is taken all the same. Default: nothing.
        public var accepts: Acceptance = []
        /// Whether retention keeps what is not exported yet. The log must be open for writing for it.
        /// Default: `true`.
        public var holdsRetention = true
        /// What makes the metrics, such as `MetricsSystem.factory`: state, lag, rate, events, failures; once a
        /// second. Default: nil, no metrics.
        public var metrics: (any MetricsFactory)?
        /// Where the exporter says what cannot be thrown. Default: a logger labelled `tidelog.postgres`.
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
                !self.name.isEmpty && self.name.utf8.count <= 239
                    && !self.name.unicodeScalars.contains { $0.properties.generalCategory == .control },
                "the export's name must have 1 to 239 bytes of UTF-8 and no control characters")
            try require((1024...(256 << 20)).contains(self.batchBytes), "batchBytes must be 1 KiB to 256 MiB")
            try require((1...1_000_000).contains(self.batchEvents), "batchEvents must be 1 to 1,000,000")
            try require(self.attempts > 0, "attempts must be 1 at the least")
            try require(self.answerTimeout >= .milliseconds(10), "answerTimeout must be 10 ms or more")
            try require(
                self.firstRetryDelay > .zero && self.longestRetryDelay >= self.firstRetryDelay,
                "the delays between tries must be above zero, and the longest not below the first")
            try require(
                self.filter.from == nil && self.filter.to == nil && self.filter.limit == nil
                    && self.filter.order == .oldestFirst,
                "the filter of an export has no positions, no limit and no order; use `start`")
            do throws(EventLogError) {
                _ = try self.filter.storageQuery()
            } catch {
                throw PostgresError(.invalidConfiguration, error.message, cause: error)
            }
        }

        /// The name of the consumer that stands for this export in the log.
        var consumerName: String { "export.postgres." + self.name }

        /// The filter as text: the same filter gives the same text.
        var filterText: String { ExportFilter.text(of: self.filter) }
    }

    /// How an export stands.
    public struct PostgresExportStatus: Sendable {
        /// What an exporter is doing.
        public struct State: Hashable, Sendable, CustomStringConvertible {
            private enum Kind: String { case connecting, connected, offline, paused, halted, stopped }
            private let kind: Kind
            private init(_ kind: Kind) { self.kind = kind }

            /// Not connected yet, and nothing has failed.
            public static var connecting: Self { .init(.connecting) }
            /// Connected: exporting, or waiting for events.
            public static var connected: Self { .init(.connected) }
            /// Not connected, and trying again from time to time.
            public static var offline: Self { .init(.offline) }
            /// Paused by the app.
            public static var paused: Self { .init(.paused) }
            /// Stopped by what a person must decide; see ``PostgresExportStatus/lastError``.
            public static var halted: Self { .init(.halted) }
            /// Not running.
            public static var stopped: Self { .init(.stopped) }
            /// The state's name.
            public var description: String { self.kind.rawValue }

            /// As metrics tell it.
            var number: Int {
                switch self.kind {
                case .stopped: 0
                case .connecting: 1
                case .connected: 2
                case .offline: 3
                case .paused: 4
                case .halted: 5
                }
            }
        }

        /// What it is doing.
        public let state: State
        /// What failed last, until something succeeds again.
        public let lastError: PostgresError?
        /// When it failed.
        public let lastErrorTime: Timestamp?
        /// Failures in a row.
        public let failures: Int
        /// The first position that the database is not known to have; nil before it was asked.
        public let nextPosition: Position?
        /// The position that the log's next event gets.
        public let logEnd: Position
        /// Positions that are not exported yet.
        public let lagEvents: UInt64
        /// About how many bytes of events, uncompressed, are not exported yet.
        public let lagBytes: Int
        /// How old the oldest event is that is not exported yet; zero if there is none.
        public let lag: Duration
        /// Events that this exporter has put into the database.
        public let exportedEvents: Int
        /// Bytes that it sent for them.
        public let exportedBytes: Int
        /// Events a second over the last ten seconds.
        public let eventsPerSecond: Double
        /// When the last batch was committed.
        public let lastExport: Timestamp?
    }
#endif
