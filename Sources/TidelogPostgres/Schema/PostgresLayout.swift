#if Postgres
    /// How the table of events is kept. It counts when the tables are made; later, what is there stays.
    public struct PostgresLayout: Hashable, Sendable {
        enum Kind: String { case single, byLog, byMonth }
        let kind: Kind

        /// One table.
        public static var single: Self { .init(kind: .single) }
        /// One partition a log: dropping a device's events is dropping a table.
        public static var byLog: Self { .init(kind: .byLog) }
        /// One partition a month of the events' timestamps: dropping old events is dropping a table.
        ///
        /// PostgreSQL then keeps positions unique only together with timestamps; exports compare what is
        /// there before they add to it.
        public static var byMonth: Self { .init(kind: .byMonth) }
    }

    /// Which indexes the table of events gets when it is made; each costs speed on the way in.
    public struct PostgresIndexes: OptionSet, Hashable, Sendable {
        /// The options as bits.
        public let rawValue: Int
        /// Options from bits.
        public init(rawValue: Int) { self.rawValue = rawValue }

        /// Events by id: for idempotent appends of the event store, and for looking one up.
        public static var id: Self { .init(rawValue: 1) }
        /// Events by type.
        public static var type: Self { .init(rawValue: 2) }
        /// Events by correlation id.
        public static var correlation: Self { .init(rawValue: 4) }
        /// Events by time, as a BRIN: small and cheap, as events arrive nearly in the order of time.
        public static var time: Self { .init(rawValue: 8) }
        /// All of the above. The keys, (log, position) and (log, stream, revision), are always there.
        public static var all: Self { [.id, .type, .correlation, .time] }
    }
#endif
