package import TidelogStorage

/// An event in a log, with its place there.
public struct StoredEvent: Hashable, Sendable {
    /// The event and its place as they are stored.
    package var placed: PlacedRecord

    /// The event that was read.
    package init(placed: PlacedRecord) { self.placed = placed }

    /// An event at a place, as for stores that keep events elsewhere, and for tests.
    public init(_ event: Event, position: Position, revision: Revision? = nil) {
        self.placed = PlacedRecord(
            position: position.rawValue, revision: revision?.rawValue, record: event.record)
    }

    /// Its place in the whole log.
    public var position: Position { Position(self.placed.position) }

    /// Its place in its stream; nil for an event without a stream.
    public var revision: Revision? { self.placed.revision.map { Revision($0) } }

    /// The event.
    public var event: Event { Event(record: self.placed.record) }

    /// The event's id.
    public var id: EventID { EventID(self.placed.record.id) }

    /// The event's type.
    public var type: String { self.placed.record.type }

    /// The stream that the event belongs to, if any.
    public var stream: String? { self.placed.record.stream }

    /// What the event carries.
    public var payload: EventPayload {
        EventPayload(bytes: self.placed.record.payload, contentType: self.placed.record.contentType)
    }

    /// What is said about the event.
    public var metadata: EventMetadata { EventMetadata(stored: self.placed.record.metadata) }

    /// When it happened.
    public var timestamp: Timestamp { Timestamp(nanosecondsSinceEpoch: self.placed.record.timestamp) }
}

extension StoredEvent: CustomStringConvertible {
    /// Position, revision and the event's own description, safe to show on a terminal.
    public var description: String {
        "\(self.position)" + (self.revision.map { " (\($0))" } ?? "") + ": \(self.event)"
    }
}

extension StoredEvent {
    /// The events of records, without copying one: counting the references of a hundred events takes longer than
    /// finding them where they are in memory.
    package static func events(of records: [PlacedRecord]) -> [StoredEvent] {
        // SAFETY: a stored event is its record and nothing else, so an array of either has the same layout; the
        // storage keeps its own type, and with it the way in which it is released.
        guard MemoryLayout<StoredEvent>.size == MemoryLayout<PlacedRecord>.size,
            MemoryLayout<StoredEvent>.stride == MemoryLayout<PlacedRecord>.stride
        else { return records.map { StoredEvent(placed: $0) } }
        return unsafeBitCast(records, to: [StoredEvent].self)
    }
}
