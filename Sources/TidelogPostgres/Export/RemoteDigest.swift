#if Postgres
    import Tidelog

    /// What the database holds of a range of a log, as it says itself.
    struct RemoteDigest {
        var count: Int
        /// Rows that were left out, because the log has no longer what they are of.
        var removed = 0
        /// SHA-256 of the events' digests in the order of their positions.
        var digest: [UInt8]
        /// Whether every column of `jsonb` has the value of the bytes beside it.
        var agrees: Bool

        /// Has the database compute it; no rows are moved.
        static func read(
            _ connection: PostgresConnection, _ names: PostgresNames, _ logKey: PostgresValue,
            _ range: Range<Position>
        ) throws(PostgresError) -> RemoteDigest {
            var result = RemoteDigest(count: 0, digest: [], agrees: true)
            try connection.query(
                """
                SELECT count(*), sha256(coalesce(string_agg( \
                \(EventDigest.expression("e")), ''::bytea ORDER BY e.position), ''::bytea)), \
                coalesce(bool_and(\(EventDigest.agreement("e"))), true) \
                FROM \(names.quoted()) e WHERE e.log_id = $1 AND e.position >= $2 AND e.position < $3
                """,
                [
                    logKey, .bigint(Int64(clamping: range.lowerBound.rawValue)),
                    .bigint(Int64(clamping: range.upperBound.rawValue)),
                ]
            ) { row throws(PostgresError) in
                result = RemoteDigest(
                    count: Int(try row.requiredInteger(0)), digest: row.bytes(1) ?? [], agrees: row.boolean(2)
                )
            }
            return result
        }

        /// How many rows are asked for at a time.
        private static let pageRows = 10_000

        /// The same of the rows alone that are of events which the log still has, whatever an export's filter wants.
        ///
        /// Every position before the log's end was an event's, so a row at a position that the log has no event at
        /// is of one that was removed. The database computes a digest a row, and those are moved.
        static func read(
            _ connection: PostgresConnection, _ names: PostgresNames, _ logKey: PostgresValue,
            _ range: Range<Position>, keptBy log: EventLog
        ) throws(PostgresError) -> RemoteDigest {
            var result = RemoteDigest(count: 0, digest: [], agrees: true)
            var digest = RangeDigest()
            var from = range.lowerBound
            while from < range.upperBound {
                var rows: [(position: UInt64, digest: [UInt8], agrees: Bool)] = []
                try connection.query(
                    """
                    SELECT e.position, \(EventDigest.expression("e")), coalesce(\(EventDigest.agreement("e")), true) \
                    FROM \(names.quoted()) e WHERE e.log_id = $1 AND e.position >= $2 AND e.position < $3 \
                    ORDER BY e.position LIMIT \(Self.pageRows)
                    """,
                    [
                        logKey, .bigint(Int64(clamping: from.rawValue)),
                        .bigint(Int64(clamping: range.upperBound.rawValue)),
                    ]
                ) { row throws(PostgresError) in
                    rows.append(
                        (UInt64(clamping: try row.requiredInteger(0)), row.bytes(1) ?? [], row.boolean(2)))
                }
                guard let last = rows.last else { break }
                let end = Position(last.position + 1)
                let kept = try Self.kept(rows.map(\.position), from..<end, log)
                for (row, isKept) in zip(rows, kept) {
                    if isKept {
                        row.digest.withUnsafeBytes { digest.add(digest: $0) }
                        result.agrees = result.agrees && row.agrees
                    } else {
                        result.removed += 1
                    }
                }
                if rows.count < Self.pageRows { break }
                from = end
            }
            result.count = digest.count
            result.digest = digest.finish()
            return result
        }

        /// Whether the log has an event at each of these positions, which ascend within a range.
        private static func kept(
            _ positions: [UInt64], _ range: Range<Position>, _ log: EventLog
        ) throws(PostgresError) -> [Bool] {
            var kept = Array(repeating: false, count: positions.count)
            var index = 0
            var query = EventQuery.all
            query.from = range.lowerBound
            query.to = range.upperBound
            do throws(EventLogError) {
                try log.scan(query) { view throws(EventLogError) in
                    let position = view.position.rawValue
                    while index < positions.count, positions[index] < position { index += 1 }
                    if index < positions.count, positions[index] == position { kept[index] = true }
                    return true
                }
            } catch {
                throw PostgresError(error)
            }
            return kept
        }
    }
#endif
