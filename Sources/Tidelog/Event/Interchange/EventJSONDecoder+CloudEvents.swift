import TidelogStorage

extension EventJSONDecoder {
    /// The event that the members tell as a CloudEvent: see ``EventForm/cloudEvents``.
    func cloudEvent(_ scanner: JSONScanner) throws(EventFault) -> Event {
        guard let version = try self.members.text(.specversion, scanner) else {
            throw self.missing(.specversion)
        }
        guard scanner.equals(version, "1.0") else {
            throw EventFault("specversion must be \"1.0\"; other versions are not read.", at: version.start)
        }
        guard let id = try self.members.id(.id, scanner) else { throw self.missing(.id) }
        let source = try self.required(.source, scanner)
        let type = try self.required(.type, scanner)
        let time = try self.members.time(.time, scanner)
        let contentType = try self.members.string(.datacontenttype, scanner)

        // The payload first, as the extras depend on it, then the metadata behind it.
        var contents = EventContents()
        var extras = ExtrasText()
        try self.readData(scanner, contentType: contentType, &contents, &extras)
        contents.endPayload()
        if let time, !time.isCanonical, let member = self.members[.time] {
            try extras.append("time", member, scanner)
        }
        if let member = self.members.set(.dataschema, scanner) {
            _ = try self.required(.dataschema, scanner)
            try extras.append("dataschema", member, scanner)
        }
        let hasSource = source != EventJSONEncoder.unknownSource || self.isSourceMeant(scanner)
        var event = Event(
            id: id, type: type, stream: try self.members.string(.subject, scanner),
            timestamp: time?.timestamp ?? .now(), source: hasSource ? source : nil)
        event.record.contentType = contentType
        try self.readOwnExtensions(scanner, &event, &extras)
        let metadata = try self.readMetadata(scanner, &contents, &extras)
        event.record.payload = contents.payload
        if !metadata.isEmpty {
            event.record.metadata = metadata
            // Looked up only where it can be.
            if self.members[.tenantid] != nil || self.members[.tidelogmetadata] != nil {
                event.metadata = EventMetadata(stored: metadata)
            }
        }
        return event
    }

    /// Whether the source is the event's own, though it is what is written for events that have none.
    private func isSourceMeant(_ scanner: JSONScanner) -> Bool {
        self.members[.tidelogsource]?.bytes(scanner).first == UInt8(ascii: "t")
    }

    /// Appends the payload, and notes how it was written where it would be written in another way.
    private func readData(
        _ scanner: JSONScanner, contentType: String?, _ contents: inout EventContents,
        _ extras: inout ExtrasText
    ) throws(EventFault) {
        if let text = try self.members.text(.dataBase64, scanner) {
            guard self.members.set(.data, scanner) == nil else {
                throw EventFault("data and data_base64 exclude each other.", at: text.start)
            }
            try contents.appendBase64(text, scanner, .dataBase64)
            let shape = contents.bytes.withUnsafeBytes { PayloadShape($0, contentType: contentType) }
            if case .base64 = shape { return }
            extras.append("data_base64", canonical: "true")
            return
        }
        guard let member = self.members[.data] else { return }
        guard let contentType, !MediaType.isJSON(contentType) else {
            contents.bytes.append(contentsOf: member.bytes(scanner))
            return
        }
        guard let text = member.text(scanner) else {
            contents.bytes.append(contentsOf: member.bytes(scanner))
            extras.append("data", canonical: "true")
            return
        }
        scanner.appendCharacters(of: text, to: &contents.bytes)
        let needsText = contents.bytes.withUnsafeBytes {
            CloudEventsExtras.needsText(
                member.bytes(scanner), $0, PayloadShape($0, contentType: contentType))
        }
        guard needsText else { return }
        extras.append("data") { $0.appendJSONString(member.bytes(scanner)) }
    }

    /// Reads the extensions that are fields of an event.
    private func readOwnExtensions(
        _ scanner: JSONScanner, _ event: inout Event, _ extras: inout ExtrasText
    ) throws(EventFault) {
        if event.source != EventJSONEncoder.unknownSource,
            let member = self.members.set(.tidelogsource, scanner)
        {
            try extras.append("tidelogsource", member, scanner)
        }
        for name in [MemberName.correlationid, .causationid] {
            guard let member = self.members.set(name, scanner) else { continue }
            if member.text(scanner) == nil {
                try extras.append(name.text, member, scanner)
            } else if name == .correlationid {
                event.correlationID = try self.members.id(name, scanner)
            } else {
                event.causationID = try self.members.id(name, scanner)
            }
        }
        guard let member = self.members.set(.schemaversion, scanner) else { return }
        if let version = AttributeRules.schemaVersion(member.bytes(scanner)) {
            event.schemaVersion = version
        } else {
            try extras.append("schemaversion", member, scanner)
        }
    }

    /// The metadata that the other attributes and the extras make, as they are stored.
    private func readMetadata(
        _ scanner: JSONScanner, _ contents: inout EventContents, _ extras: inout ExtrasText
    ) throws(EventFault) -> ArraySlice<UInt8> {
        var base: EventMetadata?
        if let member = self.members.set(.tidelogmetadata, scanner) {
            base = EventMetadata(inString: member.bytes(scanner))
            if base == nil { try extras.append("tidelogmetadata", member, scanner) }
        }
        for member in self.members.all {
            guard let way = self.way(of: member, scanner) else { continue }
            guard way != .extras else {
                try extras.append(member.key, member, scanner)
                continue
            }
            if base != nil {
                var value: [UInt8] = []
                try member.appendCanonical(scanner, to: &value)
                base?.set(
                    member.name.alias.map { "\($0.text)" } ?? scanner.string(member.key), canonical: value)
                continue
            }
            contents.bytes.append(contents.hasMetadata ? UInt8(ascii: ",") : UInt8(ascii: "{"))
            if let alias = member.name.alias {
                contents.bytes.append(UInt8(ascii: "\""))
                contents.bytes.appendLiteral(alias.text)
                contents.bytes.append(UInt8(ascii: "\""))
            } else {
                scanner.appendCanonical(member.key, to: &contents.bytes)
            }
            contents.bytes.append(UInt8(ascii: ":"))
            try member.appendCanonical(scanner, to: &contents.bytes)
        }
        if !extras.text.isEmpty { extras.text.append(UInt8(ascii: "}")) }
        if var base {
            if !extras.text.isEmpty {
                guard base["cloudevents"] ?? .null == .null else {
                    throw EventFault(
                        "tidelogmetadata has a \"cloudevents\" of its own, where attributes of this event"
                            + " would have to be kept.", at: self.members.start)
                }
                base.set("cloudevents", canonical: extras.text)
            }
            return base.bytes
        }
        if !extras.text.isEmpty {
            contents.bytes.appendLiteral(contents.hasMetadata ? ",\"cloudevents\":" : "{\"cloudevents\":")
            contents.bytes.append(contentsOf: extras.text)
        }
        if contents.hasMetadata { contents.bytes.append(UInt8(ascii: "}")) }
        return contents.metadata
    }

    private enum Way { case metadata, extras }

    /// Where an attribute without a field of its own goes; nil for one that has been read or is not.
    private func way(of member: JSONMembers.Member, _ scanner: JSONScanner) -> Way? {
        switch member.name {
        case .userid, .tenantid, .requestid, .traceid:
            return AttributeRules.isLegal(value: member.bytes(scanner)) ? .metadata : .extras
        case .position, .revision:
            // Each log has its own; what is no number is somebody else's.
            let value = member.bytes(scanner)
            return AttributeRules.isWhole(value) || value.first == UInt8(ascii: "n") ? nil : .metadata
        case .cloudevents: return .extras
        case let name where name.isCloudEvents: return nil
        default:
            let isLegal =
                member.key.hasEscapes
                ? scanner.characters(member.key).withUnsafeBytes { AttributeRules.isLegal(name: $0) }
                : AttributeRules.isLegal(name: scanner.bytes(member.key.start..<member.key.end))
            return isLegal && AttributeRules.isLegal(value: member.bytes(scanner)) ? .metadata : .extras
        }
    }
}

/// The metadata object `cloudevents` as it grows: canonical JSON, open at the end.
private struct ExtrasText {
    var text: [UInt8] = []

    private mutating func comma() {
        self.text.append(self.text.isEmpty ? UInt8(ascii: "{") : UInt8(ascii: ","))
    }

    mutating func append(_ name: StaticString, _ value: (inout [UInt8]) -> Void) {
        self.comma()
        self.text.append(UInt8(ascii: "\""))
        self.text.appendLiteral(name)
        self.text.appendLiteral("\":")
        value(&self.text)
    }

    mutating func append(_ name: StaticString, canonical value: StaticString) {
        self.append(name) { $0.appendLiteral(value) }
    }

    mutating func append(
        _ name: StaticString, _ member: JSONMembers.Member, _ scanner: JSONScanner
    ) throws(EventFault) {
        self.append(name, canonical: "")
        try member.appendCanonical(scanner, to: &self.text)
    }

    mutating func append(
        _ key: JSONText, _ member: JSONMembers.Member, _ scanner: JSONScanner
    ) throws(EventFault) {
        self.comma()
        scanner.appendCanonical(key, to: &self.text)
        self.text.append(UInt8(ascii: ":"))
        try member.appendCanonical(scanner, to: &self.text)
    }
}
