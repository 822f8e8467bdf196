// An audit trail: who did what, because of what, and what was when. Run with: swift run example-audit-trail
import SystemPackage
import Tidelog
import TidelogTesting

struct Limit: Codable { var limit: Int }

try await withTemporaryLog { _, open in
    let log = try await open(.init())
    let request = Event(type: "request.received", stream: "requests", correlationID: "r-19")
    try await log.append(request)
    for (day, (user, limit)) in [("ada", 100), ("ben", 500), ("ada", 300)].enumerated() {
        var event = try Event(type: "card.limit_set", encoding: Limit(limit: limit)).caused(by: request)
        event.metadata = ["user_id": .string(user), "tenant_id": "acme"]
        event.timestamp = try Timestamp(year: 2025, month: 3, day: day + 1)
        try await log.append(event, to: "card-7")
    }

    print("set off by r-19:")
    for stored in try await log.events(.correlation("r-19")).dropFirst() {
        print("  \(stored.timestamp) \(stored.metadata.userID ?? "?") \(stored.payload.text ?? "")")
    }
    let noon = try Timestamp(year: 2025, month: 3, day: 2, hour: 12)
    let then = try await log.state(of: "card-7", asOf: .time(noon), from: 0) { limit, stored in
        limit = try stored.payload.decode(as: Limit.self).limit
    }
    print("the limit on 2 March at noon: \(then.state)")

    // What the trail may hold is said once, and what does not fit is refused from then on.
    try await log.schemas.register(
        JSONSchema(#"{"type":"object","required":["limit"],"properties":{"limit":{"type":"integer"}}}"#),
        for: "card.limit_set")
    do {
        try await log.append(Event(type: "card.limit_set", stream: "card-7", json: #"{"limit":"none"}"#))
    } catch EventLogError.Code.schemaViolation {
        print("refused: no number")
    }
    await log.close()
}
