#if Postgres
    import Glibc
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    /// The number of the thread that this runs on.
    private func thread() -> UInt { pthread_self() }

    @Suite("A store's calls on a thread of its own")
    struct OwnThreadTests {
        @Test("are made there without changing threads, and do what they do elsewhere")
        func calls() async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database)
                let other = try await server.openStore(database)
                let subscriber = try Subscriber(other)
                let outside = thread()
                let inside = try await store.withOwnThread { () -> UInt in
                    let own = thread()
                    for number in 0..<50 {
                        let result = try await store.append(
                            [Event(type: "t")], toStream: "s", expecting: number == 0 ? .noStream : .any)
                        #expect(result.positions.lowerBound == Position(UInt64(number)))
                        #expect(thread() == own)
                    }
                    await #expect(throws: EventLogError.self) {
                        try await store.append([Event(type: "t")], toStream: "s", expecting: .noStream)
                    }
                    let guarded = try await store.append(
                        [Event(type: "u"), Event(type: "u")], if: .noEvent(matching: .types("u"), after: nil))
                    #expect(guarded.positions == 50..<52)
                    var revisions: [UInt64] = []
                    for try await stored in store.load(.stream("s")) {
                        revisions.append(stored.revision?.rawValue ?? .max)
                        #expect(thread() == own)
                    }
                    #expect(revisions == Array(0..<50))
                    #expect(try await store.end() == 52 && thread() == own)
                    #expect(try await store.count(.all) == 52 && thread() == own)
                    return own
                }
                #expect(inside != outside && inside != thread())
                // Others are told, though the thread that tells them did not append.
                #expect(try await subscriber.waitForCount(52))
                try await subscriber.end()
                await store.close()
                await other.close()
            }
        }

        @Test("that end when the other thread is about to sleep, or to end, are told to others all the same")
        func aboutToSleep() {
            var state = StoreAppender.State()
            state.isRunning = true
            // What it does not know a time for, it must look at first.
            state.mustNotify = true
            #expect(!state.fallAsleep(isDue: false) && !state.isAsleep)
            #expect(state.fallAsleep(isDue: true) && state.isAsleep)
            #expect(!state.end() && state.isRunning)
            state.mustNotify = false
            #expect(state.fallAsleep(isDue: false) && state.isAsleep)
            #expect(state.end() && !state.isRunning)
        }

        @Test("tell other stores' subscriptions, however many follow each other without a pause")
        func notified() async throws {
            try await withDatabase { server, database in
                // It does not look by itself within the test.
                let other = try await server.openStore(database)
                let subscriber = try Subscriber(other)
                let store = try await server.openStore(database)
                // Notifications are sent by the other thread, which may be about to sleep whenever one is due.
                var count = 0
                try await store.withOwnThread {
                    for _ in 0..<20 {
                        for _ in 0..<500 { try await store.append([Event(type: "t")], if: .always) }
                        count += 500
                        let areTold = try await subscriber.waitForCount(count)
                        try #require(areTold, "\(subscriber.positions.count) of \(count)")
                    }
                }
                try await subscriber.end()
                for entry in [store, other] { await entry.close() }
            }
        }

        @Test("read pages ahead elsewhere, so that a long read is whole and in order")
        func pages() async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database) { $0.pageEvents = 300 }
                try await store.append((0..<2000).map { _ in Event(type: "t") }, if: .always)
                let positions = try await store.withOwnThread { () -> [UInt64] in
                    var positions: [UInt64] = []
                    for try await stored in store.load(.all) { positions.append(stored.position.rawValue) }
                    return positions
                }
                #expect(positions == Array(0..<2000))
                await store.close()
            }
        }

        @Test("of child tasks take turns there, and what is detached goes on as anywhere else")
        func children() async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database)
                try await store.withOwnThread {
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for _ in 0..<20 {
                            group.addTask { _ = try await store.append([Event(type: "t")], if: .always) }
                        }
                        try await group.waitForAll()
                    }
                    try await Task { _ = try await store.append([Event(type: "t")], if: .always) }.value
                }
                #expect(try await store.end() == 21)
                await store.close()
                await #expect(throws: EventLogError.self) {
                    try await store.withOwnThread { try await store.append([Event(type: "t")], if: .always) }
                }
                await #expect(throws: EventLogError.self) {
                    try await store.withOwnThread { _ = try await store.end() }
                }
            }
        }

        @Test("outlast connections that are cut, and store every append once")
        func cut() async throws {
            try await withDatabase { server, database in
                let random = LockedGenerator(TestSeed.draw(for: "cuts of an own thread"))
                let proxy = try CuttingProxy(before: server)
                defer { proxy.end() }
                let store = try await server.openStore(database, settings: proxy.settings(database)) {
                    $0.patience = .seconds(120)
                }
                proxy.cut { random.next(20_000) }
                let written = try await store.withOwnThread { () -> Int in
                    var written = 0
                    while proxy.cuts < 15, written < 20_000 {
                        let result = try await store.append(
                            [Event(type: "t")], toStream: "s", expecting: .any)
                        #expect(result.positions.lowerBound == Position(UInt64(written)))
                        written += 1
                    }
                    return written
                }
                #expect(proxy.cuts >= 15)
                proxy.cut { nil }
                #expect(try await store.events(.all).map(\.position.rawValue) == Array(0..<UInt64(written)))
                await store.close()
            }
        }
    }

    @Suite("Calls whose statements their callers send")
    struct DirectTests {
        @Test("find another connection where the server ended theirs while nothing was under way")
        func ended() async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database) { $0.patience = .zero }
                let administrator = try server.connect()
                for round in 0..<5 {
                    for _ in 0..<3 {
                        try await store.append([Event(type: "t")], toStream: "s", expecting: .any)
                        var count = 0
                        for try await _ in store.load(.stream("s")) { count += 1 }
                        #expect(try await store.end() == Position(UInt64(count)))
                    }
                    var processes: [String] = []
                    try administrator.query(
                        "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1",
                        [.text(database)]
                    ) { row throws(PostgresError) in processes.append("\(try row.requiredInteger(0))") }
                    let left = processes.joined(separator: ", ")
                    let count = "SELECT count(*) FROM pg_stat_activity WHERE pid IN (\(left))"
                    #expect(
                        try await eventually { try server.number(count, in: "postgres") == 0 }, "\(round)")
                    // The threads hear of it by themselves.
                    try await Task.sleep(for: .milliseconds(50))
                }
                #expect(try await store.end() == 15)
                await store.close()
            }
        }

        @Test("of many tasks at once, large and small, are all answered, each with its own answer")
        func many() async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database) { $0.maximumReaders = 2 }
                let large = #"{"a":""# + String(repeating: "x", count: 100_000) + #""}"#
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for task in 0..<12 {
                        group.addTask {
                            for number in 0..<20 {
                                let json = (task + number) % 5 == 0 ? large : "{}"
                                let result = try await store.append(
                                    [Event(id: .init("\(task)-\(number)"), type: "t", json: json)],
                                    toStream: "s\(task)", expecting: number == 0 ? .noStream : .streamExists)
                                #expect(result.streams.map(\.lastRevision) == [Revision(UInt64(number))])
                                var ids: [EventID] = []
                                for try await stored in store.load(.stream("s\(task)")) {
                                    ids.append(stored.id)
                                }
                                #expect(ids == (0...number).map { EventID("\(task)-\($0)") })
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                #expect(try await store.end() == 240)
                await store.close()
            }
        }

        @Test("that wait when the store is closed are finished or refused, and none is forgotten")
        func closing() async throws {
            try await withDatabase { server, database in
                for round in 0..<20 {
                    let store = try await server.openStore(database)
                    try await store.append([Event(type: "t")], if: .always)
                    let tasks = (0..<4).map { task in
                        Task { () -> Int in
                            var stored = 0
                            while true {
                                do throws(EventLogError) {
                                    if task % 2 == 0 {
                                        try await store.append([Event(type: "t")], if: .always)
                                        stored += 1
                                    } else {
                                        for try await _ in store.load(.stream("none")) {}
                                    }
                                } catch {
                                    #expect(error.code == .closed, "\(error)")
                                    return stored
                                }
                            }
                        }
                    }
                    try await Task.sleep(for: .milliseconds(round))
                    await store.close()
                    var stored = 1
                    for task in tasks { stored += await task.value }
                    let reopened = try await server.openStore(database)
                    #expect(try await reopened.end().rawValue >= UInt64(stored))
                    await reopened.close()
                }
            }
        }
    }
#endif
