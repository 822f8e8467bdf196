#if Postgres
    import Foundation
    import Synchronization
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("Imports that end early, or late")
    struct ImportStopTests {
        /// A task that can be cancelled by what it calls.
        private final class Handle: Sendable {
            private let task = Mutex<Task<PostgresImportReport, any Error>?>(nil)

            func set(_ task: Task<PostgresImportReport, any Error>) { self.task.withLock { $0 = task } }
            func cancel() { self.task.withLock { $0 }?.cancel() }
        }

        @Test("one whose task is cancelled stops, leaves nothing behind, and can be made again")
        func cancelled() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 30_000)
                try await exporter(log, server.settings(database)).exportOnce()
                let folder = try TemporaryDirectory()
                defer { folder.remove() }
                let target = folder.path.appending("log")
                let importer = try PostgresImporter(from: server.settings(database))
                for stop in [0, 1000, 15_000] {
                    let seen = Mutex(0)
                    let handle = Handle()
                    let task = Task {
                        while stop == 0, !Task.isCancelled { await Task.yield() }
                        return try await importer.import(to: target) { count in
                            seen.withLock { $0 = count }
                            if count >= stop { handle.cancel() }
                        }
                    }
                    handle.set(task)
                    if stop == 0 { task.cancel() }
                    let error = await #expect(throws: PostgresError.self) { try await task.value }
                    #expect(error?.code == .cancelled)
                    #expect(seen.withLock { $0 } < 30_000)
                    #expect(!FileManager.default.fileExists(atPath: target.string))
                }
                #expect(try await importer.import(to: target).events == 30_000)
                let imported = try await EventLog.open(at: target)
                #expect(try await events(of: imported) == (try await events(of: log)))
                await imported.close()
            }
        }

        @Test("one whose server hangs is stopped, too")
        func hanging() async throws {
            let server = try PostgresServer(["fsync=off"])
            defer { server.end() }
            let database = try server.makeDatabase()
            let folder = try TemporaryDirectory()
            defer { folder.remove() }
            let log = try await EventLog.open(at: folder.path.appending("log"))
            try await fill(log, 30_000)
            try await exporter(log, server.settings(database)).exportOnce()
            let target = folder.path.appending("again")
            let importer = try PostgresImporter(from: server.settings(database))
            let isFrozen = Mutex(false)
            let task = Task {
                try await importer.import(to: target) { _ in
                    isFrozen.withLock { isFrozen in
                        if isFrozen { return }
                        try? server.freeze()
                        isFrozen = true
                    }
                }
            }
            #expect(try await eventually { isFrozen.withLock { $0 } })
            task.cancel()
            let error = await #expect(throws: PostgresError.self) { try await task.value }
            #expect(error?.code == .cancelled)
            #expect(!FileManager.default.fileExists(atPath: target.string))
            try server.thaw()
            #expect(try await importer.import(to: target).events == 30_000)
            await log.close()
        }

        @Test("SIGINT has the command stop and leave nothing behind")
        func command() async throws {
            let server = try PostgresServer(["fsync=off"])
            defer { server.end() }
            let database = try server.makeDatabase()
            let folder = try TemporaryDirectory()
            defer { folder.remove() }
            let log = try await EventLog.open(at: folder.path.appending("log"))
            try await fill(log, 100)
            try await exporter(log, server.settings(database)).exportOnce()
            await log.close()
            // The rows cannot be read until this is over, so the command hangs in the middle.
            let connection = try server.connect(database)
            try connection.execute("BEGIN; LOCK TABLE tidelog.events IN ACCESS EXCLUSIVE MODE")
            let target = folder.path.string + "/again"
            let dsn = "host=\(server.directory) user=tidelog dbname=\(database)"
            let process = try Tool.start(["import", "postgres", target, "--dsn", dsn], folder.path.string)
            let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            #expect(try await eventually { try server.number(waiting, in: "postgres") == 1 })
            process.interrupt()
            process.waitUntilExit()
            let error = try String(contentsOfFile: folder.path.string + "/err", encoding: .utf8)
            #expect(process.terminationReason == .exit && process.terminationStatus == 3, "\(error)")
            #expect(error.hasPrefix("tidelog: ") && error.contains("stopped"), "\(error)")
            #expect(!FileManager.default.fileExists(atPath: target))
            try connection.execute("ROLLBACK")
            #expect(try Tool.run("import", "postgres", target, "--dsn", dsn).status == 0)
        }

        @Test(
            "one of an export that ends before another says so, and brings all there is if that is wanted"
        )
        func behindAnother() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 100)
                try await exporter(log, server.settings(database)).exportOnce()
                try await fill(log, 100, seed: 2)
                try await exporter(log, server.settings(database)) { $0.name = "other" }.exportOnce()
                let folder = try TemporaryDirectory()
                defer { folder.remove() }
                let target = folder.path.appending("log")
                let importer = try PostgresImporter(from: server.settings(database))
                do {
                    _ = try await importer.import(to: target)
                    Issue.record("positions that have rows would be given again")
                } catch let error as PostgresError {
                    #expect(error.code == .invalidConfiguration && error.positions == 100..<200, "\(error)")
                }
                let report = try await importer.import(acceptsPartial: true, to: target)
                #expect(report.events == 200 && report.nextPosition == 200)
                let imported = try await EventLog.open(at: target)
                try await fill(imported, 10, seed: 3)
                try await exporter(imported, server.settings(database)).exportOnce()
                #expect(try server.events(in: database) == (try await events(of: imported)))
                await imported.close()
                let other = folder.path.appending("other")
                #expect(try await importer.import(exporter: "default", to: other).events == 210)
            }
        }
    }
#endif
