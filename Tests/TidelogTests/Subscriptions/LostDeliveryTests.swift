import Synchronization
import Testing
import TidelogStorage
import TidelogTesting

@testable import Tidelog

@Suite("What handlers had in hand when it was lost")
struct LostDeliveryTests {
    private static func settings() -> ConsumerSettings {
        var settings = ConsumerSettings()
        settings.acknowledgeWithin = .milliseconds(1)
        settings.retry = .immediate(maximumDeliveries: nil)
        return settings
    }

    /// Takes and acknowledges events of one lane after the other until all were there.
    private static func finish(_ consumer: Consumer, _ count: Int) async throws -> [UInt64] {
        var seen: [UInt64] = []
        for try await delivery in consumer.deliveries {
            seen.append(delivery.position.rawValue)
            try delivery.acknowledge()
            if seen.count == count { break }
        }
        return seen
    }

    @Test(
        "a key that somebody has in hand when the consumer is moved is free for others",
        .timeLimit(.minutes(5)))
    func moved() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ConsumerTests.events(0..<6, streams: 1))
            let consumer = try await log.consumer("c", settings: Self.settings())
            let held = try await consumer.next(max: 1, wait: .seconds(60))
            try #require(held.map(\.position.rawValue) == [0])
            try await log.consumers.seek("c", to: .beginning)
            #expect(try await Self.finish(consumer, 6) == Array(0..<6))
            await refuses(.leaseLost) { try held[0].acknowledge() }
            try await consumer.flush()
            #expect(try await log.consumers.status(of: "c")?.lag == 0)
            await log.close()
        }
    }

    @Test(
        "a key whose transaction is refused, as the consumer was moved meanwhile, is free for others",
        .timeLimit(.minutes(5)))
    func refused() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ConsumerTests.events(0..<6, streams: 1))
            var settings = Self.settings()
            settings.filter = .types("t.*")
            let consumer = try await log.consumer("c", settings: settings)
            let runs = Atomic(0)
            let task = Task {
                try await consumer.runExactlyOnce(concurrency: 4) { deliveries, transaction in
                    if runs.add(1, ordering: .relaxed).newValue == 1 {
                        try await log.consumers.seek("c", to: .beginning)
                    }
                    try transaction.append(Event(type: "out", causationID: deliveries[0].event.event.id))
                }
            }
            while try await log.consumers.status(of: "c")?.offset.rawValue ?? 0 < 6 {
                try await Task.sleep(for: .milliseconds(5))
            }
            task.cancel()
            try? await task.value
            #expect(try await log.count(.types("out")) == 6)
            await log.close()
        }
    }
}
