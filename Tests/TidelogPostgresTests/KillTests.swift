#if Postgres
    import Foundation
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    /// How many rounds; `TIDELOG_CUTS=200` for the long run.
    private let rounds = ProcessInfo.processInfo.environment["TIDELOG_CUTS"].flatMap { Int($0) } ?? 12

    @Suite("Exporting while processes are killed")
    struct KillTests {
        @Test(
            "the exporter's process, the server, or both are killed at random: every event is there once, in order",
            .timeLimit(.minutes(30)))
        func kills() async throws {
            let environment = ProcessInfo.processInfo.environment["TIDELOG_SEED"].flatMap { UInt64($0) }
            let seed = environment ?? UInt64.random(in: 0...UInt64.max)
            print("seed of the kills: \(seed), rounds: \(rounds)")
            let random = LockedGenerator(seed)
            let server = try PostgresServer([])  // its own, and with fsync
            defer { server.end() }
            let database = try server.makeDatabase()
            let folder = try TemporaryDirectory()
            defer { folder.remove() }
            let log = try await EventLog.open(at: folder.path.appending("log"))
            let dsn = "host=\(server.directory) user=tidelog dbname=\(database)"
            var exporter: Process?
            var kills = (exporter: 0, server: 0, both: 0)
            for round in 0..<rounds {
                if exporter == nil {
                    exporter = try Tool.start(
                        ["export", "postgres", folder.path.string + "/log", "--dsn", dsn, "--follow"],
                        folder.path.string)
                }
                try await fill(log, 400 + random.next(800), seed: seed &+ UInt64(round), batch: 100)
                try await Task.sleep(for: .milliseconds(random.next(400)))
                let choice = random.next(3)
                if choice != 2, let process = exporter {
                    kill(process.processIdentifier, SIGKILL)
                    process.waitUntilExit()
                    exporter = nil
                }
                if choice != 1 {
                    try server.kill()
                    try server.start()
                }
                switch choice {
                case 1: kills.exporter += 1
                case 2: kills.server += 1
                default: kills.both += 1
                }
            }
            print("killed: exporter \(kills.exporter), server \(kills.server), both \(kills.both)")
            if let exporter {
                kill(exporter.processIdentifier, SIGKILL)
                exporter.waitUntilExit()
            }
            let last = try TidelogPostgresTests.exporter(log, server.settings(database))
            let status = try await last.exportOnce()
            let end = try await log.statistics().nextPosition
            #expect(status.nextPosition == end)
            #expect(
                try server.number("SELECT next_position FROM tidelog.events_checkpoints", in: database)
                    == Int64(end.rawValue))
            #expect(try server.events(in: database) == (try await events(of: log)))
            #expect(try await last.check(0..<end).isEqual)
            await log.close()
        }
    }
#endif
