#if Postgres
    public import Tidelog

    /// A store of events in PostgreSQL, for programs that share a database instead of having a log of their own.
    ///
    /// It keeps what ``EventStore`` promises, among all processes that open it. The tables are those that
    /// ``PostgresExporter`` fills, so queries and dashboards are the same for both.
    ///
    /// ```swift
    /// let store = try await PostgresEventStore.open(PostgresSettings("host=db dbname=shop"))
    /// try await store.append([Event(type: "order.placed")], toStream: "order-42", expecting: .noStream)
    /// for try await stored in try store.subscribe(.types("order.*"), from: .beginning) { … }
    /// ```
    ///
    /// **Order.** The appends of a log take turns: each holds the log's row from the moment in which it gets
    /// its positions until it is committed. So what can be read never has a gap that is filled later.
    ///
    /// **Lost connections.** Calls try again on a new one, within the store's patience; then they throw
    /// `unavailable`. An append of which it is not known whether it was committed is made again, and stored
    /// once, known by the ids of its events; where the patience ends before that, the error's cause says so
    /// (``PostgresError/isOutcomeUnknown``), as it does for truncating and deleting a stream. Subscriptions go on for
    /// ever.
    public final class PostgresEventStore: EventStore {
        let core: StoreCore

        /// The log's UUID: `log_id` in the tables.
        public var logID: String { self.core.context.logID.description }

        private init(_ core: StoreCore) { self.core = core }

        /// Opens a log of the database, making tables and log where they are missing.
        ///
        /// - Throws: ``EventLogError``: `unavailable`, `permissionDenied`, `invalidArgument`, `alreadyExists` for
        ///   tables of these names that are not Tidelog's, `unsupportedFormat` for tables of a newer Tidelog. Its
        ///   cause is the ``PostgresError``.
        public static func open(
            _ settings: PostgresSettings, configuration: PostgresStoreConfiguration = .init()
        ) async throws(EventLogError) -> PostgresEventStore {
            do throws(PostgresError) {
                try configuration.validate()
                let context = try await PlainThread.run("tidelog-pgopen") { () throws(PostgresError) in
                    try StoreCore.prepare(settings, configuration)
                }
                return PostgresEventStore(StoreCore(context))
            } catch {
                throw EventLogError(error)
            }
        }

        /// Closes the store: appends that were accepted are finished, everything else ends; subscriptions end
        /// without an error.
        ///
        /// It takes no longer than ``PostgresStoreConfiguration/answerTimeout``: then what is under way is cut off, and
        /// appends that were not finished throw `closed`, with a cause that says whether they may be stored
        /// (``PostgresError/isOutcomeUnknown``). So a server that hangs does not hold it up.
        ///
        /// When it returns, other processes' subscriptions have been told of the last append. Without it, as after a
        /// kill, they find it when they look for themselves (``PostgresStoreConfiguration/pollInterval``).
        public func close() async {
            self.core.close()
            let limit = self.core.context.configuration.answerTimeout
            await self.core.appender.waitUntilOver(cuttingAfter: limit)
        }

        // MARK: Appending

        /// Appends events to the streams that they name, if `condition` holds, together with `snapshots`.
        ///
        /// Appends that wait at the same time share a round trip and a commit.
        @discardableResult
        public func append(
            _ events: [Event], if condition: AppendCondition, snapshots: [StreamSnapshot]
        ) async throws(EventLogError) -> AppendResult {
            if Task.isCancelled {
                throw EventLogError(.cancelled, "the task was cancelled before its events were accepted")
            }
            for event in events { try event.validate(limits: self.core.context.configuration.limits) }
            for snapshot in snapshots { try snapshot.validate() }
            if events.count > 1, Set(events.map(\.id)).count < events.count {
                throw EventLogError(
                    .invalidArgument, "a batch holds the same event id twice; give each event its own")
            }
            for name in condition.revisions.keys where name.utf8.contains(0) || name.isEmpty {
                throw EventLogError(
                    .invalidArgument, "a stream's name has 1 to 255 bytes of UTF-8 and no NUL")
            }
            let context = self.core.context
            return try await self.core.appender.append(
                estimatedBytes: AppendRequest.estimatedBytes(events, condition, snapshots)
            ) { () throws(EventLogError) in
                try AppendRequest(events, condition, snapshots, in: context)
            }
        }

        // MARK: Reading

        /// The events that `query` wants, in its order, up to the end of the log as it is when reading begins.
        public func load(_ query: EventQuery) -> PostgresEvents {
            PostgresEvents(core: self.core, query: query, kind: .read)
        }

        /// The events that `query` wants, as one array.
        public func events(_ query: EventQuery, offset: Int) async throws(EventLogError) -> [StoredEvent] {
            try StoreInput.checkOffset(offset)
            var plan: PagePlan? = try PagePlan(query, self.core, offset: offset)
            var events: [StoredEvent] = []
            while let next = plan {
                switch await PageFetch(next, self.core, isEndless: false).result(isolation: #isolation) {
                case .failure(let error): throw EventLogError(error)
                case .success(let page):
                    events += page.events
                    plan = page.next
                }
            }
            return events
        }

        /// What there is, and then what comes, without a gap or a repeat, until the task is cancelled or the
        /// store closes. Outages of the server do not end it.
        public func subscribe(
            _ query: EventQuery, from start: TailStart
        ) throws(EventLogError) -> PostgresEvents {
            guard query.order == .oldestFirst else {
                throw EventLogError(.invalidArgument, "a tail reads oldest first; set the query's order so")
            }
            _ = try query.storageQuery()
            var query = query
            if let position = start.position { query.from = position }
            if let from = query.from, let to = query.to, from > to { query.from = to }
            return PostgresEvents(
                core: self.core, query: query, kind: .subscription(startsAtEnd: start == .end))
        }

        /// How many events `query` wants.
        public func count(_ query: EventQuery) async throws(EventLogError) -> Int {
            _ = try query.storageQuery()
            let statement = StoreSelection(query, in: self.core.context).count(limit: query.limit)
            return try await self.core.pool.run { connection throws(PostgresError) in
                var count: Int64 = 0
                try connection.pipeline([statement]) { _, row throws(PostgresError) in
                    count = try row.requiredInteger(0)
                }
                return Int(count)
            }
        }

        /// The position that the next event gets.
        public func end() async throws(EventLogError) -> Position {
            let context = self.core.context
            return try await self.core.pool.run { connection throws(PostgresError) in
                Position(try StoreEnd.read(connection, context))
            }
        }
    }

    /// The parts of a store that its sequences hold on to.
    final class StoreCore: Sendable {
        let context: StoreContext
        let pool: ReaderPool
        let tail: StoreTail
        let appender: StoreAppender

        init(_ context: StoreContext) {
            self.context = context
            self.pool = ReaderPool(context)
            self.tail = StoreTail(context)
            self.appender = StoreAppender(context, tail: self.tail)
        }

        // A store that is let go of is closed, once nobody iterates over its events any more.
        deinit { self.close() }

        func close() {
            self.appender.close()
            self.tail.close()
            self.pool.close()
        }

        /// Sees to tables and log; blocks.
        static func prepare(
            _ settings: PostgresSettings, _ configuration: PostgresStoreConfiguration
        ) throws(PostgresError) -> StoreContext {
            var retry = StoreRetry(patience: configuration.patience)
            while true {
                do throws(PostgresError) {
                    let connection = try PostgresConnection.connect(
                        settings, switchOff: ConnectionSwitch(), answerLimit: configuration.answerTimeout,
                        asks: true)
                    let layout = try Schema(
                        names: configuration.names, layout: configuration.layout,
                        indexes: configuration.indexes
                    ).prepare(connection)
                    try self.requireIndex(connection, configuration.names)
                    let id = try self.logID(connection, configuration)
                    return StoreContext(
                        settings: settings, configuration: configuration, logID: id, layout: layout)
                } catch {
                    guard let delay = retry.delay(after: error) else { throw error }
                    PlainThread.sleep(delay)
                }
            }
        }

        /// Without an index for ids, each append would read the whole table.
        private static func requireIndex(
            _ connection: PostgresConnection, _ names: PostgresNames
        ) throws(PostgresError) {
            var isThere = false
            try connection.query(
                """
                SELECT EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = to_regclass($1) AND i.indpred IS NULL \
                AND (SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(i.indkey) \
                WITH ORDINALITY k (attribute, n) JOIN pg_attribute a ON a.attrelid = i.indrelid \
                AND a.attnum = k.attribute) = ARRAY['log_id', 'id'])
                """, [.text(names.quoted())]
            ) { row throws(PostgresError) in isThere = row.boolean(0) }
            guard !isThere else { return }
            throw PostgresError(
                .invalidConfiguration,
                "the table \(names.quoted()) was made without the index that the store finds ids by; make it: "
                    + "CREATE INDEX ON \(names.quoted()) (log_id, id)")
        }

        /// The UUID of the log of that name, which is made if there is none.
        private static func logID(
            _ connection: PostgresConnection, _ configuration: PostgresStoreConfiguration
        ) throws(PostgresError) -> EventID {
            let table = configuration.names.quoted("_logs")
            var id: EventID?
            func look() throws(PostgresError) {
                try connection.query(
                    "SELECT log_id FROM \(table) WHERE name = $1", [.text(configuration.log)]
                ) {
                    row throws(PostgresError) in
                    if let uuid = try row.uuid(0) { id = EventID(uuid: uuid.0, uuid.1) }
                }
            }
            try look()
            if let id { return id }
            let new = EventID.generate().uuid ?? (0, 0)
            try connection.query(
                "INSERT INTO \(table) (log_id, name, next_position) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING",
                [.uuid(new.high, new.low), .text(configuration.log)])
            try look()
            guard let id else {
                throw PostgresError(.server, "the log is not there although it was just made")
            }
            return id
        }
    }
#endif
