/// What an event carries: bytes, and what kind of bytes they are.
public struct EventPayload: Hashable, Sendable {
    /// The bytes.
    public var bytes: ArraySlice<UInt8>
    /// The media type, such as `application/json`; nil if it was not said. CloudEvents takes a payload
    /// without one for JSON.
    public var contentType: String?

    /// A payload of these bytes.
    public init(bytes: some Sequence<UInt8>, contentType: String? = nil) {
        self.bytes = bytes as? ArraySlice<UInt8> ?? ArraySlice(bytes)
        self.contentType = contentType
    }

    /// A payload of text, in UTF-8.
    public init(text: String, contentType: String? = "text/plain") {
        self.bytes = ArraySlice(text.utf8)
        self.contentType = contentType
    }

    /// A payload of text that is JSON. It is kept byte for byte and not checked.
    public init(json: String) { self.init(text: json, contentType: Self.jsonContentType) }

    /// No bytes, of no kind.
    public static var empty: Self { .init(bytes: ArraySlice(), contentType: nil) }

    /// The media type of JSON.
    public static var jsonContentType: String { "application/json" }

    /// How many bytes there are.
    public var count: Int { self.bytes.count }

    /// Whether there are no bytes.
    public var isEmpty: Bool { self.bytes.isEmpty }

    /// The bytes as text, or nil if they are not UTF-8.
    public var text: String? { String(validating: self.bytes, as: UTF8.self) }

    /// Whether the content type declares JSON: `application/json`, or anything that ends in `/json` or
    /// `+json`, parameters aside.
    public var isDeclaredJSON: Bool { self.contentType.map { MediaType.isJSON($0) } ?? false }
}

/// Media types (RFC 6838), as far as they matter here.
enum MediaType {
    /// Whether the subtype is `json` or has the suffix `+json`, in any case, parameters aside.
    static func isJSON(_ text: String) -> Bool {
        if text == "application/json" { return true }
        var type = text.utf8.prefix { $0 != UInt8(ascii: ";") }
        while type.last == 0x20 || type.last == 0x09 { type.removeLast() }
        guard type.count > 5 else { return false }
        let end = type.suffix(5).map { $0 | 0x20 }
        let first = type.suffix(5).first
        return end.dropFirst().elementsEqual("json".utf8)
            && (first == UInt8(ascii: "/") || first == UInt8(ascii: "+"))
    }
}
