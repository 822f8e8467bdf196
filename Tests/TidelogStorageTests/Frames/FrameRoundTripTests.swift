import Testing

@testable import TidelogStorage

@Suite("Frames, there and back")
struct FrameRoundTripTests {
    static let seeds: [UInt64] = Array(1...60)

    @Test("random records come back as they were, with positions, revisions and summary", arguments: seeds)
    func head(seed: UInt64) throws {
        var source = RecordSource(seed: seed)
        let count = [1, 2, 7, 60, 300, 1200][source.numbers.below(6)]
        let records = source.records(count)
        let encoder = try FrameEncoder()
        for record in records { try encoder.append(record) }
        #expect(encoder.count == count)
        #expect(encoder.pendingBytes == records.reduce(0) { $0 + $1.metadata.count + $1.payload.count })
        let draft = try encoder.finish()
        #expect(encoder.count == 0 && encoder.pendingBytes == 0)
        let shift = UInt64(source.numbers.below(60))
        let bases = draft.summary.streams.map { _ in source.numbers.next() >> (shift + 4) }
        let first = source.numbers.next() >> 8
        let decoder = FrameDecoder()
        try decoder.load(draft.bytes(first: first, bases: bases), expecting: first)
        let expected = SampleFrame.place(records, draft.summary, first: first, bases: bases)
        #expect(try decoder.everything() == expected, "seed \(seed)")
        #expect(try decoder.summary() == draft.summary, "seed \(seed)")
        #expect(draft.summary.idHashes == records.map(\.id.hash64), "seed \(seed)")
        #expect(draft.summary.correlationHashes == records.map { $0.correlation?.hash64 ?? 0 })
        #expect(draft.summary.minTimestamp == records.map(\.timestamp).min())
        #expect(draft.summary.maxTimestamp == records.map(\.timestamp).max())
    }

    @Test("placed records come back with their gaps, grouped by type or not", arguments: seeds)
    func sealed(seed: UInt64) throws {
        var source = RecordSource(seed: seed)
        let records = source.records([1, 5, 90, 700][source.numbers.below(4)])
        let isSparse = source.numbers.once(in: 2)
        let encoder = try FrameEncoder(
            groupsByType: source.numbers.once(in: 2), groupThresholdBytes: 1 << source.numbers.below(14))
        var numbers = source.numbers
        let frame = try SampleFrame.sealed(
            records, isSparse: isSparse, numbers: &numbers, encoder: encoder)
        let decoder = FrameDecoder()
        try decoder.load(frame.bytes, expecting: frame.placed[0].position)
        #expect(try decoder.everything() == frame.placed, "seed \(seed)")
        #expect(decoder.header.lastPosition == frame.placed.last?.position)
        for (index, placed) in frame.placed.enumerated() {
            #expect(decoder.firstIndex(atOrAfterPosition: placed.position) == index, "seed \(seed)")
            let before = index == 0 ? nil : frame.placed[index - 1].position
            if placed.position > 0, before != placed.position - 1 {
                #expect(decoder.firstIndex(atOrAfterPosition: placed.position - 1) == index)
            }
        }
        #expect(decoder.firstIndex(atOrAfterPosition: .max) == records.count)
        #expect(decoder.firstIndex(atOrAfterPosition: 0) == 0)
    }

    @Test("with a dictionary, and only with it, records come back")
    func dictionary() throws {
        var source = RecordSource(seed: 4)
        source.isBare = false
        let samples = source.records(2000).map { Array($0.payload) }
        let dictionary = try CompressionDictionary(
            bytes: CompressionDictionary.train(
                samples: samples.flatMap { $0 }, sampleSizes: samples.map(\.count), capacity: 8 << 10),
            level: 1)
        let records = source.records(300)
        let encoder = try FrameEncoder(dictionary: dictionary, groupsByType: true)
        let frame = try SampleFrame.head(records, encoder: encoder)
        let decoder = FrameDecoder()
        try decoder.load(frame.bytes, dictionary: dictionary)
        #expect(decoder.header.dictionaryID == dictionary.id)
        #expect(try decoder.everything() == frame.placed)
        #expect { try decoder.load(frame.bytes) } throws: { ($0 as? StorageError)?.code == .notFound }
        #expect(decoder.count == 0)
    }

    @Test("the frame of one bare event, of 10,000 events, and of as many streams come back")
    func sizes() throws {
        var source = RecordSource(seed: 77)
        source.streams = nil
        source.types = 3
        for count in [1, 10_000] {
            let frame = try SampleFrame.head(source.records(count), first: 0)
            let decoder = FrameDecoder()
            try decoder.load(frame.bytes, expecting: 0)
            #expect(try decoder.everything() == frame.placed)
        }
        let bare = EventRecord(id: .text("1"), type: "t", timestamp: 0)
        let frame = try SampleFrame.head([bare], first: 0)
        let decoder = FrameDecoder()
        try decoder.load(frame.bytes)
        #expect(try decoder.everything() == frame.placed)
        #expect(decoder.distinctCount(.stream) == 1 && decoder.revision(0) == nil)
    }

    @Test("payloads and metadata of megabytes come back, compressible or not")
    func large() throws {
        var numbers = FrameNumbers(seed: 5)
        let noise = (0..<3_000_000).map { _ in UInt8(truncatingIfNeeded: numbers.next()) }
        let records = [
            EventRecord(id: .uuid(1, 2), type: "noise", timestamp: 1, payload: noise[...]),
            EventRecord(
                id: .uuid(3, 4), type: "zeros", timestamp: 2, metadata: noise[0..<100_000],
                payload: ArraySlice(repeating: 0, count: 9_000_000)),
            EventRecord(id: .uuid(5, 6), type: "noise", timestamp: 3),
        ]
        let frame = try SampleFrame.head(records)
        #expect(frame.bytes.count < 3_200_000)
        let decoder = FrameDecoder()
        try decoder.load(frame.bytes)
        #expect(try decoder.everything() == frame.placed)
    }

    @Test(
        "texts of 255 bytes, of any script, empty where that is allowed, and equal but for their form come back"
    )
    func texts() throws {
        let composed = "caf\u{e9}"
        let decomposed = "cafe\u{301}"
        let longest = String(repeating: "é", count: 127) + "x"
        #expect(longest.utf8.count == 255 && composed == decomposed)
        let names = [
            longest, composed, decomposed, "", "\u{0}", "a\u{0}", "漢字", String(repeating: "z", count: 255),
        ]
        let records = names.enumerated().map { index, name in
            EventRecord(
                id: .text(name.isEmpty ? "id" : name), type: name.isEmpty ? "type" : name, stream: name,
                timestamp: Int64(index), source: name, contentType: name, tenant: name,
                correlation: .text(longest), causation: name.isEmpty ? nil : .text(name))
        }
        let frame = try SampleFrame.head(records)
        let decoder = FrameDecoder()
        try decoder.load(frame.bytes)
        for (index, name) in names.enumerated() {
            // Strings compare by meaning; bytes are what counts here.
            let text = try #require(decoder.distinctText(.stream, decoder.code(.stream, index)))
            #expect(Array(text.utf8) == Array(name.utf8))
            guard case .text(let id) = decoder.id(index) else {
                Issue.record("the id of event \(index) is no text")
                continue
            }
            #expect(Array(id.utf8) == Array((name.isEmpty ? "id" : name).utf8))
        }
        #expect(decoder.distinctCount(.stream) == names.count + 1)
    }

    @Test("the frame does not depend on what the encoder made before")
    func reuse() throws {
        let encoder = try FrameEncoder()
        for seed in Self.seeds.prefix(12) {
            var source = RecordSource(seed: seed)
            let records = source.records([3, 400][Int(seed % 2)])
            let reused = try SampleFrame.head(records, encoder: encoder)
            #expect(reused.bytes == (try SampleFrame.head(records)).bytes, "seed \(seed)")
        }
    }

    @Test("a draft gives the same bytes behind the revision table wherever it is placed")
    func draftIsPlaceless() throws {
        var source = RecordSource(seed: 9)
        source.isBare = false
        source.streams = 40
        let encoder = try FrameEncoder()
        let records = source.records(100)
        for record in records { try encoder.append(record) }
        let draft = try encoder.finish()
        let streams = draft.summary.streams.count
        let decoder = FrameDecoder()
        var tails: [ArraySlice<UInt8>] = []
        for (first, base) in [(0, 0), (7, 1), (1 << 40, 300), (5, 70_000), (9, 1 << 33)] as [(UInt64, UInt64)]
        {
            let bases = (0..<streams).map { $0 == 0 ? base : base / 2 }
            let bytes = draft.bytes(first: first, bases: bases)
            let header = try bytes.withUnsafeBytes {
                try FrameHeader.parse($0, expectedFirstPosition: first)
            }
            tails.append(bytes[header.prefixBytes...])
            try decoder.load(bytes, expecting: first)
            #expect(
                try decoder.everything()
                    == SampleFrame.place(records, draft.summary, first: first, bases: bases))
        }
        #expect(Set(tails.map(Array.init)).count == 1)
    }
}
