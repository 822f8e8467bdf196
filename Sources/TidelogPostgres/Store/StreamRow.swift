#if Postgres
    import Synchronization
    import Tidelog

    /// What the tables say of streams: the events, and what is kept of those that were truncated or deleted.
    enum StreamRow {
        /// A stream's name, revisions and positions, as columns: of its events in `f` (the first) and `l` (the
        /// last), of what is kept of it in `k`.
        private static let columns = """
            n.stream, coalesce(greatest(l.revision, k.last_revision), 0), coalesce(k.first_revision, 0), \
            coalesce(least(f.position, k.first_position), 0), \
            coalesce(greatest(l.position, k.last_position), 0), coalesce(k.is_deleted, false)
            """

        /// The rows that the columns are of, for names in `n`.
        private static func sources(_ names: PostgresNames) -> String {
            let ends = [("f", ""), ("l", " DESC")].map { alias, direction in
                """
                LEFT JOIN LATERAL (SELECT e.revision, e.position FROM \(names.quoted()) e WHERE e.log_id = $1 \
                AND e.stream = n.stream ORDER BY e.revision\(direction) LIMIT 1) \(alias) ON true
                """
            }
            return ends.joined(separator: " ")
                + " LEFT JOIN \(names.quoted("_streams")) k ON k.log_id = $1 AND k.stream = n.stream"
        }

        static func info(_ row: PostgresRow) throws(PostgresError) -> StreamInfo {
            StreamInfo(
                name: row.text(0) ?? "",
                lastRevision: Revision(UInt64(clamping: try row.requiredInteger(1))),
                firstRevision: Revision(UInt64(clamping: try row.requiredInteger(2))),
                firstPosition: Position(UInt64(clamping: try row.requiredInteger(3))),
                lastPosition: Position(UInt64(clamping: try row.requiredInteger(4))),
                isDeleted: row.boolean(5))
        }

        /// What is known of a stream; nil if it never had an event.
        static func read(
            _ connection: PostgresConnection, _ context: StoreContext, _ name: String
        ) throws(PostgresError) -> StreamInfo? {
            var info: StreamInfo?
            let statement = PostgresStatement(
                text: "SELECT \(self.columns) FROM (SELECT $2::text COLLATE \"C\" AS stream) n "
                    + "\(self.sources(context.names)) WHERE l.revision IS NOT NULL OR k.stream IS NOT NULL",
                parameters: [context.key, .text(name)])
            try connection.pipeline([statement]) { _, row throws(PostgresError) in
                info = try self.info(row)
            }
            return info
        }

        static func write(
            _ connection: PostgresConnection, _ context: StoreContext, _ info: StreamInfo, first: Revision,
            isDeleted: Bool
        ) throws(EventLogError) {
            do throws(PostgresError) {
                try connection.query(
                    """
                    INSERT INTO \(context.names.quoted("_streams")) (log_id, stream, first_revision, last_revision, \
                    first_position, last_position, is_deleted) VALUES ($1, $2, $3, $4, $5, $6, $7) \
                    ON CONFLICT (log_id, stream) DO UPDATE SET first_revision = excluded.first_revision, \
                    last_revision = excluded.last_revision, last_position = excluded.last_position, \
                    is_deleted = excluded.is_deleted
                    """,
                    [
                        context.key, .text(info.name), .bigint(Int64(clamping: first.rawValue)),
                        .bigint(Int64(clamping: info.lastRevision.rawValue)),
                        .bigint(Int64(clamping: info.firstPosition.rawValue)),
                        .bigint(Int64(clamping: info.lastPosition.rawValue)), .boolean(isDeleted),
                    ])
            } catch {
                throw EventLogError(error)
            }
        }

        /// A page of streams. The index is asked for one name after the other, so that events are not read for
        /// it.
        static func listing(
            _ context: StoreContext, prefix: String, after name: String?, limit: Int
        ) -> PostgresStatement {
            let events = context.names.quoted()
            let from = name.map { $0.utf8.contains(0) ? String($0.prefix { $0 != "\0" }) : $0 }
            func next(_ bound: String) -> String {
                """
                (SELECT e.stream FROM \(events) e WHERE e.log_id = $1 AND \(bound) \
                ORDER BY e.stream LIMIT 1)
                """
            }
            let begin = from == nil ? "e.stream >= $2" : "e.stream >= $2 AND e.stream > $4"
            let visible =
                "e.log_id = $1 AND e.stream = n.stream AND e.revision >= coalesce(k.first_revision, 0)"
            let ends = [("vf", ""), ("vl", " DESC")].map { alias, direction in
                """
                LEFT JOIN LATERAL (SELECT e.occurred_at, e.nanoseconds FROM \(events) e WHERE \(visible) \
                ORDER BY e.revision\(direction) LIMIT 1) \(alias) ON NOT coalesce(k.is_deleted, false)
                """
            }
            return PostgresStatement(
                text: """
                    WITH RECURSIVE names (stream, number) AS ( \
                    SELECT \(next(begin)), 1::bigint \
                    UNION ALL SELECT \(next("e.stream > names.stream")), names.number + 1 FROM names \
                    WHERE names.number < $3 AND starts_with(names.stream, $2)) \
                    SELECT \(self.columns), CASE WHEN coalesce(k.is_deleted, false) THEN 0 ELSE \
                    (SELECT count(*) FROM \(events) e WHERE \(visible)) END, \
                    vf.occurred_at, vf.nanoseconds, vl.occurred_at, vl.nanoseconds \
                    FROM names n \(self.sources(context.names)) \(ends.joined(separator: " ")) \
                    WHERE starts_with(n.stream, $2) ORDER BY n.number
                    """,
                parameters: [context.key, .text(prefix), .bigint(Int64(clamping: limit))]
                    + (from.map { [.text($0)] } ?? []))
        }

        static func timestamp(_ row: PostgresRow, _ column: Int32) throws(PostgresError) -> Timestamp? {
            guard let microseconds = try row.integer(column), let rest = try row.integer(column + 1) else {
                return nil
            }
            return RowDecoder.timestamp(microseconds, rest)
        }
    }

    /// Whether a change of a stream was tried whose commit was not answered, so that it may have taken place.
    final class StreamDoubt: Sendable {
        private let state = Atomic(false)

        var isOpen: Bool { self.state.load(ordering: .relaxed) }

        /// The commit of a try was not answered; `outcome` says whether that try has changed something.
        func note(_ outcome: Result<Void, EventLogError>) {
            if case .success = outcome { self.state.store(true, ordering: .relaxed) }
        }
    }
#endif
