import TidelogStorage

/// How a new version of a schema must go together with the one before it.
public struct SchemaCompatibility: Hashable, Sendable, CustomStringConvertible {
    enum Kind: UInt8 { case none, backward, forward, full }
    let kind: Kind

    /// It need not.
    public static var none: Self { .init(kind: .none) }
    /// What the old version accepts, the new one accepts: new readers read old events. The default.
    public static var backward: Self { .init(kind: .backward) }
    /// What the new version accepts, the old one accepts: old readers read new events.
    public static var forward: Self { .init(kind: .forward) }
    /// Both.
    public static var full: Self { .init(kind: .full) }

    /// The name.
    public var description: String { "\(self.kind)" }
}

extension JSONSchema {
    /// Why values that `self` accepts might not be accepted by `other`; empty if all are.
    ///
    /// The comparison is of the schemas' texts and errs on the side of refusing: combinations that differ
    /// (`anyOf`, `not`, …) count as incompatible. Members that a schema neither names nor requires are taken not
    /// to be there, so that one may be added; but where `other` refuses what it does not name, `self` must too.
    public func reasonsAgainst(acceptedBy other: JSONSchema) -> [String] {
        var comparison = SchemaComparison(narrow: self.definitions, wide: other.definitions)
        comparison.compare(self.root, within: other.root, "")
        return comparison.reasons
    }
}

extension SchemaNode {
    /// Whether it is no reference, or nothing but one.
    fileprivate var isReferenceAlone: Bool {
        guard self.reference != nil, case .object(let members) = self.source else { return true }
        return members.allSatisfy { $0.key == "$ref" || $0.key == "$defs" || $0.key == "$schema" }
    }

    /// Whether it accepts objects, as far as its types and values tell.
    fileprivate var mayBeObject: Bool {
        guard self.types?.contains("object") ?? true else { return false }
        guard let values = self.values else { return true }
        return values.contains { if case .object = $0 { true } else { false } }
    }
}

/// Compares two schemas: is everything that one accepts accepted by the other?
private struct SchemaComparison {
    var reasons: [String] = []
    private let narrow: [String: SchemaNode]
    private let wide: [String: SchemaNode]
    /// Pairs of references that are compared already: schemas may refer to themselves.
    private var visited: Set<[String?]> = []

    init(narrow: [String: SchemaNode], wide: [String: SchemaNode]) {
        self.narrow = narrow
        self.wide = wide
    }

    private mutating func note(_ path: String, _ reason: String) {
        self.reasons.append("\(path.isEmpty ? "the value" : TerminalText.escape(path)) \(reason)")
    }

    /// - Parameters:
    ///   - narrow: the schema whose values come.
    ///   - wide: the schema that should accept them.
    mutating func compare(_ narrow: SchemaNode, within wide: SchemaNode, _ path: String) {
        if wide.isAlways || narrow.isNever { return }
        if wide.isNever { return self.note(path, "is allowed no longer") }
        self.combinations(narrow, wide, path)
        if narrow.reference != nil || wide.reference != nil {
            // What stands beside a reference holds as well, and is not taken apart here.
            guard narrow.isReferenceAlone, wide.isReferenceAlone else {
                if !self.isSame(narrow.source, wide.source) {
                    self.note(path, "is not compared where something stands beside '$ref'")
                }
                return
            }
            // Where one side is a tree, it ends by itself, save for a reference to a reference. What accepts
            // everything has no end: its members do so as well.
            let isEndless = narrow.isAlways || (narrow.reference != nil && wide.reference != nil)
            let place = isEndless ? nil : path
            guard self.visited.insert([narrow.reference, wide.reference, place]).inserted else { return }
            return self.compare(
                narrow.reference.flatMap { self.narrow[$0] } ?? narrow,
                within: wide.reference.flatMap { self.wide[$0] } ?? wide, path)
        }
        if let types = wide.types {
            let lost = (narrow.types ?? ["any"]).filter {
                !types.contains($0) && !($0 == "integer" && types.contains("number"))
            }
            if !lost.isEmpty {
                self.note(path, "may be \(lost.sorted().joined(separator: ", ")), which is not accepted")
            }
        }
        if let values = wide.values {
            let all = narrow.values.map {
                $0.allSatisfy { value in values.contains { $0.isEqual(to: value) } }
            }
            if all != true { self.note(path, "may have a value that is not listed") }
        }
        for (keyword, bound) in wide.bounds.sorted(by: { $0.key < $1.key }) {
            self.bound(keyword, bound, narrow, path)
        }
        if wide.isUnique, !narrow.isUnique { self.note(path, "may hold an element twice") }
        if let items = wide.items?.node {
            if let own = narrow.items?.node {
                self.compare(own, within: items, path + "/items")
            } else if !items.isAlways {
                self.note(path, "may hold elements of any kind")
            }
        }
        self.members(narrow, wide, path)
    }

    private mutating func bound(_ keyword: String, _ bound: Double, _ narrow: SchemaNode, _ path: String) {
        let other = narrow.bounds[keyword]
        let holds: Bool
        if keyword == "multipleOf" {
            holds = other.map { ($0 / bound).rounded() == $0 / bound } ?? false
        } else if keyword.hasPrefix("min") || keyword == "exclusiveMinimum" {
            holds =
                (other ?? -.infinity) >= bound
                || (keyword.hasPrefix("min") && bound == 0 && keyword != "minimum")
        } else {
            holds = (other ?? .infinity) <= bound
        }
        if !holds { self.note(path, "may go beyond '\(keyword)'") }
    }

    private mutating func members(_ narrow: SchemaNode, _ wide: SchemaNode, _ path: String) {
        guard narrow.mayBeObject else { return }
        for key in wide.required where !narrow.required.contains(where: key.isExactly) {
            self.note("\(path)/\(key)", "may be missing, and is required")
        }
        for (key, schema) in narrow.properties {
            if let other = wide.property(key) ?? wide.additional?.node {
                self.compare(schema, within: other, "\(path)/\(key)")
            }
        }
        guard let additional = narrow.additional?.node, !additional.isAlways else {
            // Members that `narrow` does not name may be anything; those that it requires are there.
            let anything = SchemaNode(.boolean(true))
            for key in narrow.required where narrow.property(key) == nil {
                if let other = wide.property(key) ?? wide.additional?.node {
                    self.compare(anything, within: other, "\(path)/\(key)")
                }
            }
            if let other = wide.additional?.node { self.compare(anything, within: other, "\(path)/*") }
            return
        }
        // Members that `narrow` does not name, but has a schema for, may bear a name that `wide` knows.
        if !additional.isNever {
            for (key, other) in wide.properties where narrow.property(key) == nil {
                self.compare(additional, within: other, "\(path)/\(key)")
            }
            if let other = wide.additional?.node { self.compare(additional, within: other, "\(path)/*") }
        }
    }

    /// Combinations are compared as they are written.
    private mutating func combinations(_ narrow: SchemaNode, _ wide: SchemaNode, _ path: String) {
        for keyword in ["allOf", "anyOf", "oneOf", "not"] {
            guard let demand = wide.source[keyword] else { continue }
            if let own = narrow.source[keyword], self.isSame(own, demand) { continue }
            self.note(path, "is not compared under '\(keyword)', which must stay as it is")
        }
    }

    /// Whether two schemas are written alike, and so is all that they refer to.
    private func isSame(_ narrow: JSONValue, _ wide: JSONValue) -> Bool {
        guard narrow.isEqual(to: wide) else { return false }
        var seen: Set<String> = []
        var pending = Self.references(in: narrow)
        while let reference = pending.popLast() {
            guard seen.insert(reference).inserted else { continue }
            // What is no schema here stands in a value, as in an `enum`, and refers to nothing.
            guard let own = self.narrow[reference]?.source else { continue }
            guard let other = self.wide[reference]?.source, own.isEqual(to: other) else { return false }
            pending += Self.references(in: own)
        }
        return true
    }

    private static func references(in value: JSONValue) -> [String] {
        switch value {
        case .array(let elements): elements.flatMap { Self.references(in: $0) }
        case .object(let members):
            members.flatMap { member -> [String] in
                if member.key == "$ref", case .string(let text) = member.value { return [text] }
                return Self.references(in: member.value)
            }
        default: []
        }
    }
}
