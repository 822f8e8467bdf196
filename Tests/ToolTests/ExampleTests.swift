import Foundation
import Testing

@Suite("The examples of the guides")
struct ExampleTests {
    private static let examples: [(name: String, output: [String])] = [
        (
            "event-sourcing",
            [
                "refused: the balance is 25", "now: 25, from a snapshot and 3 events",
                "after the first four events: 20", #"account.withdrawn {"amount":35}"#,
            ]
        ),
        (
            "cqrs",
            ["total/FR: 900", "total/IT: 600", "average of FR: 300", "version 2, 0 events behind"]
        ),
        (
            "saga",
            [
                #"waiting: ["forgotten"]"#,
                #"goods: ["goods.reserve", "goods.reserve", "goods.reserve", "goods.ship", "goods.release", "#
                    + #""goods.release"]"#, "left: []",
            ]
        ),
        (
            "audit-trail",
            [
                "set off by r-19:", #"  2025-03-01T00:00:00Z ada {"limit":100}"#,
                #"  2025-03-02T00:00:00Z ben {"limit":500}"#, #"  2025-03-03T00:00:00Z ada {"limit":300}"#,
                "the limit on 2 March at noon: 500", "refused: no number",
            ]
        ),
        (
            "schema-migration",
            [
                "version 2 alone would not read version 1", "King, Ada", "Roe, Ben",
                #"still stored: {"name":"Ada King"}"#,
            ]
        ),
    ]

    @Test("each runs, and prints what it is there to show", arguments: examples.indices)
    func runs(index: Int) throws {
        let (name, output) = Self.examples[index]
        try TemporaryFolder.with { folder in
            let process = Process()
            process.executableURL = Tool.url.deletingLastPathComponent().appending(path: "example-\(name)")
            try Data().write(to: folder.url("output"))
            let file = try FileHandle(forWritingTo: folder.url("output"))
            process.standardOutput = file
            try process.run()
            process.waitUntilExit()
            #expect(process.terminationStatus == 0)
            let lines = try String(contentsOf: folder.url("output"), encoding: .utf8).split(separator: "\n")
            #expect(lines.map(String.init) == output)
        }
    }
}
