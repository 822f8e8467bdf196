/// A value of an event's metadata: what JSON knows.
public enum MetadataValue: Hashable, Sendable {
    /// Nothing, said expressly.
    case null
    /// Text.
    case string(String)
    /// A whole number that 64 bits hold.
    case integer(Int64)
    /// Any other number. NaN and the infinities, which JSON lacks, are stored as null.
    case number(Double)
    /// True or false.
    case boolean(Bool)
    /// Values in order.
    case array([MetadataValue])
    /// Values by keys, in order.
    case object(EventMetadata)

    /// The text, if this is one.
    public var string: String? { if case .string(let value) = self { value } else { nil } }
    /// The whole number, if this is one.
    public var integer: Int64? { if case .integer(let value) = self { value } else { nil } }
    /// The truth value, if this is one.
    public var boolean: Bool? { if case .boolean(let value) = self { value } else { nil } }
    /// The elements, if this is an array.
    public var array: [MetadataValue]? { if case .array(let value) = self { value } else { nil } }
    /// The members, if this is an object.
    public var object: EventMetadata? { if case .object(let value) = self { value } else { nil } }
    /// The number, whole or not, if this is one.
    public var number: Double? {
        switch self {
        case .number(let value): value
        case .integer(let value): Double(value)
        default: nil
        }
    }
}

extension MetadataValue: ExpressibleByStringLiteral, ExpressibleByStringInterpolation,
    ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    /// Text written as a literal.
    public init(stringLiteral value: String) { self = .string(value) }
    /// A whole number written as a literal.
    public init(integerLiteral value: Int64) { self = .integer(value) }
    /// A number written as a literal.
    public init(floatLiteral value: Double) { self = .number(value) }
    /// A truth value written as a literal.
    public init(booleanLiteral value: Bool) { self = .boolean(value) }
    /// An array written as a literal.
    public init(arrayLiteral elements: MetadataValue...) { self = .array(elements) }
    /// An object written as a literal. Of keys that repeat, the last counts.
    public init(dictionaryLiteral elements: (String, MetadataValue)...) { self = .object(.init(elements)) }
    /// Null written as a literal.
    public init(nilLiteral: ()) { self = .null }
}

extension MetadataValue {
    /// Reads the value that is next, which must be canonical text, and passes it.
    init(_ scanner: inout JSONScanner, depth: Int = 1) throws(JSONFault) {
        switch scanner.peek {
        case UInt8(ascii: "\""): self = .string(scanner.string(try scanner.scanString()))
        case UInt8(ascii: "{"):
            let start = scanner.index
            try scanner.skipValue(depth: depth)
            let text = scanner.bytes(start..<scanner.index)
            self = .object(EventMetadata(stored: text.count > 2 ? ArraySlice(text) : []))
        case UInt8(ascii: "["):
            try scanner.startContainer(depth: depth)
            var values: [MetadataValue] = []
            if !scanner.take(UInt8(ascii: "]")) {
                repeat {
                    values.append(try MetadataValue(&scanner, depth: depth + 1))
                } while try scanner.continueArray()
            }
            self = .array(values)
        default:
            let start = scanner.index
            try scanner.skipValue(depth: depth)
            self = Self.simple(scanner.bytes(start..<scanner.index))
        }
    }

    private static func simple(_ text: UnsafeRawBufferPointer) -> Self {
        switch text.first {
        case UInt8(ascii: "t"): return .boolean(true)
        case UInt8(ascii: "f"): return .boolean(false)
        case UInt8(ascii: "n"): return .null
        default:
            let digits = String(decoding: text, as: UTF8.self)
            // -0 is a number that an integer does not tell.
            if digits != "-0", let integer = Int64(digits) { return .integer(integer) }
            return .number(Double(digits) ?? .nan)
        }
    }
}
