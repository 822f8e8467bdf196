/// How an event is written as JSON.
public struct EventForm: Hashable, Sendable {
    private enum Kind: String { case cloudEvents, plain }
    private let kind: Kind
    private init(_ kind: Kind) { self.kind = kind }

    /// CloudEvents 1.0, JSON event format, structured mode: one JSON object, or an array of them as a batch.
    ///
    /// | CloudEvents | event |
    /// | --- | --- |
    /// | `id`, `type` | id, type |
    /// | `source` | source; an event without one is written with `urn:tidelog:unknown` |
    /// | `tidelogsource` | true where the event's own source is `urn:tidelog:unknown`, else left out |
    /// | `subject` | stream |
    /// | `time` | timestamp; where it is missing, the time of reading |
    /// | `datacontenttype` | the payload's content type |
    /// | `correlationid`, `causationid` | correlation id, causation id |
    /// | `schemaversion` | schema version, where it is not 1 |
    /// | `position`, `revision` | written for an event of a log; not read, as every log has its own |
    /// | `userid`, `tenantid` | metadata `user_id`, `tenant_id` |
    /// | `requestid`, `traceid` | metadata `request_id`, `trace_id` |
    /// | any other attribute, as `traceparent` | the metadata of that name, with its JSON type |
    /// | `tidelogmetadata` | metadata that no attribute can carry: JSON text in a string |
    /// | `data` | payload |
    /// | `data_base64` | payload that is neither JSON nor text, or has white space around its JSON |
    ///
    /// **What is read comes back when written.** If the content type is missing or declares JSON, the
    /// payload is the JSON text of `data`, byte for byte (but see ``EventJSONEncoder/keepsLineBreaks``). If
    /// it declares anything else, `data` is a string and the payload its characters. What an event has no
    /// field for is kept in a metadata object named `cloudevents`, and written from there: `dataschema`; the
    /// text of a `time` that is not written as Tidelog would (an offset, other decimals); attributes whose
    /// name or type CloudEvents does not allow; and how `data` was written where the rules above would write
    /// it in another way. Attributes that are null count as missing, as the specification has it; null
    /// extensions are kept. The order of attributes is Tidelog's own.
    ///
    /// **What is written comes back when read**: every field, metadata in their order, payload byte for
    /// byte. Line breaks between the values of a JSON payload become spaces, so that each event is one
    /// line, unless the encoder is told to keep them.
    public static var cloudEvents: Self { .init(.cloudEvents) }

    /// Tidelog's plain form: `{"id","type","stream","payload","metadata","timestamp","source",
    /// "correlation_id","causation_id","version"}`, and for an event of a log `position` and `revision`.
    ///
    /// Only `type` must be there; what has no value is left out. The payload is JSON, byte for byte, unless
    /// `content_type` says otherwise: then a text payload is a string, and any other stands in
    /// `payload_base64`, as does JSON with white space around it. A JSON payload that was not declared as such
    /// has a `content_type` of null. Members with other names are refused rather than lost; `position` and
    /// `revision` are not read.
    public static var plain: Self { .init(.plain) }
}

extension EventForm: CustomStringConvertible {
    /// The form's name.
    public var description: String { self.kind.rawValue }
}

/// How a payload is written in JSON.
enum PayloadShape {
    /// There is none.
    case none
    /// As the JSON that it is.
    case json
    /// As a string.
    case text
    /// As Base64 in a string.
    case base64

    /// How deep a payload stands in the JSON of its event in a batch, where the scanner's limit must hold.
    static var depth: Int { 2 }

    /// The shape that payload and content type ask for by themselves.
    init(_ payload: UnsafeRawBufferPointer, contentType: String?) {
        if payload.isEmpty {
            self = .none
        } else if contentType.map({ MediaType.isJSON($0) }) ?? true {
            var scanner = JSONScanner(payload)
            let range = try? scanner.skipDocument(depth: Self.depth)
            // White space around a value belongs to the text that it stands in, and would be lost.
            self = range == 0..<payload.count ? .json : .base64
        } else {
            self = Self.isText(payload) ? .text : .base64
        }
    }

    /// Whether the bytes are UTF-8 without control characters but for tabs and line breaks.
    private static func isText(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let isPlain = bytes.allSatisfy {
            $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 || $0 == 0x0A || $0 == 0x0D
        }
        return isPlain && UTF8Check.isValid(bytes)
    }
}
