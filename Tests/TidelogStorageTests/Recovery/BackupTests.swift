import Glibc
import Testing
import TidelogTesting

@testable import TidelogStorage

@Suite("Backup and restore")
struct BackupTests {
    @Test(
        "a restored log holds what the backed-up one held, at the same positions", arguments: [UInt64](1...8))
    func roundTrip(seed: UInt64) throws {
        let log = SampleLog(seed: seed)
        try log.make(steps: 6 + Int(seed) * 2)
        let engine = try log.open()
        let contents = try engine.records(RecordQuery())
        let state = try engine.currentView().state
        let backup = log.scratch.file("backup")
        let outcome = try engine.backUp(to: backup)
        #expect(outcome.segmentsKept == 0)
        #expect(outcome.manifest.positions.upperBound == (try engine.currentView().end))
        engine.close()
        #expect(try Restore.check(backup) == outcome.manifest)

        let restored = log.scratch.file("restored")
        let result = try Restore.run(from: backup, to: restored)
        #expect(try SampleLog.verify(restored).findings.isEmpty)
        #expect(try SampleLog.contents(restored) == contents, "seed \(seed)")
        #expect(result.state.logID == state.logID)
        #expect(result.state.incarnation == state.incarnation + 1)
        #expect(try Files.status(restored).mode == 0o700)
        #expect(try Files.status(restored + "/head.mdb").mode == 0o600)
        for name in try Files.list(restored + "/segments") {
            #expect(try Files.status(restored + "/segments/" + name).mode == 0o400)
        }
        #expect(try Files.kind(restored + "/" + Restore.markName) == nil)
    }

    @Test("a second backup copies only new segments and leaves the files of the others alone")
    func incremental() throws {
        let log = SampleLog(seed: 21)
        let engine = try log.open()
        defer { engine.close() }
        let backup = log.scratch.file("backup")
        try log.append(engine, 400)
        let first = try engine.seal().count
        let outcome = try engine.backUp(to: backup)
        #expect(outcome.segmentsCopied == first)
        let files = try Files.list(backup + "/segments")
        let before = try files.map { try Files.status(backup + "/segments/" + $0) }

        try log.append(engine, 400)
        let second = try engine.seal().count
        try log.append(engine, 10)
        let again = try engine.backUp(to: backup)
        #expect(again.segmentsKept == first)
        #expect(again.segmentsCopied == second)
        #expect(try files.map { try Files.status(backup + "/segments/" + $0) } == before)
        #expect(try Files.list(backup).filter { $0.hasPrefix("head-") } == [again.manifest.head.name])

        // What compaction replaced leaves the backup as well.
        var policy = CompactionPolicy()
        policy.mergedBytes = 64 << 20
        _ = try engine.compact(policy)
        let merged = try engine.backUp(to: backup)
        #expect(merged.manifest.segments.count == (try engine.currentView().catalogue.segments.count))
        #expect(try Files.list(backup + "/segments") == merged.manifest.segments.map(\.file.name).sorted())
        let restored = log.scratch.file("restored")
        _ = try Restore.run(from: backup, to: restored)
        #expect(try SampleLog.contents(restored) == (try engine.records(RecordQuery())))
    }

    @Test(
        "a backup while four writers append is a prefix of the log, with nothing acknowledged before it missing"
    )
    func hot() async throws {
        let log = SampleLog(seed: 22)
        let engine = try log.open()
        let backup = log.scratch.file("backup")
        let batches = (0..<4).map { _ in (0..<30).map { _ in (0..<20).map { _ in log.record() } } }
        let outcomes = try await withThrowingTaskGroup(of: Void.self) { group in
            for batch in batches {
                group.addTask {
                    for records in batch { _ = try await engine.append(records) }
                }
            }
            var outcomes: [(before: UInt64, manifest: BackupManifest)] = []
            for round in 0..<4 {
                let before = try engine.currentView().end
                let directory = "\(backup)-\(round)"
                outcomes.append((before, try engine.backUp(to: directory).manifest))
                if round == 1 { _ = try engine.seal() }
            }
            try await group.waitForAll()
            return outcomes
        }
        let contents = try engine.records(RecordQuery())
        engine.close()
        #expect(contents.count == 2400)
        for (round, outcome) in outcomes.enumerated() {
            let restored = log.scratch.file("restored-\(round)")
            _ = try Restore.run(from: "\(backup)-\(round)", to: restored)
            let copy = try SampleLog.contents(restored)
            #expect(UInt64(copy.count) == outcome.manifest.positions.upperBound)
            #expect(UInt64(copy.count) >= outcome.before)
            #expect(copy == Array(contents.prefix(copy.count)))
            #expect(try SampleLog.verify(restored).findings.isEmpty)
        }
    }

    @Test("a kill after any step leaves the old backup or the new one, whole")
    func killedAnywhere() throws {
        let log = SampleLog(seed: 23)
        let engine = try log.open()
        defer { engine.close() }
        let backup = log.scratch.file("backup")
        try log.append(engine, 300)
        _ = try engine.seal()
        _ = try engine.backUp(to: backup)
        let old = try engine.records(RecordQuery())
        try log.append(engine, 300)
        _ = try engine.seal()
        var policy = CompactionPolicy()
        policy.mergedBytes = 64 << 20
        _ = try engine.compact(policy)
        try log.append(engine, 20)
        let new = try engine.records(RecordQuery())

        // What a kill after a step leaves is what stands there at that moment.
        var snapshots: [(step: BackupStep, path: String)] = []
        _ = try engine.backUp(
            to: backup,
            step: { step throws(StorageError) in
                let path = log.scratch.file("snapshot-\(snapshots.count)")
                try copyTree(backup, to: path)
                snapshots.append((step, path))
            })
        #expect(Set(snapshots.map(\.step)).count == 6)
        var hasCommitted = false
        for (step, path) in snapshots {
            hasCommitted = hasCommitted || step == .manifestWritten
            let restored = path + "-restored"
            _ = try Restore.run(from: path, to: restored)
            #expect(try SampleLog.contents(restored) == (hasCommitted ? new : old), "\(step)")
            // And the next backup goes on from there.
            let again = try engine.backUp(to: path)
            #expect(try Restore.check(path) == again.manifest)
            #expect(try Files.list(path).allSatisfy { !$0.hasSuffix(".tmp") })
            #expect(try Files.list(path + "/segments").allSatisfy { !$0.hasSuffix(".tmp") })
        }
    }

    @Test("a backup that fails, or is ended by its progress, leaves the earlier one")
    func failing() throws {
        let log = SampleLog(seed: 24)
        let engine = try log.open()
        defer { engine.close() }
        let backup = log.scratch.file("backup")
        try log.append(engine, 200)
        let first = try engine.backUp(to: backup).manifest
        try log.append(engine, 400)
        _ = try engine.seal()
        for step in [BackupStep.segmentWritten, .segmentNamed, .headWritten, .headNamed] {
            expectError(.diskFull) {
                _ = try engine.backUp(
                    to: backup,
                    step: { now throws(StorageError) in
                        if now == step { throw StorageError(.diskFull, "no room") }
                    })
            }
            #expect(try Restore.check(backup) == first)
        }
        expectError(.cancelled) {
            _ = try engine.backUp(
                to: backup,
                progress: { _ throws(StorageError) in throw StorageError(.cancelled, "enough") })
        }
        #expect(try Restore.check(backup) == first)
    }

    @Test(
        "a process killed in the middle of its first backup leaves a directory that the next one takes over",
        .startsProcesses)
    func killedProcess() async throws {
        let log = SampleLog(seed: 25)
        try log.make(steps: 12, isPlain: true)
        let backup = log.scratch.file("backup")
        await #expect(processExitsWith: .signal(SIGKILL)) {
            [directory = log.directory as String, backup = backup as String] in
            let engine = try LogEngine(directory: directory, options: SampleLog.options)
            _ = try engine.backUp(
                to: backup,
                step: { step in
                    if step == .headWritten { kill(getpid(), SIGKILL) }
                })
        }
        expectError(.notFound) { _ = try Restore.check(backup) }
        let engine = try log.open()
        defer { engine.close() }
        let outcome = try engine.backUp(to: backup)
        #expect(try Restore.check(backup) == outcome.manifest)
    }

    @Test(
        "directories with anything else in them, and backups of other logs and of later copies, are refused")
    func targets() throws {
        let log = SampleLog(seed: 26)
        try log.make(steps: 5, isPlain: true)
        let engine = try log.open()
        defer { engine.close() }
        let full = log.scratch.file("full")
        try Files.createDirectory(full)
        try Files.writeAtomically([1], to: full + "/letter")
        expectError(.alreadyExists) { _ = try engine.backUp(to: full) }
        #expect(try Files.list(full) == ["letter"])
        expectError(.alreadyExists) { _ = try engine.backUp(to: log.directory) }
        expectError(.alreadyExists) { _ = try engine.backUp(to: log.directory + "/segments") }
        expectError(.notFound) { _ = try engine.backUp(to: log.scratch.file("none/none")) }

        let other = SampleLog(seed: 27)
        try other.make(steps: 3, isPlain: true)
        let otherEngine = try other.open()
        let backup = log.scratch.file("backup")
        _ = try otherEngine.backUp(to: backup)
        expectError(.alreadyExists) { _ = try engine.backUp(to: backup) }

        let restored = other.scratch.file("restored")
        _ = try Restore.run(from: backup, to: restored)
        let later = try LogEngine(directory: restored, options: SampleLog.options)
        _ = try later.backUp(to: backup)
        later.close()
        expectError(.alreadyExists) { _ = try otherEngine.backUp(to: backup) }
        otherEngine.close()
    }

    @Test("a flipped bit anywhere in a backup makes restoring fail, names the file, and leaves nothing")
    func damagedBackup() throws {
        let seed = TestSeed.draw(for: "flips in a backup")
        let log = SampleLog(seed: 28)
        try log.make(steps: 10, isPlain: true)
        let engine = try log.open()
        _ = try engine.seal()
        try log.append(engine, 30)
        let backup = log.scratch.file("backup")
        let manifest = try engine.backUp(to: backup).manifest
        engine.close()
        var random = SeededRandom(seed)
        let files =
            ["manifest", manifest.head.name] + manifest.segments.map { "segments/" + $0.file.name }
        for file in files + files {
            let path = backup + "/" + file
            let bit = random.below(try Files.size(path) * 8)
            try flip(path, bit: bit)
            let target = log.scratch.file("target")
            let error = expectError(.corrupted) { _ = try Restore.run(from: backup, to: target) }
            #expect(
                error?.path?.hasSuffix(file) == true, "seed \(seed), bit \(bit): \(String(describing: error))"
            )
            #expect(try Files.kind(target) == nil, "seed \(seed), bit \(bit) of \(file)")
            try flip(path, bit: bit)
        }
        _ = try Restore.run(from: backup, to: log.scratch.file("target"))
    }

    @Test("a backup is restored into a missing or empty directory only, and over an interrupted restore")
    func restoreTargets() throws {
        let log = SampleLog(seed: 29)
        try log.make(steps: 6, isPlain: true)
        let contents = try log.contents
        let engine = try log.open()
        let backup = log.scratch.file("backup")
        _ = try engine.backUp(to: backup)
        engine.close()
        expectError(.alreadyExists) { _ = try Restore.run(from: backup, to: log.directory) }
        #expect(try log.contents == contents)
        expectError(.notFound) { _ = try Restore.run(from: log.directory, to: log.scratch.file("x")) }

        let target = log.scratch.file("target")
        try Files.createDirectory(target)
        try Files.createDirectory(target + "/segments")
        try Files.writeAtomically([], to: target + "/" + Restore.markName)
        try Files.writeAtomically([1, 2], to: target + "/segments/00000000000000000000.mdb")
        try Files.writeAtomically([1, 2], to: target + "/head.mdb.tmp")
        _ = try Restore.run(from: backup, to: target)
        #expect(try SampleLog.contents(target) == contents)
    }
}
