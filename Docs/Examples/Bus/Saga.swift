// A process over several parts that undoes what it did when a later step fails.
import Testing
import Tidelog
import TidelogTesting

extension BasicUse {
    /// Each part knows its own step alone; the saga is the events between them.
    static func connect(_ bus: any EventBus, warehouseHas stock: Int) async throws {
        try await bus.subscribe("order.placed") { event in
            try await bus.publish(Event(type: "payment.taken").caused(by: event))
        }
        try await bus.subscribe("payment.taken") { event in
            let type = stock > 0 ? "goods.reserved" : "goods.missing"
            try await bus.publish(Event(type: type).caused(by: event))
        }
        try await bus.subscribe("goods.reserved") { event in
            try await bus.publish(Event(type: "order.completed").caused(by: event))
        }
        // Compensation: what had been done is undone, in the other order.
        try await bus.subscribe("goods.missing") { event in
            try await bus.publish(Event(type: "payment.returned").caused(by: event))
        }
        try await bus.subscribe("payment.returned") { event in
            try await bus.publish(Event(type: "order.cancelled").caused(by: event))
        }
    }

    @Test("saga: where a step fails, the steps before it are undone", arguments: [0, 1])
    func saga(stock: Int) async throws {
        let bus = RecordingBus()
        try await Self.connect(bus, warehouseHas: stock)
        try await bus.publish(Event(.orderPlaced).withCorrelation("order-42"))
        if stock > 0 {
            _ = try await bus.waitForEvent(ofType: "order.completed")
            #expect(!bus.hasEvent(ofType: "payment.returned"))
        } else {
            let end = try await bus.waitForEvent(ofType: "order.cancelled")
            #expect(end.correlationID == "order-42")
            #expect(bus.hasEvent(ofType: "payment.returned"))
            #expect(!bus.hasEvent(ofType: "order.completed"))
        }
        await bus.close()
    }
}
