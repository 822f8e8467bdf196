// CQRS: commands append events, queries ask a projection. Run with: swift run example-cqrs
import SystemPackage
import Tidelog
import TidelogTesting

struct Order: Codable { var country: String, total: Int64 }

let sales = Projection("sales", of: .types("order.placed")) { stored, state in
    let order = try stored.payload.decode(as: Order.self)
    try state.add(order.total, to: "total/\(order.country)")
    try state.add(1, to: "orders")
}

// The same events, another question: a new version of the function is built beside the old state.
let average = Projection("sales", version: 2, of: .types("order.placed")) { stored, state in
    let order = try stored.payload.decode(as: Order.self)
    let total = try state.add(order.total, to: "total/\(order.country)")
    let count = try state.add(1, to: "count/\(order.country)")
    try state.set("average/\(order.country)", .integer(total / count))
}

try await withTemporaryLog { _, open in
    let log = try await open(.init())
    let running = try await log.start(sales)
    var last: Position = 0
    for (index, country) in ["FR", "IT", "FR", "IT", "FR"].enumerated() {
        let order = Order(country: country, total: Int64(index + 1) * 100)
        let event = try Event(type: "order.placed", encoding: order)
        last = try await log.append(event, to: "order-\(index)").positions.lowerBound
    }
    await running.waitUntil(last)  // read what one has written

    let reader = log.projection("sales")
    for entry in try await reader.entries(prefix: "total/") {
        print("\(entry.key): \(entry.value.integer ?? 0)")
    }
    await running.stop()

    try await log.rebuild(average)
    print("average of FR: \(try await reader.integer("average/FR") ?? 0)")
    if let status = try await reader.status() {
        print("version \(status.version), \(status.lag) events behind")
    }
    await log.close()
}
