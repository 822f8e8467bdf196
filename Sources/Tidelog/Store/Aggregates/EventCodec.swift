/// How the events of a domain are written as stored events, and read again.
public struct EventCodec<Change: Sendable>: Sendable {
    /// The event that stores a change; the codec sets type, payload and schema version.
    public let encode: @Sendable (Change) throws -> Event
    /// The change that a stored event tells; nil for events that are none of this domain's.
    public let decode: @Sendable (StoredEvent) throws -> Change?
    /// The changes of many events, those left out that are none of this domain's: starting a decoder costs more
    /// than a small event. Nil where they are to be decoded one by one, which finds the one that is wrong.
    var decodeAll: (@Sendable ([StoredEvent]) -> [Change]?)?

    /// A codec of the caller's own.
    public init(
        encode: @escaping @Sendable (Change) throws -> Event,
        decode: @escaping @Sendable (StoredEvent) throws -> Change?
    ) {
        self.encode = encode
        self.decode = decode
    }
}

extension EventCodec where Change: Codable {
    /// Each case of an enum becomes an event type, `prefix.case`, with the case's values as its JSON payload.
    ///
    /// `case deposited(amount: Int)` of the prefix `account` is an event of type `account.deposited` with the
    /// payload `{"amount":5}`. Cases and labels are names on disk: rename one with an upcaster.
    ///
    /// Events of other prefixes are passed over; an event of this prefix that is no case, or whose payload is
    /// not what the case wants, is an error.
    ///
    /// - Parameter version: the schema version of what is written.
    public static func cases(prefix: String, version: UInt32 = 1) -> Self {
        let start = prefix + "."
        var codec = Self(
            encode: { change in
                let whole = try EventPayload(encoding: change)
                let (name, payload) = try Self.onlyMember(of: whole.bytes, Change.self)
                var event = Event(
                    type: start + name, payload: EventPayload(bytes: payload, contentType: "application/json")
                )
                event.schemaVersion = version
                return event
            },
            decode: { stored in
                let type = stored.type
                guard type.utf8.starts(with: start.utf8) else { return nil }
                var bytes: [UInt8] = []
                Self.append(stored, prefix: start, to: &bytes)
                return try EventPayload(bytes: bytes).decode(as: Change.self)
            })
        codec.decodeAll = { Self.changes(of: $0, prefix: start) }
        return codec
    }

    /// Appends an event as Swift writes a case of an enum.
    private static func append(_ stored: StoredEvent, prefix: String, to bytes: inout [UInt8]) {
        let payload = stored.placed.record.payload
        bytes.append(UInt8(ascii: "{"))
        bytes.appendJSONString(String(stored.type.dropFirst(prefix.count)))
        bytes.append(UInt8(ascii: ":"))
        bytes.append(contentsOf: payload.isEmpty ? Array("{}".utf8)[...] : payload)
        bytes.append(UInt8(ascii: "}"))
    }

    /// Decodes the events of a prefix as one JSON array.
    private static func changes(of events: [StoredEvent], prefix: String) -> [Change]? {
        var bytes: [UInt8] = [UInt8(ascii: "[")]
        var count = 0
        for stored in events where stored.type.utf8.starts(with: prefix.utf8) {
            // Each must be JSON by itself: two halves could make a whole.
            let isWhole = stored.placed.record.payload.withUnsafeBytes { payload in
                var scanner = JSONScanner(payload)
                return payload.isEmpty || (try? scanner.skipDocument()) != nil
            }
            guard isWhole, bytes.count < Self.joinedBytes else { return nil }
            if count > 0 { bytes.append(UInt8(ascii: ",")) }
            Self.append(stored, prefix: prefix, to: &bytes)
            count += 1
        }
        bytes.append(UInt8(ascii: "]"))
        guard let changes = try? EventPayload(bytes: bytes).decode(as: [Change].self), changes.count == count
        else { return nil }
        return changes
    }

    /// More is not put together for one decoder.
    private static var joinedBytes: Int { 1 << 20 }

    /// Takes `{"name":value}` apart, which is how Swift writes a case of an enum.
    private static func onlyMember(
        of bytes: ArraySlice<UInt8>, _ type: Change.Type
    ) throws(EventLogError) -> (String, [UInt8]) {
        let member: (String, [UInt8])? = bytes.withUnsafeBytes { bytes in
            var scanner = JSONScanner(bytes)
            guard bytes.first == UInt8(ascii: "{"), (try? scanner.startContainer(depth: 1)) != nil,
                let key = try? scanner.scanKey()
            else { return nil }
            let start = scanner.index
            guard (try? scanner.skipValue(depth: 1)) != nil else { return nil }
            let end = scanner.index
            guard (try? scanner.continueObject()) == false else { return nil }
            return (scanner.string(key), Array(scanner.bytes(start..<end)))
        }
        guard let member else {
            throw EventLogError(
                .invalidArgument,
                "\(type) is not written as an object with one member, as an enum is whose cases are events; "
                    + "give a codec of your own")
        }
        return member
    }
}
