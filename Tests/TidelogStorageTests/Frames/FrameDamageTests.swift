import Testing

@testable import TidelogStorage

@Suite("Damaged frames")
struct FrameDamageTests {
    /// Frames of the kinds that there are: tiny and plain, compressed, sparse, with a revision table,
    /// with groups of consecutive events.
    static let frames: [SampleFrame] = {
        var frames: [SampleFrame] = []
        do {
            for (seed, count) in [(2, 1), (3, 4), (8, 40), (12, 200)] as [(UInt64, Int)] {
                var source = RecordSource(seed: seed)
                source.isBare = false
                frames.append(try .head(source.records(count)))
                var numbers = source.numbers
                frames.append(
                    try .sealed(source.records(count), isSparse: true, numbers: &numbers))
                frames.append(
                    try .sealed(
                        source.records(count), isSparse: false, numbers: &numbers, groupBytes: 300))
            }
        } catch {
            Issue.record(error)
        }
        return frames
    }()

    @Test("every flipped bit is noticed when a frame is loaded", arguments: 0..<12)
    func bits(number: Int) throws {
        let frame = Self.frames[number]
        let decoder = FrameDecoder()
        let first = frame.placed[0].position
        var bytes = frame.bytes
        // All bits of frames up to 2 KiB; of larger ones each byte once, at changing bits.
        for offset in bytes.indices {
            for bit in bytes.count <= 2048 ? 0..<8 : (offset % 8)..<(offset % 8 + 1) {
                bytes[offset] ^= 1 << UInt8(bit)
                Self.expectDamage("bit \(bit) of byte \(offset)", at: first) { () throws(StorageError) in
                    try decoder.load(bytes, expecting: first)
                }
                #expect(decoder.count == 0)
                bytes[offset] ^= 1 << UInt8(bit)
            }
        }
        try decoder.load(bytes, expecting: first)
        #expect(try decoder.everything() == frame.placed)
    }

    @Test("a flipped bit in a body is noticed at the latest when its group is unpacked", arguments: 0..<12)
    func lazily(number: Int) throws {
        let frame = Self.frames[number]
        let decoder = FrameDecoder()
        var bytes = frame.bytes
        let header = try bytes.withUnsafeBytes { try FrameHeader.parse($0, expectedFirstPosition: nil) }
        let bodies = bytes.indices.suffix(header.bodyBytes)
        for offset in stride(from: bodies.lowerBound, to: bodies.upperBound, by: 1 + bodies.count / 100) {
            bytes[offset] ^= 4
            try decoder.load(bytes, verifyBody: false)
            Self.expectDamage("byte \(offset)", at: frame.placed[0].position) { () throws(StorageError) in
                _ = try decoder.everything()
            }
            bytes[offset] ^= 4
        }
    }

    @Test("every truncation and any addition is noticed", arguments: 0..<12)
    func truncations(number: Int) {
        let frame = Self.frames[number]
        let decoder = FrameDecoder()
        let first = frame.placed[0].position
        let stride = 1 + frame.bytes.count / 1000
        for count in Swift.stride(from: 0, to: frame.bytes.count, by: stride) {
            Self.expectDamage("\(count) bytes", at: first) { () throws(StorageError) in
                try decoder.load(Array(frame.bytes[..<count]), expecting: first)
            }
        }
        for addition in [1, 8, 4096] {
            Self.expectDamage("\(addition) more bytes", at: first) { () throws(StorageError) in
                try decoder.load(frame.bytes + [UInt8](repeating: 0, count: addition), expecting: first)
            }
        }
    }

    @Test("a frame in another's place is refused")
    func misplaced() {
        let frame = Self.frames[0]
        Self.expectDamage("misplaced", at: 1) { () throws(StorageError) in
            try FrameDecoder().load(frame.bytes, expecting: 1)
        }
    }

    @Test("a frame of a newer version is unsupported, not damaged")
    func newer() {
        var bytes = Self.frames[1].bytes
        bytes[FrameFormat.Offset.version] = 2
        FrameHeader.resign(&bytes)
        #expect {
            try FrameDecoder().load(bytes)
        } throws: {
            ($0 as? StorageError)?.code == .unsupportedFormat
        }
    }

    @Test("after a damaged frame the decoder loads sound ones as before")
    func recovers() throws {
        let decoder = FrameDecoder()
        for frame in Self.frames {
            var bytes = frame.bytes
            bytes[bytes.count - 1] ^= 1
            #expect(throws: StorageError.self) { try decoder.load(bytes) }
            try decoder.load(frame.bytes)
            #expect(try decoder.everything() == frame.placed)
        }
    }

    /// Expects an error that says that the frame at `first` is damaged.
    static func expectDamage(
        _ what: String, at first: UInt64, _ body: () throws(StorageError) -> Void
    ) {
        do {
            try body()
            Issue.record("\(what): nothing was noticed")
        } catch {
            // A flipped version looks like a newer one.
            let isNewer = error.code == .unsupportedFormat && error.message.contains("\(first)")
            let isDamage = error.code == .corrupted && error.positions?.lowerBound == first
            if !isNewer && !isDamage { Issue.record("\(what): \(error)") }
        }
    }
}
