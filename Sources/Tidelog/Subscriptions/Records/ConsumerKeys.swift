import TidelogStorage

/// The keys of consumers' records, in the space `consumers` (see Docs/Format.md, "Consumers").
enum ConsumerKeys {
    /// How often something changed that other processes' members must notice.
    static let control: [UInt8] = [UInt8(ascii: "!")]
    /// The number that the next consumer gets.
    static let next: [UInt8] = [UInt8(ascii: "#")]
    /// What every key of a consumer's own record begins with.
    static let consumers: [UInt8] = [UInt8(ascii: "c")]

    static func consumer(_ name: String) -> [UInt8] { self.consumers + Array(name.utf8) }
    static func state(_ number: UInt64) -> [UInt8] { self.key("s", number) }
    static func grants(of number: UInt64) -> [UInt8] { self.key("g", number) }
    static func grant(_ number: UInt64, _ grant: UInt64) -> [UInt8] { self.key("g", number, grant) }
    static func waiting(of number: UInt64) -> [UInt8] { self.key("w", number) }
    static func waiting(_ number: UInt64, _ position: UInt64) -> [UInt8] { self.key("w", number, position) }
    static func deadLetters(of number: UInt64) -> [UInt8] { self.key("d", number) }
    static func deadLetter(_ number: UInt64, _ position: UInt64, _ serial: UInt64) -> [UInt8] {
        self.key("d", number, position, serial)
    }

    /// The number that a key ends with.
    static func lastNumber(of key: [UInt8]) -> UInt64 {
        key.suffix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Numbers are big-endian, so that keys are in their order.
    private static func key(_ letter: Unicode.Scalar, _ numbers: UInt64...) -> [UInt8] {
        var key = [UInt8(ascii: letter)]
        for number in numbers { withUnsafeBytes(of: number.bigEndian) { key.append(contentsOf: $0) } }
        return key
    }
}
