#if Postgres
    import Foundation
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("What the store in PostgreSQL keeps beyond the protocol")
    struct StoreTests {
        @Test("two processes that append at once get positions and revisions in one order, without a gap")
        func processes() async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database)
                let subscriber = try Subscriber(store)
                let (directory, name) = (server.directory, database)
                await withTaskGroup(of: Void.self) { group in
                    for writer in ["a", "b"] {
                        group.addTask {
                            await #expect(processExitsWith: .success) {
                                [
                                    directory = directory as String, name = name as String,
                                    writer = writer as String
                                ] in
                                let store = try await PostgresEventStore.open(
                                    PostgresSettings("host=\(directory) user=tidelog dbname=\(name)"))
                                // Every round is a race for one stream; who loses reads again.
                                for number in 0..<60 {
                                    var isDone = false
                                    while !isDone {
                                        let last = try await store.stream("shared")?.lastRevision
                                        do {
                                            try await store.append(
                                                [
                                                    Event(id: .init("\(writer)-\(number)"), type: "t"),
                                                    Event(id: .init("\(writer)-\(number)-2"), type: "t"),
                                                ], toStream: "shared",
                                                expecting: last.map { .exact($0) } ?? .noStream)
                                            isDone = true
                                        } catch EventLogError.Code.conflict {}
                                    }
                                    try await store.append(
                                        [Event(type: "own", stream: writer)], if: .always)
                                }
                                await store.close()
                            }
                        }
                    }
                }
                let all = try await store.events(.all)
                #expect(all.map(\.position.rawValue) == Array(0..<360))
                #expect(
                    all.filter { $0.stream == "shared" }.map(\.revision) == (0..<240).map { Revision($0) })
                #expect(Set(all.filter { $0.stream == "shared" }.map(\.id.description)).count == 240)
                // A pair stands together, as it was appended.
                for pair in stride(from: 0, to: 240, by: 2) {
                    let ids = all.filter { $0.stream == "shared" }[pair..<pair + 2].map(\.id.description)
                    #expect(ids[ids.startIndex] + "-2" == ids[ids.startIndex + 1])
                }
                #expect(try await subscriber.waitForCount(360))
                #expect(subscriber.positions == Array(0..<360))
                try await subscriber.end()
                await store.close()
            }
        }

        @Test("what is not committed yet holds up what comes after it, so that a subscription misses nothing")
        func commitsInOrder() async throws {
            try await withDatabase { server, database in
                // Among hundreds of tests the turn to commit can be far away.
                let store = try await server.openStore(database) { $0.patience = .seconds(1800) }
                let subscriber = try Subscriber(store)
                try await store.append([Event(type: "first")], if: .always)
                #expect(try await subscriber.waitForCount(1))

                // Another process's append, which has its position and takes its time.
                let slow = try server.connect(database)
                try slow.execute(
                    """
                    BEGIN; UPDATE tidelog.events_logs SET next_position = 2;
                    INSERT INTO tidelog.events (log_id, position, occurred_at, nanoseconds, schema_version, id, type)
                    SELECT log_id, 1, now(), 0, 1, 'slow', 'slow' FROM tidelog.events_logs
                    """)
                let quick = Task { try await store.append([Event(type: "quick")], if: .always) }
                let guarded = Task {
                    try await store.append(
                        [Event(type: "guarded")], if: .noEvent(matching: .types("slow"), after: nil))
                }
                let waiting =
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = '\(database)' AND wait_event_type = 'Lock'"
                #expect(try await eventually { try server.number(waiting, in: "postgres") == 1 })
                #expect(try await store.end() == 1)
                #expect(subscriber.positions == [0])
                try slow.execute("COMMIT")

                #expect(try await quick.value.positions == 2..<3)
                // The condition was judged after the wait, by what had come.
                await #expect(throws: EventLogError.self) { try await guarded.value }
                #expect(try await subscriber.waitForCount(3))
                #expect(subscriber.positions == [0, 1, 2])
                try await subscriber.end()
                await store.close()
            }
        }

        @Test("a transaction that never ends makes appends fail with a typed error, and mends by its end")
        func stuckLock() async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database) { $0.patience = .milliseconds(200) }
                let stuck = try server.connect(database)
                try stuck.execute("BEGIN; UPDATE tidelog.events_logs SET next_position = 0")
                await #expect(throws: EventLogError.self) {
                    try await store.append([Event(id: "x", type: "t")], if: .always)
                }
                do throws(EventLogError) {
                    try await store.append([Event(id: "x", type: "t")], if: .always)
                } catch {
                    #expect(error.code == .locked)
                }
                try stuck.execute("ROLLBACK")
                #expect(try await store.append([Event(id: "x", type: "t")], if: .always).positions == 0..<1)
                await store.close()
            }
        }

        @Test("logs of one table do not see each other, and ids may be the same in both")
        func logs() async throws {
            try await withDatabase { server, database in
                let (a, b) = (
                    try await server.openStore(database, log: "a"),
                    try await server.openStore(database, log: "b")
                )
                let event = Event(id: "same", type: "t", stream: "s")
                #expect(try await a.append([event], if: .always).positions == 0..<1)
                #expect(try await b.append([event], if: .stream("s", .noStream)).positions == 0..<1)
                #expect(a.logID != b.logID)
                let again = try await server.openStore(database, log: "a")
                #expect(again.logID == a.logID)
                #expect(try await again.count(.all) == 1)
                for store in [a, b, again] { await store.close() }
            }
        }

        @Test("a log that a device exports to the same table stays untouched")
        func beside() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 300)
                try await exporter(log, server.settings(database)).exportOnce()
                let store = try await server.openStore(database)
                #expect(try await store.count(.all) == 0)
                var generator = EventGenerator(seed: 1)
                try await store.append(generator.events(100), if: .always)
                #expect(try await store.count(.all) == 100)
                let id = try await log.statistics().logID
                #expect(try server.events(in: database, log: id) == (try await events(of: log)))
                #expect(try server.events(in: database, log: store.logID).count == 100)
                await store.close()
            }
        }

        @Test("payloads come back byte for byte: NUL, \\u0000, invalid UTF-8, numbers beyond double, 10 MB")
        func payloads() async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database)
                var events = [
                    Event(type: "t", payload: .init(bytes: [0, 1, 2, 0])),
                    Event(type: "t", payload: .init(json: #"{"a":"\u0000"}"#)),
                    Event(
                        type: "t", payload: .init(bytes: [0xFF, 0xC0, 0x80], contentType: "application/json")),
                    Event(
                        type: "t",
                        payload: .init(json: #"{ "b" : 1e400, "a":-0, "n":123456789012345678901234567890 }"#)),
                    Event(type: "t", payload: .init(bytes: [])),
                    Event(type: "t", payload: .init(json: #"[1,"ü",null]"#), metadata: ["k": "a b"]),
                ]
                var large = [UInt8](repeating: 0x61, count: 10 << 20)
                large[0] = 0
                events.append(Event(type: "t", payload: .init(bytes: large[...], contentType: nil)))
                try await store.append(events, if: .always)
                let stored = try await store.events(.all)
                #expect(stored.map(\.event) == events)
                // The repeat of each is known to be the same.
                #expect(try await store.append(events, if: .always).isRepeat)
                await store.close()
            }
        }

        @Test("names with quotes, statements, patterns and braces are only names")
        func injection() async throws {
            try await withDatabase { server, database in
                let names = PostgresNames(schema: #"a"b'; $do$ $fn$ DROP SCHEMA x; --"#, table: #"t'"$$;--"#)
                let store = try await server.openStore(database, log: "'; DROP TABLE x; --") {
                    $0.names = names
                }
                let evil = [#"'; DROP TABLE x; --"#, #"{"a",NULL}"#, "$1", #"a\"b"#, "x.y(z)[w]+?|^", "%_"]
                for name in evil {
                    try await store.append(
                        [Event(type: name.replacing(".", with: ""), stream: name, source: name)],
                        if: .stream(name, .noStream))
                    #expect(try await store.count(.stream(name)) == 1)
                    var query = EventQuery.all
                    query.streamPrefix = name
                    query.source = name
                    #expect(try await store.count(query) == 1)
                    #expect(try await store.stream(name)?.lastRevision == 0)
                }
                #expect(
                    try await store.describeStreams(prefix: "", after: nil, limit: 99).map(\.info.name)
                        .sorted()
                        == evil.sorted())
                // A type with characters that mean something in a regular expression, and a pattern around it.
                try await store.append([Event(type: "a+(b.c|d", stream: "r")], if: .always)
                #expect(try await store.count(.types("a+(b.*")) == 1)
                #expect(try await store.count(.types("*.c|d")) == 1)
                #expect(try await store.count(.types("aa(b.*")) == 0)
                await store.close()
            }
        }

        @Test("appends that wait together are each judged alone, and one that fails harms no other")
        func groups() async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database)
                try await store.append([Event(id: "known", type: "t", stream: "s")], if: .always)
                let outcomes = await withTaskGroup(of: (Int, EventLogError.Code?).self) { group in
                    for number in 0..<200 {
                        group.addTask {
                            do throws(EventLogError) {
                                switch number % 4 {
                                case 0:
                                    try await store.append(
                                        [Event(type: "t", stream: "n\(number)")],
                                        if: .stream("n\(number)", .noStream))
                                case 1:
                                    try await store.append(
                                        [Event(type: "t", stream: "s")], if: .stream("s", .noStream))
                                case 2:
                                    try await store.append([Event(id: "known", type: "other")], if: .always)
                                default: try await store.append([Event(type: "t")], if: .always)
                                }
                                return (number, nil)
                            } catch { return (number, error.code) }
                        }
                    }
                    return await group.reduce(into: [Int: EventLogError.Code?]()) { $0[$1.0] = $1.1 }
                }
                for (number, code) in outcomes {
                    #expect(code == [nil, .conflict, .duplicateEvent, nil][number % 4])
                }
                #expect(try await store.events(.all).map(\.position.rawValue) == Array(0..<101))
                await store.close()
            }
        }

        @Test("what waits to be appended is bounded, and everything that was accepted is stored")
        func backpressure() async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database) { $0.maximumWaitingBytes = 10_000 }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<100 {
                        group.addTask {
                            try await store.append(
                                [
                                    Event(
                                        type: "t",
                                        payload: .init(bytes: [UInt8](repeating: 7, count: 4000)[...]))
                                ],
                                if: .always)
                        }
                    }
                    try await group.waitForAll()
                }
                #expect(try await store.count(.all) == 100)
                await store.close()
            }
        }

        @Test("a page ends early at its bytes, and reading goes on after it")
        func pageBytes() async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database) { $0.pageBytes = 20_000 }
                let events = (0..<60).map { number in
                    Event(
                        type: "t", stream: number % 2 == 0 ? "s" : nil,
                        payload: .init(
                            bytes: [UInt8](repeating: UInt8(number), count: number % 7 * 5000)[...]))
                }
                try await store.append(events, if: .always)
                #expect(try await store.events(.all).map(\.event) == events)
                var backwards = EventQuery.stream("s")
                backwards.order = .newestFirst
                var found: [UInt64] = []
                for try await stored in store.load(backwards) { found.append(stored.position.rawValue) }
                #expect(found == stride(from: 58, through: 0, by: -2).map { UInt64($0) })
                await store.close()
            }
        }

        @Test("reads and appends go on on the connections that they have")
        func connections() async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database)
                for number in 0..<30 {
                    try await store.append([Event(type: "t", stream: "s")], if: .always)
                    #expect(try await store.events(.stream("s")).count == number + 1)
                    #expect(try await store.end().rawValue == UInt64(number + 1))
                    #expect(try await store.stream("s")?.lastRevision.rawValue == UInt64(number))
                }
                let connection = try server.connect(database)
                try connection.pipeline([.init(text: "SELECT 1")])
                for _ in 0..<3 {
                    var rows: [Int64] = []
                    try connection.stream(.init(text: "SELECT generate_series(1, 3)")) {
                        row throws(PostgresError) in
                        rows.append(try row.requiredInteger(0))
                        return true
                    }
                    try connection.pipeline([
                        .init(text: "SELECT 1"), .init(text: "SELECT generate_series(4, 5)"),
                    ]) {
                        _, row throws(PostgresError) in rows.append(try row.requiredInteger(0))
                    }
                    #expect(rows == [1, 2, 3, 1, 4, 5])
                }
                // One for reading and one for appending, besides those of this test.
                let others = """
                    SELECT count(*) FROM pg_stat_activity WHERE datname = '\(database)' AND \
                    backend_type = 'client backend' AND application_name = 'tidelog' AND query NOT LIKE '%generate%' \
                    AND pid <> pg_backend_pid()
                    """
                #expect(try server.number(others, in: "postgres") == 2)
                await store.close()
            }
        }

        @Test("a closed store refuses calls and ends its subscriptions without an error")
        func closing() async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database)
                try await store.append([Event(type: "t")], if: .always)
                let subscriber = try Subscriber(store)
                #expect(try await subscriber.waitForCount(1))
                await store.close()
                try await subscriber.end()
                for call in 0..<3 {
                    do throws(EventLogError) {
                        switch call {
                        case 0: try await store.append([Event(type: "t")], if: .always)
                        case 1: _ = try await store.events(.all)
                        default: _ = try await store.count(.all)
                        }
                        Issue.record("call \(call) on a closed store did not throw")
                    } catch {
                        #expect(error.code == .closed)
                    }
                }
            }
        }
    }
#endif
