import Foundation
import Testing
import Tidelog

@Suite("Events")
struct EventTests {
    @Test("keep what they were made of")
    func fields() throws {
        let time = try Timestamp(rfc3339: "2026-01-05T08:00:00.000000001Z")
        let event = Event(
            id: "id-1", type: "order.placed", stream: "order-42",
            payload: .init(bytes: [1, 2, 3], contentType: "image/png"),
            metadata: ["tenant_id": "t-1", "user_id": "u-1"], timestamp: time, source: "shop",
            correlationID: "c-1", causationID: "0190a4b1-7c3d-7e2f-8a01-23456789abcd", schemaVersion: 7)
        #expect(event.id == "id-1")
        #expect(event.type == "order.placed")
        #expect(event.stream == "order-42")
        #expect(event.payload.bytes == [1, 2, 3])
        #expect(event.payload.contentType == "image/png")
        #expect(event.metadata.tenantID == "t-1")
        #expect(event.metadata.userID == "u-1")
        #expect(event.record.tenant == "t-1")
        #expect(event.timestamp == time)
        #expect(event.source == "shop")
        #expect(event.correlationID == "c-1")
        #expect(event.causationID?.uuid != nil)
        #expect(event.schemaVersion == 7)
        let plain = Event(type: "a")
        #expect(plain.schemaVersion == 1)
        #expect(plain.stream == nil && plain.source == nil && plain.payload.isEmpty && plain.metadata.isEmpty)
        #expect(plain.id.uuid != nil)
    }

    @Test("caused by another carry its correlation and name it as their cause")
    func caused() {
        let first = Event(type: "a")
        let second = Event(type: "b").caused(by: first)
        #expect(second.causationID == first.id)
        #expect(second.correlationID == first.id)
        let third = Event(type: "c").caused(by: second)
        #expect(third.causationID == second.id)
        #expect(third.correlationID == first.id)
        #expect(Event(type: "d").caused(by: first.withCorrelation("x")).correlationID == "x")
    }

    @Test("are changed in copies only")
    func builders() {
        let event = Event(type: "a", metadata: ["a": 1])
        let changed =
            event
            .withCorrelation("c").withCausation("d").withSource("s").withStream("x").withSchemaVersion(2)
            .withTimestamp(.init(nanosecondsSinceEpoch: 7)).with(metadata: ["tenant_id": "t", "a": 2])
            .with(metadata: "b", [1, nil])
        #expect(changed.correlationID == "c" && changed.causationID == "d" && changed.source == "s")
        #expect(changed.stream == "x" && changed.schemaVersion == 2)
        #expect(changed.timestamp.nanosecondsSinceEpoch == 7)
        #expect(changed.metadata.description == #"{"a":2,"tenant_id":"t","b":[1,null]}"#)
        #expect(changed.record.tenant == "t")
        #expect(changed.with(metadata: "tenant_id", nil).record.tenant == nil)
        #expect(event.metadata.description == #"{"a":1}"#)
        #expect(event.correlationID == nil && event.stream == nil)
    }

    @Test("carry texts and JSON byte for byte")
    func payloads() {
        let text = Event(type: "a", text: "Grüße\n")
        #expect(text.payload.text == "Grüße\n")
        #expect(text.payload.contentType == "text/plain")
        let json = Event(type: "a", json: #"{ "a" : 1.10 }"#)
        #expect(json.payload.text == #"{ "a" : 1.10 }"#)
        #expect(json.payload.isDeclaredJSON)
        #expect(Event(type: "a", bytes: [0xFF]).payload.text == nil)
        for type in ["application/json", "Application/JSON; charset=utf-8", "text/json", "a/vnd.x+json ;q=1"]
        {
            #expect(EventPayload(bytes: [], contentType: type).isDeclaredJSON, "\(type)")
        }
        for type in ["application/jsonl", "json", "text/plain", "application/x-json", "", "a/b;x=/json"] {
            #expect(!EventPayload(bytes: [], contentType: type).isDeclaredJSON, "\(type)")
        }
    }

    struct Order: Codable, Equatable {
        var number: Int, total: Decimal, placed: Date, lines: [String: Int], path: String
    }

    @Test("take Codable values as JSON with sorted keys and give them back")
    func codable() throws {
        let order = Order(
            number: 1, total: Decimal(string: "12.99") ?? 0,
            placed: Date(timeIntervalSinceReferenceDate: 789_000_000.123456), lines: ["b": 2, "a": 1],
            path: "a/b")
        let event = try Event(type: "order.placed", encoding: order)
        #expect(event.payload.contentType == "application/json")
        #expect(try event.payload.decode() == order)
        #expect(event.payload.text?.contains(#""lines":{"a":1,"b":2},"number":1,"path":"a/b""#) == true)
        #expect(event.payload.bytes == (try Event(type: "x", encoding: order)).payload.bytes)
        #expect { try event.payload.decode(as: [String].self) } throws: {
            EventLogError.Code.decodingFailed ~= $0
        }
        #expect { try Event(type: "x", encoding: Double.nan) } throws: {
            EventLogError.Code.invalidArgument ~= $0
        }
    }

    @Test("without fault are valid, at the limits too")
    func valid() throws {
        let longest = String(repeating: "é", count: 127) + "x"
        var event = Event(
            id: EventID(longest), type: longest, stream: longest, source: longest,
            correlationID: EventID(longest), causationID: EventID(longest))
        event.metadata.tenantID = longest
        event.payload.contentType = longest
        try event.validate()
        try Event(type: "a", stream: "../../etc/passwd \u{202E} 日本 \u{A0}").validate()
        var limits = EventLimits()
        limits.maximumEventBytes = 100
        try Event(type: "a", bytes: [UInt8](repeating: 0, count: 83)).validate(limits: limits)
    }

    typealias Fault = (field: String, change: @Sendable (inout Event) -> Void)

    static let faults: [Fault] = [
        ("type", { $0.type = "" }),
        ("type", { $0.type = String(repeating: "é", count: 128) }),
        ("type", { $0.type = "a\u{0}b" }),
        ("id", { $0.id = "" }),
        ("id", { $0.id = "a\u{1B}[31m" }),
        ("id", { $0.id = EventID(String(repeating: "x", count: 256)) }),
        ("stream", { $0.stream = "" }),
        ("stream", { $0.stream = "a\n" }),
        ("stream", { $0.stream = "\u{7F}" }),
        ("stream", { $0.stream = "x\u{9F}" }),
        ("source", { $0.source = "\u{80}" }),
        ("source", { $0.source = "" }),
        ("content type", { $0.payload.contentType = "" }),
        ("tenant", { $0.metadata.tenantID = String(repeating: "t", count: 256) }),
        ("tenant", { $0.metadata.tenantID = "a\tb" }),
        ("correlation id", { $0.correlationID = "" }),
        ("causation id", { $0.causationID = "a\r" }),
        ("16777216", { $0.payload.bytes = ArraySlice(repeating: 0x20, count: 16 << 20) }),
    ]

    @Test("with a fault are refused, and the error names the field", arguments: 0..<Self.faults.count)
    func invalid(number: Int) throws {
        let (field, change) = Self.faults[number]
        var event = Event(type: "a", stream: "b")
        change(&event)
        let error = #expect(throws: EventLogError.self) { try event.validate() }
        #expect(error?.code == .invalidEvent)
        let message = try #require(error?.message)
        #expect(message.contains(field), "\(message)")
        #expect(!message.unicodeScalars.contains { TerminalText.isDangerous($0) }, "\(message)")
        #expect(message.utf8.count < 1000)
    }

    @Test("describe themselves without their payload and without control characters")
    func description() {
        let event = Event(id: "i", type: "a\u{1B}", stream: "s\u{202E}", text: "secret")
        #expect(event.description == #"a\u{1B} i in s\u{202E}, 6 bytes"#)
        let stored = StoredEvent(event, position: 9, revision: 2)
        #expect(stored.description == #"9 (2): a\u{1B} i in s\u{202E}, 6 bytes"#)
        #expect(stored.event == event && stored.position == 9 && stored.revision == 2)
    }

    @Test("have positions and revisions that count")
    func positions() {
        #expect(Position("18446744073709551615")?.rawValue == .max)
        #expect(Position("-1") == nil && Position("1.0") == nil && Revision("") == nil)
        #expect(Position(3).advanced(by: 2) == 5)
        #expect(Array(Position(3)..<Position(6)) == [3, 4, 5])
        #expect(Revision(1) < 2)
        #expect(Revision.zero.description == "0")
    }
}
