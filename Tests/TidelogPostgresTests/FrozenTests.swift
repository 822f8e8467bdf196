#if Postgres
    import Synchronization
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("A store whose server hangs", .serialized)
    struct FrozenTests {
        /// How what hangs is made to.
        enum Way: String, CaseIterable, Sendable {
            /// The server and all of its processes are stopped.
            case frozen
            /// What is between store and server takes everything and passes nothing on.
            case swallowing
        }

        /// Runs `body` with a store, what makes its server hang, and what ends that.
        private func withStore(
            _ way: Way, connectTimeout: Duration = .milliseconds(500),
            _ change: @escaping (inout PostgresStoreConfiguration) -> Void = { _ in },
            _ body: (
                _ store: PostgresEventStore, _ hang: () throws -> Void, _ goOn: () throws -> Void
            ) async throws -> Void
        ) async throws {
            let server = try PostgresServer(["fsync=off"])  // its own, as it hangs for all
            defer { server.end() }
            let database = try server.makeDatabase()
            let proxy = try CuttingProxy(before: server)
            defer { proxy.end() }
            var settings = way == .frozen ? server.settings(database) : proxy.settings(database)
            settings.connectTimeout = connectTimeout
            let store = try await server.openStore(database, settings: settings) {
                $0.patience = .milliseconds(300)
                $0.answerTimeout = .milliseconds(500)
                change(&$0)
            }
            try await body(
                store, { if way == .frozen { try server.freeze() } else { proxy.swallow() } },
                {
                    if way == .frozen { try server.thaw() } else { proxy.letThrough() }
                })
        }

        /// The database's error below that of a call.
        private func cause(_ call: Call) -> PostgresError? {
            (call.error as? EventLogError)?.cause as? PostgresError
        }

        @Test(
            "appends, loads and other calls end within their limits, and go on once it goes on",
            .timeLimit(.minutes(5)), arguments: Way.allCases)
        func calls(_ way: Way) async throws {
            try await self.withStore(way) { store, hang, goOn in
                // Connections are there and statements prepared, so that what follows is under way when it hangs.
                for _ in 0..<3 {
                    try await store.append([Event(type: "t")], toStream: "s", expecting: .any)
                    for try await _ in store.load(.stream("s")) {}
                    _ = try await store.count(.all)
                }
                try hang()
                let single = [Event(type: "t", stream: "a")]
                let batch = (0..<3).map { _ in Event(type: "t", stream: "b") }
                let guarded = [Event(type: "u", stream: "c")]
                let large = [
                    Event(type: "t", stream: "d", json: "\"\(String(repeating: "x", count: 3_000_000))\"")
                ]
                let rule = AppendCondition.noEvent(matching: .types("u"), after: nil)
                let appends = [
                    Call { try await store.append(single, if: .always) },
                    Call { try await store.append(batch, if: .always) },
                    Call { try await store.append(guarded, if: rule) },
                    Call { try await store.append(large, if: .always) },
                ]
                let others = [
                    Call { for try await _ in store.load(.stream("s")) {} },
                    Call { _ = try await store.count(.all) },
                    Call { _ = try await store.end() },
                    Call { try await store.truncate(stream: "s", before: 1) },
                    Call {
                        try await store.withOwnThread {
                            _ = try await store.append([Event(type: "own")], if: .always)
                        }
                    },
                ]
                #expect(try await eventually { (appends + others).allSatisfy(\.isOver) })
                for call in appends + others {
                    #expect(call.code == .unavailable, "\(call.error.debugDescription)")
                }
                // Which of them were under way is as it came.
                for call in appends + others where self.cause(call)?.isOutcomeUnknown == true {
                    #expect("\(call.error.debugDescription)".contains("same ids"))
                }
                #expect(others.prefix(3).allSatisfy { self.cause($0)?.isOutcomeUnknown == false })
                try goOn()
                // Made again, each is stored once, whatever became of it before.
                for _ in 0..<2 {
                    for events in [single, batch, guarded, large] {
                        let condition = events[0].type == "u" ? rule : .always
                        #expect(
                            try await eventually {
                                do throws(EventLogError) {
                                    let result = try await store.append(events, if: condition)
                                    return result.positions.count == events.count
                                } catch {
                                    guard [.unavailable, .locked].contains(error.code) else { throw error }
                                    return false
                                }
                            })
                    }
                }
                for (stream, count) in [("a", 1), ("b", 3), ("c", 1), ("d", 1)] {
                    #expect(try await store.count(.stream(stream)) == count, "stream \(stream)")
                }
                await store.close()
            }
        }

        @Test(
            "an append that was under way says that it may be stored, and is stored once when it is made again",
            .timeLimit(.minutes(5)), arguments: Way.allCases)
        func unknown(_ way: Way) async throws {
            try await self.withStore(way) { store, hang, goOn in
                let event = Event(id: "under-way", type: "t", stream: "s")
                try await store.withOwnThread {
                    try await store.append([Event(type: "t")], if: .always)
                    try hang()
                    do throws(EventLogError) {
                        try await store.append([event], if: .always)
                        Issue.record("a server that hangs has answered")
                    } catch {
                        #expect(error.code == .unavailable && error.message.contains("same ids"), "\(error)")
                        #expect((error.cause as? PostgresError)?.isOutcomeUnknown == true)
                    }
                }
                try goOn()
                #expect(
                    try await eventually {
                        (try? await store.append([event], if: .always))?.positions == 1..<2
                    })
                #expect(try await store.append([event], if: .always).isRepeat)
                #expect(try await store.count(.all) == 2)
                await store.close()
            }
        }

        @Test(
            "closing ends within its limit, though appends wait, and tells them whether they may be stored",
            .timeLimit(.minutes(5)), arguments: Way.allCases)
        func closing(_ way: Way) async throws {
            // With such a patience a call would go on for an hour.
            try await self.withStore(way, { $0.patience = .seconds(3600) }) { store, hang, goOn in
                for _ in 0..<3 { try await store.append([Event(type: "t")], if: .always) }
                _ = try await store.count(.all)
                let subscriber = try Subscriber(store)
                #expect(try await subscriber.waitForCount(3))
                try hang()
                let appends = (0..<300).map { _ in
                    Call { try await store.append([Event(type: "t")], if: .always) }
                }
                let count = Call { _ = try await store.count(.all) }
                try await Task.sleep(for: .milliseconds(200))
                #expect(appends.filter(\.isOver).isEmpty && !count.isOver)
                let close = Call { await store.close() }
                #expect(try await eventually { close.isOver && count.isOver })
                #expect(try await eventually { appends.allSatisfy(\.isOver) })
                #expect(appends.allSatisfy { $0.code == .closed } && count.code == .closed)
                let unknown = appends.filter { self.cause($0)?.isOutcomeUnknown == true }.count
                #expect(unknown >= 1 && unknown < 300, "\(unknown)")
                try await subscriber.end()
                try goOn()
            }
        }

        @Test(
            "closing ends within its limit, though an append on a thread of its own waits, which is told the same",
            .timeLimit(.minutes(5)), arguments: Way.allCases)
        func closingBesideOwnThread(_ way: Way) async throws {
            try await self.withStore(way, { $0.patience = .seconds(3600) }) { store, hang, goOn in
                let isReady = Mutex(false)
                let mayAppend = Mutex(false)
                let append = Call {
                    try await store.withOwnThread {
                        for _ in 0..<3 { try await store.append([Event(type: "t")], if: .always) }
                        isReady.withLock { $0 = true }
                        while !mayAppend.withLock({ $0 }) { try await Task.sleep(for: .milliseconds(5)) }
                        try await store.append([Event(id: "last", type: "t")], if: .always)
                    }
                }
                #expect(try await eventually { isReady.withLock { $0 } })
                try hang()
                mayAppend.withLock { $0 = true }
                try await Task.sleep(for: .milliseconds(200))
                #expect(!append.isOver)
                let close = Call { await store.close() }
                #expect(try await eventually { close.isOver && append.isOver })
                #expect(append.code == .closed, "\(append.error.debugDescription)")
                #expect(self.cause(append)?.isOutcomeUnknown == true)
                try goOn()
            }
        }

        @Test(
            "appends that wait for others do not each wait for the server anew, nor those that wait for room",
            .timeLimit(.minutes(5)))
        func queue() async throws {
            let change = { @Sendable (configuration: inout PostgresStoreConfiguration) in
                configuration.maximumWaitingBytes = 300_000
            }
            try await self.withStore(.swallowing, connectTimeout: .seconds(4), change) { store, hang, goOn in
                for _ in 0..<3 { try await store.append([Event(type: "t")], if: .always) }
                try hang()
                // Groups of 128, which would be 16.
                let appends = (0..<2000).map { _ in
                    Call { try await store.append([Event(type: "t")], if: .always) }
                }
                #expect(try await eventually { appends.allSatisfy(\.isOver) })
                #expect(appends.allSatisfy { $0.code == .unavailable })
                try goOn()
                #expect(
                    try await eventually {
                        (try? await store.append([Event(id: "last", type: "t")], if: .always)) != nil
                    })
                await store.close()
            }
        }

        @Test(
            "a subscription finds another connection for one from which nothing comes any more",
            .timeLimit(.minutes(5)), arguments: Way.allCases)
        func subscribing(_ way: Way) async throws {
            try await self.withStore(way, { $0.pollInterval = .milliseconds(50) }) { store, hang, goOn in
                let subscriber = try Subscriber(store)
                try await store.append([Event(type: "t")], if: .always)
                #expect(try await subscriber.waitForCount(1))
                try hang()
                try await Task.sleep(for: .milliseconds(1500))
                try goOn()
                #expect(
                    try await eventually {
                        (try? await store.append([Event(id: "second", type: "t")], if: .always)) != nil
                    })
                #expect(try await subscriber.waitForCount(2))
                #expect(subscriber.positions == [0, 1])
                try await subscriber.end()
                await store.close()
            }
        }

        @Test("an answer that takes long and keeps coming is waited for, as is a lock within the patience")
        func slow() async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database) {
                    $0.answerTimeout = .milliseconds(800)
                    $0.patience = .seconds(60)
                }
                try await store.append([Event(type: "t")], if: .always)
                let stuck = try server.connect(database)
                try stuck.execute("BEGIN; UPDATE tidelog.events_logs SET next_position = next_position")
                let calls = [
                    Call { try await store.append([Event(type: "t")], if: .always) },
                    Call { try await store.append([Event(type: "t"), Event(type: "t")], if: .always) },
                ]
                try await Task.sleep(for: .milliseconds(2500))
                #expect(calls.filter(\.isOver).isEmpty)
                try stuck.execute("ROLLBACK")
                #expect(try await eventually { calls.allSatisfy(\.isOver) })
                #expect(calls.allSatisfy { $0.error == nil })
                #expect(try await store.end() == 4)
                // A row every 300 ms, each within the limit, all together beyond it.
                let rows = try await PlainThread.run("slow") { () throws(PostgresError) -> Int in
                    let connection = try PostgresConnection.connect(
                        server.settings(database), switchOff: ConnectionSwitch())
                    connection.answerLimit = .milliseconds(800)
                    var rows = 0
                    let query = PostgresStatement(
                        text: "SELECT repeat('x', 20000), pg_sleep(0.3) FROM generate_series(1, 6)")
                    try connection.stream(query) { _ throws(PostgresError) in
                        rows += 1
                        return true
                    }
                    return rows
                }
                #expect(rows == 6)
                await store.close()
            }
        }
    }
#endif
