import Testing
import Tidelog
import TidelogTesting

@Suite("Exactly once, and scheduled events")
struct ExactlyOnceTests {
    @Test("a handler's events, values and timers are committed with its acknowledgement, or none of them")
    func together() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(
                (0..<100).map { Event(id: .init("in-\($0)"), type: "in", stream: "s-\($0 % 4)") })
            var settings = ConsumerSettings()
            settings.filter = .types("in")
            settings.retry = .immediate(maximumDeliveries: nil)
            let consumer = try await log.consumer("c", settings: settings)
            let running = Task {
                try await consumer.runExactlyOnce(batchesOf: 10, concurrency: 2) { deliveries, transaction in
                    for delivery in deliveries {
                        try transaction.append(Event(type: "out", stream: "out"))
                        // The first try of each tenth event is thrown away as a whole.
                        if delivery.position.rawValue % 10 == 3, delivery.attempt == 1 { throw Refused() }
                        try transaction.set([1], for: "seen-\(delivery.position)")
                        try transaction.schedule(Event(type: "later"), after: .seconds(3600))
                    }
                }
            }
            while try await log.consumers.status(of: "c")?.acknowledged != 100 {
                try await Task.sleep(for: .milliseconds(5))
            }
            running.cancel()
            try await running.value
            #expect(try await log.count(.types("out")) == 100)
            for position in 0..<100 { #expect(try await log.value(for: "seen-\(position)") == [1]) }
            #expect(try await log.value(for: "seen-100") == nil)
            #expect(try await log.scheduledEvents().count == 100)
            await log.close()
        }
    }

    @Test("a transaction whose expectation fails, or whose lease was lost, commits nothing")
    func refused() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(Event(type: "in", stream: "s"))
            var settings = ConsumerSettings()
            settings.filter = .types("in")
            settings.retry = .immediate(maximumDeliveries: 2)
            let consumer = try await log.consumer("c", settings: settings)
            let running = Task {
                try await consumer.runExactlyOnce { deliveries, transaction in
                    try transaction.set([1], for: "state")
                    if deliveries[0].attempt == 1 {
                        try transaction.append(Event(type: "out"), to: "s", expecting: .noStream)
                    } else {
                        try transaction.append(Event(type: "out"), to: "s")
                        try await log.consumers.seek("c", to: .end)
                    }
                }
            }
            while try await log.consumers.status(of: "c")?.offset == 0 {
                try await Task.sleep(for: .milliseconds(5))
            }
            // The seek ended the lease of the second attempt, whose commit comes after it.
            try await consumer.flush()
            running.cancel()
            try await running.value
            #expect(try await log.count(.types("out")) == 0)
            #expect(try await log.value(for: "state") == nil)
            await log.close()
        }
    }

    @Test("an event that was appended before with the same id is acknowledged and not appended again")
    func repeats() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let out = Event(id: "out-1", type: "out", stream: "out")
            try await log.append([Event(type: "in", stream: "s"), out])
            var settings = ConsumerSettings()
            settings.filter = .types("in")
            let consumer = try await log.consumer("c", settings: settings)
            let running = Task {
                try await consumer.runExactlyOnce { _, transaction in
                    try transaction.append(out)
                    try transaction.set([7], for: "state")
                }
            }
            while try await log.consumers.status(of: "c")?.acknowledged != 1 {
                try await Task.sleep(for: .milliseconds(5))
            }
            running.cancel()
            try await running.value
            #expect(try await log.count(.types("out")) == 1)
            #expect(try await log.value(for: "state") == [7])
            await log.close()
        }
    }

    @Test("a scheduled event is appended once when it is due, also after a restart, unless it is taken back")
    func scheduled() async throws {
        try await withTemporaryLog { _, open in
            var log = try await open(.init())
            let soon = Timestamp.now().advanced(by: .seconds(3))
            try await log.schedule(Event(id: "at", type: "t"), to: "s", at: soon)
            try await log.schedule(Event(id: "after", type: "t"), to: "s", after: .seconds(2))
            try await log.schedule(Event(id: "never", type: "t"), after: .seconds(2))
            try await log.schedule(Event(id: "far", type: "t"), after: .seconds(3600))
            #expect(try await log.cancelScheduled(id: "never"))
            #expect(try await !log.cancelScheduled(id: "never"))
            await log.close()
            log = try await open(.init())
            while try await log.count() < 2 { try await Task.sleep(for: .milliseconds(5)) }
            #expect(Timestamp.now() >= soon)
            #expect(try await log.event(id: "after")?.stream == "s")
            #expect(try await log.event(id: "never") == nil)
            #expect(try await log.scheduledEvents().map(\.event.id) == ["far"])
            #expect(try await !log.cancelScheduled(id: "at"))
            await log.close()
        }
    }

    @Test(
        "a scheduled event that cannot be appended any more is kept with its problem, and holds up no other")
    func unappendable() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(Event(type: "t"), to: "gone")
            try await log.schedule(Event(id: "bad", type: "t"), to: "gone", after: .milliseconds(100))
            try await log.schedule(Event(id: "good", type: "t"), to: "there", after: .milliseconds(100))
            try await log.delete(stream: "gone")
            while try await log.event(id: "good") == nil { try await Task.sleep(for: .milliseconds(5)) }
            while try await log.scheduledEvents().first?.problem == nil {
                try await Task.sleep(for: .milliseconds(5))
            }
            #expect(try await log.scheduledEvents().map(\.event.id) == ["bad"])
            #expect(try await log.cancelScheduled(id: "bad"))
            await log.close()
        }
    }

    @Test("a scheduled event that is in the log already when it is due is done with, and holds up no other")
    func appendedAlready() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let known = [Event(id: "k1", type: "t", stream: "s"), Event(id: "k2", type: "t", stream: "s")]
            try await log.append(known)
            for event in known { try await log.schedule(event, after: .zero) }
            try await log.schedule(Event(id: "new", type: "t"), after: .milliseconds(50))
            var looks = 0
            while try await !log.scheduledEvents().isEmpty, looks < 6000 {
                looks += 1
                try await Task.sleep(for: .milliseconds(5))
            }
            #expect(try await log.scheduledEvents().isEmpty)
            #expect(try await log.events(.all).map(\.id) == ["k1", "k2", "new"])
            await log.close()
        }
    }

    struct Refused: Error {}
}
