#if Postgres
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("Comparing with the database after events were removed from the log")
    struct RemovedEventsTests {
        private func withExported(
            _ body: (EventLog, PostgresServer, _ database: String, PostgresExporter) async throws -> Void
        ) async throws {
            var configuration = EventLogConfiguration()
            configuration.sealsInBackground = false
            try await withLogAndDatabase(configuration) { log, server, database in
                for seed in 1...3 {
                    try await fill(log, 300, seed: UInt64(seed))
                    for number in 0..<20 { try await log.append(Event(type: "t\(number)"), to: "mine") }
                    try await log.seal()
                }
                let exporter = try exporter(log, server.settings(database))
                try await exporter.exportOnce()
                try await body(log, server, database, exporter)
            }
        }

        private func check(_ exporter: PostgresExporter) async throws -> [PostgresRangeCheck] {
            var checks: [PostgresRangeCheck] = []
            for range in try await exporter.ranges() { checks.append(try await exporter.check(range)) }
            return checks
        }

        @Test(
            "rows of truncated and of deleted streams are counted, before and after compaction, and no difference"
        )
        func truncated() async throws {
            try await self.withExported { log, _, _, exporter in
                #expect(try await self.check(exporter).map(\.removedCount) == [0, 0, 0])
                try await log.truncate(stream: "mine", before: 30)
                let truncated = try await self.check(exporter)
                #expect(truncated.map(\.removedCount) == [20, 10, 0] && truncated.allSatisfy(\.isEqual))
                #expect(truncated.map(\.localCount) == [300, 310, 320])
                #expect(truncated.map(\.remoteCount) == [320, 320, 320])
                try await log.delete(stream: "mine", expecting: .any)
                try await log.compact()
                let compacted = try await self.check(exporter)
                #expect(compacted.map(\.removedCount).reduce(0, +) == 60 && compacted.allSatisfy(\.isEqual))
            }
        }

        @Test("rows of events that retention dropped are counted in ranges of their own")
        func retained() async throws {
            try await self.withExported { log, server, database, exporter in
                var policy = RetentionPolicy()
                policy.maximumEvents = 400
                #expect(try await log.retain(policy).count == 1)
                let ranges = try await exporter.ranges()
                #expect(ranges == [0..<320, 320..<640, 640..<960])
                let checks = try await self.check(exporter)
                #expect(checks.map(\.removedCount) == [320, 0, 0] && checks.allSatisfy(\.isEqual))
                #expect(checks[0].localCount == 0 && checks[0].remoteCount == 320)
                let again = try await exporter.export(ranges[0])
                #expect(again.sent == 0 && again.added == 0)
                let dsn = "host=\(server.directory) user=tidelog dbname=\(database)"
                let tool = try Tool.run(
                    "export", "postgres", log.directory.string, "--dsn", dsn, "--verify", "--json")
                #expect(tool.status == 0 && tool.output.contains("\"removed_events\":320"), "\(tool)")
            }
        }

        @Test("beside rows of removed events, rows that are missing, changed or another's are found")
        func others() async throws {
            try await self.withExported { log, server, database, exporter in
                try await log.truncate(stream: "mine", before: 30)
                let range = Position.zero..<320
                for change in [
                    "DELETE FROM tidelog.events WHERE position = 7",
                    "UPDATE tidelog.events SET source = 'other' WHERE position = 7",
                    "UPDATE tidelog.events SET position = 5000 WHERE position = 7",
                ] {
                    try server.run(change, in: database)
                    let check = try await exporter.check(range)
                    #expect(!check.isEqual && check.removedCount == 20, "\(change): \(check)")
                    try server.run("DELETE FROM tidelog.events WHERE position IN (7, 5000)", in: database)
                    #expect(try await exporter.export(range).added == 1)
                    #expect(try await exporter.check(range).isEqual)
                }
                // A row of a removed event that is missing, too, is nobody's loss.
                try server.run("DELETE FROM tidelog.events WHERE position = 305", in: database)
                let fewer = try await exporter.check(range)
                #expect(fewer.isEqual && fewer.removedCount == 19)
            }
        }

        @Test(
            "more rows than are asked for at a time are compared, whatever the order of what is there and not"
        )
        func pages() async throws {
            try await withLogAndDatabase { log, server, database in
                for number in 0..<12 {
                    try await log.append(
                        (0..<2000).map { Event(type: "t", stream: $0 % 3 == 0 ? "a" : "b\(number)") })
                }
                let exporter = try exporter(log, server.settings(database))
                try await exporter.exportOnce()
                try await log.delete(stream: "a", expecting: .any)
                let all = Position.zero..<24_000
                let check = try await exporter.check(all)
                #expect(check.isEqual && check.removedCount == 12 * 667 && check.remoteCount == 24_000)
                try server.run("DELETE FROM tidelog.events WHERE position = 23999", in: database)
                #expect(try await !exporter.check(all).isEqual)
            }
        }
    }
#endif
