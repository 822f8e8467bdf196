import Foundation
import Testing

@Suite("Filters")
struct FilterTests {
    private struct Line: Decodable {
        let id, type, time, correlationid, source: String
        let subject, causationid: String?
    }

    @Test("each filter gives what the same filter over the input gives, and counts it")
    func filters() throws {
        let lines = try Sample.lines()
        let events = try lines.map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
        let chosen = try #require(events.first { $0.causationid != nil })
        let stream = try #require(chosen.subject)
        let (since, until) = (events[200].time, events[500].time)
        func expected(_ isIn: (Line) -> Bool) -> [String] {
            zip(lines, events).filter { isIn($0.1) }.map(\.0)
        }
        let cases: [([String], [String])] = [
            ([], lines), (["--stream", stream], expected { $0.subject == stream }),
            (["--stream", stream, "--stream", "N24211"], expected { [stream, "N24211"].contains($0.subject) }),
            (["--stream-prefix", "N1"], expected { $0.subject?.hasPrefix("N1") ?? false }),
            (["--type", "flight.arrived"], expected { $0.type == "flight.arrived" }),
            (["--type", "flight.*", "--stream", stream], expected { $0.subject == stream }),
            (["--type", "flight.>"], lines), (["--type", "*"], lines), (["--type", "flight"], []),
            (
                ["--type", "flight.cancelled", "--type", "flight.arrived"],
                expected { $0.type != "flight.departed" }
            ),
            (["--since", since], expected { $0.time >= since }),
            (["--until", until], expected { $0.time < until }),
            (["--since", since, "--until", until], expected { $0.time >= since && $0.time < until }),
            (["--correlation", chosen.correlationid], expected { $0.correlationid == chosen.correlationid }),
            (["--causation", chosen.causationid ?? ""], expected { $0.causationid == chosen.causationid }),
            (["--source", "nycflights13"], lines), (["--source", "elsewhere"], []), (["--tenant", "t"], []),
            (["--from", "700"], Array(lines[700...])), (["--from", "10", "--to", "20"], Array(lines[10..<20])),
            (["--limit", "5"], Array(lines[..<5])), (["--limit", "0"], []), (["--from", "5000"], []),
            (["--backwards", "--limit", "3"], Array(lines.suffix(3).reversed())),
            (["--type", "flight.arrived", "--backwards", "--limit", "2"],
                Array(expected { $0.type == "flight.arrived" }.suffix(2).reversed())),
            (["--id", chosen.id], expected { $0.id == chosen.id }), (["--at", "42"], [lines[42]]),
        ]
        try TemporaryFolder.withLog { _, log in
            try Tool.succeed("import", log, Sample.path)
            for isSealed in [false, true] {
                if isSealed { try Tool.succeed("seal", log) }
                for (arguments, expected) in cases {
                    let read = try Tool.run(["read", log] + arguments)
                    #expect(read.status == 0, "\(arguments): \(read.error)")
                    #expect(read.lines.map(withoutPlace) == expected, "\(arguments), sealed: \(isSealed)")
                    let count = try Tool.run(["read", log, "--count"] + arguments).output
                    #expect(count == "\(expected.count)\n", "\(arguments), sealed: \(isSealed)")
                }
            }
        }
    }

    @Test("revisions and tenants filter too, and a truncated stream begins later")
    func revisions() throws {
        try TemporaryFolder.withLog { _, log in
            let lines = (0..<10).map {
                #"{"type":"t","stream":"s","payload":\#($0),"metadata":{"tenant_id":"t\#($0 % 2)"}}"#
            }
            try Tool.succeed("import", log, "-", input: lines.joined(separator: "\n"))
            func count(_ arguments: String...) throws -> String {
                try Tool.run(["read", log, "--count"] + arguments).output
            }
            #expect(try count("--from-revision", "7") == "3\n")
            #expect(try count("--from-revision", "2", "--to-revision", "4") == "2\n")
            #expect(try count("--tenant", "t1") == "5\n")
            try Tool.succeed("truncate", log, "s", "--before", "4")
            #expect(try count("--stream", "s") == "6\n")
            #expect(try count() == "6\n")
            try Tool.succeed("seal", log)
            try Tool.succeed("compact", log)
            #expect(try count() == "6\n")
            let first = try Tool.succeed("read", log, "--limit", "1").output
            #expect(first.contains("\"position\":4,\"revision\":4,"))
        }
    }
}
