import Testing
import Tidelog
import TidelogTesting

@Suite("Retention, and what consumers have not finished")
struct ConsumerRetentionTests {
    struct Busy: Error {}

    /// A log of ten sealed segments with ten events each.
    private static func log(
        _ open: (EventLogConfiguration) async throws -> EventLog
    ) async throws -> EventLog {
        var configuration = EventLogConfiguration()
        configuration.sealsInBackground = false
        let log = try await open(configuration)
        for first in stride(from: 0, to: 100, by: 10) {
            try await log.append(ConsumerTests.events(first..<first + 10))
            try await log.seal()
        }
        return log
    }

    private static var settings: ConsumerSettings {
        var settings = ConsumerSettings()
        settings.ordering = .none
        settings.leaseDuration = .seconds(600)
        return settings
    }

    /// Keeps the last two segments.
    private static var policy: RetentionPolicy {
        var policy = RetentionPolicy()
        policy.maximumEvents = 20
        return policy
    }

    /// Takes so many events and acknowledges them, save those at `positions`, which it answers.
    private static func take(
        _ count: Int, from consumer: Consumer, holding positions: Set<Position> = []
    ) async throws -> (positions: [UInt64], held: [Delivery]) {
        var (taken, held): ([UInt64], [Delivery]) = ([], [])
        while taken.count < count {
            for delivery in try await consumer.next(max: count, wait: .seconds(60)) {
                taken.append(delivery.position.rawValue)
                if positions.contains(delivery.position) {
                    held.append(delivery)
                } else {
                    try delivery.acknowledge()
                }
            }
        }
        try await consumer.flush()
        return (taken, held)
    }

    @Test(
        "an event below the frontier that is held, or waits for a retry, keeps its segment and those behind it"
    )
    func kept() async throws {
        try await withTemporaryLog { _, open in
            let log = try await Self.log(open)
            let consumer = try await log.consumer("c", settings: Self.settings)
            let held = try await Self.take(100, from: consumer, holding: [25]).held
            try #require(held.count == 1)
            #expect(try await log.consumers.status(of: "c")?.inFlight == 1)
            #expect(try await log.retain(Self.policy).map(\.positions.lowerBound) == [0, 10])

            try held[0].retry(after: .seconds(2), because: Busy())
            try await consumer.flush()
            #expect(try await log.consumers.status(of: "c")?.offset == 25)
            #expect(try await log.retain(Self.policy).isEmpty)
            let again = try await Self.take(1, from: consumer, holding: [25]).held
            try #require(again.map(\.event.id) == ["e-25"])
            #expect(again[0].attempt == 2)
            #expect(try await log.retain(Self.policy).isEmpty)

            try await again[0].acknowledgeDurably()
            #expect(
                try await log.retain(Self.policy).map(\.positions.lowerBound) == [20, 30, 40, 50, 60, 70])
            await log.close()
        }
    }

    @Test(
        "a consumer that does not hold retention ends where it finds a gap, or goes on behind it",
        arguments: [false, true])
    func unseen(skips: Bool) async throws {
        try await withTemporaryLog { _, open in
            let log = try await Self.log(open)
            var settings = Self.settings
            (settings.holdsRetention, settings.skipsMissingEvents) = (false, skips)
            try await log.consumers.create("c", settings: settings)
            #expect(try await log.retain(Self.policy).count == 8)
            var consumer = try await log.consumer("c")
            if !skips {
                await refuses(.eventsGone) {
                    while true { _ = try await consumer.next(max: 1, wait: .milliseconds(20)) }
                }
                await consumer.leave()
                #expect(try await log.consumers.status(of: "c")?.offset == 0)
                try await log.consumers.seek("c", to: .beginning)
                consumer = try await log.consumer("c")
            }
            #expect(try await Self.take(20, from: consumer).positions == Array(80..<100))
            #expect(try await log.consumers.status(of: "c")?.offset == 100)
            await log.close()
        }
    }

    @Test(
        "what such a consumer is to try again becomes a dead letter once it is dropped, or is skipped",
        arguments: [false, true])
    func taken(skips: Bool) async throws {
        try await withTemporaryLog { _, open in
            let log = try await Self.log(open)
            var settings = Self.settings
            (settings.holdsRetention, settings.skipsMissingEvents) = (false, skips)
            settings.retry = .immediate(maximumDeliveries: nil)
            let consumer = try await log.consumer("c", settings: settings)
            let held = try await Self.take(100, from: consumer, holding: [25, 35]).held
            try #require(held.count == 2)
            #expect(try await log.retain(Self.policy).count == 8)
            // What is in hand can be finished as before.
            #expect(held[1].event.id == "e-35")
            try held[1].acknowledge()
            try held[0].retry(because: Busy())
            while try await log.consumers.status(of: "c")?.offset != 100 {
                #expect(try await consumer.next(max: 1, wait: .milliseconds(20)).isEmpty)
            }
            let letters = try await log.consumers.deadLetters(of: "c")
            #expect(letters.map(\.position) == (skips ? [] : [25]))
            #expect(letters.allSatisfy { $0.event == nil && $0.reason == "retention dropped the event" })
            #expect(try await log.consumers.status(of: "c")?.acknowledged == (skips ? 100 : 99))
            await log.close()
        }
    }
}
