import Tidelog

/// The payloads of the generator's events.
enum EventContents {
    /// Appends a payload for an event of that type.
    static func append(type: String, to text: inout [UInt8], _ random: inout SeededGenerator) {
        text.append(UInt8(ascii: "{"))
        switch type {
        case "sensor.reading":
            text.member("sensor", random.below(400))
            text.member("temp", hundredths: 1200 + random.below(2000))
            text.member("rh", 20 + random.below(60))
            text.member("ok", random.chance(permille: 985))
        case "cart.updated":
            text.member("sku", 10_000 + random.below(8000))
            text.member("n", 1 + Swift.min(random.below(9), random.below(9)))
            text.member("total", hundredths: 99 + random.below(40_000))
        case "order.placed":
            text.member("total", hundredths: 99 + random.below(40_000))
            text.member("cur", Self.currencies[random.below(Self.currencies.count)])
            text.key("lines")
            text.append(UInt8(ascii: "["))
            for line in 0...random.below(2) {
                text.appendLiteral(line == 0 ? "{" : ",{")
                text.member("sku", 10_000 + random.below(8000))
                text.member("n", 1 + random.below(4))
                text.append(UInt8(ascii: "}"))
            }
            text.append(UInt8(ascii: "]"))
        case "order.paid", "invoice.issued", "refund.granted", "payment.refused":
            text.member("amount", hundredths: 99 + random.below(40_000))
            text.member("cur", Self.currencies[random.below(Self.currencies.count)])
            text.member("by", Self.methods[random.below(Self.methods.count)])
            text.member("no", 100_000 + random.below(900_000))
        case "order.shipped", "order.delivered", "order.cancelled":
            text.member("by", Self.carriers[random.below(Self.carriers.count)])
            text.member("parcel", 10_000_000 + random.below(90_000_000))
            text.key("box")
            text.append(UInt8(ascii: "{"))
            text.member("g", 50 + random.below(9000))
            text.append(UInt8(ascii: "}"))
        case "user.authenticated", "user.updated", "user.created":
            text.member("user", random.below(100_000))
            text.member("by", Self.logins[random.below(Self.logins.count)])
            text.member("try", 1 + Swift.min(random.below(4), random.below(4)))
        case "emissions.calculated":
            text.member("kg", hundredths: random.below(1_000_000))
            text.member("factor", hundredths: 5 + random.below(300))
            text.member("scope", 1 + random.below(3))
        case "review.posted", "ticket.opened", "audit.failed":
            text.member("about", 10_000 + random.below(8000))
            text.member("stars", 1 + random.below(5))
            text.key("text")
            text.append(UInt8(ascii: "\""))
            for word in 0...(2 + random.below(4)) {
                if word > 0 { text.append(UInt8(ascii: " ")) }
                text.append(contentsOf: Self.words[random.below(Self.words.count)].utf8)
            }
            text.append(UInt8(ascii: "\""))
        default:  // stock.adjusted, price.changed, voucher.redeemed
            text.member("sku", 10_000 + random.below(8000))
            text.member("before", random.below(1000))
            text.member("after", random.below(1000))
            text.member("site", 1 + random.below(12))
        }
        text.append(UInt8(ascii: "}"))
    }

    private static let currencies = ["EUR", "EUR", "EUR", "USD", "GBP", "SEK"]
    private static let methods = ["card", "card", "sepa", "wallet", "invoice"]
    private static let carriers = ["dhl", "ups", "dpd", "post"]
    private static let logins = ["password", "passkey", "sso", "token"]
    private static let words = [
        "arrived", "late", "broken", "great", "colour", "differs", "from", "picture", "would", "buy", "again",
        "never", "size", "fits", "box", "open", "refund", "asked", "twice", "no", "answer", "very", "quick",
        "thanks", "missing", "part", "manual", "works", "fine", "so", "far", "battery",
    ]
}

extension [UInt8] {
    fileprivate mutating func key(_ key: StaticString) {
        if self.last != UInt8(ascii: "{") { self.append(UInt8(ascii: ",")) }
        self.append(UInt8(ascii: "\""))
        self.appendLiteral(key)
        self.appendLiteral("\":")
    }

    fileprivate mutating func member(_ key: StaticString, _ value: Int) {
        self.key(key)
        self.appendDecimal(UInt64(value))
    }

    fileprivate mutating func member(_ key: StaticString, hundredths: Int) {
        self.key(key)
        self.appendDecimal(UInt64(hundredths / 100))
        self.append(UInt8(ascii: "."))
        self.appendDecimal(UInt64(hundredths % 100 / 10))
        self.appendDecimal(UInt64(hundredths % 10))
    }

    fileprivate mutating func member(_ key: StaticString, _ value: Bool) {
        self.key(key)
        if value { self.appendLiteral("true") } else { self.appendLiteral("false") }
    }

    fileprivate mutating func member(_ key: StaticString, _ value: String) {
        self.key(key)
        self.appendJSONString(value)
    }
}
