#if Postgres
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("Which partitions events go to")
    struct PartitionLayoutTests {
        /// Opens a new log with this UUID.
        private func open(_ id: String, _ folder: TemporaryDirectory) async throws -> EventLog {
            let path = folder.path.appending(id)
            let empty = try LogRebuilder(
                at: path, logID: EventID(id), incarnation: 0, firstPosition: .zero)
            try empty.finish(nextPosition: .zero)
            return try await EventLog.open(at: path)
        }

        private func partitions(_ server: PostgresServer, _ database: String) throws -> Int64? {
            try server.number(
                "SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
                    + "WHERE c.relkind = 'r'", in: database)
        }

        /// UUIDs that begin alike.
        private let ids = [
            "01970000-0000-7000-8000-000000000001", "01970000-0000-7000-8000-000000000002",
            "01970000-0000-7000-8000-000000000003",
        ]

        @Test(
            "each log has its own, however long the table's name is and however alike their UUIDs",
            arguments: [
                "events", String(repeating: "t", count: 30), String(repeating: "t", count: 31),
                String(repeating: "t", count: 40), String(repeating: "ü", count: 20),
            ])
        func names(_ table: String) async throws {
            try await withDatabase { server, database in
                let folder = try TemporaryDirectory()
                defer { folder.remove() }
                let names = PostgresNames(schema: "tidelog", table: table)
                for (index, id) in self.ids.enumerated() {
                    let log = try await self.open(id, folder)
                    try await fill(log, 20, seed: UInt64(index))
                    let exporter = try exporter(log, server.settings(database)) {
                        $0.names = names
                        $0.layout = .byLog
                        $0.attempts = 1
                    }
                    try await exporter.exportOnce()
                    #expect(names.partition(of: EventID(id)).utf8.count <= 63)
                    #expect(
                        try server.events(in: database, names: names, log: id)
                            == (try await events(of: log)))
                    await log.close()
                }
                #expect(try self.partitions(server, database) == 3)
                // A partition that is dropped is made again under its name.
                let name = names.partition(of: EventID(self.ids[1]))
                try server.run("DROP TABLE tidelog.\"\(name)\"", in: database)
                #expect(try server.events(in: database, names: names).count == 40)
            }
        }

        @Test("those that an earlier version made, under a name that was cut, and renamed ones are found")
        func earlier() async throws {
            try await withDatabase { server, database in
                let folder = try TemporaryDirectory()
                defer { folder.remove() }
                let names = PostgresNames(schema: "tidelog", table: String(repeating: "t", count: 40))
                let schema = Schema(names: names, layout: .byLog)
                let connection = try server.connect(database)
                _ = try schema.prepare(connection)
                let digits = self.ids[0].filter { $0 != "-" }
                try connection.execute(
                    "CREATE TABLE \(names.quoted("_" + digits)) PARTITION OF \(names.quoted()) "
                        + "FOR VALUES IN ('\(self.ids[0])')")
                try connection.execute(
                    "CREATE TABLE tidelog.mine PARTITION OF \(names.quoted()) FOR VALUES IN "
                        + "('\(self.ids[1])')"
                )
                for id in self.ids {
                    let log = try await self.open(id, folder)
                    try await fill(log, 20)
                    let exporter = try exporter(log, server.settings(database)) {
                        $0.names = names
                        $0.attempts = 1
                    }
                    try await exporter.exportOnce()
                    #expect(try server.events(in: database, names: names, log: id).count == 20)
                    await log.close()
                }
                #expect(try self.partitions(server, database) == 3)
                #expect(try server.number("SELECT count(*) FROM tidelog.mine", in: database) == 20)
            }
        }

        @Test("months for which there is a wider one, or which the default one has, need none")
        func wider() async throws {
            try await withLogAndDatabase { log, server, database in
                let names = PostgresNames()
                let connection = try server.connect(database)
                _ = try Schema(names: names, layout: .byMonth).prepare(connection)
                try connection.execute(
                    "CREATE TABLE tidelog.year PARTITION OF tidelog.events "
                        + "FOR VALUES FROM ('2024-01-01 00:00:00+00') TO ('2025-01-01 00:00:00+00'); "
                        + "CREATE TABLE tidelog.others PARTITION OF tidelog.events DEFAULT")
                let second: Int64 = 1_000_000_000
                func event(_ seconds: Int64) -> Event {
                    Event(type: "t", timestamp: .init(nanosecondsSinceEpoch: seconds * second))
                }
                // March 2024, and a month that the default partition has a row of.
                try await log.append([event(1_710_000_000), event(1_000_000_000)])
                try connection.execute(
                    "INSERT INTO tidelog.events (log_id, position, occurred_at, nanoseconds, "
                        + "schema_version, id, type) "
                        + "VALUES ('\(self.ids[0])', 0, '2001-09-10 00:00:00+00', 0, 1, 'a', 't')")
                let exporter = try exporter(log, server.settings(database)) { $0.attempts = 1 }
                try await exporter.exportOnce()
                #expect(try server.number("SELECT count(*) FROM tidelog.year", in: database) == 1)
                #expect(try server.number("SELECT count(*) FROM tidelog.others", in: database) == 2)
                #expect(try self.partitions(server, database) == 2)
            }
        }

        /// Makes the table anew, partitioned by month, with another index, and leaves the rows where they
        /// are.
        private func makeAnew(_ server: PostgresServer, _ database: String) throws {
            try server.run(
                """
                BEGIN; ALTER TABLE tidelog.events RENAME TO events_before; \
                CREATE TABLE tidelog.events (LIKE tidelog.events_before INCLUDING CONSTRAINTS, \
                PRIMARY KEY (log_id, position, occurred_at)) PARTITION BY RANGE (occurred_at); \
                CREATE INDEX ON tidelog.events (source); CREATE INDEX ON tidelog.events (log_id, id); COMMIT
                """, in: database)
        }

        @Test(
            "a table that is made anew in another layout has an export under way go on, with its indexes",
            arguments: [PostgresLayout.single, .byLog])
        func exportGoesOn(_ layout: PostgresLayout) async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 200)
                let exporter = try exporter(log, server.settings(database)) { $0.layout = layout }
                exporter.start()
                #expect(try await eventually { exporter.status.nextPosition == 200 })
                try self.makeAnew(server, database)
                try await fill(log, 200, seed: 2)
                #expect(try await eventually { exporter.status.nextPosition == 400 })
                #expect(try server.events(in: database) == Array(try await events(of: log).suffix(200)))
                let lacking = """
                    SELECT count(*) FROM pg_inherits p WHERE inhparent = 'tidelog.events'::regclass AND \
                    (SELECT count(*) FROM pg_index WHERE indrelid = p.inhrelid AND indisvalid) <> 3
                    """
                #expect(try server.number(lacking, in: database) == 0)
                await exporter.stop()
                #expect(try await exporter.export(200..<400).added == 0)
                #expect(try await exporter.check(200..<400).isEqual)
            }
        }
    }
#endif
