// Rewriting JSON without white space, with the fewest escapes, numbers as they are, each key once.
extension JSONScanner {
    /// Checks and passes the value that is next, and appends its canonical text.
    package mutating func appendCanonical(to text: inout [UInt8], depth: Int = 0) throws(JSONFault) {
        let start = self.index
        switch self.peek {
        case UInt8(ascii: "\""): self.appendCanonical(try self.scanString(), to: &text)
        case UInt8(ascii: "{"):
            try self.startContainer(depth: depth + 1)
            text.append(UInt8(ascii: "{"))
            var keys = UniqueKeys()
            if !self.take(UInt8(ascii: "}")) {
                var isFirst = true
                repeat {
                    if !isFirst { text.append(UInt8(ascii: ",")) }
                    isFirst = false
                    let keyStart = self.index
                    let key = try self.scanKey()
                    guard keys.insert(key, self) else {
                        throw JSONFault(reason: .duplicateKey, offset: keyStart)
                    }
                    self.appendCanonical(key, to: &text)
                    text.append(UInt8(ascii: ":"))
                    try self.appendCanonical(to: &text, depth: depth + 1)
                } while try self.continueObject()
            }
            text.append(UInt8(ascii: "}"))
        case UInt8(ascii: "["):
            try self.startContainer(depth: depth + 1)
            text.append(UInt8(ascii: "["))
            if !self.take(UInt8(ascii: "]")) {
                var isFirst = true
                repeat {
                    if !isFirst { text.append(UInt8(ascii: ",")) }
                    isFirst = false
                    try self.appendCanonical(to: &text, depth: depth + 1)
                } while try self.continueArray()
            }
            text.append(UInt8(ascii: "]"))
        default:
            try self.skipValue(depth: depth)
            text.append(contentsOf: self.bytes(start..<self.index))
        }
    }

    /// Appends a scanned string in quotation marks, with the fewest escapes.
    package func appendCanonical(_ string: JSONText, to text: inout [UInt8]) {
        guard string.hasEscapes else {
            text.append(contentsOf: self.bytes(string.start - 1..<string.end + 1))
            return
        }
        var characters: [UInt8] = []
        self.appendCharacters(of: string, to: &characters)
        characters.withUnsafeBytes { text.appendJSONString($0) }
    }
}

/// The keys of one object: compared one by one while they are few, hashed when they are many.
package struct UniqueKeys {
    private var few: [JSONText] = []
    private var many: Set<[UInt8]> = []

    /// No keys.
    package init() {}

    /// Forgets all keys, but keeps the room for them.
    package mutating func removeAll() {
        self.few.removeAll(keepingCapacity: true)
        self.many.removeAll()
    }

    /// Adds a key, or says false if it was there.
    package mutating func insert(_ key: JSONText, _ scanner: JSONScanner) -> Bool {
        if !self.many.isEmpty { return self.many.insert(scanner.characters(key)).inserted }
        for other in self.few where scanner.equal(key, other) { return false }
        self.few.append(key)
        if self.few.count > 16 { self.many = Set(self.few.map { scanner.characters($0) }) }
        return true
    }
}

extension JSONScanner {
    /// The characters that a scanned string stands for, in UTF-8.
    package func characters(_ text: JSONText) -> [UInt8] {
        var bytes: [UInt8] = []
        self.appendCharacters(of: text, to: &bytes)
        return bytes
    }

    /// Whether a scanned string stands for exactly these characters (not merely for equivalent ones).
    package func equals(_ text: JSONText, _ characters: String) -> Bool {
        if text.hasEscapes { return self.characters(text).elementsEqual(characters.utf8) }
        return self.bytes(text.start..<text.end).elementsEqual(characters.utf8)
    }

    /// Whether two scanned strings stand for the same characters.
    package func equal(_ first: JSONText, _ second: JSONText) -> Bool {
        if first.hasEscapes || second.hasEscapes {
            return self.characters(first) == self.characters(second)
        }
        return self.bytes(first.start..<first.end).elementsEqual(self.bytes(second.start..<second.end))
    }
}
