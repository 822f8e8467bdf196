import Testing
import Tidelog
import TidelogTesting

@Suite("Patterns of types")
struct TypePatternTests {
    @Test(
        "match as the tokens say",
        arguments: [
            ("*", ["a", "a.b", "a..b", "."], []),
            (">", ["a", "a.b", "a.b.c"], []),
            ("a", ["a"], ["b", "a.a", "A", "aa", ""]),
            ("a.*", ["a.b", "a.*", "a.>"], ["a", "a.", "a.b.c", "b.b", "aa.b"]),
            ("*.a", ["b.a", "*.a"], ["a", ".a", "b.a.a", "b.aa"]),
            ("*.*", ["a.b"], ["a", "a.b.c", "a.", ".b"]),
            ("a.>", ["a.b", "a.b.c", "a.b."], ["a", "a.", "ab", "b.a"]),
            ("*.>", ["a.b", "a.b.c"], ["a", ".b"]),
            ("a.*.c", ["a.b.c"], ["a.c", "a..c", "a.b.b.c", "a.b.cc"]),
            ("a.*.>", ["a.b.c", "a.b.c.d"], ["a.b", "a.b."]),
            ("größe.日本", ["größe.日本"], ["größe.日", "grosse.日本"]),
        ])
    func matching(text: String, yes: [String], no: [String]) throws {
        let pattern = try TypePattern(text)
        for type in yes { #expect(pattern.matches(type), "\(text) should match \(type)") }
        for type in no { #expect(!pattern.matches(type), "\(text) should not match \(type)") }
    }

    @Test(
        "that are malformed are refused with a reason",
        arguments: [
            "", ".", "a.", ".a", "a..b", "a.>.b", ">.a", "a*", "*a", "a.b*", "a.>b", "**", "a.**", "a\nb",
            "a\u{7F}", "\u{85}", String(repeating: "a", count: 256),
        ])
    func malformed(text: String) {
        #expect { try TypePattern(text) } throws: { EventLogError.Code.malformedInput ~= $0 }
    }

    @Test("agree with matching token by token, on random patterns and types")
    func random() throws {
        let seed = TestSeed.draw(for: "random patterns")
        var random = SeededGenerator(seed: seed)
        func tokens(_ choices: [String]) -> [String] {
            (0...random.below(4)).map { _ in choices[random.below(choices.count)] }
        }
        for _ in 0..<20_000 {
            var pattern = tokens(["a", "b", "ab", "*"])
            if random.chance(permille: 300) { pattern.append(">") }
            let type = tokens(["a", "b", "ab", ""])
            let text = pattern.joined(separator: ".")
            let joined = type.joined(separator: ".")
            let answer = try TypePattern(text).matches(joined)
            #expect(answer == Self.reference(pattern, type), "\(text) on \(joined), seed \(seed)")
        }
    }

    private static func reference(_ pattern: [String], _ type: [String]) -> Bool {
        if pattern == ["*"] || pattern == [">"] { return true }
        for (index, token) in pattern.enumerated() {
            if token == ">" { return index < type.count && type[index...].joined(separator: ".") != "" }
            guard index < type.count else { return false }
            if token == "*" ? type[index].isEmpty : type[index] != token { return false }
        }
        return pattern.count == type.count
    }

    @Test("know whether they match everything or one type alone")
    func kinds() {
        #expect(TypePattern.all.matchesEverything)
        #expect((">" as TypePattern).matchesEverything)
        #expect(!("*.*" as TypePattern).matchesEverything)
        #expect(("order.placed" as TypePattern).exactType == "order.placed")
        #expect(("order.*" as TypePattern).exactType == nil)
        #expect(TypePattern.all.exactType == nil)
        #expect(("order.>" as TypePattern).description == "order.>")
    }
}
