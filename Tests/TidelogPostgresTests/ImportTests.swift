#if Postgres
    import SystemPackage
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("Importing")
    struct ImportTests {
        @Test("a log comes back with its positions, revisions, ids and UUID, gaps and all, and goes on")
        func roundTrip() async throws {
            let server = try PostgresServer.shared.get()
            let database = try server.makeDatabase()
            let folder = try TemporaryDirectory()
            defer { folder.remove() }
            let log = try await EventLog.open(at: folder.path.appending("log"))
            try await log.append(EncodingTests.edges.filter { $0.payload.count < 1_000_000 })
            try await fill(log, 2000)
            try await log.seal()
            try await fill(log, 1000, seed: 2)
            try await log.truncate(stream: "s-1", before: 3)
            try await log.delete(stream: "s-2", expecting: .any)
            try await log.seal()
            try await log.compact()
            try await fill(log, 10, seed: 3)
            try await exporter(log, server.settings(database)).exportOnce()

            let importer = try PostgresImporter(from: server.settings(database))
            let target = folder.path.appending("again")
            let report = try await importer.import(to: target)
            let before = try await log.statistics()
            #expect(report.logID == before.logID && report.nextPosition == before.nextPosition)
            let imported = try await EventLog.open(at: target)
            #expect(try await events(of: imported) == (try await events(of: log)))
            let after = try await imported.statistics()
            #expect(after.logID == before.logID && after.incarnation == before.incarnation + 1)
            #expect(after.nextPosition == before.nextPosition)
            for info in try await log.streams() where !info.isDeleted {
                #expect(try await imported.stream(info.name)?.lastRevision == info.lastRevision)
            }
            // It goes on where it was, here and in the database.
            let appended = try await imported.append(Event(type: "on"), to: "s-3")
            #expect(appended.positions.lowerBound == before.nextPosition)
            try await exporter(imported, server.settings(database)).exportOnce()
            #expect(try server.events(in: database) == (try await events(of: imported)))
            await imported.close()
            await log.close()
        }

        @Test("several logs are listed and one is chosen; a directory in use and a missing log are refused")
        func choosing() async throws {
            let server = try PostgresServer.shared.get()
            let database = try server.makeDatabase()
            let folder = try TemporaryDirectory()
            defer { folder.remove() }
            let importer = try PostgresImporter(from: server.settings(database))
            await #expect(throws: PostgresError.self) { try await importer.logs() }
            var ids: [String] = []
            for index in 0..<2 {
                let log = try await EventLog.open(at: folder.path.appending("\(index)"))
                try await fill(log, 20, seed: UInt64(index))
                try await exporter(log, server.settings(database)).exportOnce()
                ids.append(try await log.statistics().logID)
                await log.close()
            }
            #expect(Set(try await importer.logs().map(\.logID)) == Set(ids))
            let target = folder.path.appending("new")
            await #expect(throws: PostgresError.self) { try await importer.import(to: target) }
            await #expect(throws: PostgresError.self) {
                try await importer.import(logID: ids[0], to: folder.path.appending("0"))
            }
            #expect(try await importer.import(logID: ids[1], to: target).events == 20)
        }

        /// A thousand events, of which the orders were exported, and a place for what is imported.
        private func withOrders(
            _ body: (EventLog, PostgresServer, _ database: String, TemporaryDirectory) async throws -> Void
        ) async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 1000)
                try await exporter(log, server.settings(database)) { $0.filter = .types("order.*") }
                    .exportOnce()
                let folder = try TemporaryDirectory()
                defer { folder.remove() }
                try await body(log, server, database, folder)
            }
        }

        @Test("an export that left events out is imported only where that is wanted, positions kept")
        func partial() async throws {
            try await self.withOrders { log, server, database, folder in
                let target = folder.path.appending("log")
                let importer = try PostgresImporter(from: server.settings(database))
                await #expect(throws: PostgresError.self) { try await importer.import(to: target) }
                _ = try await importer.import(acceptsPartial: true, to: target)
                let imported = try await EventLog.open(at: target)
                #expect(try await events(of: imported) == (try await events(of: log, .types("order.*"))))
                #expect(try await imported.statistics().nextPosition == 1000)
                await imported.close()
            }
        }

        @Test("a log is compared with the database in parts that leave nothing out, whatever their size")
        func parts() async throws {
            try await self.withOrders { log, server, database, folder in
                let wanted = try await events(of: log, .types("order.*"))
                for size in [1, 7, wanted.count, 1_000_000] {
                    var importer = try PostgresImporter(from: server.settings(database))
                    importer.digestEvents = size
                    let report = try await importer.import(
                        acceptsPartial: true, to: folder.path.appending("\(size)"))
                    #expect(report.events == wanted.count)
                }
                var parts = ImportedParts(size: 300)
                for try await stored in log.read() { parts.add(stored) }
                let found = parts.finish(at: 1000)
                #expect(found.map(\.count) == [300, 300, 300, 100])
                #expect(found.map(\.positions) == [0..<300, 300..<600, 600..<900, 900..<1000])
                // JSON that does not have the value of the bytes beside it, in a part in the middle.
                try server.run(
                    "UPDATE tidelog.events SET payload = '{}', payload_raw = '1' WHERE position = "
                        + "(SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY position) FROM tidelog.events)",
                    in: database)
                var importer = try PostgresImporter(from: server.settings(database))
                importer.digestEvents = 7
                do {
                    _ = try await importer.import(
                        acceptsPartial: true, to: folder.path.appending("changed"))
                    Issue.record("rows that were changed were imported")
                } catch let error as PostgresError {
                    #expect(error.code == .diverged)
                }
            }
        }

        @Test("a failed import leaves nothing behind")
        func failing() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 100)
                try await exporter(log, server.settings(database)).exportOnce()
                try server.run(
                    "UPDATE tidelog.events SET nanoseconds = 5000 WHERE position = 50", in: database)
                let folder = try TemporaryDirectory()
                defer { folder.remove() }
                let target = folder.path.appending("log")
                let importer = try PostgresImporter(from: server.settings(database))
                await #expect(throws: PostgresError.self) { try await importer.import(to: target) }
                try server.run("UPDATE tidelog.events SET nanoseconds = 0 WHERE position = 50", in: database)
                #expect(try await importer.import(to: target).events == 100)
            }
        }
    }
#endif
