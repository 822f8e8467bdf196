import Testing

@testable import TidelogStorage

/// Reads of some revisions are compared with the same events picked out of a read of everything.
@Suite("Reading some revisions of a stream")
struct RevisionSearchTests {
    let scratch = EngineScratch()

    private static func query(_ stream: String, _ revisions: Range<UInt64>?) -> RecordQuery {
        var query = RecordQuery()
        query.filter.streams = [stream]
        query.filter.revisions = revisions
        return query
    }

    @Test(
        "whatever is asked for, in files and in the head, is what a read of everything has of it",
        arguments: 0..<6 as Range<UInt64>)
    func model(seed: UInt64) throws {
        var random = FrameNumbers(seed: seed)
        var options = self.scratch.options
        // Nothing is kept of streams, so that each read looks for itself.
        options.streamCacheBytes = 0
        let engine = try self.scratch.open(options)
        let names = ["busy", "rare", "even", "late"]
        var number = 0
        for batch in 0..<60 {
            let records = (0..<Int.random(in: 1...40, using: &random)).map { _ -> EventRecord in
                defer { number += 1 }
                let stream =
                    switch Int.random(in: 0..<100, using: &random) {
                    case 0..<2: "rare"
                    case 2..<30: "even"
                    case 30..<40: batch > 50 ? "late" : "even"
                    default: "busy"
                    }
                return EngineScratch.record(number, stream: stream)
            }
            _ = try engine.appendBlocking(records)
            if Int.random(in: 0..<25, using: &random) == 0 { _ = try engine.seal() }
        }
        _ = try engine.seal()
        _ = try engine.appendBlocking(EngineScratch.records(number..<number + 200, stream: "busy"))
        try engine.truncate(stream: "even", before: 40)

        for stream in names + ["none"] {
            let all = try engine.records(Self.query(stream, nil))
            let end = (all.last?.revision ?? 0) + 3
            for _ in 0..<60 {
                let low = UInt64.random(in: 0...end, using: &random)
                let high = Bool.random(using: &random) ? .max : UInt64.random(in: low...end, using: &random)
                var query = Self.query(stream, low..<high)
                var expected = all.filter { (low..<high).contains($0.revision ?? .max) }
                #expect(try engine.records(query) == expected, "\(stream) \(low)..<\(high)")
                query.isBackwards = true
                query.limit = 5
                expected = expected.suffix(5).reversed()
                #expect(try engine.records(query) == expected, "\(stream) \(low)..<\(high), the last five")
            }
        }
        engine.close()
    }

    @Test("the last events of a long stream are found without looking into the blocks before them")
    func fewBlocks() throws {
        var options = self.scratch.options
        options.segmentBytes = 1 << 20
        let engine = try self.scratch.open(options)
        for batch in 0..<40 {
            _ = try engine.appendBlocking(EngineScratch.records(batch * 50..<batch * 50 + 50, bytes: 30))
        }
        _ = try engine.seal()
        let view = try engine.currentView()
        let info = try #require(view.catalogue.segments.last)
        let segment = try engine.segments.segment(info)
        let blocks = Array(segment.blocks.indices)
        #expect(blocks.count > 20)
        func kept(_ revisions: Range<UInt64>) throws -> [Int] {
            let filter = Self.query("s", revisions).filter
            let search = try #require(RevisionSearch(filter, segment, engine.frames))
            return try search.narrowed(blocks)
        }
        let first = info.positions.lowerBound
        let end = info.positions.upperBound
        #expect(try kept(end - 1..<UInt64.max) == [blocks.count - 1])
        #expect(try kept(first..<first + 1) == [0])
        #expect(try kept(0..<UInt64.max) == blocks)
        #expect(try kept(7..<7).isEmpty)
        let middle = segment.blocks[10].firstPosition
        #expect(try kept(middle..<middle + 1) == [10])
        // A name that the index proposed in vain leaves nothing out.
        let filter = Self.query("other", 5..<6).filter
        let search = try #require(RevisionSearch(filter, segment, engine.frames))
        #expect(try search.narrowed(blocks) == blocks)
        engine.close()
    }
}
