/// Decides whether a frame is intact, down to the last payload.
final class FrameChecker {
    /// The frame that was checked last.
    let decoder = FrameDecoder(maximumUncompressedBytes: FrameFormat.maximumBodyBytes)
    private var dictionaryBytes: [UInt32: [UInt8]] = [:]
    private var dictionaries: [UInt32: CompressionDictionary] = [:]
    private var missing: Set<UInt32> = []
    /// Where to look for a dictionary that was not made known.
    private let elsewhere: (UInt32) -> [UInt8]?

    init(elsewhere: @escaping (UInt32) -> [UInt8]? = { _ in nil }) {
        self.elsewhere = elsewhere
    }

    /// Makes a dictionary known.
    func add(dictionary id: UInt32, _ bytes: [UInt8]) {
        self.dictionaryBytes[id] = bytes
    }

    /// Checks header, envelope, bodies, and that every column and every payload can be unpacked.
    ///
    /// - Returns: the header; the frame stays loaded in ``decoder``.
    func check(
        _ bytes: UnsafeRawBufferPointer, expectedFirstPosition: UInt64?
    ) throws(StorageError) -> FrameHeader {
        try self.decoder.load(
            bytes, expectedFirstPosition: expectedFirstPosition, parts: .all, dictionary: self.dictionary)
        for index in 0..<self.decoder.count {
            _ = try self.decoder.withPayload(index) { $0.count }
        }
        return self.decoder.header
    }

    /// What can be told of a frame that is not intact: its header, and the streams in its envelope with the
    /// revision after their last event, as far as each is intact.
    func remains(
        _ bytes: UnsafeRawBufferPointer, expectedFirstPosition: UInt64?
    ) -> (header: FrameHeader?, streams: [(name: String, nextRevision: UInt64)]) {
        guard let header = try? FrameHeader.parse(bytes, expectedFirstPosition: expectedFirstPosition) else {
            return (nil, [])
        }
        do throws(StorageError) {
            try self.decoder.load(
                bytes, expectedFirstPosition: expectedFirstPosition, withBodies: false,
                parts: [.streams, .revisions], dictionary: self.dictionary)
            return (header, self.nextRevisions().map { ($0.name, $0.next) })
        } catch {
            return (header, [])
        }
    }

    /// The streams of the loaded frame with their first revision and the one after their last, and whether
    /// the revisions between follow each other.
    func nextRevisions() -> [(name: String, first: UInt64, next: UInt64, isGapless: Bool)] {
        let frame = self.decoder
        let count = frame.distinctCount(.stream)
        var spans = [(first: UInt64, next: UInt64, isGapless: Bool)?](repeating: nil, count: count)
        for index in 0..<frame.count {
            guard let revision = frame.revision(index), revision < .max else { continue }
            let code = frame.code(.stream, index)
            if let known = spans[code] {
                spans[code] = (known.first, revision + 1, known.isGapless && revision == known.next)
            } else {
                spans[code] = (revision, revision + 1, true)
            }
        }
        return (0..<count).compactMap { code in
            guard let span = spans[code], let name = frame.distinctText(.stream, code) else { return nil }
            return (name, span.first, span.next, span.isGapless)
        }
    }

    private func dictionary(_ id: UInt32) throws(StorageError) -> CompressionDictionary {
        if let known = self.dictionaries[id] { return known }
        let known = self.dictionaryBytes[id]
        guard let bytes = known ?? (self.missing.contains(id) ? nil : self.elsewhere(id)) else {
            self.missing.insert(id)
            throw StorageError(.corrupted, "the dictionary \(id) that a frame needs is missing")
        }
        let dictionary = try CompressionDictionary(bytes: bytes, level: 1)
        self.dictionaries[id] = dictionary
        return dictionary
    }
}

extension FrameHeader {
    /// The length that the header at the beginning of `bytes` claims; nil if no header stands there.
    static func claimedBytes(_ bytes: UnsafeRawBufferPointer) -> Int? {
        typealias Offset = FrameFormat.Offset
        guard
            bytes.count >= FrameFormat.headerBytes, let start = bytes.baseAddress,
            start.littleEndian(UInt32.self, at: Offset.magic) == FrameFormat.magic
        else { return nil }
        let width = Int(start.littleEndian(UInt8.self, at: Offset.revisionWidth))
        let count = Int(start.littleEndian(UInt32.self, at: Offset.revisionCount))
        let envelope = Int(start.littleEndian(UInt32.self, at: Offset.envelopeBytes))
        let body = Int(start.littleEndian(UInt32.self, at: Offset.bodyBytes))
        return FrameFormat.headerBytes + width * count + envelope + body
    }

    /// The frame that begins at the beginning of `bytes`, if its header says that it ends within them.
    static func claimed(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        guard let count = self.claimedBytes(bytes), count <= bytes.count else { return nil }
        return UnsafeRawBufferPointer(rebasing: bytes[..<count])
    }

    /// Whether this is a whole frame of a version that this build does not know.
    static func isOfNewerVersion(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let frame = self.claimed(bytes), frame.count == bytes.count, let start = frame.baseAddress
        else {
            return false
        }
        typealias Offset = FrameFormat.Offset
        guard start.littleEndian(UInt16.self, at: Offset.version) > FrameFormat.version else { return false }
        let width = Int(start.littleEndian(UInt8.self, at: Offset.revisionWidth))
        let prefix =
            FrameFormat.headerBytes + width * Int(start.littleEndian(UInt32.self, at: Offset.revisionCount))
        guard prefix <= frame.count else { return false }
        return Self.checksum(UnsafeRawBufferPointer(rebasing: frame[..<prefix]))
            == start.littleEndian(UInt64.self, at: Offset.headerChecksum)
    }
}
