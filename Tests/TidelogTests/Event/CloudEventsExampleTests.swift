import Foundation
import Testing
import Tidelog

/// The examples of "CloudEvents" and of "JSON Event Format for CloudEvents", version 1.0.2, member for member
/// and value for value, with spaces and lines as documents of others have them. The specification leaves out
/// its binary data; here they are four bytes.
@Suite("Examples of CloudEvents' JSON format")
struct CloudEventsExampleTests {
    struct Example: Sendable, CustomTestStringConvertible {
        let name: String
        let text: String
        let id: EventID
        var type = "com.example.someevent"
        var source = "/mycontext"
        var subject: String?
        let contentType: String?
        let bytes: [UInt8]
        var testDescription: String { self.name }
    }

    private static func document(
        _ id: String, type: String = "com.example.someevent", source: String = "/mycontext",
        time: String = "2018-04-05T17:31:00Z", _ rest: String...
    ) -> String {
        let members = [
            #""specversion" : "1.0""#, #""type" : "\#(type)""#, #""source" : "\#(source)""#,
            #""id" : "\#(id)""#, #""time" : "\#(time)""#,
            #""comexampleextension1" : "value""#, #""comexampleothervalue" : 5"#,
        ]
        return "{\n    " + (members + rest).joined(separator: ",\n    ") + "\n}"
    }

    static let object = #"{"appinfoA" : "abc", "appinfoB" : 123, "appinfoC" : true}"#
    static let thrift = #""datacontenttype" : "application/vnd.apache.thrift.binary""#
    static let xml = #"<much wow="xml"/>"#
    static let xmlData = #""data" : "<much wow=\"xml\"/>""#

    static let structured: [Example] = [
        Example(
            name: "the specification's own: XML about a pull request",
            text: document(
                "A234-1234-1234", type: "com.github.pull_request.opened",
                source: "https://github.com/cloudevents/spec/pull", #""subject" : "123""#,
                #""datacontenttype" : "text/xml""#, xmlData),
            id: "A234-1234-1234", type: "com.github.pull_request.opened",
            source: "https://github.com/cloudevents/spec/pull", subject: "123", contentType: "text/xml",
            bytes: Array(xml.utf8)),
        Example(
            name: "binary data",
            text: document("A234-1234-1234", thrift, #""data_base64" : "AAH+/w==""#),
            id: "A234-1234-1234", contentType: "application/vnd.apache.thrift.binary",
            bytes: [0, 1, 254, 255]),
        Example(
            name: "XML in a string, and an extension that is not set",
            text: document(
                "B234-1234-1234", #""unsetextension": null"#, #""datacontenttype" : "application/xml""#,
                xmlData),
            id: "B234-1234-1234", contentType: "application/xml", bytes: Array(xml.utf8)),
        Example(
            name: "a JSON object, and a subject that is not set",
            text: document(
                "C234-1234-1234", #""subject": null"#, #""datacontenttype" : "application/json""#,
                #""data" : "# + object),
            id: "C234-1234-1234", contentType: "application/json", bytes: Array(object.utf8)),
        Example(
            name: "a JSON string without a content type",
            text: document("D234-1234-1234", #""subject": null"#, #""data" : "I'm just a string""#),
            id: "D234-1234-1234", contentType: nil, bytes: Array(#""I'm just a string""#.utf8)),
    ]

    /// What a document says, whatever its spaces and order. A member that is null says the same as none.
    private static func meaning(_ json: some Sequence<UInt8>) throws -> [NSDictionary] {
        let value = try JSONSerialization.jsonObject(with: Data(json))
        let objects = try #require(value as? [[String: Any]] ?? (value as? [String: Any]).map { [$0] })
        return objects.map { object in NSDictionary(dictionary: object.filter { !($0.value is NSNull) }) }
    }

    @Test(
        "in structured form become the events that they describe, and say the same when written",
        arguments: structured)
    func structuredForm(example: Example) throws {
        var decoder = EventJSONDecoder()
        let event = try decoder.decode(example.text)
        #expect(event.id == example.id)
        #expect(event.type == example.type)
        #expect(event.source == example.source)
        #expect(event.stream == example.subject)
        #expect(event.metadata["comexampleextension1"] == "value")
        #expect(event.metadata["comexampleothervalue"] == 5)
        #expect(event.timestamp.description == "2018-04-05T17:31:00Z")
        #expect(Array(event.payload.bytes) == example.bytes)
        let written = EventJSONEncoder().encode(event)
        #expect(try Self.meaning(written) == Self.meaning(example.text.utf8))
        let again = try decoder.decode(written)
        #expect(again == event)
        let plain = try decoder.decode(EventJSONEncoder(form: .plain).encode(event))
        #expect(plain == event)
        let members = try #require(try Self.meaning(written).first)
        #expect(members["datacontenttype"] as? String == example.contentType)
    }

    @Test("in batch form are events in their order, and say the same when written")
    func batchForm() throws {
        let first = Self.document(
            "B234-1234-1234", source: "/mycontext/4", Self.thrift, #""data_base64" : "AAH+/w==""#)
        let second = Self.document(
            "C234-1234-1234", type: "com.example.someotherevent", source: "/mycontext/9",
            time: "2018-04-05T17:31:05Z", #""datacontenttype" : "application/json""#,
            #""data" : "# + Self.object)
        let batch = "[\n\(first),\n\(second)\n]"
        var decoder = EventJSONDecoder()
        let events = try decoder.decodeBatch(Array(batch.utf8))
        #expect(events.map(\.id) == ["B234-1234-1234", "C234-1234-1234"])
        #expect(events.map(\.type) == ["com.example.someevent", "com.example.someotherevent"])
        #expect(events.map(\.source) == ["/mycontext/4", "/mycontext/9"])
        #expect(events.map(\.timestamp.description) == ["2018-04-05T17:31:00Z", "2018-04-05T17:31:05Z"])
        #expect(events.map { Array($0.payload.bytes) } == [[0, 1, 254, 255], Array(Self.object.utf8)])
        for event in events {
            #expect(
                event.metadata.description == #"{"comexampleextension1":"value","comexampleothervalue":5}"#)
        }
        let written = EventJSONEncoder().encodeBatch(events)
        #expect(try Self.meaning(written) == Self.meaning(batch.utf8))
        #expect(try decoder.decodeBatch(written) == events)
    }

    @Test("include the batch of none")
    func emptyBatch() throws {
        var decoder = EventJSONDecoder()
        #expect(try decoder.decodeBatch(Array("[ ]".utf8)).isEmpty)
        #expect(EventJSONEncoder().encodeBatch([Event]()) == Array("[]".utf8))
    }
}
