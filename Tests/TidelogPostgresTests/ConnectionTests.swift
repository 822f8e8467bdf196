#if Postgres
    import Synchronization
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("Connections to PostgreSQL")
    struct ConnectionTests {
        @Test("keep so many statements prepared and no more, also among those that go together")
        func prepared() throws {
            let connection = try PostgresServer.shared.get().connect()
            func statement(_ number: Int) -> PostgresStatement { .init(text: "SELECT \(number)::bigint") }
            for number in 0..<198 { try connection.run(statement(number)) { _ throws(PostgresError) in } }
            let wanted = [0, 1000, 1, 1001, 1002, 1003, 0]
            var found: [Int64] = []
            try connection.pipeline(wanted.map(statement)) { _, row throws(PostgresError) in
                found.append(try row.requiredInteger(0))
            }
            #expect(found == wanted.map { Int64($0) })
            #expect(connection.prepared.count <= 200)
        }

        @Test("take from a caller who must not be blocked only what fits into a socket's buffer")
        func ahead() throws {
            let connection = try PostgresServer.shared.get().connect()
            func statement(_ bytes: Int) -> PostgresStatement {
                .init(
                    text: "SELECT octet_length($1)::bigint",
                    parameters: [.text(String(repeating: "x", count: bytes))])
            }
            func length(_ statement: PostgresStatement) throws -> Int64? {
                var length: Int64?
                try connection.stream(statement) { row throws(PostgresError) in
                    length = try row.integer(0)
                    return true
                }
                return length
            }
            #expect(!connection.sendAhead(statement(3)), "it is not prepared yet")
            #expect(try length(statement(3)) == 3)
            #expect(connection.sendAhead(statement(5)))
            #expect(try length(statement(5)) == 5)
            #expect(!connection.sendAhead(statement(1_000_000)))
            #expect(try length(statement(1_000_000)) == 1_000_000)
        }

        @Test("that the server ends for being idle are made anew, on a thread of one's own as elsewhere")
        func idle() async throws {
            try await withDatabase { server, database in
                try server.run(
                    """
                    ALTER DATABASE \(database) SET idle_session_timeout = '100ms';
                    ALTER DATABASE \(database) SET idle_in_transaction_session_timeout = '100ms'
                    """, in: "postgres")
                let store = try await server.openStore(database)
                let subscriber = try Subscriber(store)
                try await store.withOwnThread {
                    for number in 0..<3 {
                        try await store.append([Event(type: "t")], if: .always)
                        #expect(try await store.count(.all) == number + 1)
                        try await Task.sleep(for: .milliseconds(400))
                    }
                }
                #expect(try await subscriber.waitForCount(3))
                try await subscriber.end()
                await store.close()
            }
        }

        @Test("make a schema that another one makes at the same moment, once")
        func schema() async throws {
            try await withDatabase { server, database in
                let other = try server.connect(database)
                try other.execute("BEGIN; CREATE SCHEMA tidelog")
                let opening = Task {
                    try await server.openStore(database) { $0.names.table = "second" }
                }
                let waiting =
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = '\(database)' AND wait_event_type = 'Lock'"
                #expect(try await eventually { try server.number(waiting, in: "postgres") == 1 })
                try other.execute("COMMIT")
                let store = try await opening.value
                #expect(try await store.append([Event(type: "t")], if: .always).positions == 0..<1)
                await store.close()
            }
        }
    }
#endif
