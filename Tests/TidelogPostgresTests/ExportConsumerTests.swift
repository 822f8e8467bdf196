#if Postgres
    import Foundation
    import MetricsTestKit
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("An export as a consumer of its log")
    struct ExportConsumerTests {
        private let name = "export.postgres.default"

        @Test(
            "retention keeps what is not exported, from the exporter's first start on, and lets go of what is"
        )
        func retention() async throws {
            var configuration = EventLogConfiguration()
            configuration.sealsInBackground = false
            try await withLogAndDatabase(configuration) { log, server, database in
                var policy = RetentionPolicy()
                policy.maximumEvents = 0
                // No server answers, and yet retention waits.
                let offline = try exporter(log, PostgresSettings("host=/nowhere dbname=none"))
                offline.start()
                #expect(try await eventually { try await log.consumers.status(of: name)?.lastError != nil })
                for seed in 1...3 {
                    try await fill(log, 200, seed: UInt64(seed))
                    try await log.seal()
                }
                #expect(try await log.retain(policy).isEmpty)
                await offline.stop()
                #expect(try await log.retain(policy).isEmpty)
                let status = try #require(try await log.consumers.status(of: name))
                #expect(status.offset == 0 && status.lag == 600)
                #expect(status.lastError?.error.contains("unreachable") ?? false)

                let exporter = try exporter(log, server.settings(database))
                try await exporter.exportOnce()
                let done = try #require(try await log.consumers.status(of: name))
                #expect(done.offset == 600 && done.lag == 0 && done.acknowledged == 600)
                #expect(done.lastProgress != nil)
                #expect(try await log.retain(policy).count == 3)
                #expect(try server.events(in: database).count == 600)
                try await fill(log, 10, seed: 9)
                try await exporter.exportOnce()
                #expect(try server.events(in: database).count == 610)
            }
        }

        @Test(
            "an export that need not hold up retention does not, and one that was deleted by hand comes back")
        func letting() async throws {
            var configuration = EventLogConfiguration()
            configuration.sealsInBackground = false
            try await withLogAndDatabase(configuration) { log, server, database in
                var policy = RetentionPolicy()
                policy.maximumEvents = 0
                let exporter = try exporter(log, server.settings(database)) { $0.holdsRetention = false }
                exporter.start()
                exporter.pause()
                #expect(try await eventually { try await log.consumers.status(of: name)?.isPaused ?? false })
                try await fill(log, 100)
                try await log.seal()
                #expect(try await log.retain(policy).count == 1)
                try await log.consumers.delete(name)
                exporter.resume()
                try await fill(log, 100, seed: 2)
                #expect(try await eventually { try await log.consumers.status(of: name)?.offset == 200 })
                await exporter.stop()
                #expect(exporter.status.state == .stopped)
            }
        }

        @Test("events that retention takes from under an export that is connected are told, not passed over")
        func takenMeanwhile() async throws {
            var configuration = EventLogConfiguration()
            configuration.sealsInBackground = false
            try await withLogAndDatabase(configuration) { log, server, database in
                try await fill(log, 100)
                let exporter = try exporter(log, server.settings(database)) {
                    $0.batchEvents = 10
                    $0.pace = .full
                }
                exporter.start()
                #expect(try await eventually { exporter.status.nextPosition == 100 })
                // The database keeps the export waiting, with two batches of what comes now in its hands.
                let blocker = try server.connect(database)
                try blocker.execute("BEGIN; LOCK TABLE tidelog.events_checkpoints")
                try await fill(log, 200, seed: 2)
                let waiting =
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = '\(database)' AND wait_event_type = 'Lock'"
                #expect(try await eventually { try server.number(waiting, in: "postgres") == 1 })
                try await log.seal()
                try await fill(log, 100, seed: 3)
                var policy = RetentionPolicy()
                policy.maximumEvents = 50
                policy.ignoresConsumers = true
                #expect(try await log.retain(policy).count == 1)
                try blocker.execute("COMMIT")
                #expect(try await eventually { exporter.status.state == .halted })
                #expect(exporter.status.lastError?.code == .eventsGone)
                #expect(try server.events(in: database).count <= 120)
                await exporter.stop()
            }
        }

        @Test("a log that is open for reading alone is exported all the same")
        func readOnly() async throws {
            try await withTemporaryLog { _, open in
                let log = try await open(.init())
                try await fill(log, 100)
                let server = try PostgresServer.shared.get()
                let database = try server.makeDatabase()
                await log.close()
                var configuration = EventLogConfiguration()
                configuration.mode = .readOnly
                let reader = try await open(configuration)
                try await exporter(reader, server.settings(database)).exportOnce()
                #expect(try server.events(in: database).count == 100)
                #expect(try await reader.consumers.list().isEmpty)
                await reader.close()
            }
        }

        @Test("metrics tell state, lag, rate, events and failures of each export")
        func metrics() async throws {
            try await withLogAndDatabase { log, server, database in
                let factory = TestMetrics()
                try await fill(log, 500)
                let offline = try exporter(log, PostgresSettings("host=/nowhere dbname=none")) {
                    $0.metrics = factory
                    $0.name = "away"
                }
                func gauge(_ label: String, _ export: String) throws -> Double? {
                    try factory.expectGauge(label, [("export", export)]).lastValue
                }
                offline.start()
                #expect(try await eventually { offline.status.failures > 1 })
                await offline.stop()
                #expect(try gauge(TelemetryNames.exportLagEvents, "away") == 500)
                #expect(try gauge(TelemetryNames.exportLagBytes, "away") ?? 0 > 10_000)
                #expect(try gauge(TelemetryNames.exportLagSeconds, "away") ?? 0 > 0)
                #expect(try gauge(TelemetryNames.exportState, "away") == 0)
                #expect(
                    try factory.expectCounter(TelemetryNames.exportFailures, [("export", "away")]).totalValue
                        > 1)

                let exporter = try exporter(log, server.settings(database)) { $0.metrics = factory }
                exporter.start()
                #expect(try await eventually { exporter.status.nextPosition == 500 })
                #expect(
                    try await eventually {
                        (try? gauge(TelemetryNames.exportState, "default")) == 2
                            && (try? gauge(TelemetryNames.exportLagEvents, "default")) == 0
                    })
                await exporter.stop()
                let dimensions = [("export", "default")]
                #expect(
                    try factory.expectCounter(TelemetryNames.exportedEvents, dimensions).totalValue == 500)
                #expect(
                    try factory.expectCounter(TelemetryNames.exportedBytes, dimensions).totalValue > 10_000)
                #expect(try gauge(TelemetryNames.exportLagSeconds, "default") == 0)
                #expect(try gauge(TelemetryNames.exportRate, "default") != nil)
            }
        }
    }
#endif
