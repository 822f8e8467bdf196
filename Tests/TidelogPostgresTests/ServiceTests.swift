#if Postgres
    import Foundation
    import Glibc
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    /// Processes of their own, for what libpq takes from the environment, which a process's tests share.
    @Suite("Connecting by what the environment says", .disabled(if: Sanitizer.isOn, "processes that exit"))
    struct ServiceTests {
        /// A role with a password in a new database, and a service file that names both.
        private func withService(
            _ body: (_ folder: String, _ server: PostgresServer, _ database: String) async throws -> Void
        ) async throws {
            // Its own: the role that must give a password has one name on each server.
            let server = try PostgresServer(["fsync=off"])
            defer { server.end() }
            let database = try server.makeDatabase()
            try server.run(
                "CREATE ROLE pw_user LOGIN PASSWORD 'open-sesame'; GRANT CREATE ON DATABASE \(database) TO pw_user",
                in: database)
            let folder = try TemporaryDirectory()
            defer { folder.remove() }
            try """
            # The farm's database.
            [other]
            host=/nowhere
            [farm]
            host=\(server.directory)
            user=pw_user
            dbname=\(database)
            """.write(toFile: folder.path.string + "/services", atomically: true, encoding: .utf8)
            try await body(folder.path.string, server, database)
        }

        @Test("a store takes the server from a service file and the password from PGPASSWORD")
        func store() async throws {
            try await self.withService { folder, server, database in
                await #expect(processExitsWith: .success) { [folder = folder as String] in
                    setenv("PGSERVICEFILE", folder + "/services", 1)
                    setenv("PGPASSWORD", "open-sesame", 1)
                    let store = try await PostgresEventStore.open(PostgresSettings("service=farm"))
                    try await store.append([Event(type: "t", stream: "s")], if: .always)
                    #expect(try await store.count(.stream("s")) == 1)
                    await store.close()
                    // Everything from the environment, with an empty connection string.
                    setenv("PGSERVICE", "farm", 1)
                    let other = try await PostgresEventStore.open(PostgresSettings(""))
                    try await other.append([Event(type: "t", stream: "s")], if: .always)
                    #expect(try await other.end() == 2)
                    await other.close()
                }
                let stored = try server.number("SELECT count(*) FROM tidelog.events", in: database)
                #expect(stored == 2)
            }
        }

        @Test("an exporter and an importer do so too")
        func export() async throws {
            try await self.withService { folder, server, database in
                await #expect(processExitsWith: .success) { [folder = folder as String] in
                    setenv("PGSERVICEFILE", folder + "/services", 1)
                    setenv("PGPASSWORD", "open-sesame", 1)
                    let log = try await EventLog.open(at: .init(folder + "/log"))
                    try await fill(log, 50)
                    let settings = PostgresSettings("service=farm")
                    #expect(try await exporter(log, settings).exportOnce().lagEvents == 0)
                    let importer = try PostgresImporter(from: settings)
                    let report = try await importer.import(to: .init(folder + "/again"))
                    #expect(report.events == 50)
                    await log.close()
                }
                let stored = try server.number("SELECT count(*) FROM tidelog.events", in: database)
                #expect(stored == 50)
            }
        }

        @Test("a wrong password, an unknown service and a missing file are told, and no secret is")
        func refused() async throws {
            try await self.withService { folder, _, _ in
                await #expect(processExitsWith: .success) { [folder = folder as String] in
                    func failure(_ text: String) async -> EventLogError? {
                        do throws(EventLogError) {
                            var configuration = PostgresStoreConfiguration()
                            configuration.patience = .zero
                            _ = try await PostgresEventStore.open(
                                PostgresSettings(text), configuration: configuration)
                            return nil
                        } catch {
                            return error
                        }
                    }
                    setenv("PGSERVICEFILE", folder + "/services", 1)
                    setenv("PGPASSWORD", "sesame-of-another-door", 1)
                    let wrong = try #require(await failure("service=farm"))
                    #expect(wrong.code == .permissionDenied && !"\(wrong)".contains("sesame"), "\(wrong)")
                    #expect(!"\(wrong.cause.debugDescription)".contains("sesame"))
                    let unknown = try #require(await failure("service=barn password=sesame"))
                    #expect(
                        unknown.message.contains("barn") && !"\(unknown)".contains("sesame"), "\(unknown)")
                    setenv("PGSERVICEFILE", folder + "/none", 1)
                    let none = try #require(await failure("service=farm password=sesame"))
                    #expect(none.message.contains("none") && !"\(none)".contains("sesame"), "\(none)")
                }
            }
        }
    }
#endif
