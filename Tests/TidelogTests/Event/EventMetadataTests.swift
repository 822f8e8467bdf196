import Testing

@testable import Tidelog

@Suite("Metadata")
struct EventMetadataTests {
    @Test("keep keys in order and give back values of every kind")
    func values() {
        let metadata: EventMetadata = [
            "s": "text \"quoted\"\n", "i": -9_223_372_036_854_775_808, "d": 1.5, "b": true, "n": nil,
            "a": [1, "two", [3.25]], "o": ["x": ["y": false]],
        ]
        let text =
            #"{"s":"text \"quoted\"\n","i":-9223372036854775808,"d":1.5,"b":true,"n":null,"#
            + #""a":[1,"two",[3.25]],"o":{"x":{"y":false}}}"#
        #expect(metadata.description == text)
        #expect(metadata.keys == ["s", "i", "d", "b", "n", "a", "o"])
        #expect(metadata["s"] == "text \"quoted\"\n")
        #expect(metadata["i"]?.integer == .min)
        #expect(metadata["d"]?.number == 1.5)
        #expect(metadata["b"]?.boolean == true)
        #expect(metadata["n"] == .null)
        #expect(metadata["a"]?.array == [1, "two", [3.25]])
        #expect(metadata["o"]?.object?["x"]?.object?["y"] == false)
        #expect(metadata["absent"] == nil)
        #expect(EventMetadata(metadata.entries.map { ($0.key, $0.value) }) == metadata)
    }

    @Test("change in place, append at the end, and leave no trace of what is removed")
    func changes() {
        var metadata: EventMetadata = ["a": 1, "b": 2, "c": 3]
        metadata["b"] = "two"
        metadata["d"] = ["e": []]
        metadata["a"] = nil
        #expect(metadata.description == #"{"b":"two","c":3,"d":{"e":[]}}"#)
        metadata["absent"] = nil
        for key in metadata.keys { metadata[key] = nil }
        #expect(metadata.isEmpty && metadata == EventMetadata() && metadata.description == "{}")
        metadata.userID = "u"
        metadata.tenantID = "t"
        metadata.requestID = "r"
        metadata.traceID = "x"
        metadata.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        metadata.tracestate = "rojo=00f067aa0ba902b7"
        #expect(
            metadata.keys == ["user_id", "tenant_id", "request_id", "trace_id", "traceparent", "tracestate"])
        #expect(metadata.traceparent?.hasSuffix("-01") == true && metadata.userID == "u")
        metadata["user_id"] = 7
        #expect(metadata.userID == nil)
    }

    @Test("keep the exact text of what is not changed")
    func exactness() throws {
        let text =
            #"{"pi":3.14159265358979323846264338327950288419,"n":1.10,"e":1E2,"big":18446744073709551616}"#
        var metadata = try EventMetadata(json: text.utf8)
        metadata["x"] = 1
        metadata["e"] = nil
        #expect(
            metadata.description
                == #"{"pi":3.14159265358979323846264338327950288419,"n":1.10,"big":18446744073709551616,"x":1}"#
        )
        #expect(metadata.json(for: "n").map { String(decoding: $0, as: UTF8.self) } == "1.10")
        #expect(metadata["big"]?.number == 18_446_744_073_709_551_616)
        #expect(metadata.json(for: "absent") == nil)
    }

    @Test("are read from JSON objects alone, and lose white space and needless escapes")
    func reading() throws {
        let metadata = try EventMetadata(json: " { \"a\\u0062\" : [ 1 , \"\\/\\u00e9\" ] }\n".utf8)
        #expect(metadata.description == #"{"ab":[1,"/é"]}"#)
        #expect(try EventMetadata(json: "{ }".utf8).isEmpty)
        for text in [
            "", "[]", "1", "null", "{", #"{"a":1,"a":2}"#, #"{"a":{"b":1,"b":2}}"#, "{} x", #"{"a":01}"#,
        ] {
            #expect { try EventMetadata(json: text.utf8) } throws: { EventLogError.Code.malformedInput ~= $0 }
        }
    }

    @Test("tell keys apart by their bytes, not by what they look like")
    func equivalence() {
        var metadata = EventMetadata([("\u{E9}", 1), ("e\u{301}", 2), ("\u{E9}", 3)])
        #expect(metadata.keys.count == 2)
        #expect(metadata["\u{E9}"] == 3)
        #expect(metadata["e\u{301}"] == 2)
        metadata["e\u{301}"] = nil
        #expect(metadata.keys.count == 1)
        #expect(metadata["e\u{301}"] == nil)
    }

    @Test("take numbers that JSON lacks for null")
    func infinities() {
        let metadata: EventMetadata = ["a": .number(.nan), "b": .number(.infinity), "c": .number(1e300)]
        #expect(metadata.description == #"{"a":null,"b":null,"c":1e+300}"#)
        #expect(metadata["c"]?.number == 1e300)
    }

    @Test("of damaged bytes end where the damage is, without a crash")
    func damage() {
        let text = Array(#"{"a":1,"b":"é","c":[{}],"tenant_id":"t"}"#.utf8)
        for cut in 0...text.count {
            let metadata = EventMetadata(stored: text[..<cut])
            _ = (metadata.entries, metadata.tenantID, metadata.json(for: "c"), metadata["b"])
            var changed = metadata
            changed["z"] = 1
        }
    }
}
