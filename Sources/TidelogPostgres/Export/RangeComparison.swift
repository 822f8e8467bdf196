#if Postgres
    import Tidelog

    /// The rows of a range of a log beside the log's events, one by one.
    ///
    /// Invariants:
    /// - Rows are read before the events, so what is appended and exported meanwhile is no row without an
    ///   event.
    /// - Every position before the log's end was an event's, so a row at a position that the log has no event
    ///   at is of one that was removed; a row from beyond the log's end is of no event that this log ever
    ///   had.
    struct RangeComparison {
        /// Events that the log has and the filter wants, and their digest.
        private(set) var localCount = 0
        private var local = RangeDigest()
        /// Rows of these events, as the database has them, and their digest.
        private(set) var remoteCount = 0
        private var remote = RangeDigest()
        /// Rows of events that the log has no longer.
        private(set) var removed = 0
        /// Rows of events that the log has and the filter leaves out.
        private(set) var unwanted = 0
        /// Wanted events without a row.
        private(set) var missing = 0
        /// Rows that are not what the log has at their positions.
        private(set) var changed = 0
        /// Rows from beyond the log's end.
        private(set) var surplus = 0
        /// Whether the JSON of all rows of events that are there has the value of the bytes beside it.
        private(set) var agrees = true

        private struct Row {
            var position: UInt64
            var digest: [UInt8]
            var agrees: Bool
            var isFound = false
        }

        /// How many rows are asked for at a time.
        private static let pageRows = 10_000

        private let log: EventLog
        private let filter: EventQuery

        private init(_ log: EventLog, _ filter: EventQuery) {
            self.log = log
            self.filter = filter
        }

        /// Compares them. The database computes a digest a row, and those are moved.
        static func read(
            _ connection: PostgresConnection, _ names: PostgresNames, _ logKey: PostgresValue,
            _ range: Range<Position>, of log: EventLog, filter: EventQuery
        ) throws(PostgresError) -> RangeComparison {
            var result = RangeComparison(log, filter)
            var from = range.lowerBound
            while from < range.upperBound {
                var rows: [Row] = []
                try connection.compare(
                    """
                    SELECT e.position, \(EventDigest.expression("e")), \
                    coalesce(\(EventDigest.agreement("e")), true) \
                    FROM \(names.quoted()) e WHERE e.log_id = $1 AND e.position >= $2 AND e.position < $3 \
                    ORDER BY e.position LIMIT \(Self.pageRows)
                    """,
                    [
                        logKey, .bigint(Int64(clamping: from.rawValue)),
                        .bigint(Int64(clamping: range.upperBound.rawValue)),
                    ], from..<range.upperBound
                ) { row throws(PostgresError) in
                    rows.append(
                        Row(
                            position: UInt64(clamping: try row.requiredInteger(0)),
                            digest: row.bytes(1) ?? [],
                            agrees: row.boolean(2)))
                }
                let isLast = rows.count < Self.pageRows
                let end = isLast ? range.upperBound : Position((rows.last?.position ?? 0) + 1)
                do throws(EventLogError) {
                    try result.add(&rows, from..<end)
                } catch {
                    throw PostgresError(error)
                }
                from = end
            }
            return result
        }

        private mutating func add(_ rows: inout [Row], _ range: Range<Position>) throws(EventLogError) {
            let end = try self.log.nextPositionBlocking().rawValue
            try self.scan(self.filter, range, &rows, isWanted: true)
            // The others, if there are any, are of events that the filter leaves out, or of none.
            if let first = rows.first(where: { !$0.isFound }), let last = rows.last(where: { !$0.isFound }) {
                let rest = Position(first.position)..<Position(last.position + 1)
                if self.filter != .all { try self.scan(.all, rest, &rows, isWanted: false) }
            }
            for row in rows where !row.isFound {
                if row.position < end { self.removed += 1 } else { self.surplus += 1 }
            }
        }

        /// Finds the rows of the events that a query wants.
        private mutating func scan(
            _ filter: EventQuery, _ range: Range<Position>, _ rows: inout [Row], isWanted: Bool
        ) throws(EventLogError) {
            var query = filter
            query.from = range.lowerBound
            query.to = range.upperBound
            var index = 0
            try self.log.scan(query) { view throws(EventLogError) in
                let position = view.position.rawValue
                while index < rows.count, rows[index].position < position { index += 1 }
                let row = index < rows.count && rows[index].position == position ? rows[index] : nil
                if !isWanted, row?.isFound ?? true { return true }
                let digest = EventDigest.digest(of: try view.copy())
                if isWanted {
                    self.localCount += 1
                    digest.withUnsafeBytes { self.local.add(digest: $0) }
                }
                guard let row else {
                    self.missing += 1
                    return true
                }
                rows[index].isFound = true
                if row.digest != digest { self.changed += 1 }
                self.agrees = self.agrees && row.agrees
                if isWanted {
                    self.remoteCount += 1
                    row.digest.withUnsafeBytes { self.remote.add(digest: $0) }
                } else {
                    self.unwanted += 1
                }
                return true
            }
        }

        /// What there is to say of it.
        consuming func check(_ positions: Range<Position>) -> PostgresRangeCheck {
            let (local, remote) = (self.local, self.remote)
            return PostgresRangeCheck(
                positions: positions, localCount: self.localCount,
                remoteCount: self.remoteCount + self.removed + self.unwanted + self.surplus,
                removedCount: self.removed, unwantedCount: self.unwanted, missingCount: self.missing,
                changedCount: self.changed, surplusCount: self.surplus, localDigest: local.finish(),
                remoteDigest: remote.finish(), jsonAgrees: self.agrees)
        }
    }
#endif
