import Glibc
import Testing

@testable import TidelogStorage

@Suite("Compaction")
struct CompactionTests {
    let scratch = EngineScratch()

    /// Seals one segment that holds an event of each of the streams.
    private func segment(_ engine: LogEngine, _ streams: [String], from number: Int) throws {
        _ = try engine.appendBlocking(
            streams.enumerated().map { EngineScratch.record(number + $0.offset, stream: $0.element) })
        _ = try engine.seal()
    }

    /// Name and inode of each segment's file.
    private func files(_ engine: LogEngine) throws -> [String] {
        try engine.currentView().catalogue.segments.map { info in
            var status = stat()
            #expect(lstat(self.scratch.directory + "/segments/" + info.fileName, &status) == 0)
            return "\(info.fileName) \(status.st_ino)"
        }
    }

    private static func policy(latest: Bool, mergedBytes: Int = 0) -> CompactionPolicy {
        var policy = CompactionPolicy()
        policy.keepsLatestOnly = latest
        policy.mergedBytes = mergedBytes
        return policy
    }

    private func streams(_ engine: LogEngine) throws -> [String] {
        try engine.records(RecordQuery()).map { "\($0.record.stream ?? "-")@\($0.position)" }
    }

    @Test("keeping the latest event of each stream leaves segments alone of which nothing goes")
    func latest() throws {
        let engine = try self.scratch.open()
        try self.segment(engine, ["a", "b", "c"], from: 0)
        try self.segment(engine, ["d", "a"], from: 10)
        try self.segment(engine, ["e", "f"], from: 20)
        try self.segment(engine, ["g", "b"], from: 30)
        // In the head, and not sealed: supersedes what is sealed all the same.
        _ = try engine.appendBlocking([EngineScratch.record(40, stream: "d")])
        let before = try self.files(engine)
        let outcome = try engine.compact(Self.policy(latest: true))
        let after = try self.files(engine)
        #expect(outcome.eventsRemoved == 3)
        #expect(after[0] != before[0] && after[1] != before[1])
        #expect(Array(after[2...]) == Array(before[2...]))
        #expect(try self.streams(engine) == ["c@2", "a@4", "e@5", "f@6", "g@7", "b@8", "d@9"])

        let version = try engine.currentView().state.catalogueVersion
        #expect(try engine.compact(Self.policy(latest: true)).eventsRemoved == 0)
        #expect(try self.files(engine) == after)
        #expect(try engine.currentView().state.catalogueVersion == version)
        engine.close()
    }

    @Test("removing what was truncated rewrites the segments that hold it, and those alone, and only once")
    func truncated() throws {
        let engine = try self.scratch.open()
        try self.segment(engine, ["a", "b", "a"], from: 0)
        try self.segment(engine, ["a", "c"], from: 10)
        try self.segment(engine, ["d"], from: 20)
        // The stream lives on in the head, so that the log goes on remembering what is hidden of it.
        _ = try engine.appendBlocking([EngineScratch.record(30, stream: "a")])
        try engine.truncate(stream: "a", before: 2)
        let before = try self.files(engine)
        #expect(try engine.compact(Self.policy(latest: false)).eventsRemoved == 2)
        let after = try self.files(engine)
        #expect(after[0] != before[0])
        #expect(Array(after[1...]) == Array(before[1...]))
        #expect(try engine.compact(Self.policy(latest: false)).eventsRemoved == 0)
        #expect(try self.files(engine) == after)
        #expect(try self.streams(engine) == ["b@1", "a@3", "c@4", "d@5", "a@6"])
        engine.close()
    }

    @Test("small neighbours are merged, and what was merged is left alone the next time")
    func merged() throws {
        let engine = try self.scratch.open()
        for round in 0..<5 { try self.segment(engine, ["a", "b"], from: round * 10) }
        let streams = try self.streams(engine)
        let bytes = try engine.currentView().catalogue.segments[0].uncompressedBytes
        let policy = Self.policy(latest: false, mergedBytes: bytes * 5 / 2)
        #expect(try engine.compact(policy).segmentsAfter == 3)
        let after = try self.files(engine)
        #expect(try engine.compact(policy).segmentsAfter == 3)
        #expect(try self.files(engine) == after)
        #expect(try self.streams(engine) == streams)
        engine.close()
    }

    @Test("what is hidden stays hidden when it is sealed while a compaction runs", .timeLimit(.minutes(30)))
    func hiddenDuringCompaction() throws {
        var options = self.scratch.options
        options.sealsInBackground = true
        options.maximumUnsealedSegments = 1
        options.segmentBytes = 2 << 10
        let engine = try self.scratch.open(options)
        for round in 0..<20 {
            let first = round * 100
            _ = try engine.appendBlocking(
                [EngineScratch.record(first, stream: "t\(round)")]
                    + EngineScratch.records(first + 1..<first + 40, stream: "other"))
            try engine.truncate(stream: "t\(round)", before: 1)
            _ = try engine.compact(Self.policy(latest: false))
            #expect(try !self.streams(engine).contains { $0.hasPrefix("t") })
        }
        _ = try engine.seal()
        #expect(try !self.streams(engine).contains { $0.hasPrefix("t") })
        engine.close()
    }

    @Test("names come in the order of their bytes, whatever they have in common")
    func order() {
        var random = SeededRandom(7)
        for _ in 0..<40 {
            var table = StreamTable()
            let prefix = String(repeating: "p", count: random.below(12))
            var names: Set<String> = []
            for _ in 0..<200 {
                let length = random.below(14)
                let tail = (0..<length).map { _ in ["a", "b", "\u{0}", "é", "z"][random.below(5)] }.joined()
                names.insert(prefix + tail)
            }
            for name in names where !name.isEmpty { _ = table.findOrInsert(name, nextRevision: 0) }
            let ordered = table.entriesInOrder().map { Array(table.name($0).utf8) }
            #expect(ordered.count == names.filter { !$0.isEmpty }.count)
            #expect(zip(ordered, ordered.dropFirst()).allSatisfy { $0.lexicographicallyPrecedes($1) })
        }
    }
}
