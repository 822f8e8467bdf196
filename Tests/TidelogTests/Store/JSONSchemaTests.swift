import Testing
import Tidelog

@Suite("JSON Schema, the documented subset")
struct JSONSchemaTests {
    /// A schema, values that it accepts, and values that it refuses with the place.
    private static let cases: [(schema: String, good: [String], bad: [(value: String, path: String)])] = [
        ("true", ["1", "null", "{}"], []),
        ("{}", ["1", "[1,\"a\"]"], []),
        ("false", [], [("1", ""), ("{}", "")]),
        (#"{"type":"integer"}"#, ["1", "-3", "1.0", "1e3"], [("1.5", ""), (#""1""#, ""), ("null", "")]),
        (#"{"type":["string","null"]}"#, [#""a""#, "null"], [("1", ""), ("[]", "")]),
        (#"{"type":"number"}"#, ["1", "1.5"], [("true", "")]),
        (
            #"{"enum":[1,"a",{"b":[2]}]}"#, ["1", "1.0", #""a""#, #"{"b":[2]}"#],
            [("2", ""), (#"{"b":[3]}"#, "")]
        ),
        (#"{"enum":[1,2],"const":2}"#, ["2"], [("1", "")]),
        (#"{"const":3,"enum":[1,2]}"#, [], [("1", ""), ("3", "")]),
        // No array and no text is so large; to say so must not be the end of the process.
        (#"{"minItems":1e300,"minLength":1e19}"#, ["1"], [("[]", ""), (#""a""#, "")]),
        // Names that Swift takes for equal are two members.
        (
            "{\"properties\":{\"\u{E9}\":{\"type\":\"integer\"}}}", ["{\"\u{E9}\":1,\"e\u{301}\":\"x\"}"],
            [("{\"\u{E9}\":\"x\",\"e\u{301}\":1}", "/\u{E9}")]
        ),
        (#"{"const":{"a":1,"b":2}}"#, [#"{"b":2,"a":1}"#], [(#"{"a":1}"#, "")]),
        (
            #"{"type":"object","required":["a"],"properties":{"a":{"type":"integer"},"b":{"type":"string"}}}"#,
            [#"{"a":1}"#, #"{"a":1,"b":"x","c":null}"#],
            [("{}", "/a"), (#"{"a":"x"}"#, "/a"), (#"{"a":1,"b":2}"#, "/b")]
        ),
        (
            #"{"properties":{"a":true},"additionalProperties":false}"#, ["{}", #"{"a":1}"#, "7"],
            [(#"{"a":1,"b/c~d":2}"#, "/b~1c~0d")]
        ),
        (#"{"additionalProperties":{"minimum":3}}"#, [#"{"a":3}"#], [(#"{"a":3,"b":2}"#, "/b")]),
        (
            #"{"minProperties":1,"maxProperties":2}"#, [#"{"a":1}"#],
            [("{}", ""), (#"{"a":1,"b":1,"c":1}"#, "")]
        ),
        (
            #"{"items":{"type":"object","properties":{"n":{"minimum":0}}}}"#, ["[]", #"[{"n":0},{}]"#],
            [(#"[{"n":0},{"n":-1}]"#, "/1/n"), ("[3]", "/0")]
        ),
        (
            #"{"minItems":1,"maxItems":2,"uniqueItems":true}"#, ["[1]", "[1,2]"],
            [("[]", ""), ("[1,1.0]", "/1")]
        ),
        (#"{"minLength":2,"maxLength":3}"#, [#""ab""#, #""é😀b""#, "1"], [(#""a""#, ""), (#""abcd""#, "")]),
        (
            #"{"minimum":1,"maximum":5}"#, ["1", "5", #""x""#], [("0.999", ""), ("5.001", "")]
        ),
        (#"{"exclusiveMinimum":1,"exclusiveMaximum":2}"#, ["1.5"], [("1", ""), ("2", "")]),
        (#"{"multipleOf":0.01}"#, ["0.07", "19.99", "3"], [("0.075", "")]),
        (#"{"allOf":[{"minimum":1},{"maximum":2}]}"#, ["1"], [("3", ""), ("0", "")]),
        (#"{"anyOf":[{"type":"string"},{"minimum":3}]}"#, [#""a""#, "3"], [("2", "")]),
        (#"{"oneOf":[{"minimum":1},{"minimum":3}]}"#, ["2"], [("3", ""), ("0", "")]),
        (#"{"not":{"type":"null"}}"#, ["1"], [("null", "")]),
        (
            ##"{"$ref":"#/$defs/p","$defs":{"p":{"required":["x"]}}}"##, [#"{"x":1}"#], [("{}", "/x")]
        ),
        (
            ##"{"type":"object","properties":{"next":{"$ref":"#"}},"additionalProperties":false}"##,
            [#"{"next":{"next":{}}}"#], [(#"{"next":{"next":{"other":1}}}"#, "/next/next/other")]
        ),
        (
            #"{"type":"object","title":"T","format":"date","$comment":"c","examples":[1]}"#, ["{}"],
            [("1", "")]
        ),
    ]

    @Test("accepts and refuses what the draft says, and names the place", arguments: cases.indices)
    func judges(index: Int) throws {
        let (text, good, bad) = Self.cases[index]
        let schema = try JSONSchema(text)
        for value in good {
            #expect(schema.violation(in: value.utf8) == nil, "\(text) for \(value)")
        }
        for (value, path) in bad {
            let found = schema.violation(in: value.utf8)
            #expect(found?.path == path, "\(text) for \(value): \(found as Any)")
        }
    }

    @Test("what is not JSON does not satisfy even a schema that accepts all values")
    func notJSON() throws {
        for text in ["", "{", "01", "[1,]", "nul"] {
            #expect(try JSONSchema("true").violation(in: text.utf8)?.message.contains("JSON") == true)
        }
    }

    @Test(
        "a schema with a keyword that is not checked, or that is no schema, is refused",
        arguments: [
            #"{"pattern":"a"}"#, #"{"properties":{"a":{"if":true}}}"#, "1", "{", #"{"type":"date"}"#,
            #"{"type":[]}"#, #"{"required":[1]}"#, #"{"minLength":-1}"#, #"{"minItems":1.5}"#,
            #"{"multipleOf":0}"#, #"{"allOf":[]}"#, ##"{"$ref":"#/$defs/none"}"##, #"{"items":[true]}"#,
            #"{"enum":1}"#, #"{"uniqueItems":1}"#,
            String(repeating: #"{"not":"#, count: 70) + "true" + String(repeating: "}", count: 70),
        ])
    func refused(text: String) {
        expectCode(.malformedInput) { _ = try JSONSchema(text) }
    }

    @Test("one that refers to itself for the same value ends with a violation, not with the stack")
    func endless() throws {
        let schema = try JSONSchema(##"{"$ref":"#"}"##)
        #expect(schema.violation(in: "1".utf8)?.message.contains("without end") == true)
    }

    /// Old and new schema, and whether new readers read old events, and old readers new events.
    private static let evolutions: [(old: String, new: String, backward: Bool, forward: Bool)] = [
        (#"{"type":"object"}"#, #"{"type":"object"}"#, true, true),
        (#"{"properties":{"a":true}}"#, #"{"properties":{"a":true,"b":{"type":"string"}}}"#, true, true),
        (#"{"properties":{"a":true}}"#, #"{"required":["a"],"properties":{"a":true}}"#, false, true),
        (#"{"required":["a"]}"#, "{}", true, false),
        (#"{"type":"integer"}"#, #"{"type":"number"}"#, true, false),
        (#"{"type":"string"}"#, #"{"type":["string","null"]}"#, true, false),
        (#"{"type":"string"}"#, #"{"type":"integer"}"#, false, false),
        ("{}", #"{"type":"integer"}"#, false, true),
        (#"{"enum":[1,2]}"#, #"{"enum":[1,2,3]}"#, true, false),
        (#"{"minimum":1}"#, #"{"minimum":0}"#, true, false),
        (#"{"maxLength":10}"#, #"{"maxLength":20}"#, true, false),
        (#"{"minLength":0}"#, "{}", true, true),
        (#"{"multipleOf":4}"#, #"{"multipleOf":2}"#, true, false),
        (#"{"items":{"type":"integer"}}"#, #"{"items":{"type":"number"}}"#, true, false),
        (#"{"uniqueItems":true}"#, "{}", true, false),
        (
            #"{"properties":{"a":{"type":"object","properties":{"b":{"maximum":3}}}}}"#,
            #"{"properties":{"a":{"type":"object","properties":{"b":{"maximum":2}}}}}"#, false, true
        ),
        (
            #"{"properties":{"a":true,"b":true}}"#,
            #"{"properties":{"a":true},"additionalProperties":false}"#,
            false, true
        ),
        // What is required, but not named, may be anything.
        (
            #"{"required":["total"]}"#, #"{"required":["total"],"properties":{"total":{"type":"integer"}}}"#,
            false, true
        ),
        (#"{"required":["a"]}"#, #"{"required":["a"],"additionalProperties":{"type":"null"}}"#, false, true),
        (#"{"required":["a"]}"#, #"{"properties":{"a":false}}"#, false, false),
        (#"{"required":["a"]}"#, #"{"required":["a"],"properties":{"a":true}}"#, true, true),
        (
            #"{"required":["a"]}"#,
            ##"{"properties":{"a":{"$ref":"#"}},"additionalProperties":{"$ref":"#"}}"##, true, false
        ),
        // Where members that are not named were let through, they may be there.
        ("{}", #"{"properties":{},"additionalProperties":false}"#, false, true),
        (
            #"{"properties":{"a":true}}"#, #"{"properties":{"a":true},"additionalProperties":false}"#,
            false, true
        ),
        (#"{"additionalProperties":true}"#, #"{"additionalProperties":{"type":"null"}}"#, false, true),
        (
            #"{"properties":{"a":true},"additionalProperties":false}"#,
            #"{"properties":{"a":true,"b":true},"additionalProperties":false}"#, true, false
        ),
        // What is no object has no members.
        (
            #"{"type":"integer"}"#,
            #"{"type":["integer","object"],"required":["a"],"additionalProperties":false}"#, true, false
        ),
        (#"{"enum":[1,"a"]}"#, #"{"additionalProperties":false}"#, true, false),
        (#"{"anyOf":[true]}"#, #"{"anyOf":[{"type":"null"}]}"#, false, false),
        (
            ##"{"$ref":"#/$defs/a","$defs":{"a":{"minimum":1}}}"##,
            ##"{"$ref":"#/$defs/b","$defs":{"b":{"minimum":0}}}"##, true, false
        ),
        ("true", "false", false, true),
        // What is written alike, but refers to something that has changed, is not the same.
        (
            ##"{"anyOf":[{"$ref":"#/$defs/a"}],"$defs":{"a":{"type":"object"}}}"##,
            ##"{"anyOf":[{"$ref":"#/$defs/a"}],"$defs":{"a":{"type":"null"}}}"##, false, false
        ),
        (
            ##"{"not":{"$ref":"#/$defs/a"},"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"type":"object"}}}"##,
            ##"{"not":{"$ref":"#/$defs/a"},"$defs":{"a":{"$ref":"#/$defs/b"},"b":true}}"##, false, false
        ),
        (
            ##"{"items":{"$ref":"#/$defs/a","minimum":1},"$defs":{"a":{"type":"integer"}}}"##,
            ##"{"items":{"$ref":"#/$defs/a","minimum":1},"$defs":{"a":{"type":"number"}}}"##, false, false
        ),
        (
            ##"{"anyOf":[{"$ref":"#/$defs/a"}],"$defs":{"a":{"type":"object"}}}"##,
            ##"{"title":"T","anyOf":[{"$ref":"#/$defs/a"}],"$defs":{"a":{"type":"object"},"b":true}}"##,
            true, true
        ),
    ]

    @Test("two versions are compared in both directions", arguments: evolutions.indices)
    func compatibility(index: Int) throws {
        let (oldText, newText, backward, forward) = Self.evolutions[index]
        let old = try JSONSchema(oldText)
        let new = try JSONSchema(newText)
        let lost = old.reasonsAgainst(acceptedBy: new)
        #expect(lost.isEmpty == backward, "\(oldText) read by \(newText): \(lost)")
        let gained = new.reasonsAgainst(acceptedBy: old)
        #expect(gained.isEmpty == forward, "\(newText) read by \(oldText): \(gained)")
    }
}
