// What belongs together, and what caused what.
import Testing
import Tidelog
import TidelogTesting

extension BasicUse {
    @Test("correlation: everything that one request set off can be told from the rest")
    func correlation() async throws {
        let bus = RecordingBus()
        try await bus.subscribe("order.placed") { placed in
            try await bus.publish(Event(.orderPaid, source: "billing").caused(by: placed))
        }
        try await bus.subscribe("order.paid") { paid in
            try await bus.publish(Event(type: "order.shipped", source: "warehouse").caused(by: paid))
        }

        let placed = Event(.orderPlaced).withCorrelation("request-1").withSource("shop")
        try await bus.publish(placed)
        let shipped = try await bus.waitForEvent(ofType: "order.shipped")

        let paid = try #require(bus.events(ofType: "order.paid").first)
        #expect(paid.causationID == placed.id)
        #expect(shipped.causationID == paid.id)
        #expect(bus.events.allSatisfy { $0.correlationID == "request-1" })
        await bus.close()
    }
}
