#if Postgres
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("A database that holds another history of a log")
    struct OtherHistoryTests {
        /// What a call throws, or nil.
        private func code(_ body: () async throws -> Void) async -> PostgresError.Code? {
            do {
                try await body()
                return nil
            } catch { return (error as? PostgresError)?.code }
        }

        /// Runs `body` with a log that was restored from a backup of its first 100 events, after 150 were
        /// exported.
        private func withRestored(
            _ body: (EventLog, PostgresServer, _ database: String) async throws -> Void
        ) async throws {
            let server = try PostgresServer.shared.get()
            let database = try server.makeDatabase()
            let folder = try TemporaryDirectory()
            defer { folder.remove() }
            let log = try await EventLog.open(at: folder.path.appending("log"))
            try await fill(log, 100)
            try await log.backup(to: folder.path.appending("backup"))
            try await fill(log, 50, seed: 2)
            try await exporter(log, server.settings(database)).exportOnce()
            await log.close()
            let again = folder.path.appending("again")
            try await EventLog.restore(from: folder.path.appending("backup"), to: again)
            let restored = try await EventLog.open(at: again)
            try await body(restored, server, database)
            await restored.close()
            try server.connect().execute("DROP DATABASE \(database) WITH (FORCE)")
        }

        @Test("is noticed when a range is sent again, also one in which it has no row")
        func ranges() async throws {
            try await self.withRestored { log, server, database in
                let exporter = try exporter(log, server.settings(database))
                #expect(await self.code { _ = try await exporter.export(0..<100) } == .logBehind)
                try await fill(log, 60, seed: 3)
                for range in [0..<100, 150..<160] as [Range<Position>] {
                    #expect(await self.code { _ = try await exporter.export(range) } == .diverged)
                }
                #expect(try server.events(in: database).count == 150)
            }
        }

        @Test("is noticed by an export of another name, whose filter wants none of its events")
        func names() async throws {
            try await self.withRestored { log, server, database in
                func other() throws -> PostgresExporter {
                    try exporter(log, server.settings(database)) {
                        $0.name = "other"
                        $0.filter = .types("fresh")
                    }
                }
                #expect(await self.code { try await other().exportOnce() } == .logBehind)
                try await fill(log, 60, seed: 3)
                try await log.append(Event(type: "fresh"))
                #expect(await self.code { try await other().exportOnce() } == .diverged)
                #expect(await self.code { _ = try await other().export(0..<161) } == .diverged)
                #expect(try server.events(in: database).count == 150)
            }
        }

        @Test("is noticed by rows from beyond the log's end, where no checkpoint is left")
        func rows() async throws {
            try await self.withRestored { log, server, database in
                try server.run("DELETE FROM tidelog.events_checkpoints", in: database)
                let exporter = try exporter(log, server.settings(database))
                #expect(await self.code { try await exporter.exportOnce() } == .logBehind)
                #expect(await self.code { _ = try await exporter.export(0..<100) } == .logBehind)
                let dsn = "host=\(server.directory) user=tidelog dbname=\(database)"
                let tool = try Tool.run(
                    "export", "postgres", log.directory.string, "--dsn", dsn, "--verify")
                #expect(tool.status == 1 && tool.error.contains("50 rows"), "\(tool)")
                #expect(tool.error.split(separator: "\n").count == 1)
            }
        }

        @Test("is no matter where exports of one log go on side by side")
        func sideBySide() async throws {
            try await withLogAndDatabase { log, server, database in
                let names = ["a", "b", "c"]
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for name in names {
                        group.addTask {
                            for _ in 0..<30 {
                                try await exporter(log, server.settings(database)) { $0.name = name }
                                    .exportOnce()
                            }
                        }
                    }
                    group.addTask { for seed in 0..<60 { try await fill(log, 20, seed: UInt64(seed)) } }
                    try await group.waitForAll()
                }
                try await exporter(log, server.settings(database)) { $0.name = "a" }.exportOnce()
                #expect(try server.events(in: database) == (try await events(of: log)))
            }
        }
    }
#endif
