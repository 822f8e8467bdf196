import Testing
import Tidelog
import TidelogTesting

@Suite("Control of consumers")
struct ControlTests {
    @Test("a seek moves one consumer while it runs, and no other")
    func seeking() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ConsumerTests.events(0..<20))
            let later = Timestamp.now().advanced(by: .seconds(3600))
            let one = try await log.consumer("one")
            let two = try await log.consumer("two")
            #expect(try await ConsumerTests.drain(one) == Array(0..<20))
            #expect(try await ConsumerTests.drain(two) == Array(0..<20))
            try await log.consumers.seek("one", to: .position(15))
            #expect(try await ConsumerTests.drain(one) == Array(15..<20))
            #expect(try await ConsumerTests.drain(two).isEmpty)
            try await log.consumers.seek("one", to: .end)
            #expect(try await ConsumerTests.drain(one).isEmpty)
            try await log.append(Event(type: "t", timestamp: later.advanced(by: .seconds(-1))))
            try await log.append(Event(type: "t", timestamp: later.advanced(by: .seconds(1))))
            #expect(try await ConsumerTests.drain(one) == [20, 21])
            try await log.consumers.seek("one", to: .time(later))
            #expect(try await ConsumerTests.drain(one) == [21])
            try await log.consumers.seek("one", to: .beginning)
            #expect(try await ConsumerTests.drain(one) == Array(0..<22))
            await log.close()
        }
    }

    @Test("a paused consumer is given nothing, can settle what it has, and goes on when it is resumed")
    func pausing() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ConsumerTests.events(0..<3))
            var settings = ConsumerSettings()
            settings.prefetch = 1
            let consumer = try await log.consumer("c", settings: settings)
            let first = try await consumer.next(max: 1, wait: .seconds(10))
            try await log.consumers.pause("c")
            try await first[0].acknowledgeDurably()
            #expect(try await log.consumers.status(of: "c")?.isPaused == true)
            try await log.append(ConsumerTests.events(3..<6))
            try await log.consumers.resume("c")
            #expect(try await ConsumerTests.drain(consumer) == Array(1..<6))
            await log.close()
        }
    }

    @Test("a pause stops what was fetched ahead as well; resumed, it comes in order and at its first attempt")
    func pausingWhatIsAhead() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ConsumerTests.events(0..<60))
            var settings = ConsumerSettings()
            settings.prefetch = 100
            let consumer = try await log.consumer("c", settings: settings)
            let first = try await consumer.next(max: 1, wait: .seconds(120))
            try #require(first.map(\.position.rawValue) == [0])
            try await log.consumers.pause("c")
            for await event in consumer.events { if case .paused = event { break } }
            #expect(try await consumer.next(max: 10, wait: .milliseconds(200)).isEmpty)
            try await first[0].acknowledgeDurably()
            let status = try #require(try await log.consumers.status(of: "c"))
            #expect(status.offset == 1 && status.inFlight == 0, "everything else was given back")

            try await log.consumers.resume("c")
            var rest: [Delivery] = []
            while rest.count < 59 {
                let batch = try await consumer.next(max: 100, wait: .seconds(120))
                try #require(!batch.isEmpty, "\(rest.count) of 59 came")
                for delivery in batch { try delivery.acknowledge() }
                rest += batch
            }
            #expect(rest.map(\.position.rawValue) == Array(1..<60))
            #expect(rest.allSatisfy { $0.attempt == 1 })
            await log.close()
        }
    }

    @Test("a consumer that is renamed goes on under its new name, and its old one is free")
    func renaming() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ConsumerTests.events(0..<10))
            let consumer = try await log.consumer("old")
            let batch = try await consumer.next(max: 10, wait: .seconds(10))
            try await log.consumers.rename("old", to: "new")
            for delivery in batch { try delivery.acknowledge() }
            try await consumer.flush()
            #expect(consumer.name == "new")
            #expect(try await log.consumers.status(of: "old") == nil)
            #expect(try await log.consumers.status(of: "new")?.offset == 10)
            try await log.consumers.create("other")
            await refuses(.alreadyExists) {
                try await log.consumers.rename("new", to: "other")
            }
            await refuses(.notFound) {
                try await log.consumers.rename("nobody", to: "somebody")
            }
            await log.close()
        }
    }

    @Test("a consumer that is renamed while it works has nothing refused and nothing repeated")
    func renamingAtWork() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            var settings = ConsumerSettings()
            settings.filter = .types("t.*")
            // One refusal makes a dead letter.
            settings.retry = .immediate(maximumDeliveries: 1)
            let consumer = try await log.consumer("c", settings: settings)
            let running = Task {
                try await consumer.runExactlyOnce(batchesOf: 4) { deliveries, transaction in
                    for delivery in deliveries {
                        try transaction.append(Event(type: "out", causationID: delivery.event.id))
                    }
                }
            }
            let other = try await log.consumer("p", settings: settings)
            var names = (work: "c", pull: "p")
            for number in 0..<100 {
                try await log.append(ConsumerTests.events(number * 5..<number * 5 + 5))
                let old = names
                async let first: Void = log.consumers.rename(old.work, to: "c-\(number)")
                async let second: Void = log.consumers.rename(old.pull, to: "p-\(number)")
                for delivery in try await other.next(max: 5, wait: .seconds(60)) {
                    try await delivery.acknowledgeDurably()
                }
                _ = try await (first, second)
                names = ("c-\(number)", "p-\(number)")
            }
            while try await log.consumers.status(of: names.work)?.acknowledged != 500 {
                let status = try #require(try await log.consumers.status(of: names.work))
                try #require(status.deadLetters == 0, "\(String(describing: status.lastError))")
                try await Task.sleep(for: .milliseconds(2))
            }
            #expect(try await log.count(.types("out")) == 500)
            #expect(consumer.name == names.work)
            await log.close()
            try await running.value
        }
    }

    @Test("members are told of a seek, a pause, a resumption and the end")
    func events() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ConsumerTests.events(0..<5))
            let consumer = try await log.consumer("c")
            #expect(try await ConsumerTests.drain(consumer).count == 5)
            try await log.consumers.pause("c")
            // One after the other: of two changes between two looks only what is left of them is told.
            var events = consumer.events.makeAsyncIterator()
            func next() async -> String { await events.next().map { "\($0)" } ?? "over" }
            #expect(await next().hasPrefix("joined"))
            #expect(await next() == "paused")
            try await log.consumers.resume("c")
            #expect(await next() == "resumed")
            try await log.consumers.seek("c", to: .position(2))
            #expect(await next() == "moved(to: 2)")
            try await log.consumers.delete("c")
            #expect(await next().hasPrefix("ended"))
            await log.close()
        }
    }

    @Test("a clone has to do what the first has not finished, and both go their own ways")
    func cloning() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ConsumerTests.events(0..<10))
            let consumer = try await log.consumer("c")
            let batch = try await consumer.next(max: 6, wait: .seconds(10))
            for delivery in batch where delivery.position != 2 { try delivery.acknowledge() }
            try await consumer.flush()
            try await log.consumers.clone("c", as: "d")
            let clone = try await log.consumer("d")
            #expect(try await ConsumerTests.drain(clone).sorted() == [2] + Array(6..<10))
            #expect(try await log.consumers.status(of: "c")?.offset == 2)
            await log.close()
        }
    }

    @Test("a deleted consumer ends its members with notFound, and one of its name begins anew")
    func deleting() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ConsumerTests.events(0..<5))
            let consumer = try await log.consumer("c")
            #expect(try await ConsumerTests.drain(consumer).count == 5)
            try await log.consumers.delete("c")
            #expect(try await log.consumers.status(of: "c") == nil)
            await refuses(.notFound) {
                while true { _ = try await consumer.next(max: 1, wait: .milliseconds(20)) }
            }
            await consumer.leave()
            let again = try await log.consumer("c")
            #expect(try await ConsumerTests.drain(again).count == 5)
            await log.close()
        }
    }

    @Test(
        "a delivery of a consumer that is no more is unknown to the log: settling it durably is a typed error"
    )
    func unknown() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ConsumerTests.events(0..<3))
            let consumer = try await log.consumer("c")
            let held = try await consumer.next(max: 3, wait: .seconds(10))
            try #require(held.count == 3)
            try await log.consumers.delete("c")
            for delivery in held {
                let error = await #expect(throws: EventLogError.self) {
                    try await delivery.acknowledgeDurably()
                }
                #expect(error.map { [.notFound, .leaseLost].contains($0.code) } == true, "\(error as Any)")
            }
            // One of the same name knows nothing of them.
            let again = try await log.consumer("c")
            #expect(try await ConsumerTests.drain(again) == [0, 1, 2])
            await refuses(.alreadySettled) { try held[0].acknowledge() }
            await log.close()
        }
    }

    @Test("retention waits for the slowest consumer; told not to, the consumer learns of it or skips")
    func retention() async throws {
        var configuration = EventLogConfiguration()
        configuration.segmentSizeBytes = 4096
        configuration.sealsInBackground = false
        try await withTemporaryLog { [configuration] _, open in
            let log = try await open(configuration)
            for _ in 0..<10 { try await log.append((0..<50).map { _ in Event(type: "t", stream: "s") }) }
            try await log.seal()
            try await log.consumers.create("slow")
            var settings = ConsumerSettings()
            settings.skipsMissingEvents = true
            try await log.consumers.create("skips", settings: settings)
            var policy = RetentionPolicy()
            policy.maximumEvents = 100
            #expect(try await log.retain(policy).isEmpty)
            policy.ignoresConsumers = true
            let dropped = try await log.retain(policy)
            let end = try #require(dropped.last?.positions.upperBound)

            let slow = try await log.consumer("slow")
            await refuses(.eventsGone) { _ = try await slow.next(max: 1, wait: .seconds(10)) }
            let skips = try await log.consumer("skips")
            #expect(try await skips.next(max: 1, wait: .seconds(10)).first?.position == end)
            await log.close()
        }
    }

    @Test(
        "the status tells offset, lag, what is in flight, waits or was given up on, rate and the last error")
    func status() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ConsumerTests.events(0..<10))
            let consumer = try await log.consumer("c")
            let batch = try await consumer.next(max: 8, wait: .seconds(10))
            for delivery in batch[..<5] { try delivery.acknowledge() }
            try await batch[5].park(because: "unreadable")
            try batch[6].retry(after: .seconds(600))
            try await consumer.flush()
            let status = try #require(try await log.consumers.status(of: "c"))
            #expect(status.offset == 6)
            #expect(status.lag == 4)
            #expect(status.lagTime > .zero)
            #expect(status.retries == 1)
            #expect(status.deadLetters == 1 && status.deadLettered == 1)
            #expect(status.acknowledged == 5)
            #expect(status.rate > 0)
            #expect(status.lastProgress != nil)
            #expect(status.lastError?.error == "negative acknowledgement")
            #expect(status.sessions.count == 1)
            #expect(try await log.consumers.list().map(\.name) == ["c"])
            await log.close()
        }
    }

    @Test("names and settings out of bounds are refused")
    func badInput() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            for name in ["", String(repeating: "x", count: 256), "a\nb"] {
                await refuses(.invalidArgument) { try await log.consumer(name) }
            }
            var changes: [(inout ConsumerSettings) -> Void] = []
            changes.append { $0.filter.limit = 1 }
            changes.append { $0.prefetch = 0 }
            changes.append { $0.leaseDuration = .zero }
            changes.append { $0.retry.maximumDeliveries = 0 }
            changes.append { $0.acknowledgeWithin = .seconds(31) }
            for change in changes {
                var settings = ConsumerSettings()
                change(&settings)
                await refuses(.invalidArgument) { [settings] in
                    try await log.consumer("c", settings: settings)
                }
            }
            #expect(try await log.consumers.list().isEmpty)
            await log.close()
        }
    }
}
