import Testing
import TidelogStorage
import TidelogTesting

@testable import Tidelog

@Suite("Acknowledging up to a delivery")
struct AcknowledgingTests {
    @Test("settles what the same hands hold, and nothing of what others hold of the same grant")
    func otherHands() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ConsumerTests.events(0..<6))
            var settings = ConsumerSettings()
            settings.ordering = .none
            let one = try await log.consumer("c", settings: settings)
            let two = try await log.consumer("c", settings: settings)
            let first = try await one.next(max: 2, wait: .seconds(120))
            let others = try await two.next(max: 1, wait: .seconds(120))
            let last = try await one.next(max: 3, wait: .seconds(120))
            let all = first + others + last
            try #require(all.map(\.position.rawValue) == Array(0..<6))
            try #require(Set(all.map(\.batch.grant.number)).count == 1, "they share a grant")
            try last[2].acknowledgeUpTo()
            for delivery in first + last { await refuses(.alreadySettled) { try delivery.acknowledge() } }
            try await one.flush()
            let status = try #require(try await log.consumers.status(of: "c"))
            #expect(status.acknowledged == 5 && status.offset == 2 && status.inFlight == 1)

            await two.leave()
            let again = try await one.next(max: 10, wait: .seconds(120))
            #expect(again.map(\.position.rawValue) == [2])
            #expect(again.map(\.attempt) == [1])
            await log.close()
        }
    }

    @Test("settles what the same hands hold of several grants")
    func severalGrants() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ConsumerTests.events(0..<6))
            var settings = ConsumerSettings()
            settings.ordering = .none
            settings.prefetch = 4
            let consumer = try await log.consumer("c", settings: settings)
            let first = try await consumer.next(max: 2, wait: .seconds(120))
            // Two of the first grant are left, and then come two of another one.
            while consumer.core.state.withLock({ $0.queue.count }) < 4 {
                try await Task.sleep(for: .milliseconds(1))
            }
            let rest = try await consumer.next(max: 10, wait: .seconds(120))
            try #require((first + rest).map(\.position.rawValue) == Array(0..<6))
            try #require(Set(rest.map(\.batch.grant.number)).count == 2)
            try rest[3].acknowledgeUpTo()
            try await consumer.flush()
            let status = try #require(try await log.consumers.status(of: "c"))
            #expect(status.acknowledged == 6 && status.offset == 6 && status.inFlight == 0)
            await log.close()
        }
    }

    @Test("is refused as a whole where the delivery itself is settled")
    func refusal() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ConsumerTests.events(0..<3))
            let consumer = try await log.consumer("c")
            let batch = try await consumer.next(max: 3, wait: .seconds(120))
            try #require(batch.count == 3)
            try batch[2].acknowledge()
            await refuses(.alreadySettled) { try batch[2].acknowledgeUpTo() }
            try batch[1].acknowledge()
            try batch[0].acknowledge()
            await log.close()
        }
    }
}
