#if Postgres
    import Foundation
    import SystemPackage
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("Log and database, one of them from a backup")
    struct SidesTests {
        /// What `exportOnce` throws, or nil.
        private func code(_ exporter: PostgresExporter) async -> PostgresError.Code? {
            do throws(PostgresError) {
                try await exporter.exportOnce()
                return nil
            } catch { return error.code }
        }

        @Test(
            "a log restored from before the last export is told apart, while it is short and once it has grown"
        )
        func restoredLog() async throws {
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

            try await EventLog.restore(
                from: folder.path.appending("backup"), to: folder.path.appending("again"))
            let restored = try await EventLog.open(at: folder.path.appending("again"))
            #expect(await self.code(try exporter(restored, server.settings(database))) == .logBehind)
            try await fill(restored, 60, seed: 3)
            #expect(await self.code(try exporter(restored, server.settings(database))) == .diverged)
            let accepting = try exporter(restored, server.settings(database)) {
                $0.accepts = [.olderDatabase, .restoredLog, .missingEvents]
            }
            #expect(await self.code(accepting) == .diverged)
            // A continuous exporter halts, and says so, until a person has looked.
            let continuous = try exporter(restored, server.settings(database))
            continuous.start()
            #expect(try await eventually { continuous.status.state == .halted })
            await continuous.stop(drainingFor: .seconds(10))
            #expect(try server.events(in: database).count == 150)
            await restored.close()
        }

        @Test("a log restored from after the last export goes on, with its new incarnation")
        func restoredInTime() async throws {
            let server = try PostgresServer.shared.get()
            let database = try server.makeDatabase()
            let folder = try TemporaryDirectory()
            defer { folder.remove() }
            let log = try await EventLog.open(at: folder.path.appending("log"))
            try await fill(log, 100)
            try await exporter(log, server.settings(database)).exportOnce()
            try await log.backup(to: folder.path.appending("backup"))
            await log.close()
            try await EventLog.restore(
                from: folder.path.appending("backup"), to: folder.path.appending("again"))
            let restored = try await EventLog.open(at: folder.path.appending("again"))
            try await fill(restored, 10, seed: 5)
            try await exporter(restored, server.settings(database)).exportOnce()
            #expect(try server.events(in: database) == (try await events(of: restored)))
            let incarnation = try server.number(
                "SELECT incarnation FROM tidelog.events_checkpoints", in: database)
            #expect(
                incarnation == Int64((try await restored.statistics()).incarnation) && incarnation ?? 0 > 0)
            await restored.close()
        }

        @Test(
            "a database restored from an older backup is told apart, and exported to again when that is accepted"
        )
        func restoredDatabase() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 100)
                let exporter = try exporter(log, server.settings(database))
                try await exporter.exportOnce()
                let backup = try server.makeDatabase() + "b"
                try server.connect().execute("CREATE DATABASE \(backup) TEMPLATE \(database)")
                try await fill(log, 100, seed: 2)
                try await exporter.exportOnce()
                let administrator = try server.connect()
                try administrator.execute("DROP DATABASE \(database) WITH (FORCE)")
                try administrator.execute("ALTER DATABASE \(backup) RENAME TO \(database)")
                try await fill(log, 1, seed: 3)
                #expect(await self.code(exporter) == .databaseBehind)
                // A program that was started meanwhile learns it from the log.
                let restarted = try TidelogPostgresTests.exporter(log, server.settings(database))
                #expect(await self.code(restarted) == .databaseBehind)
                #expect(try server.events(in: database).count == 100)
                let accepting = try TidelogPostgresTests.exporter(log, server.settings(database)) {
                    $0.accepts = .olderDatabase
                }
                #expect(await self.code(accepting) == nil)
                #expect(try server.events(in: database) == (try await events(of: log)))
                // Other tables, to which nothing was exported yet, are no older ones.
                let elsewhere = try TidelogPostgresTests.exporter(log, server.settings(database)) {
                    $0.names.table = "elsewhere"
                }
                #expect(await self.code(elsewhere) == nil)
            }
        }

        @Test("rows that another hand changed or took away are found by a check, and missing ones sent again")
        func checks() async throws {
            var configuration = EventLogConfiguration()
            configuration.sealsInBackground = false
            try await withLogAndDatabase(configuration) { log, server, database in
                for seed in 1...3 {
                    try await fill(log, 500, seed: UInt64(seed))
                    try await log.seal()
                }
                try await fill(log, 100, seed: 9)
                let exporter = try exporter(log, server.settings(database))
                try await exporter.exportOnce()
                let ranges = try await exporter.ranges()
                #expect(ranges == [0..<500, 500..<1000, 1000..<1500, 1500..<1600])
                for range in ranges { #expect(try await exporter.check(range).isEqual) }

                try server.run("DELETE FROM tidelog.events WHERE position IN (3, 600)", in: database)
                let check = try await exporter.check(ranges[1])
                #expect(!check.isEqual && check.localCount == 500 && check.remoteCount == 499)
                let again = try await exporter.export(ranges[0])
                #expect(again.sent == 500 && again.added == 1)
                _ = try await exporter.export(ranges[1])
                for range in ranges { #expect(try await exporter.check(range).isEqual) }

                for change in [
                    "type = type || 'x'", "source = 'other'", "nanoseconds = (nanoseconds + 1) % 1000",
                    "payload_raw = '1'", "schema_version = 2",
                ] {
                    try server.run("UPDATE tidelog.events SET \(change) WHERE position = 1200", in: database)
                    #expect(try await !exporter.check(ranges[2]).isEqual, "\(change)")
                    await #expect(throws: PostgresError.self) { try await exporter.export(ranges[2]) }
                    try server.run("DELETE FROM tidelog.events WHERE position = 1200", in: database)
                    _ = try await exporter.export(ranges[2])
                    #expect(try await exporter.check(ranges[2]).isEqual)
                }
                // JSON that no longer has the value of the bytes beside it.
                try server.run(
                    "UPDATE tidelog.events SET payload = '{}' WHERE position = "
                        + "(SELECT min(position) FROM tidelog.events WHERE payload_raw IS NOT NULL AND "
                        + "payload IS NOT NULL AND position >= 1000)", in: database)
                #expect(try await !exporter.check(ranges[2]).isEqual)
                // Bytes that are no JSON at all, which the server refuses to compare.
                for bytes in ["x", "\\377", "{\"a\":\"\\\\u0000\"}"] {
                    try server.run(
                        "UPDATE tidelog.events SET payload = '{}', payload_raw = '\(bytes)' WHERE position "
                            + "= 1100",
                        in: database)
                    do throws(PostgresError) {
                        _ = try await exporter.check(ranges[2])
                        Issue.record("\(bytes) was taken for JSON")
                    } catch {
                        #expect(
                            error.code == .diverged && error.positions?.contains(1100) ?? false, "\(error)")
                    }
                }
            }
        }

        @Test("many devices share one table, however it is partitioned", arguments: [0, 1, 2])
        func devices(_ choice: Int) async throws {
            let layout = [PostgresLayout.single, .byLog, .byMonth][choice]
            let server = try PostgresServer.shared.get()
            let database = try server.makeDatabase()
            let folder = try TemporaryDirectory()
            defer { folder.remove() }
            var logs: [EventLog] = []
            for index in 0..<4 { logs.append(try await EventLog.open(at: folder.path.appending("\(index)"))) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (index, log) in logs.enumerated() {
                    group.addTask {
                        let exporter = try exporter(log, server.settings(database)) {
                            $0.layout = layout
                            $0.batchEvents = 100
                        }
                        exporter.start()
                        for round in 0..<5 { try await fill(log, 200, seed: UInt64(index * 10 + round)) }
                        try await log.append([
                            Event(type: "old", timestamp: .init(nanosecondsSinceEpoch: -1)),
                            Event(type: "new", timestamp: .init(nanosecondsSinceEpoch: .max)),
                        ])
                        await exporter.stop(drainingFor: .seconds(1200))
                        let id = try await log.statistics().logID
                        #expect(try server.events(in: database, log: id) == (try await events(of: log)))
                        let checked = try await exporter.check(0..<1002)
                        #expect(checked.isEqual)
                        let again = try await exporter.export(0..<1002)
                        #expect(again.added == 0)
                    }
                }
                try await group.waitForAll()
            }
            for log in logs { await log.close() }
        }

        @Test(
            "a filter ships what it wants and moves the checkpoint past the rest; another filter is refused")
        func filters() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 1000)
                let exporter = try exporter(log, server.settings(database)) {
                    $0.filter = .types("order.*")
                    $0.batchEvents = 30
                }
                let status = try await exporter.exportOnce()
                #expect(status.nextPosition == 1000)
                #expect(try server.events(in: database) == (try await events(of: log, .types("order.*"))))
                let other = try TidelogPostgresTests.exporter(log, server.settings(database)) {
                    $0.filter = .types("cart.*")
                }
                #expect(await self.code(other) == .invalidConfiguration)
                let named = try TidelogPostgresTests.exporter(log, server.settings(database)) {
                    $0.name = "all"
                }
                #expect(await self.code(named) == nil)
                #expect(try server.events(in: database) == (try await events(of: log)))
            }
        }

        @Test("paused it lets go of the connection, resumed it goes on, and the status tells the lag")
        func pausing() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 100)
                let exporter = try exporter(log, server.settings(database))
                exporter.start()
                #expect(try await eventually { exporter.status.nextPosition == 100 })
                exporter.pause()
                #expect(exporter.status.state == .paused)
                let busy =
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = '\(database)' AND pid <> pg_backend_pid()"
                #expect(try await eventually { try server.number(busy, in: database) == 0 })
                try await fill(log, 50, seed: 2)
                let status = exporter.status
                #expect(status.lagEvents == 50 && status.lagBytes > 1000 && status.lag > .zero)
                #expect(try server.events(in: database).count == 100)
                exporter.resume()
                #expect(try await eventually { exporter.status.lagEvents == 0 })
                #expect(exporter.status.lag == .zero && exporter.status.lagBytes == 0)
                await exporter.stop()
                #expect(exporter.status.state == .stopped)
            }
        }

        @Test("events that retention took before they were exported are told, and passed over when accepted")
        func retention() async throws {
            var configuration = EventLogConfiguration()
            configuration.sealsInBackground = false
            try await withLogAndDatabase(configuration) { log, server, database in
                try await fill(log, 100)
                let exporter = try exporter(log, server.settings(database))
                try await exporter.exportOnce()
                try await fill(log, 100, seed: 2)
                try await log.seal()
                try await fill(log, 100, seed: 3)
                var policy = RetentionPolicy()
                policy.maximumEvents = 50
                policy.ignoresConsumers = true
                #expect(try await log.retain(policy).count == 1)
                #expect(await self.code(exporter) == .eventsGone)
                let accepting = try TidelogPostgresTests.exporter(log, server.settings(database)) {
                    $0.accepts = .missingEvents
                }
                #expect(await self.code(accepting) == nil)
                #expect(try server.events(in: database).count == 200)
            }
        }
    }
#endif
