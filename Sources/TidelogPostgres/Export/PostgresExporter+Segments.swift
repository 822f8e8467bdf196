#if Postgres
    public import Tidelog

    /// A range of the log beside what the database holds of it.
    public struct PostgresRangeCheck: Sendable, Hashable {
        /// The positions: a sealed segment's, those after the last one, or those whose segments are gone.
        public let positions: Range<Position>
        /// Events that the log has there and the filter wants.
        public let localCount: Int
        /// Rows that the database has there.
        public let remoteCount: Int
        /// Rows of these that are of events which were exported and removed from the log since: truncated, deleted or
        /// dropped by retention. They are no difference.
        public let removedCount: Int
        /// Rows of events that the log has and the filter leaves out, as another export has brought them.
        /// They are compared as well, and no difference where they are what the log has.
        public let unwantedCount: Int
        /// Events that the log has and the filter wants, and of which the database has no row.
        public let missingCount: Int
        /// Rows that are not what the log has at their positions.
        public let changedCount: Int
        /// Rows from beyond the log's end, which it cannot have exported: it comes from an older backup.
        public let surplusCount: Int
        /// SHA-256 over the events' digests, by the log.
        public let localDigest: [UInt8]
        /// The same, computed by the database, of the rows of these events.
        public let remoteDigest: [UInt8]
        /// Whether the JSON of all rows of events that are there has the value of the bytes kept beside it.
        public let jsonAgrees: Bool
        /// Whether the database holds the events that the log has, and none but those that the log has or
        /// had.
        public var isEqual: Bool {
            self.missingCount == 0 && self.changedCount == 0 && self.surplusCount == 0
                && self.localDigest == self.remoteDigest && self.jsonAgrees
        }
    }

    /// What an export of a range did.
    public struct PostgresRangeExport: Sendable, Hashable {
        /// The positions.
        public let positions: Range<Position>
        /// Events that were sent.
        public let sent: Int
        /// Rows that were not there before.
        public let added: Int
    }

    extension PostgresExporter {
        /// The ranges that exports and checks go by: the sealed segments, what comes after them, and what lies before
        /// and between them because segments were dropped.
        public func ranges() async throws(PostgresError) -> [Range<Position>] {
            do throws(EventLogError) {
                let statistics = try await self.log.statistics()
                var ranges: [Range<Position>] = []
                var end = Position.zero
                func add(_ range: Range<Position>) {
                    if range.lowerBound > end { ranges.append(end..<range.lowerBound) }
                    if !range.isEmpty { ranges.append(range) }
                    end = max(end, range.upperBound)
                }
                for segment in try await self.log.segments() { add(segment.positions) }
                let from = max(end, statistics.sealedEnd)
                add(from..<max(from, statistics.nextPosition))
                return ranges
            } catch {
                throw PostgresError(error)
            }
        }

        /// Exports a range of positions again, straight from the blocks of its segments; the checkpoint stays.
        ///
        /// Log and database are compared first, by the checkpoints of this export and of others to these
        /// tables. Rows that are there already are left as they are, and compared.
        ///
        /// - Parameter progress: is told how many events were sent.
        /// - Throws: ``PostgresError`` with code `diverged` if the database has another event at a position,
        ///   or remembers another one of this log anywhere; `logBehind`, `databaseBehind`, `unverifiable` as
        ///   an export in order does; `eventsGone` if retention takes events of the range meanwhile;
        ///   `invalidConfiguration` if the export was begun with another filter; `unreachable` if the server
        ///   cannot be reached, or hangs.
        public func export(
            _ positions: Range<Position>, progress: (@Sendable (Int) -> Void)? = nil
        ) async throws(PostgresError) -> PostgresRangeExport {
            let remembered = await self.reporter.remembered()
            return try await PlainThread.run("tidelog-export") { () throws(PostgresError) in
                let session = try ExportSession(
                    log: self.log, settings: self.settings, configuration: self.configuration,
                    switchOff: ConnectionSwitch())
                try session.compareOnly(
                    known: self.state.withLock { $0.known }, remembered: remembered)
                let source = BatchSource(
                    log: self.log, logID: session.facts.id.uuid ?? (0, 0), configuration: self.configuration,
                    countsMonths: session.layout == .byMonth)
                defer { source.end() }
                var next = positions.lowerBound.rawValue
                let first = try LogFacts(of: self.log).first
                var (sent, added) = (0, 0)
                while next < positions.upperBound.rawValue {
                    let batch = try source.read(from: next, to: positions.upperBound.rawValue)
                    if batch.next <= next { break }
                    // What was gone before is known to be; what goes meanwhile is not.
                    let expected = max(next, first)
                    let gone = min(batch.logFirst, positions.upperBound.rawValue)
                    if gone > expected, !self.configuration.accepts.contains(.missingEvents) {
                        throw PostgresError(eventsGone: Position(expected)..<Position(gone))
                    }
                    added += try session.insertAgain(batch)
                    sent += batch.count
                    next = batch.next
                    progress?(sent)
                }
                return PostgresRangeExport(positions: positions, sent: sent, added: added)
            }
        }

        /// Compares a range of positions with the database: how many events, and a digest that both sides
        /// compute for themselves.
        ///
        /// Every field of every event is covered. Rows of events that the log has no longer, and of those
        /// that the filter leaves out, are told apart and are no difference. A check changes nothing.
        ///
        /// - Throws: ``PostgresError``, `missingSchema` if there are no tables, `unreachable` if the server
        ///   cannot be reached, or hangs.
        public func check(_ positions: Range<Position>) async throws(PostgresError) -> PostgresRangeCheck {
            try await PlainThread.run("tidelog-check") { () throws(PostgresError) in
                let (connection, key) = try self.openTables()
                let remote = try RemoteDigest.read(connection, self.configuration.names, key, positions)
                var local = RangeDigest()
                var query = self.configuration.filter
                query.from = positions.lowerBound
                query.to = positions.upperBound
                do throws(EventLogError) {
                    try self.log.scan(query) { view throws(EventLogError) in
                        local.add(try view.copy())
                        return true
                    }
                } catch {
                    throw PostgresError(error)
                }
                let count = local.count
                let digest = local.finish()
                if count == remote.count, digest == remote.digest, remote.agrees {
                    return PostgresRangeCheck(
                        positions: positions, localCount: count, remoteCount: count, removedCount: 0,
                        unwantedCount: 0, missingCount: 0, changedCount: 0, surplusCount: 0,
                        localDigest: digest, remoteDigest: remote.digest, jsonAgrees: true)
                }
                return try RangeComparison.read(
                    connection, self.configuration.names, key, positions, of: self.log,
                    filter: self.configuration.filter
                ).check(positions)
            }
        }

        /// How many rows the database has of this log from beyond the log's end, whoever brought them. With
        /// any, the log comes from an older backup; ``ranges()`` ends before them.
        ///
        /// - Throws: ``PostgresError``, `missingSchema` if there are no tables.
        public func rowsBeyondEnd() async throws(PostgresError) -> Int {
            try await PlainThread.run("tidelog-check") { () throws(PostgresError) in
                let (connection, key) = try self.openTables()
                let table = self.configuration.names.quoted()
                var last: Int64?
                try connection.query("SELECT max(position) FROM \(table) WHERE log_id = $1", [key]) {
                    row throws(PostgresError) in last = try row.integer(0)
                }
                // The log is asked afterwards: what was exported before, it had by then.
                let end = Int64(clamping: try LogFacts(of: self.log).end)
                guard let last, last >= end else { return 0 }
                var count = 0
                try connection.query(
                    "SELECT count(*) FROM \(table) WHERE log_id = $1 AND position BETWEEN $2 AND $3",
                    [key, .bigint(end), .bigint(last)]
                ) { row throws(PostgresError) in count = Int(try row.requiredInteger(0)) }
                return count
            }
        }

        /// A connection for a call of its own, which nothing but the limits of time cuts.
        func connect() throws(PostgresError) -> PostgresConnection {
            try PostgresConnection.connect(
                self.settings, switchOff: ConnectionSwitch(), answerLimit: self.configuration.answerTimeout,
                asks: true)
        }

        /// A connection to tables that are there, and the log's UUID for statements.
        private func openTables() throws(PostgresError) -> (PostgresConnection, PostgresValue) {
            let uuid = try LogFacts(of: self.log).id.uuid ?? (0, 0)
            let connection = try self.connect()
            guard try Schema(names: self.configuration.names).state(connection) != nil else {
                throw PostgresError(
                    .missingSchema, "there is no table \(self.configuration.names.quoted()); export first")
            }
            return (connection, .uuid(uuid.high, uuid.low))
        }
    }
#endif
