#if Postgres
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("The patience of a store's calls", .serialized)
    struct PatienceTests {
        /// Runs `body` with a store that is reached through a proxy, and with what takes it out of reach.
        private func withStore(
            _ change: @escaping (inout PostgresStoreConfiguration) -> Void,
            _ body: (
                _ store: PostgresEventStore, _ proxy: CuttingProxy, _ cut: () throws -> Void
            ) async throws -> Void
        ) async throws {
            try await withDatabase { server, database in
                let proxy = try CuttingProxy(before: server)
                defer { proxy.end() }
                let store = try await server.openStore(
                    database, settings: proxy.settings(database), change)
                try await body(store, proxy) {
                    proxy.cut { 1 }
                    try server.connect().query(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1",
                        [.text(database)])
                }
                await store.close()
            }
        }

        @Test("each append has its own, whatever goes with it")
        func ofAppends() async throws {
            try await self.withStore({ $0.patience = .seconds(4) }) { store, proxy, cut in
                func append(_ id: EventID) -> Call {
                    Call { try await store.append([Event(id: id, type: "t")], if: .always) }
                }
                try await store.append([Event(type: "t")], if: .always)
                try cut()
                let first = append("first")
                try await Task.sleep(for: .milliseconds(500))
                let early = append("early")
                try await Task.sleep(for: .milliseconds(2500))
                let late = append("late")
                #expect(try await eventually { first.isOver && early.isOver })
                #expect(first.code == .unavailable && early.code == .unavailable && !late.isOver)
                proxy.cut { nil }
                #expect(try await eventually { late.isOver })
                #expect(late.code == nil)
                #expect(try await store.events(.all).map(\.id).last == "late")
            }
        }

        @Test("appends that wait for a lock together are refused together")
        func ofAppendsThatWaitForALock() async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database) { $0.patience = .milliseconds(300) }
                try await store.append([Event(type: "t")], if: .always)
                let stuck = try server.connect(database)
                try stuck.execute("BEGIN; UPDATE tidelog.events_logs SET next_position = next_position")
                let calls = (0..<60).map { _ in
                    Call { try await store.append([Event(type: "t")], if: .always) }
                }
                #expect(try await eventually { calls.allSatisfy(\.isOver) })
                #expect(calls.allSatisfy { $0.code == .locked })
                #expect(calls.compactMap(\.duration).max() ?? .zero < .seconds(5))
                try stuck.execute("ROLLBACK")
                #expect(try await store.append([Event(type: "t")], if: .always).positions == 1..<2)
                await store.close()
            }
        }

        @Test("truncating and deleting a stream wait for a lock no longer")
        func ofStreams() async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database) { $0.patience = .milliseconds(300) }
                for stream in ["a", "b"] {
                    try await store.append([Event(type: "t")], toStream: stream, expecting: .noStream)
                }
                let stuck = try server.connect(database)
                try stuck.execute("BEGIN; UPDATE tidelog.events_logs SET next_position = next_position")
                let calls = [
                    Call { try await store.truncate(stream: "a", before: 1) },
                    Call { try await store.delete(stream: "b", expecting: .any) },
                ]
                #expect(try await eventually { calls.allSatisfy(\.isOver) })
                #expect(calls.allSatisfy { $0.code == .locked })
                try stuck.execute("ROLLBACK")
                try await store.delete(stream: "b", expecting: .any)
                #expect(try await store.stream("b")?.isDeleted == true)
                await store.close()
            }
        }

        @Test("calls that wait for a thread are refused in time, too")
        func ofCallsThatWait() async throws {
            try await self.withStore({
                $0.patience = .milliseconds(400)
                $0.maximumReaders = 2
            }) { store, _, cut in
                _ = try await store.count(.all)
                try cut()
                let calls = (0..<60).map { _ in Call { _ = try await store.count(.all) } }
                #expect(try await eventually { calls.allSatisfy(\.isOver) })
                #expect(calls.allSatisfy { $0.code == .unavailable })
                #expect(calls.compactMap(\.duration).max() ?? .zero < .seconds(4))
            }
        }

        @Test("subscriptions that wait for the server keep no other call waiting, and go on when it is back")
        func besideSubscriptions() async throws {
            try await self.withStore({
                $0.patience = .milliseconds(400)
                $0.maximumReaders = 2
            }) { store, proxy, cut in
                try await store.append([Event(type: "t"), Event(type: "t")], if: .always)
                try cut()
                let subscribers = try (0..<4).map { _ in try Subscriber(store) }
                try await Task.sleep(for: .milliseconds(200))
                let calls = (0..<4).map { _ in Call { _ = try await store.count(.all) } }
                #expect(try await eventually { calls.allSatisfy(\.isOver) })
                #expect(calls.allSatisfy { $0.code == .unavailable })
                proxy.cut { nil }
                for subscriber in subscribers {
                    #expect(try await subscriber.waitForCount(2))
                    #expect(subscriber.positions == [0, 1])
                    try await subscriber.end()
                }
            }
        }

        @Test(
            "a subscription ends when its task is cancelled, also while it waits for the server",
            arguments: [TailStart.beginning, .end])
        func ofCancelledSubscriptions(_ start: TailStart) async throws {
            try await self.withStore({ $0.maximumReaders = 1 }) { store, proxy, cut in
                try await store.append([Event(type: "t")], if: .always)
                try cut()
                let subscriber = try Subscriber(store, from: start)
                try await Task.sleep(for: .milliseconds(200))
                let end = Call { try await subscriber.end() }
                #expect(try await eventually { end.isOver })
                #expect(end.code == nil)
                proxy.cut { nil }
                #expect(try await store.count(.all) == 1)
            }
        }
    }
#endif
