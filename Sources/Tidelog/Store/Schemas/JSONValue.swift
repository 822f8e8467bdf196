import TidelogStorage

/// A JSON text taken apart, as schemas and merges of documents need it.
package indirect enum JSONValue: Hashable, Sendable {
    case null
    case boolean(Bool)
    case number(Number)
    case string(String)
    case array([JSONValue])
    /// Members in order; of keys that repeat, the last counts.
    case object([Member])

    /// A key and its value.
    package struct Member: Hashable, Sendable {
        package var key: String
        package var value: JSONValue

        package init(_ key: String, _ value: JSONValue) {
            self.key = key
            self.value = value
        }
    }

    /// A number: its text, which may say more than a double can, and the double that it is compared as.
    package struct Number: Hashable, Sendable {
        package let value: Double
        package let text: String

        fileprivate init(_ text: String) {
            self.value = Double(text) ?? .nan
            self.text = text
        }

        package static func == (left: Self, right: Self) -> Bool { left.value == right.value }

        package func hash(into hasher: inout Hasher) { hasher.combine(self.value) }
    }

    /// How deep arrays and objects may be nested: what walks over a value recurses.
    package static let maximumDepth = 128

    /// Takes a whole text apart.
    package init(_ bytes: some Sequence<UInt8>) throws(JSONFault) {
        let bytes = Array(bytes)
        var result: Result<JSONValue, JSONFault> = .failure(JSONFault(reason: .endOfInput, offset: 0))
        bytes.withUnsafeBytes { bytes in
            do throws(JSONFault) {
                var scanner = JSONScanner(bytes)
                try scanner.refuseByteOrderMark()
                scanner.skipSpace()
                let value = try JSONValue(&scanner, depth: JSONScanner.maximumDepth - Self.maximumDepth)
                try scanner.requireEnd()
                result = .success(value)
            } catch {
                result = .failure(error)
            }
        }
        self = try result.get()
    }

    private init(_ scanner: inout JSONScanner, depth: Int) throws(JSONFault) {
        let start = scanner.index
        switch scanner.peek {
        case UInt8(ascii: "\""):
            self = .string(scanner.string(try scanner.scanString()))
        case UInt8(ascii: "{"):
            try scanner.startContainer(depth: depth + 1)
            var members: [Member] = []
            var places: [ExactText: Int] = [:]
            if !scanner.take(UInt8(ascii: "}")) {
                repeat {
                    let key = scanner.string(try scanner.scanKey())
                    let value = try JSONValue(&scanner, depth: depth + 1)
                    if let place = places[ExactText(key)] {
                        members[place].value = value
                    } else {
                        places[ExactText(key)] = members.count
                        members.append(Member(key, value))
                    }
                } while try scanner.continueObject()
            }
            self = .object(members)
        case UInt8(ascii: "["):
            try scanner.startContainer(depth: depth + 1)
            var elements: [JSONValue] = []
            if !scanner.take(UInt8(ascii: "]")) {
                repeat {
                    elements.append(try JSONValue(&scanner, depth: depth + 1))
                } while try scanner
                    .continueArray()
            }
            self = .array(elements)
        default:
            try scanner.skipValue(depth: depth)
            let text = String(decoding: scanner.bytes(start..<scanner.index), as: UTF8.self)
            switch text {
            case "null": self = .null
            case "true": self = .boolean(true)
            case "false": self = .boolean(false)
            default: self = .number(Number(text))
            }
        }
    }

    /// The member with this key, if this is an object that has one.
    package subscript(key: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.key.isExactly(key) }?.value
    }

    /// Equal as JSON counts it: the order of members does not matter.
    package func isEqual(to other: JSONValue) -> Bool {
        switch (self, other) {
        case (.object(let left), .object(let right)):
            left.count == right.count
                && left.allSatisfy { member in other[member.key]?.isEqual(to: member.value) ?? false }
        case (.array(let left), .array(let right)):
            left.count == right.count && zip(left, right).allSatisfy { $0.isEqual(to: $1) }
        case (.string(let left), .string(let right)): left.isExactly(right)
        default: self == other
        }
    }

    /// What this becomes when `patch` is merged into it (RFC 7396): members of the patch replace, null removes.
    package func merged(with patch: JSONValue) -> JSONValue {
        guard case .object(let changes) = patch else { return patch }
        var members: [Member] = []
        if case .object(let own) = self { members = own }
        for change in changes {
            let place = members.firstIndex { $0.key.isExactly(change.key) }
            if change.value == .null {
                if let place { members.remove(at: place) }
            } else if let place {
                members[place].value = members[place].value.merged(with: change.value)
            } else {
                members.append(Member(change.key, JSONValue.null.merged(with: change.value)))
            }
        }
        return .object(members)
    }

    /// Appends the text, without white space; numbers as they were written.
    package func write(to bytes: inout [UInt8]) {
        switch self {
        case .null: bytes.appendLiteral("null")
        case .boolean(let value): bytes.appendLiteral(value ? "true" : "false")
        case .number(let number): bytes.append(contentsOf: number.text.utf8)
        case .string(let text): bytes.appendJSONString(text)
        case .array(let elements):
            bytes.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                element.write(to: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        case .object(let members):
            bytes.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                bytes.appendJSONString(member.key)
                bytes.append(UInt8(ascii: ":"))
                member.value.write(to: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }

    /// What kind of value it is, in the words of JSON Schema.
    var typeName: String {
        switch self {
        case .null: "null"
        case .boolean: "boolean"
        case .number(let number): number.value == number.value.rounded() ? "integer" : "number"
        case .string: "string"
        case .array: "array"
        case .object: "object"
        }
    }
}
