import Foundation
import Testing
import Tidelog

/// Events in the structured and the batched form of "JSON Event Format for CloudEvents", version 1.0.2, spread
/// over lines as documents of others are. They are like the specification's examples, not copies of them.
@Suite("Examples of CloudEvents' JSON format")
struct CloudEventsExampleTests {
    struct Example: Sendable, CustomTestStringConvertible {
        let name: String
        let text: String
        let id: EventID
        let contentType: String?
        let bytes: [UInt8]
        var testDescription: String { self.name }
    }

    private static func document(_ id: String, source: String = "/mycontext", _ rest: String) -> String {
        """
        {
            "specversion" : "1.0",
            "type" : "com.example.someevent",
            "source" : "\(source)",
            "id" : "\(id)",
            "time" : "2018-04-05T17:31:00Z",
            \(rest)
        }
        """
    }

    static let object = #"{"appinfoA" : "abc", "appinfoB" : 123, "appinfoC" : true}"#

    static let structured: [Example] = [
        Example(
            name: "binary data",
            text: document(
                "A234-1234-1234",
                #""comexampleextension1" : "value", "comexampleothervalue" : 5,"#
                    + #" "datacontenttype" : "application/vnd.apache.thrift.binary","#
                    + #" "data_base64" : "AAH+/w==""#),
            id: "A234-1234-1234", contentType: "application/vnd.apache.thrift.binary",
            bytes: [0, 1, 254, 255]),
        Example(
            name: "XML in a string",
            text: document(
                "B234-1234-1234",
                #""unsetextension" : null, "datacontenttype" : "application/xml","#
                    + #" "data" : "<much wow=\"xml\"/>""#),
            id: "B234-1234-1234", contentType: "application/xml", bytes: Array(#"<much wow="xml"/>"#.utf8)),
        Example(
            name: "a JSON object",
            text: document(
                "C234-1234-1234",
                #""subject" : null, "datacontenttype" : "application/json", "data" : "# + object),
            id: "C234-1234-1234", contentType: "application/json", bytes: Array(object.utf8)),
        Example(
            name: "a JSON number without a content type",
            text: document("D234", #""data" : 1.5"#), id: "D234", contentType: nil, bytes: Array("1.5".utf8)),
        Example(
            name: "a JSON string",
            text: document("E234", #""datacontenttype" : "application/json", "data" : "I'm just a string""#),
            id: "E234", contentType: "application/json", bytes: Array(#""I'm just a string""#.utf8)),
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
        #expect(event.type == "com.example.someevent")
        #expect(event.source == "/mycontext")
        #expect(event.timestamp.description == "2018-04-05T17:31:00Z")
        #expect(Array(event.payload.bytes) == example.bytes)
        let written = EventJSONEncoder().encode(event)
        #expect(try Self.meaning(written) == Self.meaning(example.text.utf8))
        let again = try decoder.decode(written)
        #expect(again == event)
        let members = try #require(try Self.meaning(written).first)
        #expect(members["datacontenttype"] as? String == example.contentType)
    }

    @Test("in batch form are events in their order, and say the same when written")
    func batchForm() throws {
        let extensions = #""comexampleextension1" : "value", "comexampleothervalue" : 5,"#
        let first = Self.document(
            "B234-1234-1234", source: "/mycontext/4",
            extensions
                + #""datacontenttype" : "application/vnd.apache.thrift.binary", "data_base64" : "AAH+/w==""#)
        let second = Self.document(
            "C234-1234-1234", source: "/mycontext/9",
            extensions + #""datacontenttype" : "application/json", "data" : "# + Self.object
        ).replacing("17:31:00", with: "17:31:05")
        let batch = "[\n\(first),\n\(second)\n]"
        var decoder = EventJSONDecoder()
        let events = try decoder.decodeBatch(Array(batch.utf8))
        #expect(events.map(\.id) == ["B234-1234-1234", "C234-1234-1234"])
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
