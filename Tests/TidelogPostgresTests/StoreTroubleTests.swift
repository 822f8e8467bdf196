#if Postgres
    import Foundation
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    /// How many cuts; `TIDELOG_CUTS=200` for the long run.
    private let rounds = ProcessInfo.processInfo.environment["TIDELOG_CUTS"].flatMap { Int($0) } ?? 40

    @Suite("The store in PostgreSQL when things go wrong")
    struct StoreTroubleTests {
        @Test("appends whose connections are cut anywhere are stored once, and subscriptions miss nothing")
        func cuts() async throws {
            try await withDatabase { server, database in
                let seed = UInt64.random(in: 0...UInt64.max)
                print("seed of the store's cuts: \(seed)")
                let random = LockedGenerator(seed)
                let proxy = try CuttingProxy(before: server)
                defer { proxy.end() }
                let store = try await server.openStore(database, settings: proxy.settings(database)) {
                    $0.patience = .seconds(120)
                }
                proxy.cut { random.next(30_000) }
                let subscriber = try Subscriber(store)
                var written = 0
                while proxy.cuts < rounds, written < 100_000 {
                    let first = written
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for task in 0..<8 {
                            group.addTask {
                                for number in 0..<5 {
                                    let id = "\(first)-\(task)-\(number)"
                                    let result = try await store.append(
                                        [
                                            Event(id: .init(id), type: "t"),
                                            Event(id: .init(id + "b"), type: "t"),
                                        ],
                                        toStream: "s\(task)", expecting: number == 0 ? .any : .streamExists)
                                    #expect(result.positions.count == 2)
                                }
                            }
                        }
                        try await group.waitForAll()
                    }
                    written += 80
                }
                #expect(proxy.cuts >= rounds)
                proxy.cut { nil }
                let all = try await store.events(.all)
                #expect(all.count == written && Set(all.map(\.id)).count == written)
                #expect(all.map(\.position.rawValue) == Array(0..<UInt64(written)))
                #expect(try await subscriber.waitForCount(written))
                #expect(subscriber.positions == Array(0..<UInt64(written)))
                try await subscriber.end()
                await store.close()
            }
        }

        @Test("a subscription whose notifications are lost with its connection finds out by itself")
        func notificationsLost() async throws {
            try await withDatabase { server, database in
                // It does not look by itself within the test; the other store's appends reach it by NOTIFY.
                let store = try await server.openStore(database)
                let other = try await server.openStore(database)
                let subscriber = try Subscriber(store)
                let administrator = try server.connect()
                for round in 0..<10 {
                    try await other.append([Event(type: "t"), Event(type: "t")], if: .always)
                    if round % 2 == 1 {
                        try administrator.query(
                            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1",
                            [.text(database)])
                    }
                    try await other.append([Event(type: "t")], if: .always)
                    #expect(try await subscriber.waitForCount(3 * (round + 1)), "round \(round)")
                }
                #expect(subscriber.positions == Array(0..<30))
                try await subscriber.end()
                await store.close()
                await other.close()
            }
        }

        @Test("a subscription waits for a server that has no room for connections, and goes on when it has")
        func noRoom() async throws {
            try await withDatabase { server, database in
                let writer = try await server.openStore(database)
                let role = "r_" + database
                let administrator = try server.connect()
                try server.run(
                    """
                    CREATE ROLE \(role) LOGIN; GRANT USAGE ON SCHEMA tidelog TO \(role);
                    GRANT SELECT ON ALL TABLES IN SCHEMA tidelog TO \(role)
                    """, in: database)
                let store = try await server.openStore(
                    database, settings: server.settings(database, user: role))
                let subscriber = try Subscriber(store)
                try await writer.append([Event(type: "t")], if: .always)
                #expect(try await subscriber.waitForCount(1))
                try administrator.execute("ALTER ROLE \(role) CONNECTION LIMIT 0")
                try administrator.query(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", [.text(role)]
                )
                try await writer.append([Event(type: "t")], if: .always)
                // Long enough for several refusals.
                try await Task.sleep(for: .milliseconds(300))
                try administrator.execute("ALTER ROLE \(role) CONNECTION LIMIT 10")
                #expect(try await subscriber.waitForCount(2))
                #expect(subscriber.positions == [0, 1])
                try await subscriber.end()
                for entry in [store, writer] { await entry.close() }
                try server.run("DROP OWNED BY \(role)", in: database)
                try administrator.execute("DROP ROLE \(role)")
            }
        }

        @Test("what nobody notifies of is found by looking from time to time")
        func polling() async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database) { $0.pollInterval = .milliseconds(20) }
                let subscriber = try Subscriber(store)
                for number in 0..<5 {
                    // Long enough for the subscription to wait.
                    try await Task.sleep(for: .milliseconds(50))
                    try server.run(
                        """
                        BEGIN; UPDATE tidelog.events_logs SET next_position = \(number + 1);
                        INSERT INTO tidelog.events
                        (log_id, position, occurred_at, nanoseconds, schema_version, id, type)
                        SELECT log_id, \(number), now(), 0, 1, 'x\(number)', 't' FROM tidelog.events_logs; COMMIT
                        """, in: database)
                    #expect(try await subscriber.waitForCount(number + 1))
                }
                #expect(subscriber.positions == [0, 1, 2, 3, 4])
                try await subscriber.end()
                await store.close()
            }
        }

        @Test(
            "a server that is killed and started again is waited for, by appends and by subscriptions",
            .timeLimit(.minutes(10)))
        func restarts() async throws {
            let server = try PostgresServer([])  // its own, and with fsync
            defer { server.end() }
            let database = try server.makeDatabase()
            let store = try await server.openStore(database) { $0.patience = .seconds(120) }
            let subscriber = try Subscriber(store)
            var expected: UInt64 = 0
            for round in 0..<max(3, rounds / 10) {
                let acknowledged = Task {
                    var count = 0
                    for number in 0..<200 {
                        try await store.append(
                            [Event(id: .init("\(round)-\(number)"), type: "t")], if: .always)
                        count += 1
                    }
                    return count
                }
                try await Task.sleep(for: .milliseconds(Int.random(in: 0...100)))
                if round % 2 == 0 { try server.kill() } else { try server.stop() }
                try server.start()
                expected += UInt64(try await acknowledged.value)
                #expect(try await subscriber.waitForCount(Int(expected)))
            }
            #expect(subscriber.positions == Array(0..<expected))
            #expect(try await store.events(.all).map(\.position.rawValue) == Array(0..<expected))
            #expect(Set(try await store.events(.all).map(\.id)).count == Int(expected))
            try await subscriber.end()
            // Without a server, calls end within the store's patience, with an error that says so.
            let impatient = try await server.openStore(database) { $0.patience = .milliseconds(100) }
            try server.kill()
            for call in 0..<2 {
                do throws(EventLogError) {
                    if call == 0 {
                        try await impatient.append([Event(type: "t")], if: .always)
                    } else {
                        _ = try await impatient.count(.all)
                    }
                    Issue.record("call \(call) without a server did not throw")
                } catch {
                    #expect(error.code == .unavailable)
                    #expect((error.cause as? PostgresError)?.code == .unreachable)
                }
            }
            await store.close()
            await impatient.close()
        }

        @Test("what the server refuses is told by a typed error, and goes on when it is mended")
        func refusals() async throws {
            try await withDatabase { server, database in
                let administrator = try server.connect()
                let role = "r_" + database
                try administrator.execute("CREATE ROLE \(role) LOGIN")
                func expect(
                    _ code: EventLogError.Code, _ what: Comment, _ body: () async throws -> Void
                ) async {
                    do {
                        try await body()
                        Issue.record("nothing was thrown: \(what)")
                    } catch let error as EventLogError {
                        #expect(error.code == code, what)
                    } catch {
                        Issue.record("\(error)")
                    }
                }
                let settings = server.settings(database, user: role)
                await expect(.permissionDenied, "no right to make tables") {
                    _ = try await server.openStore(database, settings: settings)
                }
                let store = try await server.openStore(database)
                try server.run(
                    "GRANT USAGE ON SCHEMA tidelog TO \(role); GRANT SELECT ON ALL TABLES IN SCHEMA tidelog TO \(role)",
                    in: database)
                let reader = try await server.openStore(database, settings: settings)
                await expect(.permissionDenied, "no right to append") {
                    try await reader.append([Event(type: "t")], if: .always)
                }
                try server.run(
                    """
                    GRANT INSERT ON tidelog.events, tidelog.events_snapshots TO \(role);
                    GRANT UPDATE ON tidelog.events_logs, tidelog.events_snapshots TO \(role)
                    """, in: database)
                try await reader.append([Event(type: "t")], if: .always)

                try administrator.execute("ALTER DATABASE \(database) SET default_transaction_read_only = on")
                let readOnly = try await server.openStore(database)
                await expect(.permissionDenied, "a read-only database") {
                    try await readOnly.append([Event(type: "t")], if: .always)
                }
                #expect(try await readOnly.count(.all) == 1)
                try administrator.execute("ALTER DATABASE \(database) RESET default_transaction_read_only")

                let connection = try server.connect(database)
                try connection.execute("UPDATE tidelog.events_meta SET version = 99")
                await expect(.unsupportedFormat, "tables of a newer version") {
                    _ = try await server.openStore(database)
                }
                try connection.execute("UPDATE tidelog.events_meta SET version = \(Schema.version)")

                try connection.execute("DROP INDEX tidelog.events_log_id_id_idx")
                await expect(.invalidArgument, "no index for ids") {
                    _ = try await server.openStore(database)
                }
                try connection.execute("CREATE INDEX ON tidelog.events (log_id, id)")
                try await server.openStore(database).close()

                try connection.execute("CREATE SCHEMA other; CREATE TABLE other.events (mine int)")
                await expect(.alreadyExists, "a table that is not Tidelog's") {
                    _ = try await server.openStore(database) { $0.names.schema = "other" }
                }
                await expect(.permissionDenied, "a database that is not there") {
                    _ = try await server.openStore("none_of_that_name")
                }
                try server.run("DROP OWNED BY \(role)", in: database)
                for entry in [store, reader, readOnly] { await entry.close() }
                try administrator.execute("DROP ROLE \(role)")
            }
        }

        @Test(
            "a database whose transactions are serializable by default is made ready and appended to by many")
        func isolation() async throws {
            try await withDatabase { server, database in
                try server.connect().execute(
                    "ALTER DATABASE \(database) SET default_transaction_isolation = 'serializable'")
                var level: String?
                try server.connect(database).query("SHOW transaction_isolation") {
                    row throws(PostgresError) in
                    level = row.text(0)
                }
                #expect(level == "read committed")
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<4 {
                        group.addTask {
                            let store = try await server.openStore(database)
                            for _ in 0..<25 {
                                try await store.append([Event(type: "t", stream: "s")], if: .always)
                            }
                            await store.close()
                        }
                    }
                    try await group.waitForAll()
                }
                let count = "SELECT count(DISTINCT (position, revision)) FROM tidelog.events"
                #expect(try server.number(count, in: database) == 100)
            }
        }

        @Test("a store of a table that an older version made brings it up to date")
        func older() async throws {
            for version: Int64 in [2, 3, 4, 6] { try await self.older(version) }
        }

        private func older(_ version: Int64) async throws {
            try await withDatabase { server, database in
                _ = try Schema(names: .init()).prepare(try server.connect(database), upTo: version)
                let store = try await server.openStore(database)
                try await store.append([Event(type: "t", stream: "s")], if: .stream("s", .noStream))
                #expect(try await store.count(.all) == 1)
                await store.close()
            }
        }
    }
#endif
