#if Postgres
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("How an export stands, asked from outside")
    struct StatusTests {
        @Test(
            "tells state, last error, lag in events, bytes and seconds, and rate, while it runs, fails, rests and stops"
        )
        func states() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 100)
                let asking = try exporter(log, server.settings(database))
                let none = try await asking.remoteStatus()
                #expect(none.state == .stopped && none.nextPosition == nil && none.lagEvents == 100)
                let exporter = try exporter(log, server.settings(database))
                exporter.start()
                #expect(try await eventually { exporter.status.nextPosition == 100 })
                let running = try await asking.remoteStatus()
                #expect(running.state == .connected && running.lastError == nil && running.lagEvents == 0)
                #expect(running.lag == .zero && running.lagBytes == 0 && running.exportedEvents == 100)
                #expect(try await eventually { try await asking.remoteStatus().eventsPerSecond > 0 })
                exporter.pause()
                #expect(try await eventually { try await asking.remoteStatus().state == .paused })
                try await fill(log, 50, seed: 2)
                let behind = try await asking.remoteStatus()
                #expect(behind.lagEvents == 50 && behind.lagBytes > 1000 && behind.lag > .zero)
                await exporter.stop()
                #expect(try await asking.remoteStatus().lastExport != nil)
            }
        }

        @Test("tells what halted an export that is gone, and forgets a failure once something was exported")
        func failures() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 100)
                let role = "r_" + database
                try server.run("CREATE ROLE \(role) LOGIN", in: database)
                let refused = try exporter(log, server.settings(database, user: role))
                await #expect(throws: PostgresError.self) { try await refused.exportOnce() }
                #expect(refused.status.lastErrorTime != nil)
                let asking = try exporter(log, server.settings(database))
                // The server takes a moment to notice that a connection has ended.
                #expect(try await eventually { try await asking.remoteStatus().state != .connected })
                let failed = try await asking.remoteStatus()
                #expect(failed.state == .offline && failed.lastError?.code == .permissionDenied)
                #expect(failed.lastErrorTime != nil)
                try await asking.exportOnce()
                #expect(try await eventually { try await asking.remoteStatus().state != .connected })
                let done = try await asking.remoteStatus()
                #expect(done.state == .stopped && done.lastError == nil && done.lastErrorTime == nil)
                try server.run(
                    "UPDATE tidelog.events_checkpoints SET anchor_digest = 'x'::bytea", in: database)
                try await fill(log, 10, seed: 2)
                await #expect(throws: PostgresError.self) { try await asking.exportOnce() }
                #expect(try await eventually { try await asking.remoteStatus().state != .connected })
                let halted = try await asking.remoteStatus()
                #expect(halted.state == .halted && halted.lastError?.code == .diverged)
                let dsn = "host=\(server.directory) user=tidelog dbname=\(database)"
                let path = log.directory.string
                let text = try Tool.run("export", "postgres", path, "--dsn", dsn, "--status")
                for word in [
                    "state      halted", "last error ", "diverged: ", "rate ", "behind     10 events", "old",
                ] {
                    #expect(text.output.contains(word), "\(word): \(text)")
                }
                let json = try Tool.run("export", "postgres", path, "--dsn", dsn, "--status", "--json")
                for key in [
                    #""state":"halted""#, #""last_error":"diverged"#, #""last_error_time":"2"#,
                    #""lag_events":10"#,
                    #""lag_bytes":"#, #""lag_seconds":"#, #""events_per_second":"#,
                ] { #expect(json.output.contains(key), "\(key): \(json)") }
                try server.run("DROP OWNED BY \(role); DROP ROLE \(role)", in: database)
            }
        }
    }
#endif
