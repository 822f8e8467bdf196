import Testing

@testable import TidelogStorage

/// Events read one by one where the frame stands, and the layouts that this is made for.
@Suite("Single events of a frame")
struct FrameSingleTests {
    private static let seeds = 1...60 as ClosedRange<UInt64>

    @Test("each event read for itself is the event that the whole frame gives", arguments: seeds)
    func singles(seed: UInt64) throws {
        var source = RecordSource(seed: seed)
        let records = source.records([1, 7, 90, 400][Int(seed % 4)])
        var numbers = source.numbers
        let frame =
            seed % 5 == 0
            ? try SampleFrame.head(records)
            : try SampleFrame.sealed(
                records, isSparse: seed % 3 == 0, numbers: &numbers,
                groupBytes: seed % 4 == 0 ? 0 : 100 << Int(seed % 6))
        let decoder = FrameDecoder()
        try decoder.load(frame.bytes)
        #expect(try decoder.everything() == frame.placed, "seed \(seed)")
        try decoder.inPlace(frame.bytes) { () throws(StorageError) in
            #expect(try decoder.singles() == frame.placed, "seed \(seed)")
        }
        // In any order, and none after another.
        for index in [frame.placed.count - 1, frame.placed.count / 2, 0] {
            try decoder.inPlace(frame.bytes) { () throws(StorageError) in
                #expect(try decoder.single(index) == frame.placed[index], "seed \(seed)")
            }
        }
    }

    @Test("the events of a stream are found by its name alone, byte by byte", arguments: seeds)
    func streams(seed: UInt64) throws {
        var source = RecordSource(seed: seed)
        source.streams = seed % 2 == 0 ? 20 : nil
        let records = source.records(150)
        var numbers = source.numbers
        let frame = try SampleFrame.sealed(
            records, isSparse: false, numbers: &numbers, groupBytes: 1000)
        var expected: [ExactText: [Int]] = [:]
        for (index, record) in records.enumerated() {
            if let stream = record.stream { expected[ExactText(stream), default: []].append(index) }
        }
        let decoder = FrameDecoder()
        try decoder.inPlace(frame.bytes) { () throws(StorageError) in
            for (stream, indexes) in expected {
                #expect(try decoder.events(ofStream: stream.text) == indexes, "seed \(seed)")
                for other in [stream.text + "0", String(stream.text.dropLast()), "x" + stream.text]
                where expected[ExactText(other)] == nil {
                    #expect(try decoder.events(ofStream: other) == [], "seed \(seed)")
                }
            }
        }
    }

    @Test("one event decompresses one group, and its group alone")
    func oneGroup() throws {
        var source = RecordSource(seed: 9)
        source.isBare = false
        let records = source.records(400)
        var numbers = source.numbers
        let encoder = try FrameEncoder(groupBytes: 2048)
        let frame = try SampleFrame.sealed(records, isSparse: false, numbers: &numbers, encoder: encoder)
        let decoder = FrameDecoder()
        try decoder.inPlace(frame.bytes) { () throws(StorageError) in
            #expect(decoder.header.groupCount > 3)
            let before = decoder.unpackedGroupCount
            _ = try decoder.single(200)
            #expect(decoder.unpackedGroupCount == before + 1)
        }
    }

    @Test("groups of consecutive events have about the size that was asked for, and none is empty")
    func groupSizes() throws {
        for (sizes, groupBytes) in [
            ([Int](repeating: 100, count: 100), 1000), ([0, 0, 0], 100), ([100_000, 1, 1, 1], 1000),
            ([1, 1, 1, 100_000], 1000), ([5], 1),
        ] {
            let encoder = try FrameEncoder(groupBytes: groupBytes)
            for (index, size) in sizes.enumerated() {
                let payload = ArraySlice((0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7) })
                try encoder.append(
                    EventRecord(id: .uuid(1, UInt64(index)), type: "t", timestamp: 0, payload: payload),
                    position: UInt64(index), revision: nil)
            }
            let decoder = FrameDecoder()
            try decoder.load(try encoder.finishPlaced())
            #expect(decoder.count == sizes.count)
            for (index, size) in sizes.enumerated() {
                #expect(try decoder.record(index).payload.count == size)
            }
            #expect(decoder.header.groupCount <= max(1, sizes.reduce(0, +) / groupBytes + 1))
        }
        let even = try FrameEncoder(groupBytes: 1000)
        for index in 0..<100 {
            try even.append(
                EventRecord(
                    id: .uuid(1, UInt64(index)), type: "t", timestamp: 0,
                    payload: ArraySlice(repeating: 1, count: 100)), position: UInt64(index), revision: nil)
        }
        let decoder = FrameDecoder()
        try decoder.load(try even.finishPlaced())
        #expect(decoder.header.groupCount == 10)
    }

    @Test("names that end in few characters are packed, and come back, whatever their number")
    func packedNames() throws {
        for count in [1, 7, 8, 9, 300] {
            for prefix in ["item-", "", "a-name-with-more-than-sixteen-different-letters-"] {
                let names = (0..<count).map { prefix + String(($0 &* 7919) % 100_003 + 1) }
                let records = names.enumerated().map { index, name in
                    EventRecord(id: .uuid(7, UInt64(index)), type: "t", stream: name, timestamp: 0)
                }
                let frame = try SampleFrame.head(records)
                let decoder = FrameDecoder()
                try decoder.load(frame.bytes)
                #expect(try decoder.everything() == frame.placed)
                try decoder.inPlace(frame.bytes) { () throws(StorageError) in
                    for (index, name) in names.enumerated() {
                        #expect(try decoder.events(ofStream: name) == [index])
                        #expect(try decoder.single(index).record.stream == name)
                    }
                }
            }
        }
    }
}
