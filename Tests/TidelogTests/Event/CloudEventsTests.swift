import Foundation
import Testing
import TidelogTesting

@testable import Tidelog

/// Documents after the examples of "JSON Event Format for CloudEvents", version 1.0.2.
@Suite("CloudEvents")
struct CloudEventsTests {
    /// Each document is written in the order in which Tidelog writes, so it must come back to the byte.
    static let documents: [String: String] = [
        "binary data": #"{"specversion":"1.0","id":"A234-1234-1234","source":"/mycontext","#
            + #""type":"com.example.someevent","time":"2018-04-05T17:31:00Z","#
            + #""datacontenttype":"application/vnd.apache.thrift.binary","comexampleextension1":"value","#
            + #""comexampleothervalue":5,"data_base64":"/wAB/g=="}"#,
        "XML in a string": #"{"specversion":"1.0","id":"B234-1234-1234","source":"/mycontext","#
            + #""type":"com.example.someevent","time":"2018-04-05T17:31:00Z","datacontenttype":"text/xml","#
            + #""unsetextension":null,"data":"<much wow=\"xml\"/>"}"#,
        "a JSON object": #"{"specversion":"1.0","id":"C234-1234-1234","source":"/mycontext","#
            + #""type":"com.example.someevent","subject":"s","time":"2018-04-05T17:31:00Z","#
            + #""datacontenttype":"application/json","#
            + #""data":{"appinfoA" : "abc","appinfoB":123,"appinfoC":true}}"#,
        "JSON by default": #"{"specversion":"1.0","id":"1","source":"/s","type":"t","#
            + #""time":"2018-04-05T17:31:00Z","data":{"a":[1.10,1e2,"\u00e9"]}}"#,
        "a JSON string": #"{"specversion":"1.0","id":"1","source":"/s","type":"t","#
            + #""time":"2018-04-05T17:31:00Z","datacontenttype":"application/json","data":"I'm just \u0061 string"}"#,
        "JSON null": #"{"specversion":"1.0","id":"1","source":"/s","type":"t","#
            + #""time":"2018-04-05T17:31:00Z","data":null}"#,
        "no data": #"{"specversion":"1.0","id":"1","source":"/s","type":"t","time":"2018-04-05T17:31:00Z"}"#,
        "a suffix of JSON": #"{"specversion":"1.0","id":"1","source":"/s","type":"t","#
            + #""time":"2018-04-05T17:31:00Z","datacontenttype":"application/vnd.x+JSON; a=b","data":[ ]}"#,
        "a schema": #"{"specversion":"1.0","id":"1","source":"/s","type":"t","time":"2018-04-05T17:31:00Z","#
            + #""dataschema":"http://example.com/schema#1","data":1}"#,
        "an offset": #"{"specversion":"1.0","id":"1","source":"/s","type":"t","#
            + #""time":"2018-04-05T19:31:00.10+02:00"}"#,
        "finer than nanoseconds": #"{"specversion":"1.0","id":"1","source":"/s","type":"t","#
            + #""time":"2018-04-05T17:31:00.1234567891234Z"}"#,
        "empty text":
            #"{"specversion":"1.0","id":"1","source":"/s","type":"t","time":"2018-04-05T17:31:00Z","#
            + #""datacontenttype":"text/plain","data":""}"#,
        "no bytes": #"{"specversion":"1.0","id":"1","source":"/s","type":"t","time":"2018-04-05T17:31:00Z","#
            + #""data_base64":""}"#,
        "Base64 of JSON": #"{"specversion":"1.0","id":"1","source":"/s","type":"t","#
            + #""time":"2018-04-05T17:31:00Z","data_base64":"e30="}"#,
        "Base64 of text": #"{"specversion":"1.0","id":"1","source":"/s","type":"t","#
            + #""time":"2018-04-05T17:31:00Z","datacontenttype":"text/plain","data_base64":"aGk="}"#,
        "text with needless escapes": #"{"specversion":"1.0","id":"1","source":"/s","type":"t","#
            + #""time":"2018-04-05T17:31:00Z","datacontenttype":"text/plain","data":"\u0041\/\ud83d\ude00"}"#,
        "text with control characters": #"{"specversion":"1.0","id":"1","source":"/s","type":"t","#
            + #""time":"2018-04-05T17:31:00Z","datacontenttype":"text/plain","data":"\u0000\u001b"}"#,
        "an object that is not JSON": #"{"specversion":"1.0","id":"1","source":"/s","type":"t","#
            + #""time":"2018-04-05T17:31:00Z","datacontenttype":"text/plain","data":{"a": 1}}"#,
        "tracing": #"{"specversion":"1.0","id":"1","source":"/s","type":"t","time":"2018-04-05T17:31:00Z","#
            + #""correlationid":"c-1","causationid":"c-2","schemaversion":3,"#
            + #""traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","#
            + #""tracestate":"rojo=00f067aa0ba902b7","userid":"u","tenantid":"t","requestid":"r","traceid":"x"}"#,
        "the source that stands for none": #"{"specversion":"1.0","id":"1","source":"urn:tidelog:unknown","#
            + #""type":"t","time":"2018-04-05T17:31:00Z"}"#,
        "that source, meant": #"{"specversion":"1.0","id":"1","source":"urn:tidelog:unknown","type":"t","#
            + #""time":"2018-04-05T17:31:00Z","tidelogsource":true,"correlationid":"c-1"}"#,
        "that source, expressly not meant": #"{"specversion":"1.0","id":"1","source":"urn:tidelog:unknown","#
            + #""type":"t","time":"2018-04-05T17:31:00Z","tidelogsource":false}"#,
        "another source, expressly meant": #"{"specversion":"1.0","id":"1","source":"/s","type":"t","#
            + #""time":"2018-04-05T17:31:00Z","tidelogsource":true}"#,
        "attributes against the rules": #"{"specversion":"1.0","id":"1","source":"/s","type":"t","#
            + #""time":"2018-04-05T17:31:00Z","ok":-2147483648,"user_id":"u","Upper":1,"nested":{"a":[1]},"#
            + #""float":1.50,"large":2147483648,"":"empty","userid":["u"],"cloudevents":1,"#
            + #""schemaversion":1,"correlationid":5,"tidelogmetadata":"no JSON"}"#,
    ]

    /// The members of the object, with their exact text, by name. `data` counts to the byte.
    static func members(_ json: [UInt8]) throws -> [String: String] {
        try json.withUnsafeBytes { bytes in
            var scanner = JSONScanner(bytes)
            var members = JSONMembers()
            try members.read(&scanner, depth: 0)
            var result: [String: String] = [:]
            for member in members.all {
                result[scanner.string(member.key)] = String(
                    decoding: scanner.bytes(member.value), as: UTF8.self)
            }
            return result
        }
    }

    @Test("come back as they were read", arguments: documents.keys.sorted())
    func documentsComeBack(name: String) throws {
        let document = try #require(Self.documents[name])
        var decoder = EventJSONDecoder()
        let event = try decoder.decode(document)
        let written = EventJSONEncoder().encode(event)
        #expect(try Self.members(written) == Self.members(Array(document.utf8)))
        if name != "attributes against the rules" {
            #expect(String(decoding: written, as: UTF8.self) == document)
        }
        // And through the plain form.
        let plain = try decoder.decode(EventJSONEncoder(form: .plain).encode(event))
        #expect(plain == event)
        #expect(EventJSONEncoder().encode(plain) == written)
    }

    @Test("become events with the fields where they belong")
    func fields() throws {
        var decoder = EventJSONDecoder()
        let binary = try decoder.decode(try #require(Self.documents["binary data"]))
        #expect(binary.id == "A234-1234-1234" && binary.source == "/mycontext")
        #expect(binary.payload.bytes == [0xFF, 0, 1, 0xFE])
        #expect(binary.metadata.description == #"{"comexampleextension1":"value","comexampleothervalue":5}"#)
        #expect(binary.timestamp.description == "2018-04-05T17:31:00Z")
        let text = try decoder.decode(try #require(Self.documents["XML in a string"]))
        #expect(text.payload.text == #"<much wow="xml"/>"#)
        let json = try decoder.decode(try #require(Self.documents["a JSON object"]))
        #expect(json.payload.text == #"{"appinfoA" : "abc","appinfoB":123,"appinfoC":true}"#)
        #expect(json.stream == "s")
        let tracing = try decoder.decode(try #require(Self.documents["tracing"]))
        #expect(tracing.correlationID == "c-1" && tracing.causationID == "c-2" && tracing.schemaVersion == 3)
        #expect(tracing.metadata.userID == "u" && tracing.record.tenant == "t")
        #expect(tracing.metadata.traceparent != nil && tracing.metadata.traceID == "x")
        let offset = try decoder.decode(try #require(Self.documents["an offset"]))
        #expect(offset.timestamp.description == "2018-04-05T17:31:00.100Z")
        let before = Timestamp.now()
        let timeless = try decoder.decode(#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#)
        #expect(timeless.timestamp >= before && timeless.timestamp <= .now())
    }

    @Test("carry an event's place, which is not read back")
    func places() throws {
        let event = Event(
            id: "1", type: "t", stream: "s", json: "{}", timestamp: .init(nanosecondsSinceEpoch: 0))
        let written = EventJSONEncoder().encode(StoredEvent(event, position: 17, revision: 3))
        #expect(
            String(decoding: written, as: UTF8.self)
                == #"{"specversion":"1.0","id":"1","source":"urn:tidelog:unknown","type":"t","subject":"s","#
                + #""time":"1970-01-01T00:00:00Z","datacontenttype":"application/json","position":17,"revision":3,"#
                + #""data":{}}"#)
        var decoder = EventJSONDecoder()
        #expect(try decoder.decode(written) == event)
        let foreign = try decoder.decode(
            #"{"specversion":"1.0","id":"1","source":"/s","type":"t","position":"left","revision":null}"#)
        #expect(foreign.metadata.description == #"{"position":"left"}"#)
        #expect(try decoder.decode(EventJSONEncoder().encode(foreign)).metadata == foreign.metadata)
    }

    @Test("tell an event without a source from one whose source is the text that stands for none")
    func sources() throws {
        var decoder = EventJSONDecoder()
        let encoder = EventJSONEncoder()
        let without = Event(id: "1", type: "t", timestamp: .init(nanosecondsSinceEpoch: 0))
        let with = without.withSource("urn:tidelog:unknown")
        let start =
            #"{"specversion":"1.0","id":"1","source":"urn:tidelog:unknown","type":"t","#
            + #""time":"1970-01-01T00:00:00Z""#
        // An event without a source is written as ever, so what earlier builds wrote is read as it was meant.
        let texts = [start + "}", start + #","tidelogsource":true}"#]
        let events = [without, with]
        #expect(events.map { String(decoding: encoder.encode($0), as: UTF8.self) } == texts)
        #expect(try texts.map { text in try decoder.decode(text) } == events)
        let batch = "[" + texts.joined(separator: ",") + "]"
        #expect(String(decoding: encoder.encodeBatch(events), as: UTF8.self) == batch)
        #expect(try decoder.decodeBatch(Array(batch.utf8)) == events)
        let stored = events.enumerated().map { StoredEvent($1, position: Position(UInt64($0))) }
        #expect(try decoder.decodeBatch(encoder.encodeBatch(stored)) == events)
        // Metadata of that name are metadata, and no mark.
        for event in events.map({ $0.with(metadata: "tidelogsource", true) }) {
            #expect(try decoder.decode(encoder.encode(event)) == event)
        }
    }

    @Test("are one line each, unless line breaks are to be kept")
    func lines() throws {
        let document =
            "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\",\n\"data\":{\r\n \"a\":\"\\n\"}}"
        var decoder = EventJSONDecoder()
        let event = try decoder.decode(document)
        #expect(event.payload.text == "{\r\n \"a\":\"\\n\"}")
        var encoder = EventJSONEncoder()
        let line = String(decoding: encoder.encode(event), as: UTF8.self)
        #expect(line.hasSuffix(#""data":{   "a":"\n"}}"#))
        encoder.keepsLineBreaks = true
        #expect(try decoder.decode(encoder.encode(event)) == event)
    }

    @Test("come in batches, both ways")
    func batches() throws {
        let all = Self.documents.keys.sorted().compactMap { Self.documents[$0] }
        var decoder = EventJSONDecoder()
        let events = try decoder.decodeBatch(Array(("[\n" + all.joined(separator: " ,\n") + "]\n").utf8))
        #expect(events.count == all.count)
        #expect(try events == all.map { document in try decoder.decode(document) })
        let stored = events.enumerated().map { StoredEvent($1, position: Position(UInt64($0))) }
        #expect(try decoder.decodeBatch(EventJSONEncoder().encodeBatch(events)) == events)
        #expect(try decoder.decodeBatch(EventJSONEncoder().encodeBatch(stored)) == events)
        #expect(try decoder.decodeBatch(Array("[]".utf8)).isEmpty)
        #expect(try decoder.decodeBatch(Array(all[0].utf8)).count == 1)
        #expect(EventJSONEncoder().encodeBatch([Event]()) == Array("[]".utf8))
    }

    typealias Refusal = (document: String, part: String)

    static let refusals: [Refusal] = [
        (#"{"specversion":"1.0","source":"/s","type":"t"}"#, "id is missing"),
        (#"{"specversion":"1.0","id":"1","type":"t"}"#, "source is missing"),
        (#"{"specversion":"1.0","id":"1","source":"/s"}"#, "type is missing"),
        (#"{"specversion":"1.0","id":null,"source":"/s","type":"t"}"#, "id is missing"),
        (#"{"specversion":"1.0","id":"","source":"/s","type":"t"}"#, "byte 27: id must not be empty"),
        (#"{"specversion":"1.0","id":1,"source":"/s","type":"t"}"#, "byte 27: id must be a string"),
        (#"{"specversion":"0.3","id":"1","source":"/s","type":"t"}"#, "specversion"),
        (#"{"specversion":1.0,"id":"1","source":"/s","type":"t"}"#, "specversion"),
        (#"{"specversion":"1.0","id":"1","source":"/s","type":"t","id":"2"}"#, "byte 56: the key was there"),
        (#"{"specversion":"1.0","id":"1","source":"/s","type":"t","x":1,"\u0078":2}"#, "the key was there"),
        (
            #"{"specversion":"1.0","id":"1","source":"/s","type":"t","time":"yesterday"}"#,
            "time is not a time"
        ),
        (
            #"{"specversion":"1.0","id":"1","source":"/s","type":"t","time":"0001-01-01T00:00:00Z"}"#,
            "outside"
        ),
        (#"{"specversion":"1.0","id":"1","source":"/s","type":"t","time":5}"#, "time must be a string"),
        (
            #"{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":""}"#,
            "subject must not be empty"
        ),
        (
            #"{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":{}}"#,
            "subject must be a string"
        ),
        (#"{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"a\u0000"}"#, "stream"),
        (#"{"specversion":"1.0","id":"1","source":"/s","type":"t","dataschema":1}"#, "dataschema"),
        (#"{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":""}"#, "datacontenttype"),
        (#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":1,"data_base64":""}"#, "exclude"),
        (#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":"x"}"#, "Base64"),
        (#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":5}"#, "must be a string"),
        (#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1,}}"#, "nothing follows"),
        (#"{"specversion":"1.0","id":"1","source":"/s","type":"t","correlationid":""}"#, "correlationid"),
        (#"{"specversion":"1.0","id":"1","source":"/s","type":"t","x":{"a":1,"a":2}}"#, "the key was there"),
        ("{\"specversion\":\"1.0\",\n\"id\":\"1\",\n\"source\":,\"type\":\"t\"}", "Line 3, byte 10:"),
        (#"[{"specversion":"1.0"}]"#, "an object must stand here"), ("", "ends"),
        (#"{"specversion":"1.0","id":"1","source":"/s","type":"t"} x"#, "byte 57: something follows"),
        (
            #"{"specversion":"1.0","id":"1","source":"/s","type":"t","x":{},"#
                + #""tidelogmetadata":"{\"cloudevents\":1}"}"#, "of its own"
        ),
    ]

    @Test("are refused with line, byte and reason", arguments: 0..<Self.refusals.count)
    func refused(number: Int) {
        let (document, part) = Self.refusals[number]
        var decoder = EventJSONDecoder(form: .cloudEvents)
        let error = #expect(throws: EventLogError.self) { try decoder.decode(document) }
        #expect(error?.code == .malformedInput || error?.code == .invalidEvent)
        #expect(error?.message.hasPrefix("Line ") == true)
        #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
        // A decoder that failed goes on.
        #expect(throws: Never.self) { try decoder.decode(Self.documents["tracing"] ?? "") }
    }
}
