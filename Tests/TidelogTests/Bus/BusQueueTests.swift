import Testing
import TidelogTesting

@testable import Tidelog

@Suite("The queues of an in-memory bus's subscriptions")
struct BusQueueTests {
    private static func number(_ event: Event) -> Int64 { event.metadata["n"]?.integer ?? -1 }
    private static func event(_ number: Int) -> Event {
        Event(type: "n", metadata: ["n": .integer(Int64(number))])
    }

    @Test("a subscription that is waited for gets all that was accepted, and a handler learns what was not")
    func handlersAndFullQueues() async throws {
        let bus = InMemoryBus()
        let door = Door()
        let seen = Seen<String>()
        let refused = Seen<EventLogError.Code>()
        try bus.subscribe("start") { _ in
            for number in 1...4 {
                do throws(EventLogError) {
                    try bus.publish(Event(type: "n.\(number)"))
                } catch {
                    refused.add(error.code)
                }
            }
        }
        try bus.subscribe(
            "*", buffer: .init(size: 1),
            handler: { event in
                await door.pass()
                seen.add(event.type)
            })
        try await bus.publish(Event(type: "first"))
        await door.arrived()
        // There is room for it, and none any more when its turn comes in the queue.
        try await bus.publish(Event(type: "start"))
        #expect(refused.values == [.limitExceeded, .limitExceeded])
        door.open()
        await bus.close()
        #expect(seen.values == ["first", "n.1", "n.2", "start"])
        #expect(bus.health.failed == 0)
    }

    @Test("a full subscription that refuses costs one that is waited for nothing")
    func refusingBesidePatient() async throws {
        let bus = try InMemoryBus(dispatch: .asynchronous(size: 256))
        let door = Door()
        let patient = Seen<Int64>()
        try bus.subscribe(
            "n", buffer: .init(size: 1, whenFull: .fail), handler: { _ in await door.pass() })
        try bus.subscribe(
            "n", buffer: .init(size: 2),
            handler: { event in
                try await Task.sleep(for: .microseconds(200))
                patient.add(Self.number(event))
            })
        for number in 0..<100 { try await bus.publish(Self.event(number)) }
        while patient.count < 50, bus.health.waiting > 1 { await Task.yield() }
        door.open()
        await bus.close()
        #expect(patient.values == Array(0..<100))
        #expect(bus.health.failed > 0)
    }

    @Test("a sequence whose reader was cancelled gives another reader what comes next, and loses nothing")
    func secondReader() async throws {
        let bus = InMemoryBus()
        let stream = try await bus.events("n")
        for number in 0..<10 { try await bus.publish(Self.event(number)) }
        let first = Task {
            var got: [Int64] = []
            for try await event in stream {
                got.append(Self.number(event))
                if got.count == 3 { withUnsafeCurrentTask { $0?.cancel() } }
            }
            return got
        }
        #expect(try await first.value == [0, 1, 2])
        await bus.close()
        var rest: [Int64] = []
        for try await event in stream { rest.append(Self.number(event)) }
        #expect(rest == Array(3..<10))
    }

    @Test("what a subscription dropped counts once, whether it is cancelled before closing or after")
    func droppedOnce() async throws {
        let bus = InMemoryBus()
        let door = Door()
        let subscriptions = try (0..<2).map { _ in
            try bus.subscribe(
                "n", buffer: .init(size: 1, whenFull: .dropNewest), handler: { _ in await door.pass() })
        }
        try await bus.publish(Self.event(0))
        await door.arrived(2)
        for number in 1...4 { try await bus.publish(Self.event(number)) }
        #expect(bus.health.dropped == 6)
        subscriptions[0].cancel()
        #expect(bus.health.dropped == 6)
        door.open()
        await bus.close()
        #expect(bus.health.dropped == 6)
        subscriptions[1].cancel()
        #expect(bus.health.dropped == 6)
    }

    @Test("a subscription that a handler of another bus makes is not within that handler")
    func subscribedWithin() async throws {
        let (outer, inner) = (InMemoryBus(), InMemoryBus())
        let seen = Seen<[UInt64]>()
        try await outer.subscribe(
            "start",
            handler: { _ in
                try await inner.subscribe("n", handler: { _ in seen.add(BusContext.handling) })
            })
        try await outer.publish(Event(type: "start"))
        await outer.close()
        try await inner.publish(Self.event(0))
        await inner.close()
        #expect(seen.values == [[inner.state.core.number]])
    }

    @Test(
        "synchronous code in a cancelled task publishes nothing to those who listen",
        arguments: [InMemoryBus.Dispatch.synchronous, .asynchronous()])
    func cancelledSynchronously(dispatch: InMemoryBus.Dispatch) async throws {
        let bus = try InMemoryBus(dispatch: dispatch)
        let seen = Seen<String>()
        try bus.subscribe("*") { seen.add($0.type) }
        let publisher = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return Self.refusal(of: Event(type: "a"), bus)
        }
        #expect(await publisher.value == .cancelled)
        await bus.close()
        #expect(seen.values.isEmpty)
        #expect(bus.health.published == 0)
    }

    /// From code that cannot suspend.
    private static func refusal(of event: Event, _ bus: InMemoryBus) -> EventLogError.Code? {
        do throws(EventLogError) {
            try bus.publish(event)
            return nil
        } catch {
            return error.code
        }
    }
}
