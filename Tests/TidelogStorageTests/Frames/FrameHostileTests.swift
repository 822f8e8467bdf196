import Testing

@testable import TidelogStorage

/// Frames made to do harm: their checksums are right, what they say is not.
@Suite("Hostile frames")
struct FrameHostileTests {
    /// How many changed frames each seed makes.
    static let rounds = 200

    @Test(
        "random changes under right checksums give an error or another frame, never a crash",
        arguments: 1...40 as ClosedRange<UInt64>)
    func mutations(seed: UInt64) throws {
        var source = RecordSource(seed: seed)
        source.isBare = false
        let records = source.records([1, 3, 12, 60, 400][Int(seed % 5)])
        var numbers = source.numbers
        let frame =
            seed % 2 == 0
            ? try SampleFrame.head(records)
            : try SampleFrame.sealed(
                records, isSparse: seed % 3 == 0, numbers: &numbers, groupBytes: seed % 4 == 1 ? 500 : 0)
        let decoder = FrameDecoder()
        let header = try frame.bytes.withUnsafeBytes {
            try FrameHeader.parse($0, expectedFirstPosition: nil)
        }
        var refused = 0
        for _ in 0..<Self.rounds {
            var bytes = frame.bytes
            for _ in 0...numbers.below(4) { Self.mutate(&bytes, header, &numbers) }
            FrameHeader.resign(&bytes)
            do {
                try decoder.load(bytes, verifyBody: false)
                _ = try decoder.summary()
                for event in try decoder.everything() {
                    // What is accepted holds together.
                    guard !event.record.type.isEmpty else { throw StorageError(.library, "no type") }
                }
                // And is the same when each event is read for itself.
                let whole = try decoder.everything()
                var singles: [PlacedRecord] = []
                try decoder.inPlace(bytes) { () throws(StorageError) in singles = try decoder.singles() }
                if singles != whole { throw StorageError(.library, "other events one by one") }
            } catch let error as StorageError {
                refused += 1
                try Self.readSingles(bytes, decoder)
                // A changed id of the dictionary asks for one that there is not.
                let isExpected = [.corrupted, .unsupportedFormat, .notFound].contains(error.code)
                #expect(isExpected, "seed \(seed): \(error)")
            }
        }
        #expect(refused > Self.rounds / 20, "seed \(seed)")
    }

    /// Reads each event for itself: what is found damaged is a typed error here too, and nothing else happens.
    private static func readSingles(_ bytes: [UInt8], _ decoder: FrameDecoder) throws {
        do throws(StorageError) {
            try decoder.inPlace(bytes) { () throws(StorageError) in
                for index in 0..<decoder.count {
                    do throws(StorageError) { _ = try decoder.single(index) } catch {
                        guard [.corrupted, .notFound].contains(error.code) else { throw error }
                    }
                }
                _ = try decoder.events(ofStream: "stream")
            }
        } catch {
            let isExpected = [.corrupted, .unsupportedFormat, .notFound].contains(error.code)
            #expect(isExpected, "\(error)")
        }
    }

    static func mutate(_ bytes: inout [UInt8], _ header: FrameHeader, _ numbers: inout FrameNumbers) {
        let envelope = header.prefixBytes..<(header.prefixBytes + header.envelopeBytes)
        let offset: Int
        switch numbers.below(6) {
        case 0: offset = FrameFormat.Offset.firstPosition + numbers.below(72)
        case 1: offset = min(envelope.lowerBound + numbers.below(40), bytes.count - 1)
        case 2: offset = numbers.below(bytes.count)
        default: offset = envelope.lowerBound + numbers.below(envelope.count)
        }
        switch numbers.below(4) {
        case 0: bytes[offset] = UInt8(truncatingIfNeeded: numbers.next())
        case 1: bytes[offset] = [0, 1, 0x7f, 0x80, 0xff][numbers.below(5)]
        case 2: bytes[offset] &+= numbers.once(in: 2) ? 1 : 255
        default:
            // A number of four or eight bytes of the absurd kind.
            let absurd: UInt64 = [.max, 1 << 63, 1 << 31, 1 << 32 - 1, 0][numbers.below(5)]
            for index in 0..<(numbers.once(in: 2) ? 4 : 8) where offset + index < bytes.count {
                bytes[offset + index] = UInt8(truncatingIfNeeded: absurd >> UInt64(index * 8))
            }
        }
    }

    /// A small frame without compressed parts, and where a run of bytes stands in it.
    static func plainFrame() throws -> SampleFrame {
        let records = (0..<3).map { index in
            EventRecord(
                id: .text("event-\(index)"), type: "type.marker", stream: "stream.marker", timestamp: 50,
                correlation: .text("event-0"), payload: [1, 2, 3])
        }
        return try SampleFrame.head(records)
    }

    static func offset(of text: String, in bytes: [UInt8]) throws -> Int {
        let wanted = Array(text.utf8)
        return try #require(
            bytes.indices.first { bytes[$0...].starts(with: wanted) }, "the frame is not compressed")
    }

    @Test("a text that is not UTF-8 is refused")
    func notUTF8() throws {
        for text in ["type.marker", "stream.marker", "event-"] {
            for bad in [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xe2, 0x82], [0x80]] as [[UInt8]] {
                var bytes = try Self.plainFrame().bytes
                let offset = try Self.offset(of: text, in: bytes)
                bytes.replaceSubrange(offset..<(offset + bad.count), with: bad)
                FrameHeader.resign(&bytes)
                FrameDamageTests.expectDamage("\(text) with \(bad)", at: 1000) { () throws(StorageError) in
                    try FrameDecoder().load(bytes, expecting: 1000)
                }
            }
        }
    }

    @Test("absurd sizes and counts in the header are refused before anything is allocated for them")
    func absurdHeaders() throws {
        typealias Offset = FrameFormat.Offset
        let sound = try Self.plainFrame().bytes
        let changes: [(Int, Int, UInt64)] = [
            (Offset.count, 4, 0), (Offset.count, 4, 1 << 32 - 1), (Offset.count, 4, 1 << 20 + 1),
            (Offset.firstPosition, 8, .max), (Offset.lastPosition, 8, .max), (Offset.lastPosition, 8, 0),
            (Offset.flags, 2, 1), (Offset.flags, 2, 2), (Offset.flags, 2, 4),
            (Offset.revisionWidth, 1, 3), (Offset.revisionWidth, 1, 255), (Offset.codec, 1, 0),
            (Offset.revisionCount, 4, 1 << 32 - 1), (Offset.revisionCount, 4, 0),
            (Offset.minTimestamp, 8, 1 << 63 - 1), (Offset.maxTimestamp, 8, 1 << 63),
            (Offset.envelopeBytes, 4, 0), (Offset.envelopeBytes, 4, 1 << 32 - 1),
            (Offset.envelopePlainBytes, 4, 1 << 32 - 1), (Offset.bodyBytes, 4, 1 << 32 - 1),
            (Offset.bodyPlainBytes, 4, 1 << 32 - 1), (Offset.bodyPlainBytes, 4, 1 << 30),
            (Offset.groupCount, 4, 0), (Offset.groupCount, 4, 1 << 32 - 1), (Offset.reserved, 4, 1),
        ]
        for (offset, width, value) in changes {
            var bytes = sound
            for index in 0..<width {
                bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(index * 8))
            }
            FrameHeader.resign(&bytes)
            #expect {
                try FrameDecoder().load(bytes)
            } throws: {
                ($0 as? StorageError)?.code == .corrupted
            }
        }
    }

    @Test("a body that would become larger than allowed is refused before it is decompressed")
    func bomb() throws {
        let zeros = EventRecord(
            id: .text("bomb"), type: "bomb", timestamp: 0, payload: ArraySlice(repeating: 0, count: 5 << 20))
        let frame = try SampleFrame.head([zeros])
        #expect(frame.bytes.count < 2000)
        let decoder = FrameDecoder(maximumUncompressedBytes: 5 << 20 - 1)
        #expect { try decoder.load(frame.bytes) } throws: { ($0 as? StorageError)?.code == .corrupted }
        #expect(decoder.unpackedGroupCount == 0)
        let patient = FrameDecoder(maximumUncompressedBytes: 5 << 20)
        try patient.load(frame.bytes)
        #expect(try patient.everything() == frame.placed)
    }

    @Test("a group that holds more or less than the frame says is refused")
    func lyingGroup() throws {
        let records = (0..<4).map {
            EventRecord(
                id: .uuid(1, UInt64($0)), type: "t", timestamp: 0,
                payload: ArraySlice(repeating: 7, count: 4000))
        }
        let sound = try SampleFrame.head(records).bytes
        let header = try sound.withUnsafeBytes { try FrameHeader.parse($0, expectedFirstPosition: nil) }
        // The size 16,000 as a varint stands in the groups' chunk, and as a number in the header.
        let varint: [UInt8] = [0x80, 0x7d]
        let offset = try #require(
            sound.indices.first { $0 >= header.prefixBytes && sound[$0...].starts(with: varint) })
        for change in [-1, 1] {
            var bytes = sound
            bytes[offset] = UInt8(0x80 + (change < 0 ? 0x7f : 1))
            bytes[offset + 1] = change < 0 ? 0x7c : 0x7d
            let size = UInt32(16_000 + change)
            for index in 0..<4 {
                bytes[FrameFormat.Offset.bodyPlainBytes + index] = UInt8(
                    truncatingIfNeeded: size >> UInt32(index * 8))
            }
            FrameHeader.resign(&bytes)
            FrameDamageTests.expectDamage("a group of \(size) bytes", at: 1000) { () throws(StorageError) in
                let decoder = FrameDecoder()
                try decoder.load(bytes)
                _ = try decoder.everything()
            }
        }
    }
}
