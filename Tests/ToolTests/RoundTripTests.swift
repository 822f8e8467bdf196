import Foundation
import Testing
import Tidelog
import TidelogTesting

@Suite("Import and read")
struct RoundTripTests {
    @Test("CloudEvents come back byte for byte, in order, before and after sealing")
    func flights() throws {
        try TemporaryFolder.withLog { _, log in
            let lines = try Sample.lines()
            let said = try Tool.succeed("import", log, Sample.path)
            #expect(said.output.hasPrefix("731 events added\n"))
            #expect(try Tool.succeed("read", log).lines.map(withoutPlace) == lines)
            try Tool.succeed("seal", log)
            let sealed = try Tool.succeed("read", log).lines
            #expect(sealed.map(withoutPlace) == lines)
            for (position, line) in sealed.enumerated() {
                #expect(line.contains("\"position\":\(position),"))
            }
            let backwards = try Tool.succeed("read", log, "--backwards").lines
            #expect(backwards.reversed().map(withoutPlace) == lines)
        }
    }

    @Test("data comes back byte for byte, however it was written")
    func oddData() throws {
        let data = [
            "1", "-0", "1.0", "1.50e+10", "123456789012345678901234567890", "null", "true", "\"\"", "[]", "{}",
            #""\u0041\ud83d\ude00\u001b[31m\u202e""#, "\"\u{202E}\u{7F}\u{85} é 漢\"", #"{ "a" : [ 1 , 2 ],"a":3 }"#,
            #"{"b":{"c":[[[]]]}}"#,
        ]
        let lines = data.enumerated().map { index, data in
            #"{"specversion":"1.0","id":"e\#(index)","source":"/t","type":"odd","time":"2026-01-01T00:00:00Z","#
                + #""datacontenttype":"application/json","data":\#(data)}"#
        }
        try TemporaryFolder.withLog { _, log in
            try Tool.succeed("import", log, "-", input: lines.joined(separator: "\n"))
            #expect(try Tool.succeed("read", log).lines.map(withoutPlace) == lines)
        }
    }

    @Test("generated events in the plain form come back byte for byte through export")
    func plain() throws {
        var generator = EventGenerator(seed: 7)
        let encoder = EventJSONEncoder(form: .plain)
        let lines = generator.events(3000).map { String(decoding: encoder.encode($0), as: UTF8.self) }
        try TemporaryFolder.withLog { folder, log in
            let file = try folder.write(lines.joined(separator: "\n") + "\n", to: "events.ndjson")
            try Tool.succeed("import", log, file, "--batch", "700")
            try Tool.succeed("seal", log)
            let copy = folder.path("copy.ndjson")
            try Tool.succeed("export", "ndjson", log, "--output", copy)
            let exported = try String(contentsOfFile: copy, encoding: .utf8).split(separator: "\n")
            #expect(exported.map(withoutPlace) == lines)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.root.path()).allSatisfy {
                !$0.hasSuffix(".partial")
            })
            // And what was exported as CloudEvents is the same log again.
            let other = folder.path("other")
            try Tool.succeed("init", other)
            let cloudEvents = folder.path("cloudevents.ndjson")
            try Tool.succeed("export", "cloudevents", log, "--output", cloudEvents)
            try Tool.succeed("import", other, cloudEvents)
            #expect(
                try Tool.succeed("export", "ndjson", other).output
                    == (try Tool.succeed("export", "ndjson", log).output))
        }
    }

    @Test("CSV has a line of titles and one for each event")
    func csv() throws {
        try TemporaryFolder.withLog { _, log in
            try Tool.succeed("import", log, Sample.path)
            let text = try Tool.succeed("export", "csv", log, "--limit", "3").output
            let rows = text.components(separatedBy: "\r\n")
            #expect(rows.count == 5 && rows[4].isEmpty)
            #expect(rows[0].hasPrefix("position,revision,id,type,stream,timestamp"))
            #expect(rows[1].hasPrefix("0,0,UA1545-2013-01-01-EWR-departed,flight.departed,N14228,2013-01-01T10:17:00Z"))
        }
    }

    @Test("an import says how many were new and how many the log had")
    func repeats() throws {
        try TemporaryFolder.withLog { folder, log in
            let lines = try Sample.lines()
            let half = try folder.write(lines[..<300].joined(separator: "\n"), to: "half")
            try Tool.succeed("import", log, half, "--batch", "90")
            let said = try Tool.succeed("import", log, Sample.path, "--batch", "64", "--json").output
            let report = try jsonObject(said)
            #expect(report["added"] as? Int == 431 && report["repeated"] as? Int == 300)
            #expect(try Tool.succeed("read", log).lines.map(withoutPlace) == lines)
            let again = try Tool.succeed("import", log, "-", input: lines[100])
            #expect(again.output.hasPrefix("0 events added, 1 in the log already\n"))
        }
    }

    @Test("a line that is no event stops the import with its number, and its batch is not stored")
    func badLine() throws {
        try TemporaryFolder.withLog { _, log in
            var lines = try Sample.lines()
            lines[250] = "{\"type\":7}"
            let outcome = try Tool.fail(1, "import", log, "-", "--batch", "100", input: lines.joined(separator: "\n"))
            #expect(outcome.error.contains("line 251"))
            #expect(try Tool.succeed("read", log, "--count").output == "200\n")
        }
    }

    @Test("an id that comes again with other contents stops the import")
    func otherContents() throws {
        try TemporaryFolder.withLog { _, log in
            let line = #"{"id":"1","type":"a","payload":1}"#
            try Tool.succeed("import", log, "-", input: line)
            let other = line.replacing(":1}", with: ":2}")
            let outcome = try Tool.fail(1, "import", log, "-", input: #"{"type":"b"}"# + "\n" + other)
            #expect(outcome.error.contains("line 2") && outcome.error.contains("position 0"))
            let within = try Tool.fail(1, "import", log, "-", input: "\(line.replacing("1", with: "3"))\n\(other)\n")
            #expect(within.error.contains("line 2"))
            #expect(try Tool.succeed("read", log, "--count").output == "1\n")
        }
    }
}

/// The one JSON object that a command printed.
func jsonObject(_ text: String) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
}
