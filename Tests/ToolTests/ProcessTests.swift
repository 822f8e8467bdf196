import Foundation
import Testing
import Tidelog
import TidelogTesting

@Suite("Several processes")
struct ProcessTests {
    @Test("a tail prints what another process appends, and ends with 0 when asked to stop")
    func tail() throws {
        try TemporaryFolder.withLog { folder, log in
            try Tool.succeed("append", log, "--type", "before")
            let output = folder.url("tail")
            let tail = try Tool.start(
                ["tail", log, "--from", "end", "--type", "after.*"], output: output,
                error: folder.url("error"))
            let all = try Tool.start(
                ["tail", log, "--from", "0", "--limit", "4", "--format", "plain"], output: folder.url("all"),
                error: folder.url("error2"))
            try waitUntil("the tail has begun") { try !Data(contentsOf: folder.url("all")).isEmpty }
            // The other one says nothing when it begins; give events until it sees one, then three more.
            var sent = 0
            try waitUntil("the tail sees an event") {
                sent += 1
                try Tool.succeed("append", log, "--type", "after.some", "--id", "some-\(sent)")
                return try !Data(contentsOf: output).isEmpty
            }
            for number in 1...3 {
                try Tool.succeed("append", log, "--type", "after.all", "--id", "all-\(number)")
            }
            try waitUntil("the tail has printed all") {
                try String(contentsOf: output, encoding: .utf8).contains("all-3")
            }
            all.waitUntilExit()
            #expect(all.terminationReason == .exit && all.terminationStatus == 0)
            let first = try String(contentsOf: folder.url("all"), encoding: .utf8).split(separator: "\n")
            #expect(first.count == 4 && first[0].contains("\"before\""))

            tail.terminate()
            tail.waitUntilExit()
            #expect(tail.terminationReason == .exit && tail.terminationStatus == 0)
            let positions = try String(contentsOf: output, encoding: .utf8).split(separator: "\n").map {
                try #require(jsonObject(String($0))["position"] as? Int)
            }
            let start = try #require(positions.first)
            #expect(positions == Array(start..<start + positions.count), "without a gap or a repeat")
        }
    }

    @Test("an import killed without warning leaves a beginning of the file, and goes on from there")
    func kill() throws {
        var generator = EventGenerator(seed: 11)
        let encoder = EventJSONEncoder(form: .plain)
        let lines = generator.events(40_000).map { String(decoding: encoder.encode($0), as: UTF8.self) }
        let text = lines.joined(separator: "\n") + "\n"
        try TemporaryFolder.with { folder in
            let file = try folder.write(text, to: "events.ndjson")
            var random = SeededGenerator(seed: 12)
            for cycle in 0..<4 {
                let log = folder.path("log-\(cycle)")
                try Tool.succeed("init", log)
                let import1 = try Tool.start(
                    ["import", log, file, "--batch", "300", "--segment-size", "1MiB"],
                    output: folder.url("out"),
                    error: folder.url("err"))
                let least = 300 * (1 + random.below(60))
                try waitUntil("events are there") {
                    let count = try Tool.run(["read", log, "--count"]).output.dropLast()
                    return Int(count) ?? 0 >= least || !import1.isRunning
                }
                Foundation.kill(import1.processIdentifier, SIGKILL)
                import1.waitUntilExit()
                let left = try Tool.succeed("export", "ndjson", log).lines.map(withoutPlace)
                #expect(left.count % 300 == 0 || left.count == lines.count, "batches are whole")
                #expect(left[...] == lines[..<left.count], "cycle \(cycle)")

                let report = try jsonObject(
                    try Tool.succeed("import", log, file, "--batch", "1001", "--json").output)
                #expect(report["repeated"] as? Int == left.count)
                #expect(report["added"] as? Int == lines.count - left.count)
                let all = try Tool.succeed("export", "ndjson", log).lines.map(withoutPlace)
                #expect(all == lines, "cycle \(cycle)")
            }
        }
    }

    @Test("two imports of one file at once store each event once")
    func together() throws {
        try TemporaryFolder.withLog { folder, log in
            let imports = try (0..<2).map { number in
                try Tool.start(
                    ["import", log, Sample.path, "--batch", String(7 + 4 * number)],
                    output: folder.url("out-\(number)"), error: folder.url("err-\(number)"))
            }
            for process in imports {
                process.waitUntilExit()
                #expect(process.terminationStatus == 0)
            }
            let lines = try Sample.lines()
            #expect(try Tool.succeed("read", log).lines.map(withoutPlace).sorted() == lines.sorted())
        }
    }

    @Test("what comes slowly through a pipe is in the log before the pipe ends")
    func slowPipe() throws {
        try TemporaryFolder.withLog { folder, log in
            let process = Process()
            let input = Pipe()
            process.executableURL = Tool.url
            process.arguments = ["import", log, "-"]
            process.standardInput = input
            process.standardOutput = FileHandle.nullDevice
            try process.run()
            let lines = try Sample.lines()
            try input.fileHandleForWriting.write(
                contentsOf: Data((lines[..<5].joined(separator: "\n") + "\n").utf8))
            try waitUntil("the first events are there") {
                try Tool.run(["read", log, "--count"]).output == "5\n"
            }
            try input.fileHandleForWriting.write(contentsOf: Data(lines[5].utf8))
            try input.fileHandleForWriting.close()
            process.waitUntilExit()
            #expect(process.terminationStatus == 0)
            #expect(try Tool.succeed("read", log).lines.map(withoutPlace) == Array(lines[..<6]))
        }
    }
}

/// Asks until it is so; a machine under heavy load gets its time.
func waitUntil(
    _ what: String, at location: SourceLocation = #_sourceLocation, _ isSo: () throws -> Bool
) throws {
    let end = Date().addingTimeInterval(300)
    while try !isSo() {
        try #require(Date() < end, "waited in vain: \(what)", sourceLocation: location)
        Thread.sleep(forTimeInterval: 0.01)
    }
}
