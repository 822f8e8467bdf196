/// Base64 with the standard alphabet and padding (RFC 4648, section 4), strictly.
package enum Base64 {
    private static let alphabet = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    private static let values: [UInt8] = {
        var values = [UInt8](repeating: 0xFF, count: 256)
        for (value, byte) in Self.alphabet.enumerated() { values[Int(byte)] = UInt8(value) }
        return values
    }()

    /// Appends the text for these bytes.
    package static func append(_ bytes: UnsafeRawBufferPointer, to text: inout [UInt8]) {
        text.reserveCapacity(text.count + (bytes.count + 2) / 3 * 4)
        self.alphabet.withUnsafeBufferPointer { alphabet in
            var at = 0
            while at < bytes.count {
                let left = min(3, bytes.count - at)
                var word = UInt32(bytes[at]) << 16
                if left > 1 { word |= UInt32(bytes[at + 1]) << 8 }
                if left > 2 { word |= UInt32(bytes[at + 2]) }
                text.append(alphabet[Int(word >> 18)])
                text.append(alphabet[Int(word >> 12 & 63)])
                text.append(left > 1 ? alphabet[Int(word >> 6 & 63)] : UInt8(ascii: "="))
                text.append(left > 2 ? alphabet[Int(word & 63)] : UInt8(ascii: "="))
                at += left
            }
        }
    }

    /// Appends the bytes that the text tells, or says false: a character that is none of the alphabet's, a
    /// length that is no multiple of four, or bits set that belong to no byte.
    static func decode(_ text: UnsafeRawBufferPointer, into bytes: inout [UInt8]) -> Bool {
        guard text.count % 4 == 0 else { return false }
        bytes.reserveCapacity(bytes.count + text.count / 4 * 3)
        return self.values.withUnsafeBufferPointer { values in
            var at = 0
            while at < text.count {
                let isLast = at + 4 == text.count
                var padding = 0
                if isLast && text[at + 3] == UInt8(ascii: "=") {
                    padding = text[at + 2] == UInt8(ascii: "=") ? 2 : 1
                }
                var word: UInt32 = 0
                for offset in 0..<4 {
                    let value = offset >= 4 - padding ? 0 : values[Int(text[at + offset])]
                    guard value < 64 else { return false }
                    word = word << 6 | UInt32(value)
                }
                guard padding == 0 || word & (padding == 1 ? 0xFF : 0xFFFF) == 0 else { return false }
                bytes.append(UInt8(word >> 16))
                if padding < 2 { bytes.append(UInt8(truncatingIfNeeded: word >> 8)) }
                if padding < 1 { bytes.append(UInt8(truncatingIfNeeded: word)) }
                at += 4
            }
            return true
        }
    }
}
