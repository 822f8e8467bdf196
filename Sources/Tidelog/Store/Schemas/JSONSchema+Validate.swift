import TidelogStorage

/// Where a value is not what a schema demands.
public struct SchemaViolation: Hashable, Sendable, CustomStringConvertible {
    /// The place in the value, as a JSON Pointer (RFC 6901); empty for the value itself.
    public let path: String
    /// What must be there.
    public let message: String

    /// Both on one line.
    public var description: String { "at \(self.path.isEmpty ? "the top" : self.path): \(self.message)" }
}

extension JSONSchema {
    /// The first place where `json` is not what the schema demands; nil if it is.
    public func violation(in json: some Sequence<UInt8>) -> SchemaViolation? {
        do throws(JSONFault) {
            let value = try JSONValue(json)
            return SchemaCheck(definitions: self.definitions).check(value, self.root, "", depth: 0)
        } catch {
            return SchemaViolation(
                path: "", message: "is not JSON: \(error.reason.rawValue), at byte \(error.offset)")
        }
    }
}

private struct SchemaCheck {
    let definitions: [String: SchemaNode]

    /// Steps through references and combinations at one place before a schema is taken to go round without end.
    private static let maximumDepth = 64

    func check(_ value: JSONValue, _ node: SchemaNode, _ path: String, depth: Int) -> SchemaViolation? {
        func no(_ message: String) -> SchemaViolation { SchemaViolation(path: path, message: message) }
        if node.isNever { return no("nothing may stand here") }
        if depth > Self.maximumDepth { return no("the schema refers to itself without end") }
        if let types = node.types {
            let name = value.typeName
            guard types.contains(name) || (name == "integer" && types.contains("number")) else {
                return no("must be \(types.sorted().joined(separator: " or ")), and is \(name)")
            }
        }
        if let values = node.values, !values.contains(where: { $0.isEqual(to: value) }) {
            return no(
                values.count == 1 ? "must be the one value allowed" : "must be one of the values listed")
        }
        let own: SchemaViolation? =
            switch value {
            case .object(let members): self.check(members, node, path)
            case .array(let elements): self.check(elements, node, path)
            case .string(let text):
                self.size(text.unicodeScalars.count, node, "Length", "characters").map(no)
            case .number(let number): self.number(number.value, node).map(no)
            default: nil
            }
        return own ?? self.combined(value, node, path, depth + 1)
    }

    private func check(
        _ members: [JSONValue.Member], _ node: SchemaNode, _ path: String
    ) -> SchemaViolation? {
        for key in node.required where !members.contains(where: { $0.key.isExactly(key) }) {
            return SchemaViolation(path: "\(path)/\(Self.escape(key))", message: "must be there")
        }
        if let problem = self.size(members.count, node, "Properties", "members") {
            return SchemaViolation(path: path, message: problem)
        }
        for member in members {
            guard let schema = node.property(member.key) ?? node.additional?.node else { continue }
            let place = "\(path)/\(Self.escape(member.key))"
            if let found = self.check(member.value, schema, place, depth: 0) { return found }
        }
        return nil
    }

    private func check(
        _ elements: [JSONValue], _ node: SchemaNode, _ path: String
    ) -> SchemaViolation? {
        if let problem = self.size(elements.count, node, "Items", "elements") {
            return SchemaViolation(path: path, message: problem)
        }
        if let items = node.items?.node {
            for (index, element) in elements.enumerated() {
                if let found = self.check(element, items, "\(path)/\(index)", depth: 0) {
                    return found
                }
            }
        }
        if node.isUnique {
            for (index, element) in elements.enumerated()
            where elements[..<index].contains(where: { $0.isEqual(to: element) }) {
                return SchemaViolation(path: "\(path)/\(index)", message: "stands in the array twice")
            }
        }
        return nil
    }

    private func size(_ count: Int, _ node: SchemaNode, _ what: String, _ unit: String) -> String? {
        if let least = node.bounds["min\(what)"], Double(count) < least {
            return "must have at least \(Self.text(least)) \(unit), and has \(count)"
        }
        if let most = node.bounds["max\(what)"], Double(count) > most {
            return "must have at most \(Self.text(most)) \(unit), and has \(count)"
        }
        return nil
    }

    private func number(_ value: Double, _ node: SchemaNode) -> String? {
        let bounds = node.bounds
        if let least = bounds["minimum"], value < least { return "must be at least \(Self.text(least))" }
        if let most = bounds["maximum"], value > most { return "must be at most \(Self.text(most))" }
        if let low = bounds["exclusiveMinimum"], value <= low { return "must be above \(Self.text(low))" }
        if let high = bounds["exclusiveMaximum"], value >= high { return "must be below \(Self.text(high))" }
        if let unit = bounds["multipleOf"] {
            let quotient = value / unit
            guard abs(quotient - quotient.rounded()) <= 1e-9 * max(1, abs(quotient)) else {
                return "must be a multiple of \(Self.text(unit))"
            }
        }
        return nil
    }

    private func combined(
        _ value: JSONValue, _ node: SchemaNode, _ path: String, _ depth: Int
    ) -> SchemaViolation? {
        if let target = node.reference.flatMap({ self.definitions[$0] }),
            let found = self.check(value, target, path, depth: depth)
        {
            return found
        }
        for schema in node.allOf {
            if let found = self.check(value, schema, path, depth: depth) { return found }
        }
        if !node.anyOf.isEmpty {
            let found = node.anyOf.map { self.check(value, $0, path, depth: depth) }
            if !found.contains(nil) {
                return found[0].map {
                    SchemaViolation(
                        path: path, message: "must satisfy one of \(found.count) schemas; of the first, \($0)"
                    )
                }
            }
        }
        if !node.oneOf.isEmpty {
            let count = node.oneOf.count { self.check(value, $0, path, depth: depth) == nil }
            if count != 1 {
                return SchemaViolation(
                    path: path,
                    message: "must satisfy exactly one of \(node.oneOf.count) schemas, and satisfies \(count)"
                )
            }
        }
        if let not = node.not?.node, self.check(value, not, path, depth: depth) == nil {
            return SchemaViolation(path: path, message: "must not satisfy the schema under 'not'")
        }
        return nil
    }

    private static func text(_ number: Double) -> String {
        Int64(exactly: number).map { String($0) } ?? "\(number)"
    }

    private static func escape(_ key: String) -> String {
        var result = ""
        for character in TerminalText.escape(key).unicodeScalars {
            switch character {
            case "~": result += "~0"
            case "/": result += "~1"
            default: result.unicodeScalars.append(character)
            }
        }
        return result
    }
}
