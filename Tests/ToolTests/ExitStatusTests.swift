import Foundation
import Testing

@Suite("Exit statuses and errors")
struct ExitStatusTests {
    @Test("a wrong command line ends with 2 and names the help")
    func usage() throws {
        try TemporaryFolder.withLog { _, log in
            for arguments in [
                ["frob"], ["read"], ["read", log, "--limit", "x"], ["read", log, "--limit=-1"],
                ["read", log, "--since", "never"], ["read", log, "--type", "a..b"], ["read", log, "--frob"],
                ["read", log, "--at", "1", "--id", "x"], ["read", log, "--from", "5", "--to", "3"],
                ["append", log], ["append", log, "--type", "t", "--expect", "0"],
                ["append", log, "--type", "t", "--stream", "s", "--expect", "maybe"],
                ["append", log, "--type", "", "--data", "1"], ["append", log, "--type", "t", "--data", "{"],
                ["append", log, "--type", "t\u{1B}", "--data", "1"],
                ["append", log, "--type", "t", "--metadata", "[]"], ["import", log], ["retain", log],
                ["tail", log, "--from", "middle"], ["tail", log, "--limit", "0"], ["stream", log], ["export"],
                ["bench", "--scenario", "frob"], ["init", ""],
            ] {
                let outcome = try Tool.run(arguments)
                #expect(outcome.status == 2 && !outcome.wasKilled, "\(arguments): \(outcome.error)")
                #expect(outcome.error.hasPrefix("tidelog: "), "\(arguments): \(outcome.error)")
                #expect(outcome.error.filter { $0 == "\n" }.count == 1, "\(arguments): \(outcome.error)")
                #expect(outcome.output == "", "\(arguments)")
            }
            #expect(try Tool.succeed("read", log, "--count").output == "0\n")
        }
    }

    @Test("arguments that are no UTF-8 are refused, and nothing is written under another name")
    func malformedArguments() throws {
        try TemporaryFolder.withLog { folder, log in
            for option in [
                "--type", "--type t --stream", "--type t --id", "--type t --source", "--type t --data",
            ] {
                // A shell passes bytes on as they are.
                let shell = Process()
                shell.executableURL = URL(filePath: "/bin/sh")
                shell.arguments = [
                    "-c", "exec \"$0\" append \"$1\" \(option) \"$(printf 'a\\377b')\" 2>\"$2\"",
                    Tool.url.path, log,
                    folder.path("error"),
                ]
                shell.standardOutput = FileHandle.nullDevice
                try shell.run()
                shell.waitUntilExit()
                let error = try String(contentsOf: folder.url("error"), encoding: .utf8)
                #expect(shell.terminationStatus == 2 && error.contains("is not UTF-8"), "\(option): \(error)")
            }
            #expect(try Tool.succeed("read", log, "--count").output == "0\n")
        }
    }

    @Test("help of importing is one page, with every option")
    func importHelp() throws {
        let help = try Tool.succeed("import", "--help").output
        #expect(help.contains("USAGE: tidelog import <log> <file>") && help.contains("--segment-size"))
        #expect(try Tool.fail(2, "import", "log").error.contains("see `tidelog import --help`"))
    }

    @Test("a directory whose parent is missing is not made, and the message says what to do")
    func missingParent() throws {
        try TemporaryFolder.withLog { folder, log in
            for arguments in [["init", folder.path("a/b")], ["backup", log, folder.path("a/b")]] {
                let outcome = try Tool.run(arguments)
                #expect(
                    outcome.status == 3 && outcome.error.contains("make that one first"), "\(outcome.error)")
            }
            #expect(!FileManager.default.fileExists(atPath: folder.path("a")))
        }
    }

    /// Each command with arguments that it would run with, if LOG were a log.
    private static let commands: [[String]] = [
        ["init", "LOG"], ["import", "LOG", "-"], ["append", "LOG", "--type", "t"], ["read", "LOG"],
        ["tail", "LOG", "--limit", "1"], ["stats", "LOG"], ["segments", "LOG"], ["streams", "LOG"],
        ["stream", "LOG", "s"], ["seal", "LOG"], ["compact", "LOG"], ["retain", "LOG", "--max-events", "1"],
        ["truncate", "LOG", "s", "--before", "1"], ["delete", "LOG", "s"], ["verify", "LOG"],
        ["repair", "LOG"],
        ["backup", "LOG", "TARGET"], ["restore", "LOG", "TARGET"], ["export", "ndjson", "LOG"],
        ["export", "cloudevents", "LOG"], ["export", "csv", "LOG"], ["processes", "LOG"],
    ]

    @Test(
        "every command refuses what it does not know and what is no log, in one line",
        arguments: Self.commands)
    func everyCommand(command: [String]) throws {
        try TemporaryFolder.with { folder in
            func run(_ log: String, _ more: String...) throws -> Tool.Outcome {
                let target = folder.path("target")
                let arguments = command.map { $0 == "LOG" ? log : $0 == "TARGET" ? target : $0 } + more
                let outcome = try Tool.run(arguments)
                #expect(!outcome.wasKilled, "\(arguments)")
                #expect(outcome.error.hasPrefix("tidelog: "), "\(arguments): \(outcome.error)")
                #expect(outcome.error.filter { $0 == "\n" }.count == 1, "\(arguments): \(outcome.error)")
                #expect(outcome.output == "", "\(arguments)")
                #expect(!FileManager.default.fileExists(atPath: target), "\(arguments)")
                return outcome
            }
            let missing = folder.path("missing")
            #expect(try run(missing, "--frobnicate").status == 2)
            #expect(try run(missing, "one", "too", "many").status == 2)
            #expect(!FileManager.default.fileExists(atPath: missing))
            #expect(try run(try folder.write("no log", to: "file")).status == 3)
            #expect(try run(folder.path("no/such/folder")).status == 3)
            let foreign = folder.path("foreign")
            try FileManager.default.createDirectory(atPath: foreign, withIntermediateDirectories: false)
            let text = try folder.write(String(repeating: "a", count: 65_536), to: "foreign/head.mdb")
            // Verify reports damage; all others cannot run.
            if command[0] != "verify" && command[0] != "repair" {
                #expect(try run(foreign).status == 3)
                #expect(try Data(contentsOf: URL(filePath: text)).count == 65_536)
            }
            if command[0] != "init" {
                #expect(try run(missing).status == 3)
                #expect(!FileManager.default.fileExists(atPath: missing))
            }
        }
    }

    @Test("what could not run ends with 3 and names the way out")
    func unable() throws {
        try TemporaryFolder.with { folder in
            let missing = folder.path("missing")
            for command in ["read", "tail", "stats", "segments", "streams", "seal", "compact"] {
                let outcome = try Tool.fail(3, command, missing)
                #expect(outcome.error.contains("tidelog init"), "\(command)")
            }
            try Tool.fail(3, "stream", missing, "s")
            try Tool.fail(3, "append", missing, "--type", "t")
            try Tool.fail(3, "import", missing, Sample.path)
            #expect(!FileManager.default.fileExists(atPath: missing))
            let log = folder.path("log")
            try Tool.succeed("init", log)
            try Tool.fail(3, "init", log)
            try Tool.succeed("init", log, "--if-missing")
            try Tool.fail(3, "import", log, folder.path("no-file"))
            try Tool.fail(3, "import", log, folder.root.path())
            try Tool.fail(3, "export", "csv", log, "--output", folder.path("no-folder/file"))
            let file = try folder.write("no log", to: "file")
            try Tool.fail(3, "read", file)
        }
    }

    @Test("a head that is no log ends with 3 wherever it is opened")
    func foreign() throws {
        try TemporaryFolder.with { folder in
            for (name, bytes) in [("empty", 0), ("short", 100), ("zeros", 65_536), ("text", 65_536)] {
                let log = folder.path(name)
                try FileManager.default.createDirectory(atPath: log, withIntermediateDirectories: false)
                let byte: UInt8 = name == "text" ? 0x61 : 0
                try Data(repeating: byte, count: bytes).write(to: folder.url("\(name)/head.mdb"))
                try Tool.fail(3, "read", log)
                try Tool.fail(3, "append", log, "--type", "t")
            }
        }
    }

    @Test("expectations that do not hold end with 1 and change nothing")
    func expectations() throws {
        try TemporaryFolder.withLog { _, log in
            func append(_ expect: String, _ stream: String) -> [String] {
                ["append", log, "--type", "t", "--stream", stream, "--expect", expect]
            }
            for (expect, status) in [
                ("exists", 1), ("0", 1), ("none", 0), ("none", 1), ("exists", 0), ("0", 1), ("1", 0),
                ("any", 0),
            ] as [(String, Int32)] {
                let outcome = try Tool.run(append(expect, "s"))
                #expect(outcome.status == status, "\(expect): \(outcome.error)")
                #expect(outcome.error.isEmpty == (status == 0))
            }
            #expect(try Tool.succeed("read", log, "--count").output == "4\n")
            #expect(try Tool.run(append("none", "other")).output == "position 4, revision 0\n")
            try Tool.fail(1, "read", log, "--at", "5")
            try Tool.fail(1, "read", log, "--id", "nobody")
            try Tool.fail(1, "stream", log, "nobody")
            try Tool.fail(1, "delete", log, "nobody")
            try Tool.fail(1, "truncate", log, "nobody", "--before", "1")
            try Tool.fail(1, "delete", log, "s", "--expect", "7")
            try Tool.succeed("delete", log, "s", "--expect", "3")
            try Tool.fail(1, "append", log, "--type", "t", "--stream", "s")
        }
    }

    @Test("an id appended again answers as the first time, and with other contents is refused")
    func idempotence() throws {
        try TemporaryFolder.withLog { _, log in
            let first = [
                "append", log, "--type", "t", "--stream", "s", "--id", "e1", "--data", "[1]", "--json",
            ]
            let answer = try jsonObject(try Tool.run(first).output)
            #expect(answer["position"] as? Int == 0 && answer["repeated"] as? Bool == false)
            let again = try jsonObject(try Tool.run(first).output)
            #expect(again["position"] as? Int == 0 && again["repeated"] as? Bool == true)
            try Tool.fail(1, "append", log, "--type", "t", "--stream", "s", "--id", "e1", "--data", "[2]")
            #expect(try Tool.succeed("read", log, "--count").output == "1\n")
        }
    }

    @Test("a reader that goes away ends the tool quietly with 0")
    func closedPipe() throws {
        try TemporaryFolder.withLog { folder, log in
            try Tool.succeed("import", log, Sample.path)
            let script = Process()
            script.executableURL = URL(filePath: "/bin/bash")
            script.arguments = [
                "-c",
                #"for i in 1 2 3 4 5 6 7 8; do "$0" read "$1" | head -n 1; echo "${PIPESTATUS[0]}"; done 2>&1"#,
                Tool.url.path(percentEncoded: false), log,
            ]
            let output = Pipe()
            script.standardOutput = output
            try script.run()
            let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            script.waitUntilExit()
            let lines = text.split(separator: "\n")
            #expect(lines.count == 16, "\(text)")
            #expect(lines.enumerated().allSatisfy { $0.offset % 2 == 0 || $0.element == "0" }, "\(text)")
        }
    }

    @Test("an output that is full is an error, not a death by signal")
    func fullOutput() throws {
        try TemporaryFolder.withLog { folder, log in
            try Tool.succeed("import", log, Sample.path)
            let process = try Tool.start(
                ["read", log], output: URL(filePath: "/dev/full"), error: folder.url("stderr"))
            process.waitUntilExit()
            #expect(process.terminationReason == .exit && process.terminationStatus == 3)
            let shell = Process()
            shell.executableURL = URL(filePath: "/bin/bash")
            shell.arguments = [
                "-c", #"ulimit -f 1; "$0" read "$1" >"$2""#, Tool.url.path(percentEncoded: false), log,
                folder.path("limited"),
            ]
            shell.standardError = FileHandle.nullDevice
            try shell.run()
            shell.waitUntilExit()
            #expect(shell.terminationReason == .exit && shell.terminationStatus == 3)
        }
    }
}
