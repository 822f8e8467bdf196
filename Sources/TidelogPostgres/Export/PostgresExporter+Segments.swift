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
        /// SHA-256 over the events' digests, by the log.
        public let localDigest: [UInt8]
        /// The same, computed by the database, of the rows that are not of removed events.
        public let remoteDigest: [UInt8]
        /// Whether the JSON of all these rows has the value of the bytes kept beside it.
        public let jsonAgrees: Bool
        /// Whether the database holds the events that the log has, and none but those that the log had.
        public var isEqual: Bool {
            self.localCount == self.remoteCount - self.removedCount && self.localDigest == self.remoteDigest
                && self.jsonAgrees
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
        /// Every field of every event is covered. Rows of events that the log has no longer are counted and left out.
        /// A check changes nothing.
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
                let digest = local.finish()
                var kept = remote
                if count != remote.count || digest != remote.digest || !remote.agrees {
                    kept = try RemoteDigest.read(
                        connection, self.configuration.names, .uuid(uuid.high, uuid.low), positions,
                        keptBy: self.log)
                }
                return PostgresRangeCheck(
                    positions: positions, localCount: count, remoteCount: kept.count + kept.removed,
                    removedCount: kept.removed, localDigest: digest, remoteDigest: kept.digest,
                    jsonAgrees: kept.agrees)
            }
        }

        private func openSession() throws(PostgresError) -> ExportSession {
            try ExportSession(
                log: self.log, settings: self.settings, configuration: self.configuration,
                switchOff: ConnectionSwitch())
        }
    }
#endif
