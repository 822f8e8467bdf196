// Strings: finding their ends, checking their characters, and telling what they stand for.
extension JSONScanner {
    /// Passes the string that is next, checking all of it.
    package mutating func scanString() throws(JSONFault) -> JSONText {
        let start = self.index + 1
        var at = start
        var hasEscapes = false
        while true {
            at = Self.plainEnd(self.base, from: at, to: self.count)
            guard at < self.count else { throw JSONFault(reason: .unclosedString, offset: start - 1) }
            let byte = self.base[at]
            if byte == UInt8(ascii: "\"") {
                self.index = at + 1
                return JSONText(start: start, end: at, hasEscapes: hasEscapes)
            }
            if byte == UInt8(ascii: "\\") {
                hasEscapes = true
                self.isCompact = false
                at = try self.skipEscape(at)
            } else if byte >= 0x80 {
                let length = UTF8Check.length(self.base + at, count: self.count - at)
                guard length > 0 else { throw JSONFault(reason: .invalidUTF8, offset: at) }
                at += length
            } else {
                throw JSONFault(reason: .controlCharacter, offset: at)
            }
        }
    }

    /// The offset of the first byte from `start` that is a quotation mark, a backslash, a control character
    /// or not ASCII, eight bytes at a time; `end` if there is none.
    @inline(__always)
    static func plainEnd(_ base: UnsafePointer<UInt8>, from start: Int, to end: Int) -> Int {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let tops: UInt64 = 0x8080_8080_8080_8080
        var at = start
        while at + 8 <= end {
            let word = UInt64(littleEndian: UnsafeRawPointer(base + at).loadUnaligned(as: UInt64.self))
            let quote = word ^ (ones &* 0x22)
            let backslash = word ^ (ones &* 0x5C)
            // A borrow can only reach bytes above the first that is found, and only the first counts.
            let found =
                (word | (word &- ones &* 0x20) | (quote &- ones) & ~quote | (backslash &- ones) & ~backslash)
                & tops
            if found != 0 { return at + found.trailingZeroBitCount >> 3 }
            at += 8
        }
        while at < end {
            let byte = base[at]
            if byte < 0x20 || byte >= 0x80 || byte == 0x22 || byte == 0x5C { return at }
            at += 1
        }
        return end
    }

    private func skipEscape(_ at: Int) throws(JSONFault) -> Int {
        guard at + 1 < self.count else { throw JSONFault(reason: .unclosedString, offset: at) }
        switch self.base[at + 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            return at + 2
        case UInt8(ascii: "u"):
            guard let unit = self.unit(at) else { throw JSONFault(reason: .invalidEscape, offset: at) }
            guard unit & 0xF800 == 0xD800 else { return at + 6 }
            guard unit < 0xDC00, let second = self.unit(at + 6), second & 0xFC00 == 0xDC00 else {
                throw JSONFault(reason: .loneSurrogate, offset: at)
            }
            return at + 12
        default: throw JSONFault(reason: .invalidEscape, offset: at)
        }
    }

    /// The code unit of the `\uXXXX` at an offset, if one is there.
    private func unit(_ at: Int) -> UInt32? {
        guard at + 6 <= self.count, self.base[at] == UInt8(ascii: "\\"),
            self.base[at + 1] == UInt8(ascii: "u")
        else { return nil }
        var value: UInt32 = 0
        for place in at + 2..<at + 6 {
            switch self.base[place] {
            case let digit where digit &- 0x30 < 10: value = value << 4 | UInt32(digit &- 0x30)
            case let letter where (letter | 0x20) &- 0x61 < 6:
                value = value << 4 | UInt32((letter | 0x20) &- 0x57)
            default: return nil
            }
        }
        return value
    }

    /// Appends the characters that a scanned string stands for, in UTF-8.
    package func appendCharacters(of text: JSONText, to bytes: inout [UInt8]) {
        guard text.hasEscapes else {
            bytes.append(contentsOf: self.bytes(text.start..<text.end))
            return
        }
        var at = text.start
        while at < text.end {
            var end = at
            while end < text.end, self.base[end] != UInt8(ascii: "\\") { end += 1 }
            bytes.append(contentsOf: self.bytes(at..<end))
            guard end < text.end else { return }
            at = end + 2
            switch self.base[end + 1] {
            case UInt8(ascii: "b"): bytes.append(0x08)
            case UInt8(ascii: "f"): bytes.append(0x0C)
            case UInt8(ascii: "n"): bytes.append(0x0A)
            case UInt8(ascii: "r"): bytes.append(0x0D)
            case UInt8(ascii: "t"): bytes.append(0x09)
            case UInt8(ascii: "u"):
                guard var value = self.unit(end) else { return }
                at = end + 6
                if value & 0xFC00 == 0xD800, let second = self.unit(at) {
                    value = 0x10000 + (value - 0xD800) << 10 + (second - 0xDC00)
                    at += 6
                }
                if let scalar = Unicode.Scalar(value) { bytes.append(contentsOf: UTF8.encode(scalar)!) }
            case let byte: bytes.append(byte)
            }
        }
    }

    /// The characters that a scanned string stands for.
    package func string(_ text: JSONText) -> String {
        guard text.hasEscapes else {
            return String(decoding: self.bytes(text.start..<text.end), as: UTF8.self)
        }
        return String(decoding: self.characters(text), as: UTF8.self)
    }

    /// Whether a scanned string stands for these characters.
    package func equals(_ text: JSONText, _ characters: StaticString) -> Bool {
        if text.hasEscapes { return self.characters(text).elementsEqual("\(characters)".utf8) }
        let count = characters.utf8CodeUnitCount
        guard text.end - text.start == count else { return false }
        for offset in 0..<count where self.base[text.start + offset] != characters.utf8Start[offset] {
            return false
        }
        return true
    }
}
