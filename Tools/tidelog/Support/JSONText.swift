import Tidelog

/// A JSON value for programs that read what a command reports.
enum JSONText: ExpressibleByStringLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral {
    case null
    case boolean(Bool)
    case integer(Int)
    case unsigned(UInt64)
    case number(Double)
    /// A number as it was written somewhere else.
    case written(String)
    case string(String)
    case array([JSONText])
    case object([(String, JSONText)])

    init(stringLiteral value: String) { self = .string(value) }
    init(arrayLiteral elements: JSONText...) { self = .array(elements) }
    init(dictionaryLiteral elements: (String, JSONText)...) { self = .object(elements) }

    init(_ value: String?) { self = value.map { .string($0) } ?? .null }
    init(_ value: Position) { self = .unsigned(value.rawValue) }
    init(_ value: Revision?) { self = value.map { .unsigned($0.rawValue) } ?? .null }
    init(_ value: Timestamp?) { self = value.map { .string($0.description) } ?? .null }

    /// On one line.
    var line: String {
        var text: [UInt8] = []
        self.append(to: &text)
        return String(decoding: text, as: UTF8.self)
    }

    private func append(to text: inout [UInt8]) {
        switch self {
        case .null: text.appendLiteral("null")
        case .boolean(let value): text.append(contentsOf: (value ? "true" : "false").utf8)
        case .integer(let value): text.appendDecimal(Int64(value))
        case .unsigned(let value): text.appendDecimal(value)
        case .number(let value):
            text.append(contentsOf: (value.isFinite ? Self.text(of: value) : "null").utf8)
        case .written(let number): text.append(contentsOf: number.utf8)
        case .string(let value): text.appendJSONString(value)
        case .array(let values):
            text.append(UInt8(ascii: "["))
            for (index, value) in values.enumerated() {
                if index > 0 { text.append(UInt8(ascii: ",")) }
                value.append(to: &text)
            }
            text.append(UInt8(ascii: "]"))
        case .object(let members):
            text.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { text.append(UInt8(ascii: ",")) }
                text.appendJSONString(member.0)
                text.append(UInt8(ascii: ":"))
                member.1.append(to: &text)
            }
            text.append(UInt8(ascii: "}"))
        }
    }

    /// Up to six decimals, none where it is whole.
    private static func text(of value: Double) -> String {
        if value == value.rounded(), value.magnitude < 1e15 { return String(Int(value)) }
        return value.magnitude < 1e-4 || value.magnitude >= 1e15 ? "\(value)" : Units.decimal(value, 6)
    }
}

/// Prints a report: for programs as one JSON object, else for people.
func report(json isJSON: Bool, _ value: @autoclosure () -> JSONText, _ lines: @autoclosure () -> [String])
    throws
{
    if isJSON {
        let output = LineOutput()
        try output.write { text in
            text.append(contentsOf: value().line.utf8)
            text.append(UInt8(ascii: "\n"))
        }
        try output.flush()
    } else {
        try show(lines())
    }
}
