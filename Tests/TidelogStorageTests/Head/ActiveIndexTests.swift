import Testing

@testable import TidelogStorage

@Suite("The index of the active segment")
struct ActiveIndexTests {
    /// A frame of one event for each of the streams.
    private static func summary(_ streams: [String]) -> FrameSummary {
        let count = streams.count
        return FrameSummary(
            count: count, streams: streams, streamCodes: (1...UInt32(count)).map { $0 }, types: ["t"],
            typeCodes: [UInt16](repeating: 0, count: count), idHashes: (1...UInt64(count)).map { $0 },
            correlationHashes: [UInt64](repeating: 0, count: count), minTimestamp: 0, maxTimestamp: 0,
            uncompressedBytes: count)
    }

    @Test("looking many streams up at once finds what looking up each finds, in whatever chunk it is")
    func places() {
        var random = SeededRandom(11)
        var index = ActiveIndex(first: 0)
        let names = (0..<700).map { "stream-\($0)" }
        var next: [String: UInt64] = [:]
        for round in 0..<9 {
            if round % 3 == 2 { index.rotate() }
            let chosen = names.filter { _ in random.below(4) == 0 }
            index.append(
                Self.summary(chosen), first: index.end, baseRevisions: chosen.map { next[$0, default: 0] })
            for name in chosen { next[name, default: 0] += 1 }

            let wanted = names + ["unknown"]
            let hashes = wanted.map { XXH64.hash($0) }
            let places = index.places(of: wanted, hashes: hashes)
            #expect(places.chunk == ObjectIdentifier(index.growing))
            for (number, name) in wanted.enumerated() {
                let place = index.place(of: name, hash: hashes[number])
                #expect(places.entries[number] == place.entry)
                #expect(places.nextRevisions[number] == place.nextRevision ?? 0)
                #expect(places.nextRevisions[number] == next[name] ?? 0)
            }
        }
        #expect(index.chunks.count == 4)
    }
}
