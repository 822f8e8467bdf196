#if Postgres
    import Foundation
    import Synchronization
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    /// The anonymous memory of this process, in bytes.
    private func anonymousBytes() -> Int {
        let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        let line = status?.split(separator: "\n").first { $0.hasPrefix("RssAnon:") }
        return (line.flatMap { Int($0.filter(\.isNumber)) } ?? 0) * 1024
    }

    /// Counts, on any thread.
    private final class Counter: Sendable {
        private let number = Mutex(0)
        var value: Int { self.number.withLock { $0 } }
        func add() { self.number.withLock { $0 += 1 } }
    }

    /// Has many more callers append than there is room for, while the log is held; answers how much memory they took,
    /// and how many of them were refused when the store was closed.
    private func crowd(_ settings: PostgresSettings) async throws -> (bytes: Int, refused: Int) {
        var configuration = PostgresStoreConfiguration()
        configuration.maximumWaitingBytes = 4 << 20
        configuration.patience = .seconds(3600)
        let store = try await PostgresEventStore.open(settings, configuration: configuration)
        let stuck = try PostgresConnection.connect(settings, switchOff: ConnectionSwitch())
        try stuck.execute("BEGIN; UPDATE tidelog.events_logs SET next_position = next_position")
        let payload = EventPayload(bytes: [UInt8](repeating: 7, count: 4 << 20))
        let refused = Counter()
        let before = anonymousBytes()
        for _ in 0..<64 {
            Task {
                // Encoded, these take 8 MiB.
                let events = (0..<2).map { _ in Event(type: "t", payload: payload) }
                do throws(EventLogError) {
                    try await store.append(events, if: .always)
                } catch {
                    if error.code == .closed { refused.add() }
                }
            }
        }
        var most = 0
        for _ in 0..<300 {
            most = max(most, anonymousBytes() - before)
            try await Task.sleep(for: .milliseconds(10))
        }
        store.core.close()
        _ = try await eventually { refused.value >= 60 }
        withExtendedLifetime(stuck) {}
        return (max(most, anonymousBytes() - before), refused.value)
    }

    @Suite("The memory of a store")
    struct StoreMemoryTests {
        @Test(
            "does not grow with the callers that wait for room: they have encoded nothing yet",
            .disabled(if: Sanitizer.isOn, "a sanitizer has memory of its own"))
        func waiting() async throws {
            try await withDatabase { server, database in
                let (directory, name) = (server.directory, database)
                await #expect(processExitsWith: .success) {
                    [directory = directory as String, name = name as String] in
                    let (bytes, refused) = try await crowd(
                        PostgresSettings("host=\(directory) user=tidelog dbname=\(name)"))
                    #expect(bytes < 128 << 20, "\(bytes >> 20) MiB")
                    #expect(refused >= 60)
                }
            }
        }
    }
#endif
