#if Postgres
    import SystemPackage
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("Exports, checks, imports and opening stores whose server hangs", .serialized)
    struct SilentServerTests {
        /// How what hangs is made to.
        enum Way: String, CaseIterable, Sendable {
            /// The server and all of its processes are stopped.
            case frozen
            /// What is between both takes everything and passes nothing on.
            case swallowing
            /// The same, for the connections that are there; new ones are served.
            case swallowingOld
        }

        @Test(
            "an export gives the connection up and tries again, and loses nothing and brings nothing twice",
            .timeLimit(.minutes(5)), arguments: Way.allCases)
        func exporting(_ way: Way) async throws {
            let server = try PostgresServer(["fsync=off"])  // its own, as it hangs for all
            defer { server.end() }
            let database = try server.makeDatabase()
            let proxy = try CuttingProxy(before: server)
            defer { proxy.end() }
            var settings = way == .frozen ? server.settings(database) : proxy.settings(database)
            settings.connectTimeout = .milliseconds(500)
            try await withTemporaryLog { _, open in
                let log = try await open(.init())
                try await fill(log, 5000)
                let exporter = try exporter(log, settings) {
                    $0.batchEvents = 100
                    $0.pace = .full
                    $0.answerTimeout = .milliseconds(300)
                }
                exporter.start()
                #expect(try await eventually { exporter.status.exportedEvents > 0 })
                switch way {
                case .frozen: try server.freeze()
                case .swallowing: proxy.swallow()
                case .swallowingOld: proxy.swallowOld()
                }
                try await fill(log, 5000, seed: 2)
                // Whoever is served again goes on by himself, and may have forgotten the error by now.
                #expect(try await eventually { exporter.state.withLock { $0.failed > 0 } })
                if way != .swallowingOld {
                    #expect(exporter.status.state == .offline)
                    #expect(exporter.status.lastError?.code == .unreachable)
                }
                if way == .frozen { try server.thaw() }
                if way == .swallowing { proxy.letThrough() }
                #expect(try await eventually { exporter.status.nextPosition == 10_000 })
                await exporter.stop()
                #expect(try server.events(in: database) == (try await events(of: log)))
                await log.close()
            }
        }

        /// What waits for a table that somebody has locked.
        enum Waiting: String, CaseIterable, Sendable {
            case export, range, check, beyond, status, list, `import`, open

            var table: String {
                switch self {
                case .status, .list: "tidelog.events_checkpoints"
                case .open: "tidelog.events_meta"
                default: "tidelog.events"
                }
            }

            func call(_ log: EventLog, _ settings: PostgresSettings, _ folder: FilePath) throws -> Call {
                let limit = Duration.milliseconds(300)
                let exporter = try exporter(log, settings) {
                    $0.answerTimeout = limit
                    $0.attempts = 1
                }
                let importer = try PostgresImporter(from: settings, answerTimeout: limit)
                var store = PostgresStoreConfiguration()
                (store.answerTimeout, store.patience) = (limit, .zero)
                return Call { [store] in
                    switch self {
                    case .export: try await exporter.exportOnce()
                    case .range: _ = try await exporter.export(0..<100)
                    case .check:
                        let check = try await exporter.check(0..<100)
                        #expect(check.isEqual)
                    case .beyond:
                        let rows = try await exporter.rowsBeyondEnd()
                        #expect(rows == 0)
                    case .status:
                        let status = try await exporter.remoteStatus()
                        #expect(status.nextPosition != nil)
                    case .list:
                        let logs = try await importer.logs()
                        #expect(logs.count == 1)
                    case .import: _ = try await importer.import(to: folder)
                    case .open: await (try PostgresEventStore.open(settings, configuration: store)).close()
                    }
                }
            }
        }

        @Test(
            "what waits for a server at work waits on, beyond the limit, and ends once the server hangs",
            .timeLimit(.minutes(5)), arguments: Waiting.allCases)
        func waiting(_ waiting: Waiting) async throws {
            let server = try PostgresServer(["fsync=off"])
            defer { server.end() }
            let database = try server.makeDatabase()
            let folder = try TemporaryDirectory()
            defer { folder.remove() }
            try await withTemporaryLog { _, open in
                let log = try await open(.init())
                try await fill(log, 100)
                try await exporter(log, server.settings(database)).exportOnce()
                try await fill(log, 10, seed: 2)
                let lock = "BEGIN; LOCK TABLE \(waiting.table) IN ACCESS EXCLUSIVE MODE"
                let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                let stuck = try server.connect(database)

                try stuck.execute(lock)
                let slow = try waiting.call(
                    log, server.settings(database), folder.path.appending("slow"))
                #expect(try await eventually { try server.number(waits, in: "postgres") == 1 })
                try await Task.sleep(for: .milliseconds(1500))
                #expect(!slow.isOver)
                try stuck.execute("ROLLBACK")
                #expect(try await eventually { slow.isOver })
                #expect(slow.error == nil)

                var settings = server.settings(database)
                settings.connectTimeout = .seconds(1)
                try stuck.execute(lock)
                let hanging = try waiting.call(log, settings, folder.path.appending("hanging"))
                #expect(try await eventually { try server.number(waits, in: "postgres") == 1 })
                try server.freeze()
                #expect(try await eventually { hanging.isOver })
                let cause = (hanging.error as? EventLogError)?.cause ?? hanging.error
                let error = cause as? PostgresError
                #expect(error?.code == .unreachable, "\(hanging.error.debugDescription)")
                try server.thaw()
                try stuck.execute("ROLLBACK")
                let again = try waiting.call(
                    log, server.settings(database), folder.path.appending("again"))
                #expect(try await eventually { again.isOver })
                #expect(again.error == nil, "\(again.error.debugDescription)")
                await log.close()
            }
        }

        @Test("a server that has no room to be asked, or does not show the session, is taken to be at work")
        func hidden() async throws {
            try await withDatabase { server, database in
                let role = "r_" + database
                try server.run(
                    "CREATE ROLE \(role) LOGIN; CREATE ROLE \(role)_b; GRANT \(role)_b TO \(role)",
                    in: database)
                for change in ["CONNECTION LIMIT 1", "SET role = '\(role)_b'"] {
                    try server.run("ALTER ROLE \(role) \(change)", in: database)
                    try await PlainThread.run("asking") { () throws(PostgresError) in
                        let connection = try PostgresConnection.connect(
                            server.settings(database, user: role), switchOff: ConnectionSwitch(),
                            answerLimit: .milliseconds(100), asks: true)
                        try connection.execute("SELECT pg_sleep(1)")
                    }
                    try server.run("ALTER ROLE \(role) CONNECTION LIMIT -1", in: database)
                }
                try server.run("DROP ROLE \(role); DROP ROLE \(role)_b", in: database)
            }
        }

        @Test("a limit that is none is refused")
        func limits() async throws {
            try await withTemporaryLog { _, open in
                let log = try await open(.init())
                let settings = PostgresSettings("host=/nowhere dbname=none")
                for limit in [Duration.zero, .seconds(-1)] {
                    #expect(throws: PostgresError.self) {
                        try exporter(log, settings) { $0.answerTimeout = limit }
                    }
                    #expect(throws: PostgresError.self) {
                        try PostgresImporter(from: settings, answerTimeout: limit)
                    }
                }
                await log.close()
            }
        }
    }
#endif
