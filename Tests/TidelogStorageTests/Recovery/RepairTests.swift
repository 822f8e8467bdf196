import Glibc
import Testing
import TidelogTesting

@testable import TidelogStorage

@Suite("Repair")
struct RepairTests {
    @Test("nothing is done to a healthy log, and a copy of it has everything", arguments: [UInt64](31...36))
    func healthy(seed: UInt64) throws {
        let log = SampleLog(seed: seed)
        try log.make(steps: 5 + Int(seed - 30) * 3)
        let contents = try log.contents
        let before = try log.files.map { try Files.status($0) }
        let outcome = try Repair.run(directory: log.directory, options: RepairOptions())
        #expect(!outcome.isChanged)
        #expect(outcome.findings.isEmpty)
        #expect(try log.files.map { try Files.status($0) } == before)

        var options = RepairOptions()
        options.target = log.scratch.file("copy")
        let copy = try Repair.run(directory: log.directory, options: options)
        #expect(copy.isChanged)
        #expect(copy.lost.isEmpty, "seed \(seed): \(copy.lost)")
        #expect(copy.lostRecords.isEmpty, "seed \(seed): \(copy.lostRecords)")
        #expect(try SampleLog.contents(log.scratch.file("copy")) == contents, "seed \(seed)")
        #expect(try log.contents == contents)
    }

    @Test("what a repaired log goes on with is the log's own: id, streams, hidden streams, records")
    func goesOn() throws {
        let log = SampleLog(seed: 40)
        let engine = try log.open()
        try log.append(engine, 300)
        try engine.truncate(stream: "stream-3", before: 2)
        try engine.delete(stream: "stream-4", expecting: .any)
        _ = try engine.appendBlocking(
            [], changing: [.set(.app, key: [1, 2], value: [3, 4])])
        let state = try engine.currentView().state
        let end = try engine.currentView().end
        let summaries = try (0..<12).map { try engine.stream("stream-\($0)") }
        let contents = try engine.records(RecordQuery())
        engine.close()
        var options = RepairOptions()
        options.target = log.scratch.file("copy")
        let outcome = try Repair.run(directory: log.directory, options: options)
        #expect(outcome.nextPosition == end)

        let again = try LogEngine(directory: log.scratch.file("copy"), options: SampleLog.options)
        defer { again.close() }
        let view = try again.currentView()
        #expect(view.state.logID == state.logID)
        #expect(view.state.incarnation == state.incarnation + 1)
        #expect(view.end == end)
        #expect(try again.records(RecordQuery()) == contents)
        for number in 0..<12 {
            let found = try again.stream("stream-\(number)")
            #expect(found == summaries[number], "stream-\(number)")
        }
        let value = try again.head.environment.read { transaction throws(StorageError) in
            try again.head.databases.record(.app, key: [1, 2], in: transaction)
        }
        #expect(value == [3, 4])
        let stream = try #require(summaries[1])
        let appended = try again.appendBlocking([
            EventRecord(id: .text("one-more"), type: "t", stream: "stream-1", timestamp: 1)
        ])
        #expect(appended.firstPosition == end)
        #expect(appended.lastRevisions == [stream.lastRevision + 1])
        expectError(.streamDeleted) {
            _ = try again.appendBlocking([
                EventRecord(id: .text("two-more"), type: "t", stream: "stream-4", timestamp: 1)
            ])
        }
    }

    @Test("a log that somebody has open is not repaired", .startsProcesses)
    func open() async throws {
        let log = SampleLog(seed: 41)
        try log.make(steps: 5, isPlain: true)
        let engine = try log.open()
        expectError(.locked) { _ = try Repair.run(directory: log.directory, options: RepairOptions()) }
        await #expect(processExitsWith: .exitCode(7)) { [directory = log.directory as String] in
            do throws(StorageError) {
                _ = try Repair.run(directory: directory, options: RepairOptions())
            } catch {
                exit(error.code == .locked ? 7 : 1)
            }
        }
        engine.close()
        #expect(try !Repair.run(directory: log.directory, options: RepairOptions()).isChanged)
    }

    @Test("flips and cuts of a segment: every event that is not reported lost is where and what it was")
    func damagedSegments() throws {
        try self.damage(seeds: 8, rounds: 6) { log, random in
            let files = try log.files.dropFirst()
            return files.isEmpty ? nil : Array(files)[random.below(files.count)]
        }
    }

    @Test("flips and cuts of the head: every event that is not reported lost is where and what it was")
    func damagedHead() throws {
        try self.damage(seeds: 10, rounds: 8) { log, _ in log.directory + "/head.mdb" }
    }

    /// Damages a file of a log in random ways, and checks what verification and repair make of it.
    private func damage(
        seeds: Int, rounds: Int, _ choose: (SampleLog, inout SeededRandom) throws -> String?
    ) throws {
        let base = TestSeed.draw(for: "damage to repair") % 1_000_000_000
        for seed in base..<base + UInt64(seeds) {
            let log = SampleLog(seed: seed)
            var random = SeededRandom(seed ^ 0x5EED)
            try log.make(steps: 4 + random.below(16), isPlain: random.below(3) > 0)
            let contents = try log.contents
            for round in 0..<rounds {
                let copy = log.scratch.file("copy-\(round)")
                try copyTree(log.directory, to: copy)
                guard let file = try choose(log, &random) else { continue }
                let path = copy + file.dropFirst(log.directory.utf8.count)
                let damage = try Self.damage(path, &random)
                try Self.check(
                    copy, contents,
                    "seed \(seed), round \(round): \(damage) of \(file.dropFirst(log.directory.utf8.count))"
                )
                ScratchDirectory.remove(copy)
            }
        }
    }

    private static func damage(_ path: String, _ random: inout SeededRandom) throws -> String {
        let size = try Files.size(path)
        switch random.below(6) {
        case 0...2:
            let bit = random.below(size * 8)
            try flip(path, bit: bit)
            return "bit \(bit) flipped"
        case 3:
            let bits = (0..<5).map { _ in random.below(size * 8) }
            for bit in bits { try flip(path, bit: bit) }
            return "bits \(bits) flipped"
        case 4:
            let page = random.below(size / 4096)
            chmod(path, 0o600)
            try overwrite(path, at: page * 4096, with: [UInt8](repeating: 0, count: 4096))
            return "page \(page) zeroed"
        default:
            let length = random.below(size)
            try cut(path, to: length)
            return "cut to \(length)"
        }
    }

    private static func check(_ directory: String, _ contents: [PlacedRecord], _ what: String) throws {
        let outcome = try SampleLog.verify(directory)
        let repair = try Repair.run(directory: directory, options: RepairOptions())
        #expect(outcome.isClean == !repair.isChanged, "\(what)")
        #expect(try SampleLog.verify(directory).isClean, "\(what)")
        let engine = try LogEngine(directory: directory, options: SampleLog.options)
        defer { engine.close() }
        let survivors = try engine.records(RecordQuery())
        let lost = PositionRanges(repair.lost.map(\.positions))
        var kept: [UInt64: PlacedRecord] = [:]
        for survivor in survivors { kept[survivor.position] = survivor }
        for original in contents {
            if let survivor = kept.removeValue(forKey: original.position) {
                #expect(survivor == original, "\(what)")
            } else {
                #expect(lost.contains(original.position), "\(what): position \(original.position)")
            }
        }
        // Events that truncation had hidden may come back only where the head lost its records of that.
        if repair.lostRecords.isEmpty { #expect(kept.isEmpty, "\(what): \(kept.keys.sorted())") }
        let end = try engine.currentView().end
        if let last = contents.last { #expect(end > last.position, "\(what)") }
        #expect(end == repair.nextPosition || !repair.isChanged, "\(what)")
        let appended = try engine.appendBlocking([EventRecord(id: .text("next"), type: "t", timestamp: 1)])
        #expect(appended.firstPosition == end, "\(what)")
    }
}
