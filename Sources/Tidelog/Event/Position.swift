/// An event's place in the whole log: counted from 0, gapless when appended, never reused.
public struct Position: RawRepresentable, Hashable, Codable, Sendable, ExpressibleByIntegerLiteral {
    /// The number itself.
    public var rawValue: UInt64

    /// The place with this number.
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// The place with this number.
    public init(_ value: UInt64) { self.rawValue = value }

    /// The place written as a literal.
    public init(integerLiteral value: UInt64) { self.rawValue = value }

    /// The first place of every log.
    public static var zero: Self { .init(0) }
}

/// An event's place in its stream: counted from 0, one by one.
public struct Revision: RawRepresentable, Hashable, Codable, Sendable, ExpressibleByIntegerLiteral {
    /// The number itself.
    public var rawValue: UInt64

    /// The revision with this number.
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// The revision with this number.
    public init(_ value: UInt64) { self.rawValue = value }

    /// The revision written as a literal.
    public init(integerLiteral value: UInt64) { self.rawValue = value }

    /// The first revision of every stream.
    public static var zero: Self { .init(0) }
}

extension Position: Strideable, LosslessStringConvertible {
    /// The number in decimal.
    public var description: String { String(self.rawValue) }

    /// The place written in decimal, or nil if it is not a number from 0 to 2⁶⁴ − 1.
    public init?(_ description: String) {
        guard let value = UInt64(description) else { return nil }
        self.rawValue = value
    }

    /// The place `count` further on. Traps where there is none.
    public func advanced(by count: Int) -> Self { .init(self.rawValue.advanced(by: count)) }

    /// How many places `other` is further on. Traps beyond `Int`.
    public func distance(to other: Self) -> Int { self.rawValue.distance(to: other.rawValue) }

    /// Whether the first comes before the second.
    public static func < (first: Self, second: Self) -> Bool { first.rawValue < second.rawValue }
}

extension Revision: Strideable, LosslessStringConvertible {
    /// The number in decimal.
    public var description: String { String(self.rawValue) }

    /// The revision written in decimal, or nil if it is not a number from 0 to 2⁶⁴ − 1.
    public init?(_ description: String) {
        guard let value = UInt64(description) else { return nil }
        self.rawValue = value
    }

    /// The revision `count` further on. Traps where there is none.
    public func advanced(by count: Int) -> Self { .init(self.rawValue.advanced(by: count)) }

    /// How many revisions `other` is further on. Traps beyond `Int`.
    public func distance(to other: Self) -> Int { self.rawValue.distance(to: other.rawValue) }

    /// Whether the first comes before the second.
    public static func < (first: Self, second: Self) -> Bool { first.rawValue < second.rawValue }
}
