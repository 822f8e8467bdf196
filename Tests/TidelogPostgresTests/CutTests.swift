#if Postgres
    import Foundation
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    /// How many rounds of each kind of cut; `TIDELOG_CUTS=200` for the long run.
    private let rounds = ProcessInfo.processInfo.environment["TIDELOG_CUTS"].flatMap { Int($0) } ?? 40

    @Suite("Exporting while connections are cut")
    struct CutTests {
        /// Rows equal events, each once, in order, with equal contents; and both sides have one checkpoint.
        private func compare(
            _ log: EventLog, _ server: PostgresServer, _ database: String, _ exporter: PostgresExporter
        ) async throws {
            let end = try await log.statistics().nextPosition
            #expect(try server.events(in: database) == (try await events(of: log)))
            let remote = try server.number(
                "SELECT next_position FROM tidelog.events_checkpoints", in: database)
            #expect(remote == Int64(end.rawValue) && exporter.status.nextPosition == end)
        }

        @Test(
            "a connection cut after any number of bytes loses nothing and brings nothing twice",
            .timeLimit(.minutes(30)))
        func proxy() async throws {
            try await withLogAndDatabase { log, server, database in
                let seed = TestSeed.draw(for: "cuts")
                let random = LockedGenerator(seed)
                let proxy = try CuttingProxy(before: server)
                defer { proxy.end() }
                proxy.cut { random.next(300_000) }
                let exporter = try exporter(log, proxy.settings(database)) {
                    $0.batchEvents = 200
                    $0.pace = .full
                }
                exporter.start()
                var count: UInt64 = 0
                while proxy.cuts < rounds {
                    if count - min(count, exporter.status.nextPosition?.rawValue ?? 0) < 20_000 {
                        try await fill(log, 300, seed: seed &+ count)
                        count += 300
                    }
                    try await Task.sleep(for: .milliseconds(10))
                }
                proxy.cut { nil }
                exporter.resume()
                await exporter.stop(drainingFor: .seconds(1200))
                try await self.compare(log, server, database, exporter)
            }
        }

        @Test("a backend ended by an administrator is followed by another")
        func terminated() async throws {
            try await withLogAndDatabase { log, server, database in
                let exporter = try exporter(log, server.settings(database)) { $0.batchEvents = 500 }
                exporter.start()
                let administrator = try server.connect()
                for round in 0..<rounds {
                    try await fill(log, 700, seed: UInt64(round))
                    try administrator.query(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1",
                        [.text(database)])
                }
                await exporter.stop(drainingFor: .seconds(1200))
                try await self.compare(log, server, database, exporter)
            }
        }

        @Test("a server killed and started again finds every event once", .timeLimit(.minutes(10)))
        func killed() async throws {
            let server = try PostgresServer([])  // its own, and with fsync
            defer { server.end() }
            let database = try server.makeDatabase()
            try await withTemporaryLog { _, open in
                let log = try await open(.init())
                let exporter = try exporter(log, server.settings(database)) { $0.batchEvents = 300 }
                exporter.start()
                for round in 0..<max(3, rounds / 10) {
                    try await fill(log, 3000, seed: UInt64(round))
                    try await Task.sleep(for: .milliseconds(Int.random(in: 0...150)))
                    try server.kill()
                    try await fill(log, 100, seed: UInt64(1000 + round))
                    #expect(try await eventually { exporter.status.state == .offline })
                    #expect(exporter.status.lastError?.code == .unreachable)
                    try server.start()
                }
                await exporter.stop(drainingFor: .seconds(1200))
                try await self.compare(log, server, database, exporter)
                await log.close()
            }
        }

        @Test("exporters stopped without draining go on where the database stands")
        func stopped() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 20_000)
                var last: PostgresExporter?
                for round in 0..<rounds {
                    let exporter = try exporter(log, server.settings(database)) {
                        $0.batchEvents = 50 + round
                    }
                    exporter.start()
                    try await Task.sleep(for: .milliseconds(Int.random(in: 0...30)))
                    await exporter.stop()
                    #expect(exporter.status.state == .stopped)
                    last = exporter
                }
                try await last?.exportOnce()
                try await self.compare(log, server, database, try #require(last))
            }
        }
    }
#endif
