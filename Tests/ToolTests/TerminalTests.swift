import Foundation
import Testing

@Suite("Terminals")
struct TerminalTests {
    private static let override = "\u{202E}"

    /// Runs the tool with standard output and standard error on a terminal, and returns what that got.
    private static func runOnTerminal(_ arguments: [String]) throws -> (status: Int32, text: String) {
        // Two requests of Linux that its headers hide from Swift: TIOCSPTLCK unlocks, TIOCGPTN numbers.
        let primary = open("/dev/ptmx", O_RDWR | O_NOCTTY)
        var (lock, number) = (Int32(0), Int32(0))
        let isReady = ioctl(primary, 0x4004_5431, &lock) == 0 && ioctl(primary, 0x8004_5430, &number) == 0
        let secondary = open("/dev/pts/\(number)", O_RDWR | O_NOCTTY)
        try #require(primary >= 0 && isReady && secondary >= 0)
        let process = Process()
        process.executableURL = Tool.url
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle(fileDescriptor: secondary)
        process.standardError = FileHandle(fileDescriptor: secondary)
        try process.run()
        close(secondary)
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while case let got = read(primary, &chunk, chunk.count), got > 0 { bytes += chunk[..<got] }
        process.waitUntilExit()
        close(primary)
        return (process.terminationStatus, String(decoding: bytes, as: UTF8.self))
    }

    @Test("what a terminal would obey is escaped there, and goes through a pipe as it is")
    func escapes() throws {
        try TemporaryFolder.withLog { _, log in
            let data = "{\"text\":\"a\(Self.override)b\u{9B}31m\u{7F}\"}"
            let line =
                #"{"specversion":"1.0","id":"1\#(Self.override)","source":"/s","type":"t\#(Self.override)","#
                + #""subject":"x\#(Self.override)y","time":"2026-01-01T00:00:00Z","data":\#(data)}"#
            try Tool.succeed("import", log, "-", input: line)
            #expect(try Tool.succeed("read", log).lines.map(withoutPlace) == [line])

            let shown = try Self.runOnTerminal(["read", log])
            #expect(shown.status == 0)
            for scalar in ["\u{202E}", "\u{9B}", "\u{7F}"] { #expect(!shown.text.contains(scalar)) }
            #expect(shown.text.contains(#"a\u202eb\u009b31m\u007f"#))
            // It is still the same JSON.
            let event = try jsonObject(shown.text.replacing("\r\n", with: ""))
            #expect(event["subject"] as? String == "x\(Self.override)y")

            for arguments in [["streams", log], ["stream", log, "x\(Self.override)y"], ["stats", log]] {
                #expect(try !Tool.run(arguments).output.contains(Self.override), "\(arguments)")
                #expect(try !Self.runOnTerminal(arguments).text.contains(Self.override), "\(arguments)")
            }
            let error = try Tool.fail(1, "stream", log, "\(Self.override)\u{1B}[2J").error
            #expect(!error.contains(Self.override) && !error.contains("\u{1B}"))
        }
    }

    @Test("names with control characters are refused, and nothing is written")
    func names() throws {
        try TemporaryFolder.withLog { _, log in
            for name in ["type", "stream", "source", "id", "correlation_id", "causation_id"] {
                var members = ["type": "t"]
                members[name] = "a\\u001b]0;title\\u0007"
                let line = "{" + members.map { #""\#($0.key)":"\#($0.value)""# }.joined(separator: ",") + "}"
                let error = try Tool.fail(1, "import", log, "-", input: line).error
                #expect(error.contains("line 1") && !error.contains("\u{1B}"), "\(error)")
            }
            for members in [
                #""type":"""#, #""type":"t","stream":"""#,
                #""type":"\#(String(repeating: "n", count: 256))""#,
            ] {
                try Tool.fail(1, "import", log, "-", input: "{\(members)}")
            }
            #expect(try Tool.succeed("read", log, "--count").output == "0\n")
        }
    }

    @Test("bytes that are no UTF-8 are refused with their line")
    func malformedText() throws {
        try TemporaryFolder.withLog { folder, log in
            var bytes = Data(#"{"type":"good"}"#.utf8)
            bytes.append(contentsOf: Array("\n{\"type\":\"a".utf8) + [0xC3, 0x28] + Array("\"}\n".utf8))
            try bytes.write(to: folder.url("bad"))
            #expect(try Tool.fail(1, "import", log, folder.path("bad")).error.contains("line 2"))
        }
    }

    @Test("progress is shown on a terminal alone, and taken away at the end")
    func progress() throws {
        try TemporaryFolder.withLog { folder, log in
            let shown = try Self.runOnTerminal(["import", log, Sample.path])
            #expect(shown.status == 0 && shown.text.contains("importing"))
            let end = try #require(shown.text.range(of: "\r\u{1B}[K", options: .backwards)).upperBound
            #expect(shown.text[end...].hasPrefix("731 events added"))
            #expect(try Tool.run(["import", log, Sample.path]).error == "")
        }
    }

    @Test("long work shows how far it has come on a terminal alone, not with --json, and takes that away")
    func bars() throws {
        try TemporaryFolder.withLog { folder, log in
            try Tool.succeed("import", log, Sample.path)
            let backup = folder.path("backup")
            try Tool.succeed("backup", log, backup)
            // How the line begins, with a bar where the end is known, and what is run; each time it gets a new place.
            let commands: [(line: String, arguments: (String) -> [String])] = [
                ("sealing [", { _ in ["seal", log] }), ("compacting [", { _ in ["compact", log] }),
                ("verifying ", { _ in ["verify", log, "--deep"] }), ("repairing ", { _ in ["repair", log] }),
                ("copying ", { place in ["backup", log, place] }),
                ("restoring ", { place in ["restore", backup, place] }),
                ("exporting [", { place in ["export", "csv", log, "--output", place] }),
                ("dropping [", { _ in ["retain", log, "--max-events", "0"] }),
            ]
            for (number, (line, arguments)) in commands.enumerated() {
                let shown = try Self.runOnTerminal(arguments(folder.path("\(number)-shown")))
                #expect(
                    shown.status == 0 && shown.text.hasPrefix("\r\u{1B}[K\(line)"), "\(line): \(shown.text)")
                let end = try #require(shown.text.range(of: "\r\u{1B}[K", options: .backwards)).upperBound
                let rest = shown.text[end...]
                #expect(!rest.isEmpty && !rest.contains(line), "\(line): \(shown.text)")

                let json = try Self.runOnTerminal(arguments(folder.path("\(number)-json")) + ["--json"])
                #expect(json.status == 0 && !json.text.contains("\u{1B}"), "\(line): \(json.text)")
                _ = try jsonObject(json.text.replacing("\r\n", with: ""))
                let piped = try Tool.run(arguments(folder.path("\(number)-piped")))
                #expect(piped.status == 0 && piped.error == "", "\(line): \(piped.error)")
            }
        }
    }

    @Test("events that are exported to the terminal have no bar between them")
    func exportedEvents() throws {
        try TemporaryFolder.withLog { _, log in
            try Tool.succeed("import", log, Sample.path)
            let shown = try Self.runOnTerminal(["export", "ndjson", log])
            #expect(shown.status == 0 && !shown.text.contains("\u{1B}"))
            #expect(shown.text.split(separator: "\r\n").count == 731)
        }
    }
}
