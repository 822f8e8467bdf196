// Subscribe, publish, cancel, close.
import Testing
import Tidelog
import TidelogTesting

/// An app's own types of events, beside the standard ones.
extension EventType {
    static let orderPlaced: EventType = "order.placed"
    static let orderPaid: EventType = "order.paid"
}

struct OrderPlaced: Codable, Equatable {
    var item: String
    var cents: Int
}

@Suite("Examples")
struct BasicUse {
    @Test("basic use: a handler gets the events of its type until it is cancelled")
    func basicUse() async throws {
        let bus = InMemoryBus()
        let orders = Collected<OrderPlaced>()

        let subscription = try bus.subscribe(TypePattern(.orderPlaced)) { event in
            orders.append(try event.payload.decode())
        }
        let placed = OrderPlaced(item: "hay", cents: 1299)
        try await bus.publish(Event(.orderPlaced, payload: try .init(encoding: placed)))

        subscription.cancel()
        try await bus.publish(Event(.orderPlaced, payload: try .init(encoding: placed)))
        await bus.close()

        #expect(orders.values == [placed])
    }

    @Test("metadata say on whose behalf something happened, in JSON's own types")
    func metadata() async throws {
        let bus = InMemoryBus()
        let seen = Collected<Event>()
        try bus.subscribe("user.*") { seen.append($0) }

        var metadata: EventMetadata = [
            "attempt": 2, "beta": true, "client": ["name": "app", "version": 3.1],
        ]
        metadata.userID = "u-42"
        metadata.tenantID = "farm-7"
        try await bus.publish(Event(.userAuthenticated, metadata: metadata, source: "login"))

        let event = try #require(seen.values.first)
        #expect(event.metadata.tenantID == "farm-7")
        #expect(event.metadata["client"]?.object?["version"] == 3.1)
        await bus.close()
    }

    @Test("wildcards: one star stands for a token, a trailing > for one or more")
    func wildcards() async throws {
        let bus = InMemoryBus()
        let payments = Collected<String>()
        let billing = Collected<String>()
        let all = Collected<String>()
        try bus.subscribe("billing.payment.*") { payments.append($0.type) }
        try bus.subscribe("billing.>") { billing.append($0.type) }
        try bus.subscribe("*") { all.append($0.type) }

        try await bus.publish(Event(.billingPaymentReceived))
        try await bus.publish(Event(.billingSubscriptionCreated))
        try await bus.publish(Event(.systemModeChanged))
        await bus.close()

        #expect(payments.values == ["billing.payment.received"])
        #expect(billing.values == ["billing.payment.received", "billing.subscription.created"])
        #expect(all.values.count == 3)
    }
}
