#if Postgres
    import Tidelog

    /// What the database holds of a range of a log, as it says itself.
    struct RemoteDigest {
        var count: Int
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
    }
#endif
