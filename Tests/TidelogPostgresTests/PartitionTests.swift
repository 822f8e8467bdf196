#if Postgres
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("Partitions that somebody drops while they are in use")
    struct PartitionTests {
        /// Drops all partitions of the table of events; answers how many there were.
        private func dropAll(_ server: PostgresServer, _ database: String) throws -> Int {
            let connection = try server.connect(database)
            var names: [String] = []
            try connection.query(
                "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'tidelog.events'::regclass"
            ) { row throws(PostgresError) in names.append(row.text(0) ?? "") }
            for name in names { try connection.execute("DROP TABLE \(name)") }
            return names.count
        }

        @Test(
            "are made again by appends of every kind, which go on at their positions",
            arguments: [false, true])
        func appends(byMonth: Bool) async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database) { $0.layout = byMonth ? .byMonth : .byLog }
                func event(_ number: Int) -> Event { Event(type: "t", stream: "s\(number)") }
                try await store.append([event(0)], if: .always)
                #expect(try self.dropAll(server, database) == 1)
                let single = try await store.append([event(1)], if: .always)
                #expect(single.positions == 1..<2)
                #expect(try self.dropAll(server, database) == 1)
                let batch = try await store.append([event(2), event(3)], if: .always)
                #expect(batch.positions == 2..<4)
                #expect(try self.dropAll(server, database) == 1)
                let guarded = try await store.append(
                    [event(4)], if: .noEvent(matching: .types("other"), after: nil))
                #expect(guarded.positions == 4..<5)
                #expect(try self.dropAll(server, database) == 1)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 5..<25 {
                        group.addTask { _ = try await store.append([event(number)], if: .always) }
                    }
                    try await group.waitForAll()
                }
                let left = try await store.events(.all)
                #expect(left.map(\.position) == (5..<25).map { Position(UInt64($0)) })
                #expect(try server.number("SELECT count(*) FROM tidelog.events", in: database) == 20)
                await store.close()
            }
        }

        @Test(
            "take their streams with them, also for the connection that wrote them", arguments: [false, true])
        func streams(byMonth: Bool) async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database) { $0.layout = byMonth ? .byMonth : .byLog }
                func append(_ expected: ExpectedRevision) async throws -> [Revision] {
                    try await store.append([Event(type: "t", stream: "s")], if: .stream("s", expected))
                        .streams.map(
                            \.lastRevision)
                }
                for revision in 0..<3 as Range<UInt64> {
                    #expect(try await append(.any) == [Revision(revision)])
                }
                #expect(try self.dropAll(server, database) == 1)
                for expected in [.streamExists, .exact(Revision(2))] as [ExpectedRevision] {
                    await #expect {
                        try await append(expected)
                    } throws: {
                        ($0 as? EventLogError)?.code == .conflict
                    }
                }
                #expect(try await append(.any) == [.zero])
                #expect(try await append(.exact(.zero)) == [Revision(1)])
                await store.close()
            }
        }

        @Test("are made again by an export, which goes on", arguments: [false, true])
        func exports(byMonth: Bool) async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 200)
                let exporter = try exporter(log, server.settings(database)) {
                    $0.layout = byMonth ? .byMonth : .byLog
                    $0.batchEvents = 50
                }
                exporter.start()
                #expect(try await eventually { exporter.status.nextPosition == 200 })
                #expect(try self.dropAll(server, database) > 0)
                try await fill(log, 200, seed: 2)
                #expect(try await eventually { exporter.status.nextPosition == 400 })
                // One connection did all of it.
                #expect(exporter.state.withLock { $0.failed } == 0)
                #expect(try server.events(in: database) == Array(try await events(of: log).suffix(200)))
                await exporter.stop()
                // What was dropped can be sent again.
                #expect(try await exporter.export(Position.zero..<400).added == 200)
                #expect(try server.events(in: database) == (try await events(of: log)))
            }
        }

        @Test("are told apart from those that were detached, which nothing is made over")
        func detached() async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database) { $0.layout = .byLog }
                try await store.append([Event(type: "t")], if: .always)
                let connection = try server.connect(database)
                var name = ""
                try connection.query(
                    "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'tidelog.events'::regclass"
                ) { row throws(PostgresError) in name = row.text(0) ?? "" }
                try connection.execute("ALTER TABLE tidelog.events DETACH PARTITION \(name)")
                do throws(EventLogError) {
                    try await store.append([Event(type: "t")], if: .always)
                    Issue.record("an event went nowhere")
                } catch {
                    #expect(
                        error.code == .alreadyExists && error.message.contains("attach it again"), "\(error)")
                }
                try connection.execute("ALTER TABLE \(name) RENAME TO kept")
                try await store.append([Event(type: "t")], if: .always)
                #expect(try await store.events(.all).count == 1)
                await store.close()
            }
        }
    }
#endif
