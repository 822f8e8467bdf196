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
            try connection.compare(
                """
                SELECT count(*), sha256(coalesce(string_agg( \
                \(EventDigest.expression("e")), ''::bytea ORDER BY e.position), ''::bytea)), \
                coalesce(bool_and(\(EventDigest.agreement("e"))), true) \
                FROM \(names.quoted()) e WHERE e.log_id = $1 AND e.position >= $2 AND e.position < $3
                """,
                [
                    logKey, .bigint(Int64(clamping: range.lowerBound.rawValue)),
                    .bigint(Int64(clamping: range.upperBound.rawValue)),
                ], range
            ) { row throws(PostgresError) in
                result = RemoteDigest(
                    count: Int(try row.requiredInteger(0)), digest: row.bytes(1) ?? [], agrees: row.boolean(2)
                )
            }
            return result
        }
    }

    extension PostgresConnection {
        /// A query with ``EventDigest/agreement(_:)`` of rows in a range.
        ///
        /// - Throws: ``PostgresError`` with code `diverged` where the bytes beside a column of JSON are no
        ///   JSON at all: the server refuses to compare these.
        func compare(
            _ statement: String, _ parameters: [PostgresValue], _ range: Range<Position>,
            _ body: (PostgresRow) throws(PostgresError) -> Void
        ) throws(PostgresError) {
            do throws(PostgresError) {
                try self.query(statement, parameters, body)
            } catch {
                // Invalid text, an invalid encoding, a character that JSON here cannot have.
                guard ["22P02", "22021", "22P05"].contains(error.sqlState) else { throw error }
                throw PostgresError(
                    .diverged,
                    "a row of the positions from \(range.lowerBound) to before \(range.upperBound) has "
                        + "bytes that are no JSON, beside a column that is: it was changed in the database. "
                        + "Delete it, and send it again from the log",
                    sqlState: error.sqlState, cause: error, positions: range)
            }
        }
    }
#endif
