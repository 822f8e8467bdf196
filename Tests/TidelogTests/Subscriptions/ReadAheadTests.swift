import Testing
import TidelogTesting

@testable import Tidelog

@Suite("What a consumer reads ahead")
struct ReadAheadTests {
    @Test("is delivered once and in order, whatever the limits, the filter and where it is sent")
    func limits() async throws {
        let seed = TestSeed.draw(for: "reading ahead")
        var random = SeededGenerator(seed: seed)
        for _ in 0..<10 { try await self.consume(&random, seed) }
    }

    private func consume(_ random: inout SeededGenerator, _ seed: UInt64) async throws {
        let own = SeededGenerator(seed: random.next())
        try await withTemporaryLog { _, open in
            var random = own
            let log = try await open(.init())
            try await log.append(ConsumerTests.events(0..<600))
            try await log.seal()
            var settings = ConsumerSettings()
            settings.ordering = .none
            settings.prefetch = .random(in: 1...80, using: &random)
            settings.maximumInFlight = .random(in: 1...60, using: &random)
            let isFiltered = Bool.random(using: &random)
            if isFiltered { settings.filter = .types("t.1") }
            let consumer = try await log.consumer("c", settings: settings)
            var end: UInt64 = 600
            var next: UInt64 = isFiltered ? 1 : 0
            var mayBeOld = false
            var held: [Delivery] = []
            var moves = 4
            while next < 1000 {
                if end < 1000, next + 100 > end || Int.random(in: 0..<8, using: &random) == 0 {
                    let count = UInt64.random(in: 1...(1000 - end), using: &random)
                    try await log.append(ConsumerTests.events(Int(end)..<Int(end + count)))
                    end += count
                }
                if moves > 0, next > 100, Int.random(in: 0..<12, using: &random) == 0 {
                    moves -= 1
                    let place = UInt64.random(in: 0..<next, using: &random)
                    try await log.consumers.seek("c", to: .position(Position(place)))
                    next = isFiltered ? place | 1 : place
                    (held, mayBeOld) = ([], true)
                }
                let most = Int.random(in: 1...50, using: &random)
                for delivery in try await consumer.next(max: most, wait: .seconds(60)) {
                    // What was fetched before the consumer was sent elsewhere may still come; it counts for nothing.
                    if mayBeOld, delivery.position.rawValue != next { continue }
                    mayBeOld = false
                    #expect(delivery.position.rawValue == next, "seed \(seed)")
                    #expect(
                        delivery.event.event.id.description == "e-\(delivery.position.rawValue)",
                        "seed \(seed)")
                    next = delivery.position.rawValue + (isFiltered ? 2 : 1)
                    held.append(delivery)
                }
                if held.count >= settings.maximumInFlight || Bool.random(using: &random) {
                    for delivery in held.shuffled(using: &random) { try delivery.acknowledge() }
                    held = []
                }
            }
            for delivery in held { try delivery.acknowledge() }
            try await consumer.flush()
            #expect(try await log.consumers.status(of: "c")?.lag == 0, "seed \(seed)")
            await log.close()
        }
    }
}
