// A saga: reserve goods, ask for payment, undo when it is refused or never comes. Run: swift run example-saga
import SystemPackage
import Tidelog
import TidelogTesting

struct Checkout: Codable, Sendable { var isPaid = false }

func checkout(now: @escaping @Sendable () -> Timestamp) -> ProcessManager<Checkout> {
    var process = ProcessManager(
        "checkout", state: Checkout(), of: .types("order.placed", "payment.received", "payment.refused")
    ) {
        $0.event.correlationID?.description
    } handle: { stored, state, actions in
        switch stored.type {
        case "order.placed":
            actions.send(
                Event(type: "goods.reserve", stream: "goods"),
                undoneBy: Event(type: "goods.release", stream: "goods"))
            actions.send(Event(type: "payment.request", stream: "payments"))
            actions.setTimer("unpaid", after: .seconds(900))
        case "payment.received":
            state.isPaid = true
            actions.send(Event(type: "goods.ship", stream: "goods"))
            actions.complete()
        default:
            actions.undo()
            actions.complete()
        }
    } timer: { _, _, actions in
        actions.undo()
        actions.complete()
    }
    process.now = now
    return process
}

func event(_ type: String, _ order: String) -> Event { Event(type: type).withCorrelation(EventID(order)) }

try await withTemporaryLog { _, open in
    let log = try await open(.init())
    let start = Timestamp.now()
    try await log.append(["paid", "refused", "forgotten"].map { event("order.placed", $0) })
    try await log.catchUp(checkout { start })
    try await log.append([event("payment.received", "paid"), event("payment.refused", "refused")])
    try await log.catchUp(checkout { start })
    print("waiting: \(try await log.process("checkout").timers().map(\.instance))")

    // Twenty minutes later, also after a crash: the timer is in the log.
    try await log.catchUp(checkout { start.advanced(by: .seconds(1200)) })
    print("goods: \(try await log.events(.stream("goods")).map(\.type))")
    print("left: \(try await log.process("checkout").instances())")
    await log.close()
}
