import Foundation
import Synchronization
import Testing
import TidelogTesting

@testable import Tidelog

@Suite("What a bus takes care of at its edges")
struct BusCareTests {
    @Test("a publisher that waits goes on as soon as the reader has taken one event", arguments: [4, 1024])
    func anyRoom(size: Int) async throws {
        let bus = InMemoryBus()
        var events = try bus.events("a", buffer: .init(size: size)).makeAsyncIterator()
        for _ in 0..<size { try await bus.publish(Event(type: "a")) }
        let last = Task { try await bus.publish(Event(type: "a")) }
        try await Task.sleep(for: .milliseconds(20))
        _ = try await events.next()
        // Would be for ever, as nobody reads on.
        try await last.value
        for _ in 0..<size { #expect(try await events.next() != nil) }
        await bus.close()
    }

    @Test("what is delivered is counted also where a handler cancels another one for the same event")
    func counted() async throws {
        let bus = InMemoryBus()
        let other = Mutex<BusSubscription?>(nil)
        try bus.subscribe("a") { _ in other.withLock { $0 }?.cancel() }
        let cancelled = try await bus.subscribe("a") { (_: Event) async in }
        other.withLock { $0 = cancelled }
        try await bus.publish(Event(type: "a"))
        #expect(bus.health.delivered == 1)
        await bus.close()
    }

    @Test("closing waits for the call that is under way of a handler that was cancelled")
    func cancelledHandler() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            for bus in [InMemoryBus(), LogBus(log)] as [any EventBus] {
                let began = Atomic(false)
                let ended = Atomic(false)
                let subscription = try await bus.subscribe("a") { (_: Event) async in
                    began.store(true, ordering: .relaxed)
                    try? await Task.sleep(for: .milliseconds(100))
                    ended.store(true, ordering: .relaxed)
                }
                try await bus.publish(Event(type: "a"))
                while !began.load(ordering: .relaxed) { try await Task.sleep(for: .milliseconds(1)) }
                subscription.cancel()
                await bus.close()
                let hasEnded = ended.load(ordering: .relaxed)
                #expect(hasEnded)
            }
            await log.close()
        }
    }

    @Test(
        "a durable subscription that is cancelled in the middle saves where it was before the bus is closed")
    func cancelledDurable() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let bus = LogBus(log)
            let seen = Seen<Position>()
            let subscription = try await bus.subscribe("a", durable: "name", from: .beginning) { stored in
                seen.add(stored.position)
                try await Task.sleep(for: .milliseconds(2))
            }
            try await log.append((0..<50).map { _ in Event(type: "a") })
            while seen.values.count < 10 { try await Task.sleep(for: .milliseconds(1)) }
            subscription.cancel()
            await bus.close()
            await log.close()
            let again = try await open(.init())
            let next = LogBus(again)
            let before = seen.values
            try await next.subscribe("a", durable: "name") { seen.add($0.position) }
            while seen.values.count < 50 { try await Task.sleep(for: .milliseconds(1)) }
            #expect(seen.values == (0..<50).map { Position($0) })
            #expect(before.count < 50)
            await next.close()
            await again.close()
        }
    }

    @Test("a bus on a log that nobody holds any more ends its streams of failures")
    func released() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            var bus: LogBus? = LogBus(log)
            let failures = try #require(bus).failures
            bus = nil
            // Would be for ever.
            for await failure in failures { Issue.record("\(failure)") }
            await log.close()
        }
    }

    @Test("merging metadata keeps numbers as they are written")
    func numbers() throws {
        var metadata: EventMetadata = ["a": "b"]
        metadata.merge(try EventMetadata(json: Array(#"{"n":18446744073709551616,"e":1E400,"a":"c"}"#.utf8)))
        #expect(
            String(decoding: metadata.json, as: UTF8.self) == #"{"a":"c","n":18446744073709551616,"e":1E400}"#
        )
    }

    @Test("metadata that are nested too deep to be read in every form are refused")
    func depth() throws {
        func nested(_ count: Int) throws -> Event {
            let arrays = String(repeating: "[", count: count - 1) + String(repeating: "]", count: count - 1)
            return Event(type: "a", metadata: try EventMetadata(json: Array("{\"a\":\(arrays)}".utf8)))
        }
        let most = try nested(500)
        try most.validate()
        for form in [EventForm.plain, .cloudEvents] {
            var decoder = EventJSONDecoder(form: form)
            #expect(try decoder.decode(EventJSONEncoder(form: form).encode(most)) == most)
            #expect(try decoder.decodeBatch(EventJSONEncoder(form: form).encodeBatch([most])) == [most])
        }
        let event = try nested(501)
        #expect(throws: EventLogError.self) { try event.validate() }
        var value = MetadataValue.array([])
        for _ in 0..<600 { value = .array([value]) }
        let literal = Event(type: "a", metadata: ["a": value, "tenant_id": "t"])
        #expect(throws: EventLogError.self) { try literal.validate() }
    }

    @Test("a condition may ask the recording bus", .timeLimit(.minutes(5)))
    func nestedQuestions() async throws {
        let bus = RecordingBus()
        try await bus.publish(Event(type: "a"))
        #expect(bus.hasEvent { _ in bus.events.count == 1 })
        async let later = bus.waitForEvent { $0.type == "b" && bus.hasEvent(ofType: "a") }
        try await Task.sleep(for: .milliseconds(20))
        try await bus.publish(Event(type: "b"))
        #expect(try await later.type == "b")
        #expect(try await bus.waitForEvent { $0.type == "b" && bus.events.count == 2 }.type == "b")
        await bus.close()
    }
}
