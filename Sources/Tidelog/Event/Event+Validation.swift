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
    /// The event as a whole must not be larger than the limit. Metadata are JSON by construction; payloads
    /// may be anything.
    ///
    /// - Throws: ``EventLogError`` with code `invalidEvent` that names the field, the limit and the way out.
    public func validate(limits: EventLimits = .init()) throws(EventLogError) {
        let most = min(limits.maximumNameBytes, 255)
        var bytes = self.record.metadata.count + self.record.payload.count
        bytes += try self.check("type", self.record.type, most)
        bytes += try self.check("id", self.record.id, most)
        if let stream = self.record.stream { bytes += try self.check("stream", stream, most) }
        if let source = self.record.source { bytes += try self.check("source", source, most) }
        if let type = self.record.contentType { bytes += try self.check("content type", type, most) }
        if let tenant = self.record.tenant { _ = try self.check("tenant", tenant, most) }
        if let id = self.record.correlation { bytes += try self.check("correlation id", id, most) }
        if let id = self.record.causation { bytes += try self.check("causation id", id, most) }
        guard bytes <= limits.maximumEventBytes else {
            throw self.invalid(
                "it has \(bytes) bytes, and \(limits.maximumEventBytes) is the most. Keep large contents"
                    + " elsewhere and refer to them, or raise the limit in the log's configuration.")
        }
    }

    private func check(_ field: StaticString, _ id: Identifier, _ most: Int) throws(EventLogError) -> Int {
        guard case .text(let text) = id else { return 16 }
        return try self.check(field, text, most)
    }

    private func check(_ field: StaticString, _ name: String, _ most: Int) throws(EventLogError) -> Int {
        let count = name.utf8.count
        guard count > 0 else {
            throw self.invalid("its \(field) is empty. Set it, or leave it out where it may be left out.")
        }
        guard count <= most else {
            throw self.invalid(
                "its \(field) has \(count) bytes of UTF-8, and \(most) is the most. Shorten it.")
        }
        guard !NameRules.hasControlCharacter(name) else {
            throw self.invalid("its \(field) has a control character. Remove or replace it.")
        }
        return count
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
    package static func hasControlCharacter(_ name: String) -> Bool {
        let answer = name.utf8.withContiguousStorageIfAvailable {
            Self.hasControlCharacter(UnsafeRawBufferPointer($0))
        }
        if let answer { return answer }
        var copy = name
        return copy.withUTF8 { Self.hasControlCharacter(UnsafeRawBufferPointer($0)) }
    }

    private static func hasControlCharacter(_ name: UnsafeRawBufferPointer) -> Bool {
        guard let base = name.baseAddress else { return false }
        var at = 0
        while at < name.count {
            let byte = base.load(fromByteOffset: at, as: UInt8.self)
            if byte < 0x20 || byte == 0x7F { return true }
            // In UTF-8, C1 is C2 followed by 80 to 9F; C2 never stands last.
            if byte == 0xC2, base.load(fromByteOffset: at + 1, as: UInt8.self) < 0xA0 { return true }
            at += 1
        }
        return false
    }
}
