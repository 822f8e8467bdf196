#if Postgres
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    /// An append of one event waits for the log's row while somebody else changes what it looks at.
    @Suite("A single append that has to wait")
    struct SingleAppendTests {
        /// Runs `append` while a transaction holds the log's row and does `change`; commits once the append waits.
        ///
        /// - Parameter goesOn: whether the connection goes by the row as its last append left it.
        private func race(
            goesOn: Bool, change: String,
            _ append: @escaping @Sendable (PostgresEventStore) async throws -> AppendResult
        ) async throws -> (
            result: Result<AppendResult, any Error>, events: [StoredEvent], next: Position
        ) {
            var outcome: (Result<AppendResult, any Error>, [StoredEvent], Position)?
            try await withDatabase { server, database in
                let store = try await server.openStore(database)
                let first = Event(id: "first", type: "t", stream: "s")
                try await store.append([first], if: .always)
                if !goesOn {
                    // The same again, beside a snapshot: the function writes the row, and then writes it back.
                    let snapshot = StreamSnapshot(stream: "s", revision: .zero, schema: "k", state: [])
                    try await store.append([first], if: .always, snapshots: [snapshot])
                }
                let other = try server.connect(database)
                try other.execute("BEGIN; \(change)")
                let task = Task { () async -> Result<AppendResult, any Error> in
                    do { return .success(try await append(store)) } catch { return .failure(error) }
                }
                let isWaiting = try await eventually {
                    try server.number(
                        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                            + "AND datname = '\(database)'", in: database) == 1
                }
                try #require(isWaiting)
                try other.execute("COMMIT")
                let result = await task.value
                outcome = (result, try await store.events(.all, offset: 0), try await store.end())
                await store.close()
            }
            let (result, events, next) = try #require(outcome)
            return (result, events, next)
        }

        private static func code(_ result: Result<AppendResult, any Error>) -> EventLogError.Code? {
            if case .failure(let error) = result { return (error as? EventLogError)?.code }
            return nil
        }

        private static let insert = """
            INSERT INTO tidelog.events (log_id, position, revision, occurred_at, nanoseconds, schema_version, \
            id, type, stream) SELECT log_id, 1, 1, now(), 0, 1, 'second', 't', 's' FROM tidelog.events_logs; \
            UPDATE tidelog.events_logs SET next_position = 2
            """

        @Test(
            "what another append brought meanwhile is before it, in the log and in the stream",
            arguments: [false, true])
        func after(goesOn: Bool) async throws {
            let (result, events, next) = try await self.race(goesOn: goesOn, change: Self.insert) {
                try await $0.append([Event(id: "third", type: "t", stream: "s")], if: .always)
            }
            #expect(try result.get().positions == Position(2)..<Position(3))
            #expect(try result.get().streams.map(\.lastRevision) == [Revision(2)])
            #expect(events.map(\.id) == ["first", "second", "third"] && next == Position(3))
            #expect(events.map(\.revision) == [Revision(0), Revision(1), Revision(2)])
        }

        @Test("an id that another append brought meanwhile is known", arguments: [false, true])
        func known(goesOn: Bool) async throws {
            let (result, events, next) = try await self.race(goesOn: goesOn, change: Self.insert) {
                try await $0.append([Event(id: "second", type: "other", stream: "s")], if: .always)
            }
            #expect(Self.code(result) == .duplicateEvent)
            #expect(events.map(\.id) == ["first", "second"] && next == Position(2))
        }

        @Test("a revision that another append took meanwhile is a conflict", arguments: [false, true])
        func conflict(goesOn: Bool) async throws {
            let (result, events, next) = try await self.race(goesOn: goesOn, change: Self.insert) {
                try await $0.append(
                    [Event(id: "third", type: "t", stream: "s")], if: .stream("s", .exact(Revision(0))))
            }
            #expect(Self.code(result) == .conflict)
            #expect(events.count == 2 && next == Position(2))
        }

        @Test("a stream that is deleted meanwhile takes no more", arguments: [false, true])
        func deleted(goesOn: Bool) async throws {
            let (result, events, next) = try await self.race(
                goesOn: goesOn,
                change: """
                    UPDATE tidelog.events_logs SET next_position = next_position; \
                    INSERT INTO tidelog.events_streams SELECT log_id, 's', 1, 0, 0, 0, true FROM tidelog.events_logs
                    """
            ) { try await $0.append([Event(id: "second", type: "t", stream: "s")], if: .always) }
            #expect(Self.code(result) == .streamDeleted)
            #expect(events.isEmpty && next == Position(1))
        }

        @Test(
            "a stream that is truncated meanwhile, and whose events are gone, goes on after its last revision",
            arguments: [false, true])
        func truncated(goesOn: Bool) async throws {
            let (result, events, next) = try await self.race(
                goesOn: goesOn,
                change: """
                    UPDATE tidelog.events_logs SET next_position = next_position; DELETE FROM tidelog.events; \
                    INSERT INTO tidelog.events_streams SELECT log_id, 's', 8, 7, 0, 0, false FROM tidelog.events_logs
                    """
            ) { try await $0.append([Event(id: "second", type: "t", stream: "s")], if: .always) }
            #expect(try result.get().streams.map(\.lastRevision) == [Revision(8)])
            #expect(events.map(\.revision) == [Revision(8)] && next == Position(2))
        }

        @Test("what another store hid between two appends is noticed by the second")
        func hidden() async throws {
            try await withDatabase { server, database in
                let (store, other) = (
                    try await server.openStore(database), try await server.openStore(database)
                )
                for _ in 0..<3 { try await store.append([Event(type: "t", stream: "s")], if: .always) }
                try await other.delete(stream: "s", expecting: .any)
                await #expect {
                    try await store.append([Event(type: "t", stream: "s")], if: .always)
                } throws: {
                    ($0 as? EventLogError)?.code == .streamDeleted
                }
                #expect(try await store.end() == Position(3))
                for store in [store, other] { await store.close() }
            }
        }

        @Test("a row that somebody added by hand between two appends is before the second")
        func byHand() async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database)
                func append() async throws -> [Revision] {
                    try await store.append([Event(type: "t", stream: "s")], if: .always).streams.map(
                        \.lastRevision)
                }
                for revision in 0..<3 as Range<UInt64> { #expect(try await append() == [Revision(revision)]) }
                try server.connect(database).execute(
                    """
                    INSERT INTO tidelog.events (log_id, position, revision, occurred_at, nanoseconds, \
                    schema_version, id, type, stream) SELECT log_id, 100, 3, now(), 0, 1, 'hand', 't', 's' \
                    FROM tidelog.events_logs
                    """)
                for revision in 4..<7 as Range<UInt64> { #expect(try await append() == [Revision(revision)]) }
                #expect(try await store.end() == Position(6))
                await store.close()
            }
        }

        @Test("a plan that was made while the table was empty finds ids by their index")
        func plan() async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database)
                await store.close()
                let connection = try server.connect(database)
                try connection.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
                var plan = ""
                let lookup = StoreFunction.lookup(
                    PostgresNames(), log: "'00000000-0000-0000-0000-000000000001'", id: "'a'")
                try connection.query("EXPLAIN SELECT \(lookup)") { row throws(PostgresError) in
                    plan += (row.text(0) ?? "") + "\n"
                }
                #expect(plan.contains("using events_log_id_id_idx"), "\(plan)")
                #expect(plan.contains("id >= 'a'"), "\(plan)")
            }
        }

        @Test(
            "deleting and truncating a stream are counted in the log's row, which is what appends notice them by"
        )
        func noticed() async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database)
                for name in ["a", "b"] {
                    try await store.append([Event(type: "t", stream: name)], if: .always)
                }
                let changes = "SELECT changes FROM tidelog.events_logs"
                let appended = try server.number(changes, in: database)
                try await store.truncate(stream: "a", before: Revision(1))
                let truncated = try server.number(changes, in: database)
                try await store.delete(stream: "b", expecting: .any)
                let deleted = try server.number(changes, in: database)
                #expect([appended, truncated, deleted] == [0, 1, 2])
                await store.close()
            }
        }
    }
#endif
