/// What is said about an event beside its payload: keys with JSON values, in order, each key once.
///
/// It is JSON text without white space, as it is stored, and parsed only where it is looked into. What is
/// not changed keeps its exact text: a number with forty digits comes back with forty digits, although
/// ``MetadataValue`` would round it. Metadata are equal if their texts are, order of keys included.
///
/// ```swift
/// var metadata: EventMetadata = ["cart": ["items": 3], "beta": true]
/// metadata.userID = "u-42"
/// ```
///
/// - Complexity: Looking up or setting a key is O(*n*) in the bytes of the metadata.
public struct EventMetadata: Hashable, Sendable {
    /// A JSON object without white space, keys unique; empty for an object without members.
    package private(set) var bytes: ArraySlice<UInt8>

    /// Metadata without keys.
    public init() { self.bytes = [] }

    /// Metadata with these entries. Of keys that repeat, the last counts, at the place of the first.
    public init(_ entries: some Sequence<(String, MetadataValue)>) {
        self.init()
        var unique: [(String, MetadataValue)] = []
        var places: [[UInt8]: Int] = [:]
        for entry in entries {
            // By bytes: strings that differ in bytes alone are one to String, but two keys to JSON.
            let (place, isNew) = places.insertOrFind(Array(entry.0.utf8), next: unique.count)
            if isNew { unique.append(entry) } else { unique[place].1 = entry.1 }
        }
        self.bytes = Self.text(of: unique)
    }

    private static func text(of entries: some Sequence<(String, MetadataValue)>) -> ArraySlice<UInt8> {
        var text: [UInt8] = []
        for (key, value) in entries {
            text.append(text.isEmpty ? UInt8(ascii: "{") : UInt8(ascii: ","))
            text.appendJSONString(key)
            text.append(UInt8(ascii: ":"))
            text.appendJSON(value)
        }
        if !text.isEmpty { text.append(UInt8(ascii: "}")) }
        return text[...]
    }

    /// The metadata as stored: an object without white space, or nothing.
    package init(stored: ArraySlice<UInt8>) { self.bytes = stored }

    /// The metadata written as a JSON object. White space is dropped, strings get the fewest escapes;
    /// numbers keep their text.
    ///
    /// - Throws: ``EventLogError`` with code `malformedInput` if it is not a JSON object (RFC 8259), nests
    ///   more than 512 deep, or a key repeats in it or in an object within it.
    public init(json: some Sequence<UInt8>) throws(EventLogError) {
        let text = Array(json)
        do throws(JSONFault) {
            self = try text.withUnsafeBufferPointer { bytes throws(JSONFault) in
                try EventMetadata(UnsafeRawBufferPointer(bytes))
            }
        } catch {
            throw EventLogError(
                .malformedInput,
                "The metadata is not a JSON object: byte \(error.offset): \(error.reason.rawValue).")
        }
    }

    /// The metadata written as a JSON object.
    package init(_ json: UnsafeRawBufferPointer) throws(JSONFault) {
        var scanner = JSONScanner(json)
        var text: [UInt8] = []
        try scanner.refuseByteOrderMark()
        scanner.skipSpace()
        guard scanner.peek == UInt8(ascii: "{") else { throw scanner.fault(.notAnObject) }
        try scanner.appendCanonical(to: &text)
        try scanner.requireEnd()
        self.bytes = text.count > 2 ? text[...] : []
    }

    /// The metadata as a JSON object without white space; `{}` if there are none.
    public var json: ArraySlice<UInt8> {
        self.bytes.isEmpty ? [UInt8(ascii: "{"), UInt8(ascii: "}")] : self.bytes
    }

    /// Whether there are no keys.
    public var isEmpty: Bool { self.bytes.isEmpty }

    /// The value for a key; setting nil removes the key, setting a value keeps the key's place or appends it.
    public subscript(key: String) -> MetadataValue? {
        get {
            var found: MetadataValue?
            self.forEachMember { name, scanner throws(JSONFault) in
                guard scanner.equals(name, key) else {
                    try scanner.skipValue(depth: 1)
                    return true
                }
                found = try MetadataValue(&scanner)
                return false
            }
            return found
        }
        set {
            guard let newValue else { return self.set(key, canonical: nil) }
            var text: [UInt8] = []
            text.appendJSON(newValue)
            self.set(key, canonical: text)
        }
    }

    /// Sets a key to a value of canonical JSON text, or removes it.
    mutating func set(_ key: String, canonical value: [UInt8]?) {
        var text: [UInt8] = []
        text.reserveCapacity(self.bytes.count + key.utf8.count + (value?.count ?? 0) + 8)
        var isPlaced = false
        self.forEachMember { name, scanner throws(JSONFault) in
            let start = scanner.index
            try scanner.skipValue(depth: 1)
            let isIt = scanner.equals(name, key)
            isPlaced = isPlaced || isIt
            if isIt && value == nil { return true }
            text.append(text.isEmpty ? UInt8(ascii: "{") : UInt8(ascii: ","))
            text.append(contentsOf: scanner.bytes(name.start - 1..<name.end + 1))
            text.append(UInt8(ascii: ":"))
            if let value, isIt {
                text.append(contentsOf: value)
            } else {
                text.append(contentsOf: scanner.bytes(start..<scanner.index))
            }
            return true
        }
        if let value, !isPlaced {
            text.append(text.isEmpty ? UInt8(ascii: "{") : UInt8(ascii: ","))
            text.appendJSONString(key)
            text.append(UInt8(ascii: ":"))
            text.append(contentsOf: value)
        }
        if !text.isEmpty { text.append(UInt8(ascii: "}")) }
        self.bytes = text[...]
    }

    /// The exact JSON text of the value for a key, or nil if there is no such key.
    public func json(for key: String) -> [UInt8]? {
        var found: [UInt8]?
        self.forEachMember { name, scanner throws(JSONFault) in
            let start = scanner.index
            try scanner.skipValue(depth: 1)
            guard scanner.equals(name, key) else { return true }
            found = Array(scanner.bytes(start..<scanner.index))
            return false
        }
        return found
    }

    /// Keys and values, in order.
    public var entries: [(key: String, value: MetadataValue)] {
        var entries: [(key: String, value: MetadataValue)] = []
        self.forEachMember { name, scanner throws(JSONFault) in
            entries.append((scanner.string(name), try MetadataValue(&scanner)))
            return true
        }
        return entries
    }

    /// The keys, in order.
    public var keys: [String] {
        var keys: [String] = []
        self.forEachMember { name, scanner throws(JSONFault) in
            keys.append(scanner.string(name))
            try scanner.skipValue(depth: 1)
            return true
        }
        return keys
    }

    /// The entries but for `traceparent` and `tracestate`: they are of the call that brings an event, and others when
    /// it is brought again.
    var withoutTrace: Self {
        var rest = self
        (rest["traceparent"], rest["tracestate"]) = (nil, nil)
        return rest
    }

    /// Sets every entry of `other`.
    public mutating func merge(_ other: EventMetadata) {
        guard !self.isEmpty else { return self = other }
        // As text: numbers beyond what a value can hold stay what they are.
        var entries: [(String, [UInt8])] = []
        other.forEachMember { name, scanner throws(JSONFault) in
            let start = scanner.index
            try scanner.skipValue(depth: 1)
            entries.append((scanner.string(name), Array(scanner.bytes(start..<scanner.index))))
            return true
        }
        for (key, text) in entries { self.set(key, canonical: text) }
    }

    /// Calls `body` with each key and a scanner at its value, which `body` must pass; stops at false.
    ///
    /// Stored bytes were checked when they were made. Should they be damaged all the same, the walk ends.
    private func forEachMember(
        _ body: (_ key: JSONText, _ scanner: inout JSONScanner) throws(JSONFault) -> Bool
    ) {
        self.bytes.withUnsafeBytes { Self.forEachMember(of: $0, body) }
    }

    /// The same for the bytes of metadata as stored.
    static func forEachMember(
        of bytes: UnsafeRawBufferPointer,
        _ body: (_ key: JSONText, _ scanner: inout JSONScanner) throws(JSONFault) -> Bool
    ) {
        var scanner = JSONScanner(bytes)
        guard scanner.peek == UInt8(ascii: "{") else { return }
        do throws(JSONFault) {
            try scanner.startContainer(depth: 1)
            if scanner.take(UInt8(ascii: "}")) { return }
            repeat {
                let key = try scanner.scanKey()
                guard try body(key, &scanner) else { return }
            } while try scanner.continueObject()
        } catch { return }
    }
}

extension EventMetadata: ExpressibleByDictionaryLiteral, CustomStringConvertible {
    /// Metadata written as a literal. Of keys that repeat, the last counts.
    public init(dictionaryLiteral elements: (String, MetadataValue)...) { self.init(elements) }

    /// The JSON text.
    public var description: String { String(decoding: self.json, as: UTF8.self) }
}

/// The keys with a meaning of their own.
extension EventMetadata {
    /// Key `user_id`: on whose behalf it happened.
    public var userID: String? {
        get { self["user_id"]?.string }
        set { self["user_id"] = newValue.map { .string($0) } }
    }

    /// Key `tenant_id`: whose data it is. Reads can filter by it.
    public var tenantID: String? {
        get { self["tenant_id"]?.string }
        set { self["tenant_id"] = newValue.map { .string($0) } }
    }

    /// Key `request_id`: the request that it was part of.
    public var requestID: String? {
        get { self["request_id"]?.string }
        set { self["request_id"] = newValue.map { .string($0) } }
    }

    /// Key `trace_id`: the trace that it was part of.
    public var traceID: String? {
        get { self["trace_id"]?.string }
        set { self["trace_id"] = newValue.map { .string($0) } }
    }

    /// Key `traceparent`, whole: W3C Trace Context and the distributed tracing extension of CloudEvents.
    public var traceparent: String? {
        get { self["traceparent"]?.string }
        set { self["traceparent"] = newValue.map { .string($0) } }
    }

    /// Key `tracestate`, whole: W3C Trace Context and the distributed tracing extension of CloudEvents.
    public var tracestate: String? {
        get { self["tracestate"]?.string }
        set { self["tracestate"] = newValue.map { .string($0) } }
    }
}

extension Dictionary where Key == [UInt8], Value == Int {
    /// The place kept for a key, or `next` kept from now on.
    fileprivate mutating func insertOrFind(_ key: Key, next: Int) -> (place: Int, isNew: Bool) {
        if let place = self[key] { return (place, false) }
        self[key] = next
        return (next, true)
    }
}
