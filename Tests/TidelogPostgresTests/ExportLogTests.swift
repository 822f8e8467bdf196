#if Postgres
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("An export whose log is closed")
    struct ExportLogTests {
        @Test("ends by itself and says so, connected or not", arguments: [true, false])
        func closed(_ isConnected: Bool) async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 10)
                let settings = isConnected ? server.settings(database) : PostgresSettings("host=/nowhere")
                let exporter = try exporter(log, settings)
                let running = Task { try await exporter.run() }
                #expect(
                    try await eventually {
                        isConnected ? exporter.status.nextPosition == 10 : exporter.status.failures > 2
                    })
                await log.close()
                try #require(try await eventually { exporter.status.state == .stopped })
                do {
                    try await running.value
                    Issue.record("the export ended by itself and said nothing")
                } catch {
                    #expect((error as? PostgresError)?.code == .closed)
                }
            }
        }
    }
#endif
