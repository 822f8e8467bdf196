import Tidelog
import TidelogTesting

/// Makes events that are meant to be awkward: few streams and ids, names that differ in bytes alone, payloads
/// from none to more than a page.
struct EventMaker {
    var random: SeededGenerator
    private var number: UInt64 = 0
    let hostileNames: Bool

    init(seed: UInt64, hostileNames: Bool) {
        self.random = SeededGenerator(seed: seed)
        self.hostileNames = hostileNames
    }

    static let plainStreams = ["a", "ab", "abc", "b", "order-1", "order-10", "order-2", "x.y"]
    /// "é" in one and in two code points, and names that only begin alike.
    static let hostileStreams = [
        "caf\u{E9}", "cafe\u{301}", "cafe", "\u{AC00}", "\u{1100}\u{1161}",
        String(repeating: "n", count: 255),
    ]
    static let types = ["order.placed", "order.paid", "order.paid.late", "stock", "stock.moved", "rare"]
    static let hostileTypes = ["typ\u{E9}", "type\u{301}"]
    static let patterns: [TypePattern] = [
        "order.*", "order.>", "stock", "*.paid", "rare", "none.such", "*", "typ\u{E9}", "order.paid.late",
    ]
    static let sources = ["web", "app", "\u{E9}", "e\u{301}"]

    mutating func pick<Value>(_ values: [Value]) -> Value { values[self.random.below(values.count)] }

    mutating func streamName() -> String {
        if self.hostileNames, self.random.chance(permille: 300) { return self.pick(Self.hostileStreams) }
        if self.random.chance(permille: 100) { return "s\(self.random.below(60))" }
        return self.pick(Self.plainStreams)
    }

    mutating func typeName() -> String {
        if self.hostileNames, self.random.chance(permille: 150) { return self.pick(Self.hostileTypes) }
        if self.random.chance(permille: 30) { return "many.\(self.random.below(300))" }
        return self.pick(Self.types)
    }

    mutating func id() -> EventID {
        self.number += 1
        if self.random.chance(permille: 300) { return EventID("e\(self.number)") }
        return EventID(uuid: self.random.next(), self.random.next())
    }

    mutating func smallID() -> EventID {
        if self.hostileNames, self.random.chance(permille: 200) { return self.pick(["\u{E9}", "e\u{301}"]) }
        return self.random.chance(permille: 500)
            ? EventID("c\(self.random.below(12))") : EventID(uuid: 7, UInt64(self.random.below(12)))
    }

    mutating func event(stream: String? = nil) -> Event {
        var event = Event(
            id: self.id(), type: self.typeName(),
            stream: stream ?? (self.random.chance(permille: 850) ? self.streamName() : nil),
            payload: self.payload(),
            timestamp: Timestamp(nanosecondsSinceEpoch: Int64(self.random.below(100_000)) - 1000))
        if self.random.chance(permille: 300) {
            event.source = self.pick(self.hostileNames ? Self.sources : ["web", "app"])
        }
        if self.random.chance(permille: 300) { event.correlationID = self.smallID() }
        if self.random.chance(permille: 200) { event.causationID = self.smallID() }
        if self.random.chance(permille: 100) { event.schemaVersion = UInt32(self.random.below(5)) }
        if self.random.chance(permille: 300) {
            event = event.with(metadata: ["tenant_id": .string(self.pick(["t1", "t2"])), "n": 1])
        }
        return event
    }

    mutating func events(_ count: Int) -> [Event] {
        var events: [Event] = []
        for _ in 0..<count { events.append(self.event()) }
        return events
    }

    /// How many events an append gets: around the counts at which the engine changes its ways.
    mutating func batchSize() -> Int {
        switch self.random.below(20) {
        case 0..<8: 1
        case 8..<13: 2 + self.random.below(9)
        case 13..<16: 46 + self.random.below(4)
        case 16..<19: 60 + self.random.below(100)
        default: 300
        }
    }

    private mutating func payload() -> EventPayload {
        let size: Int
        switch self.random.below(100) {
        case 0..<10: return .empty
        case 10..<80: size = 20 + self.random.below(200)
        case 80..<98: size = 200 + self.random.below(3000)
        default: size = 5000 + self.random.below(20_000)
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(size)
        while bytes.count < size {
            bytes += Array("{\"k\":\(self.random.below(1_000_000)),\"repeated\":\"words\"}".utf8)
        }
        return EventPayload(
            bytes: bytes, contentType: self.random.chance(permille: 700) ? "application/json" : nil)
    }
}
