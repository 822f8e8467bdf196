import TidelogStorage

/// Writes events as JSON.
///
/// ```swift
/// let encoder = EventJSONEncoder()
/// var lines: [UInt8] = []
/// for event in events {
///     encoder.append(event, to: &lines)
///     lines.append(UInt8(ascii: "\n"))
/// }
/// ```
public struct EventJSONEncoder: Sendable, Hashable {
    /// The form to write. Default: CloudEvents.
    public var form: EventForm

    /// Whether line breaks between the values of a JSON payload stay as they are. If not, they become
    /// spaces, which means the same, and each event is a single line. Default: false.
    public var keepsLineBreaks = false

    /// An encoder for this form.
    public init(form: EventForm = .cloudEvents) { self.form = form }

    /// The event as JSON.
    public func encode(_ event: Event) -> [UInt8] {
        var text: [UInt8] = []
        self.append(event, to: &text)
        return text
    }

    /// The event with its place as JSON.
    public func encode(_ event: StoredEvent) -> [UInt8] {
        var text: [UInt8] = []
        self.append(event, to: &text)
        return text
    }

    /// The events as one JSON array: in CloudEvents, a batch.
    public func encodeBatch(_ events: some Sequence<Event>) -> [UInt8] {
        self.batch(events) { self.append($0, to: &$1) }
    }

    /// The events with their places as one JSON array: in CloudEvents, a batch.
    public func encodeBatch(_ events: some Sequence<StoredEvent>) -> [UInt8] {
        self.batch(events) { self.append($0, to: &$1) }
    }

    private func batch<Element>(
        _ events: some Sequence<Element>, _ append: (Element, inout [UInt8]) -> Void
    ) -> [UInt8] {
        var text = [UInt8(ascii: "[")]
        for event in events {
            if text.count > 1 { text.append(UInt8(ascii: ",")) }
            append(event, &text)
        }
        text.append(UInt8(ascii: "]"))
        return text
    }

    /// Appends the event as JSON.
    public func append(_ event: Event, to text: inout [UInt8]) {
        self.append(event.record, position: nil, revision: nil, to: &text)
    }

    /// Appends the event with its place as JSON.
    public func append(_ event: StoredEvent, to text: inout [UInt8]) {
        self.append(
            event.placed.record, position: event.placed.position, revision: event.placed.revision, to: &text)
    }

    private func append(
        _ record: EventRecord, position: UInt64?, revision: UInt64?, to text: inout [UInt8]
    ) {
        record.payload.withUnsafeBytes { payload in
            if self.form == .plain {
                self.appendPlain(record, payload, position: position, revision: revision, to: &text)
            } else {
                self.appendCloudEvent(record, payload, position: position, revision: revision, to: &text)
            }
        }
    }

    /// Appends JSON text that was checked, on one line unless line breaks are to be kept.
    func appendChecked(_ json: UnsafeRawBufferPointer, to text: inout [UInt8]) {
        let start = text.count
        text.append(contentsOf: json)
        guard !self.keepsLineBreaks else { return }
        // Inside of strings there are none: a string has them escaped.
        text.withUnsafeMutableBufferPointer { text in
            for index in start..<text.count where text[index] == 0x0A || text[index] == 0x0D {
                text[index] = 0x20
            }
        }
    }
}

/// The plain form.
extension EventJSONEncoder {
    private func appendPlain(
        _ record: EventRecord, _ payload: UnsafeRawBufferPointer, position: UInt64?, revision: UInt64?,
        to text: inout [UInt8]
    ) {
        text.appendLiteral("{\"id\":")
        text.appendJSONString(EventID(record.id))
        text.appendLiteral(",\"type\":")
        text.appendJSONString(record.type)
        if let stream = record.stream {
            text.appendLiteral(",\"stream\":")
            text.appendJSONString(stream)
        }
        self.appendPlainPayload(record.contentType, payload, to: &text)
        if !record.metadata.isEmpty {
            text.appendLiteral(",\"metadata\":")
            text.append(contentsOf: record.metadata)
        }
        text.appendLiteral(",\"timestamp\":")
        text.appendJSONString(Timestamp(nanosecondsSinceEpoch: record.timestamp))
        if let source = record.source {
            text.appendLiteral(",\"source\":")
            text.appendJSONString(source)
        }
        if let correlation = record.correlation {
            text.appendLiteral(",\"correlation_id\":")
            text.appendJSONString(EventID(correlation))
        }
        if let causation = record.causation {
            text.appendLiteral(",\"causation_id\":")
            text.appendJSONString(EventID(causation))
        }
        text.appendLiteral(",\"version\":")
        text.appendDecimal(UInt64(record.schemaVersion))
        if let position {
            text.appendLiteral(",\"position\":")
            text.appendDecimal(position)
        }
        if let revision {
            text.appendLiteral(",\"revision\":")
            text.appendDecimal(revision)
        }
        text.append(UInt8(ascii: "}"))
    }

    private func appendPlainPayload(
        _ contentType: String?, _ payload: UnsafeRawBufferPointer, to text: inout [UInt8]
    ) {
        var isSaid = contentType != nil
        switch PayloadShape(payload, contentType: contentType) {
        case .none: break
        case .json:
            text.appendLiteral(",\"payload\":")
            self.appendChecked(payload, to: &text)
            // Without a content type, a payload is taken for JSON: say so where it is any other.
            isSaid = contentType != EventPayload.jsonContentType
        case .text:
            text.appendLiteral(",\"payload\":")
            text.appendJSONString(payload)
        case .base64:
            text.appendLiteral(",\"payload_base64\":\"")
            Base64.append(payload, to: &text)
            text.append(UInt8(ascii: "\""))
        }
        guard isSaid else { return }
        text.appendLiteral(",\"content_type\":")
        if let contentType { text.appendJSONString(contentType) } else { text.appendLiteral("null") }
    }
}
