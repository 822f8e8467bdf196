// The one file that needs Foundation: payloads as Codable types, and Foundation's own dates and UUIDs.
#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

extension Event {
    /// An event that carries `value` as JSON.
    ///
    /// Keys are sorted, so equal values give equal bytes; dates are RFC 3339 in UTC, to the precision that
    /// `Date` has.
    ///
    /// - Throws: ``EventLogError`` with code `invalidArgument` if the value cannot be written as JSON.
    public init(
        id: EventID = .generate(), type: String, stream: String? = nil, encoding value: some Encodable,
        metadata: EventMetadata = .init(), timestamp: Timestamp = .now(), source: String? = nil
    ) throws(EventLogError) {
        self.init(
            id: id, type: type, stream: stream, payload: try EventPayload(encoding: value),
            metadata: metadata, timestamp: timestamp, source: source)
    }
}

extension EventPayload {
    /// A payload of `value` as JSON. Keys are sorted; dates are RFC 3339 in UTC.
    ///
    /// - Throws: ``EventLogError`` with code `invalidArgument` if the value cannot be written as JSON.
    public init(encoding value: some Encodable) throws(EventLogError) {
        do {
            self.init(
                bytes: ArraySlice(try JSONCoding.encoder.encode(value)), contentType: Self.jsonContentType)
        } catch {
            throw EventLogError(
                .invalidArgument, "The payload, of type \(Swift.type(of: value)), cannot be written as JSON.",
                cause: error)
        }
    }

    /// The value that the bytes tell in JSON, whatever the content type says.
    ///
    /// - Throws: ``EventLogError`` with code `decodingFailed`, and the decoder's own error as cause.
    public func decode<Value: Decodable>(as type: Value.Type = Value.self) throws(EventLogError) -> Value {
        do {
            return try JSONCoding.decoder.decode(type, from: Data(self.bytes))
        } catch {
            throw EventLogError(
                .decodingFailed, "The payload, of \(self.count) bytes, cannot be read as \(type).",
                cause: error)
        }
    }
}

/// One encoder and one decoder for all; they are configured here and never again.
private enum JSONCoding {
    static let encoder: JSONEncoder = {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .custom { date, encoder in
            guard let timestamp = Timestamp(date) else {
                throw EncodingError.invalidValue(
                    date,
                    .init(
                        codingPath: encoder.codingPath, debugDescription: "The date is beyond 1677 to 2262."))
            }
            try timestamp.encode(to: encoder)
        }
        return encoder
    }()

    static let decoder: JSONDecoder = {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .custom { try Timestamp(from: $0).date }
        return decoder
    }()
}

extension Timestamp {
    /// The moment of a date, to the precision that the date has; nil beyond 1677 to 2262.
    public init?(_ date: Date) {
        let whole = date.timeIntervalSinceReferenceDate.rounded(.down)
        guard whole.magnitude < 1e11 else { return nil }
        let fraction = date.timeIntervalSinceReferenceDate - whole
        // A fraction just below 1 may round up to a whole second.
        let nanoseconds = Int((fraction * 1e9).rounded())
        let seconds = Int(whole) + Self.referenceDateSeconds
        self.init(seconds: seconds + nanoseconds / 1_000_000_000, nanoseconds: nanoseconds % 1_000_000_000)
    }

    /// The same moment as a date, which tells tenths of a microsecond in these years.
    public var date: Date {
        let seconds = Double(self.wholeSeconds - Int64(Self.referenceDateSeconds))
        return Date(timeIntervalSinceReferenceDate: seconds + Double(self.nanosecondOfSecond) / 1e9)
    }

    /// 2001-01-01T00:00:00Z, from which dates count.
    private static var referenceDateSeconds: Int { 978_307_200 }
}

extension EventID {
    /// The id of this UUID.
    public init(_ uuid: UUID) {
        let bytes = uuid.uuid
        let words = withUnsafeBytes(of: bytes) {
            ($0.loadUnaligned(as: UInt64.self), $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        }
        self.init(uuid: UInt64(bigEndian: words.0), UInt64(bigEndian: words.1))
    }

    /// The UUID, or nil if the text is not one in canonical lower-case form.
    public var foundationUUID: UUID? {
        guard let (high, low) = self.uuid else { return nil }
        var bytes: uuid_t = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        withUnsafeMutableBytes(of: &bytes) {
            $0.storeBytes(of: high.bigEndian, as: UInt64.self)
            $0.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
        }
        return UUID(uuid: bytes)
    }
}
