import Testing

@testable import TidelogStorage

/// Events for a segment that a seed brings back, and the segment that they become.
struct SegmentSample {
    /// What the events are like.
    struct Shape: Sendable, CustomTestStringConvertible {
        var name: String
        var events: Int
        /// How many streams there are to choose from; 0 for no streams at all.
        var streams: Int
        /// One in how many events has no stream.
        var withoutStream = 7
        /// How many events share a correlation id.
        var correlated = 4
        /// How many types there are to choose from.
        var types = 12
        /// One in how many ids is no UUID.
        var textIDs = 0
        /// How many of 100 events are left out, as compaction does.
        var removedPercent = 0
        var blockBytes = 8 << 10
        var firstPosition: UInt64 = 0
        var testDescription: String { self.name }
    }

    static let shapes = [
        Shape(name: "one event", events: 1, streams: 1),
        Shape(name: "few streams", events: 1_500, streams: 3, firstPosition: 1_000_000),
        Shape(name: "every event a stream of its own", events: 1_200, streams: 1 << 40, correlated: 1),
        Shape(name: "no stream anywhere", events: 600, streams: 0),
        Shape(name: "ids that are no UUIDs", events: 1_000, streams: 100, textIDs: 2),
        Shape(
            name: "sparse after compaction", events: 3_000, streams: 500, textIDs: 5, removedPercent: 80,
            firstPosition: 77),
        Shape(name: "all but a few removed", events: 2_000, streams: 50, removedPercent: 99),
        Shape(name: "many types", events: 1_200, streams: 20, types: 500),
        Shape(name: "an event a block", events: 150, streams: 20, blockBytes: 1),
    ]

    let shape: Shape
    let seed: UInt64
    let end: UInt64
    private(set) var events: [PlacedRecord] = []

    init(_ shape: Shape, seed: UInt64 = .random(in: .min ... .max)) {
        self.shape = shape
        self.seed = seed
        var random = SeededRandom(seed)
        var revisions: [String: UInt64] = [:]
        var timestamp: Int64 = 1_700_000_000_000_000_000
        var correlation: Identifier?
        for number in 0..<shape.events {
            timestamp += Int64(random.below(5_000_000)) - 500_000
            if number % max(1, shape.correlated) == 0 {
                correlation = random.below(5) == 0 ? nil : .uuid(random.next(), random.next())
            }
            var stream: String?
            if shape.streams > 0, random.below(shape.withoutStream) > 0 {
                stream = "stream-\(random.below(shape.streams))"
            }
            let id: Identifier =
                shape.textIDs > 0 && random.below(shape.textIDs) == 0
                ? .text("id-\(number)-\(random.next() % 1_000)") : .uuid(random.next(), random.next())
            var record = EventRecord(
                id: id, type: "type.\(min(random.below(shape.types), random.below(shape.types)))",
                stream: stream, timestamp: timestamp, correlation: correlation)
            let words = (0..<random.below(30)).map { _ in "word\(random.below(50))" }
            record.payload = ArraySlice("{\"text\":\"\(words)\"}".utf8)
            record.metadata = number % 3 == 0 ? [] : ArraySlice("{\"user\":\(random.below(9))}".utf8)
            var revision: UInt64?
            if let stream {
                revision = revisions[stream, default: 0]
                revisions[stream, default: 0] += 1
            }
            if random.below(100) >= shape.removedPercent || number == shape.events / 2 {
                self.events.append(
                    PlacedRecord(
                        position: shape.firstPosition + UInt64(number), revision: revision, record: record))
            }
        }
        self.end = shape.firstPosition + UInt64(shape.events)
    }

    static let logID: (UInt64, UInt64) = (0x0123_4567_89ab_4def, 0x8123_4567_89ab_cdef)

    /// Writes the events, by way of frames as in the head, into a segment in `directory`.
    func seal(in directory: String, generation: UInt32 = 0, dictionary: Bool = false) throws -> SegmentInfo {
        let writer = try SegmentWriter(
            directory: directory, firstPosition: self.shape.firstPosition, generation: generation,
            dictionaryBytes: dictionary ? try self.dictionary() : nil, logID: Self.logID, level: 1,
            blockBytes: self.shape.blockBytes)
        let encoder = try FrameEncoder()
        let decoder = FrameDecoder()
        var rest = self.events[...]
        while !rest.isEmpty {
            // Some as decoded frames and some one by one: both ways in must give the same.
            if rest.count % 2 == 0 {
                for event in rest.prefix(700) {
                    try encoder.append(event.record, position: event.position, revision: event.revision)
                }
                let frame = try encoder.finishPlaced()
                try frame.span.bytes.withUnsafeBytes { bytes in
                    try decoder.load(bytes, expectedFirstPosition: nil) { _ throws(StorageError) in
                        throw StorageError(.library, "no dictionary was used")
                    }
                }
                try writer.append(contentsOf: decoder)
                rest = rest.dropFirst(700)
            } else {
                for event in rest.prefix(333) { try writer.append(event) }
                rest = rest.dropFirst(333)
            }
        }
        return try writer.finish(endPosition: self.end)
    }

    private func dictionary() throws -> [UInt8] {
        let samples = self.events.map { Array($0.record.payload) }
        return try CompressionDictionary.train(
            samples: samples.flatMap { $0 }, sampleSizes: samples.map(\.count), capacity: 4_096)
    }
}

extension Segment {
    /// Every event, decoded.
    func allEvents() throws -> [PlacedRecord] {
        let decoder = FrameDecoder()
        var events: [PlacedRecord] = []
        try self.forEachBlock(from: 0) { frame, first throws(StorageError) in
            try decoder.load(frame, expectedFirstPosition: first, dictionary: self.dictionary(id:))
            for index in 0..<decoder.count {
                events.append(
                    PlacedRecord(
                        position: decoder.position(index), revision: decoder.revision(index),
                        record: try decoder.record(index)))
            }
            return true
        }
        return events
    }
}
