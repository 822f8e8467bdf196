#if Postgres
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("A change of a stream whose commit is not answered", .serialized)
    struct StreamDoubtTests {
        enum Change: String, CaseIterable, Sendable {
            case truncating, deleting

            func make(_ store: PostgresEventStore) async throws {
                switch self {
                case .truncating: try await store.truncate(stream: "s", before: 1)
                case .deleting: try await store.delete(stream: "s", expecting: .exact(1))
                }
            }

            func isMade(_ store: PostgresEventStore) async throws -> Bool {
                let info = try #require(try await store.stream("s"))
                return self == .truncating ? info.firstRevision == 1 : info.isDeleted
            }
        }

        /// Has the server keep every commit of such a change waiting for a lock.
        private static let trigger = """
            CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 \
            AS 'BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NULL; END'; \
            CREATE CONSTRAINT TRIGGER hold AFTER INSERT OR UPDATE ON tidelog.events_streams \
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.hold()
            """

        /// How many of the database's sessions wait for a lock.
        private static func waiting(_ database: String) -> String {
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = '\(database)'"
        }

        /// Runs `body` while the server holds the commit of a change, which has arrived there; `letGo` ends that.
        private func withCommitUnderWay(
            _ change: Change, isOnOwnThread: Bool = false, patience: Duration = .milliseconds(300),
            _ body: (
                _ store: PostgresEventStore, _ call: Call, _ proxy: CuttingProxy,
                _ waiting: () throws -> Int64?,
                _ letGo: () throws -> Void
            ) async throws -> Void
        ) async throws {
            try await withDatabase { server, database in
                let proxy = try CuttingProxy(before: server)
                defer { proxy.end() }
                let store = try await server.openStore(database, settings: proxy.settings(database)) {
                    $0.patience = patience
                }
                try await store.append(
                    [Event(type: "t", stream: "s"), Event(type: "t", stream: "s")], if: .always)
                try server.run(Self.trigger, in: database)
                let holder = try server.connect(database)
                try holder.execute("SELECT pg_advisory_lock(7)")
                let call = Call {
                    if isOnOwnThread {
                        try await store.withOwnThread { try await change.make(store) }
                    } else {
                        try await change.make(store)
                    }
                }
                let committing =
                    "SELECT count(*) FROM pg_stat_activity WHERE query = 'COMMIT' AND wait_event = 'advisory' "
                    + "AND datname = '\(database)'"
                try #require(try await eventually { try server.number(committing, in: database) == 1 })
                try await body(
                    store, call, proxy, { try server.number(Self.waiting(database), in: database) },
                    { try holder.execute("SELECT pg_advisory_unlock(7)") })
                let other = try await server.openStore(database)
                #expect(try await eventually { try await change.isMade(other) })
                await other.close()
                await store.close()
            }
        }

        /// Whether a call says that what it was to do may be done.
        private func isUnknown(_ call: Call) -> Bool {
            guard let error = call.error as? EventLogError, let cause = error.cause as? PostgresError else {
                return false
            }
            return cause.isOutcomeUnknown && error.message.contains("is not known")
        }

        @Test(
            "says that it may be made, where the server cannot be reached until the patience ends",
            arguments: Change.allCases, [false, true])
        func unreachable(_ change: Change, isOnOwnThread: Bool) async throws {
            try await self.withCommitUnderWay(change, isOnOwnThread: isOnOwnThread) {
                _, call, proxy, _, letGo in
                proxy.cut { 1 }
                proxy.cutAll()
                #expect(try await eventually { call.isOver })
                #expect(call.code == .unavailable && self.isUnknown(call), "\(call.error.debugDescription)")
                try letGo()
                proxy.cut { nil }
            }
        }

        @Test(
            "says so, too, where the next try waits for the first one for too long",
            arguments: Change.allCases)
        func locked(_ change: Change) async throws {
            try await self.withCommitUnderWay(change) { _, call, proxy, _, letGo in
                proxy.cutAll()
                #expect(try await eventually { call.isOver })
                #expect(call.code == .locked && self.isUnknown(call), "\(call.error.debugDescription)")
                try letGo()
            }
        }

        @Test(
            "says so when the store is closed meanwhile", arguments: Change.allCases, [false, true])
        func closed(_ change: Change, isOnOwnThread: Bool) async throws {
            try await self.withCommitUnderWay(
                change, isOnOwnThread: isOnOwnThread, patience: .seconds(3600)
            ) { store, call, _, _, letGo in
                await store.close()
                #expect(try await eventually { call.isOver })
                #expect(call.code == .closed && self.isUnknown(call), "\(call.error.debugDescription)")
                try letGo()
            }
        }

        @Test(
            "is made once, and its call returns, where the next try finds it made", arguments: Change.allCases
        )
        func found(_ change: Change) async throws {
            try await self.withCommitUnderWay(change, patience: .seconds(3600)) {
                _, call, proxy, waiting, letGo in
                proxy.cutAll()
                // The first one for what holds its commit, the second one for the log's row.
                #expect(try await eventually { try waiting() == 2 })
                try letGo()
                #expect(try await eventually { call.isOver })
                #expect(call.error == nil, "\(call.error.debugDescription)")
            }
        }

        @Test(
            "is known not to be made where the connection is lost before its commit",
            arguments: Change.allCases)
        func before(_ change: Change) async throws {
            try await withDatabase { server, database in
                let proxy = try CuttingProxy(before: server)
                defer { proxy.end() }
                let store = try await server.openStore(database, settings: proxy.settings(database)) {
                    $0.patience = .seconds(2)
                }
                try await store.append(
                    [Event(type: "t", stream: "s"), Event(type: "t", stream: "s")], if: .always)
                let stuck = try server.connect(database)
                try stuck.execute("BEGIN; UPDATE tidelog.events_logs SET next_position = next_position")
                let call = Call { try await change.make(store) }
                let waiting = Self.waiting(database)
                #expect(try await eventually { try server.number(waiting, in: database) == 1 })
                proxy.cut { 1 }
                proxy.cutAll()
                #expect(try await eventually { call.isOver })
                #expect(call.code == .unavailable, "\(call.error.debugDescription)")
                #expect(((call.error as? EventLogError)?.cause as? PostgresError)?.isOutcomeUnknown == false)
                try stuck.execute("ROLLBACK")
                proxy.cut { nil }
                #expect(try await !change.isMade(store))
                await store.close()
            }
        }
    }
#endif
