package import TidelogStorage

/// The id of an event, or of a correlation or a cause: any text of 1 to 255 bytes of UTF-8.
///
/// ``generate()`` makes a UUID of version 7. A UUID in its canonical lower-case text is kept in 16 bytes,
/// any other text as it is, so the text read back is always the text that was given. Two ids are equal if
/// their texts are.
public struct EventID: Hashable, Sendable {
    /// As it is stored.
    package var identifier: Identifier

    /// The id as it was stored.
    package init(_ identifier: Identifier) { self.identifier = identifier }

    /// The id with this text. Length and characters are checked when the event is validated.
    public init(_ text: String) {
        var text = text
        let parsed = text.withUTF8 { UUIDText.parse(UnsafeRawBufferPointer($0)) }
        self.identifier = parsed.map { .uuid($0.0, $0.1) } ?? .text(text)
    }

    /// The UUID of these two halves, big-endian.
    public init(uuid high: UInt64, _ low: UInt64) { self.identifier = .uuid(high, low) }

    /// The halves of the UUID, big-endian, or nil if the text is not a UUID in canonical lower-case form.
    public var uuid: (high: UInt64, low: UInt64)? {
        guard case .uuid(let high, let low) = self.identifier else { return nil }
        return (high, low)
    }

    /// The time of making that a UUID of version 7 tells, to the millisecond, or nil for other ids.
    public var timestamp: Timestamp? {
        guard case .uuid(let high, let low) = self.identifier, (high >> 12) & 0xF == 7, low >> 62 == 2,
            let milliseconds = Int64(exactly: high >> 16), milliseconds <= Int64.max / 1_000_000
        else { return nil }
        return Timestamp(nanosecondsSinceEpoch: milliseconds * 1_000_000)
    }
}

extension EventID: ExpressibleByStringLiteral, LosslessStringConvertible, Codable {
    /// The id with this text.
    public init(stringLiteral value: String) { self.init(value) }

    /// The id's text.
    public var description: String {
        switch self.identifier {
        case .text(let text): text
        case .uuid(let high, let low):
            String(unsafeUninitializedCapacity: UUIDText.byteCount) { buffer in
                UUIDText.write(high, low, into: UnsafeMutableRawBufferPointer(buffer))
                return UUIDText.byteCount
            }
        }
    }

    /// Reads the text.
    public init(from decoder: any Decoder) throws {
        self.init(try decoder.singleValueContainer().decode(String.self))
    }

    /// Writes the text.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(self.description)
    }
}

/// The canonical text of a UUID: 32 lower-case hexadecimal digits and four hyphens (RFC 9562, section 4).
enum UUIDText {
    /// How many bytes the text takes.
    static var byteCount: Int { 36 }

    /// The halves of the UUID, or nil if this is not the canonical text of one.
    static func parse(_ text: UnsafeRawBufferPointer) -> (UInt64, UInt64)? {
        guard text.count == 36, text[8] == 0x2D, text[13] == 0x2D, text[18] == 0x2D, text[23] == 0x2D else {
            return nil
        }
        // Without branches: random digits would mispredict half of them.
        var differences: UInt8 = 0
        func digits(_ range: Range<Int>) -> UInt64 {
            var value: UInt64 = 0
            for index in range {
                let byte = text[index]
                let nibble = (byte & 0xF) &+ (byte >> 6) &* 9
                differences |= Self.digit(nibble & 0xF) ^ byte
                value = value << 4 | UInt64(nibble & 0xF)
            }
            return value
        }
        let high = digits(0..<8) << 32 | digits(9..<13) << 16 | digits(14..<18)
        let low = digits(19..<23) << 48 | digits(24..<36)
        return differences == 0 ? (high, low) : nil
    }

    /// Writes the 36 bytes of the text.
    static func write(_ high: UInt64, _ low: UInt64, into buffer: UnsafeMutableRawBufferPointer) {
        precondition(buffer.count >= 36)
        func put(_ value: UInt64, _ count: Int, at start: Int) {
            var value = value
            for place in stride(from: start + count - 1, through: start, by: -1) {
                buffer[place] = Self.digit(UInt8(truncatingIfNeeded: value & 0xF))
                value >>= 4
            }
        }
        put(high >> 32, 8, at: 0)
        put(high >> 16, 4, at: 9)
        put(high, 4, at: 14)
        put(low >> 48, 4, at: 19)
        put(low, 12, at: 24)
        buffer[8] = 0x2D
        buffer[13] = 0x2D
        buffer[18] = 0x2D
        buffer[23] = 0x2D
    }

    /// The lower-case hexadecimal digit for a number from 0 to 15: from 10 on, 39 further up in ASCII.
    @inline(__always)
    static func digit(_ nibble: UInt8) -> UInt8 { 0x30 &+ nibble &+ ((9 &- nibble) >> 7) &* 39 }
}
