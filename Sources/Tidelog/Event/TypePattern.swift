/// A pattern that event types are matched against, on a bus as in a filter of a read.
///
/// A type is read as tokens between dots. In a pattern, `*` stands for exactly one token and a trailing `>`
/// for one or more; every other token stands for itself. The pattern `*` alone, like `>`, means every event.
///
/// | pattern | matches | does not match |
/// | --- | --- | --- |
/// | `order.placed` | `order.placed` | `order.placed.late` |
/// | `order.*` | `order.placed` | `order`, `order.placed.late` |
/// | `order.>` | `order.placed`, `order.placed.late` | `order` |
/// | `*.failed` | `payment.failed` | `billing.payment.failed` |
///
/// Matching compares bytes of UTF-8, case and all, and allocates nothing.
public struct TypePattern: Hashable, Sendable {
    private enum Kind: Hashable { case everything, exact, wild }

    private let text: String
    private let bytes: [UInt8]
    private let kind: Kind

    /// The most bytes of UTF-8 that a pattern may have.
    public static var maximumBytes: Int { 255 }

    /// The pattern `*`, which matches every event.
    public static var all: Self { .init(trusted: "*") }

    /// The pattern written as `text`.
    ///
    /// - Throws: ``EventLogError`` with code `malformedInput` if the text is empty, longer than 255 bytes,
    ///   has an empty token, a control character, a `>` that is not the last token, or a wildcard that does
    ///   not stand alone between dots.
    public init(_ text: String) throws(EventLogError) {
        if let reason = Self.fault(in: text) {
            throw EventLogError(
                .malformedInput,
                "The pattern \"\(TerminalText.escape(text))\" cannot be used: \(reason)")
        }
        self.init(trusted: text)
    }

    private init(trusted text: String) {
        self.text = text
        self.bytes = Array(text.utf8)
        if text == "*" || text == ">" {
            self.kind = .everything
        } else {
            let tokens = self.bytes.split(separator: .dot, omittingEmptySubsequences: false)
            self.kind = tokens.contains { $0 == [.star] || $0 == [.greater] } ? .wild : .exact
        }
    }

    private static func fault(in text: String) -> String? {
        let bytes = Array(text.utf8)
        guard !bytes.isEmpty else { return "it is empty; write * for every event." }
        guard bytes.count <= Self.maximumBytes else {
            return "it has \(bytes.count) bytes, and \(Self.maximumBytes) is the most."
        }
        guard !NameRules.hasControlCharacter(text) else { return "it has a control character." }
        let tokens = bytes.split(separator: .dot, omittingEmptySubsequences: false)
        for (index, token) in tokens.enumerated() {
            if token.isEmpty { return "there is nothing between two dots, or before or after one." }
            if token == [.greater] {
                if index < tokens.count - 1 { return "> may only be the last token." }
            } else if token != [.star], token.contains(.star) || token.contains(.greater) {
                return "* and > stand for whole tokens, alone between dots."
            }
        }
        return nil
    }

    /// Whether the pattern matches every event.
    public var matchesEverything: Bool { self.kind == .everything }

    /// The one type that the pattern matches, or nil if it has wildcards.
    public var exactType: String? { self.kind == .exact ? self.text : nil }

    /// Whether `type` matches.
    ///
    /// - Complexity: O(*n*) in the bytes of `type`.
    public func matches(_ type: String) -> Bool {
        if self.kind == .everything { return true }
        let answer = type.utf8.withContiguousStorageIfAvailable { self.matches(UnsafeRawBufferPointer($0)) }
        if let answer { return answer }
        var copy = type
        return copy.withUTF8 { self.matches(UnsafeRawBufferPointer($0)) }
    }

    /// Whether the type with these bytes of UTF-8 matches.
    package func matches(_ type: UnsafeRawBufferPointer) -> Bool {
        switch self.kind {
        case .everything: return true
        case .exact:
            return self.bytes.withUnsafeBytes { $0.count == type.count && $0.elementsEqual(type) }
        case .wild: return self.bytes.withUnsafeBytes { Self.matches(pattern: $0, type: type) }
        }
    }

    private static func matches(pattern: UnsafeRawBufferPointer, type: UnsafeRawBufferPointer) -> Bool {
        var p = 0
        var t = 0
        while true {
            // Both stand at the start of a token, which may be empty in the type, never in the pattern.
            let byte = pattern[p]
            let isLast = p + 1 == pattern.count
            if byte == .greater { return t < type.count }
            if byte == .star && (isLast || pattern[p + 1] == .dot) {
                let start = t
                while t < type.count && type[t] != .dot { t += 1 }
                if t == start { return false }
                p += 1
            } else {
                while p < pattern.count && pattern[p] != .dot {
                    guard t < type.count && type[t] == pattern[p] else { return false }
                    p += 1
                    t += 1
                }
                guard t == type.count || type[t] == .dot else { return false }
            }
            if p == pattern.count { return t == type.count }
            guard t < type.count else { return false }
            p += 1
            t += 1
        }
    }
}

extension TypePattern: ExpressibleByStringLiteral, CustomStringConvertible, Codable {
    /// The pattern written as a literal. One that is malformed is a bug and ends the process with a message; for
    /// text from elsewhere there is ``init(_:)``, which throws.
    public init(stringLiteral value: String) {
        // Not `preconditionFailure`, which says nothing in a release build.
        if let reason = Self.fault(in: value) { fatalError("The pattern cannot be used: \(reason)") }
        self.init(trusted: value)
    }

    /// The pattern's text.
    public var description: String { self.text }

    /// Reads the text.
    public init(from decoder: any Decoder) throws {
        try self.init(decoder.singleValueContainer().decode(String.self))
    }

    /// Writes the text.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(self.text)
    }
}

extension UInt8 {
    fileprivate static var dot: UInt8 { UInt8(ascii: ".") }
    fileprivate static var star: UInt8 { UInt8(ascii: "*") }
    fileprivate static var greater: UInt8 { UInt8(ascii: ">") }
}
