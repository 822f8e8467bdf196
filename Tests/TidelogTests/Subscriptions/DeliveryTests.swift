import Testing
import TidelogTesting

@testable import Tidelog

@Suite("Deliveries in hand and at hand")
struct DeliveryTests {
    @Test("no more is fetched ahead than the settings say, however much may be in flight")
    func prefetch() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ConsumerTests.events(0..<200))
            var settings = ConsumerSettings()
            (settings.maximumInFlight, settings.prefetch) = (100, 4)
            let consumer = try await log.consumer("c", settings: settings)
            let first = try await consumer.next(max: 1, wait: .seconds(600))
            // It fetches as soon as somebody has asked, and once more when what it has falls to half.
            while try await log.consumers.status(of: "c")?.inFlight ?? 0 < 4 { await Task.yield() }
            try await Task.sleep(for: .milliseconds(50))
            let inFlight = try await log.consumers.status(of: "c")?.inFlight ?? 0
            #expect((4...5).contains(inFlight), "\(inFlight) in flight, one of them in hand")
            for delivery in first { try delivery.acknowledge() }
            await log.close()
        }
    }

    @Test("what is released is delivered again as if it had not been, and keeps back what follows it")
    func releasing() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append((0..<3).map { _ in Event(type: "t", stream: "s") })
            let consumer = try await log.consumer("c")
            let held = try await consumer.next(max: 1, wait: .seconds(600))
            #expect(held.map(\.position) == [0])
            try held.first?.release()
            await refuses(.alreadySettled) { try held.first?.acknowledge() }
            var seen: [String] = []
            while seen.count < 3 {
                for delivery in try await consumer.next(max: 3, wait: .seconds(600)) {
                    seen.append("\(delivery.position) \(delivery.attempt)")
                    try await delivery.acknowledgeDurably()
                }
            }
            #expect(seen == ["0 1", "1 1", "2 1"])
            #expect(try await log.consumers.status(of: "c")?.retries == 0)
            await log.close()
        }
    }

    @Test("a sequence ends without an error when its task is cancelled, it is left, or the log closes")
    func ending() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            func iterate(_ consumer: Consumer) -> Task<Int, any Error> {
                Task {
                    var count = 0
                    for try await delivery in consumer.deliveries {
                        try delivery.acknowledge()
                        count += 1
                    }
                    return count
                }
            }
            try await log.append(ConsumerTests.events(0..<5))
            var consumers: [Consumer] = []
            for name in ["cancelled", "left", "closed"] { consumers.append(try await log.consumer(name)) }
            let tasks = consumers.map { iterate($0) }
            for consumer in ["cancelled", "left", "closed"] {
                while try await log.consumers.status(of: consumer)?.acknowledged != 5 {
                    try await Task.sleep(for: .milliseconds(2))
                }
            }
            tasks[0].cancel()
            #expect(try await tasks[0].value == 5)
            await consumers[1].leave()
            #expect(try await tasks[1].value == 5)
            await log.close()
            #expect(try await tasks[2].value == 5)
        }
    }
}
