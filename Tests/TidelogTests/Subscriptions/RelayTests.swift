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
