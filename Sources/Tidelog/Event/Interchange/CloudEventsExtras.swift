import TidelogStorage

/// What a CloudEvent said that an event has no field for: the metadata object `cloudevents`.
///
/// The reader makes it, the writer puts it back where it was. An app may have put an object of that name
/// into its metadata too, so the writer takes it only if it is exactly what the reader would have made of the
/// attributes written from it, order included; else it is metadata like any other.
struct CloudEventsExtras {
    /// The key in the metadata.
    static let key: StaticString = "cloudevents"

    typealias Bytes = UnsafeRawBufferPointer

    /// The JSON value of `dataschema`.
    var dataschema: Bytes?
    /// The JSON value of `time`, where the timestamp's own text is another.
    var time: Bytes?
    /// The JSON text of `data`, where it would be written in another way.
    var data: [UInt8]?
    /// Whether the payload goes to `data_base64` although it would not have to.
    var isBase64 = false
    /// Attributes whose names (quoted) or values CloudEvents does not allow.
    var attributes: [(name: Bytes, value: Bytes)] = []

    /// The extras in a canonical JSON object, or nil if they are not such as the reader makes.
    ///
    /// - Parameter isTaken: Whether an attribute of that name is written from elsewhere.
    init?(
        _ object: Bytes, _ record: EventRecord, _ payload: Bytes, _ shape: PayloadShape,
        isTaken: (Bytes) -> Bool
    ) {
        var scanner = JSONScanner(object)
        guard scanner.peek == UInt8(ascii: "{"), object.count > 2 else { return nil }
        do throws(JSONFault) {
            try scanner.startContainer(depth: 1)
            var last = 0
            repeat {
                let key = try scanner.scanKey()
                let rank = Self.rank(MemberName(key, scanner))
                guard rank >= last else { return nil }
                last = rank
                let start = scanner.index
                try scanner.skipValue(depth: 1)
                let value = scanner.bytes(start..<scanner.index)
                guard self.take(key, value, scanner, record, payload, shape, isTaken) else { return nil }
            } while try scanner.continueObject()
        } catch { return nil }
    }

    /// The order in which the reader puts what it notes; attributes of equal rank stay as they come.
    private static func rank(_ name: MemberName) -> Int {
        switch name {
        case .data, .dataBase64: 0
        case .time: 1
        case .dataschema: 2
        case .tidelogsource: 3
        case .correlationid: 4
        case .causationid: 5
        case .schemaversion: 6
        case .tidelogmetadata: 7
        default: 8
        }
    }

    private mutating func take(
        _ key: JSONText, _ value: Bytes, _ scanner: JSONScanner, _ record: EventRecord, _ payload: Bytes,
        _ shape: PayloadShape, _ isTaken: (Bytes) -> Bool
    ) -> Bool {
        let name = scanner.bytes(key.start..<key.end)
        let isString = value.first == UInt8(ascii: "\"")
        let isNull = value.first == UInt8(ascii: "n")
        switch MemberName(key, scanner) {
        case .dataschema:
            self.dataschema = value
            return isString && value.count > 2
        case .time:
            self.time = value
            return isString && Self.isOtherText(value, of: record.timestamp)
        case .data:
            self.data = Self.data(value, record, payload, shape)
            return self.data != nil && !self.isBase64
        case .dataBase64:
            self.isBase64 = true
            if case .base64 = shape { return false }
            return value.first == UInt8(ascii: "t") && self.data == nil
        case .tidelogsource:
            guard !isNull, Self.isStrayMark(value, beside: record.source) else { return false }
        case .correlationid: guard record.correlation == nil, !isString, !isNull else { return false }
        case .causationid: guard record.causation == nil, !isString, !isNull else { return false }
        case .schemaversion:
            guard record.schemaVersion == 1, !isNull, AttributeRules.schemaVersion(value) == nil else {
                return false
            }
        case .userid, .tenantid, .requestid, .traceid:
            guard !AttributeRules.isLegal(value: value), !isTaken(name) else { return false }
        case .tidelogmetadata:
            guard !isTaken(name), !isNull, !isString || EventMetadata(inString: value) == nil else {
                return false
            }
        case .cloudevents: break
        case let other where other.isCloudEvents: return false
        default:
            guard !isTaken(name),
                !(AttributeRules.isLegal(name: name) && AttributeRules.isLegal(value: value))
            else { return false }
        }
        self.attributes.append((scanner.bytes(key.start - 1..<key.end + 1), value))
        return true
    }

    /// Whether a value of `tidelogsource` that is not null means nothing beside this source.
    private static func isStrayMark(_ value: Bytes, beside source: String?) -> Bool {
        guard let source else { return value.first != UInt8(ascii: "t") }
        return source != EventJSONEncoder.unknownSource
    }

    /// Whether a JSON string tells this time, but not in the words that a timestamp has for it.
    private static func isOtherText(_ value: Bytes, of timestamp: Int64) -> Bool {
        var scanner = JSONScanner(value)
        guard let text = try? scanner.scanString(),
            case .success(let parsed) = scanner.characters(text).withUnsafeBytes({ RFC3339.parse($0) })
        else { return false }
        return !parsed.isCanonical && parsed.timestamp.nanosecondsSinceEpoch == timestamp
    }

    /// The JSON text to write as `data`, if the value asks for one and it is this payload.
    ///
    /// True means that the payload is the JSON text itself, although its content type is not JSON; a string
    /// is the JSON text of a string whose characters are the payload.
    private static func data(
        _ value: Bytes, _ record: EventRecord, _ payload: Bytes, _ shape: PayloadShape
    ) -> [UInt8]? {
        guard let contentType = record.contentType, !MediaType.isJSON(contentType) else { return nil }
        if value.first == UInt8(ascii: "t") {
            var scanner = JSONScanner(payload)
            guard payload.first != UInt8(ascii: "\""),
                let range = try? scanner.skipDocument(depth: PayloadShape.depth),
                range == 0..<payload.count
            else { return nil }
            return Array(payload)
        }
        var outer = JSONScanner(value)
        guard value.first == UInt8(ascii: "\""), let quoted = try? outer.scanString() else { return nil }
        let literal = outer.characters(quoted)
        let isIt = literal.withUnsafeBytes { literal in
            var inner = JSONScanner(literal)
            guard literal.first == UInt8(ascii: "\""), let text = try? inner.scanString(),
                inner.index == literal.count
            else { return false }
            return inner.characters(text).elementsEqual(payload)
                && CloudEventsExtras.needsText(literal, payload, shape)
        }
        return isIt ? literal : nil
    }

    /// Whether a payload that was the JSON string `literal` would be written in any other way.
    static func needsText(_ literal: Bytes, _ payload: Bytes, _ shape: PayloadShape) -> Bool {
        guard case .text = shape else { return true }
        guard literal.contains(UInt8(ascii: "\\")) else { return false }
        var own: [UInt8] = []
        own.appendJSONString(payload)
        return !own.elementsEqual(literal)
    }
}

extension EventMetadata {
    /// The metadata whose JSON text a JSON string holds, or nil if it holds none.
    init?(inString value: UnsafeRawBufferPointer) {
        var scanner = JSONScanner(value)
        guard value.first == UInt8(ascii: "\""), let text = try? scanner.scanString() else { return nil }
        let json = scanner.characters(text)
        guard let metadata = try? EventMetadata(json: json) else { return nil }
        self = metadata
    }
}
