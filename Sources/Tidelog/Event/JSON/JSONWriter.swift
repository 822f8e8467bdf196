// Writing JSON into an array of bytes. Strings are written with the fewest escapes that RFC 8259 asks for.
extension [UInt8] {
    /// Appends text that is JSON already.
    @inline(__always)
    package mutating func appendLiteral(_ text: StaticString) {
        self.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Appends a JSON string with these characters.
    package mutating func appendJSONString(_ text: String) {
        let done: Void? = text.utf8.withContiguousStorageIfAvailable {
            self.appendJSONString(UnsafeRawBufferPointer($0))
        }
        if done == nil {
            var copy = text
            copy.withUTF8 { self.appendJSONString(UnsafeRawBufferPointer($0)) }
        }
    }

    /// Appends a JSON string with the characters that these bytes of well-formed UTF-8 stand for.
    package mutating func appendJSONString(_ text: UnsafeRawBufferPointer) {
        self.append(UInt8(ascii: "\""))
        if let base = text.baseAddress?.assumingMemoryBound(to: UInt8.self) {
            var at = 0
            while at < text.count {
                let start = at
                // Bytes of other than ASCII go out as they are.
                repeat {
                    at = JSONScanner.plainEnd(base, from: at, to: text.count)
                    while at < text.count, base[at] >= 0x80 { at += 1 }
                } while at < text.count && base[at] >= 0x20 && base[at] != 0x22 && base[at] != 0x5C
                self.append(contentsOf: UnsafeBufferPointer(start: base + start, count: at - start))
                guard at < text.count else { break }
                self.appendEscape(base[at])
                at += 1
            }
        }
        self.append(UInt8(ascii: "\""))
    }

    private mutating func appendEscape(_ byte: UInt8) {
        switch byte {
        case 0x22: self.appendLiteral("\\\"")
        case 0x5C: self.appendLiteral("\\\\")
        case 0x08: self.appendLiteral("\\b")
        case 0x09: self.appendLiteral("\\t")
        case 0x0A: self.appendLiteral("\\n")
        case 0x0C: self.appendLiteral("\\f")
        case 0x0D: self.appendLiteral("\\r")
        default:
            self.appendLiteral("\\u00")
            for nibble in [byte >> 4, byte & 0xF] { self.append(nibble < 10 ? 0x30 + nibble : 0x57 + nibble) }
        }
    }

    /// Appends a number in decimal.
    package mutating func appendDecimal(_ value: UInt64) {
        if value < 10 { return self.append(UInt8(truncatingIfNeeded: value) &+ 0x30) }
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            var value = value
            var at = 20
            while value > 0 {
                at -= 1
                digits.initializeElement(at: at, to: UInt8(truncatingIfNeeded: value % 10) &+ 0x30)
                value /= 10
            }
            self.append(contentsOf: UnsafeBufferPointer(rebasing: digits[at...]))
        }
    }

    /// Appends a number in decimal.
    package mutating func appendDecimal(_ value: Int64) {
        if value < 0 { self.append(UInt8(ascii: "-")) }
        self.appendDecimal(value.magnitude)
    }

    /// Appends a JSON string with the text of an id.
    package mutating func appendJSONString(_ id: EventID) {
        guard case .uuid(let high, let low) = id.identifier else {
            return self.appendJSONString(id.description)
        }
        withUnsafeTemporaryAllocation(byteCount: UUIDText.byteCount + 2, alignment: 1) { buffer in
            buffer[0] = UInt8(ascii: "\"")
            UUIDText.write(high, low, into: UnsafeMutableRawBufferPointer(rebasing: buffer[1...]))
            buffer[UUIDText.byteCount + 1] = UInt8(ascii: "\"")
            self.append(contentsOf: buffer)
        }
    }

    /// Appends a JSON string with the text of a timestamp.
    package mutating func appendJSONString(_ time: Timestamp) {
        withUnsafeTemporaryAllocation(byteCount: Timestamp.maximumTextBytes + 2, alignment: 1) { buffer in
            buffer[0] = UInt8(ascii: "\"")
            let count = time.write(into: UnsafeMutableRawBufferPointer(rebasing: buffer[1...]))
            buffer[count + 1] = UInt8(ascii: "\"")
            self.append(
                contentsOf: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<(count + 2)]))
        }
    }

    /// Appends a value of JSON without any white space.
    package mutating func appendJSON(_ value: MetadataValue) {
        switch value {
        case .null: self.appendLiteral("null")
        case .boolean(true): self.appendLiteral("true")
        case .boolean(false): self.appendLiteral("false")
        case .integer(let number): self.appendDecimal(number)
        case .number(let number):
            // JSON has no infinities and nothing that is not a number.
            if number.isFinite {
                self.append(contentsOf: number.description.utf8)
            } else {
                self.appendLiteral("null")
            }
        case .string(let text): self.appendJSONString(text)
        case .array(let values):
            self.append(UInt8(ascii: "["))
            for (index, value) in values.enumerated() {
                if index > 0 { self.append(UInt8(ascii: ",")) }
                self.appendJSON(value)
            }
            self.append(UInt8(ascii: "]"))
        case .object(let object): self.append(contentsOf: object.json)
        }
    }
}
