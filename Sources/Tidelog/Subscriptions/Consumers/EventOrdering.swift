import TidelogStorage

/// Which events of a consumer must be handled one after the other; all others may be handled at once.
///
/// Events with the same key reach one handler at a time, in the order of the log, also when one of them has to
/// be tried again. Events without a key are handled in any order.
public struct EventOrdering: Sendable, CustomStringConvertible {
    enum Kind: UInt8, Sendable { case none = 0, whole, stream, correlation, metadata, function }
    let kind: Kind
    /// The metadata's key, or the function's name.
    let name: String
    let function: (@Sendable (StoredEvent) -> String?)?

    /// In any order.
    public static var none: Self { .init(kind: .none, name: "", function: nil) }
    /// All events one after the other: one that fails holds up the rest until it is done or given up on.
    public static var whole: Self { .init(kind: .whole, name: "", function: nil) }
    /// By stream.
    public static var perStream: Self { .init(kind: .stream, name: "", function: nil) }
    /// By correlation id.
    public static var perCorrelation: Self { .init(kind: .correlation, name: "", function: nil) }
    /// By the value of a key of the metadata.
    public static func perMetadata(_ key: String) -> Self {
        .init(kind: .metadata, name: key, function: nil)
    }
    /// By what a function says of the event; nil for events without a key.
    ///
    /// - Parameter name: names the function in the log, so that members with different ones are refused. Give a
    ///   changed function a new name.
    public static func by(_ name: String, _ key: @escaping @Sendable (StoredEvent) -> String?) -> Self {
        .init(kind: .function, name: name, function: key)
    }

    /// Whether the log calls both by the same name: of functions it knows no more.
    func isNamed(as other: Self) -> Bool { self.kind == other.kind && self.name == other.name }

    /// For people.
    public var description: String {
        switch self.kind {
        case .none: "none"
        case .whole: "whole"
        case .stream: "per stream"
        case .correlation: "per correlation"
        case .metadata: "per metadata \(self.name)"
        case .function: "by \(self.name)"
        }
    }

    /// The key of an event as a number that is 0 where it has none. Different keys may share a number: they
    /// wait for each other then, which harms nobody.
    func key(of placed: PlacedRecord) -> UInt32 {
        switch self.kind {
        case .none: return 0
        case .whole: return 1
        case .stream: return placed.record.stream.map(Self.number) ?? 0
        case .correlation:
            guard let hash = placed.record.correlation?.hash64 else { return 0 }
            return max(1, UInt32(truncatingIfNeeded: hash >> 32))
        case .metadata:
            guard !placed.record.metadata.isEmpty,
                let value = EventMetadata(stored: placed.record.metadata)[self.name]
            else { return 0 }
            var text: [UInt8] = []
            text.appendJSON(value)
            return max(1, UInt32(truncatingIfNeeded: text.withUnsafeBytes { XXH64.hash($0) } >> 32))
        case .function: return self.function?(StoredEvent(placed: placed)).map(Self.number) ?? 0
        }
    }

    private static func number(_ text: String) -> UInt32 {
        max(1, UInt32(truncatingIfNeeded: XXH64.hash(text) >> 32))
    }
}
