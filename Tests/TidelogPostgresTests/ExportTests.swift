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

        @Test("an export that gives way to an app that goes on appending catches up, and leaves nothing out")
        func yielding() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 3000)
                let exporter = try exporter(log, server.settings(database))
                exporter.start()
                var batches = 0
                while exporter.status.nextPosition ?? .zero < 3000, batches < 2000 {
                    batches += 1
                    try await fill(log, 5, seed: UInt64(100 + batches))
                    try await Task.sleep(for: .milliseconds(5))
                }
                #expect(exporter.status.nextPosition ?? .zero >= 3000)
                let end = try await log.statistics().nextPosition
                // Nobody appends any more: what is left goes out, by itself.
                #expect(try await eventually { exporter.status.nextPosition == end })
                await exporter.stop()
                #expect(try server.events(in: database) == (try await events(of: log)))
            }
        }
    }
#endif
