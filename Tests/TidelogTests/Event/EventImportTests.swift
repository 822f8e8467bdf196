import Testing
import TidelogTesting

@testable import Tidelog

@Suite("Reading the plain form and files of lines")
struct EventImportTests {
    @Test("the plain form has the promised members in the promised order")
    func plain() throws {
        let text =
            #"{"id":"1","type":"t","stream":"s","payload":{"a" : 1.10},"metadata":{"user_id":"u"},"#
            + #""timestamp":"2026-01-05T08:00:00Z","source":"x","correlation_id":"c","causation_id":"d","version":2}"#
        var decoder = EventJSONDecoder()
        let event = try decoder.decode(text)
        #expect(event.id == "1" && event.type == "t" && event.stream == "s" && event.source == "x")
        #expect(event.payload.text == #"{"a" : 1.10}"# && event.payload.contentType == "application/json")
        #expect(event.metadata.userID == "u" && event.correlationID == "c" && event.causationID == "d")
        #expect(event.schemaVersion == 2 && event.timestamp.description == "2026-01-05T08:00:00Z")
        let encoder = EventJSONEncoder(form: .plain)
        #expect(String(decoding: encoder.encode(event), as: UTF8.self) == text)
        let placed = encoder.encode(StoredEvent(event, position: 4, revision: 0))
        #expect(String(decoding: placed, as: UTF8.self) == text.dropLast() + #","position":4,"revision":0}"#)
        #expect(try decoder.decode(placed) == event)
    }

    @Test("the plain form needs a type alone")
    func minimal() throws {
        var decoder = EventJSONDecoder()
        let event = try decoder.decode(#" { "type" : "t" , "source" : null, "metadata":{ } } "#)
        #expect(event.id.uuid != nil && event.payload.isEmpty && event.payload.contentType == nil)
        #expect(event.schemaVersion == 1 && event.source == nil && event.metadata.isEmpty)
        #expect(try decoder.decode(#"{"type":"t","payload":null}"#).payload.text == "null")
        let text = try decoder.decode(#"{"type":"t","payload":"a\n","content_type":"text/plain"}"#)
        #expect(text.payload.text == "a\n")
        let bytes = try decoder.decode(#"{"type":"t","payload_base64":"/w=="}"#)
        #expect(bytes.payload.bytes == [0xFF] && bytes.payload.contentType == nil)
    }

    typealias Refusal = (text: String, part: String)

    static let refusals: [Refusal] = [
        (#"{"id":"1"}"#, "type is missing"), (#"{"type":""}"#, "type must not be empty"),
        (#"{"type":"t","data":1}"#, #"byte 13: "data" is not a member"#),
        (#"{"type":"t","\u001b[2J":1}"#, #""\u{1B}[2J" is not a member"#),
        (#"{"type":"t","metadata":[]}"#, "metadata must be an object"),
        (#"{"type":"t","metadata":{"a":1,"a":2}}"#, "byte 31: the key was there"),
        (#"{"type":"t","timestamp":1}"#, "timestamp must be a string"),
        (#"{"type":"t","timestamp":"2026-01-05T08:00:00.0000000001Z"}"#, "nine decimals"),
        (#"{"type":"t","version":-1}"#, "version must be"),
        (#"{"type":"t","version":1.0}"#, "version must be"),
        (#"{"type":"t","version":4294967296}"#, "version must be"),
        (#"{"type":"t","version":"1"}"#, "version"),
        (#"{"type":"t","position":"1"}"#, "position must be a whole number"),
        (#"{"type":"t","payload":1,"payload_base64":""}"#, "exclude"),
        (#"{"type":"t","payload_base64":"/w="}"#, "Base64"), (#"{"type":"t\u0007"}"#, "control character"),
        (#"{"type":"t","id":""}"#, "id must not be empty"), ("[]", "object"), (#""t""#, "object"),
    ]

    @Test("the plain form is refused with line, byte and reason", arguments: 0..<Self.refusals.count)
    func refused(number: Int) {
        let (text, part) = Self.refusals[number]
        var decoder = EventJSONDecoder()
        let error = #expect(throws: EventLogError.self) { try decoder.decode(text) }
        #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
        #expect(error?.message.hasPrefix("Line 1, byte ") == true)
    }

    @Test("an event beyond the limits is refused")
    func limits() {
        var limits = EventLimits()
        limits.maximumEventBytes = 100
        var decoder = EventJSONDecoder(limits: limits)
        let text = #"{"type":"t","payload":""# + String(repeating: "x", count: 100) + #""}"#
        let error = #expect(throws: EventLogError.self) { try decoder.decode(text) }
        #expect(error?.code == .invalidEvent)
    }

    @Test("nesting is bounded, and what is written is never nested too deep to be read")
    func nesting() throws {
        var decoder = EventJSONDecoder()
        for depth in 505...513 {
            let payload = JSONScannerTests.nested(depth)
            let event = Event(type: "t", json: payload, source: "s")
            for form in [EventForm.plain, .cloudEvents] {
                let text = EventJSONEncoder(form: form).encode(event)
                #expect(try decoder.decode(text) == event, "\(depth)")
                #expect(try decoder.decodeBatch(Array("[".utf8) + text + Array("]".utf8)) == [event])
                let isRaw = String(decoding: text, as: UTF8.self).contains("[[")
                #expect(isRaw == (depth <= 510))
            }
        }
        let deep = #"{"type":"t","payload":"# + JSONScannerTests.nested(100_000) + "}"
        #expect(throws: EventLogError.self) { try decoder.decode(deep) }
    }

    @Test("lines give the same events in pieces of any size")
    func pieces() throws {
        var generator = EventGenerator(seed: 5)
        let events = generator.events(50)
        var text: [UInt8] = [0xEF, 0xBB, 0xBF]
        for (index, event) in events.enumerated() {
            text += EventJSONEncoder(form: index % 2 == 0 ? .plain : .cloudEvents).encode(event)
            text += Array(["\n", "\r\n", "\n\n  \n"][index % 3].utf8)
        }
        // The last line needs no end.
        while text.last.map({ $0 <= 0x20 }) == true { text.removeLast() }
        for size in [1, 2, 3, 7, 64, 1000, text.count] {
            var decoder = EventLineDecoder()
            var read: [Event] = []
            for start in stride(from: 0, to: text.count, by: size) {
                try decoder.decode(Array(text[start..<min(start + size, text.count)]), into: &read)
            }
            try decoder.finish(into: &read)
            #expect(read == events, "pieces of \(size)")
            #expect(decoder.lineCount == 50 + 2 * (49 / 3 + 0), "pieces of \(size)")
        }
    }

    @Test("a fault in a line is reported with its number, and the events before it are there")
    func lineNumbers() throws {
        let text = "\n{\"type\":\"a\"}\n\n{\"type\":\"b\"}\n{\"type\":,}\n"
        for size in [1, 100] {
            var decoder = EventLineDecoder()
            var read: [Event] = []
            let error = #expect(throws: EventLogError.self) {
                for start in stride(from: 0, to: text.utf8.count, by: size) {
                    try decoder.decode(Array(Array(text.utf8)[start...].prefix(size)), into: &read)
                }
            }
            #expect(error?.message.hasPrefix("Line 5, byte 9: ") == true)
            #expect(read.map(\.type) == ["a", "b"])
        }
    }

    @Test("a line without end is refused early, and a batch is pointed to its reader")
    func badFiles() {
        var decoder = EventLineDecoder()
        decoder.maximumLineBytes = 1000
        var read: [Event] = []
        #expect(throws: EventLogError.self) {
            for _ in 0..<20 { try decoder.decode([UInt8](repeating: 0x20, count: 100), into: &read) }
        }
        var other = EventLineDecoder()
        let error = #expect(throws: EventLogError.self) {
            try other.decode(Array("[{}]\n".utf8), into: &read)
        }
        #expect(error?.message.contains("Line 1: an array") == true)
        #expect(read.isEmpty)
    }

    @Test("random faults in a file end in an event or a typed error, never in anything else")
    func faults() {
        let seed = TestSeed.draw(for: "random faults in a file")
        var random = SeededGenerator(seed: seed)
        var generator = EventGenerator(seed: seed)
        // A fault may put a line break between the values of a payload, where it is white space.
        var encoder = EventJSONEncoder(form: .plain)
        encoder.keepsLineBreaks = true
        var texts = CloudEventsTests.documents.values.map { Array($0.utf8) }
        for event in generator.events(30) { texts.append(EventJSONEncoder(form: .plain).encode(event)) }
        var decoder = EventJSONDecoder()
        var read = 0
        for _ in 0..<5000 {
            var text = texts[random.below(texts.count)]
            for _ in 0...random.below(3) {
                let at = random.below(text.count)
                switch random.below(4) {
                case 0: text[at] = UInt8(random.below(256))
                case 1: text.remove(at: at)
                case 2: text.insert(text[random.below(text.count)], at: at)
                default: text.removeSubrange(at...)
                }
                if text.isEmpty { text = [0x20] }
            }
            do throws(EventLogError) {
                let event = try decoder.decode(text)
                read += 1
                let again = encoder.encode(event)
                #expect(
                    try decoder.decode(again) == event,
                    "seed \(seed): \(String(decoding: text, as: UTF8.self))")
            } catch {
                #expect(error.code == .malformedInput || error.code == .invalidEvent)
                #expect(error.message.hasPrefix("Line "))
                #expect(!error.message.unicodeScalars.contains { TerminalText.isDangerous($0) })
            }
        }
        #expect(read > 100)
    }
}
