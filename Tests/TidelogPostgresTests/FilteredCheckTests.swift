#if Postgres
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("Comparing a filtered export with a table that holds more of the log")
    struct FilteredCheckTests {
        /// Runs `body` with 1,000 events, all of which were exported, and an exporter of some of them.
        private func withBoth(
            _ body: (
                EventLog, PostgresServer, _ database: String, _ orders: PostgresExporter, _ wanted: [Position]
            ) async throws -> Void
        ) async throws {
            var configuration = EventLogConfiguration()
            configuration.sealsInBackground = false
            try await withLogAndDatabase(configuration) { log, server, database in
                try await fill(log, 1000)
                try await log.seal()
                try await exporter(log, server.settings(database)).exportOnce()
                let orders = try exporter(log, server.settings(database)) {
                    $0.name = "orders"
                    $0.filter = .types("order.*")
                }
                var wanted: [Position] = []
                for try await stored in log.read(.types("order.*")) { wanted.append(stored.position) }
                try #require(wanted.count > 10 && wanted.count < 990)
                try await body(log, server, database, orders, wanted)
            }
        }

        private let all = Position.zero..<1000

        @Test(
            "rows that the filter leaves out are counted and no difference, before and after its own export")
        func equal() async throws {
            try await self.withBoth { log, server, database, orders, wanted in
                for _ in 0..<2 {
                    let check = try await orders.check(all)
                    #expect(check.isEqual && check.localCount == wanted.count && check.remoteCount == 1000)
                    #expect(check.unwantedCount == 1000 - wanted.count && check.removedCount == 0)
                    try await orders.exportOnce()
                }
                let dsn = "host=\(server.directory) user=tidelog dbname=\(database)"
                let tool = try Tool.run(
                    "export", "postgres", log.directory.string, "--dsn", dsn, "--verify", "--name", "orders",
                    "--type", "order.*")
                #expect(tool.status == 0 && tool.output.contains("left out by the filter"), "\(tool)")
                #expect(tool.output.contains(" \(1000 - wanted.count) "), "\(tool)")
                let json = try Tool.run(
                    "export", "postgres", log.directory.string, "--dsn", dsn, "--verify", "--type", "order.*",
                    "--json")
                #expect(
                    json.output.contains("\"left_out_events\":\(1000 - wanted.count)")
                        && json.output.contains("\"missing_events\":0"), "\(json)")
            }
        }

        @Test("rows that are missing or changed are found beside them, and changed ones among them")
        func differing() async throws {
            try await self.withBoth { log, server, database, orders, wanted in
                let other = try #require((0..<1000).first { !wanted.contains(Position($0)) })
                for position in [wanted[3].rawValue, other] {
                    let isWanted = position != other
                    for change in ["source = 'another'", "type = 'order.else'", "payload_raw = '1'"] {
                        try server.run(
                            "UPDATE tidelog.events SET \(change) WHERE position = \(position)", in: database)
                        let check = try await orders.check(all)
                        #expect(!check.isEqual && check.changedCount == 1, "\(change): \(check)")
                        #expect(check.unwantedCount == 1000 - wanted.count && check.missingCount == 0)
                        try server.run(
                            "DELETE FROM tidelog.events WHERE position = \(position)", in: database)
                        let missing = try await orders.check(all)
                        #expect(missing.isEqual == !isWanted && missing.missingCount == (isWanted ? 1 : 0))
                        #expect(missing.remoteCount == 999 && missing.changedCount == 0)
                        _ = try await exporter(log, server.settings(database)).export(all)
                        #expect(try await orders.check(all).isEqual)
                    }
                }
                try await log.truncate(
                    stream: try #require(try await log.event(at: wanted[0])?.stream), before: 1)
                let truncated = try await orders.check(all)
                #expect(truncated.isEqual && truncated.removedCount > 0)
            }
        }

        @Test("rows from beyond the log's end are no rows of removed events", arguments: [true, false])
        func surplus(isFiltered: Bool) async throws {
            try await self.withBoth { log, server, database, orders, _ in
                let exporter =
                    isFiltered
                    ? orders : try TidelogPostgresTests.exporter(log, server.settings(database))
                #expect(try await exporter.rowsBeyondEnd() == 0)
                let columns = EventColumns.list.replacing("log_id, position, revision,", with: "")
                try server.run(
                    """
                    INSERT INTO tidelog.events (log_id, position, revision,\(columns)) \
                    SELECT log_id, 1500, 99,\(columns) FROM tidelog.events WHERE position = 7
                    """, in: database)
                let check = try await exporter.check(0..<2000)
                #expect(!check.isEqual && check.surplusCount == 1 && check.removedCount == 0, "\(check)")
                #expect(try await exporter.check(all).isEqual)
                #expect(try await exporter.rowsBeyondEnd() == 1)
            }
        }
    }
#endif
