import Testing
import TidelogTesting

@testable import Tidelog

@Suite("Events in both forms, at random")
struct EventFormPropertyTests {
    @Test(
        "what is written comes back when read, whatever the event",
        arguments: [EventForm.plain, .cloudEvents])
    func writtenComesBack(form: EventForm) throws {
        let seed = TestSeed.draw(for: "random events")
        var random = RandomEvents(seed: seed)
        var encoder = EventJSONEncoder(form: form)
        encoder.keepsLineBreaks = true
        var decoder = EventJSONDecoder()
        for _ in 0..<1500 {
            let event = random.event()
            let text = encoder.encode(event)
            func shown() -> Comment { "seed \(seed): \(String(decoding: text, as: UTF8.self))" }
            let back = try decoder.decode(text)
            #expect(back == event, shown())
            // Equality of strings does not tell all bytes apart, a second writing does.
            #expect(encoder.encode(back) == text, shown())
            #expect(back.record.tenant == event.record.tenant, shown())
            let line = EventJSONEncoder(form: form).encode(StoredEvent(event, position: 5, revision: 1))
            #expect(!line.contains(0x0A) && !line.contains(0x0D), shown())
            #expect(try decoder.decode(line).metadata == event.metadata, shown())
        }
    }

    @Test("what is read comes back when written, whatever the CloudEvent")
    func readComesBack() throws {
        let seed = TestSeed.draw(for: "random events")
        var random = RandomEvents(seed: seed)
        var encoder = EventJSONEncoder()
        encoder.keepsLineBreaks = true
        var decoder = EventJSONDecoder()
        for _ in 0..<1500 {
            let document = random.document()
            func shown() -> Comment { "seed \(seed): \(String(decoding: document, as: UTF8.self))" }
            let event = try decoder.decode(document)
            let written = encoder.encode(event)
            var before = try CloudEventsTests.members(document)
            var after = try CloudEventsTests.members(written)
            // Attributes that are null count as missing; a time that is missing comes back as that of reading.
            for name in ["subject", "dataschema", "correlationid", "schemaversion", "tidelogsource"]
            where before[name] == "null" {
                before[name] = nil
            }
            if before["time"] == nil || before["time"] == "null" {
                before["time"] = nil
                after["time"] = nil
            }
            #expect(before["data"] == after["data"], shown())
            #expect(try before.mapValues(Self.canonical) == after.mapValues(Self.canonical), shown())
            #expect(try decoder.decode(written).record.metadata == event.record.metadata, shown())
        }
    }

    private static func canonical(_ json: String) throws -> String {
        String(decoding: try JSONScannerTests.canonical(Array(json.utf8)), as: UTF8.self)
    }
}

/// Events and CloudEvents with everything that is awkward about them.
struct RandomEvents {
    var random: SeededGenerator

    init(seed: UInt64) { self.random = SeededGenerator(seed: seed) }

    mutating func pick<T>(_ choices: [T]) -> T { choices[self.random.below(choices.count)] }

    mutating func name() -> String {
        self.pick([
            "a", "order.placed", "é", "e\u{301}", "日本語", "😀", "say \"hi\"", "back\\slash", "\u{202E}",
            "a/b?c=d#e",
            "0190a4b1-7c3d-7e2f-8a01-23456789abcd", "0190A4B1-7C3D-7E2F-8A01-23456789ABCD",
            "urn:tidelog:unknown",
            String(repeating: "x", count: 255), "{\"a\":1}", "null", "1",
        ])
    }

    mutating func json() -> [UInt8] {
        var text: [UInt8] = []
        RandomJSON.append(to: &text, &self.random, depth: 0)
        return text
    }

    /// JSON without white space around it, which no form keeps.
    mutating func trimmedJSON() -> [UInt8] {
        let isSpace: (UInt8) -> Bool = { $0 <= 0x20 }
        return Array(self.json().drop(while: isSpace).reversed().drop(while: isSpace).reversed())
    }

    mutating func payload() -> EventPayload {
        let types = [
            nil, "application/json", "application/cloudevents+json; charset=UTF-8", "text/plain", "text/xml",
            "application/octet-stream",
        ]
        let bytes: [UInt8] =
            switch self.random.below(6) {
            case 0: []
            case 1: (0..<self.random.below(20)).map { _ in UInt8(self.random.below(256)) }
            case 2: Array("Grüße\r\n\t<a>\"\\".utf8)
            case 3: [0, 0x1B, 0x7F]
            case 4: Array("\"a string\"".utf8)
            default: self.json()
            }
        return EventPayload(bytes: bytes, contentType: self.pick(types))
    }

    static let keys = [
        "user_id", "tenant_id", "request_id", "trace_id", "userid", "tenantid", "traceparent", "a", "b1",
        "Upper",
        "snake_case", "", "é", "e\u{301}", "key \"q\"\n", "id", "type", "source", "time", "data",
        "data_base64",
        "position", "revision", "correlationid", "schemaversion", "tidelogmetadata", "cloudevents", "stream",
        "payload", "metadata", "version", "specversion", "subject", "dataschema", "tidelogsource",
    ]

    mutating func value(_ depth: Int = 0) -> MetadataValue {
        switch self.random.below(depth > 2 ? 6 : 9) {
        case 0: .null
        case 1: .boolean(self.random.chance(permille: 500))
        case 2: .integer(Int64(self.random.below(10)))
        case 3: .integer(self.pick([.min, .max, -2_147_483_648, 2_147_483_647, 2_147_483_648]))
        case 4: .number(self.pick([0.5, -1e300, 1e-300, 1e21]))
        case 5: .string(self.name())
        case 6: .array((0..<self.random.below(3)).map { _ in self.value(depth + 1) })
        default: .object(self.metadata(depth + 1))
        }
    }

    mutating func metadata(_ depth: Int = 0) -> EventMetadata {
        var entries: [(String, MetadataValue)] = []
        for _ in 0..<self.random.below(5) {
            let key = self.pick(Self.keys)
            entries.append((key, key == "cloudevents" && depth == 0 ? self.extras() : self.value(depth)))
        }
        return EventMetadata(entries)
    }

    /// What looks like the reader's own notes, right or wrong.
    mutating func extras() -> MetadataValue {
        let choices: [(String, MetadataValue)] = [
            ("dataschema", "http://x"), ("time", "1970-01-01T02:00:00+02:00"),
            ("time", "2000-01-01T00:00:00Z"),
            ("data", true), ("data", "\"\""), ("data_base64", true), ("data_base64", false), ("x_y", 1),
            ("nested", [1]), ("simple", 1), ("correlationid", 5), ("correlationid", "c"),
            ("schemaversion", 1),
            ("schemaversion", 2), ("userid", []), ("userid", "u"), ("user_id", "u"), ("id", "2"),
            ("position", "x"),
            ("tidelogsource", true), ("tidelogsource", false), ("tidelogsource", "x"),
            ("tidelogmetadata", "x"), ("tidelogmetadata", "{}"), ("cloudevents", [:]), ("", nil), ("a", [:]),
        ]
        return .object(EventMetadata((0..<self.random.below(4)).map { _ in self.pick(choices) }))
    }

    mutating func event() -> Event {
        var event = Event(
            id: EventID(self.name()), type: self.name(), payload: self.payload(), metadata: self.metadata(),
            timestamp: self.pick([
                .init(nanosecondsSinceEpoch: 0), .init(nanosecondsSinceEpoch: .max),
                .init(nanosecondsSinceEpoch: Int64(bitPattern: self.random.next())),
            ]), schemaVersion: self.pick([0, 1, 2, .max]))
        if self.random.chance(permille: 500) { event.stream = self.name() }
        if self.random.chance(permille: 500) {
            event.source = self.random.chance(permille: 300) ? "urn:tidelog:unknown" : self.name()
        }
        if self.random.chance(permille: 500) { event.correlationID = EventID(self.name()) }
        if self.random.chance(permille: 500) { event.causationID = EventID(self.name()) }
        return event
    }

    mutating func document() -> [UInt8] {
        var members: [(String, [UInt8])] = [
            ("specversion", Array(#""1.0""#.utf8)), ("id", Array(#""\u0031""#.utf8)),
            ("type", Array(#""t""#.utf8)),
        ]
        let sources = [#""/s""#, #""urn:tidelog:unknown""#, #""urn:\u0074idelog:unknown""#]
        members.append(("source", Array(self.pick(sources).utf8)))
        func maybe(_ name: String, _ choices: [String]) {
            guard self.random.chance(permille: 400) else { return }
            members.append((name, Array(self.pick(choices).utf8)))
        }
        maybe("subject", [#""s""#, "null", #""\u00e9""#])
        maybe(
            "time",
            [
                #""2018-04-05T17:31:00Z""#, #""2018-04-05t17:31:00.10z""#, #""2018-04-05T17:31:00+01:00""#,
                "null",
                #""2018-04-05T17:31:00.123456789012Z""#, #""1990-12-31T23:59:60Z""#,
                #""2018-04-05T17:31:00\u005a""#,
            ])
        maybe("datacontenttype", [#""text/plain""#, #""application/json""#, #""a/b+json""#, #""image/png""#])
        maybe("dataschema", [#""http:\/\/x""#, "null"])
        maybe("tidelogsource", ["true", "true", "false", "null", #""true""#, "1", "[]"])
        maybe("correlationid", [#""c""#, "5", "null", "[]", "true"])
        maybe(
            "schemaversion", ["1", "2", "0", "-1", "4294967295", "4294967296", "1.0", #""2""#, "null", "{}"])
        for key in [
            "user_id", "userid", "tenantid", "Upper", "a1", "x-y", "stream", "version", "cloudevents", "",
        ]
        where self.random.chance(permille: 200) {
            // A tenant becomes a name, for which there are rules.
            members.append((key, key == "tenantid" ? Array(#""t\u00e9""#.utf8) : self.trimmedJSON()))
        }
        switch self.random.below(4) {
        case 0: break
        case 1:
            members.append(
                ("data_base64", Array(self.pick([#""""#, #""e30=""#, #""/w==""#, #""aGk=""#]).utf8)))
        default:
            members.append(("data", self.trimmedJSON()))
            if self.random.chance(permille: 300) {
                var text: [UInt8] = []
                RandomJSON.string(&text, &self.random, prefix: "")
                members[members.count - 1].1 = text
            }
        }
        var text = Array("{".utf8)
        while !members.isEmpty {
            let (name, value) = members.remove(at: self.random.below(members.count))
            if text.count > 1 { text += Array(" , ".utf8) }
            text.appendJSONString(name)
            text += Array(": ".utf8) + value
        }
        return text + Array("}".utf8)
    }
}
