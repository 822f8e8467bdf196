#if Postgres
    import Foundation
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("Log and database, whose last common event is gone")
    struct AnchorTests {
        /// What `exportOnce` throws, or nil.
        private func failure(_ exporter: PostgresExporter) async -> PostgresError? {
            do throws(PostgresError) {
                try await exporter.exportOnce()
                return nil
            } catch { return error }
        }

        private static var configuration: EventLogConfiguration {
            var configuration = EventLogConfiguration()
            configuration.sealsInBackground = false
            return configuration
        }

        /// Runs `body` with a copy of a log's files as they were when it had 100 events, and those were
        /// exported. The log then went on by `original`, and was exported again.
        private func withOldFiles(
            _ change: (inout PostgresExportConfiguration) -> Void = { _ in },
            original: (EventLog) async throws -> Void,
            _ body: (EventLog, PostgresServer, _ database: String) async throws -> Void
        ) async throws {
            let server = try PostgresServer.shared.get()
            let database = try server.makeDatabase()
            let folder = try TemporaryDirectory()
            defer { folder.remove() }
            let (path, copy) = (folder.path.appending("log"), folder.path.appending("copy"))
            var log = try await EventLog.open(at: path, configuration: Self.configuration)
            try await fill(log, 100)
            try await exporter(log, server.settings(database), change).exportOnce()
            await log.close()
            try FileManager.default.copyItem(atPath: path.string, toPath: copy.string)
            log = try await EventLog.open(at: path, configuration: Self.configuration)
            try await original(log)
            try await exporter(log, server.settings(database), change).exportOnce()
            await log.close()
            let restored = try await EventLog.open(at: copy, configuration: Self.configuration)
            try await body(restored, server, database)
            await restored.close()
            try server.connect().execute("DROP DATABASE \(database) WITH (FORCE)")
        }

        @Test(
            "files that were copied back and went on are told apart by the last event that is left before it")
        func oldFiles() async throws {
            try await self.withOldFiles(original: { try await fill($0, 50, seed: 2) }) {
                log, server, database in
                #expect(await self.failure(try exporter(log, server.settings(database)))?.code == .logBehind)
                try await fill(log, 49, seed: 3)
                try await log.append(Event(type: "t"), to: "gone")
                try await fill(log, 10, seed: 4)
                try await log.delete(stream: "gone", expecting: .any)
                let all: PostgresExportConfiguration.Acceptance = [
                    .olderDatabase, .restoredLog, .missingEvents,
                ]
                for accepts in [[], all] {
                    let error = await self.failure(
                        try exporter(log, server.settings(database)) { $0.accepts = accepts })
                    #expect(error?.code == .diverged && error?.positions == 148..<149, "\(error as Any)")
                }
                #expect(try server.events(in: database).count == 150)
                // Nor does it help that the database has forgotten its own.
                try server.run(
                    "UPDATE tidelog.events_checkpoints SET anchor_position = NULL, last_position = NULL",
                    in: database)
                #expect(await self.failure(try exporter(log, server.settings(database)))?.code == .diverged)
            }
        }

        @Test(
            "files that were copied back and have nothing left to compare are told, unless that is accepted")
        func nothingLeft() async throws {
            try await self.withOldFiles(original: { try await fill($0, 50, seed: 2) }) {
                log, server, database in
                try await fill(log, 50, seed: 3)
                try await log.seal()
                try await fill(log, 10, seed: 4)
                var policy = RetentionPolicy()
                policy.maximumEvents = 5
                policy.ignoresConsumers = true
                #expect(try await log.retain(policy).count == 1)
                for accepts in [[], [.olderDatabase, .missingEvents]]
                    as [PostgresExportConfiguration.Acceptance]
                {
                    let error = await self.failure(
                        try exporter(log, server.settings(database)) { $0.accepts = accepts })
                    #expect(error?.code == .unverifiable, "\(error as Any)")
                    #expect(error?.positions?.upperBound == 150)
                    #expect(error?.message.contains("does not remember") ?? false)
                }
                #expect(try server.events(in: database).count == 150)
                let accepting = try exporter(log, server.settings(database)) { $0.accepts = .restoredLog }
                #expect(await self.failure(accepting) == nil)
                #expect(try server.events(in: database).count == 160)
                // From then on both know the same event again.
                try await fill(log, 10, seed: 5)
                #expect(await self.failure(try exporter(log, server.settings(database))) == nil)
            }
        }

        @Test(
            "files that were copied back are told where the database knows none but an event from before"
        )
        func olderAnchor() async throws {
            func isOrder(_ configuration: inout PostgresExportConfiguration) {
                configuration.filter = .types("order")
            }
            try await self.withOldFiles(isOrder) { log in
                for _ in 0..<49 { try await log.append(Event(type: "other")) }
                try await log.append(Event(type: "other"), to: "gone")
                try await log.delete(stream: "gone", expecting: .any)
            } _: { log, server, database in
                let anchors =
                    "SELECT anchor_position FROM tidelog.events_checkpoints WHERE next_position = 150"
                #expect(try server.number(anchors, in: database) == 99)
                for _ in 0..<60 { try await log.append(Event(type: "order")) }
                let error = await self.failure(try exporter(log, server.settings(database), isOrder))
                #expect(error?.code == .unverifiable && error?.positions == 100..<150, "\(error as Any)")
                #expect(try server.events(in: database).isEmpty)
            }
        }

        @Test("a log that remembers the export, or has an event of it left, goes on without a word")
        func remembering() async throws {
            try await withLogAndDatabase(Self.configuration) { log, server, database in
                try await fill(log, 100)
                try await log.append(Event(type: "t"), to: "gone")
                try await log.seal()
                #expect(await self.failure(try exporter(log, server.settings(database))) == nil)
                // The last event goes; the one before it is the same.
                try await log.delete(stream: "gone", expecting: .any)
                try await log.consumers.delete("export.postgres.default")
                try await fill(log, 10, seed: 2)
                #expect(await self.failure(try exporter(log, server.settings(database))) == nil)
                // All events go; the log knows that they were exported.
                try await log.seal()
                var policy = RetentionPolicy()
                policy.maximumEvents = 0
                #expect(try await log.retain(policy).count == 2)
                #expect(await self.failure(try exporter(log, server.settings(database))) == nil)
                try await fill(log, 10, seed: 3)
                #expect(await self.failure(try exporter(log, server.settings(database))) == nil)
                #expect(try server.events(in: database).count == 121)
                // All events go, and what the log knows of the export as well.
                try await log.seal()
                #expect(try await log.retain(policy).count == 1)
                try await log.consumers.delete("export.postgres.default")
                let error = await self.failure(try exporter(log, server.settings(database)))
                #expect(error?.code == .unverifiable)
            }
        }

        @Test("an older database is noticed by an export that has found nothing to export so far")
        func nothingWanted() async throws {
            try await withLogAndDatabase { log, server, database in
                func exporter(_ accepts: PostgresExportConfiguration.Acceptance = []) throws
                    -> PostgresExporter
                {
                    try TidelogPostgresTests.exporter(log, server.settings(database)) {
                        $0.filter = .types("wanted")
                        $0.accepts = accepts
                    }
                }
                try await fill(log, 100)
                #expect(await self.failure(try exporter()) == nil)
                let backup = try server.makeDatabase() + "b"
                try server.connect().execute("CREATE DATABASE \(backup) TEMPLATE \(database)")
                try await fill(log, 100, seed: 2)
                #expect(await self.failure(try exporter()) == nil)
                let administrator = try server.connect()
                try administrator.execute("DROP DATABASE \(database) WITH (FORCE)")
                try administrator.execute("ALTER DATABASE \(backup) RENAME TO \(database)")
                let error = await self.failure(try exporter())
                #expect(error?.code == .databaseBehind && error?.positions == 100..<200, "\(error as Any)")
                #expect(await self.failure(try exporter(.olderDatabase)) == nil)
                try await log.append(Event(type: "wanted"))
                #expect(await self.failure(try exporter()) == nil)
                #expect(try server.events(in: database).count == 1)
            }
        }

        /// Appends events of which the last one is gone, so that whoever passes them knows none of them.
        private func fillPassing(_ log: EventLog, _ count: Int, seed: UInt64) async throws {
            try await fill(log, count - 1, seed: seed)
            try await log.append(Event(type: "other"), to: "gone-\(seed)")
            try await log.delete(stream: "gone-\(seed)", expecting: .any)
        }

        /// An exporter that passes all events.
        private func passing(
            _ log: EventLog, _ settings: PostgresSettings, name: String = "default",
            accepts: PostgresExportConfiguration.Acceptance = []
        ) throws -> PostgresExporter {
            try exporter(log, settings) {
                $0.name = name
                $0.filter = .types("wanted")
                $0.accepts = accepts
            }
        }

        /// How many checkpoints are at a position and know no event.
        private func blank(at position: Int) -> String {
            "SELECT count(*) FROM tidelog.events_checkpoints WHERE next_position = \(position) "
                + "AND exported = 0 AND anchor_position IS NULL AND last_position IS NULL"
        }

        @Test(
            "an export that knows none of the events that it has passed tells an older log and another history"
        )
        func passedLog() async throws {
            let server = try PostgresServer.shared.get()
            let database = try server.makeDatabase()
            let settings = server.settings(database)
            let folder = try TemporaryDirectory()
            defer { folder.remove() }
            let (path, copy) = (folder.path.appending("log"), folder.path.appending("copy"))
            var log = try await EventLog.open(at: path, configuration: Self.configuration)
            try await fill(log, 60)
            await log.close()
            try FileManager.default.copyItem(atPath: path.string, toPath: copy.string)
            log = try await EventLog.open(at: path, configuration: Self.configuration)
            try await self.fillPassing(log, 40, seed: 2)
            for _ in 0..<2 { #expect(await self.failure(try self.passing(log, settings)) == nil) }
            #expect(try server.number(self.blank(at: 100), in: database) == 1)
            await log.close()

            let older = try await EventLog.open(at: copy, configuration: Self.configuration)
            for name in ["default", "other"] {
                let error = await self.failure(try self.passing(older, settings, name: name))
                #expect(error?.code == .logBehind && error?.positions == 60..<100, "\(error as Any)")
            }
            #expect(try server.number(self.blank(at: 100), in: database) == 1)
            try await fill(older, 60, seed: 3)
            let error = await self.failure(try self.passing(older, settings))
            #expect(error?.code == .unverifiable && error?.positions?.upperBound == 100, "\(error as Any)")
            #expect(await self.failure(try self.passing(older, settings, accepts: .restoredLog)) == nil)
            await older.close()
            try server.connect().execute("DROP DATABASE \(database) WITH (FORCE)")
        }

        @Test("an export that knows none of the events that it has passed tells an older database")
        func passedDatabase() async throws {
            try await withLogAndDatabase(Self.configuration) { log, server, database in
                let settings = server.settings(database)
                try await self.fillPassing(log, 100, seed: 1)
                #expect(await self.failure(try self.passing(log, settings)) == nil)
                let backup = try server.makeDatabase() + "b"
                try server.connect().execute("CREATE DATABASE \(backup) TEMPLATE \(database)")
                try await self.fillPassing(log, 100, seed: 2)
                #expect(await self.failure(try self.passing(log, settings)) == nil)
                #expect(try server.number(self.blank(at: 200), in: database) == 1)
                let administrator = try server.connect()
                try administrator.execute("DROP DATABASE \(database) WITH (FORCE)")
                try administrator.execute("ALTER DATABASE \(backup) RENAME TO \(database)")
                let error = await self.failure(try self.passing(log, settings))
                #expect(error?.code == .databaseBehind && error?.positions == 100..<200, "\(error as Any)")
                #expect(await self.failure(try self.passing(log, settings, accepts: .olderDatabase)) == nil)
            }
        }

        @Test("a checkpoint of an earlier version has begun where it is not where the export is to begin")
        func earlierVersion() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 100)
                _ = try Schema(names: .init()).prepare(try server.connect(database), upTo: 4)
                let id = try await log.statistics().logID
                for name in ["started", "passed"] {
                    try server.run(
                        """
                        INSERT INTO tidelog.events_checkpoints \
                        (log_id, exporter, next_position, incarnation, filter, exported) \
                        VALUES ('\(id)', '\(name)', 40, 0, '', 0)
                        """, in: database)
                }
                let settings = server.settings(database)
                #expect(try await PostgresImporter(from: settings).logs().count == 2)
                #expect(try await exporter(log, settings).remoteStatus().nextPosition == nil)
                let started = try exporter(log, settings) {
                    $0.name = "started"
                    $0.start = 40
                }
                #expect(await self.failure(started) == nil)
                #expect(try server.events(in: database).count == 60)
                let state = try Schema(names: .init()).state(try server.connect(database))
                #expect(state?.version == Schema.version)
                let passed = try exporter(log, settings) { $0.name = "passed" }
                #expect(await self.failure(passed)?.code == .unverifiable)
            }
        }

        @Test("a start beyond the log's end is told as that, and leaves nothing behind")
        func startBeyond() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 100)
                let late = try exporter(log, server.settings(database)) { $0.start = 500 }
                let error = await self.failure(late)
                #expect(error?.code == .invalidConfiguration, "\(error as Any)")
                #expect(error?.message.contains("begin at position 500") ?? false)
                let count = "SELECT count(*) FROM tidelog.events_checkpoints"
                #expect(try server.number(count, in: database) == 0)
                // An earlier version left a checkpoint there.
                let id = try await log.statistics().logID
                try server.run(
                    """
                    INSERT INTO tidelog.events_checkpoints \
                    (log_id, exporter, next_position, incarnation, filter, exported) \
                    VALUES ('\(id)', 'default', 500, 0, '', 0)
                    """, in: database)
                #expect(await self.failure(late)?.code == .invalidConfiguration)
                let now = try exporter(log, server.settings(database)) { $0.start = 40 }
                #expect(await self.failure(now) == nil)
                #expect(try server.events(in: database).count == 60)
                try server.run(
                    "DELETE FROM tidelog.events; DELETE FROM tidelog.events_checkpoints", in: database)
                // Once the log has come to it, it begins.
                late.start()
                #expect(try await eventually { late.status.lastError?.code == .invalidConfiguration })
                try await fill(log, 450, seed: 2)
                #expect(try await eventually { late.status.nextPosition == 550 })
                await late.stop()
                #expect(try server.events(in: database) == Array(try await events(of: log).suffix(50)))
            }
        }
    }
#endif
