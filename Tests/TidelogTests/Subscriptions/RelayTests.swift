import Testing
import Tidelog
import TidelogTesting

@Suite("Relays")
struct RelayTests {
    struct Offline: Error {}

    /// Fails now and then, and sometimes after the work was done.
    actor Line {
        private var generator: SeededGenerator
        init(seed: UInt64) { self.generator = SeededGenerator(seed: seed) }

        func carry(_ events: [Event], to log: EventLog) async throws {
            let chance = Int.random(in: 0..<10, using: &self.generator)
            if chance < 3 { throw Offline() }
            try await log.appendMissing(events)
            if chance == 3 { throw Offline() }
        }
    }

    @Test("a relay to another log goes on after either is opened anew, and what is there already stays one")
    func otherLog() async throws {
        try await withTemporaryLog { _, openTarget in
            try await withTemporaryLog { _, open in
                for round in 0..<3 {
                    let (log, target) = (try await open(.init()), try await openTarget(.init()))
                    let first = round * 100
                    try await log.append(ConsumerTests.events(first..<first + 100))
                    // Some came by another way before, and must not come twice.
                    if round == 1 { try await target.append(ConsumerTests.events(100..<117)) }
                    let relay = Task { try await log.relay("r", to: target, batchesOf: 16) }
                    while try await target.count() < first + 100 {
                        try await Task.sleep(for: .milliseconds(2))
                    }
                    await log.close()
                    try await relay.value
                    var ids: [String] = []
                    for try await stored in target.read() { ids.append(stored.id.description) }
                    #expect(ids == (0..<first + 100).map { "e-\($0)" })
                    await target.close()
                }
            }
        }
    }

    @Test("an event that the other log refuses for good becomes a dead letter, and all others arrive whole")
    func refused() async throws {
        var generator = EventGenerator(seed: 7)
        var made = generator.events(100)
        made[20].stream = "gone"
        made[30].type = "checked"
        made[30].payload = .init(json: "[]")
        made[40].type = String(repeating: "t", count: 100)
        let events = made
        let refused: [UInt64] = [10, 20, 30, 40]
        var configuration = EventLogConfiguration()
        configuration.limits.maximumNameBytes = 64
        try await withTemporaryLog { [configuration] _, openTarget in
            try await withTemporaryLog { _, open in
                let (log, target) = (try await open(.init()), try await openTarget(configuration))
                try await target.append(Event(id: events[10].id, type: "another"))
                try await target.append(Event(type: "t"), to: "gone")
                try await target.delete(stream: "gone")
                try await target.schemas.register(JSONSchema(#"{"type":"object"}"#), for: "checked")
                try await log.append(events)
                let relay = Task { try await log.relay("r", to: target, batchesOf: 16) }
                while try await log.consumers.status(of: "r")?.offset != 100 {
                    try await Task.sleep(for: .milliseconds(2))
                }
                let letters = try await log.consumers.deadLetters(of: "r")
                #expect(letters.map(\.position.rawValue) == refused, "\(letters.map(\.reason))")
                let wanted = events.indices.filter { !refused.contains(UInt64($0)) }.map { events[$0] }
                #expect(try await Self.contents(target).filter { $0.type != "another" } == wanted)

                // Once it is not refused any more, it can be sent again.
                try await target.schemas.setMode(.off, for: "checked")
                try await log.consumers.retryDeadLetters(of: "r", at: 30)
                while try await target.event(id: events[30].id) == nil {
                    try await Task.sleep(for: .milliseconds(2))
                }
                #expect(try await target.event(id: events[30].id)?.event == events[30])
                await log.close()
                try await relay.value
                await target.close()
            }
        }
    }

    @Test("what is too much at once for the other log arrives event by event")
    func tooLarge() async throws {
        var generator = EventGenerator(seed: 8)
        let events = generator.events(100)
        var configuration = EventLogConfiguration()
        configuration.maximumBatchBytes = 1024
        try await withTemporaryLog { [configuration] _, openTarget in
            try await withTemporaryLog { _, open in
                let (log, target) = (try await open(.init()), try await openTarget(configuration))
                try await log.append(events)
                let relay = Task { try await log.relay("r", to: target, batchesOf: 32) }
                while try await log.consumers.status(of: "r")?.offset != 100 {
                    try await Task.sleep(for: .milliseconds(2))
                }
                #expect(try await Self.contents(target) == events)
                #expect(try await log.consumers.deadLetters(of: "r").isEmpty)
                await log.close()
                try await relay.value
                await target.close()
            }
        }
    }

    private static func contents(_ log: EventLog) async throws -> [Event] {
        var events: [Event] = []
        for try await stored in log.read() { events.append(stored.event) }
        return events
    }

    @Test("a relay over a line that fails brings every event, once and in order, also across restarts")
    func failingLine() async throws {
        let seed = TestSeed.draw(for: "relay")
        let line = Line(seed: seed)
        try await withTemporaryLog { _, openTarget in
            try await withTemporaryLog { _, open in
                let target = try await openTarget(.init())
                for round in 0..<3 {
                    let log = try await open(.init())
                    for number in 0..<20 {
                        let first = (round * 20 + number) * 10
                        try await log.append(ConsumerTests.events(first..<first + 10))
                    }
                    let relay = Task {
                        try await log.relay(
                            "r", batchesOf: 16,
                            retry: .fixed(.milliseconds(1), maximumDeliveries: nil)
                        ) { events in try await line.carry(events.map(\.event), to: target) }
                    }
                    // The last round goes to the end; the others stop somewhere.
                    let goal = round == 2 ? 600 : round * 200 + 100
                    while try await target.count() < goal { try await Task.sleep(for: .milliseconds(2)) }
                    await log.close()
                    try await relay.value
                }
                var ids: [String] = []
                for try await stored in target.read() { ids.append(stored.id.description) }
                #expect(ids == (0..<600).map { "e-\($0)" }, "seed \(seed)")
                await target.close()
            }
        }
    }
}
