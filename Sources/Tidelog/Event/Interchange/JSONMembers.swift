/// Why an event cannot be read, and where.
struct EventFault: Error {
    var code: EventLogError.Code = .malformedInput
    var reason: String
    /// Bytes from the start of the text.
    var offset: Int

    init(_ reason: String, at offset: Int, code: EventLogError.Code = .malformedInput) {
        self.code = code
        self.reason = reason
        self.offset = offset
    }

    init(_ fault: JSONFault) { self.init(fault.reason.rawValue, at: fault.offset) }

    /// The error for callers: the line and the byte within it, both counted from 1.
    func error(in text: UnsafeRawBufferPointer, firstLine: Int) -> EventLogError {
        var line = firstLine
        var lineStart = 0
        for index in 0..<min(self.offset, text.count) where text[index] == UInt8(ascii: "\n") {
            line += 1
            lineStart = index + 1
        }
        return EventLogError(self.code, "Line \(line), byte \(self.offset - lineStart + 1): \(self.reason)")
    }
}

/// The members of the object that an event is written as: names told apart, values checked and located.
struct JSONMembers {
    struct Member {
        var key: JSONText
        var name: MemberName
        /// The value, without white space around it.
        var value: Range<Int>
        /// Whether the value's text is canonical: no white space within, no escapes.
        var isCompact: Bool
    }

    private(set) var all: [Member] = []
    private var places = [Int](repeating: -1, count: MemberName.allCases.count)
    private var unknown = UniqueKeys()
    /// The offset of the object.
    private(set) var start = 0

    /// Reads the object that is next, and passes it.
    mutating func read(_ scanner: inout JSONScanner, depth: Int) throws(JSONFault) {
        self.all.removeAll(keepingCapacity: true)
        for index in self.places.indices { self.places[index] = -1 }
        self.unknown.removeAll()
        self.start = scanner.index
        guard scanner.peek == UInt8(ascii: "{") else { throw scanner.fault(.notAnObject) }
        try scanner.startContainer(depth: depth + 1)
        if scanner.take(UInt8(ascii: "}")) { return }
        repeat {
            let keyStart = scanner.index
            let key = try scanner.scanKey()
            let name = MemberName(key, scanner)
            if name == .other {
                guard self.unknown.insert(key, scanner) else {
                    throw JSONFault(reason: .duplicateKey, offset: keyStart)
                }
            } else {
                guard self.places[Int(name.rawValue)] < 0 else {
                    throw JSONFault(reason: .duplicateKey, offset: keyStart)
                }
                self.places[Int(name.rawValue)] = self.all.count
            }
            let start = scanner.index
            scanner.isCompact = true
            try scanner.skipValue(depth: depth + 1)
            self.all.append(
                Member(key: key, name: name, value: start..<scanner.index, isCompact: scanner.isCompact))
        } while try scanner.continueObject()
    }

    /// The member of that name, unless it is missing.
    subscript(name: MemberName) -> Member? {
        let place = self.places[Int(name.rawValue)]
        return place < 0 ? nil : self.all[place]
    }

    /// The member of that name, unless it is missing or null.
    func set(_ name: MemberName, _ scanner: JSONScanner) -> Member? {
        guard let member = self[name], scanner.byte(at: member.value.lowerBound) != UInt8(ascii: "n") else {
            return nil
        }
        return member
    }

    /// The string of that name, unless it is missing or null.
    func text(_ name: MemberName, _ scanner: JSONScanner) throws(EventFault) -> JSONText? {
        guard let member = self.set(name, scanner) else { return nil }
        guard let text = member.text(scanner) else {
            throw EventFault("\(name.text) must be a string.", at: member.value.lowerBound)
        }
        return text
    }

    /// The string of that name, unless it is missing or null; it must not be empty.
    func string(_ name: MemberName, _ scanner: JSONScanner) throws(EventFault) -> String? {
        guard let text = try self.text(name, scanner) else { return nil }
        guard text.end > text.start else {
            throw EventFault("\(name.text) must not be empty.", at: text.start - 1)
        }
        return scanner.string(text)
    }

    /// The id of that name, unless it is missing or null; it must not be empty.
    func id(_ name: MemberName, _ scanner: JSONScanner) throws(EventFault) -> EventID? {
        guard let text = try self.text(name, scanner) else { return nil }
        guard text.end > text.start else {
            throw EventFault("\(name.text) must not be empty.", at: text.start - 1)
        }
        if !text.hasEscapes, let (high, low) = UUIDText.parse(scanner.bytes(text.start..<text.end)) {
            return EventID(uuid: high, low)
        }
        return EventID(scanner.string(text))
    }

    /// The time of that name, unless it is missing or null.
    func time(_ name: MemberName, _ scanner: JSONScanner) throws(EventFault) -> RFC3339.Parsed? {
        guard let text = try self.text(name, scanner) else { return nil }
        let result =
            text.hasEscapes
            ? scanner.characters(text).withUnsafeBytes { RFC3339.parse($0) }
            : RFC3339.parse(scanner.bytes(text.start..<text.end))
        switch result {
        case .success(let parsed): return parsed
        case .failure(let fault):
            throw EventFault("\(name.text) is not a time in RFC 3339: \(fault.reason).", at: text.start)
        }
    }
}

extension JSONMembers.Member {
    /// The value as a string, if it is one.
    func text(_ scanner: JSONScanner) -> JSONText? {
        guard scanner.byte(at: self.value.lowerBound) == UInt8(ascii: "\"") else { return nil }
        // The value was checked; its only white space and escapes are its own.
        return JSONText(
            start: self.value.lowerBound + 1, end: self.value.upperBound - 1, hasEscapes: !self.isCompact)
    }

    /// The bytes of the value.
    func bytes(_ scanner: JSONScanner) -> UnsafeRawBufferPointer { scanner.bytes(self.value) }

    /// Appends the value's canonical text.
    func appendCanonical(_ scanner: JSONScanner, to text: inout [UInt8]) throws(EventFault) {
        var own = scanner
        own.index = self.value.lowerBound
        let first = own.peek
        // Keys of objects within have yet to be compared, compact or not.
        if self.isCompact, first != UInt8(ascii: "{"), first != UInt8(ascii: "[") {
            text.append(contentsOf: self.bytes(scanner))
            return
        }
        do throws(JSONFault) {
            try own.appendCanonical(to: &text, depth: 1)
        } catch {
            throw EventFault(error)
        }
    }
}
