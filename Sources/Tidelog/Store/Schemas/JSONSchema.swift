import TidelogStorage

/// A schema of JSON values: a subset of JSON Schema, draft 2020-12.
///
/// | keywords | |
/// | --- | --- |
/// | any value | `type` (one or several), `enum`, `const` |
/// | combinations | `allOf`, `anyOf`, `oneOf`, `not`, `$ref` to `#` or `#/$defs/…`, `$defs` |
/// | objects | `properties`, `required`, `additionalProperties`, `minProperties`, `maxProperties` |
/// | arrays | `items`, `minItems`, `maxItems`, `uniqueItems` |
/// | texts | `minLength`, `maxLength`, in Unicode code points |
/// | numbers | `minimum`, `maximum`, `exclusiveMinimum`, `exclusiveMaximum`, `multipleOf` |
/// | said, not checked | `$schema`, `$id`, `$comment`, `title`, `description`, `default`, `examples`, `format` |
/// | the same | `deprecated`, `readOnly`, `writeOnly`, `contentMediaType`, `contentEncoding` |
///
/// Any other keyword (`pattern`, `if`, `patternProperties`, `prefixItems`, …) is refused when the schema is
/// read: what is not checked should not look as if it were. Numbers are compared as doubles.
public struct JSONSchema: Sendable, CustomStringConvertible {
    /// The text that it was read from.
    public let text: String
    let root: SchemaNode
    /// The schemas that can be referred to, by what refers to them.
    let definitions: [String: SchemaNode]

    /// Reads a schema.
    ///
    /// - Throws: ``EventLogError`` with code `malformedInput` that names the place and the keyword.
    public init(_ text: String) throws(EventLogError) {
        let document: JSONValue
        do throws(JSONFault) {
            document = try JSONValue(text.utf8)
        } catch {
            throw EventLogError(
                .malformedInput, "The schema is not JSON: \(error.reason.rawValue), at byte \(error.offset).")
        }
        var reader = SchemaReader()
        self.root = try reader.node(document, "")
        self.definitions = try reader.definitions(root: self.root)
        self.text = text
    }

    /// Its text.
    public var description: String { self.text }
}

/// One schema within a schema.
struct SchemaNode: Sendable {
    /// A schema that a value of this type cannot hold itself.
    final class Box: Sendable {
        let node: SchemaNode

        init(_ node: SchemaNode) { self.node = node }
    }

    /// What the schema says, as it was written.
    let source: JSONValue
    /// The kinds of values that it takes; nil: all.
    var types: Set<String>?
    var values: [JSONValue]?
    var properties: [(key: String, node: SchemaNode)] = []
    var required: [String] = []
    /// What members without a schema of their own must satisfy; nil: nothing.
    var additional: Box?
    var items: Box?
    var isUnique = false
    /// Bounds by keyword: sizes and numbers.
    var bounds: [String: Double] = [:]
    var allOf: [SchemaNode] = []
    var anyOf: [SchemaNode] = []
    var oneOf: [SchemaNode] = []
    var not: Box?
    var reference: String?

    init(_ source: JSONValue) { self.source = source }

    /// Whether it is `false`: nothing satisfies it.
    var isNever: Bool { self.source == .boolean(false) }
    /// Whether it says nothing: everything satisfies it.
    var isAlways: Bool { self.source == .boolean(true) || self.source == .object([]) }

    /// Takes these values alone; with `enum` and `const` side by side, those that are in both.
    mutating func allow(_ values: [JSONValue]) {
        self.values =
            self.values.map { own in
                own.filter { value in values.contains { $0.isEqual(to: value) } }
            } ?? values
    }

    func property(_ key: String) -> SchemaNode? {
        self.properties.first { $0.key.isExactly(key) }?.node
    }
}

/// Builds the tree of a schema.
private struct SchemaReader {
    private var references: [(text: String, place: String)] = []
    private var known: [String: SchemaNode] = [:]

    private static let types: Set<String> = [
        "null", "boolean", "object", "array", "number", "integer", "string",
    ]
    private static let sizes: Set<String> = [
        "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties",
    ]
    private static let numbers: Set<String> = [
        "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
    ]
    private static let said: Set<String> = [
        "$schema", "$id", "$comment", "title", "description", "default", "examples", "deprecated", "readOnly",
        "writeOnly", "format", "contentMediaType", "contentEncoding",
    ]

    mutating func node(_ source: JSONValue, _ place: String, depth: Int = 0) throws(EventLogError)
        -> SchemaNode
    {
        var node = SchemaNode(source)
        switch source {
        case .boolean: break
        case .object(let members):
            if depth > 64 { throw self.fault(place, "is nested more than 64 deep") }
            for member in members {
                try self.read(member.key, member.value, into: &node, "\(place)/\(member.key)", depth)
            }
        default: throw self.fault(place, "must be an object, true or false")
        }
        return node
    }

    private mutating func read(
        _ keyword: String, _ value: JSONValue, into node: inout SchemaNode, _ place: String, _ depth: Int
    ) throws(EventLogError) {
        switch keyword {
        case "type":
            let names = try self.texts(value, place, orOne: true)
            guard !names.isEmpty, Set(names).isSubset(of: Self.types) else {
                throw self.fault(place, "names a type that JSON does not have")
            }
            node.types = Set(names)
        case "enum":
            guard case .array(let values) = value else { throw self.fault(place, "must be an array") }
            node.allow(values)
        case "const": node.allow([value])
        case "properties":
            for (key, schema) in try self.schemas(value, place, depth) {
                node.properties.append((key, schema))
            }
        case "required": node.required = try self.texts(value, place, orOne: false)
        case "additionalProperties": node.additional = .init(try self.node(value, place, depth: depth + 1))
        case "items": node.items = .init(try self.node(value, place, depth: depth + 1))
        case "uniqueItems":
            guard case .boolean(let isUnique) = value else {
                throw self.fault(place, "must be true or false")
            }
            node.isUnique = isUnique
        case "allOf": node.allOf = try self.list(value, place, depth)
        case "anyOf": node.anyOf = try self.list(value, place, depth)
        case "oneOf": node.oneOf = try self.list(value, place, depth)
        case "not": node.not = .init(try self.node(value, place, depth: depth + 1))
        case "$ref":
            guard case .string(let text) = value else { throw self.fault(place, "must be a text") }
            node.reference = text
            self.references.append((text, place))
        case "$defs":
            for (key, schema) in try self.schemas(value, place, depth) where place == "/$defs" {
                self.known["#/$defs/\(key)"] = schema
            }
        case _ where Self.sizes.contains(keyword) || Self.numbers.contains(keyword):
            guard case .number(let written) = value else { throw self.fault(place, "must be a number") }
            let number = written.value
            if Self.sizes.contains(keyword), number < 0 || number != number.rounded() {
                throw self.fault(place, "must be a whole number that is not negative")
            }
            if keyword == "multipleOf", number <= 0 { throw self.fault(place, "must be above zero") }
            node.bounds[keyword] = number
        case _ where Self.said.contains(keyword): break
        default:
            throw self.fault(
                place, "is a keyword that is not checked here; leave it out, or check it in the app")
        }
    }

    private mutating func schemas(
        _ value: JSONValue, _ place: String, _ depth: Int
    ) throws(EventLogError) -> [(String, SchemaNode)] {
        guard case .object(let members) = value else { throw self.fault(place, "must be an object") }
        var result: [(String, SchemaNode)] = []
        for member in members {
            result.append(
                (member.key, try self.node(member.value, "\(place)/\(member.key)", depth: depth + 1)))
        }
        return result
    }

    private mutating func list(
        _ value: JSONValue, _ place: String, _ depth: Int
    ) throws(EventLogError) -> [SchemaNode] {
        guard case .array(let elements) = value, !elements.isEmpty else {
            throw self.fault(place, "must be an array of schemas, and not an empty one")
        }
        var result: [SchemaNode] = []
        for (index, element) in elements.enumerated() {
            result.append(try self.node(element, "\(place)/\(index)", depth: depth + 1))
        }
        return result
    }

    private func texts(_ value: JSONValue, _ place: String, orOne: Bool) throws(EventLogError) -> [String] {
        if orOne, case .string(let text) = value { return [text] }
        guard case .array(let elements) = value else { throw self.fault(place, "must be an array of texts") }
        var result: [String] = []
        for element in elements {
            guard case .string(let text) = element else { throw self.fault(place, "must hold texts alone") }
            result.append(text)
        }
        return result
    }

    /// What can be referred to; each reference must be to one of them.
    mutating func definitions(root: SchemaNode) throws(EventLogError) -> [String: SchemaNode] {
        self.known["#"] = root
        for (text, place) in self.references where self.known[text] == nil {
            throw self.fault(
                place, "refers to '\(text)', which is not here; '#' and '#/$defs/…' can be referred to")
        }
        return self.known
    }

    private func fault(_ place: String, _ message: String) -> EventLogError {
        EventLogError(
            .malformedInput,
            "The schema cannot be used: \(place.isEmpty ? "it" : TerminalText.escape(place)) \(message).")
    }
}
