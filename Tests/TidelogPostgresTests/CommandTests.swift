#if Postgres
    import Foundation
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("The tool's commands for PostgreSQL")
    struct CommandTests {
        /// Runs `body` with the path of a log of 500 events, and a database.
        private func withFiles(
            _ body: (_ log: String, _ server: PostgresServer, _ database: String, _ dsn: String) async throws
                -> Void
        ) async throws {
            let server = try PostgresServer.shared.get()
            let database = try server.makeDatabase()
            let folder = try TemporaryDirectory()
            defer { folder.remove() }
            let log = try await EventLog.open(at: folder.path.appending("log"))
            try await fill(log, 500)
            await log.close()
            let dsn = "host=\(server.directory) user=tidelog dbname=\(database)"
            try await body(folder.path.string + "/log", server, database, dsn)
        }

        @Test(
            "it exports, tells how it stands, verifies with status 1 where rows differ, and sends them again")
        func export() async throws {
            try await self.withFiles { log, server, database, dsn in
                #expect(try Tool.run("seal", log).status == 0)
                let none = try Tool.run("export", "postgres", log, "--dsn", dsn, "--status")
                #expect(none.status == 0 && none.output.contains("yet"), "\(none)")
                let done = try Tool.run("export", "postgres", log, "--dsn", dsn, "--json")
                #expect(done.status == 0 && done.output.contains(#""next_position":500"#), "\(done)")
                let status = try Tool.run("export", "postgres", log, "--dsn", dsn, "--status", "--json")
                #expect(
                    status.output.contains(#""lag_events":0"#) && status.output.contains(#""events":500"#))
                #expect(try Tool.run("export", "postgres", log, "--dsn", dsn, "--verify").status == 0)
                try server.run("DELETE FROM tidelog.events WHERE position = 7", in: database)
                let differs = try Tool.run("export", "postgres", log, "--dsn", dsn, "--verify")
                #expect(differs.status == 1 && differs.output.contains("different"), "\(differs)")
                #expect(differs.error.hasPrefix("tidelog: 1 of 1 ranges differ"))
                let sent = try Tool.run("export", "postgres", log, "--dsn", dsn, "--segments", "0")
                #expect(sent.status == 0 && sent.output.contains("500 events sent, 1 of them"), "\(sent)")
                #expect(try Tool.run("export", "postgres", log, "--dsn", dsn, "--verify").status == 0)
                #expect(try Tool.run("export", "postgres", log, "--dsn", dsn, "--segments", "1").status == 2)
            }
        }

        @Test(
            "a password on the command line is refused, a server that is away is status 3, each in one line")
        func refusals() async throws {
            try await self.withFiles { log, _, _, dsn in
                let password = try Tool.run("export", "postgres", log, "--dsn", dsn + " password=sesame")
                #expect(password.status == 2 && !password.error.contains("sesame"), "\(password)")
                let key = try Tool.run("export", "postgres", log, "--dsn", dsn + " sslpassword=sesame")
                #expect(key.status == 2 && !key.error.contains("sesame"), "\(key)")
                let malformed = try Tool.run("export", "postgres", log, "--dsn", "host='sesame")
                #expect(malformed.status == 2 && !malformed.error.contains("sesame"), "\(malformed)")
                let away = try Tool.run(
                    "export", "postgres", log, "--dsn", "host=/nonexistent dbname=x", "--status")
                #expect(away.status == 3 && away.error.split(separator: "\n").count == 1, "\(away)")
                #expect(away.error.hasPrefix("tidelog: "))
                #expect(
                    try Tool.run("export", "postgres", log, "--dsn", dsn, "--follow", "--verify").status == 2)
            }
        }

        @Test(
            "following, killed at any moment, it goes on with the next start; SIGTERM drains it and ends it with 0"
        )
        func following() async throws {
            try await self.withFiles { log, server, database, dsn in
                let folder = try TemporaryDirectory()
                defer { folder.remove() }
                let arguments = ["export", "postgres", log, "--dsn", dsn, "--follow"]
                let opened = try await EventLog.open(at: .init(log))
                for round in 0..<8 {
                    let process = try Tool.start(arguments, folder.path.string)
                    try await fill(opened, 400, seed: UInt64(round + 10))
                    try await Task.sleep(for: .milliseconds(Int.random(in: 0...300)))
                    kill(process.processIdentifier, SIGKILL)
                    process.waitUntilExit()
                }
                let process = try Tool.start(arguments, folder.path.string)
                // Events that only this process can bring: when they are there, it runs.
                try await fill(opened, 50, seed: 98)
                let count = "SELECT count(*) FROM tidelog.events"
                let total = 500 + 8 * 400 + 50
                #expect(try await eventually { (try? server.number(count, in: database)) == Int64(total) })
                try await fill(opened, 300, seed: 99)
                process.terminate()
                process.waitUntilExit()
                let error = try String(contentsOfFile: folder.path.string + "/err", encoding: .utf8)
                #expect(process.terminationReason == .exit && process.terminationStatus == 0, "\(error)")
                #expect(try server.events(in: database) == (try await events(of: opened)))
                await opened.close()
            }
        }

        @Test("it brings a log back, and imports from files as before")
        func imports() async throws {
            try await self.withFiles { log, _, _, dsn in
                #expect(try Tool.run("export", "postgres", log, "--dsn", dsn).status == 0)
                let again = log + "-again"
                let done = try Tool.run("import", "postgres", again, "--dsn", dsn)
                #expect(done.status == 0 && done.output.contains("500 events imported"), "\(done)")
                let read = try Tool.run("read", log)
                #expect(try Tool.run("read", again).output == read.output && !read.output.isEmpty)
                #expect(try Tool.run("verify", again).status == 0)
                #expect(try Tool.run("import", "postgres", again, "--dsn", dsn).status == 3)
                let list = try Tool.run("import", "postgres", again, "--dsn", dsn, "--list")
                #expect(list.status == 0 && list.output.contains("default"), "\(list)")

                let file = log + ".ndjson"
                try read.output.write(toFile: file, atomically: true, encoding: .utf8)
                let other = log + "-other"
                #expect(try Tool.run("init", other).status == 0)
                let imported = try Tool.run("import", other, file)
                #expect(imported.status == 0 && imported.output.contains("500 events added"), "\(imported)")
            }
        }
    }
#endif
