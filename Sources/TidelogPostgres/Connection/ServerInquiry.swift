#if Postgres
    /// Asks a server, on another connection, whether it still works on what one connection waits for.
    ///
    /// A server says nothing while it works: while it computes the digest of a long range, makes an index,
    /// brings tables up to date, or waits for a lock; and that takes as long as there is data. So no limit of
    /// time tells a server that works from one that hangs, or from a network that swallows everything. Its
    /// view of activity does (PostgreSQL, "pg_stat_activity").
    ///
    /// What waits for the client does not work: its answer, or what it was sent, has been lost on the way. A
    /// server that answers and does not say more, as where it has no room for another connection, is taken to
    /// work.
    struct ServerInquiry: Sendable {
        private let settings: PostgresSettings
        /// What tells the connection's session from every other one, before and after it.
        private let process: Int64
        private let began: Int64
        /// When a session began, by a row of the view. To a user who has become another one, the server shows
        /// no more of his session than that it is there.
        private static let beginning = "coalesce(backend_start, pg_postmaster_start_time())"
        /// When the server was started. Where a name stands for several servers, another one may be asked,
        /// which knows nothing of the session.
        private let serverBegan: Int64

        /// Notes the session of a connection that waits for nothing.
        init(_ connection: PostgresConnection, _ settings: PostgresSettings) throws(PostgresError) {
            var numbers: [Int64] = []
            try connection.query(
                "SELECT pid, \(Self.beginning), pg_postmaster_start_time() FROM pg_stat_activity "
                    + "WHERE pid = pg_backend_pid()"
            ) { row throws(PostgresError) in
                for column in 0..<3 as Range<Int32> { numbers.append(try row.requiredInteger(column)) }
            }
            guard numbers.count == 3 else {
                throw PostgresError(.server, "the server does not know the session that it has just made")
            }
            self.settings = settings
            (self.process, self.began, self.serverBegan) = (numbers[0], numbers[1], numbers[2])
        }

        /// Whether the server works on the session's statement; blocks, but no longer than connecting may
        /// take twice, and not once `mustStop`.
        func isAtWork(until mustStop: () -> Bool) -> Bool {
            let outcome = AbandonableCall.run(
                "tidelog-pgask", kind: "ask " + self.settings.connectionString,
                limit: self.settings.connectTimeout * 2, until: mustStop
            ) { _ in self.ask() }
            return if case .done(let isAtWork) = outcome { isAtWork } else { false }
        }

        private func ask() -> Bool {
            do throws(PostgresError) {
                let connection = try PostgresConnection.connect(
                    self.settings, switchOff: ConnectionSwitch(), answerLimit: self.settings.connectTimeout)
                var isAtWork = false
                try connection.query(
                    """
                    SELECT pg_postmaster_start_time() <> $3 OR EXISTS (SELECT 1 FROM pg_stat_activity \
                    WHERE pid = $1 AND \(Self.beginning) = $2 AND coalesce(state, '') NOT LIKE 'idle%' \
                    AND wait_event_type IS DISTINCT FROM 'Client')
                    """, [.bigint(self.process), .timestamp(self.began), .timestamp(self.serverBegan)]
                ) { row throws(PostgresError) in isAtWork = row.boolean(0) }
                return isAtWork
            } catch {
                return error.sqlState != nil && error.code != .unreachable
            }
        }
    }
#endif
