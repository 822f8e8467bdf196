import Testing

@testable import TidelogStorage

/// Sealed segments against brute force over the events that went in.
@Suite("Sealed segments")
struct SegmentTests {
    @Test("what went in comes out, each event at its place", arguments: SegmentSample.shapes, [false, true])
    func roundTrip(shape: SegmentSample.Shape, dictionary: Bool) throws {
        let scratch = ScratchDirectory()
        let sample = SegmentSample(shape)
        let dictionary = dictionary && sample.events.count > 500
        let info = try sample.seal(in: scratch.path, dictionary: dictionary)
        #expect(info.positions == shape.firstPosition..<sample.end)
        #expect(info.count == sample.events.count)
        #expect(info.minTimestamp == sample.events.map(\.record.timestamp).min())
        #expect(info.maxTimestamp == sample.events.map(\.record.timestamp).max())
        #expect((info.dictionaryID != 0) == dictionary)
        #expect(try Files.list(scratch.path) == [info.fileName])
        #expect(try Files.status("\(scratch.path)/\(info.fileName)").mode == 0o400)
        let segment = try Segment.open(directory: scratch.path, info: info, logID: SegmentSample.logID)
        #expect(try segment.allEvents() == sample.events, "seed \(sample.seed)")
        #expect(segment.verify(deep: true).map(\.description) == [], "seed \(sample.seed)")
        #expect(segment.verify(deep: false).isEmpty)
    }

    @Test(
        "streams, correlations, ids and types are found in exactly their blocks",
        arguments: SegmentSample.shapes)
    func indexesAgainstBruteForce(shape: SegmentSample.Shape) throws {
        let scratch = ScratchDirectory()
        let sample = SegmentSample(shape)
        let segment = try Segment.open(
            directory: scratch.path, info: try sample.seal(in: scratch.path), logID: SegmentSample.logID)
        var streams: [String: [Int: Int]] = [:]
        var correlations: [Identifier: [Int: Int]] = [:]
        var types: [String: [Int: Int]] = [:]
        for event in sample.events {
            let block = try #require(segment.block(containing: event.position)).number
            types[event.record.type, default: [:]][block, default: 0] += 1
            if let stream = event.record.stream { streams[stream, default: [:]][block, default: 0] += 1 }
            if let id = event.record.correlation { correlations[id, default: [:]][block, default: 0] += 1 }
        }
        for (stream, expected) in streams {
            try Self.expect(try segment.streamPostings(stream), include: expected, seed: sample.seed)
        }
        for (id, expected) in correlations {
            try Self.expect(try segment.correlationPostings(id), include: expected, seed: sample.seed)
        }
        for event in sample.events {
            let block = try #require(segment.block(containing: event.position)).number
            #expect(try segment.idCandidates(event.record.id).contains(block), "seed \(sample.seed)")
        }
        for (type, expected) in types {
            let found = try segment.typeBlocks(type)
            #expect(Dictionary(uniqueKeysWithValues: found.map { ($0.block, $0.count) }) == expected)
            #expect(found.map(\.block) == expected.keys.sorted())
        }
        let counts = try segment.typeCounts()
        #expect(counts.map(\.type) == types.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
        #expect(counts.map(\.count) == counts.map { types[$0.type]?.values.reduce(0, +) })
        #expect(try segment.typeBlocks("no.such.type").isEmpty)
        #expect(try segment.typeBlocks("").isEmpty)
    }

    /// Another name may share an entry, so there may be more than expected, but never less.
    private static func expect(_ found: [BlockPosting], include expected: [Int: Int], seed: UInt64) throws {
        #expect(zip(found, found.dropFirst()).allSatisfy { $0.block < $1.block })
        let counts = Dictionary(uniqueKeysWithValues: found.map { ($0.block, $0.count) })
        #expect(expected.allSatisfy { counts[$0.key, default: 0] >= $0.value }, "seed \(seed)")
    }

    @Test("what is not there is found about once in 4,096 lookups")
    func absentNames() throws {
        let scratch = ScratchDirectory()
        var shape = SegmentSample.shapes[2]
        shape.events = 4_000
        let sample = SegmentSample(shape, seed: 1)
        let segment = try Segment.open(directory: scratch.path, info: try sample.seal(in: scratch.path))
        var hits = 0
        for number in 0..<10_000 {
            if try !segment.streamPostings("absent-\(number)").isEmpty { hits += 1 }
            if try !segment.idCandidates(.text("absent-\(number)")).isEmpty { hits += 1 }
        }
        #expect(hits < 40)
    }

    @Test("blocks are given in both directions from any position", arguments: SegmentSample.shapes)
    func walks(shape: SegmentSample.Shape) throws {
        let scratch = ScratchDirectory()
        let sample = SegmentSample(shape)
        let segment = try Segment.open(directory: scratch.path, info: try sample.seal(in: scratch.path))
        let blocks = segment.blocks
        #expect(blocks.map(\.count).reduce(0, +) == sample.events.count)
        let edges = blocks.flatMap { [$0.firstPosition, $0.lastPosition, $0.lastPosition + 1] }
        for position in Set([0, shape.firstPosition, sample.end, .max] + edges.prefix(40)) {
            var forwards: [UInt64] = []
            try segment.forEachBlock(from: position) { _, first in
                forwards.append(first)
                return true
            }
            #expect(forwards == blocks.filter { $0.lastPosition >= position }.map(\.firstPosition))
            var backwards: [UInt64] = []
            try segment.forEachBlock(from: position, direction: .backwards) { _, first in
                backwards.append(first)
                return true
            }
            #expect(
                backwards == blocks.filter { $0.firstPosition <= position }.reversed().map(\.firstPosition))
            let holding = blocks.first { $0.firstPosition <= position && position <= $0.lastPosition }
            #expect(segment.block(containing: position) == holding)
        }
        var count = 0
        try segment.forEachBlock(from: 0) { _, _ in
            count += 1
            return count < 2
        }
        #expect(count == min(2, blocks.count))
    }

    @Test("the times of the blocks are those of their events", arguments: SegmentSample.shapes)
    func times(shape: SegmentSample.Shape) throws {
        let scratch = ScratchDirectory()
        let sample = SegmentSample(shape)
        let segment = try Segment.open(directory: scratch.path, info: try sample.seal(in: scratch.path))
        for block in segment.blocks {
            let events = sample.events.filter { block.firstPosition...block.lastPosition ~= $0.position }
            #expect(block.count == events.count)
            #expect(block.minTimestamp == events.map(\.record.timestamp).min())
            #expect(block.maxTimestamp == events.map(\.record.timestamp).max())
        }
    }

    @Test("the heads of the streams are their last events in the segment", arguments: SegmentSample.shapes)
    func heads(shape: SegmentSample.Shape) throws {
        let scratch = ScratchDirectory()
        let sample = SegmentSample(shape)
        let segment = try Segment.open(directory: scratch.path, info: try sample.seal(in: scratch.path))
        var heads: [String: Segment.StreamHead] = [:]
        try segment.streamHeads { heads[$0.stream] = $0 }
        let streams = Dictionary(grouping: sample.events.filter { $0.record.stream != nil }) {
            $0.record.stream
        }
        #expect(heads.count == streams.count)
        for (stream, events) in streams {
            let head = heads[stream ?? ""]
            #expect(head?.count == events.count)
            #expect(head?.firstRevision == events.first?.revision)
            #expect(head?.lastRevision == events.last?.revision)
            #expect(head?.lastPosition == events.last?.position)
        }
    }

    @Test("a segment of which no event is left covers its range and holds nothing")
    func emptySegment() throws {
        let scratch = ScratchDirectory()
        let writer = try SegmentWriter(
            directory: scratch.path, firstPosition: 500, generation: 3, dictionaryBytes: nil,
            logID: SegmentSample.logID, level: 1)
        let info = try writer.finish(endPosition: 900)
        #expect(info.count == 0 && info.positions == 500..<900)
        #expect(info.fileName == "00000000000000000500-3.mdb")
        let segment = try Segment.open(directory: scratch.path, info: info)
        #expect(try segment.allEvents().isEmpty)
        #expect(try segment.streamPostings("any").isEmpty)
        #expect(try segment.idCandidates(.uuid(1, 2)).isEmpty)
        #expect(try segment.typeCounts().isEmpty)
        #expect(segment.verify(deep: true).isEmpty)
    }

    @Test("threads read one segment side by side")
    func concurrentReads() async throws {
        let scratch = ScratchDirectory()
        let sample = SegmentSample(SegmentSample.shapes[4])
        let segment = try Segment.open(directory: scratch.path, info: try sample.seal(in: scratch.path))
        let events = sample.events
        await withTaskGroup(of: Bool.self) { group in
            for part in 0..<4 {
                group.addTask {
                    guard (try? segment.allEvents()) == events else { return false }
                    for event in events.dropFirst(part * 50).prefix(400) {
                        let block = segment.block(containing: event.position)?.number
                        let found = try? segment.idCandidates(event.record.id)
                        if block == nil || found?.contains(block ?? -1) != true { return false }
                    }
                    return true
                }
            }
            for await isRight in group { #expect(isRight) }
        }
    }

    @Test("a segment that was unlinked is read to the end")
    func unlinkedWhileOpen() throws {
        let scratch = ScratchDirectory()
        let sample = SegmentSample(SegmentSample.shapes[1])
        let info = try sample.seal(in: scratch.path)
        let segment = try Segment.open(directory: scratch.path, info: info)
        try Files.unlink("\(scratch.path)/\(info.fileName)")
        #expect(try segment.allEvents() == sample.events)
    }

    @Test("a catalogue record can be made anew from the file alone")
    func unknownSegment() throws {
        let scratch = ScratchDirectory()
        let info = try SegmentSample(SegmentSample.shapes[5]).seal(in: scratch.path, generation: 2)
        let segment = try Segment.openUnknown(
            directory: scratch.path, fileName: info.fileName, logID: SegmentSample.logID)
        #expect(segment.info == info)
    }

    @Test("an event costs far less than it has bytes, indexes included")
    func sizePerEvent() throws {
        let scratch = ScratchDirectory()
        var shape = SegmentSample.shapes[4]
        shape.events = 8_000
        shape.blockBytes = 128 << 10
        let sample = SegmentSample(shape, seed: 5)
        let info = try sample.seal(in: scratch.path)
        let perEvent = Double(info.fileBytes) / Double(info.count)
        print("sealed: \(perEvent) bytes an event of \(info.uncompressedBytes / info.count)")
        #expect(perEvent < 100)
    }
}
