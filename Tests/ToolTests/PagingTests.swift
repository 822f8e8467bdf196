import Foundation
import Testing

@Suite("Reading from the command line by pages")
struct PagingTests {
    /// A log with the events e0 to e9; those with an even number are of type "even".
    private static func withLog(_ body: (TemporaryFolder, String) throws -> Void) throws {
        try TemporaryFolder.withLog { folder, log in
            let lines = (0..<10).map { #"{"id":"e\#($0)","type":"\#($0 % 2 == 0 ? "even" : "odd")"}"# }
            try Tool.succeed("import", log, "-", input: lines.joined(separator: "\n") + "\n")
            try body(folder, log)
        }
    }

    /// The ids of what was printed, and of the line behind a page its cursor.
    private static func ids(_ lines: [Substring]) throws -> [String] {
        try lines.map { line in
            let object = try jsonObject(String(line))
            if let next = object["next"] { return "next \(next as? String ?? "none")" }
            return object["id"] as? String ?? "?"
        }
    }

    private static func read(_ log: String, _ arguments: String...) throws -> [String] {
        let outcome = try Tool.run(["read", log] + arguments)
        #expect(outcome.status == 0 && outcome.error == "", "\(arguments): \(outcome.error)")
        return try Self.ids(outcome.lines)
    }

    @Test(
        "--offset passes over so many of the events that are wanted, in either order, before --limit counts")
    func offset() throws {
        try Self.withLog { _, log in
            for isSealed in [false, true] {
                if isSealed { try Tool.succeed("seal", log) }
                #expect(try Self.read(log, "--offset", "7") == ["e7", "e8", "e9"])
                #expect(try Self.read(log, "--offset", "7", "--limit", "2") == ["e7", "e8"])
                #expect(try Self.read(log, "--offset", "3", "--type", "even") == ["e6", "e8"])
                #expect(
                    try Self.read(log, "--offset", "1", "--limit", "2", "--backwards", "--type", "odd")
                        == ["e7", "e5"])
                #expect(try Self.read(log, "--offset", "2", "--from", "4", "--to", "8") == ["e6", "e7"])
                #expect(try Self.read(log, "--offset", "0").count == 10)
                #expect(try Self.read(log, "--offset", "10") == [])
                #expect(try Self.read(log, "--offset", "\(Int.max)", "--limit", "3") == [])
                #expect(try Self.read(log, "--offset", "2", "--limit", "0") == [])
            }
        }
    }

    @Test("--cursor prints a page and the cursor of the next one, until there is none, also as events come")
    func cursor() throws {
        try Self.withLog { folder, log in
            #expect(
                try Self.read(log, "--cursor", "first", "--limit", "2", "--type", "even")
                    == ["e0", "e2", "next f2"])
            #expect(
                try Self.read(log, "--cursor", "f2", "--limit", "2", "--type", "even")
                    == ["e4", "e6", "next f6"])
            try Tool.succeed("append", log, "--type", "even", "--id", "e10")
            #expect(
                try Self.read(log, "--cursor", "f6", "--limit", "2", "--type", "even", "--json")
                    == ["e8", "e10", "next none"])
            #expect(
                try Self.read(log, "--cursor", "first", "--limit", "3", "--backwards")
                    == ["e10", "e9", "e8", "next b8"])
            #expect(
                try Self.read(log, "--cursor", "b1", "--limit", "3", "--backwards") == ["e0", "next none"])
            #expect(try Self.read(log, "--cursor", "first", "--type", "none") == ["next none"])
            // A page has 1,000 events unless it is said otherwise.
            let lines = (0..<1000).map { #"{"id":"m\#($0)","type":"many"}"# }
            try Tool.succeed("import", log, "-", input: lines.joined(separator: "\n") + "\n")
            let page = try Self.read(log, "--cursor", "first", "--format", "plain")
            #expect(page.count == 1001 && page.last == "next f999")
        }
    }

    @Test("cursors that are none, of the other order or of another log, and negative offsets end with 2")
    func refused() throws {
        try Self.withLog { folder, log in
            for arguments in [
                ["--offset=-1"], ["--offset", "-1"], ["--offset", "many"],
                ["--offset", "1", "--cursor", "f1"],
                ["--offset", "1", "--count"], ["--offset", "1", "--at", "1"],
                ["--offset", "1", "--id", "e1"],
                ["--cursor", "first", "--count"], ["--cursor", "f1", "--at", "1"],
                ["--cursor", "f1", "--id", "e1"],
                ["--cursor", "first", "--format", "csv"], ["--cursor", "first", "--limit", "0"],
                ["--cursor", "second"], ["--cursor", ""], ["--cursor", "f"], ["--cursor", "f-1"],
                ["--cursor", "b4"], ["--cursor", "f4", "--backwards"], ["--cursor", "f10"],
                ["--cursor", "f99"],
            ] {
                let outcome = try Tool.run(["read", log] + arguments)
                #expect(outcome.status == 2 && outcome.output == "", "\(arguments): \(outcome)")
                #expect(outcome.error.filter { $0 == "\n" }.count == 1, "\(arguments): \(outcome.error)")
            }
            #expect(try Tool.fail(2, "read", log, "--offset=-1").error.contains("at least 0"))
            #expect(try Tool.fail(2, "read", log, "--cursor", "second").error.contains("is no cursor"))
            #expect(try Tool.fail(2, "read", log, "--cursor", "f10").error.contains("no page of this store"))
            #expect(try Tool.fail(2, "read", log, "--cursor", "b4").error.contains("the other order"))
        }
    }
}
