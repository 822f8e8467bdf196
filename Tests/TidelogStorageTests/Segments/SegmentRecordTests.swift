import Testing

@testable import TidelogStorage

/// The small records of a segment: byte encodings and what is refused.
@Suite("Segment records")
struct SegmentRecordTests {
    private static let info = SegmentInfo(
        fileName: "00000000000000001000-2.mdb", positions: 1_000..<5_000, count: 3_999, minTimestamp: -5,
        maxTimestamp: 1 << 60, fileBytes: 81_920, uncompressedBytes: 1 << 33, digest: 0xfeed_f00d_dead_beef,
        pagesDigest: 0x0123_4567_89ab_cdef, dictionaryID: 7, dictionaryHash: 99, generation: 2,
        createdAt: 1_700_000_000_000_000_000)

    @Test("a catalogue record comes back as it was")
    func infoRoundTrip() throws {
        #expect(try SegmentInfo.decode(Self.info.encode()) == Self.info)
        var plain = Self.info
        plain.dictionaryID = 0
        plain.dictionaryHash = 0
        plain.generation = 0
        plain.fileName = "00000000000000001000.mdb"
        #expect(try SegmentInfo.decode(plain.encode()) == plain)
    }

    @Test("the bytes of a catalogue record are those of the format's description")
    func infoBytes() {
        let bytes = Self.info.encode()
        #expect(bytes.count == 98)
        #expect(bytes.prefix(14) == [1, 0, 2, 0, 0, 0, 0xe8, 3, 0, 0, 0, 0, 0, 0])
        #expect(bytes.suffix(12) == [7, 0, 0, 0, 0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01])
    }

    @Test("file names sort like positions and tell generations apart")
    func fileNames() {
        #expect(SegmentInfo.fileName(firstPosition: 0, generation: 0) == "00000000000000000000.mdb")
        #expect(SegmentInfo.fileName(firstPosition: .max, generation: 1) == "18446744073709551615-1.mdb")
    }

    @Test("a catalogue record that is cut, longer, newer or at odds with itself is refused")
    func infoChecks() throws {
        let bytes = Self.info.encode()
        for length in 0..<bytes.count {
            expectError(.corrupted) { _ = try SegmentInfo.decode(Array(bytes.prefix(length))) }
        }
        expectError(.corrupted) { _ = try SegmentInfo.decode(bytes + [0]) }
        var newer = bytes
        newer[0] = 2
        expectError(.unsupportedFormat) { _ = try SegmentInfo.decode(newer) }
        var wrong = Array(repeating: Self.info, count: 5)
        wrong[0].positions = 5..<5
        wrong[1].count = 4_001
        wrong[2].minTimestamp = .max
        wrong[3].fileBytes = 0
        wrong[4].dictionaryID = 0
        for info in wrong { expectError(.corrupted) { _ = try SegmentInfo.decode(info.encode()) } }
    }

    @Test("random bytes are never taken for a record, and never end the process")
    func randomRecords() {
        let seed = UInt64.random(in: .min ... .max)
        var random = SeededRandom(seed)
        for _ in 0..<5_000 {
            var bytes = (0..<random.below(140)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            if !bytes.isEmpty { bytes[0] = 1 }
            bytes.withUnsafeBytes { raw in
                _ = try? SegmentInfo(decoding: raw)
                _ = try? SegmentMeta(decoding: raw)
                _ = try? BlockDirectory(decoding: raw, positions: 0..<1_000_000)
                try? TypeTable.forEachEntry(in: raw, blockCount: 40) { entry throws(StorageError) in
                    _ = try entry.blocks()
                    return true
                }
            }
        }
    }

    @Test("a flipped bit, or the key of another value, is found by a value's checksum")
    func checkedValues() throws {
        let key: [UInt8] = [1, 2, 3]
        let stored = CheckedValue.wrap([9, 8, 7, 6], key: key, part: .index)
        func unwrap(_ bytes: [UInt8], _ key: [UInt8], _ part: SegmentFile.Part) throws -> [UInt8] {
            try bytes.withUnsafeBytes { bytes in
                try key.withUnsafeBytes { try Array(CheckedValue.unwrap(bytes, key: $0, part: part)) }
            }
        }
        #expect(try unwrap(stored, key, .index) == [9, 8, 7, 6])
        for bit in 0..<stored.count * 8 {
            var flipped = stored
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            expectError(.corrupted) { _ = try unwrap(flipped, key, .index) }
        }
        expectError(.corrupted) { _ = try unwrap(stored, [1, 2, 4], .index) }
        expectError(.corrupted) { _ = try unwrap(stored, key, .meta) }
        expectError(.corrupted) { _ = try unwrap([1, 2], key, .index) }
    }
}
