package import TidelogStorage

/// Something that happened: immutable once it is in a log, a value until then.
///
/// ```swift
/// let placed = Event(type: "order.placed", stream: "order-42", json: #"{"total":1299}"#)
///     .with(metadata: ["user_id": "u-7"])
/// let paid = Event(type: "order.paid", stream: "order-42", json: #"{"by":"card"}"#).caused(by: placed)
/// ```
///
/// Nothing is checked until the event is appended or published; ``validate(limits:)`` says what will be.
public struct Event: Hashable, Sendable {
    /// The event as it is stored; appending converts nothing.
    package var record: EventRecord

    /// The event that was stored.
    package init(record: EventRecord) { self.record = record }

    /// An event with this payload.
    ///
    /// - Parameters:
    ///   - id: Unique in the log. Default: a new UUID of version 7.
    ///   - type: What kind of thing happened, such as `order.placed`: the topic of the buses.
    ///   - stream: The stream that it belongs to, if any; an append can still say.
    ///   - payload: What it carries.
    ///   - metadata: What is said about it.
    ///   - timestamp: When it happened. Default: now.
    ///   - source: What produced it.
    ///   - correlationID: What ties together everything that one cause set off.
    ///   - causationID: The event or command that directly caused it.
    ///   - schemaVersion: The version of the payload's schema.
    public init(
        id: EventID = .generate(), type: String, stream: String? = nil, payload: EventPayload = .empty,
        metadata: EventMetadata = .init(), timestamp: Timestamp = .now(), source: String? = nil,
        correlationID: EventID? = nil, causationID: EventID? = nil, schemaVersion: UInt32 = 1
    ) {
        self.record = EventRecord(
            id: id.identifier, type: type, stream: stream, timestamp: timestamp.nanosecondsSinceEpoch,
            source: source, contentType: payload.contentType, correlation: correlationID?.identifier,
            causation: causationID?.identifier, schemaVersion: schemaVersion, payload: payload.bytes)
        if !metadata.isEmpty { self.metadata = metadata }
    }

    /// An event that carries these bytes.
    public init(
        id: EventID = .generate(), type: String, stream: String? = nil, bytes: some Sequence<UInt8>,
        contentType: String? = nil, metadata: EventMetadata = .init(), timestamp: Timestamp = .now(),
        source: String? = nil
    ) {
        self.init(
            id: id, type: type, stream: stream, payload: .init(bytes: bytes, contentType: contentType),
            metadata: metadata, timestamp: timestamp, source: source)
    }

    /// An event that carries this text.
    public init(
        id: EventID = .generate(), type: String, stream: String? = nil, text: String,
        contentType: String = "text/plain", metadata: EventMetadata = .init(), timestamp: Timestamp = .now(),
        source: String? = nil
    ) {
        self.init(
            id: id, type: type, stream: stream, payload: .init(text: text, contentType: contentType),
            metadata: metadata, timestamp: timestamp, source: source)
    }

    /// An event that carries this JSON text, byte for byte.
    public init(
        id: EventID = .generate(), type: String, stream: String? = nil, json: String,
        metadata: EventMetadata = .init(), timestamp: Timestamp = .now(), source: String? = nil
    ) {
        self.init(
            id: id, type: type, stream: stream, payload: .init(json: json), metadata: metadata,
            timestamp: timestamp, source: source)
    }
}

extension Event {
    /// The event's id, unique in the log.
    public var id: EventID {
        get { EventID(self.record.id) }
        set { self.record.id = newValue.identifier }
    }

    /// What kind of thing happened; the topic of the buses.
    public var type: String {
        get { self.record.type }
        set { self.record.type = newValue }
    }

    /// The stream that the event belongs to, if any.
    public var stream: String? {
        get { self.record.stream }
        set { self.record.stream = newValue }
    }

    /// What the event carries.
    public var payload: EventPayload {
        get { EventPayload(bytes: self.record.payload, contentType: self.record.contentType) }
        set {
            self.record.payload = newValue.bytes
            self.record.contentType = newValue.contentType
        }
    }

    /// What is said about the event. Its tenant becomes one that reads can filter by.
    public var metadata: EventMetadata {
        get { EventMetadata(stored: self.record.metadata) }
        set {
            self.record.metadata = newValue.bytes
            let tenant = newValue.tenantID
            self.record.tenant = tenant == "" ? nil : tenant
        }
    }

    /// When it happened.
    public var timestamp: Timestamp {
        get { Timestamp(nanosecondsSinceEpoch: self.record.timestamp) }
        set { self.record.timestamp = newValue.nanosecondsSinceEpoch }
    }

    /// What produced it.
    public var source: String? {
        get { self.record.source }
        set { self.record.source = newValue }
    }

    /// What ties together everything that one cause set off.
    public var correlationID: EventID? {
        get { self.record.correlation.map { EventID($0) } }
        set { self.record.correlation = newValue?.identifier }
    }

    /// The event or command that directly caused this one.
    public var causationID: EventID? {
        get { self.record.causation.map { EventID($0) } }
        set { self.record.causation = newValue?.identifier }
    }

    /// The version of the payload's schema; 1 unless said.
    public var schemaVersion: UInt32 {
        get { self.record.schemaVersion }
        set { self.record.schemaVersion = newValue }
    }
}

/// Changed copies.
extension Event {
    /// A copy with this correlation id.
    public func withCorrelation(_ id: EventID?) -> Event { self.changed { $0.correlationID = id } }

    /// A copy with this causation id.
    public func withCausation(_ id: EventID?) -> Event { self.changed { $0.causationID = id } }

    /// A copy with this source.
    public func withSource(_ source: String?) -> Event { self.changed { $0.source = source } }

    /// A copy that belongs to this stream.
    public func withStream(_ stream: String?) -> Event { self.changed { $0.stream = stream } }

    /// A copy with this timestamp.
    public func withTimestamp(_ timestamp: Timestamp) -> Event { self.changed { $0.timestamp = timestamp } }

    /// A copy with this version of the payload's schema.
    public func withSchemaVersion(_ version: UInt32) -> Event { self.changed { $0.schemaVersion = version } }

    /// A copy caused by `cause`: its causation id is the id of `cause`, its correlation id that of `cause`
    /// or, where `cause` has none, the id of `cause`.
    public func caused(by cause: Event) -> Event {
        self.changed {
            $0.record.causation = cause.record.id
            $0.record.correlation = cause.record.correlation ?? cause.record.id
        }
    }

    /// A copy with these metadata added; keys that were there get the new values.
    public func with(metadata: EventMetadata) -> Event {
        self.changed {
            var all = $0.metadata
            all.merge(metadata)
            $0.metadata = all
        }
    }

    /// A copy with this value for a key of the metadata, or without the key if it is nil.
    public func with(metadata key: String, _ value: MetadataValue?) -> Event {
        self.changed { $0.metadata[key] = value }
    }

    private func changed(_ change: (inout Event) -> Void) -> Event {
        var copy = self
        change(&copy)
        return copy
    }
}

extension Event: CustomStringConvertible {
    /// Type, id, stream and size on one line, safe to show on a terminal; never the payload.
    public var description: String {
        let place = self.stream.map { " in \($0)" } ?? ""
        return TerminalText.escape("\(self.type) \(self.id)\(place), \(self.record.payload.count) bytes")
    }
}

extension Event {
    /// Whether this may be an event that is stored, offered once more: all agrees but what a second try makes anew, the
    /// timestamp and the trace in the metadata.
    package func isRepeat(of stored: Event) -> Bool {
        var copy = self
        copy.timestamp = stored.timestamp
        if copy.metadata != stored.metadata, copy.metadata.withoutTrace == stored.metadata.withoutTrace {
            copy.metadata = stored.metadata
        }
        return copy == stored
    }
}
