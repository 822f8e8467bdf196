#if Postgres
    import Foundation
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("Importing where several exports share a table")
    struct MaskedRowsTests {
        private func positions(_ log: EventLog, _ query: EventQuery) async throws -> [Position] {
            var positions: [Position] = []
            for try await stored in log.read(query) { positions.append(stored.position) }
            return positions
        }

        @Test("rows that one of them brought are missed, however many the others brought")
        func filters() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 1000)
                let settings = server.settings(database)
                for name in ["order", "cart"] {
                    let pattern = try TypePattern("\(name).*")
                    try await exporter(log, settings) {
                        $0.name = name
                        $0.filter = .types(pattern)
                    }.exportOnce()
                }
                let orders = try await self.positions(log, .types("order.*"))
                let carts = try await self.positions(log, .types("cart.*"))
                try #require(orders.count > 10 && carts.count > 10)
                let importer = try PostgresImporter(from: settings)
                for exporter in ["order", "cart"] {
                    let report = try await importer.outcome(partial: true, exporter: exporter).get()
                    #expect(report.missingRows == 0 && report.uncertainExports == [])
                    #expect(report.events == orders.count + carts.count)
                }
                let lost = [orders[3], orders[7], orders[8]]
                let list = lost.map { "\($0)" }.joined(separator: ", ")
                try server.run("DELETE FROM tidelog.events WHERE position IN (\(list))", in: database)
                for exporter in ["order", "cart"] {
                    guard
                        case .failure(let error) = try await importer.outcome(
                            partial: true, exporter: exporter)
                    else {
                        Issue.record("rows are missing and were not missed")
                        return
                    }
                    #expect(error.code == .rowsMissing && error.message.contains("at least 3 of"), "\(error)")
                    #expect(error.positions?.lowerBound ?? lost[2] <= lost[0], "\(error)")
                    let report = try await importer.outcome(
                        accepting: true, partial: true, exporter: exporter
                    ).get()
                    #expect(report.missingRows == 3 && report.events == orders.count + carts.count - 3)
                }
            }
        }

        @Test("where the table has rows that an export may not have brought, it is said that nobody knows")
        func uncertain() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 300)
                for _ in 0..<5 { try await log.append(Event(type: "order.gone"), to: "gone") }
                try await fill(log, 100, seed: 2)
                let settings = server.settings(database)
                try await exporter(log, settings).exportOnce()
                try await log.delete(stream: "gone", expecting: .any)
                try await exporter(log, settings) {
                    $0.name = "orders"
                    $0.filter = .types("order.*")
                }.exportOnce()
                let orders = try await self.positions(log, .types("order.*"))
                let importer = try PostgresImporter(from: settings)
                let both = try await importer.outcome(partial: true, exporter: "default").get()
                #expect(both.missingRows == 0 && both.uncertainExports == ["orders"])
                let dsn = "host=\(server.directory) user=tidelog dbname=\(database)"
                let folder = try TemporaryDirectory()
                defer { folder.remove() }
                let tool = try Tool.run(
                    "import", "postgres", folder.path.string + "/a", "--dsn", dsn, "--name", "default")
                #expect(
                    tool.status == 0
                        && tool.output.contains("whether rows of the export \"orders\" are missing"),
                    "\(tool)")
                let json = try Tool.run(
                    "import", "postgres", folder.path.string + "/b", "--dsn", dsn, "--json")
                #expect(json.output.contains(#""uncertain_exports":["orders"]"#), "\(json)")

                try server.run(
                    "DELETE FROM tidelog.events_checkpoints WHERE exporter = 'default'", in: database)
                // Fewer are lost than there are more: that nobody can tell.
                try await self.losing([orders[2]], server, database) {
                    let report = try await importer.outcome(partial: true, exporter: "orders").get()
                    #expect(report.missingRows == 0 && report.uncertainExports == ["orders"])
                }
                // As many: these are other rows. The last one: others may be lost as well, from further back.
                let last = orders[orders.count - 1]
                for lost in [Array(orders[2..<7]), [orders[2], last]] {
                    try await self.losing(lost, server, database) {
                        guard
                            case .failure(let error) = try await importer.outcome(
                                partial: true, exporter: "orders")
                        else {
                            Issue.record("other rows were taken for those that are missing")
                            return
                        }
                        #expect(error.code == .rowsMissing, "\(error)")
                        #expect(error.message.contains("at least 1 of"), "\(error)")
                        #expect(error.positions?.lowerBound ?? last <= lost[0], "\(error)")
                    }
                }
            }
        }

        /// Runs `body` while these rows are gone.
        private func losing(
            _ positions: [Position], _ server: PostgresServer, _ database: String,
            _ body: () async throws -> Void
        ) async throws {
            let list = positions.map { "\($0)" }.joined(separator: ", ")
            try server.run(
                "CREATE TABLE public.kept AS SELECT * FROM tidelog.events WHERE position IN (\(list)); "
                    + "DELETE FROM tidelog.events WHERE position IN (\(list))", in: database)
            try await body()
            try server.run(
                "INSERT INTO tidelog.events SELECT * FROM public.kept; DROP TABLE public.kept", in: database)
        }

        @Test(
            "counts of an earlier version, which noted no positions, are certain for an export that is alone")
        func earlierVersion() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 200)
                let settings = server.settings(database)
                try await exporter(log, settings).exportOnce()
                try server.run(
                    """
                    ALTER TABLE tidelog.events_checkpoints DROP COLUMN position_fingerprint; \
                    ALTER TABLE tidelog.events_logs DROP COLUMN changes; \
                    DROP FUNCTION tidelog.events_hidden CASCADE;
                    UPDATE tidelog.events_meta SET version = 5
                    """, in: database)
                let importer = try PostgresImporter(from: settings)
                let old = try await importer.outcome(partial: true, exporter: "default").get()
                #expect(old.missingRows == 0 && old.uncertainExports == [])
                try await fill(log, 100, seed: 2)
                for name in ["default", "new"] {
                    try await exporter(log, settings) { $0.name = name }.exportOnce()
                }
                let report = try await importer.outcome(partial: true, exporter: "default").get()
                #expect(report.events == 300 && report.missingRows == 0)
                #expect(report.uncertainExports == ["default"])
                // Those that have noted nothing but their number are missed by that.
                try server.run("DELETE FROM tidelog.events WHERE position = 7", in: database)
                try server.run("DELETE FROM tidelog.events_checkpoints WHERE exporter = 'new'", in: database)
                guard
                    case .failure(let error) = try await importer.outcome(partial: true, exporter: "default")
                else {
                    Issue.record("a row is missing and was not missed")
                    return
                }
                #expect(error.code == .rowsMissing && error.positions?.lowerBound == 7, "\(error)")
            }
        }
    }
#endif
