#if Postgres
    import Foundation
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("Importing an export that began after the log's first events")
    struct LateStartTests {
        /// What an import throws, or nil.
        private func failure(
            _ importer: PostgresImporter, exporter: String = "default", accepting: Bool = true
        ) async throws -> PostgresError? {
            let folder = try TemporaryDirectory()
            defer { folder.remove() }
            let target = folder.path.appending("log")
            do throws(PostgresError) {
                _ = try await importer.import(exporter: exporter, acceptsPartial: accepting, to: target)
                return nil
            } catch {
                #expect(!FileManager.default.fileExists(atPath: target.string))
                return error
            }
        }

        @Test(
            "says that events are left out, and brings back the others at their positions, to go on from there"
        )
        func positions() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 100)
                let settings = server.settings(database)
                try await exporter(log, settings) { $0.start = 40 }.exportOnce()
                let importer = try PostgresImporter(from: settings)
                #expect(try await importer.logs().map(\.startPosition) == [40])
                let refused = try await self.failure(importer, accepting: false)
                #expect(refused?.code == .invalidConfiguration && refused?.positions == 0..<40)
                let folder = try TemporaryDirectory()
                defer { folder.remove() }
                let target = folder.path.appending("log")
                let report = try await importer.import(acceptsPartial: true, to: target)
                #expect(report.events == 60 && report.missingRows == 0 && report.startPosition == 40)
                let imported = try await EventLog.open(at: target)
                #expect(try await events(of: imported) == Array(try await events(of: log).suffix(60)))
                let statistics = try await imported.statistics()
                #expect(statistics.firstPosition == 40 && statistics.nextPosition == 100)
                #expect(try await imported.append(Event(type: "t")).positions == 100..<101)
                try await exporter(imported, settings) { $0.start = 40 }.exportOnce()
                #expect(try server.events(in: database) == (try await events(of: imported)))
                await imported.close()

                let dsn = "host=\(server.directory) user=tidelog dbname=\(database)"
                let list = try Tool.run("import", "postgres", "none", "--dsn", dsn, "--list", "--json")
                #expect(list.output.contains("\"start_position\":40"), "\(list)")
                let path = folder.path.string + "/tool"
                let plain = try Tool.run("import", "postgres", path, "--dsn", dsn)
                #expect(plain.status == 2 && plain.error.contains("began at position 40"), "\(plain)")
                let tool = try Tool.run("import", "postgres", path, "--dsn", dsn, "--partial")
                #expect(tool.status == 0 && tool.output.contains("began at position 40"), "\(tool)")
            }
        }

        @Test("misses rows from where it began, and none from before it")
        func missing() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 30)
                let settings = server.settings(database)
                try await exporter(log, settings) { $0.name = "early" }.exportOnce()
                try await fill(log, 70, seed: 2)
                try await exporter(log, settings) { $0.start = 40 }.exportOnce()
                let importer = try PostgresImporter(from: settings)
                #expect(try await self.failure(importer) == nil)
                // The rows that another export brought before it are no substitute.
                for (position, at) in [(50, 50), (40, 40), (10, 10)] {
                    try server.run(
                        "CREATE TABLE public.kept AS SELECT * FROM tidelog.events WHERE position = \(position); "
                            + "DELETE FROM tidelog.events WHERE position = \(position)", in: database)
                    let error = try await self.failure(importer)
                    #expect(error?.code == .rowsMissing, "\(position): \(error as Any)")
                    #expect(error?.positions?.lowerBound == Position(UInt64(at)), "\(error as Any)")
                    #expect(error?.message.contains("at least 1 of") ?? false)
                    try server.run(
                        "INSERT INTO tidelog.events SELECT * FROM public.kept; DROP TABLE public.kept",
                        in: database)
                }
                try server.run("DELETE FROM tidelog.events WHERE position < 42", in: database)
                try server.run(
                    "DELETE FROM tidelog.events_checkpoints WHERE exporter = 'early'", in: database)
                let error = try await self.failure(importer)
                #expect(error?.code == .rowsMissing && error?.positions?.lowerBound == 40, "\(error as Any)")
                #expect(error?.message.contains("at least 2 of") ?? false, "\(error as Any)")
            }
        }

        @Test("of an earlier version, which did not note where it began, is what it was")
        func unknown() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 100)
                let settings = server.settings(database)
                try await exporter(log, settings) { $0.start = 40 }.exportOnce()
                try server.run(
                    """
                    ALTER TABLE tidelog.events_checkpoints DROP COLUMN start_position, \
                    DROP COLUMN IF EXISTS position_fingerprint; \
                    ALTER TABLE tidelog.events_logs DROP COLUMN changes; \
                    DROP FUNCTION tidelog.events_hidden CASCADE;
                    UPDATE tidelog.events_meta SET version = 4
                    """, in: database)
                let importer = try PostgresImporter(from: settings)
                #expect(try await importer.logs().map(\.startPosition) == [nil])
                #expect(try await self.failure(importer, accepting: false) == nil)
                // Brought up to date, it goes on.
                try await fill(log, 10, seed: 2)
                try await exporter(log, settings) { $0.start = 40 }.exportOnce()
                #expect(try await importer.logs().map(\.startPosition) == [nil])
                #expect(try server.events(in: database).count == 70)
            }
        }
    }
#endif
