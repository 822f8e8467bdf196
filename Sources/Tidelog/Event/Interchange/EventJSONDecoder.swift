import TidelogStorage

/// Reads events from JSON: CloudEvents or the plain form, told apart by `specversion`.
///
/// ```swift
/// var decoder = EventJSONDecoder()
/// let event = try decoder.decode(#"{"specversion":"1.0","id":"1","source":"/shop","type":"order.placed"}"#)
/// ```
///
/// What is read is checked: the JSON strictly, by RFC 8259; required members, types, times; a name that
/// repeats; the event as a whole (``Event/validate(limits:)``). The decoder keeps its working memory, so use
/// one for many events. Files of one event a line are for ``EventLineDecoder``.
public struct EventJSONDecoder: Sendable {
    /// The form to read; nil for either. Default: nil.
    public var form: EventForm?

    /// How large events may be. Default: as for a log.
    public var limits: EventLimits

    var members = JSONMembers()

    /// A decoder for this form, or either.
    public init(form: EventForm? = nil, limits: EventLimits = .init()) {
        self.form = form
        self.limits = limits
    }

    /// The event that the text tells.
    ///
    /// - Throws: ``EventLogError`` with code `malformedInput` or `invalidEvent`; the message names line, byte
    ///   and reason.
    public mutating func decode(_ json: String) throws(EventLogError) -> Event {
        try self.decode(Array(json.utf8))
    }

    /// The event that the text, in UTF-8, tells.
    ///
    /// - Throws: ``EventLogError`` with code `malformedInput` or `invalidEvent`; the message names line, byte
    ///   and reason.
    public mutating func decode(_ json: [UInt8]) throws(EventLogError) -> Event {
        try json.withUnsafeBufferPointer { json throws(EventLogError) in
            try self.decode(UnsafeRawBufferPointer(json))
        }
    }

    /// The event that the text tells; its first line has the number `line` in errors.
    package mutating func decode(
        _ json: UnsafeRawBufferPointer, line: Int = 1
    ) throws(EventLogError) -> Event {
        do throws(EventFault) {
            var scanner = JSONScanner(json)
            try self.start(&scanner)
            let event = try self.decodeNext(&scanner)
            try self.end(&scanner)
            return event
        } catch {
            throw error.error(in: json, firstLine: line)
        }
    }

    /// The events of a batch: a JSON array of events, or a single event.
    ///
    /// - Throws: ``EventLogError`` with code `malformedInput` or `invalidEvent`; the message names line, byte
    ///   and reason. Then no event is returned.
    public mutating func decodeBatch(_ json: [UInt8]) throws(EventLogError) -> [Event] {
        try json.withUnsafeBufferPointer { json throws(EventLogError) in
            let json = UnsafeRawBufferPointer(json)
            do throws(EventFault) {
                return try self.decodeBatch(json)
            } catch {
                throw error.error(in: json, firstLine: 1)
            }
        }
    }

    private mutating func decodeBatch(_ json: UnsafeRawBufferPointer) throws(EventFault) -> [Event] {
        var scanner = JSONScanner(json)
        try self.start(&scanner)
        var events: [Event] = []
        if scanner.peek == UInt8(ascii: "[") {
            try Self.scan { () throws(JSONFault) in try scanner.startContainer(depth: 1) }
            if !scanner.take(UInt8(ascii: "]")) {
                repeat {
                    events.append(try self.decodeNext(&scanner))
                } while try Self.scan {
                    () throws(JSONFault) in try scanner.continueArray()
                }
            }
        } else {
            events.append(try self.decodeNext(&scanner))
        }
        try self.end(&scanner)
        return events
    }

    private func start(_ scanner: inout JSONScanner) throws(EventFault) {
        try Self.scan { () throws(JSONFault) in
            try scanner.refuseByteOrderMark()
            scanner.skipSpace()
        }
    }

    private func end(_ scanner: inout JSONScanner) throws(EventFault) {
        try Self.scan { () throws(JSONFault) in try scanner.requireEnd() }
    }

    @inline(__always)
    private static func scan<Value>(_ body: () throws(JSONFault) -> Value) throws(EventFault) -> Value {
        do throws(JSONFault) {
            return try body()
        } catch {
            throw EventFault(error)
        }
    }

    private mutating func decodeNext(_ scanner: inout JSONScanner) throws(EventFault) -> Event {
        do throws(JSONFault) {
            try self.members.read(&scanner, depth: PayloadShape.depth - 1)
        } catch {
            throw EventFault(error)
        }
        let isCloudEvent = self.form.map { $0 == .cloudEvents } ?? (self.members[.specversion] != nil)
        let event = isCloudEvent ? try self.cloudEvent(scanner) : try self.plainEvent(scanner)
        do throws(EventLogError) {
            try event.validate(limits: self.limits)
        } catch {
            throw EventFault(error.message, at: self.members.start, code: error.code)
        }
        return event
    }

    /// The value of a string under that name, which must be there.
    func required(_ name: MemberName, _ scanner: JSONScanner) throws(EventFault) -> String {
        guard let text = try self.members.string(name, scanner) else { throw self.missing(name) }
        return text
    }

    /// The fault of a name that is not there.
    func missing(_ name: MemberName) -> EventFault {
        EventFault("\(name.text) is missing.", at: self.members.start)
    }
}

/// The plain form.
extension EventJSONDecoder {
    private func plainEvent(_ scanner: JSONScanner) throws(EventFault) -> Event {
        for member in self.members.all where !member.name.isPlain {
            let name = TerminalText.escape(String(scanner.string(member.key).prefix(80)))
            throw EventFault(
                "\"\(name)\" is not a member of the plain form. Put it into metadata or payload, or write"
                    + " CloudEvents (with specversion), which may be extended.", at: member.key.start - 1)
        }
        for name in [MemberName.position, .revision] {
            guard let member = self.members.set(name, scanner) else { continue }
            guard AttributeRules.isWhole(member.bytes(scanner)) else {
                throw EventFault("\(name.text) must be a whole number.", at: member.value.lowerBound)
            }
        }
        var contents = EventContents()
        let contentType = try self.plainPayload(scanner, &contents)
        contents.endPayload()
        if let member = self.members.set(.metadata, scanner) {
            guard scanner.byte(at: member.value.lowerBound) == UInt8(ascii: "{") else {
                throw EventFault("metadata must be an object.", at: member.value.lowerBound)
            }
            try member.appendCanonical(scanner, to: &contents.bytes)
        }
        var timestamp: Timestamp?
        if let time = try self.members.time(.timestamp, scanner) {
            guard time.isExact else {
                throw EventFault(
                    "timestamp has more than nine decimals; nanoseconds are the finest kept.",
                    at: self.members[.timestamp]?.value.lowerBound ?? 0)
            }
            timestamp = time.timestamp
        }
        var version: UInt32 = 1
        if let member = self.members.set(.version, scanner) {
            guard let number = UInt32(String(decoding: member.bytes(scanner).prefix(11), as: UTF8.self))
            else {
                throw EventFault("version must be a whole number up to 2³² − 1.", at: member.value.lowerBound)
            }
            version = number
        }
        var event = Event(
            id: try self.members.id(.id, scanner) ?? .generate(), type: try self.required(.type, scanner),
            stream: try self.members.string(.stream, scanner),
            payload: EventPayload(bytes: contents.payload, contentType: contentType),
            timestamp: timestamp ?? .now(), source: try self.members.string(.source, scanner),
            correlationID: try self.members.id(.correlationID, scanner),
            causationID: try self.members.id(.causationID, scanner), schemaVersion: version)
        // An object without members is stored as nothing.
        if contents.metadata.count > 2 { event.metadata = EventMetadata(stored: contents.metadata) }
        return event
    }

    /// Appends the payload and says its content type.
    private func plainPayload(
        _ scanner: JSONScanner, _ contents: inout EventContents
    ) throws(EventFault) -> String? {
        let said = try self.members.string(.contentType, scanner)
        if let text = try self.members.text(.payloadBase64, scanner) {
            guard self.members[.payload] == nil else {
                throw EventFault("payload and payload_base64 exclude each other.", at: text.start)
            }
            try contents.appendBase64(text, scanner, .payloadBase64)
            return said
        }
        guard let member = self.members[.payload] else { return said }
        if let said, !MediaType.isJSON(said), let text = member.text(scanner) {
            scanner.appendCharacters(of: text, to: &contents.bytes)
        } else {
            contents.bytes.append(contentsOf: member.bytes(scanner))
        }
        return said ?? (self.members[.contentType] == nil ? EventPayload.jsonContentType : nil)
    }
}

/// Payload and metadata of an event that is being read, in this order: one array for both.
struct EventContents {
    var bytes: [UInt8] = []
    private var split = 0

    /// What is appended from now on is metadata.
    mutating func endPayload() { self.split = self.bytes.count }

    var payload: ArraySlice<UInt8> { self.bytes[..<self.split] }
    var metadata: ArraySlice<UInt8> { self.bytes[self.split...] }
    var hasMetadata: Bool { self.bytes.count > self.split }

    mutating func appendBase64(
        _ text: JSONText, _ scanner: JSONScanner, _ name: MemberName
    ) throws(EventFault) {
        let isValid =
            text.hasEscapes
            ? scanner.characters(text).withUnsafeBytes { Base64.decode($0, into: &self.bytes) }
            : Base64.decode(scanner.bytes(text.start..<text.end), into: &self.bytes)
        guard isValid else {
            throw EventFault("\(name.text) is not Base64 with padding (RFC 4648).", at: text.start)
        }
    }
}
