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

        @Test("a connection goes by its last append until somebody else writes, then rests")
        func chain() throws {
            var chain = AppendChain()
            #expect(chain.next() == nil)
            let row = WrittenRow(writer: 7, nextPosition: 1)
            // The rest doubles each time that it was wrong in a row, up to a limit.
            for rest in [2, 4, 8, 16, 32, 64, 64] {
                chain.note(row)
                #expect(chain.next()?.writer == 7)
                chain.miss()
                #expect(chain.next() == nil)
                chain.note(row)
                for _ in 0..<rest { #expect(chain.next() == nil) }
            }
            #expect(chain.next() != nil)
            chain.note(row)
            #expect(chain.next() != nil)
            chain.miss()
            chain.note(row)
            for _ in 0..<2 { #expect(chain.next() == nil) }
            #expect(chain.next() != nil)
            chain.end()
            #expect(chain.next() == nil)
        }

        @Test("an append after another of the same connection goes by the log's row alone, in every shape")
        func shapes() async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database)
                let context = store.core.context
                let connection = try server.connect(database)
                func append(_ stream: String?, _ expected: ExpectedRevision?) throws -> AppendResult? {
                    let condition: AppendCondition = expected.map { .stream(stream ?? "", $0) } ?? .always
                    let request = try AppendRequest(
                        [Event(type: "t", stream: stream)], condition, [], in: context)
                    return try connection.append(try #require(request.single), in: context)
                }
                for round in 0..<2 {
                    let (name, isNext) = ("s\(round)", round > 0)
                    var revision: UInt64 = 0
                    for (stream, expected) in [
                        (name, .noStream), (name, .any), (name, .streamExists), (name, .exact(Revision(2))),
                        (name, nil), (nil, nil),
                    ] as [(String?, ExpectedRevision?)] {
                        if !isNext { connection.chain.end() }
                        let result = try #require(try append(stream, expected))
                        #expect(
                            result.streams.map(\.lastRevision) == (stream == nil ? [] : [Revision(revision)]))
                        revision += 1
                    }
                    for expected in [.noStream, .exact(Revision(3)), .exact(Revision(9))]
                        as [ExpectedRevision]
                    {
                        if !isNext { connection.chain.end() }
                        #expect(try append(name, expected) == nil)
                    }
                    #expect(try append("none", .streamExists) == nil)
                    // One that brings nothing ends the chain; one that looks at everything begins it anew.
                    #expect(connection.chain.next() == nil)
                    connection.chain = AppendChain()
                    _ = try #require(try append(nil, nil))
                }
                let prepared = Set(connection.placed.compactMap { $0 }).count
                #expect(prepared == SingleAppendText.Shape.count)
                // Where a stream is hidden, each append must look.
                try await store.truncate(stream: "s0", before: Revision(1))
                _ = try #require(try append(nil, nil) ?? (try append(nil, nil)))
                #expect(connection.chain.next() == nil)
                await store.close()
            }
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

        @Test("deleting and truncating a stream write the log's row, which is what appends notice them by")
        func noticed() async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database)
                for name in ["a", "b"] {
                    try await store.append([Event(type: "t", stream: name)], if: .always)
                }
                let writer = "SELECT xmin::text::bigint FROM tidelog.events_logs"
                let appended = try server.number(writer, in: database)
                try await store.truncate(stream: "a", before: Revision(1))
                let truncated = try server.number(writer, in: database)
                try await store.delete(stream: "b", expecting: .any)
                let deleted = try server.number(writer, in: database)
                #expect(Set([appended, truncated, deleted]).count == 3)
                await store.close()
            }
        }
    }
#endif
