// Commands write events, queries read a model that a durable subscription keeps.
import Testing
import Tidelog
import TidelogTesting

extension BasicUse {
    /// What is asked: how much of each item was ordered.
    actor Demand {
        private(set) var cents: [String: Int] = [:]
        private(set) var applied = 0

        func apply(_ stored: StoredEvent) throws {
            let order: OrderPlaced = try stored.payload.decode()
            self.cents[order.item, default: 0] += order.cents
            self.applied += 1
        }
    }

    @Test("CQRS: the side that is asked follows the side that is told, also after a restart")
    func cqrs() async throws {
        try await withTemporaryLog { _, open in
            let demand = Demand()
            for round in 1...2 {
                let log = try await open(.init())
                let bus = LogBus(log)
                try await bus.subscribe("order.placed", durable: "demand", from: .beginning) { stored in
                    try await demand.apply(stored)
                }
                // The command side.
                for item in ["hay", "oats"] {
                    let order = try Event(
                        type: "order.placed", stream: "order-\(round)-\(item)",
                        encoding: OrderPlaced(item: item, cents: 100 * round))
                    try await bus.publish(order)
                }
                await bus.close()  // delivers what was committed, and saves where the reader is
                await log.close()
            }
            #expect(await demand.cents == ["hay": 300, "oats": 300])
            #expect(await demand.applied == 4)
        }
    }
}
