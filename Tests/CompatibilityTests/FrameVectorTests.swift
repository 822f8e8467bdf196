import Foundation
import Testing

@testable import TidelogStorage

/// Frames written down byte by byte in `Fixtures/Frames`, and what they hold; `Docs/Format.md` explains them.
@Suite("Frames of format version 1")
struct FrameVectorTests {
    /// The bytes of a fixture: hexadecimal digits; what follows a `#` is commentary.
    static func bytes(_ name: String, in folder: String = "Fixtures/Frames") throws -> [UInt8] {
        let url = try #require(
            Bundle.module.url(forResource: name, withExtension: "hex", subdirectory: folder))
        let text = try String(contentsOf: url, encoding: .utf8)
        var digits: [UInt8] = []
        for line in text.split(separator: "\n") {
            digits += (line.split(separator: "#", omittingEmptySubsequences: false).first ?? "")
                .compactMap(\.hexDigitValue).map(UInt8.init)
        }
        try #require(digits.count.isMultiple(of: 2))
        return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    static func decode(_ bytes: [UInt8]) throws -> [PlacedRecord] {
        let decoder = FrameDecoder()
        try bytes.withUnsafeBytes { buffer in
            try decoder.load(buffer, expectedFirstPosition: nil) { id throws(StorageError) in
                throw StorageError(.notFound, "there is no dictionary \(id)")
            }
        }
        return try (0..<decoder.count).map { index in
            PlacedRecord(
                position: decoder.position(index), revision: decoder.revision(index),
                record: try decoder.record(index))
        }
    }

    static func utf8(_ text: String) -> ArraySlice<UInt8> { ArraySlice(Array(text.utf8)) }

    /// One event of a stream, at position 42 with revision 5.
    static let oneEvent = [
        PlacedRecord(
            position: 42, revision: 5,
            record: EventRecord(
                id: .uuid(0x018f_3a4b_7c1d_7e2f, 0x8a3b_0123_4567_89ab), type: "order.placed",
                stream: "order-1", timestamp: 1_714_637_208_605_000_000, payload: utf8("{\"n\":1}")))
    ]

    /// Four events from position 1000: with and without a stream, with every kind of identifier, and with a
    /// reference to an event of the frame.
    static let fourEvents = [
        PlacedRecord(
            position: 1000, revision: 7,
            record: EventRecord(
                id: .uuid(0x018f_3a4b_7c1d_7e2f, 0x8a3b_0123_4567_89ab), type: "order.placed",
                stream: "order-1", timestamp: 1_714_637_208_605_000_000, source: "/shop",
                contentType: "application/json", tenant: "north", correlation: .text("corr-9"),
                metadata: utf8("{\"user\":\"u1\"}"), payload: utf8("{\"n\":1}"))),
        PlacedRecord(
            position: 1001, revision: nil,
            record: EventRecord(
                id: .text("018F3A4B-7C1D-7E2F-8A3B-0123456789AB"), type: "clock.ticked",
                timestamp: 1_714_637_208_606_500_000)),
        PlacedRecord(
            position: 1002, revision: 70_000,
            record: EventRecord(
                id: .uuid(0x0bad_cafe_1234_4567, 0x89ab_cdef_0123_4567), type: "order.placed",
                stream: "order-2", timestamp: 1_714_637_208_607_000_000, source: "/shop",
                contentType: "application/json", correlation: .text("corr-9"),
                causation: .uuid(0x018f_3a4b_7c1d_7e2f, 0x8a3b_0123_4567_89ab), schemaVersion: 3,
                payload: utf8("{\"n\":2}"))),
        PlacedRecord(
            position: 1003, revision: 8,
            record: EventRecord(
                id: .uuid(0x018f_3a4b_7c20_7abc, 0xbfff_ffff_ffff_ffff), type: "order.paid",
                stream: "order-1", timestamp: 1_714_637_208_608_000_000,
                correlation: .uuid(0x018f_3a4b_0000_7000, 0x8000_0000_0000_0001),
                causation: .uuid(0x0bad_cafe_1234_4567, 0x89ab_cdef_0123_4567), payload: utf8("{}"))),
    ]

    /// Three events that compaction left over, with gaps between positions and between revisions.
    static let sparse = [
        PlacedRecord(
            position: 500, revision: 3,
            record: EventRecord(id: .text("a"), type: "t", stream: "s", timestamp: -1, payload: utf8("x"))),
        PlacedRecord(
            position: 510, revision: 9,
            record: EventRecord(id: .text("ab"), type: "t", stream: "s", timestamp: 0, payload: utf8("y"))),
        PlacedRecord(
            position: 511, revision: nil,
            record: EventRecord(id: .text("abc"), type: "t", timestamp: 1, payload: utf8("z"))),
    ]

    /// Events enough for compressed chunks and for groups by type.
    static let grouped: [PlacedRecord] = (0..<160).map { Self.groupedEvent($0) }

    static func groupedEvent(_ index: Int) -> PlacedRecord {
        var record = EventRecord(
            id: .text("event-\(index)"), type: index % 4 == 0 ? "stock.counted" : "order.placed",
            timestamp: Int64(index) * 1_000_000_000)
        record.stream = "stream-\(index % 40)"
        let cause = index / 8 * 8
        record.correlation = .text("event-\(cause)")
        record.metadata = Self.utf8("{\"user\":\"user-\(index % 3)\"}")
        let amount = index * 7919 % 1000
        record.payload = Self.utf8("{\"amount\":\(amount),\"article\":\"article-\(index % 11)\"}")
        return PlacedRecord(position: UInt64(index), revision: UInt64(index / 40), record: record)
    }

    /// Twelve events of a sealed block: names that end in numbers, packed, and groups of some events each.
    static let packed: [PlacedRecord] = (0..<12).map { index in
        var record = EventRecord(
            id: .text("reading-\(1000 + index * 7)"), type: "sensor.reading",
            stream: "sensor-\(index * 7 % 10)", timestamp: Int64(index) * 60_000_000_000)
        record.payload = Self.utf8("{\"value\":\(index * 37 % 100)}")
        return PlacedRecord(position: 7000 + UInt64(index), revision: UInt64(300 + index), record: record)
    }

    @Test("a sealed block with packed texts and groups by place is read, and written to the byte")
    func packed() throws {
        let bytes = try Self.bytes("packed")
        #expect(try Self.decode(bytes) == Self.packed)
        let encoder = try FrameEncoder(groupBytes: 48)
        for placed in Self.packed {
            try encoder.append(placed.record, position: placed.position, revision: placed.revision)
        }
        #expect(try encoder.finishPlaced() == bytes)
    }

    @Test("frames of the head are read, and written to the byte", arguments: ["one-event", "four-events"])
    func head(name: String) throws {
        let expected = name == "one-event" ? Self.oneEvent : Self.fourEvents
        let bytes = try Self.bytes(name)
        #expect(try Self.decode(bytes) == expected)

        let encoder = try FrameEncoder()
        for placed in expected { try encoder.append(placed.record) }
        let draft = try encoder.finish()
        let bases: [UInt64] = name == "one-event" ? [5] : [7, 70_000]
        var written = [UInt8](repeating: 0, count: draft.byteCount(baseRevisions: bases))
        written.withUnsafeMutableBytes {
            draft.write(firstPosition: expected[0].position, baseRevisions: bases, into: $0)
        }
        #expect(written == bytes)
    }

    @Test("a sparse frame is read, and written to the byte")
    func sparse() throws {
        let bytes = try Self.bytes("sparse")
        #expect(try Self.decode(bytes) == Self.sparse)
        let encoder = try FrameEncoder(groupsByType: true)
        for placed in Self.sparse {
            try encoder.append(placed.record, position: placed.position, revision: placed.revision)
        }
        #expect(try encoder.finishPlaced() == bytes)
    }

    @Test("a frame with compressed chunks and groups by type is read")
    func grouped() throws {
        let bytes = try Self.bytes("grouped")
        #expect(try Self.decode(bytes) == Self.grouped)
        let header = try bytes.withUnsafeBytes { try FrameHeader.parse($0, expectedFirstPosition: 0) }
        #expect(header.groupCount == 3)
    }

    /// Each file of `Frames/refused` begins with the code of the error and a word of its message.
    @Test("frames that must be refused are, with the error that their file names", arguments: Self.refused)
    func refusal(name: String) throws {
        let url = try #require(
            Bundle.module.url(
                forResource: name, withExtension: "hex", subdirectory: "Fixtures/Frames/refused"))
        let text = try String(contentsOf: url, encoding: .utf8)
        let expected = try #require(text.split(separator: "\n").first?.dropFirst(2))
            .split(separator: ":", maxSplits: 1)
        let error = #expect(throws: StorageError.self) {
            try Self.decode(Self.bytes(name, in: "Fixtures/Frames/refused"))
        }
        #expect(error?.code.rawValue == String(expected[0]), "\(name): \(error?.message ?? "")")
        let word = expected[1].trimmingCharacters(in: .whitespaces)
        #expect(word.isEmpty || error?.message.contains(word) == true, "\(name): \(error?.message ?? "")")
    }

    static let refused: [String] = {
        let folder = Bundle.module.bundleURL.appendingPathComponent("Fixtures/Frames/refused").path
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.filter { $0.hasSuffix(".hex") }.map { String($0.dropLast(4)) }.sorted()
    }()

    @Test("the frames that must be refused are there")
    func refusedAreThere() {
        #expect(Self.refused.count >= 14)
    }
}
