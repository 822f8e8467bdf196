// How an app tests what it publishes.
import Testing
import Tidelog
import TidelogTesting

/// A part of an app; it knows no more of the bus than that it is one.
struct Till {
    let bus: any EventBus

    func pay(_ cents: Int) async throws {
        guard cents > 0 else {
            return try await self.bus.publish(
                Event(.billingPaymentFailed, metadata: ["cents": .integer(Int64(cents))]))
        }
        try await self.bus.publish(
            Event(.billingPaymentReceived, metadata: ["cents": .integer(Int64(cents))]))
    }
}

extension BasicUse {
    @Test("the recording bus tells what was published, and waits for what is still to come")
    func recording() async throws {
        let bus = RecordingBus()
        let till = Till(bus: bus)

        try await till.pay(1299)
        #expect(bus.hasEvent(ofType: "billing.payment.received"))
        #expect(!bus.hasEvent(ofType: "*.*.failed"))

        bus.clear()
        let later = Task { try await till.pay(0) }
        let failed = try await bus.waitForEvent(ofType: "billing.payment.failed", timeout: .seconds(20))
        #expect(failed.metadata["cents"]?.integer == 0)
        try await later.value
        await bus.close()
    }

    @Test("the bus that delivers nothing stands in where nobody is to be told")
    func noop() async throws {
        let bus = NoopBus()
        try await Till(bus: bus).pay(1299)
        #expect(bus.publishedCount == 1)
    }
}
