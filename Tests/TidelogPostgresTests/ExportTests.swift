#if Postgres
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("Exporting")
    struct ExportTests {
        @Test("rows equal events, in order, each once, and the checkpoint stands behind them")
        func equal() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 5000)
                let exporter = try exporter(log, server.settings(database)) { $0.batchEvents = 700 }
                let status = try await exporter.exportOnce()
                #expect(status.nextPosition == 5000 && status.lagEvents == 0 && status.exportedEvents == 5000)
                #expect(try server.events(in: database) == (try await events(of: log)))
                let next = try server.number(
                    "SELECT next_position FROM tidelog.events_checkpoints", in: database)
                #expect(next == 5000)
            }
        }
    }
#endif
