import Glibc
import Testing

@testable import TidelogStorage

@Suite("Verification")
struct VerificationTests {
    @Test("healthy logs of many shapes are clean, shallow and deep", arguments: [UInt64](1...12))
    func healthy(seed: UInt64) throws {
        let log = SampleLog(seed: seed)
        try log.make(steps: 4 + Int(seed) * 3)
        let contents = try log.contents
        for deep in [false, true] {
            let outcome = try log.verify(deep: deep)
            #expect(outcome.findings.isEmpty, "seed \(seed): \(outcome.findings)")
            #expect(outcome.state != nil)
            if let last = contents.last { #expect(outcome.end > last.position) }
        }
    }

    @Test("a log that was just created is clean")
    func new() throws {
        let log = SampleLog(seed: 1)
        try log.open().close()
        let outcome = try log.verify()
        #expect(outcome.findings.isEmpty, "\(outcome.findings)")
        #expect(outcome.end == 0)
    }

    @Test("a log is verified while this process has it open, and through its own environment only")
    func open() throws {
        let log = SampleLog(seed: 2)
        try log.make(steps: 20)
        let engine = try log.open()
        defer { engine.close() }
        var options = VerificationOptions()
        options.isDeep = true
        let outcome = try engine.verify(options)
        #expect(outcome.findings.isEmpty, "\(outcome.findings)")
        expectError(.locked) { _ = try log.verify() }
    }

    @Test("where there is no log is an error and no finding")
    func missing() throws {
        let scratch = ScratchDirectory()
        expectError(.notFound) { _ = try SampleLog.verify(scratch.file("none")) }
        expectError(.notFound) { _ = try SampleLog.verify(scratch.path) }
        try Files.writeAtomically([1], to: scratch.file("file"))
        expectError(.invalidArgument) { _ = try SampleLog.verify(scratch.file("file")) }
    }

    @Test("missing, exchanged, cut and foreign segments are found, and leftovers are noted")
    func segments() throws {
        let log = SampleLog(seed: 3)
        let engine = try log.open()
        for _ in 0..<4 {
            try log.append(engine, 300)
            _ = try engine.seal()
        }
        let catalogue = try engine.currentView().catalogue.segments
        engine.close()
        try #require(catalogue.count >= 4)
        let segments = log.directory + "/segments/"
        try Files.unlink(segments + catalogue[0].fileName)
        try Files.unlink(segments + catalogue[1].fileName)
        symlink(segments + catalogue[2].fileName, segments + catalogue[1].fileName)
        try cut(segments + catalogue[3].fileName, to: catalogue[3].fileBytes - 4096)
        try Files.writeAtomically([1, 2, 3], to: segments + "stray")
        let outcome = try log.verify()
        #expect(!outcome.isClean)
        func finding(_ kind: RecoveryFinding.Kind, _ index: Int) -> RecoveryFinding? {
            outcome.findings.first { $0.kind == kind && $0.file == "segments/" + catalogue[index].fileName }
        }
        #expect(finding(.segmentMissing, 0)?.positions == catalogue[0].positions)
        #expect(finding(.segmentFile, 1)?.message.contains("symbolic link") == true)
        #expect(finding(.segmentFile, 3) != nil)
        #expect(outcome.findings.contains { $0.file == "segments/stray" && $0.isNote })
    }

    @Test("a head that is missing or a symbolic link is found")
    func head() throws {
        let log = SampleLog(seed: 4)
        try log.make(steps: 6, isPlain: true)
        let path = log.directory + "/head.mdb"
        try Files.rename(path, to: log.directory + "/elsewhere")
        var outcome = try log.verify()
        #expect(outcome.findings.contains { $0.kind == .headFile && !$0.isNote })
        symlink(log.directory + "/elsewhere", path)
        outcome = try log.verify()
        #expect(outcome.findings.contains { $0.kind == .headFile && $0.message.contains("symbolic link") })
    }

    @Test("streams whose names differ in bytes alone are told apart, and such a log is clean and backed up")
    func equivalentNames() throws {
        let log = SampleLog(seed: 40)
        let engine = try log.open()
        // One "é" of one code point, one of two: equal to Swift, and not to the log.
        for (index, name) in ["caf\u{E9}", "cafe\u{301}", "caf\u{E9}", "caf\u{E9}", "cafe\u{301}"]
            .enumerated()
        {
            if index == 2 { _ = try engine.seal() }
            _ = try engine.appendBlocking([
                EventRecord(id: .text("e\(index)"), type: "t", stream: name, timestamp: 1)
            ])
        }
        _ = try engine.backUp(to: log.scratch.file("backup"))
        engine.close()
        #expect(try log.verify().findings.isEmpty)
    }
}
