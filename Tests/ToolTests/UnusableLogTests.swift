import Foundation
import Testing
import TidelogStorage

@Suite("Logs that cannot be used now")
struct UnusableLogTests {
    /// What makes the modes of files count for root as they do for others: a child that gives up two of its rights.
    private static let asOthers: [String] =
        geteuid() != 0
        ? []
        : [
            "/usr/bin/setpriv", "--inh-caps=-dac_override,-dac_read_search",
            "--bounding-set=-dac_override,-dac_read_search",
        ]

    /// Every command that opens a log.
    private static func commands(_ log: String, _ folder: TemporaryFolder) -> [[String]] {
        [
            ["import", log, "-"], ["append", log, "--type", "t"], ["truncate", log, "s", "--before", "1"],
            ["delete", log, "s"], ["read", log], ["tail", log, "--limit", "1"],
            ["tail", log, "--consumer", "c", "--limit", "1"], ["export", "csv", log], ["stats", log],
            ["segments", log], ["streams", log], ["stream", log, "s"], ["state", log, "s"],
            ["projections", log], ["processes", log], ["schema", log],
            ["consumers", "list", log],
            ["consumers", "create", log, "c"], ["dead-letters", "list", log, "c"], ["seal", log],
            ["compact", log], ["retain", log, "--max-events", "1"], ["verify", log], ["repair", log],
            ["repair", log, "--to", folder.path("repaired")], ["backup", log, folder.path("backup")],
        ]
    }

    /// Expects status 3 and one line on standard error, which is returned, and nothing on standard output.
    private static func refused(_ arguments: [String], by launcher: [String] = []) throws -> String {
        let outcome = try Tool.run(arguments, by: launcher)
        let isRight = outcome.status == 3 && !outcome.wasKilled && outcome.output.isEmpty
        #expect(isRight, "\(arguments): \(outcome.status) \(outcome.error)\(outcome.output)")
        #expect(outcome.error.hasPrefix("tidelog: "), "\(arguments): \(outcome.error)")
        #expect(outcome.error.filter { $0 == "\n" }.count == 1, "\(arguments): \(outcome.error)")
        return outcome.error
    }

    @Test("without permission every command ends with 3 and says what is denied, and nothing changes")
    func permission() throws {
        try TemporaryFolder.withLog { folder, log in
            try Tool.succeed("append", log, "--type", "t", "--stream", "s")
            for (path, mode) in [(log, mode_t(0o700)), (folder.path("log/head.mdb"), mode_t(0o600))] {
                try #require(chmod(path, 0) == 0)
                defer { chmod(path, mode) }
                for arguments in Self.commands(log, folder) {
                    let error = try Self.refused(arguments, by: Self.asOthers)
                    #expect(error.contains("Permission denied") && error.contains("/log"), "\(error)")
                }
            }
            #expect(try Tool.succeed("read", log, "--count").output == "1\n")
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.root.path()) == ["log"])
        }
    }

    @Test("where nothing may be written, logs, backups and exports end with 3")
    func closedFolder() throws {
        try TemporaryFolder.withLog { folder, log in
            let (backup, closed) = (folder.path("backup"), folder.path("closed"))
            try Tool.succeed("backup", log, backup)
            try FileManager.default.createDirectory(atPath: closed, withIntermediateDirectories: false)
            try #require(chmod(closed, 0o500) == 0)
            for arguments in [
                ["init", closed + "/new"], ["init", closed], ["backup", log, closed + "/new"],
                ["restore", backup, closed + "/new"], ["restore", backup, closed],
                ["repair", log, "--to", closed + "/new"],
                ["export", "csv", log, "--output", closed + "/new"],
            ] {
                let error = try Self.refused(arguments, by: Self.asOthers)
                #expect(error.contains("Permission denied") && error.contains("closed"), "\(error)")
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: closed).isEmpty)
        }
    }

    /// Gives a log's head the format version after the newest, as a newer Tidelog would write it.
    private static func makeNewer(_ head: URL) throws {
        var bytes = [UInt8](try Data(contentsOf: head))
        let key = Array("state".utf8)
        let seed = XXH64.hash("state", seed: XXH64.hash("meta"))
        // Behind the key stand a checksum and 72 bytes, of which the first are the version.
        let places = bytes.indices.dropLast(key.count + 80).filter {
            bytes[$0] == key[0] && bytes[$0..<$0 + key.count].elementsEqual(key)
        }
        try #require(!places.isEmpty)
        for place in places {
            let start = place + key.count + 8
            bytes[start] &+= 1
            let checksum = bytes[start..<start + 72].withUnsafeBytes { XXH64.hash($0, seed: seed) }
            for byte in 0..<8 { bytes[start - 8 + byte] = UInt8(truncatingIfNeeded: checksum >> (8 * byte)) }
        }
        try Data(bytes).write(to: head)
    }

    @Test("of a newer format every command ends with 3 and says so, and nothing changes")
    func newer() throws {
        try TemporaryFolder.withLog { folder, log in
            try Tool.succeed("append", log, "--type", "t", "--stream", "s")
            let head = folder.url("log/head.mdb")
            try Self.makeNewer(head)
            let before = try Data(contentsOf: head)
            for arguments in Self.commands(log, folder) {
                let error = try Self.refused(arguments)
                #expect(
                    error.contains("format version 2") && error.contains("use a newer Tidelog"), "\(error)")
            }
            #expect(try Data(contentsOf: head) == before)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.root.path()) == ["log"])
        }
    }

    @Test("what is open is not repaired: status 3 and the process that has it; the log stays in use")
    func repairOfOpen() throws {
        try TemporaryFolder.withLog { folder, log in
            try Tool.succeed("append", log, "--type", "t")
            let tail = try Tool.start(
                ["tail", log, "--from", "0"], output: folder.url("tail"), error: folder.url("error"))
            defer { if tail.isRunning { tail.terminate() } }
            try waitUntil("the tail has begun") { try !Data(contentsOf: folder.url("tail")).isEmpty }
            for arguments in [["repair", log], ["repair", log, "--to", folder.path("repaired")]] {
                let error = try Self.refused(arguments)
                #expect(error.contains("process \(tail.processIdentifier) has the log open"), "\(error)")
            }
            #expect(!FileManager.default.fileExists(atPath: folder.path("repaired")))
            try Tool.succeed("append", log, "--type", "later")
            try waitUntil("the tail goes on") {
                try String(contentsOf: folder.url("tail"), encoding: .utf8).contains("later")
            }
            tail.terminate()
            tail.waitUntilExit()
            try Tool.succeed("repair", log)
        }
    }

    @Test("what another process works on is locked: status 3 for a repair, and for a second backup at once")
    func locked() throws {
        try TemporaryFolder.withLog { folder, log in
            let backup = folder.path("backup")
            try Tool.succeed("backup", log, backup)
            for (name, arguments) in [
                ("log/open.lock", ["repair", log]), ("log/maintenance.lock", ["repair", log]),
                ("backup/backup.lock", ["backup", log, backup]),
            ] {
                let descriptor = open(folder.path(name), O_RDWR | O_CLOEXEC)
                try #require(descriptor >= 0 && flock(descriptor, LOCK_EX | LOCK_NB) == 0, "\(name)")
                let error = try Self.refused(arguments)
                #expect(error.contains(name) && error.contains("another process"), "\(error)")
                close(descriptor)
                let freed = try Tool.run(arguments)
                #expect(freed.status == 0, "\(arguments): \(freed.error)")
            }
        }
    }

    @Test("without room an import ends with 3, its whole batches stay, and it goes on once there is room")
    func noRoom() throws {
        try TemporaryFolder.withLog { folder, log in
            let random = try #require(FileHandle(forReadingAtPath: "/dev/urandom"))
            let lines = try (0..<200).map { number in
                let bytes = try random.read(upToCount: 48 << 10) ?? Data()
                return #"{"id":"e\#(number)","type":"t","payload":"\#(bytes.base64EncodedString())"}"#
            }
            let file = try folder.write(lines.joined(separator: "\n"), to: "events.ndjson")
            // A limit on the size of files, in KiB, is met as a full disk is.
            let limited = ["/bin/bash", "-c", #"ulimit -f 8000; exec "$@""#, "bash"]
            let error = try Self.refused(["import", log, file, "--batch", "10"], by: limited)
            #expect(error.contains("no room"), "\(error)")
            let count = try Tool.succeed("read", log, "--count").output.dropLast()
            let stored = try #require(Int(count))
            #expect((0..<200).contains(stored) && stored % 10 == 0, "\(stored)")
            try Tool.succeed("verify", log)
            try Tool.succeed("import", log, file)
            #expect(try Tool.succeed("read", log, "--count").output == "200\n")
        }
    }
}
