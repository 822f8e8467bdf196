#if Postgres
    import Foundation
    import Logging
    import Synchronization
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    /// Keeps what is logged.
    private struct Lines: LogHandler {
        final class Written: Sendable {
            private let lines = Mutex<[String]>([])
            func add(_ line: String) { self.lines.withLock { $0.append(line) } }
            var all: [String] { self.lines.withLock { $0 } }
        }

        let written = Written()
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { self.metadata[key] }
            set { self.metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            self.written.add("\(event.level): \(event.message) \(event.metadata ?? [:])")
        }
    }

    @Suite("TLS")
    struct TLSTests {
        /// The error that connecting ends with.
        private func failure(_ settings: PostgresSettings) -> PostgresError? {
            do {
                _ = try PostgresConnection.connect(settings, switchOff: ConnectionSwitch())
                return nil
            } catch {
                return error
            }
        }

        @Test("with the root, the server's name is verified, and export and store go through TLS")
        func verified() async throws {
            let place = try TLSPlace(hasTLS: true)
            let settings = place.settings("sslmode=verify-full \(place.root("server"))")
            let connection = try PostgresConnection.connect(settings, switchOff: ConnectionSwitch())
            var isSecured = false
            try connection.query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") {
                row throws(PostgresError) in isSecured = row.boolean(0)
            }
            #expect(isSecured)
            try await withTemporaryLog { _, open in
                let log = try await open(.init())
                try await fill(log, 1000)
                #expect(try await exporter(log, settings).exportOnce().lagEvents == 0)
                await log.close()
            }
            let store = try await PostgresEventStore.open(settings)
            try await store.append([Event(type: "t", stream: "s")], if: .always)
            #expect(try await store.count(.stream("s")) == 1)
            await store.close()
            place.server.end()
        }

        @Test(
            "the server is to notice as soon as the client that the network is gone, unless it is set otherwise"
        )
        func keepalives() throws {
            let place = try TLSPlace(hasTLS: false)
            defer { place.server.end() }
            for (more, idle) in [("", "30"), ("options='-c tcp_keepalives_idle=77'", "77")] {
                let connection = try PostgresConnection.connect(
                    place.settings(more), switchOff: ConnectionSwitch())
                var values: [String?] = []
                try connection.query(
                    "SELECT current_setting('tcp_keepalives_' || n) "
                        + "FROM unnest(ARRAY['idle', 'interval', 'count']) n"
                ) { row throws(PostgresError) in values.append(row.text(0)) }
                #expect(values == [idle, "10", "3"])
            }
        }

        @Test("large answers come whole through TLS, in whatever pieces it takes them from the socket")
        func large() throws {
            let place = try TLSPlace(hasTLS: true)
            defer { place.server.end() }
            let connection = try PostgresConnection.connect(
                place.settings("sslmode=require"), switchOff: ConnectionSwitch(),
                answerLimit: .seconds(60))
            let text = "SELECT repeat('x', n * 997) FROM generate_series(1, 400) n"
            var lengths: [Int] = []
            try connection.stream(PostgresStatement(text: text)) { row throws(PostgresError) in
                lengths.append(row.column(0)?.count ?? 0)
                return true
            }
            try connection.query(text) { row throws(PostgresError) in
                lengths.append(row.column(0)?.count ?? 0)
            }
            let expected = (1...400).map { $0 * 997 }
            #expect(lengths == expected + expected)
            let sent = String(repeating: "y", count: 9_999_999)
            try connection.query("SELECT octet_length($1), $1", [.text(sent)]) { row throws(PostgresError) in
                #expect(try row.integer(0) == 9_999_999 && row.text(1) == sent)
            }
        }

        @Test("another root, another name, no root and no TLS are told as such, and never with the password")
        func refused() async throws {
            let (place, plain) = (try TLSPlace(hasTLS: true), try TLSPlace(hasTLS: false))
            let administrator = try PostgresConnection.connect(
                place.settings("sslmode=require"), switchOff: ConnectionSwitch())
            try administrator.execute("CREATE ROLE pw_user LOGIN PASSWORD 'right'")
            let refused = [
                place.settings("sslmode=verify-full \(place.root("other"))"),
                place.settings("sslmode=verify-ca \(place.root("other")) password=sesame", user: "pw_user"),
                place.settings("sslmode=verify-full \(place.root("server"))", host: "elsewhere.example"),
                place.settings("sslmode=verify-full \(place.root("missing")) password=sesame"),
                plain.settings("sslmode=require password=sesame"),
                plain.settings("sslmode=verify-full \(plain.root("other"))"),
            ]
            for settings in refused {
                let error = try #require(self.failure(settings))
                #expect(error.code == .tls, "\(error)")
                #expect(!error.description.contains("sesame"))
                // A store does not wait for its patience to end.
                var configuration = PostgresStoreConfiguration()
                configuration.patience = .seconds(3600)
                do {
                    _ = try await PostgresEventStore.open(settings, configuration: configuration)
                    Issue.record("a store was opened without TLS")
                } catch {
                    #expect(error.code == .permissionDenied)
                    #expect((error.cause as? PostgresError)?.code == .tls)
                    #expect(!"\(error)".contains("sesame"))
                }
            }
            // The right server, reached through TLS, that refuses the password.
            let wrong = try #require(
                self.failure(
                    place.settings(
                        "sslmode=verify-full \(place.root("server")) password=sesame", user: "pw_user")))
            #expect(wrong.code == .authentication && !wrong.description.contains("sesame"))
            place.server.end()
            plain.server.end()
        }

        @Test("an exporter that gets no TLS says so, and once where nobody looks, while it tries again")
        func exported() async throws {
            let plain = try TLSPlace(hasTLS: false)
            try await withTemporaryLog { _, open in
                let log = try await open(.init())
                try await fill(log, 100)
                let once = try exporter(log, plain.settings("sslmode=require password=sesame"))
                await #expect(throws: PostgresError.self) { try await once.exportOnce() }
                #expect(once.status.lastError?.code == .tls)

                let lines = Lines()
                let following = try exporter(log, plain.settings("sslmode=require password=sesame")) {
                    $0.logger = Logger(label: "test") { _ in lines }
                    $0.logger.logLevel = .trace
                }
                following.start()
                #expect(try await eventually { following.status.failures >= 3 })
                #expect(following.status.state == .offline && following.status.lastError?.code == .tls)
                await following.stop()
                let all = lines.written.all
                #expect(all.filter { $0.hasPrefix("warning") }.count == 1)
                #expect(all.count >= 3 && !all.joined().contains("sesame"))
                await log.close()
            }
            plain.server.end()
        }
    }
#endif
