import Foundation
import Testing
import TidelogTesting

@testable import Tidelog

@Suite("The JSON scanner")
struct JSONScannerTests {
    static func scan(_ bytes: [UInt8]) -> Result<Range<Int>, JSONFault> {
        bytes.withUnsafeBytes { bytes in
            var scanner = JSONScanner(bytes)
            return Result { () throws(JSONFault) in try scanner.skipDocument() }
        }
    }

    static func nested(_ depth: Int) -> String {
        String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }

    @Test(
        "accepts what RFC 8259 allows",
        arguments: [
            "0", "-0", "1", "-1", "10", "1.5", "-0.0", "1e5", "1E+5", "1e-05",
            "123456789012345678901234567890",
            "1e99999", "true", "false", "null", #""""#, #""a""#, #""\"\\\/\b\f\n\r\t""#, #""\u0000""#,
            #""\u00e9\u00E9""#, #""\ud83d\ude00""#, "\"😀é日\"", "\"\u{7F}\u{80}\u{2028}\"", "\"\u{10FFFF}\"",
            "[]", "[ ]",
            "[1]", "[1,2]", " [ 1 , 2 ] ", "{}", "{ }", #"{"a":1}"#, #"{"a":1,"a":2}"#, #"{"":{}}"#,
            "\t\n\r 1 \t\n\r", #"[[[{"a":[]}]]]"#, Self.nested(512), #""abcdefg""#, #""abcdefgh""#,
            #""abcdefghi""#, #"{"a":[1,{"b":null}],"c":"d"}"#, "[\"\u{FEFF}\"]",
        ])
    func accepts(text: String) {
        guard case .success(let range) = Self.scan(Array(text.utf8)) else {
            Issue.record("refused: \(text.prefix(80))")
            return
        }
        let value = String(decoding: Array(text.utf8)[range], as: UTF8.self)
        #expect(value == text.trimmingCharacters(in: .init(charactersIn: " \t\r\n")))
    }

    typealias Refusal = (text: String, reason: JSONFault.Reason, offset: Int)

    static let refusals: [Refusal] = [
        ("", .endOfInput, 0), (" ", .endOfInput, 1), ("tru", .endOfInput, 3), ("trux", .unexpectedByte, 0),
        ("nul", .endOfInput, 3), ("True", .unexpectedByte, 0), ("NaN", .unexpectedByte, 0),
        ("Infinity", .unexpectedByte, 0), ("-Infinity", .invalidNumber, 1), ("-", .endOfInput, 1),
        ("+1", .unexpectedByte, 0), ("01", .invalidNumber, 1), ("-01", .invalidNumber, 2),
        ("1.", .endOfInput, 2), (".5", .unexpectedByte, 0), ("1.e5", .invalidNumber, 2),
        ("1e", .endOfInput, 2), ("1e+", .endOfInput, 3), ("1e+x", .invalidNumber, 3),
        ("0x1", .trailingBytes, 1), ("1 2", .trailingBytes, 2), ("[1", .endOfInput, 2),
        ("[1,]", .trailingComma, 3), ("[,1]", .unexpectedByte, 1), ("[1 2]", .expectedCommaOrBracket, 3),
        ("{", .endOfInput, 1), ("{1:2}", .expectedKey, 1), ("{a:1}", .expectedKey, 1),
        ("{'a':1}", .expectedKey, 1), (#"{"a"}"#, .expectedColon, 4), (#"{"a":}"#, .unexpectedByte, 5),
        (#"{"a":1,}"#, .trailingComma, 7), (#"{"a":1 "b":2}"#, .expectedCommaOrBrace, 7),
        (#"{"a":1}}"#, .trailingBytes, 7), ("[1}", .expectedCommaOrBracket, 2), (#"""#, .unclosedString, 0),
        (#"["abc"#, .unclosedString, 1), ("\"a\nb\"", .controlCharacter, 2),
        ("\"\u{1F}\"", .controlCharacter, 1),
        ("\"\u{0}\"", .controlCharacter, 1), (#""\x""#, .invalidEscape, 1), (#""\u12G4""#, .invalidEscape, 1),
        (#""\u123""#, .invalidEscape, 1), (#""\"#, .unclosedString, 1), (#""\ud83d""#, .loneSurrogate, 1),
        (#""\ud83d\u0041""#, .loneSurrogate, 1), (#""\ude00""#, .loneSurrogate, 1),
        (#""\ude00\ud83d""#, .loneSurrogate, 1), ("\u{FEFF}1", .byteOrderMark, 0),
        (nested(513), .tooDeep, 512), ("/* c */ 1", .unexpectedByte, 0), ("1 // c", .trailingBytes, 2),
        ("\u{A0}1", .unexpectedByte, 0), ("[1]\u{0}", .trailingBytes, 3),
    ]

    @Test("refuses everything else, with reason and place", arguments: 0..<Self.refusals.count)
    func refuses(number: Int) {
        let (text, reason, offset) = Self.refusals[number]
        guard case .failure(let fault) = Self.scan(Array(text.utf8)) else {
            Issue.record("accepted: \(text)")
            return
        }
        #expect(fault == JSONFault(reason: reason, offset: offset), "\(text.prefix(40))")
    }

    @Test(
        "refuses bytes that are not UTF-8, wherever in a string they stand",
        arguments: [
            [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC2], [0xC2, 0x41], [0xE0, 0x80, 0x80],
            [0xE0, 0x9F, 0xBF],
            [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF], [0xE2, 0x82], [0xF0, 0x80, 0x80, 0x80],
            [0xF0, 0x9F, 0x98],
            [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xFF], [0xFE],
        ] as [[UInt8]])
    func utf8(bytes: [UInt8]) {
        for padding in 0..<17 {
            let text = [0x22] + [UInt8](repeating: 0x61, count: padding) + bytes + [0x61, 0x22]
            #expect(Self.scan(text) == .failure(JSONFault(reason: .invalidUTF8, offset: padding + 1)))
            #expect(text.withUnsafeBytes { !UTF8Check.isValid($0) })
        }
    }

    @Test("finds what is special in a string at every distance from its start")
    func distances() {
        for count in 0..<40 {
            let plain = String(repeating: "x", count: count)
            #expect(Self.scan(Array("\"\(plain)\"".utf8)) == .success(0..<count + 2))
            #expect(Self.scan(Array("\"\(plain)\\n\(plain)\"".utf8)) == .success(0..<2 * count + 4))
            #expect(Self.scan(Array("\"\(plain)é\(plain)\"".utf8)) == .success(0..<2 * count + 4))
            let control = Self.scan(Array("\"\(plain)\u{1}\"".utf8))
            #expect(control == .failure(JSONFault(reason: .controlCharacter, offset: count + 1)))
        }
    }

    @Test("never accepts what Foundation refuses, on texts with random faults")
    func mutations() {
        let seed = TestSeed.draw(for: "random JSON")
        var random = SeededGenerator(seed: seed)
        var accepted = 0
        for _ in 0..<4000 {
            var text: [UInt8] = []
            RandomJSON.append(to: &text, &random, depth: 0)
            for _ in 0..<random.below(3) where !text.isEmpty {
                let at = random.below(text.count)
                switch random.below(3) {
                case 0: text[at] = UInt8(random.below(256))
                case 1: text.remove(at: at)
                default: text.insert(Array(#"",:{}[]\0e.-"#.utf8)[random.below(12)], at: at)
                }
            }
            guard case .success = Self.scan(text) else { continue }
            // Foundation refuses numbers beyond Double; JSON and the scanner know no such bound.
            if String(decoding: text, as: UTF8.self).contains(#/[eE][+]?[0-9]{3}/#) { continue }
            accepted += 1
            let value = try? JSONSerialization.jsonObject(with: Data(text), options: .fragmentsAllowed)
            #expect(value != nil, "seed \(seed): \(String(decoding: text, as: UTF8.self))")
        }
        #expect(accepted > 500)
    }

    @Test("rewrites JSON without changing what it says, and to a text that stays")
    func canonical() throws {
        let seed = TestSeed.draw(for: "random JSON")
        var random = SeededGenerator(seed: seed)
        for _ in 0..<2000 {
            var text: [UInt8] = []
            RandomJSON.append(to: &text, &random, depth: 0)
            let first = try Self.canonical(text)
            let shown = String(decoding: text, as: UTF8.self)
            let before = try JSONSerialization.jsonObject(with: Data(text), options: .fragmentsAllowed)
            let after = try JSONSerialization.jsonObject(with: Data(first), options: .fragmentsAllowed)
            #expect((before as? NSObject) == (after as? NSObject), "seed \(seed): \(shown)")
            #expect(try Self.canonical(first) == first, "seed \(seed): \(shown)")
        }
    }

    static func canonical(_ text: [UInt8]) throws -> [UInt8] {
        try text.withUnsafeBytes { bytes in
            var scanner = JSONScanner(bytes)
            scanner.skipSpace()
            var result: [UInt8] = []
            try scanner.appendCanonical(to: &result)
            try scanner.requireEnd()
            return result
        }
    }

    @Test("refuses keys that repeat where it rewrites, few or many, escaped or not")
    func duplicates() throws {
        for text in [#"{"a":1,"a":1}"#, #"{"b":{"a":1,"\u0061":1}}"#, #"[{"é":1,"\u00e9":2}]"#] {
            #expect(throws: JSONFault.self) { try Self.canonical(Array(text.utf8)) }
        }
        let many = (0..<100).map { "\"k\($0)\":\($0)" }.joined(separator: ",")
        #expect(try Self.canonical(Array("{\(many)}".utf8)) == Array("{\(many)}".utf8))
        #expect(throws: JSONFault.self) { try Self.canonical(Array("{\(many),\"k7\":1}".utf8)) }
        // Two keys that String holds for equal are two keys to JSON.
        let equivalent = "{\"\u{E9}\":1,\"e\u{301}\":2}"
        #expect(try Self.canonical(Array(equivalent.utf8)) == Array(equivalent.utf8))
    }
}

/// Random JSON text with unique keys, of every kind of value, with white space and needless escapes.
enum RandomJSON {
    static func append(to text: inout [UInt8], _ random: inout SeededGenerator, depth: Int) {
        self.space(&text, &random)
        switch random.below(depth > 4 ? 6 : 9) {
        case 0: text += Array("null".utf8)
        case 1: text += Array("true".utf8)
        case 2: text += Array("false".utf8)
        case 3, 4:
            let numbers = [
                "0", "-0", "7", "-12.50", "1e3", "2E-2", "9007199254740993", "0.1", "123456789.125",
            ]
            text += Array(numbers[random.below(numbers.count)].utf8)
        case 5: self.string(&text, &random, prefix: "")
        case 6:
            text.append(0x5B)
            let count = random.below(4)
            for index in 0..<count {
                if index > 0 { text.append(0x2C) }
                self.append(to: &text, &random, depth: depth + 1)
            }
            if count == 0 { self.space(&text, &random) }
            text.append(0x5D)
        default:
            text.append(0x7B)
            let count = random.below(4)
            for index in 0..<count {
                if index > 0 { text.append(0x2C) }
                self.space(&text, &random)
                self.string(&text, &random, prefix: "\(index)")
                self.space(&text, &random)
                text.append(0x3A)
                self.append(to: &text, &random, depth: depth + 1)
            }
            if count == 0 { self.space(&text, &random) }
            text.append(0x7D)
        }
        self.space(&text, &random)
    }

    private static func space(_ text: inout [UInt8], _ random: inout SeededGenerator) {
        if random.chance(permille: 100) { text.append([0x20, 0x0A, 0x0D, 0x09][random.below(4)]) }
    }

    static func string(_ text: inout [UInt8], _ random: inout SeededGenerator, prefix: String) {
        let pieces = [
            "a", "order", "é", "日本", "😀", #"\n"#, #"\""#, #"\\"#, #"\/"#, #"\u0041"#, #"\u00e9"#,
            #"\ud83d\ude00"#,
            #"\u0000"#, "\u{7F}", "e\u{301}", " ", "plain text that is longer than eight",
        ]
        text += Array("\"\(prefix)".utf8)
        for _ in 0..<random.below(5) { text += Array(pieces[random.below(pieces.count)].utf8) }
        text.append(0x22)
    }
}
