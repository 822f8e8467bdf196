/// An id, correlation id or causation id as it is stored: sixteen bytes where it is a UUID.
///
/// Only the canonical lower-case text of a UUID becomes `uuid`, so that the text read back is always the
/// text that was written.
package enum Identifier: Hashable, Sendable {
    /// A UUID: its first and its last eight bytes, big-endian.
    case uuid(UInt64, UInt64)
    /// Any other string, 1 to 255 bytes of UTF-8.
    case text(String)

    package static func == (left: Self, right: Self) -> Bool {
        switch (left, right) {
        case (.uuid(let high, let low), .uuid(let otherHigh, let otherLow)):
            high == otherHigh && low == otherLow
        case (.text(let text), .text(let other)): text.isExactly(other)
        default: false
        }
    }

    package func hash(into hasher: inout Hasher) {
        switch self {
        case .uuid(let high, let low):
            hasher.combine(high)
            hasher.combine(low)
        case .text(let text): hasher.combine(ExactText(text))
        }
    }
}

/// An event as the storage layer keeps it, before it has a place in the log.
package struct EventRecord: Sendable, Hashable {
    /// The event's id, unique in the log.
    package var id: Identifier
    /// The event's type, the topic of the bus.
    package var type: String
    /// The stream that the event belongs to, if any.
    package var stream: String?
    /// When it happened: nanoseconds since 1970-01-01T00:00:00Z.
    package var timestamp: Int64
    /// What produced it.
    package var source: String?
    /// The media type of `payload`.
    package var contentType: String?
    /// The tenant, as found in the metadata; kept as a column of its own so that it can be filtered by.
    package var tenant: String?
    /// The id that ties together everything that one cause set off.
    package var correlation: Identifier?
    /// The id of the event or command that directly caused this one.
    package var causation: Identifier?
    /// The version of the payload's schema; 1 unless said.
    package var schemaVersion: UInt32
    /// The metadata, opaque to storage (a JSON object in UTF-8, or empty).
    package var metadata: ArraySlice<UInt8>
    /// The payload, opaque to storage.
    package var payload: ArraySlice<UInt8>

    package init(
        id: Identifier, type: String, stream: String? = nil, timestamp: Int64, source: String? = nil,
        contentType: String? = nil, tenant: String? = nil, correlation: Identifier? = nil,
        causation: Identifier? = nil, schemaVersion: UInt32 = 1, metadata: ArraySlice<UInt8> = [],
        payload: ArraySlice<UInt8> = []
    ) {
        self.id = id
        self.type = type
        self.stream = stream
        self.timestamp = timestamp
        self.source = source
        self.contentType = contentType
        self.tenant = tenant
        self.correlation = correlation
        self.causation = causation
        self.schemaVersion = schemaVersion
        self.metadata = metadata
        self.payload = payload
    }
}

/// An event together with its place in the log.
package struct PlacedRecord: Sendable, Hashable {
    /// Its place in the whole log.
    package var position: UInt64
    /// Its place in its stream; nil for an event without a stream.
    package var revision: UInt64?
    /// The event.
    package var record: EventRecord

    package init(position: UInt64, revision: UInt64?, record: EventRecord) {
        self.position = position
        self.revision = revision
        self.record = record
    }
}
