import TidelogStorage

/// Writes events as CSV (RFC 4180): comma, quotation marks where needed, lines that end with CR LF.
///
/// The columns are ``columns``. A payload that is not UTF-8 is in `payload_base64` instead of `payload`.
///
/// - Warning: Spreadsheets run cells that start with `=`, `+`, `-`, `@`, a tab or a carriage return as
///   formulas. Payloads and names come from anywhere, so for files that people will open in a spreadsheet
///   set ``guardsFormulas``. It is off by default because it changes the data.
public struct EventCSVEncoder: Sendable, Hashable {
    /// Whether cells that a spreadsheet would run as formulas get an apostrophe in front. Default: false.
    public var guardsFormulas = false

    /// An encoder with the default settings.
    public init() {}

    /// The names of the columns, in order.
    public static let columns = [
        "position", "revision", "id", "type", "stream", "timestamp", "source", "correlation_id",
        "causation_id", "version", "content_type", "metadata", "payload", "payload_base64",
    ]

    /// Appends the line with the names of the columns.
    public func appendHeader(to text: inout [UInt8]) {
        text.append(contentsOf: Self.columns.joined(separator: ",").utf8)
        text.appendLiteral("\r\n")
    }

    /// Appends the line for an event.
    public func append(_ event: StoredEvent, to text: inout [UInt8]) {
        let record = event.placed.record
        text.appendDecimal(event.placed.position)
        text.append(UInt8(ascii: ","))
        if let revision = event.placed.revision { text.appendDecimal(revision) }
        self.append(cell: EventID(record.id).description, to: &text)
        self.append(cell: record.type, to: &text)
        self.append(cell: record.stream, to: &text)
        self.append(cell: event.timestamp.description, to: &text)
        self.append(cell: record.source, to: &text)
        self.append(cell: record.correlation.map { EventID($0).description }, to: &text)
        self.append(cell: record.causation.map { EventID($0).description }, to: &text)
        text.append(UInt8(ascii: ","))
        text.appendDecimal(UInt64(record.schemaVersion))
        self.append(cell: record.contentType, to: &text)
        record.metadata.withUnsafeBytes { self.append(cell: $0, to: &text) }
        record.payload.withUnsafeBytes { payload in
            if UTF8Check.isValid(payload) {
                self.append(cell: payload, to: &text)
                text.append(UInt8(ascii: ","))
            } else {
                text.appendLiteral(",,")
                Base64.append(payload, to: &text)
            }
        }
        text.appendLiteral("\r\n")
    }

    /// Appends a comma and a cell.
    private func append(cell: String?, to text: inout [UInt8]) {
        guard var cell else { return text.append(UInt8(ascii: ",")) }
        cell.withUTF8 { self.append(cell: UnsafeRawBufferPointer($0), to: &text) }
    }

    /// Appends a comma and a cell.
    private func append(cell: UnsafeRawBufferPointer, to text: inout [UInt8]) {
        text.append(UInt8(ascii: ","))
        let isGuarded = self.guardsFormulas && Self.isFormula(cell.first)
        let needsQuotes = cell.contains {
            $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: ",") || $0 == 0x0A || $0 == 0x0D
        }
        if needsQuotes { text.append(UInt8(ascii: "\"")) }
        if isGuarded { text.append(UInt8(ascii: "'")) }
        if needsQuotes {
            for byte in cell {
                if byte == UInt8(ascii: "\"") { text.append(byte) }
                text.append(byte)
            }
            text.append(UInt8(ascii: "\""))
        } else {
            text.append(contentsOf: cell)
        }
    }

    private static func isFormula(_ first: UInt8?) -> Bool {
        switch first {
        case UInt8(ascii: "="), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "@"), 0x09, 0x0D: true
        default: false
        }
    }
}
