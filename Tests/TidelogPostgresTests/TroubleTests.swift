#if Postgres
    import Foundation
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("Trouble with the database")
    struct TroubleTests {
        /// Sees that an exporter reports `code`, and that after `mend` it exports everything.
        private func check(
            _ code: PostgresError.Code, _ log: EventLog, _ server: PostgresServer, _ database: String,
            settings: PostgresSettings, names: PostgresNames = .init(), mend: () throws -> Void
        ) async throws {
            let exporter = try exporter(log, settings) { $0.names = names }
            exporter.start()
            #expect(
                try await eventually { exporter.status.lastError?.code == code },
                "\(exporter.status.lastError?.description ?? "nothing failed")")
            let message = exporter.status.lastError?.description ?? ""
            #expect(!message.contains("sesame"))
            try mend()
            exporter.resume()
            #expect(try await eventually { exporter.status.nextPosition == exporter.status.logEnd })
            #expect(exporter.status.lastError == nil)
            await exporter.stop()
            #expect(try server.events(in: database, names: names) == (try await events(of: log)))
        }

        @Test("a wrong password is told without the password, and a right one mends it")
        func password() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 100)
                try server.run(
                    "CREATE ROLE pw_user LOGIN SUPERUSER PASSWORD 'right'", in: database)
                defer {
                    try? server.run("REASSIGN OWNED BY pw_user TO tidelog; DROP ROLE pw_user", in: database)
                }
                try await self.check(
                    .authentication, log, server, database,
                    settings: server.settings(database, user: "pw_user", more: "password=open-sesame")
                ) {
                    try server.run("ALTER ROLE pw_user PASSWORD 'open-sesame'", in: database)
                }
                let none = try exporter(log, server.settings(database, user: "pw_user"))
                await #expect(throws: PostgresError.self) { try await none.exportOnce() }
                #expect(none.status.lastError?.code == .authentication)
            }
        }

        @Test("a missing privilege is told, and a grant mends it")
        func privilege() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 100)
                let role = "r_" + database
                try server.run("CREATE ROLE \(role) LOGIN", in: database)
                try await self.check(
                    .permissionDenied, log, server, database, settings: server.settings(database, user: role)
                ) { try server.run("GRANT CREATE ON DATABASE \(database) TO \(role)", in: database) }
                try server.run("DROP OWNED BY \(role); DROP ROLE \(role)", in: database)
            }
        }

        @Test("tables that are there need no right to make any")
        func leastPrivilege() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 10)
                try await exporter(log, server.settings(database)).exportOnce()
                let role = "r_" + database
                try server.run(
                    """
                    CREATE ROLE \(role) LOGIN; GRANT USAGE ON SCHEMA tidelog TO \(role);
                    GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA tidelog TO \(role);
                    GRANT UPDATE ON tidelog.events_checkpoints TO \(role)
                    """, in: database)
                try await fill(log, 20, seed: 2)
                try await exporter(log, server.settings(database, user: role)).exportOnce()
                #expect(try server.events(in: database).count == 30)
                try server.run("DROP OWNED BY \(role); DROP ROLE \(role)", in: database)
            }
        }

        @Test("a read-only database is told, and one that takes writes again mends it")
        func readOnly() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 100)
                let administrator = try server.connect()
                try administrator.execute("ALTER DATABASE \(database) SET default_transaction_read_only = on")
                try await self.check(
                    .readOnly, log, server, database, settings: server.settings(database)
                ) {
                    try administrator.execute(
                        "ALTER DATABASE \(database) RESET default_transaction_read_only")
                }
            }
        }

        @Test("a server without room for connections is told, and room mends it")
        func room() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 100)
                let role = "r_" + database
                try server.run(
                    "CREATE ROLE \(role) LOGIN CONNECTION LIMIT 0; GRANT CREATE ON DATABASE \(database) TO \(role)",
                    in: database)
                try await self.check(
                    .storageFull, log, server, database, settings: server.settings(database, user: role)
                ) { try server.run("ALTER ROLE \(role) CONNECTION LIMIT 10", in: database) }
                try server.run("DROP OWNED BY \(role); DROP ROLE \(role)", in: database)
            }
        }

        @Test("a table of that name that is not Tidelog's is left alone")
        func foreign() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 100)
                try server.run(
                    "CREATE SCHEMA tidelog; CREATE TABLE tidelog.events (mine int); "
                        + "INSERT INTO tidelog.events VALUES (7)", in: database)
                try await self.check(
                    .foreignTable, log, server, database, settings: server.settings(database)
                ) {
                    #expect(try server.number("SELECT mine FROM tidelog.events", in: database) == 7)
                    try server.run("ALTER TABLE tidelog.events RENAME TO mine", in: database)
                }
            }
        }

        @Test("tables of a newer version are refused, tables of an older one are brought up to date")
        func versions() async throws {
            try await withLogAndDatabase { log, server, database in
                try await fill(log, 100)
                let connection = try server.connect(database)
                _ = try Schema(names: .init()).prepare(connection, upTo: 1)
                #expect(try Schema(names: .init()).state(connection)?.version == 1)
                try await exporter(log, server.settings(database)).exportOnce()
                #expect(try Schema(names: .init()).state(connection)?.version == Schema.version)
                try connection.execute("UPDATE tidelog.events_meta SET version = 99")
                try await self.check(
                    .newerSchema, log, server, database, settings: server.settings(database)
                ) { try connection.execute("UPDATE tidelog.events_meta SET version = \(Schema.version)") }
            }
        }

        @Test("where the tables were dropped, and what belongs to them was not, they are made again")
        func leftFunctions() async throws {
            try await withDatabase { server, database in
                let names = ["", "_meta", "_checkpoints", "_logs", "_streams", "_snapshots"]
                for _ in 0..<2 {
                    let store = try await server.openStore(database)
                    #expect(
                        try await store.append([Event(type: "t", stream: "s")], if: .always).positions
                            == 0..<1)
                    try await store.truncate(stream: "s", before: Revision(1))
                    await store.close()
                    try server.connect(database).execute(
                        "DROP TABLE " + names.map { "tidelog.events\($0)" }.joined(separator: ", "))
                }
            }
        }

        @Test("many that make the tables at once make them once")
        func concurrentSchema() async throws {
            try await withLogAndDatabase { _, server, database in
                let settings = server.settings(database)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<8 {
                        group.addTask {
                            _ = try await PlainThread.run("schema") { () throws(PostgresError) in
                                try Schema(names: .init()).prepare(
                                    try PostgresConnection.connect(settings, switchOff: ConnectionSwitch())
                                ).kind.rawValue
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                #expect(try server.number("SELECT count(*) FROM tidelog.events_meta", in: database) == 1)
            }
        }

        @Test("names that would break out of a statement are only names")
        func injection() async throws {
            try await withLogAndDatabase { log, server, database in
                let evil = #"a"b'; $do$; DROP SCHEMA x; --"#
                try await log.append([
                    Event(type: evil, stream: evil, json: #"{"a":"'; DROP TABLE x; --"}"#, source: evil),
                    Event(type: #"\"; SELECT 1"#, stream: "$1", json: "1"),
                ])
                let names = PostgresNames(schema: evil, table: #"t" (x int); --"#)
                for layout in [PostgresLayout.single, .byLog, .byMonth] {
                    var names = names
                    names.schema += layout.kind.rawValue
                    try await exporter(log, server.settings(database)) {
                        $0.names = names
                        $0.name = evil
                        $0.layout = layout
                    }.exportOnce()
                    #expect(try server.events(in: database, names: names) == (try await events(of: log)))
                }
            }
        }

        @Test("a server that is not there is told at once, not after the limit for connecting")
        func absent() async throws {
            try await withTemporaryLog { _, open in
                let log = try await open(.init())
                var settings = PostgresSettings("host=/nowhere dbname=none")
                settings.connectTimeout = .seconds(3600)
                let exporter = try exporter(log, settings)
                await #expect(throws: PostgresError.self) { try await exporter.exportOnce() }
                #expect(exporter.status.lastError?.code == .unreachable)
                #expect(exporter.status.lastError?.message.contains("/nowhere") ?? false)
                await log.close()
            }
        }

        @Test("malformed connection strings are refused without being repeated")
        func malformed() throws {
            // libpq takes what is neither words nor an address for a database's name, which the server repeats.
            for text in [
                "host=x pass", "postgres://u:sesame@[", "host='sesame", "user=a\u{0}b",
                "postgress://u:sesame@h/d", "POSTGRES://u:sesame@h/d", "postgres:/u:sesame@h", "u:sesame@h/d",
            ] {
                #expect(throws: PostgresError.self) { try PostgresConnection.passwords(in: text) }
                do {
                    _ = try PostgresConnection.passwords(in: text)
                } catch {
                    #expect(error.code == .invalidConfiguration && !error.description.contains("sesame"))
                }
            }
            #expect(try PostgresSettings("postgres://u:sesame@h/d").hasPassword())
            #expect(try PostgresSettings("host=h sslkey=k sslpassword=sesame").hasPassword())
            #expect(try PostgresSettings("postgres://u@h/d?sslpassword=sesame").hasPassword())
            #expect(try !PostgresSettings("host=h user=u").hasPassword())
            #expect(try !PostgresSettings("farm").hasPassword())
            let shown =
                "\(PostgresSettings("password=sesame"))"
                + String(reflecting: PostgresSettings("password=sesame"))
            var dumped = ""
            dump(PostgresSettings("password=sesame"), to: &dumped)
            #expect(!shown.contains("sesame") && !dumped.contains("sesame"))
        }
    }
#endif
