import Foundation
import Testing
import TidelogTesting

@testable import Tidelog

@Suite("Text for terminals, Base64, CSV")
struct TextTests {
    @Test("has its dangerous characters made visible and the rest left alone")
    func escape() {
        #expect(TerminalText.escape("plain é 日本 😀 \\n") == "plain é 日本 😀 \\n")
        #expect(TerminalText.escape("a\u{1B}]0;x\u{7}b") == #"a\u{1B}]0;x\u{7}b"#)
        #expect(TerminalText.escape("\n\r\t\u{0}\u{7F}\u{9B}") == #"\n\r\t\u{0}\u{7F}\u{9B}"#)
        #expect(TerminalText.escape("\r\n") == #"\r\n"#)
        let directions: [UInt32] =
            [0x61C, 0x200E, 0x200F, 0x2028, 0x2029]
            + Array(0x202A...0x202E) + Array(0x2066...0x2069)
        for value in directions {
            let scalar = Unicode.Scalar(value)!
            #expect(TerminalText.escape("x\(scalar)y") == "x\\u{\(String(value, radix: 16).uppercased())}y")
        }
        // Joined emoji and combining marks are what they are.
        #expect(TerminalText.escape("👨‍👩‍👧 e\u{301}") == "👨‍👩‍👧 e\u{301}")
    }

    @Test("stays the same JSON when made safe to show")
    func escapeJSON() throws {
        let json = "{\"a\":\"x\u{202E}\u{9B}\u{7F}\u{E0041}é\",\n\"b\":1}"
        let shown = TerminalText.escapeJSON(json)
        #expect(shown == "{\"a\":\"x\\u202e\\u009b\\u007f\\udb40\\udc41é\",\n\"b\":1}")
        let before = try JSONSerialization.jsonObject(with: Data(json.utf8)) as? NSObject
        #expect(try JSONSerialization.jsonObject(with: Data(shown.utf8)) as? NSObject == before)
        #expect(TerminalText.escapeJSON("\u{1B}") == "\\u001b")
    }

    @Test("in Base64 agrees with Foundation and comes back")
    func base64() {
        let seed = TestSeed.draw(for: "Base64")
        var random = SeededGenerator(seed: seed)
        for count in 0..<200 {
            let bytes = (0..<count).map { _ in UInt8(random.below(256)) }
            var text: [UInt8] = []
            bytes.withUnsafeBytes { Base64.append($0, to: &text) }
            #expect(text == Array(Data(bytes).base64EncodedString().utf8), "seed \(seed)")
            var back: [UInt8] = []
            #expect(text.withUnsafeBytes { Base64.decode($0, into: &back) })
            #expect(back == bytes, "seed \(seed)")
        }
    }

    @Test(
        "that is not strictly Base64 is refused",
        arguments: [
            "A", "AA", "AAA", "AA=A", "A===", "====", "AB==", "AAB=", "AA==AA==", "AA\n=", "A-_A", "AAA ",
            "éA==",
        ])
    func badBase64(text: String) {
        var bytes: [UInt8] = []
        #expect(!Array(text.utf8).withUnsafeBytes { Base64.decode($0, into: &bytes) })
    }

    @Test("in CSV is quoted where it must be, and guarded against spreadsheets when asked")
    func csv() {
        var event = Event(
            id: "=1+1", type: "a,b", stream: "say \"hi\"", json: "{\n}", metadata: ["k": "v"],
            timestamp: .init(nanosecondsSinceEpoch: 0))
        event.correlationID = "@x"
        var encoder = EventCSVEncoder()
        func line(_ event: Event) -> String {
            var text: [UInt8] = []
            encoder.append(StoredEvent(event, position: 7, revision: 0), to: &text)
            return String(decoding: text, as: UTF8.self)
        }
        #expect(
            line(event)
                == "7,0,=1+1,\"a,b\",\"say \"\"hi\"\"\",1970-01-01T00:00:00Z,,@x,,1,application/json,"
                + "\"{\"\"k\"\":\"\"v\"\"}\",\"{\n}\",\r\n")
        encoder.guardsFormulas = true
        #expect(line(event).hasPrefix("7,0,'=1+1,"))
        #expect(line(event).contains(",'@x,"))
        event.payload = .init(bytes: [0xFF, 0x00])
        #expect(line(event).hasSuffix(",,/wA=\r\n"))
        var header: [UInt8] = []
        encoder.appendHeader(to: &header)
        let columns = String(decoding: header, as: UTF8.self).dropLast(2).split(separator: ",")
        #expect(
            columns.count
                == line(Event(id: "i", type: "t", source: "s")).split(
                    separator: ",", omittingEmptySubsequences: false
                ).count)
    }
}
