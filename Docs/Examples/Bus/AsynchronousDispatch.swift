// Publishers that do not wait for handlers, handlers that suspend, and events as a sequence.
import Testing
import Tidelog

extension BasicUse {
    @Test("asynchronous dispatch: publishing returns at once, closing delivers the rest")
    func asynchronousDispatch() async throws {
        let bus = try InMemoryBus(dispatch: .asynchronous(size: 256, whenFull: .wait))
        let seen = Collected<Int>()
        try bus.subscribe("reading.taken") { event in
            seen.append(event.metadata["number"]?.integer.map { Int($0) } ?? -1)
        }
        for number in 0..<1000 {
            try await bus.publish(Event(type: "reading.taken", metadata: ["number": .integer(Int64(number))]))
        }
        await bus.close()
        #expect(seen.values == Array(0..<1000))
    }

    @Test("a handler that suspends has a queue of its own, and drops what is too old")
    func suspendingHandler() async throws {
        let bus = InMemoryBus()
        let shown = Collected<String>()
        try bus.subscribe("price.changed", buffer: .init(size: 1, whenFull: .dropOldest)) { event in
            try await Task.sleep(for: .milliseconds(2))  // drawing takes its time
            shown.append(event.payload.text ?? "")
        }
        for price in 1...100 { try await bus.publish(Event(type: "price.changed", text: "\(price)")) }
        await bus.close()
        #expect(shown.values.last == "100")
        #expect(shown.values.count < 100)
    }

    @Test("events as a sequence end when the bus is closed")
    func sequence() async throws {
        let bus = InMemoryBus()
        let events = try await bus.events("order.*")
        let reader = Task {
            var types: [String] = []
            for try await event in events { types.append(event.type) }
            return types
        }
        try await bus.publish(Event(.orderPlaced))
        try await bus.publish(Event(.orderPaid))
        await bus.close()
        #expect(try await reader.value == ["order.placed", "order.paid"])
    }
}
