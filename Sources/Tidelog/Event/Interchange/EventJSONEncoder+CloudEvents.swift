import TidelogStorage

extension EventJSONEncoder {
    /// The source written for events that have none: CloudEvents asks for one. Where it is an event's own,
    /// the attribute `tidelogsource` says so.
    static let unknownSource = "urn:tidelog:unknown"

    /// Appends the event as a CloudEvent: see ``EventForm/cloudEvents``.
    func appendCloudEvent(
        _ record: EventRecord, _ payload: UnsafeRawBufferPointer, position: UInt64?, revision: UInt64?,
        to text: inout [UInt8]
    ) {
        let shape = PayloadShape(payload, contentType: record.contentType)
        record.metadata.withUnsafeBytes { metadata in
            let plan = MetadataPlan(metadata, record, payload, shape)
            text.appendLiteral("{\"specversion\":\"1.0\",\"id\":")
            text.appendJSONString(EventID(record.id))
            text.appendLiteral(",\"source\":")
            text.appendJSONString(record.source ?? Self.unknownSource)
            text.appendLiteral(",\"type\":")
            text.appendJSONString(record.type)
            if let stream = record.stream {
                text.appendLiteral(",\"subject\":")
                text.appendJSONString(stream)
            }
            text.appendLiteral(",\"time\":")
            if let time = plan.extras?.time {
                text.append(contentsOf: time)
            } else {
                text.appendJSONString(Timestamp(nanosecondsSinceEpoch: record.timestamp))
            }
            if let contentType = record.contentType {
                text.appendLiteral(",\"datacontenttype\":")
                text.appendJSONString(contentType)
            }
            if let schema = plan.extras?.dataschema {
                text.appendLiteral(",\"dataschema\":")
                text.append(contentsOf: schema)
            }
            Self.appendOwnExtensions(record, position: position, revision: revision, to: &text)
            plan.append(to: &text)
            self.appendData(payload, shape, plan.extras, to: &text)
            text.append(UInt8(ascii: "}"))
        }
    }

    private static func appendOwnExtensions(
        _ record: EventRecord, position: UInt64?, revision: UInt64?, to text: inout [UInt8]
    ) {
        if record.source == Self.unknownSource { text.appendLiteral(",\"tidelogsource\":true") }
        if let correlation = record.correlation {
            text.appendLiteral(",\"correlationid\":")
            text.appendJSONString(EventID(correlation))
        }
        if let causation = record.causation {
            text.appendLiteral(",\"causationid\":")
            text.appendJSONString(EventID(causation))
        }
        if record.schemaVersion != 1 {
            text.appendLiteral(",\"schemaversion\":")
            text.appendDecimal(UInt64(record.schemaVersion))
        }
        if let position {
            text.appendLiteral(",\"position\":")
            text.appendDecimal(position)
        }
        if let revision {
            text.appendLiteral(",\"revision\":")
            text.appendDecimal(revision)
        }
    }

    private func appendData(
        _ payload: UnsafeRawBufferPointer, _ shape: PayloadShape, _ extras: CloudEventsExtras?,
        to text: inout [UInt8]
    ) {
        if let data = extras?.data {
            text.appendLiteral(",\"data\":")
            data.withUnsafeBytes { self.appendChecked($0, to: &text) }
            return
        }
        switch extras?.isBase64 == true ? .base64 : shape {
        case .none: break
        case .json:
            text.appendLiteral(",\"data\":")
            self.appendChecked(payload, to: &text)
        case .text:
            text.appendLiteral(",\"data\":")
            text.appendJSONString(payload)
        case .base64:
            text.appendLiteral(",\"data_base64\":\"")
            Base64.append(payload, to: &text)
            text.append(UInt8(ascii: "\""))
        }
    }
}

/// Which metadata become attributes of their own, and which go together as text in `tidelogmetadata`.
///
/// The reader puts metadata in the order: those of the text, other attributes, extras. So where all are
/// attributes and the extras stand last, that is enough. Otherwise the text names all keys in their order,
/// with null where an attribute has the value.
private struct MetadataPlan {
    typealias Bytes = UnsafeRawBufferPointer

    private enum Way { case attribute, text, extras }

    private var entries: [(key: Bytes, name: MemberName, value: Bytes, way: Way)] = []
    private var needsText = false
    private(set) var extras: CloudEventsExtras?

    init(_ metadata: Bytes, _ record: EventRecord, _ payload: Bytes, _ shape: PayloadShape) {
        guard !metadata.isEmpty else { return }
        var extrasAt: Int?
        EventMetadata.forEachMember(of: metadata) { key, scanner throws(JSONFault) in
            let start = scanner.index
            try scanner.skipValue(depth: 1)
            let value = scanner.bytes(start..<scanner.index)
            let name = MemberName(key, scanner)
            let bytes = scanner.bytes(key.start..<key.end)
            var way = Way.text
            if name == .cloudevents {
                extrasAt = self.entries.count
            } else if !name.isCloudEvents, name.alias != nil || AttributeRules.isLegal(name: bytes),
                AttributeRules.isLegal(value: value)
            {
                way = .attribute
            }
            if way == .text { self.needsText = true }
            self.entries.append((bytes, name, value, way))
            return true
        }
        guard let extrasAt else { return }
        let hasOtherText = self.entries.indices.contains { $0 != extrasAt && self.entries[$0].way == .text }
        let willHaveText = hasOtherText || extrasAt < self.entries.count - 1
        let entries = self.entries
        self.extras = CloudEventsExtras(entries[extrasAt].value, record, payload, shape) { name in
            if MemberName(name) == .tidelogmetadata { return willHaveText }
            return entries.contains {
                $0.way == .attribute && Self.written($0.key, $0.name).elementsEqual(name)
            }
        }
        if self.extras != nil {
            self.entries[extrasAt].way = .extras
            self.needsText = willHaveText
        }
    }

    /// The name of the attribute that carries metadata of this name.
    private static func written(_ key: Bytes, _ name: MemberName) -> Bytes {
        guard let alias = name.alias else { return key }
        return Bytes(start: alias.text.utf8Start, count: alias.text.utf8CodeUnitCount)
    }

    /// Appends the attributes, each after a comma.
    func append(to text: inout [UInt8]) {
        for entry in self.entries where entry.way == .attribute {
            text.appendLiteral(",\"")
            text.append(contentsOf: Self.written(entry.key, entry.name))
            text.appendLiteral("\":")
            text.append(contentsOf: entry.value)
        }
        if self.needsText {
            var object: [UInt8] = []
            for entry in self.entries {
                object.appendLiteral(object.isEmpty ? "{\"" : ",\"")
                object.append(contentsOf: entry.key)
                object.appendLiteral("\":")
                if entry.way == .text {
                    object.append(contentsOf: entry.value)
                } else {
                    object.appendLiteral("null")
                }
            }
            object.append(UInt8(ascii: "}"))
            text.appendLiteral(",\"tidelogmetadata\":")
            object.withUnsafeBytes { text.appendJSONString($0) }
        }
        for attribute in self.extras?.attributes ?? [] {
            text.append(UInt8(ascii: ","))
            text.append(contentsOf: attribute.name)
            text.append(UInt8(ascii: ":"))
            text.append(contentsOf: attribute.value)
        }
    }
}
