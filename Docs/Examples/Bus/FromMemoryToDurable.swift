// The same app on another bus: one line is another one.
import Testing
import Tidelog
import TidelogTesting

extension BasicUse {
    /// An app; which bus it runs on is said by whoever starts it.
    static func run(on bus: any EventBus) async throws -> [String] {
        let seen = Collected<String>()
        try await bus.subscribe("order.*") { seen.append($0.type) }
        try await bus.publish(Event(.orderPlaced))
        try await bus.publish(Event(.orderPaid))
        await bus.close()
        return seen.values
    }

    @Test("from the in-memory bus to the durable one by changing one line")
    func fromMemoryToDurable() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let buses: [any EventBus] = [
                InMemoryBus(),  // this line …
                LogBus(log),  // … or this one
            ]
            for bus in buses { #expect(try await Self.run(on: bus) == ["order.placed", "order.paid"]) }
            #expect(try await log.count() == 2)
            await log.close()
        }
    }
}
