#if Postgres
    import Foundation
    import SystemPackage
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("Importing where rows are gone")
    struct MissingRowsTests {
        /// Sees that an import finds at least `count` rows missing, the first at `first`, and takes what is left if
        /// told to.
        private func expectMissing(
            _ importer: PostgresImporter, _ count: Int, first: Position, left: Int, partial: Bool = false,
            exporter: String = "default", sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            let refused = try await importer.outcome(partial: partial, exporter: exporter)
            guard case .failure(let error) = refused else {
                Issue.record("rows are missing and were not missed", sourceLocation: sourceLocation)
                return
            }
            #expect(error.code == .rowsMissing, "\(error)", sourceLocation: sourceLocation)
            #expect(error.positions?.lowerBound == first, "\(error)", sourceLocation: sourceLocation)
            #expect(
                error.message.contains("at least \(count) of"), "\(error)", sourceLocation: sourceLocation)
            let report = try await importer.outcome(
                accepting: true, partial: partial, exporter: exporter
            )
            .get()
            #expect(report.events == left && report.missingRows == count, sourceLocation: sourceLocation)
        }

        @Test(
            "rows that were lost at the end, at the beginning, in the middle, or all, are missed, and where is told",
            arguments: [
                ("position >= 90", 10, 90), ("position = 99", 1, 99), ("position < 5", 5, 0),
                ("position = 50", 1, 50), ("position IN (20, 70, 99)", 3, 20), ("true", 100, 0),
            ])
        func lost(_ condition: String, _ count: Int, _ first: Int) async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 100)
                try await exporter(log, server.settings(database)) { $0.batchEvents = 30 }.exportOnce()
                let importer = try PostgresImporter(from: server.settings(database))
                #expect(try await importer.outcome().get().missingRows == 0)
                try server.run("DELETE FROM tidelog.events WHERE \(condition)", in: database)
                try await self.expectMissing(
                    importer, count, first: Position(UInt64(first)), left: 100 - count)
            }
        }

        @Test("gaps that the log itself had are no missing rows, at its end neither")
        func ownGaps() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 300)
                let last = try await log.append(Event(type: "t"), to: "gone").positions.lowerBound
                try await log.delete(stream: "gone", expecting: .any)
                let other = try #require(try await log.streams().first { $0.name != "gone" })
                try await log.delete(stream: other.name, expecting: .any)
                try await log.seal()
                try await log.compact()
                try await exporter(log, server.settings(database)).exportOnce()
                #expect(try server.events(in: database).count < 301)
                let importer = try PostgresImporter(from: server.settings(database))
                let report = try await importer.outcome().get()
                #expect(report.missingRows == 0 && report.nextPosition > last)
            }
        }

        @Test(
            "an export with a filter misses its own rows, and none that it left out or that another brought")
        func filtered() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 1000)
                let orders = try exporter(log, server.settings(database)) {
                    $0.filter = .types("order.*")
                    $0.name = "orders"
                }
                try await orders.exportOnce()
                let importer = try PostgresImporter(from: server.settings(database))
                let whole = try await importer.outcome(partial: true, exporter: "orders").get()
                #expect(whole.missingRows == 0 && whole.nextPosition == 1000)
                let positions = try await self.positions(log, .types("order.*"))
                let last = try #require(positions.last)
                try server.run("DELETE FROM tidelog.events WHERE position = \(last)", in: database)
                try await self.expectMissing(
                    importer, 1, first: last, left: whole.events - 1, partial: true, exporter: "orders")
                // Beside the rows of an export of everything, the same row is missed by the one that lies before it.
                _ = try await orders.export(Position.zero..<1000)
                try await exporter(log, server.settings(database)).exportOnce()
                #expect(try await importer.outcome().get().events == 1000)
                let both = try await importer.outcome(partial: true, exporter: "orders").get()
                #expect(both.missingRows == 0 && both.events == 1000)
                try server.run("DELETE FROM tidelog.events WHERE position = \(positions[3])", in: database)
                try await self.expectMissing(
                    importer, 1, first: positions[3], left: 999, partial: true, exporter: "orders")
                // A row that is missing in the middle of a filtered export alone is counted.
                try server.run(
                    "DELETE FROM tidelog.events WHERE type NOT LIKE 'order.%'; "
                        + "DELETE FROM tidelog.events_checkpoints WHERE exporter = 'default'", in: database)
                guard
                    case .failure(let error) = try await importer.outcome(partial: true, exporter: "orders")
                else {
                    Issue.record("a row in the middle was not missed")
                    return
                }
                #expect(error.code == .rowsMissing, "\(error)")
            }
        }

        private func positions(_ log: EventLog, _ query: EventQuery) async throws -> [Position] {
            var positions: [Position] = []
            for try await stored in log.read(query) { positions.append(stored.position) }
            return positions
        }

        @Test("a last row that was changed is another event, whatever is accepted")
        func changed() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 100)
                try await exporter(log, server.settings(database)).exportOnce()
                try server.run("UPDATE tidelog.events SET type = 'x' WHERE position = 99", in: database)
                let importer = try PostgresImporter(from: server.settings(database))
                for accepting in [false, true] {
                    guard case .failure(let error) = try await importer.outcome(accepting: accepting)
                    else {
                        Issue.record("a changed row was imported")
                        return
                    }
                    #expect(error.code == .diverged && error.positions == 99..<100, "\(error)")
                }
            }
        }

        @Test("what goes on being exported during an import is not missed")
        func meanwhile() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 500)
                let exporter = try exporter(log, server.settings(database)) {
                    $0.batchEvents = 20
                    $0.pace = .full
                }
                try await exporter.exportOnce()
                exporter.start()
                let importer = try PostgresImporter(from: server.settings(database))
                let filling = Task {
                    for round in 0..<60 { try await fill(log, 50, seed: UInt64(round + 2)) }
                }
                for _ in 0..<5 {
                    let report = try await importer.outcome().get()
                    #expect(report.missingRows == 0 && report.events == Int(report.nextPosition.rawValue))
                }
                try await filling.value
                await exporter.stop(drainingFor: .seconds(60))
            }
        }

        @Test("an event that is larger than a log takes by default comes back")
        func large() async throws {
            var configuration = EventLogConfiguration()
            configuration.limits.maximumEventBytes = 40 << 20
            try await withLogAndDatabase(configuration) { log, server, database in
                let bytes = [UInt8](repeating: 7, count: 17 << 20)
                let payload = EventPayload(bytes: bytes, contentType: "application/octet-stream")
                try await log.append([Event(type: "small"), Event(type: "large", payload: payload)])
                try await exporter(log, server.settings(database)).exportOnce()
                let folder = try TemporaryDirectory()
                defer { folder.remove() }
                let target = folder.path.appending("log")
                let importer = try PostgresImporter(from: server.settings(database))
                #expect(try await importer.import(to: target).events == 2)
                let imported = try await EventLog.open(at: target)
                let stored = try await imported.event(at: 1)
                #expect(stored.map { Array($0.payload.bytes) } == bytes)
                await imported.close()
            }
        }

        @Test("the command refuses to import where rows are missing, with status 1, unless told to")
        func command() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 100)
                try await exporter(log, server.settings(database)).exportOnce()
                try server.run("DELETE FROM tidelog.events WHERE position >= 60", in: database)
                let folder = try TemporaryDirectory()
                defer { folder.remove() }
                let dsn = "host=\(server.directory) user=tidelog dbname=\(database)"
                let target = folder.path.string + "/log"
                let refused = try Tool.run("import", "postgres", target, "--dsn", dsn)
                #expect(
                    refused.status == 1 && refused.error.contains("at position 60 or after"), "\(refused)")
                let taken = try Tool.run(
                    "import", "postgres", target, "--dsn", dsn, "--accept-missing-rows", "--json")
                #expect(taken.status == 0 && taken.output.contains("\"missing_rows\":40"), "\(taken)")
            }
        }
    }
#endif
