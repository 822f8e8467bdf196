#if Postgres
    import Foundation
    import Glibc
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    /// A pipe with a name in place of a file: who opens it to read waits for somebody who writes, without a limit, as
    /// libpq waits for a name server.
    private struct NamedPipe {
        let path: String

        /// Puts one where a file may stand.
        func make() throws {
            unlink(self.path)
            try #require(mkfifo(self.path, 0o644) == 0)
        }

        /// Gives these bytes to all who wait.
        func release(_ bytes: Data) {
            // Without a reader it cannot be opened, and nobody waits any more.
            while true {
                let writer = open(self.path, O_WRONLY | O_NONBLOCK)
                if writer < 0 { return }
                _ = bytes.withUnsafeBytes { write(writer, $0.baseAddress, $0.count) }
                close(writer)
                PlainThread.sleep(.milliseconds(20))
            }
        }
    }

    @Suite("Connections that nothing comes back from", .serialized)
    struct LettingGoTests {
        /// Runs `body` with a server with TLS, settings that trust what stands at a path, and what puts a pipe there,
        /// so that libpq, once asked to connect, comes back to nobody.
        private func withPlace(
            _ body: (
                _ place: TLSPlace, _ settings: PostgresSettings, _ block: () throws -> Void
            ) async throws -> Void
        ) async throws {
            let place = try TLSPlace(hasTLS: true)
            defer { place.server.end() }
            let folder = try TemporaryDirectory()
            defer { folder.remove() }
            let root = folder.path.string + "/root.crt"
            let certificate = try Data(
                contentsOf: URL(filePath: "\(place.server.directory)/server.crt"))
            try certificate.write(to: URL(filePath: root))
            let settings = place.settings("sslmode=verify-full sslrootcert=\(root)")
            try await body(place, settings) { try NamedPipe(path: root).make() }
            var status = stat()
            if lstat(root, &status) == 0, status.st_mode & S_IFMT == S_IFIFO {
                NamedPipe(path: root).release(certificate)
            }
        }

        @Test("connecting ends within its limit, however often, and leaves only so many threads behind")
        func connecting() async throws {
            try await self.withPlace { _, settings, block in
                try block()
                var settings = settings
                settings.connectTimeout = .milliseconds(100)
                for number in 0..<12 {
                    let call = Call { [settings] in
                        try await PlainThread.run("connect") { () throws(PostgresError) in
                            _ = try PostgresConnection.connect(settings, switchOff: ConnectionSwitch())
                        }
                    }
                    #expect(try await eventually { call.isOver }, "try \(number)")
                    guard let error = call.error as? PostgresError else { break }
                    #expect(error.code == .unreachable)
                    #expect(error.message.contains(number < 8 ? "within" : "earlier tries"), "\(error)")
                }
            }
        }

        @Test("stopping an export does not wait for a connection that does not come about")
        func exporting() async throws {
            try await self.withPlace { _, settings, block in
                try block()
                var settings = settings
                settings.connectTimeout = .seconds(3600)
                try await withTemporaryLog { [settings] _, open in
                    let log = try await open(.init())
                    try await fill(log, 10)
                    let exporter = try exporter(log, settings)
                    exporter.start()
                    try await Task.sleep(for: .milliseconds(300))
                    #expect(exporter.status.state == .connecting)
                    let stop = Call { await exporter.stop(drainingFor: .milliseconds(100)) }
                    #expect(try await eventually { stop.isOver })
                    await log.close()
                }
            }
        }

        @Test("a store's calls end within their patience, and closing does not wait for them")
        func storing() async throws {
            try await self.withPlace { place, settings, block in
                var settings = settings
                settings.connectTimeout = .milliseconds(300)
                var configuration = PostgresStoreConfiguration()
                configuration.patience = .milliseconds(500)
                let store = try await PostgresEventStore.open(settings, configuration: configuration)
                settings.connectTimeout = .seconds(3600)
                let other = try await PostgresEventStore.open(settings, configuration: configuration)
                try block()
                let calls = [
                    Call { try await store.append([Event(type: "t")], if: .always) },
                    Call { _ = try await store.count(.all) },
                ]
                #expect(try await eventually { calls.allSatisfy(\.isOver) })
                #expect(calls.allSatisfy { $0.code == .unavailable }, "\(calls.map(\.error))")
                let hanging = Call { _ = try await other.count(.all) }
                try await Task.sleep(for: .milliseconds(200))
                #expect(!hanging.isOver)
                let close = Call {
                    await store.close()
                    await other.close()
                }
                #expect(try await eventually { close.isOver && hanging.isOver })
                #expect(hanging.code == .closed)
                _ = place
            }
        }

        @Test("giving a statement up ends although nothing answers that wish, and the connection with it")
        func cancelling() async throws {
            try await withDatabase { server, database in
                let proxy = try CuttingProxy(before: server)
                defer { proxy.end() }
                let call = Call {
                    let isBroken = try await PlainThread.run("stream") { () throws(PostgresError) in
                        let connection = try PostgresConnection.connect(
                            proxy.settings(database), switchOff: ConnectionSwitch())
                        proxy.swallowNew()
                        let query = PostgresStatement(text: "SELECT generate_series(1, 50000000)")
                        try connection.stream(query) { _ throws(PostgresError) in false }
                        return connection.isBroken
                    }
                    #expect(isBroken, "what is asked for late must not hit the next statement")
                }
                #expect(try await eventually { call.isOver })
                #expect(call.error == nil)
            }
        }

        @Test("a statement that is given up in time leaves the connection as it was")
        func cancelled() throws {
            let connection = try PostgresServer.shared.get().connect()
            for _ in 0..<20 {
                var rows = 0
                let query = PostgresStatement(text: "SELECT generate_series(1, 50000000)")
                try connection.stream(query) { _ throws(PostgresError) in
                    rows += 1
                    return rows < 3
                }
                var answer: Int64?
                try connection.query("SELECT 7::bigint") { row throws(PostgresError) in
                    answer = try row.integer(0)
                }
                #expect(rows == 3 && answer == 7 && !connection.isBroken)
            }
        }

        @Test("cutting a connection that libpq has closed cuts nothing that has its descriptor's number")
        func reused() throws {
            let server = try PostgresServer.shared.get()
            var wasReused = false
            for _ in 0..<20 where !wasReused {
                let switchOff = ConnectionSwitch()
                let connection = try PostgresConnection.connect(
                    server.settings("postgres"), switchOff: switchOff)
                let number = connection.socket
                var process: Int64 = 0
                try connection.query("SELECT pg_backend_pid()") { row throws(PostgresError) in
                    process = try row.requiredInteger(0)
                }
                try server.connect().query("SELECT pg_terminate_backend($1::int)", [.text("\(process)")])
                #expect(throws: PostgresError.self) {
                    for _ in 0..<1000 { try connection.execute("SELECT pg_sleep(0.01)") }
                }
                #expect(connection.socket < 0)
                // Another file of this process gets the number, unless another thread is quicker.
                var ends: [Int32] = [-1, -1]
                try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
                let other = fcntl(ends[0], F_DUPFD_CLOEXEC, number)
                defer { for end in ends + [other] { close(end) } }
                let reused = [ends[0], other].first { $0 == number }
                wasReused = reused != nil
                switchOff.off()
                #expect(send(reused ?? other, "x", 1, Int32(MSG_NOSIGNAL)) == 1)
                withExtendedLifetime(connection) {}
            }
            #expect(wasReused)
        }
    }
#endif
