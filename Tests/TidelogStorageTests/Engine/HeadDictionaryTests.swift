import Testing
import TidelogTesting

@testable import TidelogStorage

/// What the head has of dictionaries.
private struct HeadDictionaryState {
    /// The one for new frames; 0 for none.
    var current: UInt32
    var stored: Set<UInt32> = []
    /// What the frames that are not sealed refer to.
    var used: Set<UInt32> = []
    /// The bytes of those frames.
    var frameBytes = 0

    init(_ engine: LogEngine) throws(StorageError) {
        let databases = engine.head.databases
        let (current, stored, used, bytes) = try engine.head.environment.read {
            transaction throws(StorageError) in
            let state = try databases.state(in: transaction)
            var (stored, used, bytes) = (Set<UInt32>(), Set<UInt32>(), 0)
            try transaction.scan(databases.dictionaries, from: .first) { key, _ in
                stored.insert(UInt32(truncatingIfNeeded: key.integerKey))
                return true
            }
            try transaction.scan(databases.frames, from: .atOrAfterInteger(state.sealedEnd)) {
                _, frame throws(StorageError) in
                let header = try FrameHeader.parse(frame, expectedFirstPosition: nil)
                if header.dictionaryID != 0 { used.insert(header.dictionaryID) }
                bytes += frame.count
                return true
            }
            return (state.dictionaryID, stored, used, bytes)
        }
        (self.current, self.stored, self.used, self.frameBytes) = (current, stored, used, bytes)
    }
}

@Suite("Dictionaries of the head")
struct HeadDictionaryTests {
    let scratch = EngineScratch()

    private static let events = 200

    private var options: EngineOptions {
        var options = self.scratch.options
        options.segmentBytes = 96 << 10
        options.dictionaryBytes = 4 << 10
        options.dictionaryEvents = Self.events
        return options
    }

    /// Events that resemble each other, those of each era in another way.
    private static func record(_ number: Int, era: Int = 0) -> EventRecord {
        let payload =
            #"{"meter":"M-\#(number % 97)","reading_of_era_\#(era)":\#(number &* 7919 % 10_007),"unit":"#
            + #""kWh-\#(era)","station":{"name":"Station \#(era * 31)","line":\#(number % 5)},"ok":true}"#
        return EventRecord(
            id: .text("e\(number)"), type: "meter.read", stream: "m\(number % 11)", timestamp: Int64(number),
            payload: ArraySlice(payload.utf8))
    }

    /// Appends events, each in a frame of its own.
    private static func appendSingles(_ engine: LogEngine, _ numbers: Range<Int>, era: Int = 0) throws {
        for number in numbers { _ = try engine.appendBlocking([self.record(number, era: era)]) }
    }

    private static func appendBatch(_ engine: LogEngine, _ numbers: Range<Int>, era: Int = 0) throws {
        _ = try engine.appendBlocking(numbers.map { self.record($0, era: era) })
    }

    private static func contents(_ engine: LogEngine) throws -> [EventRecord] {
        try engine.records(RecordQuery()).map(\.record)
    }

    @Test("once a segment is sealed, single events take a fifth less of the head, or better")
    func smaller() throws {
        var engine = try self.scratch.open(self.options)
        try Self.appendSingles(engine, 0..<50)
        let before = try HeadDictionaryState(engine)
        #expect(before.current == 0 && before.stored.isEmpty && before.used.isEmpty)
        try Self.appendBatch(engine, 50..<600)
        _ = try engine.seal()
        try Self.appendSingles(engine, 600..<650)
        let after = try HeadDictionaryState(engine)
        #expect(after.current != 0)
        #expect(after.stored == [after.current] && after.used == [after.current])
        #expect(Double(after.frameBytes) < 0.8 * Double(before.frameBytes))

        // Frames of many events are as small without.
        try Self.appendBatch(engine, 650..<750)
        #expect(try HeadDictionaryState(engine).stored.count == 1)
        let expected = (0..<750).map { Self.record($0) }
        #expect(try Self.contents(engine) == expected)
        engine.close()
        engine = try self.scratch.open(self.options)
        #expect(try Self.contents(engine) == expected)
        #expect(try engine.record(at: 620)?.record == expected[620])
        // A repeat is compared with what was compressed.
        #expect(try engine.appendBlocking([expected[620]]).firstPosition == 620)
        engine.close()
        #expect(try SampleLog.verify(self.scratch.directory).findings.isEmpty)
    }

    @Test("a log that trains no dictionary has none in its head")
    func none() throws {
        var options = self.options
        options.dictionaryBytes = 0
        let engine = try self.scratch.open(options)
        defer { engine.close() }
        try Self.appendBatch(engine, 0..<600)
        _ = try engine.seal()
        try Self.appendSingles(engine, 600..<620)
        let state = try HeadDictionaryState(engine)
        #expect(state.current == 0 && state.stored.isEmpty && state.used.isEmpty)
    }

    @Test("a dictionary stays as long as a frame refers to it, and no longer", arguments: 0..<6)
    func kept(run: Int) throws {
        let seed = TestSeed.draw(for: "dictionaries of the head, run \(run)")
        var random = SeededRandom(seed)
        var engine = try self.scratch.open(self.options)
        var next = 0
        for step in 0..<30 {
            let count = 1 + random.below(40)
            switch random.below(8) {
            case 0...2:
                try Self.appendSingles(engine, next..<next + count, era: step)
                next += count
            case 3...4:
                try Self.appendBatch(engine, next..<next + 12 * count, era: step)
                next += 12 * count
            case 5:
                _ = try engine.seal()
            case 6:
                // Not the one that grows: frames there may refer to the dictionary that was current before.
                try engine.maintenance.exclusively(engine) { () throws(StorageError) in
                    _ = try engine.sealFullChunks { false }
                }
            default:
                engine.close()
                engine = try self.scratch.open(self.options)
            }
            let state = try HeadDictionaryState(engine)
            let comment: Comment = "seed \(seed), step \(step)"
            #expect(state.used.isSubset(of: state.stored), comment)
            #expect(state.stored.count <= 3, comment)
        }
        try Self.appendBatch(engine, next..<next + 300)
        _ = try engine.seal()
        let state = try HeadDictionaryState(engine)
        #expect(state.stored == [state.current], "seed \(seed)")
        #expect(
            try Self.contents(engine).map(\.id) == (0..<next + 300).map { Identifier.text("e\($0)") },
            "seed \(seed)")
        engine.close()
        #expect(try SampleLog.verify(self.scratch.directory).findings.isEmpty, "seed \(seed)")
    }

    @Test("frames that wait to be sealed keep the dictionary before the current one in the head")
    func waiting() throws {
        let engine = try self.scratch.open(self.options)
        defer { engine.close() }
        try Self.appendBatch(engine, 0..<600)
        _ = try engine.seal()
        let first = try HeadDictionaryState(engine).current
        // A chunk that gets full, then single frames in the next one, all of them with the first dictionary.
        var next = 600
        while engine.shared.withLock({ $0.active.chunks.count == 1 }) {
            try Self.appendBatch(engine, next..<next + 100, era: 1)
            next += 100
        }
        try Self.appendSingles(engine, next..<next + 20)
        try engine.maintenance.exclusively(engine) { () throws(StorageError) in
            _ = try engine.sealFullChunks { false }
        }
        let state = try HeadDictionaryState(engine)
        #expect(state.current != first)
        #expect(state.stored == [first, state.current] && state.used == [first])
        try Self.appendSingles(engine, next + 20..<next + 30)
        #expect(try HeadDictionaryState(engine).used == [first, state.current])
        #expect(try Self.contents(engine).count == next + 30)
        _ = try engine.seal()
        #expect(try HeadDictionaryState(engine).stored == [state.current])
    }

    @Test("who copied frames out of the head reads on while they are sealed and their dictionary goes")
    func copied() throws {
        let engine = try self.scratch.open(self.options)
        defer { engine.close() }
        try Self.appendBatch(engine, 0..<600)
        _ = try engine.seal()
        try Self.appendSingles(engine, 600..<700)
        let dictionary = try HeadDictionaryState(engine).current
        var query = RecordQuery()
        query.positions = 600..<700
        var found: [Identifier] = []
        var next = 700
        try engine.scan(query) { (frame, selection) throws(StorageError) in
            try frame.require(.all)
            if found.isEmpty {
                // Often enough for the dictionary to be gone from memory too.
                for era in 1...6 {
                    let numbers = next..<next + 600
                    _ = try engine.appendBlocking(numbers.map { Self.record($0, era: era) })
                    _ = try engine.seal()
                    _ = try engine.appendBlocking([Self.record(numbers.upperBound, era: era)])
                    _ = try engine.record(at: UInt64(numbers.upperBound))
                    next = numbers.upperBound + 1
                }
            }
            return try selection.forEach(backwards: false) { (index) throws(StorageError) in
                found.append(try frame.record(index).id)
                return true
            }
        }
        #expect(try !HeadDictionaryState(engine).stored.contains(dictionary))
        #expect(found == (600..<700).map { .text("e\($0)") })
    }

    @Test("another process's writer takes the dictionary that this one made current")
    func shared() throws {
        let engine = try self.scratch.open(self.options)
        try Self.appendBatch(engine, 0..<600)
        _ = try engine.seal()
        let first = try HeadDictionaryState(engine).current
        engine.close()
        // Opened anew, it knows the head alone, as another process does.
        let other = try self.scratch.open(self.options)
        defer { other.close() }
        try Self.appendSingles(other, 600..<610)
        #expect(try HeadDictionaryState(other).used == [first])
    }

    // MARK: Damage

    /// A log of a segment and of single events that refer to its dictionary, whose copy in the head is damaged.
    private func makeDamaged() throws -> [EventRecord] {
        let engine = try self.scratch.open(self.options)
        try Self.appendBatch(engine, 0..<300)
        _ = try engine.seal()
        try Self.appendSingles(engine, 300..<340)
        let id = try HeadDictionaryState(engine).current
        let bytes = try engine.head.environment.read { transaction throws(StorageError) in
            try engine.head.databases.dictionary(id, in: transaction)
        }
        let contents = try Self.contents(engine)
        engine.close()
        let path = self.scratch.directory + "/" + Head.Names.head
        let file = try Files.contents(path, maximumBytes: 1 << 30)
        let wanted = try #require(bytes)
        let start = try #require(file.indices.first { file[$0...].starts(with: wanted) })
        try flip(path, bit: 8 * (start + wanted.count / 2))
        return contents
    }

    @Test("where the head's copy of a dictionary is damaged, the segment's serves: to read, and to repair")
    func damaged() throws {
        let contents = try self.makeDamaged()
        let engine = try self.scratch.open(self.options)
        #expect(try Self.contents(engine) == contents)
        try Self.appendSingles(engine, 340..<345)
        engine.close()
        let findings = try SampleLog.verify(self.scratch.directory).findings
        #expect(findings.map(\.kind) == [.headValue], "\(findings)")

        let outcome = try Repair.run(directory: self.scratch.directory, options: RepairOptions())
        #expect(outcome.isChanged && outcome.lost.isEmpty, "\(outcome.lost)")
        #expect(try SampleLog.verify(self.scratch.directory).findings.isEmpty)
        let repaired = try self.scratch.open(self.options)
        defer { repaired.close() }
        #expect(try Self.contents(repaired) == contents + (340..<345).map { Self.record($0) })
    }

    @Test(
        "where no segment has it either, what refers to it is an error and is reported lost; the rest is there"
    )
    func lost() throws {
        let contents = try self.makeDamaged()
        var engine = try self.scratch.open(self.options)
        var limits = RetentionLimits()
        limits.maximumEvents = 40
        _ = try engine.retain(limits)
        #expect(try engine.currentView().catalogue.segments.isEmpty)
        engine.close()

        engine = try self.scratch.open(self.options)
        let appended = try engine.appendBlocking([Self.record(340)])
        #expect(appended.firstPosition == 340)
        #expect(try engine.record(at: 340)?.record == Self.record(340))
        expectError(.corrupted) { _ = try engine.record(at: 310) }
        expectError(.corrupted) { _ = try engine.records(RecordQuery()) }
        // What stands in the envelope needs no dictionary.
        #expect(try engine.stream("m3")?.lastRevision == 30)
        engine.close()

        let outcome = try Repair.run(directory: self.scratch.directory, options: RepairOptions())
        #expect(PositionRanges(outcome.lost.map(\.positions)).ranges == [300..<340])
        let repaired = try self.scratch.open(self.options)
        defer { repaired.close() }
        #expect(try Self.contents(repaired) == [Self.record(340)])
        #expect(contents.count == 340)
    }
}
