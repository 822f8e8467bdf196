#if Postgres
    import Foundation
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("The memory of an export")
    struct ExportMemoryTests {
        /// The most anonymous memory, in bytes, that a process which exports a log takes, seen every few
        /// milliseconds; less what it took when it was seen first.
        private func growth(_ log: String, _ dsn: String, name: String) async throws -> Int {
            let folder = try TemporaryDirectory()
            defer { folder.remove() }
            let process = try Tool.start(
                ["export", "postgres", log, "--dsn", dsn, "--name", name, "--table", name], folder.path.string
            )
            var (first, most, looks) = (Int.max, 0, 0)
            while process.isRunning {
                if let now = Self.anonymousBytes(of: process.processIdentifier), now > 0 {
                    first = min(first, now)
                    most = max(most, now)
                    looks += 1
                }
                try await Task.sleep(for: .milliseconds(3))
            }
            let error = try String(contentsOfFile: folder.path.string + "/err", encoding: .utf8)
            #expect(process.terminationStatus == 0, "\(error)")
            #expect(looks > 50, "the export was too short to be looked at")
            return most - min(first, most)
        }

        private static func anonymousBytes(of process: Int32) -> Int? {
            let status = try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
            let line = status?.split(separator: "\n").first { $0.hasPrefix("RssAnon:") }
            return line.flatMap { Int($0.filter(\.isNumber)) }.map { $0 * 1024 }
        }

        @Test(
            "stays below 64 MB with a backlog of events of 10 MB, large ones among small ones",
            .disabled(if: Sanitizer.isOn, "a sanitizer has memory of its own"))
        func largeEvents() async throws {
            let server = try PostgresServer.shared.get()
            let database = try server.makeDatabase()
            let folder = try TemporaryDirectory()
            defer { folder.remove() }
            let log = try await EventLog.open(at: folder.path.appending("log"))
            // Half of it is sealed, and every second one is JSON that is kept twice.
            for number in 0..<8 {
                let text = String(repeating: "0123456789abcde\(number)", count: 10_000_000 / 16)
                try await log.append(
                    (0..<2000).map { _ in Event(type: "t", stream: "small", json: "[1,2,3]") })
                let json = number % 2 == 0 ? "\"\(text)\"" : "[ \"\(text)\" ]"
                try await log.append(Event(type: "t", stream: "large", json: json))
                if number == 3 { try await log.seal() }
            }
            let dsn = "host=\(server.directory) user=tidelog dbname=\(database)"
            let growth = try await self.growth(folder.path.string + "/log", dsn, name: "large")
            print("anonymous memory of an export of large events: \(growth >> 10) KiB")
            #expect(growth < 64_000_000)
            #expect(try server.number("SELECT count(*) FROM tidelog.large", in: database) == 8 * 2001)
            await log.close()
            try server.connect().execute("DROP DATABASE \(database) WITH (FORCE)")
        }

        @Test(
            "stays below 64 MB and does not grow with the backlog, of 100,000 events and of 300,000",
            .disabled(if: Sanitizer.isOn, "a sanitizer has memory of its own"))
        func bounded() async throws {
            let server = try PostgresServer.shared.get()
            let database = try server.makeDatabase()
            let folder = try TemporaryDirectory()
            defer { folder.remove() }
            let dsn = "host=\(server.directory) user=tidelog dbname=\(database)"
            let log = try await EventLog.open(at: folder.path.appending("log"))
            let payload =
                #"{"reading":21.5,"unit":"C","note":""# + String(repeating: "x", count: 150) + #""}"#
            var events = (0..<5000).map {
                Event(type: "sensor.reading", stream: "s-\($0 % 100)", json: payload)
            }
            var growths: [Int] = []
            for count in [100_000, 200_000] {
                for _ in stride(from: 0, to: count, by: events.count) {
                    for index in events.indices { events[index].id = .generate() }
                    try await log.append(events)
                }
                let name = "t\(growths.count)"
                growths.append(try await self.growth(folder.path.string + "/log", dsn, name: name))
                #expect(
                    try server.number("SELECT count(*) FROM tidelog.\(name)", in: database)
                        == (growths.count == 1 ? 100_000 : 300_000))
            }
            print("anonymous memory of an export: \(growths.map { $0 >> 10 }) KiB")
            #expect(growths.allSatisfy { $0 < 64_000_000 }, "\(growths)")
            // Two batches are held, whatever the backlog.
            #expect(growths[1] < growths[0] + 16_000_000, "\(growths)")
            await log.close()
            try server.connect().execute("DROP DATABASE \(database) WITH (FORCE)")
        }
    }
#endif
