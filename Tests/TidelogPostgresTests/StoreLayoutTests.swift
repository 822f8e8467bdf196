#if Postgres
    import Synchronization
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("A store whose table of events is made anew in another layout")
    struct StoreLayoutTests {
        static let layouts: [PostgresLayout] = [.single, .byLog, .byMonth]
        /// From each to each other.
        static let changes = Self.layouts.flatMap { from in
            Self.layouts.filter { $0 != from }.map { (from, $0) }
        }

        private final class Flag: Sendable {
            let isSet = Atomic(false)
        }

        /// Makes the table anew, empty, and leaves the rows where they are, under another name.
        private func makeAnew(
            _ server: PostgresServer, _ database: String, _ layout: PostgresLayout, before name: String
        ) throws {
            let time = layout == .byMonth ? ", occurred_at" : ""
            let partitions =
                switch layout.kind {
                case .single: ""
                case .byLog: " PARTITION BY LIST (log_id)"
                case .byMonth: " PARTITION BY RANGE (occurred_at)"
                }
            try server.run(
                """
                BEGIN; ALTER TABLE tidelog.events RENAME TO \(name); \
                DO $$DECLARE p regclass; BEGIN \
                FOR p IN SELECT inhrelid FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
                WHERE inhparent = 'tidelog.\(name)'::regclass AND c.relkind = 'r' LOOP \
                EXECUTE format('ALTER TABLE %s RENAME TO p%s', p, p::oid); END LOOP; END$$; \
                CREATE TABLE tidelog.events (LIKE tidelog.\(name) INCLUDING CONSTRAINTS, \
                PRIMARY KEY (log_id, position\(time)))\(partitions); \
                CREATE UNIQUE INDEX ON tidelog.events (log_id, stream, revision\(time)) WHERE stream IS NOT NULL; \
                CREATE INDEX ON tidelog.events (log_id, id); COMMIT
                """, in: database)
        }

        /// Drops everything and has another program make it, as it may from a backup: with the row of the log.
        private func makeAgain(
            _ server: PostgresServer, _ database: String, _ layout: PostgresLayout, withLog: Bool = true
        ) throws {
            let connection = try server.connect(database)
            try connection.execute(
                "CREATE TABLE public.kept AS SELECT * FROM tidelog.events_logs; DROP SCHEMA tidelog CASCADE")
            #expect(try Schema(names: .init(), layout: layout).prepare(connection) == layout)
            if withLog {
                try connection.execute("INSERT INTO tidelog.events_logs SELECT * FROM public.kept")
            }
            try connection.execute("DROP TABLE public.kept")
        }

        /// Events of one month each.
        private func months(_ count: Int) -> [Event] {
            (0..<count).map { number in
                let seconds = 1_700_000_000 + Int64(number) * 2_700_000
                return Event(
                    type: "t", stream: "m", timestamp: .init(nanosecondsSinceEpoch: seconds * 1_000_000_000))
            }
        }

        /// Appends in every way that there is; answers how many events.
        private func append(_ store: PostgresEventStore) async throws -> UInt64 {
            let start = try await store.end().rawValue
            for number in 0..<3 {
                let single = try await store.append([Event(type: "t", stream: "s")], if: .always)
                #expect(single.positions.lowerBound.rawValue == start + UInt64(number))
            }
            let many = try await store.append(self.months(3), if: .always)
            #expect(many.positions.lowerBound.rawValue == start + 3)
            let guarded = try await store.append(
                [Event(type: "t")], if: .noEvent(matching: .types("other"), after: nil))
            #expect(guarded.positions.lowerBound.rawValue == start + 6)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<20 {
                    group.addTask {
                        try await store.append([Event(type: "t", stream: "g\(number)")], if: .always)
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await store.end().rawValue == start + 27)
            return 27
        }

        @Test(
            "goes on there with appends of every kind, on the connections that it has",
            arguments: Self.changes)
        func goesOn(_ from: PostgresLayout, _ to: PostgresLayout) async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database) { $0.layout = from }
                let subscriber = try Subscriber(store)
                var count: UInt64 = 0
                for (round, layout) in [from, to, from, to].enumerated() {
                    if round > 0 { try self.makeAnew(server, database, layout, before: "before\(round)") }
                    let start = count
                    count += try await self.append(store)
                    let rows = try server.number("SELECT count(*) FROM tidelog.events", in: database)
                    #expect(rows == Int64(count - start))
                    let found = try await store.events(.all).map(\.position.rawValue)
                    #expect(found == Array(start..<count))
                    #expect(try await subscriber.waitForCount(Int(count)))
                }
                #expect(subscriber.positions == Array(0..<count))
                try await subscriber.end()
                await store.close()
            }
        }

        @Test("goes on there on a thread of its own", arguments: Self.changes)
        func onOwnThread(_ from: PostgresLayout, _ to: PostgresLayout) async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database) { $0.layout = from }
                try await store.withOwnThread {
                    for (round, layout) in [from, to, from].enumerated() {
                        if round > 0 { try self.makeAnew(server, database, layout, before: "before\(round)") }
                        for number in 0..<5 {
                            let result = try await store.append([Event(type: "t", stream: "s")], if: .always)
                            #expect(result.positions.lowerBound.rawValue == UInt64(round * 5 + number))
                        }
                    }
                }
                #expect(try await store.events(.all).map(\.position.rawValue) == Array(10..<15))
                await store.close()
            }
        }

        @Test("goes on where everything was dropped and made again with the log", arguments: Self.changes)
        func madeAgain(_ from: PostgresLayout, _ to: PostgresLayout) async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database) { $0.layout = from }
                let before = try await self.append(store)
                try self.makeAgain(server, database, to)
                var end = before + (try await self.append(store))
                // The next connections learn it as well.
                try server.connect().query(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1",
                    [.text(database)])
                end += try await self.append(store)
                let found = try await store.events(.all).map(\.position.rawValue)
                #expect(found == Array(before..<end))
                await store.close()
            }
        }

        @Test("has every event once that is appended meanwhile", arguments: Self.changes)
        func meanwhile(_ from: PostgresLayout, _ to: PostgresLayout) async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database) { $0.layout = from }
                let end = Flag()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for task in 0..<6 {
                        group.addTask {
                            while !end.isSet.load(ordering: .relaxed) {
                                let events = (0...task % 3).map { _ in Event(type: "t", stream: "s\(task)") }
                                try await store.append(events, if: .always)
                            }
                        }
                    }
                    var last: UInt64 = 0
                    for (round, layout) in [to, from, to].enumerated() {
                        #expect(try await eventually { try await store.end().rawValue >= last + 50 })
                        last = try await store.end().rawValue
                        try self.makeAnew(server, database, layout, before: "before\(round)")
                    }
                    #expect(try await eventually { try await store.end().rawValue >= last + 50 })
                    end.isSet.store(true, ordering: .relaxed)
                    try await group.waitForAll()
                }
                let all =
                    "(TABLE tidelog.before0 UNION ALL TABLE tidelog.before1 UNION ALL TABLE tidelog.before2 "
                    + "UNION ALL TABLE tidelog.events) a"
                let count = try await store.end().rawValue
                for column in ["*", "DISTINCT position", "DISTINCT id"] {
                    let found = try server.number("SELECT count(\(column)) FROM \(all)", in: database)
                    #expect(found == Int64(count), "\(column)")
                }
                await store.close()
            }
        }

        @Test("says so where the tables are gone, or the log is not in those that were made again")
        func gone() async throws {
            try await withDatabase { server, database in
                for (layout, other) in Self.changes {
                    let store = try await server.openStore(database) { $0.layout = layout }
                    try await store.append([Event(type: "t")], if: .always)
                    try self.makeAgain(server, database, other, withLog: false)
                    do throws(EventLogError) {
                        try await store.append([Event(type: "t")], if: .always)
                        Issue.record("an event went to a log that is not there")
                    } catch {
                        #expect(error.code == .notFound && error.message.contains("open the store again"))
                    }
                    try server.run("DROP SCHEMA tidelog CASCADE", in: database)
                    do throws(EventLogError) {
                        try await store.append([Event(type: "t")], if: .always)
                        Issue.record("an event went to a table that is not there")
                    } catch {
                        let state = (error.cause as? PostgresError)?.sqlState
                        #expect(["42P01", "3F000"].contains(state), "\(error)")
                        #expect(error.message.contains("does not exist"), "\(error)")
                    }
                    await store.close()
                }
            }
        }

        @Test("takes no other refusal for a missing partition", arguments: Self.layouts)
        func constraint(_ layout: PostgresLayout) async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database) { $0.layout = layout }
                try await store.append([Event(type: "t")], if: .always)
                try server.run("ALTER TABLE tidelog.events ADD CHECK (type <> 'bad')", in: database)
                let calls = (0..<20).map { number in
                    Call { try await store.append([Event(type: number % 5 == 0 ? "bad" : "t")], if: .always) }
                }
                #expect(try await eventually { calls.allSatisfy(\.isOver) })
                for (number, call) in calls.enumerated() {
                    #expect(
                        call.code == (number % 5 == 0 ? .inputOutput : nil), "\(call.error.debugDescription)")
                }
                #expect(try await store.events(.all).map(\.position.rawValue) == Array(0..<17))
                await store.close()
            }
        }
    }
#endif
