import Foundation
import Testing

@Suite("Help and reports")
struct ReportTests {
    private static let commands = [
        "init", "import", "append", "read", "tail", "stats", "segments", "streams", "stream", "seal",
        "compact",
        "retain", "truncate", "delete", "export", "bench", "verify", "repair", "backup", "restore", "state",
        "projections", "processes", "schema", "consumers", "dead-letters",
    ]

    @Test("each command has a help with an example", arguments: commands)
    func help(command: String) throws {
        let help = try Tool.succeed(command, "--help").output
        #expect(help.contains("Example") && help.contains("tidelog \(command) "))
        #expect(try Tool.succeed("--help").output.contains("\n  \(command) "))
    }

    @Test("completion scripts are made for the shells, and bash accepts its own")
    func completion() throws {
        for shell in ["bash", "zsh", "fish"] {
            let script = try Tool.succeed("--generate-completion-script", shell).output
            let missing = Self.commands.filter { !script.contains($0) }
            #expect(missing.isEmpty, "\(shell)")
        }
        try TemporaryFolder.with { folder in
            let script = try Tool.succeed("--generate-completion-script", "bash").output
            let file = try folder.write(script, to: "completion")
            let bash = Process()
            bash.executableURL = URL(filePath: "/bin/bash")
            bash.arguments = ["-n", file]
            try bash.run()
            bash.waitUntilExit()
            #expect(bash.terminationStatus == 0)
        }
    }

    @Test("--json is one object that says what the table says")
    func json() throws {
        try TemporaryFolder.withLog { folder, log in
            let imported = try jsonObject(try Tool.succeed("import", log, Sample.path, "--json").output)
            #expect(imported["added"] as? Int == 731)
            let before = try jsonObject(try Tool.succeed("stats", log, "--json").output)
            #expect(before["events"] as? Int == 731 && before["active_events"] as? Int == 731)
            #expect(before["next_position"] as? Int == 731 && before["segments"] as? Int == 0)
            let sealed = try jsonObject(try Tool.succeed("seal", log, "--json").output)
            #expect(sealed["events"] as? Int == 731)
            let again = try jsonObject(try Tool.succeed("seal", log, "--json").output)
            #expect(again["events"] as? Int == 0)
            let after = try jsonObject(try Tool.succeed("stats", log, "--json").output)
            #expect(
                after["sealed_events"] as? Int == 731
                    && after["log_id"] as? String == before["log_id"] as? String)
            let segments = try jsonObject(try Tool.succeed("segments", log, "--json").output)
            let list = try #require(segments["segments"] as? [[String: Any]])
            #expect(list.count == 1 && list[0]["events"] as? Int == 731)
            #expect(list[0]["file_bytes"] as? Int == after["sealed_bytes"] as? Int)
            let name = try #require(list[0]["file"] as? String)
            #expect(FileManager.default.fileExists(atPath: folder.path("log/segments/\(name)")))
            let streams = try Tool.succeed("streams", log, "--json", "--prefix", "N1").lines.map {
                try jsonObject(String($0))
            }
            #expect(
                !streams.isEmpty && streams.allSatisfy { ($0["stream"] as? String)?.hasPrefix("N1") ?? false }
            )
            let stream = try jsonObject(try Tool.succeed("stream", log, "N14228", "--json").output)
            #expect(stream["events"] as? Int == 2 && stream["last_type"] as? String == "flight.arrived")
            let compacted = try jsonObject(try Tool.succeed("compact", log, "--keep-latest", "--json").output)
            let removed = try #require(compacted["events_removed"] as? Int)
            #expect(removed > 0)
            #expect(try Tool.succeed("read", log, "--count").output == "\(731 - removed)\n")
            let rehearsed = try jsonObject(
                try Tool.succeed("retain", log, "--max-events", "0", "--dry-run", "--json").output)
            #expect((rehearsed["dropped"] as? [Any])?.count == 1)
            #expect(try Tool.succeed("read", log, "--count").output == "\(731 - removed)\n")
            try Tool.succeed("retain", log, "--max-events", "0")
            #expect(try Tool.succeed("read", log, "--count").output == "0\n")
            let next = try jsonObject(try Tool.succeed("append", log, "--type", "t", "--json").output)
            #expect(next["position"] as? Int == 731, "positions are not used again")
        }
    }

    @Test("with --json what changes something tells what it did; without, it says nothing")
    func changes() throws {
        try TemporaryFolder.with { folder in
            let log = folder.path("log")
            func answer(_ arguments: String...) throws -> [String: Any] {
                let outcome = try Tool.run(arguments + ["--json"])
                #expect(outcome.status == 0 && outcome.error == "", "\(arguments): \(outcome.error)")
                #expect(outcome.lines.count == 1, "\(arguments): \(outcome.output)")
                return try jsonObject(outcome.output)
            }
            let made = try answer("init", log)
            #expect(made["log"] as? String == log && made["made"] as? Bool == true)
            #expect(try answer("init", log, "--if-missing")["made"] as? Bool == false)
            #expect(try Tool.succeed("init", log, "--if-missing").output == "")
            try Tool.succeed("import", log, Sample.path)
            let truncated = try answer("truncate", log, "N14228", "--before", "1")
            #expect(truncated["stream"] as? String == "N14228" && truncated["before"] as? Int == 1)
            #expect(try answer("delete", log, "N14228", "--expect", "1")["deleted"] as? Bool == true)
            #expect(try Tool.succeed("truncate", log, "N24211", "--before", "1").output == "")
            #expect(try Tool.succeed("delete", log, "N24211").output == "")

            #expect(
                try answer("consumers", "create", log, "c", "--from", "end")["offset"] as? Int == 731)
            #expect(try answer("consumers", "reset", log, "c", "--to", "5")["offset"] as? Int == 5)
            #expect(try answer("consumers", "pause", log, "c")["paused"] as? Bool == true)
            #expect(try answer("consumers", "resume", log, "c")["paused"] as? Bool == false)
            #expect(try answer("consumers", "rename", log, "c", "d")["consumer"] as? String == "d")
            #expect(try answer("consumers", "clone", log, "d", "e")["consumer"] as? String == "e")
            #expect(try answer("consumers", "delete", log, "d")["deleted"] as? Bool == true)
            #expect(try Tool.succeed("consumers", "delete", log, "e").output == "")
        }
    }

    @Test("with --json events are counted, exported and checked against a schema as one object too")
    func readingJSON() throws {
        try TemporaryFolder.withLog { folder, log in
            try Tool.succeed("import", log, Sample.path)
            let counted = try jsonObject(try Tool.succeed("read", log, "--count", "--json").output)
            #expect(counted["events"] as? Int == 731)
            let line = try Tool.succeed("read", log, "--at", "7", "--json").output
            #expect(try jsonObject(line)["position"] as? Int == 7)
            let tail = try Tool.succeed("tail", log, "--from", "7", "--limit", "1", "--json").output
            #expect(tail == line)
            let file = folder.path("events.csv")
            let written = try jsonObject(
                try Tool.succeed("export", "csv", log, "--output", file, "--json").output)
            #expect(written["events"] as? Int == 731 && written["file"] as? String == file)
            let checked = try jsonObject(
                try Tool.succeed("schema", log, "flight.arrived", "--check", "--json").output)
            #expect(checked["events"] as? Int == 294 && checked["misfits"] as? Int == 0)
            // CSV is no JSON, and events on standard output leave no place for a report.
            try Tool.fail(2, "read", log, "--format", "csv", "--json")
            try Tool.fail(2, "tail", log, "--format", "csv", "--json")
            try Tool.fail(2, "export", "csv", log, "--json")
        }
    }

    @Test("tables line up, and say numbers as people read them")
    func tables() throws {
        try TemporaryFolder.withLog { _, log in
            try Tool.succeed("import", log, Sample.path)
            try Tool.succeed("seal", log)
            let stats = try Tool.succeed("stats", log).output
            #expect(stats.contains("events       731\n") && stats.contains("731 events in 1 segments"))
            let streams = try Tool.succeed("streams", log, "--limit", "30").lines
            #expect(streams.count == 31 && streams[0].hasPrefix("stream"))
            let column = try #require(streams[0].range(of: "revisions")).upperBound.utf16Offset(
                in: streams[0])
            for line in streams {
                let end = line.index(line.startIndex, offsetBy: column)
                #expect(line[..<end].last != " " && (end == line.endIndex || line[end] == " "), "\(line)")
            }
            let names = streams.dropFirst().map { $0.prefix { $0 != " " } }
            #expect(names == names.sorted())
            let rest = try Tool.succeed("streams", log, "--after", String(names[9]), "--limit", "1").lines
            #expect(rest.count == 2 && rest[1].hasPrefix(names[10]))
        }
    }

    @Test("a small benchmark reports every scenario as a line of JSON with the peers' members")
    func bench() throws {
        try TemporaryFolder.with { folder in
            let input = folder.path("events.bin")
            try Tool.succeed("bench", "--write-input", input, "--events", "2000", "--streams", "50")
            let outcome = try Tool.run([
                "bench", "--json", "--scenario", "append-2x100", "--scenario", "seal", "--scenario", "read",
                "--input", input, "--directory", folder.root.path(percentEncoded: false), "--events", "2000",
                "--seconds", "5", "--runs", "1",
            ])
            #expect(outcome.status == 0, "\(outcome.error)")
            let results = try outcome.lines.map { try jsonObject(String($0)) }
            let names = results.compactMap { $0["scenario"] as? String }
            for name in [
                "append-2x100", "seal", "replay", "point", "count-type", "stream", "stream-cold", "bytes",
            ] {
                #expect(names.contains(name), "\(name)")
            }
            for result in results {
                #expect(result["peer"] as? String == "tidelog")
                #expect(result["events"] is Int && result["seconds"] is Double)
                #expect(result["events_per_second"] is Double)
            }
            let left = try FileManager.default.contentsOfDirectory(
                atPath: folder.root.path(percentEncoded: false))
            #expect(left == ["events.bin"], "the logs are removed")
        }
    }
}
