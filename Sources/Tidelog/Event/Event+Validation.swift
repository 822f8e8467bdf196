import TidelogStorage

/// How large events may be.
public struct EventLimits: Sendable, Hashable {
    /// The most bytes of an event: payload, metadata and names together. Default: 16 MiB.
    public var maximumEventBytes = 16 << 20

    /// The most bytes of UTF-8 of a name (type, stream, source, content type, tenant) and of an id.
    /// Default: 255, which is also the most that it can be.
    public var maximumNameBytes = 255

    /// The default limits.
    public init() {}
}

extension Event {
    /// Checks that a log accepts the event, whatever log it is.
    ///
    /// Type, stream, source, content type, tenant, and the three ids must not be empty (all but type and id
    /// may be nil), must not be longer than the limit, and must not have control characters (C0, DEL, C1):
    /// they go to terminals, file names of exports and protocols of brokers, where those are instructions.
    /// The event as a whole must not be larger than the limit. Metadata are JSON by construction, and must not be
    /// nested more than 500 deep, so that they can be read in every form; payloads may be anything.
    ///
    /// - Throws: ``EventLogError`` with code `invalidEvent` that names the field, the limit and the way out.
    public func validate(limits: EventLimits = .init()) throws(EventLogError) {
        try withUnsafePointer(to: self.record) { record throws(EventLogError) in
            try Self.validate(record, limits)
        }
    }

    /// Checks events as ``validate(limits:)`` does, where they stand: a copy of each would count references
    /// of all its fields.
    static func validate(_ records: [EventRecord], limits: EventLimits) throws(EventLogError) {
        try records.withUnsafeBufferPointer { records throws(EventLogError) in
            guard let start = records.baseAddress else { return }
            for index in records.indices { try Self.validate(start + index, limits) }
        }
    }

    private static func validate(
        _ record: UnsafePointer<EventRecord>, _ limits: EventLimits
    ) throws(EventLogError) {
        let most = min(limits.maximumNameBytes, 255)
        var bytes = record.pointee.metadata.count + record.pointee.payload.count
        func check(_ field: StaticString, _ name: borrowing String) throws(EventLogError) {
            let count = name.utf8.count
            guard count > 0, count <= most, !NameRules.hasControlCharacter(name) else {
                throw Self.refusal(field, copy name, most, record)
            }
            bytes += count
        }
        func check(_ field: StaticString, _ id: borrowing Identifier) throws(EventLogError) {
            switch id {
            case .uuid: bytes += 16
            case .text(let text): try check(field, text)
            }
        }
        try check("type", record.pointee.type)
        try check("id", record.pointee.id)
        if let stream = record.pointee.stream { try check("stream", stream) }
        if let source = record.pointee.source { try check("source", source) }
        if let type = record.pointee.contentType { try check("content type", type) }
        if let tenant = record.pointee.tenant {
            // The tenant stands in the metadata too, and is counted there.
            try check("tenant", tenant)
            bytes -= tenant.utf8.count
        }
        if let id = record.pointee.correlation { try check("correlation id", id) }
        if let id = record.pointee.causation { try check("causation id", id) }
        if record.pointee.metadata.count >= 2 * Self.maximumMetadataDepth,
            Self.isTooDeep(record.pointee.metadata)
        {
            throw Event(record: record.pointee).invalid(
                "its metadata are nested more than \(Self.maximumMetadataDepth) deep. Carry such contents in the "
                    + "payload.")
        }
        guard bytes <= limits.maximumEventBytes else {
            throw Event(record: record.pointee).invalid(
                "it has \(bytes) bytes, and \(limits.maximumEventBytes) is the most. Keep large contents"
                    + " elsewhere and refer to them, or raise the limit in the log's configuration.")
        }
    }

    /// Less than what a JSON document may have, since events are members of documents. Each level takes two bytes.
    private static let maximumMetadataDepth = 500

    @inline(never)
    private static func isTooDeep(_ metadata: ArraySlice<UInt8>) -> Bool {
        metadata.withUnsafeBytes { bytes in
            var scanner = JSONScanner(bytes)
            do throws(JSONFault) {
                try scanner.skipValue(depth: JSONScanner.maximumDepth - Self.maximumMetadataDepth)
                return false
            } catch { return error.reason == .tooDeep }
        }
    }

    /// Why a name is refused.
    @inline(never)
    private static func refusal(
        _ field: StaticString, _ name: String, _ most: Int, _ record: UnsafePointer<EventRecord>
    ) -> EventLogError {
        let event = Event(record: record.pointee)
        let count = name.utf8.count
        if count == 0 {
            return event.invalid("its \(field) is empty. Set it, or leave it out where it may be left out.")
        }
        if count > most {
            return event.invalid(
                "its \(field) has \(count) bytes of UTF-8, and \(most) is the most. Shorten it.")
        }
        return event.invalid("its \(field) has a control character. Remove or replace it.")
    }

    private func invalid(_ reason: String) -> EventLogError {
        // Names can be hostile or huge: show their beginnings only, escaped.
        let type = TerminalText.escape(String(self.type.prefix(80)))
        let id = TerminalText.escape(String(self.id.description.prefix(80)))
        return EventLogError(.invalidEvent, "The event \"\(type)\" (id \(id)) cannot be accepted: \(reason)")
    }
}

/// What names may not have in them.
package enum NameRules {
    /// Whether there is a character of C0, DEL or C1.
    @inline(__always)
    package static func hasControlCharacter(_ name: borrowing String) -> Bool {
        let answer = name.utf8.withContiguousStorageIfAvailable {
            Self.hasControlCharacter(UnsafeRawBufferPointer($0))
        }
        if let answer { return answer }
        var copy = copy name
        return copy.withUTF8 { Self.hasControlCharacter(UnsafeRawBufferPointer($0)) }
    }

    private static func hasControlCharacter(_ name: UnsafeRawBufferPointer) -> Bool {
        guard let base = name.baseAddress else { return false }
        var at = 0
        // Eight bytes at once, as long as they are printable ASCII, which most names are.
        while at + 8 <= name.count {
            let word = base.loadUnaligned(fromByteOffset: at, as: UInt64.self)
            if !Self.isPrintable(word) { break }
            at += 8
        }
        while at < name.count {
            let byte = base.load(fromByteOffset: at, as: UInt8.self)
            if byte < 0x20 || byte == 0x7F { return true }
            // In UTF-8, C1 is C2 followed by 80 to 9F; C2 never stands last.
            if byte == 0xC2, base.load(fromByteOffset: at + 1, as: UInt8.self) < 0xA0 { return true }
            at += 1
        }
        return false
    }

    /// Whether all eight bytes are from 20 to 7E: none has its top bit set, none borrows when 20 is taken
    /// away, and none carries into the top bit when 1 is added.
    @inline(__always)
    private static func isPrintable(_ word: UInt64) -> Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let tops = ones << 7
        if word & tops != 0 { return false }
        return ((word | tops) &- ones &* 0x20) & tops == tops && (word &+ ones) & tops == 0
    }
}
