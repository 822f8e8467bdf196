// How schemas stand in the head, in the space of settings: see Docs/Format.md, "Schemas".
//
//     "schemas"                          a number that each change raises
//     "schema", 0, type, 0, version      one version of a type
//     "schema-rules", 0, type            what holds for all versions of a type
import TidelogStorage

/// The schemas of all types.
struct SchemaTable: Sendable {
    struct Key: Hashable, Sendable {
        var type: ExactText
        var version: UInt32

        init(type: String, version: UInt32) {
            self.type = ExactText(type)
            self.version = version
        }
    }

    struct Entry: Sendable {
        var schema: JSONSchema?
        var typeName: String?
    }

    struct Rules: Sendable, Equatable {
        var mode = SchemaMode.enforce
        var compatibility = SchemaCompatibility.backward
    }

    struct TypeEntry: Sendable {
        var rules = Rules()
        var versions: [UInt32: Entry] = [:]
    }

    private var types: [ExactText: TypeEntry] = [:]

    init() {}

    var isEmpty: Bool { self.types.isEmpty }

    subscript(type: String) -> TypeEntry? { self.types[ExactText(type)] }

    var all: [RegisteredSchema] {
        var result: [RegisteredSchema] = []
        for (type, entry) in self.types.sorted(by: { $0.key.text < $1.key.text }) {
            for (version, schema) in entry.versions.sorted(by: { $0.key < $1.key }) {
                result.append(
                    RegisteredSchema(
                        type: type.text, version: version, schema: schema.schema, typeName: schema.typeName,
                        mode: entry.rules.mode, compatibility: entry.rules.compatibility))
            }
        }
        return result
    }

    // MARK: Changing

    /// Adds a version; answers the changes of the head, none if it is there already.
    mutating func add(
        _ entry: Entry, type: String, version: UInt32
    ) throws(EventLogError) -> [RecordChange] {
        let known = self[type] ?? TypeEntry()
        let name = "version \(version) of '\(TerminalText.escape(type))'"
        if let old = known.versions[version] {
            if old.schema?.text == entry.schema?.text, old.typeName == entry.typeName { return [] }
            throw EventLogError(
                .alreadyExists, "\(name) has another schema already; register the new one as a new version")
        }
        try Self.check(entry, version, name, known)
        self.types[ExactText(type), default: TypeEntry()].versions[version] = entry
        var writer = RecordWriter()
        writer.write(UInt8(1))
        writer.write(UInt8(entry.schema == nil ? 1 : 0))
        writer.write(rest: Array((entry.schema?.text ?? entry.typeName ?? "").utf8))
        return [.set(.settings, key: Self.key(type, version), value: writer.bytes)]
    }

    /// Compares the new version with its neighbours.
    private static func check(
        _ entry: Entry, _ version: UInt32, _ name: String, _ known: TypeEntry
    ) throws(EventLogError) {
        guard let new = entry.schema else { return }
        let kind = known.rules.compatibility.kind
        let older = known.versions.keys.filter { $0 < version }.max()
        let newer = known.versions.keys.filter { $0 > version }.min()
        for (first, second) in [(older, version), (version, newer)] {
            guard let first, let second, let old = first == version ? new : known.versions[first]?.schema,
                let next = second == version ? new : known.versions[second]?.schema
            else { continue }
            var reasons: [String] = []
            if kind == .backward || kind == .full { reasons += old.reasonsAgainst(acceptedBy: next) }
            if kind == .forward || kind == .full { reasons += next.reasonsAgainst(acceptedBy: old) }
            guard !reasons.isEmpty else { continue }
            throw EventLogError(
                .incompatibleSchema,
                "\(name) does not go together with version \(first == version ? second : first) "
                    + "(\(known.rules.compatibility)): " + reasons.prefix(3).joined(separator: "; ")
                    + (reasons.count > 3 ? "; and \(reasons.count - 3) more" : ""))
        }
    }

    /// Changes what holds for all versions of a type; answers the changes of the head.
    mutating func rules(of type: String, _ change: (inout Rules) -> Void) -> [RecordChange] {
        let old = self[type]?.rules
        change(&self.types[ExactText(type), default: TypeEntry()].rules)
        guard let new = self[type]?.rules, new != old else { return [] }
        return [
            .set(
                .settings, key: Array("schema-rules\0\(type)".utf8),
                value: [1, new.mode.kind.rawValue, new.compatibility.kind.rawValue])
        ]
    }

    // MARK: The head

    static let stampKey = Array("schemas".utf8)

    static func stamp(after stamp: [UInt8]?) -> [UInt8] {
        withUnsafeBytes(of: (self.number(of: stamp) &+ 1).littleEndian) { [UInt8]($0) }
    }

    /// How many changes a stamp tells of.
    static func number(of stamp: [UInt8]?) -> UInt64 {
        stamp.map { $0.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) } } ?? 0
    }

    private static func key(_ type: String, _ version: UInt32) -> [UInt8] {
        Array("schema\0\(type)\0".utf8) + withUnsafeBytes(of: version.bigEndian) { [UInt8]($0) }
    }

    init(_ view: borrowing RecordView) throws(StorageError) {
        var types: [ExactText: TypeEntry] = [:]
        try view.forEach(.settings, prefix: Array("schema\0".utf8)) { key, value throws(StorageError) in
            let type = ExactText(String(decoding: key.dropLast(5), as: UTF8.self))
            let version = key.suffix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            var reader = RecordBytes(value, what: "the schema of '\(type.text)', version \(version)")
            try reader.requireVersion(1)
            let isType = try reader.read() as UInt8 == 1
            let text = String(decoding: reader.rest(), as: UTF8.self)
            var entry = Entry()
            if isType {
                entry.typeName = text
            } else {
                do throws(EventLogError) {
                    entry.schema = try JSONSchema(text)
                } catch {
                    throw StorageError(
                        .unsupportedFormat,
                        "the schema of '\(type.text)', version \(version), is none that this build reads: "
                            + error.message)
                }
            }
            types[type, default: TypeEntry()].versions[version] = entry
            return true
        }
        try view.forEach(.settings, prefix: Array("schema-rules\0".utf8)) { key, value throws(StorageError) in
            var reader = RecordBytes(value, what: "the rules of a schema")
            try reader.requireVersion(1)
            guard let mode = SchemaMode.Kind(rawValue: try reader.read()),
                let compatibility = SchemaCompatibility.Kind(rawValue: try reader.read())
            else {
                throw StorageError(
                    .unsupportedFormat, "the rules of a schema are of a newer Tidelog; use that")
            }
            types[ExactText(String(decoding: key, as: UTF8.self)), default: TypeEntry()].rules = Rules(
                mode: .init(kind: mode), compatibility: .init(kind: compatibility))
            return true
        }
        self.types = types
    }
}

/// Which schemas events were checked against: how many changes of them there had been.
struct SchemaStamp: Equatable, Sendable {
    private let number: UInt64

    init(_ stored: [UInt8]?) {
        self.number = SchemaTable.number(of: stored)
    }

    /// The older one of both.
    func older(_ other: SchemaStamp?) -> SchemaStamp {
        other.map { $0.number < self.number ? $0 : self } ?? self
    }

    /// Whether nobody has changed a schema since.
    func isCurrent<Source: RecordSource & ~Copyable>(in source: borrowing Source) throws(StorageError) -> Bool
    {
        SchemaTable.number(of: try source.record(.settings, key: SchemaTable.stampKey)) == self.number
    }
}
