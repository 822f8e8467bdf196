#if Postgres
    import Foundation
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("The names of threads")
    struct ThreadNameTests {
        /// The names of the process's threads, as the system has them.
        private static func names() throws -> [String] {
            let tasks = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")
            // A thread may have ended meanwhile.
            return tasks.compactMap {
                try? String(contentsOfFile: "/proc/self/task/\($0)/comm", encoding: .utf8)
            }
            .map { $0.trimmingCharacters(in: .newlines) }
        }

        @Test("tell those of a store apart")
        func store() async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database)
                let subscriber = try Subscriber(store)
                try await store.append([Event(type: "t")], if: .always)
                #expect(try await subscriber.waitForCount(1))
                let expected = ["tidelog-pgappen", "tidelog-pgread", "tidelog-pgliste", "tidelog-pgown"]
                try await store.withOwnThread {
                    // The one that listens starts when the subscription has read all there is.
                    let areThere = try await eventually {
                        let names = try Self.names()
                        return expected.allSatisfy(names.contains)
                    }
                    #expect(areThere)
                }
                try await subscriber.end()
                await store.close()
            }
        }

        @Test("tell that of an export")
        func export() async throws {
            try await withLogAndDatabase { log, server, database in
                let exporter = try exporter(log, server.settings(database))
                exporter.start()
                #expect(try await eventually { try Self.names().contains("tidelog-export") })
                await exporter.stop()
            }
        }

        @Test(
            "are cut where they are too long, and not within a character",
            arguments: [
                ("short", "short"), ("exactly-fifteen", "exactly-fifteen"),
                ("more-than-fifteen", "more-than-fifte"),
                ("fourteen-bytesüü", "fourteen-bytes"),
                ("\u{1F980}\u{1F980}\u{1F980}\u{1F980}", "\u{1F980}\u{1F980}\u{1F980}"),
            ])
        func cut(_ name: String, _ expected: String) async throws {
            let found = try await PlainThread.run(name) { () throws(PostgresError) -> String? in
                try? String(contentsOfFile: "/proc/thread-self/comm", encoding: .utf8)
            }
            #expect(found == expected + "\n")
        }

        @Test("leave that of the thread that starts them alone")
        func starter() throws {
            let own = try String(contentsOfFile: "/proc/thread-self/comm", encoding: .utf8)
            let done = DispatchSemaphore(value: 0)
            PlainThread.start("another") { done.signal() }
            done.wait()
            #expect(try String(contentsOfFile: "/proc/thread-self/comm", encoding: .utf8) == own)
        }
    }
#endif
