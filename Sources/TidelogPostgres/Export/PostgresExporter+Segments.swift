#if Postgres
    public import Tidelog

    /// A range of the log beside what the database holds of it.
    public struct PostgresRangeCheck: Sendable, Hashable {
        /// The positions: a sealed segment's, or those after the last one.
        public let positions: Range<Position>
        /// Events that the log has there and the filter wants.
        public let localCount: Int
        /// Rows that the database has there.
        public let remoteCount: Int
        /// SHA-256 over the events' digests, by the log.
        public let localDigest: [UInt8]
        /// The same, computed by the database.
        public let remoteDigest: [UInt8]
        /// Whether every row's JSON has the value of the bytes kept beside it.
        public let jsonAgrees: Bool
        /// Whether both sides hold the same events.
        public var isEqual: Bool {
            self.localCount == self.remoteCount && self.localDigest == self.remoteDigest && self.jsonAgrees
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
        /// The ranges that exports and checks go by: the sealed segments, and what comes after them.
        public func ranges() async throws(PostgresError) -> [Range<Position>] {
            do throws(EventLogError) {
                let statistics = try await self.log.statistics()
                var ranges = try await self.log.segments().map(\.positions)
                let from = max(ranges.last?.upperBound ?? .zero, statistics.sealedEnd)
                if from < statistics.nextPosition { ranges.append(from..<statistics.nextPosition) }
                return ranges
            } catch {
                throw PostgresError(error)
            }
        }

        /// Exports a range of positions again, straight from the blocks of its segments; the checkpoint stays.
        ///
        /// Rows that are there already are left as they are, and compared.
        ///
        /// - Throws: ``PostgresError`` with code `diverged` if the database has another event at a position.
        public func export(
            _ positions: Range<Position>, progress: (@Sendable (Int) -> Void)? = nil
        ) async throws(PostgresError) -> PostgresRangeExport {
            try await PlainThread.run("tidelog-export") { () throws(PostgresError) in
                let session = try self.openSession()
                let source = BatchSource(
                    log: self.log, logID: session.facts.id.uuid ?? (0, 0), configuration: self.configuration,
                    countsMonths: session.layout == .byMonth)
                defer { source.end() }
                var next = positions.lowerBound.rawValue
                var (sent, added) = (0, 0)
                while next < positions.upperBound.rawValue {
                    let batch = try source.read(from: next, to: positions.upperBound.rawValue)
                    if batch.next <= next { break }
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
        /// Every field of every event is covered. A check changes nothing.
        public func check(_ positions: Range<Position>) async throws(PostgresError) -> PostgresRangeCheck {
            try await PlainThread.run("tidelog-check") { () throws(PostgresError) in
                let facts = try LogFacts(of: self.log)
                let connection = try PostgresConnection.connect(self.settings, switchOff: ConnectionSwitch())
                guard try Schema(names: self.configuration.names).state(connection) != nil else {
                    throw PostgresError(
                        .missingSchema, "there is no table \(self.configuration.names.quoted()); export first"
                    )
                }
                let uuid = facts.id.uuid ?? (0, 0)
                let remote = try RemoteDigest.read(
                    connection, self.configuration.names, .uuid(uuid.high, uuid.low), positions)
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
                return PostgresRangeCheck(
                    positions: positions, localCount: count, remoteCount: remote.count,
                    localDigest: local.finish(), remoteDigest: remote.digest, jsonAgrees: remote.agrees)
            }
        }

        private func openSession() throws(PostgresError) -> ExportSession {
            try ExportSession(
                log: self.log, settings: self.settings, configuration: self.configuration,
                switchOff: ConnectionSwitch())
        }

        /// How the export stands according to the database, without an exporter that runs.
        ///
        /// - Returns: the status that a new exporter would begin with; its `nextPosition` is nil if the database
        ///   has no checkpoint of this export.
        public func remoteStatus() async throws(PostgresError) -> PostgresExportStatus {
            try await PlainThread.run("tidelog-status") { () throws(PostgresError) in
                let facts = try LogFacts(of: self.log)
                let connection = try PostgresConnection.connect(self.settings, switchOff: ConnectionSwitch())
                let uuid = facts.id.uuid ?? (0, 0)
                var checkpoint: Checkpoint?
                if try Schema(names: self.configuration.names).state(connection) != nil {
                    checkpoint = try ExportSession.checkpoint(
                        connection, self.configuration.names, .uuid(uuid.high, uuid.low),
                        self.configuration.name)
                }
                let next = checkpoint?.next ?? self.configuration.start.rawValue
                let lag = ExportLag(of: self.log, next: next)
                return PostgresExportStatus(
                    state: .stopped, lastError: nil, failures: 0,
                    nextPosition: checkpoint.map { Position($0.next) },
                    logEnd: lag.end, lagEvents: lag.events, lagBytes: lag.bytes, lag: lag.age,
                    exportedEvents: Int(clamping: checkpoint?.exported ?? 0), exportedBytes: 0,
                    eventsPerSecond: 0, lastExport: nil)
            }
        }
    }
#endif
