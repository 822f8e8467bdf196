/// Why bytes are not JSON, and where.
package struct JSONFault: Error, Equatable {
    /// What is wrong at that place.
    package enum Reason: String {
        case endOfInput = "the text ends in the middle of a value"
        case unexpectedByte = "a value cannot start or go on like this"
        case expectedKey = "a key in quotation marks must stand here"
        case expectedColon = "a colon must stand here"
        case expectedCommaOrBrace = "a comma or } must stand here"
        case expectedCommaOrBracket = "a comma or ] must stand here"
        case trailingComma = "nothing follows the comma"
        case unclosedString = "the string is not closed"
        case controlCharacter = "a control character in a string must be escaped"
        case invalidEscape = "there is no such escape"
        case loneSurrogate = "half of a surrogate pair stands alone"
        case invalidUTF8 = "the bytes are not UTF-8"
        case invalidNumber = "the number is not written as JSON wants it"
        case tooDeep = "arrays and objects are nested more than 512 deep"
        case trailingBytes = "something follows the value"
        case byteOrderMark = "a byte order mark stands before the text"
        case duplicateKey = "the key was there before in the same object"
        case notAnObject = "an object must stand here"
    }

    package var reason: Reason
    /// Bytes from the start of the text.
    package var offset: Int
}

/// A string of a JSON text: the bytes between its quotation marks, as they are written.
package struct JSONText: Equatable {
    package var start: Int, end: Int
    /// Whether a backslash is among them.
    package var hasEscapes: Bool
}

/// Walks over JSON text (RFC 8259), strictly and in one pass, and hands out where values start and end.
///
/// Strict: UTF-8 without overlong forms, surrogates or a byte order mark; no lone surrogate in an escape; no
/// control character in a string; nesting up to 512. Keys that repeat are the caller's business: it alone
/// knows whether it reads the object or passes it on. The scanner must not outlive its bytes.
package struct JSONScanner {
    /// How deep arrays and objects may be nested.
    package static let maximumDepth = 512

    let base: UnsafePointer<UInt8>
    /// How many bytes there are.
    package let count: Int
    /// The offset of the next byte.
    package var index = 0
    /// Whether white space between values, or an escape, was passed since this was last set to false.
    package var isCompact = true

    /// Starts at the first of `bytes`.
    package init(_ bytes: UnsafeRawBufferPointer) {
        // An empty buffer may have no address; with a count of 0 this one is never read.
        let address = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 8).unsafelyUnwrapped
        self.base = address.assumingMemoryBound(to: UInt8.self)
        self.count = bytes.count
    }

    /// The bytes of `range`, as long as the scanner's bytes live.
    package func bytes(_ range: Range<Int>) -> UnsafeRawBufferPointer {
        precondition(range.lowerBound >= 0 && range.upperBound <= self.count)
        return UnsafeRawBufferPointer(start: self.base + range.lowerBound, count: range.count)
    }

    /// The byte at an offset.
    package func byte(at offset: Int) -> UInt8 {
        precondition(offset >= 0 && offset < self.count)
        return self.base[offset]
    }

    /// The next byte, or nil at the end.
    package var peek: UInt8? { self.index < self.count ? self.base[self.index] : nil }

    /// A fault at the next byte.
    package func fault(_ reason: JSONFault.Reason) -> JSONFault {
        JSONFault(
            reason: self.index >= self.count ? .endOfInput : reason, offset: min(self.index, self.count))
    }

    /// Passes white space.
    @inline(__always)
    package mutating func skipSpace() {
        while self.index < self.count {
            let byte = self.base[self.index]
            guard byte <= 0x20, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
            self.index += 1
            self.isCompact = false
        }
    }

    /// Passes the byte if it is next.
    @inline(__always)
    package mutating func take(_ byte: UInt8) -> Bool {
        guard self.index < self.count, self.base[self.index] == byte else { return false }
        self.index += 1
        return true
    }

    /// Passes the text's only value, the white space around it, and requires the end.
    package mutating func skipDocument(depth: Int = 0) throws(JSONFault) -> Range<Int> {
        try self.refuseByteOrderMark()
        self.skipSpace()
        let start = self.index
        try self.skipValue(depth: depth)
        let end = self.index
        try self.requireEnd()
        return start..<end
    }

    /// Passes white space and requires that nothing follows.
    package mutating func requireEnd() throws(JSONFault) {
        self.skipSpace()
        guard self.index == self.count else { throw self.fault(.trailingBytes) }
    }

    /// Throws if a byte order mark is next.
    package func refuseByteOrderMark() throws(JSONFault) {
        guard self.index + 3 <= self.count, self.base[self.index] == 0xEF, self.base[self.index + 1] == 0xBB,
            self.base[self.index + 2] == 0xBF
        else { return }
        throw self.fault(.byteOrderMark)
    }

    /// Passes one value, checking all of it.
    package mutating func skipValue(depth: Int = 0) throws(JSONFault) {
        guard self.index < self.count else { throw self.fault(.endOfInput) }
        switch self.base[self.index] {
        case UInt8(ascii: "\""): _ = try self.scanString()
        case UInt8(ascii: "{"): try self.skipObject(depth: depth + 1)
        case UInt8(ascii: "["): try self.skipArray(depth: depth + 1)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try self.skipNumber()
        case UInt8(ascii: "t"): try self.skipLiteral("true")
        case UInt8(ascii: "f"): try self.skipLiteral("false")
        case UInt8(ascii: "n"): try self.skipLiteral("null")
        default: throw self.fault(.unexpectedByte)
        }
    }

    private mutating func skipObject(depth: Int) throws(JSONFault) {
        try self.startContainer(depth: depth)
        if self.take(UInt8(ascii: "}")) { return }
        while true {
            _ = try self.scanKey()
            try self.skipValue(depth: depth)
            if try !self.continueObject() { return }
        }
    }

    private mutating func skipArray(depth: Int) throws(JSONFault) {
        try self.startContainer(depth: depth)
        if self.take(UInt8(ascii: "]")) { return }
        while true {
            try self.skipValue(depth: depth)
            if try !self.continueArray() { return }
        }
    }

    /// Passes the bracket or brace that is next, and the white space after it.
    package mutating func startContainer(depth: Int) throws(JSONFault) {
        guard depth <= Self.maximumDepth else { throw self.fault(.tooDeep) }
        self.index += 1
        self.skipSpace()
    }

    /// Passes a key, its colon, and white space up to the value.
    package mutating func scanKey() throws(JSONFault) -> JSONText {
        guard self.peek == UInt8(ascii: "\"") else { throw self.fault(.expectedKey) }
        let key = try self.scanString()
        self.skipSpace()
        guard self.take(UInt8(ascii: ":")) else { throw self.fault(.expectedColon) }
        self.skipSpace()
        return key
    }

    /// After a member: passes the comma up to the next key, or the closing brace and says false.
    package mutating func continueObject() throws(JSONFault) -> Bool {
        self.skipSpace()
        if self.take(UInt8(ascii: "}")) { return false }
        guard self.take(UInt8(ascii: ",")) else { throw self.fault(.expectedCommaOrBrace) }
        self.skipSpace()
        if self.peek == UInt8(ascii: "}") { throw self.fault(.trailingComma) }
        return true
    }

    /// After an element: passes the comma up to the next value, or the closing bracket and says false.
    package mutating func continueArray() throws(JSONFault) -> Bool {
        self.skipSpace()
        if self.take(UInt8(ascii: "]")) { return false }
        guard self.take(UInt8(ascii: ",")) else { throw self.fault(.expectedCommaOrBracket) }
        self.skipSpace()
        if self.peek == UInt8(ascii: "]") { throw self.fault(.trailingComma) }
        return true
    }

    private mutating func skipLiteral(_ literal: StaticString) throws(JSONFault) {
        let length = literal.utf8CodeUnitCount
        for offset in 0..<length {
            let at = self.index + offset
            guard at < self.count else { throw JSONFault(reason: .endOfInput, offset: self.count) }
            guard self.base[at] == literal.utf8Start[offset] else { throw self.fault(.unexpectedByte) }
        }
        self.index += length
    }

    private mutating func skipNumber() throws(JSONFault) {
        _ = self.take(UInt8(ascii: "-"))
        guard self.index < self.count else { throw self.fault(.endOfInput) }
        if !self.take(UInt8(ascii: "0")) { try self.skipDigits() }
        // 01 is no number, and neither is 1x: what follows is for the caller to refuse, a digit is not.
        if let next = self.peek, next &- 0x30 < 10 { throw self.fault(.invalidNumber) }
        if self.take(UInt8(ascii: ".")) { try self.skipDigits() }
        if self.take(UInt8(ascii: "e")) || self.take(UInt8(ascii: "E")) {
            if !self.take(UInt8(ascii: "+")) { _ = self.take(UInt8(ascii: "-")) }
            try self.skipDigits()
        }
    }

    @inline(__always)
    private mutating func skipDigits() throws(JSONFault) {
        let start = self.index
        while self.index < self.count, self.base[self.index] &- 0x30 < 10 { self.index += 1 }
        guard self.index > start else { throw self.fault(.invalidNumber) }
    }
}
