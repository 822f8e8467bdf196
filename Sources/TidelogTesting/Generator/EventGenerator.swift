public import Tidelog

/// Makes events like those of a shop with sensors: the same for the same seed, on every machine, for ever.
///
/// The benchmarks, the tests and `tidelog bench` run on them. What it makes:
///
/// - **Size**: 254 bytes on average in the plain JSON form without white space, from some 170 to some 450.
///   Such lines compress to about 50 bytes each by zstd at level 3 in blocks of 128 KiB.
/// - **Ids**: UUIDs of version 7 from a simulated clock that starts at 2026-01-01T00:00:00Z and moves on by
///   1 to 8,191 microseconds an event (about 244 events a second); the timestamp is that clock's reading.
/// - **Types**: 20, from `sensor.reading` (24 %) to `audit.failed` (0.3 %); ``rareType`` is 1 %, drawn
///   independently for each event.
/// - **Streams**: every event has one, out of ``Configuration/streams``, all equally likely, whatever
///   the type.
/// - **Chains**: 20 % of the events belong to chains of 1 to 7 events (4 on average), up to 32 of which are
///   open at once. The events of a chain share a correlation id, a random UUID; each but the first has the
///   chain's previous event as its cause.
/// - **Payloads**: JSON of 3 to 5 members, nested for orders and parcels, numbers whole and decimal, texts.
/// - **Metadata**: half have a user (one of 5,000, the low ones more often) and a tenant (one of 20), a
///   quarter of these a request id of 32 random bits too. About half have a source, one of four.
///
/// **Entropy.** How small a log gets depends on what cannot be predicted, so here it is, in bytes an event:
/// id 7.8, payload 4.1, metadata 1.7, stream 1.7 (at 10,000), clock 1.6, chains 1.0, type and source 0.6;
/// some 18 in all. No payload is copied from a small set, and no text is filler.
public struct EventGenerator: Sendable, Sequence, IteratorProtocol {
    /// What can be chosen beside the seed.
    public struct Configuration: Sendable, Hashable {
        /// How many streams the events are spread over. Default: 10,000.
        public var streams = 10_000

        /// The default configuration.
        public init() {}
    }

    /// The type that one event in a hundred has.
    public static let rareType = "payment.refused"

    /// The types with their frequencies in 1,000 events.
    public static let types: [(name: String, permille: Int)] = [
        ("sensor.reading", 240), ("cart.updated", 160), ("order.placed", 110), ("order.paid", 90),
        ("order.shipped", 70), ("order.delivered", 60), ("user.authenticated", 55), ("stock.adjusted", 45),
        ("invoice.issued", 35), ("price.changed", 28), ("emissions.calculated", 22), ("user.updated", 18),
        ("review.posted", 15), ("order.cancelled", 12), (EventGenerator.rareType, 10), ("user.created", 9),
        ("refund.granted", 7), ("ticket.opened", 6), ("voucher.redeemed", 5), ("audit.failed", 3),
    ]

    /// When the simulated clock starts: 2026-01-01T00:00:00Z.
    public static let start = Timestamp(nanosecondsSinceEpoch: 1_767_225_600_000_000_000)

    private static let sources = ["web", "app", "iot", "erp"]
    private static let typeOfDraw: [UInt8] = Self.types.enumerated().flatMap { index, type in
        [UInt8](repeating: UInt8(index), count: type.permille)
    }

    private struct Chain {
        var correlation: EventID
        var last: EventID?
        var remaining: Int
    }

    private var random: SeededGenerator
    private let streams: Int
    private var microseconds: UInt64
    private var chains: [Chain]

    /// The events that belong to `seed`.
    public init(seed: UInt64, configuration: Configuration = .init()) {
        precondition(configuration.streams > 0, "There must be at least one stream.")
        self.random = SeededGenerator(seed: seed)
        self.streams = configuration.streams
        self.microseconds = UInt64(Self.start.nanosecondsSinceEpoch / 1000)
        self.chains = Array(
            repeating: Chain(correlation: .init(uuid: 0, 0), last: nil, remaining: 0), count: 32)
    }

    /// The next event; there is always one.
    public mutating func next() -> Event? { self.nextEvent() }

    /// The next `count` events.
    public mutating func events(_ count: Int) -> [Event] {
        var events: [Event] = []
        events.reserveCapacity(count)
        for _ in 0..<count { events.append(self.nextEvent()) }
        return events
    }

    /// The next event.
    public mutating func nextEvent() -> Event {
        self.microseconds += UInt64(1 + self.random.below(8191))
        let clock = (self.microseconds / 1000) << 12 | (self.microseconds % 1000) * 4096 / 1000
        let id = EventID.version7(clock: clock, random: self.random.next())
        let type = Int(Self.typeOfDraw[self.random.below(1000)])

        var text: [UInt8] = []
        text.reserveCapacity(192)
        self.appendMetadata(to: &text)
        let split = text.count
        EventContents.append(type: Self.types[type].name, to: &text, &self.random)

        var event = Event(
            id: id, type: Self.types[type].name, stream: Self.stream(self.random.below(self.streams)),
            payload: EventPayload(bytes: text[split...], contentType: EventPayload.jsonContentType),
            metadata: EventMetadata(stored: text[..<split]),
            timestamp: Timestamp(nanosecondsSinceEpoch: Int64(self.microseconds) * 1000),
            source: self.source(ofType: type))
        if self.random.chance(permille: 200) { self.chain(&event) }
        return event
    }

    /// The name of a stream, from 0 on.
    public static func stream(_ number: Int) -> String {
        String(unsafeUninitializedCapacity: 32) { buffer in
            var value = number
            var digits = 1
            while value > 9 {
                value /= 10
                digits += 1
            }
            _ = buffer.update(fromContentsOf: "item-".utf8)
            value = number
            for place in stride(from: 4 + digits, to: 4, by: -1) {
                buffer[place] = 0x30 + UInt8(value % 10)
                value /= 10
            }
            return 5 + digits
        }
    }

    private mutating func source(ofType type: Int) -> String? {
        if type == 0 { return "iot" }
        return self.random.chance(permille: 400) ? Self.sources[self.random.below(Self.sources.count)] : nil
    }

    private mutating func chain(_ event: inout Event) {
        let slot = self.random.below(self.chains.count)
        if self.chains[slot].remaining == 0 {
            let high = self.random.next() & ~0xF000 | 0x4000
            let low = self.random.next() >> 2 | 0x8000_0000_0000_0000
            self.chains[slot] = Chain(
                correlation: EventID(uuid: high, low), last: nil, remaining: 1 + self.random.below(7))
        }
        event.correlationID = self.chains[slot].correlation
        event.causationID = self.chains[slot].last
        self.chains[slot].last = event.id
        self.chains[slot].remaining -= 1
    }

    private mutating func appendMetadata(to text: inout [UInt8]) {
        guard self.random.chance(permille: 500) else { return }
        // The smaller of two draws: low numbers come more often.
        let user = Swift.min(self.random.below(5000), self.random.below(5000))
        text.appendLiteral("{\"user_id\":\"u")
        text.appendDecimal(UInt64(user))
        text.appendLiteral("\",\"tenant_id\":\"t")
        text.appendDecimal(UInt64(self.random.below(20)))
        if self.random.chance(permille: 250) {
            text.appendLiteral("\",\"request_id\":\"")
            let bits = self.random.next()
            for shift in stride(from: 28, through: 0, by: -4) {
                let nibble = UInt8(truncatingIfNeeded: bits >> UInt64(shift) & 0xF)
                text.append(nibble < 10 ? 0x30 + nibble : 0x57 + nibble)
            }
        }
        text.appendLiteral("\"}")
    }
}
