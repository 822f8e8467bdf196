@testable import TidelogStorage

/// Random numbers that are the same for the same seed (SplitMix64).
struct FrameNumbers: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { self.state = seed }

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func below(_ bound: Int) -> Int { Int(self.next() % UInt64(bound)) }

    /// True once in `chances` times.
    mutating func once(in chances: Int) -> Bool { self.below(chances) == 0 }
}

/// Records of every shape that a frame takes, drawn at random.
struct RecordSource {
    var numbers: FrameNumbers
    /// How many streams there are to choose from; nil for a new one each time.
    var streams: Int?
    var types: Int
    /// Whether all that may be missing is missing.
    var isBare: Bool
    private var timestamp: Int64
    private let step: Int64
    private let idKind: Int
    private var made: [Identifier] = []

    /// Draws the kind of log first, and then records of it.
    init(seed: UInt64) {
        var numbers = FrameNumbers(seed: seed)
        self.streams = [1, 3, 40, 3000, nil][numbers.below(5)]
        self.types = [1, 3, 20, 300][numbers.below(4)]
        self.isBare = numbers.once(in: 6)
        self.timestamp = [0, -5_000_000_000, 1_700_000_000_000_000_000, .min, .max - 1][numbers.below(5)]
        self.step = [0, 1, 1_000, 1_000_000, 7_777_777, 60_000_000_000][numbers.below(6)]
        self.idKind = numbers.below(5)
        self.numbers = numbers
    }

    static let alphabet = [
        "a", "Z", "0", "-", " ", "é", "ß", "漢", "🙂", "e\u{301}", "\u{0}", "\u{202e}", "\"",
    ]

    /// A text of 1 to 255 bytes.
    mutating func text(longest: Int = 255) -> String {
        if self.numbers.once(in: 12) { return String(repeating: "n", count: longest) }
        var text = ""
        let wanted = self.numbers.below(self.numbers.once(in: 5) ? longest : 12) + 1
        while text.utf8.count < wanted {
            let piece = Self.alphabet[self.numbers.below(Self.alphabet.count)]
            if text.utf8.count + piece.utf8.count > longest { break }
            text += piece
        }
        return text.isEmpty ? "x" : text
    }

    mutating func identifier() -> Identifier {
        switch self.idKind == 4 ? self.numbers.below(4) : self.idKind {
        case 0:
            let milliseconds = UInt64(bitPattern: floorMilliseconds(self.timestamp)) & 0xffff_ffff_ffff
            return .uuid(
                milliseconds << 16 | 0x7000 | self.numbers.next() & 0xfff,
                self.numbers.next() >> 2 | 1 << 63)
        case 1: return .uuid(self.numbers.next(), self.numbers.next())
        case 2: return .text("018F3A4B-7C1D-7E2F-8A3B-\(self.numbers.below(900_000) + 100_000)ABCDEF")
        default: return .text(self.text())
        }
    }

    mutating func link() -> Identifier? {
        if self.isBare || self.numbers.once(in: 3) { return nil }
        if let last = self.made.last, self.numbers.once(in: 2) { return last }
        if !self.made.isEmpty, self.numbers.once(in: 2) {
            return self.made[self.numbers.below(self.made.count)]
        }
        return self.identifier()
    }

    mutating func bytes() -> ArraySlice<UInt8> {
        switch self.numbers.below(8) {
        case 0: return []
        case 1: return ArraySlice((0..<self.numbers.below(700)).map { _ in UInt8(self.numbers.below(256)) })
        default:
            let pieces = ["\"name\":\"", "\"amount\":", "17", "\"},{", "Köln", ",", "true"]
            var text = "{"
            for _ in 0..<self.numbers.below(25) { text += pieces[self.numbers.below(pieces.count)] }
            // A slice that does not begin at 0.
            return Array((">" + text).utf8).dropFirst()
        }
    }

    mutating func next() -> EventRecord {
        self.timestamp &+= self.step &* Int64(self.numbers.below(5))
        if self.numbers.once(in: 500) { self.timestamp &-= self.step &* 1000 }
        let id = self.identifier()
        var record = EventRecord(
            id: id, type: "type-\(self.numbers.below(self.types))", timestamp: self.timestamp)
        if !self.isBare {
            let stream = self.streams.map { self.numbers.below($0) } ?? self.made.count
            if !self.numbers.once(in: 9) { record.stream = stream == 2 ? "" : "stream-\(stream)" }
            if self.numbers.once(in: 2) { record.source = self.text() }
            if self.numbers.once(in: 2) { record.contentType = "application/json" }
            if self.numbers.once(in: 2) { record.tenant = ["", "t", "tenant-7"][self.numbers.below(3)] }
            if self.numbers.once(in: 40) {
                record.schemaVersion = UInt32.random(in: 0 ... .max, using: &self.numbers)
            }
            record.metadata = self.bytes()
            record.payload = self.bytes()
        }
        record.correlation = self.link()
        record.causation = self.link()
        self.made.append(id)
        return record
    }

    mutating func records(_ count: Int) -> [EventRecord] { (0..<count).map { _ in self.next() } }
}

/// A frame of records, and what should come out of it.
struct SampleFrame {
    var bytes: [UInt8]
    var placed: [PlacedRecord]

    /// The frame of `records` as the head would hold it.
    static func head(
        _ records: [EventRecord], first: UInt64 = 1000, base: (Int) -> UInt64 = { UInt64($0) * 3 },
        encoder: FrameEncoder? = nil
    ) throws -> SampleFrame {
        let encoder = try encoder ?? FrameEncoder()
        for record in records { try encoder.append(record) }
        let draft = try encoder.finish()
        let bases = draft.summary.streams.indices.map(base)
        return SampleFrame(
            bytes: draft.bytes(first: first, bases: bases),
            placed: Self.place(records, draft.summary, first: first, bases: bases))
    }

    static func place(
        _ records: [EventRecord], _ summary: FrameSummary, first: UInt64, bases: [UInt64]
    ) -> [PlacedRecord] {
        var next = bases
        return records.indices.map { index in
            let code = Int(summary.streamCodes[index])
            var revision: UInt64?
            if code > 0 {
                revision = next[code - 1]
                next[code - 1] += 1
            }
            return PlacedRecord(
                position: first + UInt64(index), revision: revision, record: records[index])
        }
    }

    /// The frame of events whose places are drawn at random, with gaps if `isSparse`; its groups are by type,
    /// or of consecutive events and some `groupBytes`.
    static func sealed(
        _ records: [EventRecord], isSparse: Bool, numbers: inout FrameNumbers,
        encoder: FrameEncoder? = nil, groupBytes: Int = 0
    ) throws -> SampleFrame {
        let encoder = try encoder ?? FrameEncoder(groupsByType: true, groupBytes: groupBytes)
        var position = numbers.next() >> 20
        var revisions: [String: UInt64] = [:]
        var placed: [PlacedRecord] = []
        for record in records {
            position += isSparse && numbers.once(in: 3) ? UInt64(numbers.below(1 << 30)) + 1 : 1
            var revision: UInt64?
            if let stream = record.stream {
                let next = revisions[stream] ?? numbers.next() >> UInt64(10 + numbers.below(50))
                revision = isSparse && numbers.once(in: 4) ? next + UInt64(numbers.below(1000)) : next
                revisions[stream] = revision.map { $0 + 1 }
            }
            try encoder.append(record, position: position, revision: revision)
            placed.append(PlacedRecord(position: position, revision: revision, record: record))
        }
        return SampleFrame(bytes: try encoder.finishPlaced(), placed: placed)
    }
}

extension FrameDraft {
    /// The complete frame in an array.
    func bytes(first: UInt64, bases: [UInt64]) -> [UInt8] {
        var bytes = [UInt8](repeating: 0xee, count: self.byteCount(baseRevisions: bases))
        bytes.withUnsafeMutableBytes { self.write(firstPosition: first, baseRevisions: bases, into: $0) }
        return bytes
    }
}

extension FrameDecoder {
    /// Loads a frame that needs no dictionary, or the one given.
    func load(
        _ bytes: [UInt8], expecting position: UInt64? = nil, verifyBody: Bool = true,
        withBodies: Bool = true, parts: FrameParts = .all, dictionary: CompressionDictionary? = nil
    ) throws(StorageError) {
        // A copy that ends with the frame, so that Address Sanitizer sees reads beyond it.
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        defer { copy.deallocate() }
        copy.copyBytes(from: bytes)
        try self.load(
            UnsafeRawBufferPointer(copy), expectedFirstPosition: position, verifyBody: verifyBody,
            withBodies: withBodies, parts: parts
        ) { id throws(StorageError) in
            guard let dictionary, dictionary.id == id else {
                throw StorageError(.notFound, "there is no dictionary \(id)")
            }
            return dictionary
        }
    }

    /// Loads a frame where it stands, runs `body`, and forgets it; behind it there is what must be readable.
    func inPlace(
        _ bytes: [UInt8], dictionary: CompressionDictionary? = nil,
        _ body: () throws(StorageError) -> Void
    ) throws(StorageError) {
        let place = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count + 32, alignment: 1)
        defer {
            self.unload()
            place.deallocate()
        }
        place.initializeMemory(as: UInt8.self, repeating: 0xff)
        place.copyBytes(from: bytes)
        try self.load(
            UnsafeRawBufferPointer(rebasing: place[..<bytes.count]), expectedFirstPosition: nil,
            copies: false, verifyBody: false, parts: []
        ) { id throws(StorageError) in
            guard let dictionary, dictionary.id == id else {
                throw StorageError(.notFound, "there is no dictionary \(id)")
            }
            return dictionary
        }
        try body()
    }

    /// Everything that the loaded frame holds, each event read for itself.
    func singles() throws(StorageError) -> [PlacedRecord] {
        var all: [PlacedRecord] = []
        for index in 0..<self.count { all.append(try self.single(index)) }
        return all
    }

    /// Everything that the loaded frame holds, through the accessors for single events.
    func everything() throws(StorageError) -> [PlacedRecord] {
        var all: [PlacedRecord] = []
        for index in 0..<self.count {
            let record = try self.record(index)
            all.append(
                PlacedRecord(
                    position: self.position(index), revision: self.revision(index), record: record))
        }
        return all
    }
}

extension FrameHeader {
    /// Puts right the checksums of a frame that was changed on purpose, as far as its sizes make sense.
    static func resign(_ bytes: inout [UInt8]) {
        guard bytes.count >= FrameFormat.headerBytes else { return }
        bytes.withUnsafeMutableBytes { buffer in
            guard let start = buffer.baseAddress else { return }
            let raw = UnsafeRawPointer(start)
            let width = Int(raw.littleEndian(UInt8.self, at: FrameFormat.Offset.revisionWidth))
            let count = Int(raw.littleEndian(UInt32.self, at: FrameFormat.Offset.revisionCount))
            let envelope = Int(raw.littleEndian(UInt32.self, at: FrameFormat.Offset.envelopeBytes))
            let prefix = FrameFormat.headerBytes + width * count
            if prefix + envelope <= buffer.count {
                let checksum = XXH64.hash(
                    UnsafeRawBufferPointer(start: start + prefix, count: envelope))
                start.store(checksum, at: FrameFormat.Offset.envelopeChecksum)
            }
            if prefix <= buffer.count {
                let checksum = FrameHeader.checksum(UnsafeRawBufferPointer(start: start, count: prefix))
                start.store(checksum, at: FrameFormat.Offset.headerChecksum)
            }
        }
    }
}
