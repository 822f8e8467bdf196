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
                let (damage, bit) = try Self.damage(path, &random)
                let hit = try bit.flatMap { try Self.positions(ofByte: $0 / 8, in: file) }
                try Self.check(
                    copy, contents, hit: hit,
                    "seed \(seed), round \(round): \(damage) of \(file.dropFirst(log.directory.utf8.count))"
                )
                ScratchDirectory.remove(copy)
            }
        }
    }

    /// The positions of the frame or block of a sound log that has this byte of a file; nil if none has.
    private static func positions(ofByte offset: Int, in file: String) throws -> Range<UInt64>? {
        let descriptor = try Files.openReadOnlyNoFollow(file)
        var places: [(bytes: Range<Int>, positions: Range<UInt64>)] = []
        if file.hasSuffix(Head.Names.head) {
            let walk = try HeadWalk(descriptor: descriptor.number, path: file, mode: .salvage) { item in
                guard case .frame(let frame) = item else { return }
                let end = frame.fileOffset + frame.byteCount
                places.append((frame.fileOffset..<end, frame.positions))
            }
            _ = try walk.run(snapshot: nil)
        } else {
            let remains = try SegmentRemains(descriptor: descriptor.number, path: file, info: nil)
            places = remains.blocks.map { ($0.fileOffset..<$0.fileOffset + $0.byteCount, $0.positions) }
        }
        descriptor.close()
        return places.first { $0.bytes.contains(offset) }?.positions
    }

    /// Damages a file; tells how, and which bit it was if it was only one.
    private static func damage(
        _ path: String, _ random: inout SeededRandom
    ) throws -> (what: String, bit: Int?) {
        let size = try Files.size(path)
        switch random.below(6) {
        case 0...2:
            let bit = random.below(size * 8)
            try flip(path, bit: bit)
            return ("bit \(bit) flipped", bit)
        case 3:
            let bits = (0..<5).map { _ in random.below(size * 8) }
            for bit in bits { try flip(path, bit: bit) }
            return ("bits \(bits) flipped", nil)
        case 4:
            let page = random.below(size / 4096)
            chmod(path, 0o600)
            try overwrite(path, at: page * 4096, with: [UInt8](repeating: 0, count: 4096))
            return ("page \(page) zeroed", nil)
        default:
            let length = random.below(size)
            try cut(path, to: length)
            return ("cut to \(length)", nil)
        }
    }

    /// - Parameter hit: the positions of the one frame or block that was damaged, if it was only that.
    private static func check(
        _ directory: String, _ contents: [PlacedRecord], hit: Range<UInt64>?, _ what: String
    ) throws {
        let outcome = try SampleLog.verify(directory)
        let repair = try Repair.run(directory: directory, options: RepairOptions())
        #expect(outcome.isClean == !repair.isChanged, "\(what)")
        #expect(try SampleLog.verify(directory).isClean, "\(what)")
        let engine = try LogEngine(directory: directory, options: SampleLog.options)
        defer { engine.close() }
        let survivors = try engine.records(RecordQuery())
        let lost = PositionRanges(repair.lost.map(\.positions))
        let doubled = survivors.map(\.position).filter { lost.contains($0) }
        #expect(doubled.isEmpty, "\(what): lost, and there all the same: \(doubled)")
        if let hit { Self.check(repair, hit, survivors, what) }
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

    /// Requires that damage to one frame or block costs that one alone.
    private static func check(
        _ repair: RepairOutcome, _ hit: Range<UInt64>, _ survivors: [PlacedRecord], _ what: String
    ) {
        #expect(repair.isChanged, "\(what)")
        for range in repair.lost {
            let positions = range.positions
            #expect((hit.lowerBound...hit.upperBound).contains(positions.lowerBound), "\(what): \(range)")
            if range.isCertain {
                #expect(positions.upperBound <= hit.upperBound, "\(what): \(range)")
            } else {
                // How far the last frame went, only its header would tell.
                #expect(survivors.allSatisfy { $0.position < hit.upperBound }, "\(what): \(range)")
            }
        }
    }
}
