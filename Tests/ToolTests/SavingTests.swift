import Foundation
import Testing
import TidelogTesting

@Suite("Verify, repair, backup, restore")
struct SavingTests {
    /// A log with two sealed files and an active part: 300, 200 and 231 events.
    private static func prepare(_ folder: TemporaryFolder) throws -> (log: String, lines: [String]) {
        let log = folder.path("whole")
        try Tool.succeed("init", log)
        let lines = try Sample.lines()
        for part in [lines[..<300], lines[300..<500], lines[500...]] {
            try Tool.succeed("import", log, "-", "--batch", "50", input: part.joined(separator: "\n"))
            if part.endIndex < lines.count { try Tool.succeed("seal", log) }
        }
        return (log, lines)
    }

    private static func copy(_ log: String, to copy: String) throws {
        try? FileManager.default.removeItem(atPath: copy)
        try FileManager.default.copyItem(atPath: log, toPath: copy)
    }

    private static func damage(_ url: URL, at offset: Int) throws {
        var bytes = try Data(contentsOf: url)
        bytes[offset] ^= 0x40
        try FileManager.default.removeItem(at: url)
        try bytes.write(to: url)
    }

    @Test("a whole log verifies with 0 and needs no repair")
    func whole() throws {
        try TemporaryFolder.with { folder in
            let (log, lines) = try Self.prepare(folder)
            #expect(try Tool.succeed("verify", log).output.hasPrefix("Whole: 731 positions, 2 segments"))
            let deep = try jsonObject(try Tool.succeed("verify", log, "--deep", "--json").output)
            #expect(deep["clean"] as? Bool == true && deep["segments"] as? Int == 2)
            #expect(
                (deep["findings"] as? [[String: Any]])?.allSatisfy { $0["note"] as? Bool == true } ?? false)
            let repaired = try jsonObject(try Tool.succeed("repair", log, "--json").output)
            #expect(repaired["changed"] as? Bool == false)
            #expect(try Tool.succeed("read", log).lines.map(withoutPlace) == lines)
            try Tool.fail(3, "verify", folder.path("missing"))
            try Tool.fail(3, "repair", folder.path("missing"))
            try Tool.fail(3, "verify", try folder.write("no log", to: "file"))
        }
    }

    @Test("damage in a sealed file is found, named and repaired, and the rest of the log stays")
    func sealedFile() throws {
        try TemporaryFolder.with { folder in
            let (log, lines) = try Self.prepare(folder)
            let name = "00000000000000000000.mdb"
            let size = try Data(contentsOf: folder.url("whole/segments/\(name)")).count
            for offset in [200, size / 2, size - 10] {
                let damaged = folder.path("damaged")
                try Self.copy(log, to: damaged)
                try Self.damage(folder.url("damaged/segments/\(name)"), at: offset)
                let found = try Tool.run(["verify", damaged, "--json"])
                #expect(found.status == 1 && !found.wasKilled, "\(offset): \(found.error)")
                let report = try jsonObject(found.output)
                #expect(report["clean"] as? Bool == false)
                #expect(found.output.contains(name))

                let target = folder.path("repaired-\(offset)")
                let repair = try Tool.run(["repair", damaged, "--to", target, "--json"])
                #expect([0, 1].contains(repair.status) && !repair.wasKilled, "\(offset): \(repair.error)")
                let outcome = try jsonObject(repair.output)
                #expect(outcome["changed"] as? Bool == true)
                try Tool.succeed("verify", target)
                let kept = try Tool.succeed("read", target).lines.map(withoutPlace)
                #expect(kept.count == outcome["events_kept"] as? Int)
                #expect(kept.suffix(431) == lines[300...], "what is outside of the file is whole")
                #expect(Set(kept).isSubset(of: lines))
                let lost = try #require(outcome["lost"] as? [[String: Any]])
                #expect(lost.isEmpty == (kept.count == lines.count))
                #expect((repair.status == 0) == lost.isEmpty)
                let next = try Tool.succeed("append", target, "--type", "after").output
                #expect(next == "position 731\n", "positions are not used again")
            }
        }
    }

    @Test("a damaged head never ends verify or repair by a signal, and a repair keeps nothing wrong")
    func head() throws {
        try TemporaryFolder.with { folder in
            let (log, lines) = try Self.prepare(folder)
            let head = folder.url("whole/head.mdb")
            let size = try Data(contentsOf: head).count
            let seed = TestSeed.draw(for: "damage that verify and repair meet")
            var random = SeededGenerator(seed: seed)
            let damaged = folder.path("damaged")
            let target = folder.path("repaired")
            let parts = Damages.count(60)
            for part in 0..<parts {
                try Self.copy(log, to: damaged)
                let offset = size * part / parts + random.below(size / parts)
                try Self.damage(folder.url("damaged/head.mdb"), at: offset)
                let what = Comment(rawValue: "seed \(seed), byte \(offset)")
                let found = try Tool.run(["verify", damaged])
                #expect(!found.wasKilled && [0, 1, 3].contains(found.status), what)
                #expect((found.status == 3) == !found.error.isEmpty, what)
                if part % 3 > 0, found.status == 0 { continue }
                try? FileManager.default.removeItem(atPath: target)
                let repair = try Tool.run(["repair", damaged, "--to", target])
                #expect(!repair.wasKilled && [0, 1, 3].contains(repair.status), what)
                guard repair.status < 2 else { continue }
                try Tool.succeed("verify", target)
                let kept = try Tool.succeed("read", target).lines.map(withoutPlace)
                #expect(Set(kept).isSubset(of: lines), what)
            }
        }
    }

    @Test("a backup is restored to a log that reads the same, and copies only what is new")
    func backup() throws {
        try TemporaryFolder.with { folder in
            let (log, _) = try Self.prepare(folder)
            let (copy, restored) = (folder.path("backup"), folder.path("restored"))
            let first = try jsonObject(try Tool.succeed("backup", log, copy, "--json").output)
            #expect(first["segments_copied"] as? Int == 2 && first["segments_kept"] as? Int == 0)
            try Tool.succeed("restore", copy, restored)
            #expect(try Tool.succeed("read", restored).outputBytes == Tool.succeed("read", log).outputBytes)
            try Tool.succeed("verify", restored)
            try Tool.fail(3, "restore", copy, restored)
            try Tool.fail(3, "restore", folder.path("no-backup"), folder.path("elsewhere"))
            try Tool.fail(3, "backup", folder.path("missing"), folder.path("elsewhere"))
            #expect(!FileManager.default.fileExists(atPath: folder.path("elsewhere")))

            try Tool.succeed("append", log, "--type", "later")
            try Tool.succeed("seal", log)
            let second = try jsonObject(try Tool.succeed("backup", log, copy, "--json").output)
            #expect(second["segments_copied"] as? Int == 1 && second["segments_kept"] as? Int == 2)
            let again = folder.path("again")
            try Tool.succeed("restore", copy, again)
            #expect(try Tool.succeed("read", again).outputBytes == Tool.succeed("read", log).outputBytes)

            let before = try jsonObject(try Tool.succeed("stats", log, "--json").output)
            let after = try jsonObject(try Tool.succeed("stats", again, "--json").output)
            #expect(before["log_id"] as? String == after["log_id"] as? String)
            #expect(after["incarnation"] as? Int == 1)
        }
    }

    @Test("a damaged backup is not restored, and leaves nothing")
    func damagedBackup() throws {
        try TemporaryFolder.with { folder in
            let (log, _) = try Self.prepare(folder)
            let copy = folder.path("backup")
            try Tool.succeed("backup", log, copy)
            let segments = try FileManager.default.contentsOfDirectory(atPath: folder.path("backup/segments"))
            let file = folder.url("backup/segments/\(try #require(segments.sorted().first))")
            try Self.damage(file, at: 5000)
            let restored = folder.path("restored")
            let error = try Tool.fail(3, "restore", copy, restored).error
            #expect(error.contains("00000000000000000000"))
            #expect(!FileManager.default.fileExists(atPath: restored))
        }
    }
}
