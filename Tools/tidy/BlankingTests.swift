import Testing

@Suite("What the tidy tests take for code")
struct BlankingTests {
    @Test("comments and the insides of strings are blank, the rest and the columns stay")
    func literals() {
        let cases: [(source: String, expected: String)] = [
            ("let a = 1 // try! b", "let a = 1          "),
            ("a /* x /* y */ z */ b", "a                   b"),
            (#"f("print(")"#, #"f("      ")"#),
            (#"f("a\"b") + c"#, #"f("    ") + c"#),
            (##"f(#"a"b"#) + c"##, ##"f(#"   "#) + c"##),
            ("f(\"\"\"\n  a \"b\"\n  \"\"\") + c", "f(\"\"\"\n       \n  \"\"\") + c"),
            (#"f("a\(g("b", (h)))c") + d"#, #"f("  (g(" ", (h))) ") + d"#),
            (##"f(#"a\(b)\#(c)"#)"##, ##"f(#"       (c)"#)"##),
            ("f(\"a)\ntry! b", "f(\"  \ntry! b"),
            (##"a(#/"b/c/#) + "d""##, ##"a(#/    /#) + " ""##),
            ("a /* never closed", "a                "),
        ]
        for (source, expected) in cases {
            #expect(blanked(source) == expected, "\(source)")
            #expect(blanked(source).unicodeScalars.count == source.unicodeScalars.count, "\(source)")
        }
    }

    @Test("imports are found with attributes, access and kinds, and not in texts")
    func imports() {
        let text = """
            import Glibc
            @testable import Tidelog
            package import TidelogStorage
            @preconcurrency public import struct Foundation.Data
            @_spi(Testing) import Logging
            // import CTidelogLMDB
            let a = "import CTidelogZstd"
            let important = isImport
            """
        let found = SourceFile(path: "a.swift", text: text).imports
        #expect(found.map(\.module) == ["Glibc", "Tidelog", "TidelogStorage", "Foundation", "Logging"])
        #expect(found.map(\.line) == [0, 1, 2, 3, 4])
    }
}
