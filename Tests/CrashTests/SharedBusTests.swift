import Testing
import Tidelog
import TidelogStorage
import TidelogTesting
import torture

@Suite("Several processes with a bus on one log", .serialized)
struct SharedBusTests {
    private final class Seen: Sendable {
        private let state = Lock<[String]>([])
        var ids: [String] { self.state.withLock { $0 } }
        func add(_ event: Event) { self.state.withLock { $0.append(event.id.description) } }
    }

    @Test(
        "what another process publishes reaches every subscriber once, in order, and those of its type alone")
    func anotherProcess() async throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path.appending("log.tidelog")
        let log = try await EventLog.open(at: path)
        let bus = LogBus(log)
        let (all, odd, named) = (Seen(), Seen(), Seen())
        try await bus.subscribe("*") { all.add($0) }
        try await bus.subscribe("other.odd") { odd.add($0) }
        try await bus.subscribe("other.*", durable: "others") { named.add($0.event) }
        let stream = try await bus.events("other.*")
        let child = try Child(
            ["publish", path.string, "--events", "200"], output: directory.path.string + "/child")
        for number in 0..<20 { try await bus.publish(Event(id: .init("own-\(number)"), type: "own")) }
        // They come while both processes are up, not only when the bus is closed and reads the rest.
        var streamed: [String] = []
        for try await event in stream {
            streamed.append(event.id.description)
            if streamed.count == 200 { break }
        }
        #expect(child.wait() == 0, "\(child.lines().suffix(2))")
        await bus.close()

        let expected = (0..<200).map { "other-\($0)" }
        #expect(child.lines() == expected.map { "PUBLISHED \($0)" })
        #expect(streamed == expected)
        #expect(named.ids == expected)
        #expect(odd.ids == (0..<100).map { "other-\(2 * $0 + 1)" })
        var stored: [String] = []
        for try await event in log.read() { stored.append(event.id.description) }
        #expect(stored.count == 220)
        #expect(all.ids == stored)
        await log.close()
    }
}
