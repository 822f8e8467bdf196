import Tidelog

/// The events of this comparison; the C peers make the same ones (Peers/store.c).
struct Made {
    let id: (UInt64, UInt64)
    let correlation: (UInt64, UInt64)
    let type: String
    let stream: String
    let timestamp: Int64
    let metadata: String
    let payload: String

    static func mixed(_ seed: UInt64) -> UInt64 {
        var z = seed &+ 0x9e37_79b9_7f4a_7c15
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    static func stream(_ number: Int) -> String { "account-" + padded(number, 7) }

    /// The event number `number` of the run, in stream `stream`.
    init(_ number: Int, stream: Int) {
        let a = Self.mixed(UInt64(number) &* 4)
        let b = Self.mixed(UInt64(number) &* 4 &+ 1)
        let c = Self.mixed(UInt64(number) &* 4 &+ 2)
        let d = Self.mixed(UInt64(number) &* 4 &+ 3)
        // As a UUID of version 7: ids ascend, which suits a B-tree.
        self.id = (0x018f_0000_0000_7000 &+ UInt64(number) << 16, b)
        self.correlation = (c, d)
        self.type = "account.changed-" + padded(Int(a % 20), 2)
        self.stream = Self.stream(stream)
        self.timestamp = 1_700_000_000_000_000_000 + Int64(number) * 1_000_000
        self.metadata = #"{"user":"u-\#(padded(Int(b % 5000), 4))","trace":"\#(hex(c))"}"#
        let reason = b % 3 == 0 ? "a transfer between accounts" : "a purchase at the counter"
        self.payload =
            #"{"amount":\#(a % 100_000),"currency":"EUR","reason":"\#(reason)","reference":"\#(hex(d))","#
            + #""balance":\#(d % 1_000_000),"approved":\#(c % 2 == 1)}"#
    }

    func event() throws -> Event {
        Event(
            id: EventID(uuid: self.id.0, self.id.1), type: self.type, stream: self.stream,
            payload: EventPayload(json: self.payload), metadata: try EventMetadata(json: self.metadata.utf8),
            timestamp: Timestamp(nanosecondsSinceEpoch: self.timestamp),
            correlationID: EventID(uuid: self.correlation.0, self.correlation.1))
    }
}

private func padded(_ number: Int, _ width: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
}

private func hex(_ number: UInt64) -> String {
    let text = String(number, radix: 16)
    return String(repeating: "0", count: 16 - text.utf8.count) + text
}
