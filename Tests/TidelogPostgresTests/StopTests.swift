#if Postgres
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("Stopping an export while the server hangs", .serialized)
    struct StopTests {
        /// What stopping may take beyond its limit on a machine that is busy.
        private static let slack: Duration = .seconds(3)

        /// How long `stop` takes with a limit.
        private func stop(_ exporter: PostgresExporter, within limit: Duration) async -> Duration {
            let clock = ContinuousClock()
            return await clock.measure { await exporter.stop(drainingFor: limit) }
        }

        @Test(
            "ends within its limit, in the middle of a backlog or before connecting, and the next start loses nothing",
            arguments: [0, 1000])
        func frozen(_ milliseconds: Int) async throws {
            let server = try PostgresServer(["fsync=off"])  // its own, as it hangs for all
            defer { server.end() }
            let database = try server.makeDatabase()
            let limit = Duration.milliseconds(milliseconds)
            try await withTemporaryLog { _, open in
                let log = try await open(.init())
                try await fill(log, 5000)
                let exporter = try exporter(log, server.settings(database)) { $0.batchEvents = 100 }
                exporter.start()
                #expect(try await eventually { exporter.status.exportedEvents > 0 })
                try server.freeze()
                let behind = exporter.status.lagEvents
                try await fill(log, 1000, seed: 2)
                let took = await self.stop(exporter, within: limit)
                #expect(took < limit + Self.slack, "it took \(took)")
                #expect(exporter.status.state == .stopped)
                // One that is connecting to a server that does not answer.
                let other = try TidelogPostgresTests.exporter(log, server.settings(database))
                other.start()
                try await Task.sleep(for: .milliseconds(50))
                let second = await self.stop(other, within: limit)
                #expect(second < limit + Self.slack, "it took \(second)")

                try server.thaw()
                let again = try TidelogPostgresTests.exporter(log, server.settings(database))
                let status = try await again.exportOnce()
                #expect(status.nextPosition == status.logEnd && behind <= 5000)
                #expect(try server.events(in: database) == (try await events(of: log)))
                await log.close()
            }
        }

        @Test("that wakes up within the limit is drained to")
        func thawed() async throws {
            let server = try PostgresServer(["fsync=off"])
            defer { server.end() }
            let database = try server.makeDatabase()
            try await withTemporaryLog { _, open in
                let log = try await open(.init())
                try await fill(log, 100)
                let exporter = try exporter(log, server.settings(database))
                exporter.start()
                #expect(try await eventually { exporter.status.nextPosition == 100 })
                try server.freeze()
                try await fill(log, 2000, seed: 2)
                let stopping = Task { await exporter.stop(drainingFor: .seconds(60)) }
                try await Task.sleep(for: .milliseconds(400))
                try server.thaw()
                await stopping.value
                #expect(exporter.status.nextPosition == 2100)
                #expect(try server.events(in: database) == (try await events(of: log)))
                await log.close()
            }
        }
    }
#endif
