import Testing

@testable import TidelogStorage

@Suite("Reading parts of frames")
struct FrameReadingTests {
    /// 600 events of three common types and some rare ones, grouped by type.
    static func grouped() throws -> SampleFrame {
        var numbers = FrameNumbers(seed: 31)
        let records = (0..<600).map { index in
            let type = index % 50 == 0 ? "rare.\(index % 7)" : "common.\(index % 3)"
            return EventRecord(
                id: .uuid(numbers.next(), numbers.next()), type: type, stream: "s\(index % 40)",
                timestamp: Int64(index) * 1_000_000,
                metadata: ArraySlice(Array("{\"user\":\(index % 17),\"more\":\"text\"}".utf8)),
                payload: ArraySlice(Array("{\"n\":\(numbers.below(1 << 30)),\"type\":\"\(type)\"}".utf8)))
        }
        var places = FrameNumbers(seed: 1)
        return try SampleFrame.sealed(records, isSparse: true, numbers: &places)
    }

    @Test("reading the payloads of one type leaves the other groups alone, and the metadata")
    func oneType() throws {
        let frame = try Self.grouped()
        let decoder = FrameDecoder()
        try decoder.load(frame.bytes, verifyBody: false, parts: .types)
        // Metadata, three common types, and the rare ones together.
        #expect(decoder.header.groupCount == 5)
        #expect(decoder.unpackedGroupCount == 0)
        for (index, placed) in frame.placed.enumerated() where placed.record.type == "common.1" {
            let isSame = try decoder.withPayload(index) { $0.elementsEqual(placed.record.payload) }
            #expect(isSame)
        }
        #expect(decoder.unpackedGroupCount == 1)
        for (index, placed) in frame.placed.enumerated() where placed.record.type.hasPrefix("rare") {
            let isSame = try decoder.withPayload(index) { $0.elementsEqual(placed.record.payload) }
            #expect(isSame)
        }
        #expect(decoder.unpackedGroupCount == 2)
        let isSame = try decoder.withMetadata(5) { $0.elementsEqual(frame.placed[5].record.metadata) }
        #expect(isSame)
        #expect(decoder.unpackedGroupCount == 3)
    }

    @Test("a damaged group is reported by those who read it, and by nobody else")
    func damagedGroup() throws {
        let frame = try Self.grouped()
        var bytes = frame.bytes
        // The last group is that of the type that appeared last among the common ones.
        bytes[bytes.count - 10] ^= 1
        let decoder = FrameDecoder()
        try decoder.load(bytes, verifyBody: false)
        var failures: Set<String> = []
        for (index, placed) in frame.placed.enumerated() {
            do {
                let isSame = try decoder.withPayload(index) { $0.elementsEqual(placed.record.payload) }
                #expect(isSame)
            } catch {
                #expect(error.code == .corrupted)
                failures.insert(placed.record.type)
            }
        }
        #expect(failures.count == 1)
    }

    @Test("the envelope can be read without the bodies")
    func withoutBodies() throws {
        let frame = try Self.grouped()
        let decoder = FrameDecoder()
        try decoder.load(frame.bytes, withBodies: false, parts: [.types, .timestamps])
        #expect(decoder.timestamp(7) == 7_000_000)
        #expect(decoder.distinctText(.type, decoder.code(.type, 1)) == "common.1")
        try decoder.require([.streams, .revisions, .ids])
        #expect(decoder.revision(41) == frame.placed[41].revision)
        #expect(decoder.id(3) == frame.placed[3].record.id)
        #expect(decoder.idHash(3) == frame.placed[3].record.id.hash64)
        #expect {
            try decoder.withPayload(0) { $0.count }
        } throws: {
            ($0 as? StorageError)?.code == .invalidArgument
        }
    }

    @Test("codes stand for the distinct values in the order of their first events, and 0 for none")
    func codes() throws {
        let records = [nil, "b", "a", nil, "b"].map {
            EventRecord(id: .text("i"), type: "t", stream: $0, timestamp: 0, causation: $0.map { .text($0) })
        }
        let frame = try SampleFrame.head(records)
        let decoder = FrameDecoder()
        try decoder.load(frame.bytes)
        #expect(decoder.withCodes(.stream) { Array($0) } == [0, 1, 2, 0, 1])
        #expect(
            (0..<decoder.distinctCount(.stream)).map { decoder.distinctText(.stream, $0) } == [nil, "b", "a"])
        #expect(
            (0..<decoder.distinctCount(.causation)).map { decoder.distinctIdentifier(.causation, $0) }
                == [nil, .text("b"), .text("a")])
        #expect(decoder.withDistinctText(.stream, 2) { $0.map(Array.init) } == Array("a".utf8))
        #expect(decoder.distinctCount(.tenant) == 1 && decoder.distinctText(.tenant, 0) == nil)
        #expect((0..<5).map { decoder.revision($0) } == [nil, 0, 3, nil, 1])
    }

    @Test("payloads of a frame's records share one array, which outlives the decoder")
    func sharing() throws {
        let frame = try Self.grouped()
        var records: [EventRecord] = []
        do {
            let decoder = FrameDecoder()
            try decoder.load(frame.bytes)
            records = try (0..<decoder.count).map { index throws(StorageError) in try decoder.record(index) }
            try decoder.load(try FrameHostileTests.plainFrame().bytes)
        }
        #expect(records == frame.placed.map(\.record))
        let common = records.filter { $0.type == "common.1" }
        #expect(common[0].payload.endIndex == common[1].payload.startIndex)
    }

    @Test("identifiers that are ids of the same frame cost next to nothing")
    func references() throws {
        var numbers = FrameNumbers(seed: 8)
        var previous: Identifier?
        let plain = (0..<500).map { index in
            EventRecord(id: .uuid(numbers.next(), numbers.next()), type: "t", timestamp: Int64(index))
        }
        var linked = plain
        for index in linked.indices {
            linked[index].correlation = linked[index / 10 * 10].id
            linked[index].causation = previous
            previous = linked[index].id
        }
        let without = try SampleFrame.head(plain)
        let with = try SampleFrame.head(linked)
        #expect(with.bytes.count < without.bytes.count + 500)
        let decoder = FrameDecoder()
        try decoder.load(with.bytes)
        #expect(try decoder.everything() == with.placed)
    }

    @Test("limits are checked before anything is added")
    func limits() throws {
        let long = String(repeating: "n", count: 256)
        var bad: [(EventRecord, StorageError.Code)] = []
        let sound = EventRecord(id: .text("i"), type: "t", stream: "s", timestamp: 0)
        func add(_ code: StorageError.Code, _ change: (inout EventRecord) -> Void) {
            var record = sound
            change(&record)
            bad.append((record, code))
        }
        add(.invalidArgument) { $0.type = "" }
        add(.invalidArgument) { $0.id = .text("") }
        add(.invalidArgument) { $0.correlation = .text("") }
        add(.limitExceeded) { $0.type = long }
        add(.limitExceeded) { $0.id = .text(long) }
        add(.limitExceeded) { $0.stream = long }
        add(.limitExceeded) { $0.source = long }
        add(.limitExceeded) { $0.contentType = long }
        add(.limitExceeded) { $0.tenant = long }
        add(.limitExceeded) { $0.correlation = .text(long) }
        add(.limitExceeded) { $0.causation = .text(long) }
        let encoder = try FrameEncoder()
        for (record, code) in bad {
            try encoder.append(sound)
            #expect { try encoder.append(record) } throws: { ($0 as? StorageError)?.code == code }
        }
        #expect(encoder.count == bad.count)
        let frame = try SampleFrame.head([], encoder: encoder)
        #expect(frame.bytes == (try SampleFrame.head(bad.map { _ in sound })).bytes)
        try encoder.append(sound, position: 5, revision: 1)
        for (position, revision) in [(5, 1), (4, 1), (.max, 1), (6, nil), (6, .max)] as [(UInt64, UInt64?)] {
            #expect {
                try encoder.append(sound, position: position, revision: revision)
            } throws: {
                ($0 as? StorageError)?.code == .invalidArgument
            }
        }
    }
}
