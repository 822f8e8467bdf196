#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The names that mean something in one of the forms that events are written in, and `other`.
enum MemberName: UInt8, CaseIterable {
    // Both forms.
    case id, type, source, position, revision
    // CloudEvents.
    case specversion, subject, time, datacontenttype, dataschema, data, dataBase64
    case correlationid, causationid, schemaversion, tidelogsource, tidelogmetadata, cloudevents
    case userid, tenantid, requestid, traceid
    // The plain form.
    case stream, payload, payloadBase64, metadata, timestamp, correlationID, causationID, version, contentType
    // Metadata that CloudEvents knows by another name.
    case userID, tenantID, requestID, traceID
    case other

    /// The name as it is written; empty for `other`.
    var text: StaticString {
        switch self {
        case .id: "id"
        case .type: "type"
        case .source: "source"
        case .position: "position"
        case .revision: "revision"
        case .specversion: "specversion"
        case .subject: "subject"
        case .time: "time"
        case .datacontenttype: "datacontenttype"
        case .dataschema: "dataschema"
        case .data: "data"
        case .dataBase64: "data_base64"
        case .correlationid: "correlationid"
        case .causationid: "causationid"
        case .schemaversion: "schemaversion"
        case .tidelogsource: "tidelogsource"
        case .tidelogmetadata: "tidelogmetadata"
        case .cloudevents: "cloudevents"
        case .userid: "userid"
        case .tenantid: "tenantid"
        case .requestid: "requestid"
        case .traceid: "traceid"
        case .stream: "stream"
        case .payload: "payload"
        case .payloadBase64: "payload_base64"
        case .metadata: "metadata"
        case .timestamp: "timestamp"
        case .correlationID: "correlation_id"
        case .causationID: "causation_id"
        case .version: "version"
        case .contentType: "content_type"
        case .userID: "user_id"
        case .tenantID: "tenant_id"
        case .requestID: "request_id"
        case .traceID: "trace_id"
        case .other: ""
        }
    }

    /// Names by their length.
    private static let table: [[(text: StaticString, name: MemberName)]] = {
        var table = [[(text: StaticString, name: MemberName)]](repeating: [], count: 16)
        for name in Self.allCases where name != .other {
            table[name.text.utf8CodeUnitCount].append((name.text, name))
        }
        return table
    }()

    /// The name that these bytes spell.
    init(_ bytes: UnsafeRawBufferPointer) {
        self = .other
        guard bytes.count < 16, let base = bytes.baseAddress else { return }
        for candidate in Self.table[bytes.count]
        where memcmp(candidate.text.utf8Start, base, bytes.count) == 0 {
            self = candidate.name
            return
        }
    }

    /// The name that a scanned string spells.
    init(_ text: JSONText, _ scanner: JSONScanner) {
        if text.hasEscapes {
            self = scanner.characters(text).withUnsafeBytes { MemberName($0) }
        } else {
            self = MemberName(scanner.bytes(text.start..<text.end))
        }
    }

    /// Whether the name means something in CloudEvents, so that metadata of that name must go another way.
    var isCloudEvents: Bool {
        switch self {
        case .id, .type, .source, .position, .revision, .specversion, .subject, .time, .datacontenttype,
            .dataschema, .data, .dataBase64, .correlationid, .causationid, .schemaversion, .tidelogsource,
            .tidelogmetadata, .cloudevents, .userid, .tenantid, .requestid, .traceid:
            true
        default: false
        }
    }

    /// Whether the name means something in the plain form.
    var isPlain: Bool {
        switch self {
        case .id, .type, .source, .position, .revision, .stream, .payload, .payloadBase64, .metadata,
            .timestamp, .correlationID, .causationID, .version, .contentType:
            true
        default: false
        }
    }

    /// The same thing under the other name: of metadata for an attribute, of an attribute for metadata.
    var alias: MemberName? {
        switch self {
        case .userid: .userID
        case .tenantid: .tenantID
        case .requestid: .requestID
        case .traceid: .traceID
        case .userID: .userid
        case .tenantID: .tenantid
        case .requestID: .requestid
        case .traceID: .traceid
        default: nil
        }
    }
}

/// What CloudEvents allows as attributes.
enum AttributeRules {
    /// Whether a name is made of lower-case letters and digits alone.
    static func isLegal(name: UnsafeRawBufferPointer) -> Bool {
        !name.isEmpty && name.allSatisfy { $0 &- 0x61 < 26 || $0 &- 0x30 < 10 }
    }

    /// Whether a checked JSON value is of a type that attributes may have: string, Boolean, an integer of 32
    /// bits, or null for an attribute that is not set.
    static func isLegal(value: UnsafeRawBufferPointer) -> Bool {
        switch value.first {
        case UInt8(ascii: "{"), UInt8(ascii: "["): false
        case .some(UInt8(ascii: "-")), .some(UInt8(ascii: "0")...UInt8(ascii: "9")):
            value.count <= 11 && Int32(String(decoding: value, as: UTF8.self)) != nil
        default: true
        }
    }

    /// The schema version that a checked JSON value gives an event; 1 goes without saying.
    static func schemaVersion(_ value: UnsafeRawBufferPointer) -> UInt32? {
        guard let first = value.first, first &- 0x30 < 10, value.count <= 10,
            let version = UInt32(String(decoding: value, as: UTF8.self)), version != 1
        else { return nil }
        return version
    }

    /// Whether a checked JSON value is a number from 0 on without decimals, as positions are.
    static func isWhole(_ value: UnsafeRawBufferPointer) -> Bool {
        UInt64(String(decoding: value.prefix(21), as: UTF8.self)) != nil && value.first != UInt8(ascii: "+")
    }
}
