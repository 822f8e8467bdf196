import Glibc
import Testing
import TidelogTesting

@testable import TidelogStorage

/// Compresses `bytes` into a frame of its own.
private func compressed(
    _ bytes: [UInt8], with compressor: Compressor, checksum: Bool = true
) throws -> [UInt8] {
    var frame: [UInt8] = []
    let count = try bytes.span.bytes.withUnsafeBytes { source throws(StorageError) in
        try compressor.compress(source, into: &frame, checksum: checksum)
    }
    #expect(count == frame.count)
    return frame
}

/// Decompresses `frame` into `count` bytes.
private func decompressed(
    _ frame: [UInt8], count: Int, dictionary: CompressionDictionary? = nil,
    with decompressor: Decompressor = Decompressor()
) throws(StorageError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0xAA, count: count)
    var span = bytes.mutableSpan
    try span.withUnsafeMutableBytes { destination throws(StorageError) in
        try frame.span.bytes.withUnsafeBytes { source throws(StorageError) in
            try decompressor.decompress(source, into: destination, dictionary: dictionary)
        }
    }
    return bytes
}

/// Texts like those that events carry, all a little different.
private func samples(_ count: Int, seed: UInt64 = 1) -> [[UInt8]] {
    var random = SeededNumbers(seed: seed)
    return (0..<count).map { index in
        let amount = UInt64.random(in: 0..<100_000, using: &random)
        let customer = UInt64.random(in: 0..<5_000, using: &random)
        return Array(
            """
            {"orderId":"order-\(index)","customer":"customer-\(customer)","amount":\(amount),\
            "currency":"EUR","status":"\(["placed", "paid", "shipped"][index % 3])","lines":[]}
            """.utf8)
    }
}

private func trained(level: Int32 = 3) throws -> CompressionDictionary {
    let samples = samples(2000)
    let bytes = try CompressionDictionary.train(
        samples: Array(samples.joined()), sampleSizes: samples.map(\.count), capacity: 8192)
    return try CompressionDictionary(bytes: bytes, level: level)
}

@Suite("Compression")
struct CompressionTests {
    @Test(
        "what was compressed comes back, at any level and size, with a context used again",
        arguments: [1, 3, 19])
    func roundTrip(level: Int32) throws {
        let compressor = try Compressor(level: level)
        let decompressor = Decompressor()
        for count in [0, 1, 100, 5000, 300_000, 10] {
            let bytes = Array(samples(count / 100 + 1).joined().prefix(count))
            for checksum in [true, false, true] {
                let frame = try compressed(bytes, with: compressor, checksum: checksum)
                #expect(try decompressed(frame, count: bytes.count, with: decompressor) == bytes)
            }
        }
    }

    @Test("frames are added after what a destination holds, and a buffer that is too small is an error")
    func destinations() throws {
        let compressor = try Compressor(level: 1)
        let bytes = samples(1)[0]
        var frames: [UInt8] = [1, 2, 3]
        let count = try bytes.span.bytes.withUnsafeBytes { source throws(StorageError) in
            try compressor.compress(source, into: &frames, checksum: true)
        }
        #expect(frames.prefix(3) == [1, 2, 3])
        #expect(try decompressed(Array(frames.suffix(count)), count: bytes.count) == bytes)
        expectError(.limitExceeded) {
            var small = [UInt8](repeating: 0, count: 20)
            var span = small.mutableSpan
            _ = try span.withUnsafeMutableBytes { destination throws(StorageError) in
                try bytes.span.bytes.withUnsafeBytes { source throws(StorageError) in
                    try compressor.compress(source, into: destination, checksum: true)
                }
            }
        }
    }

    @Test("a level that zstd does not know is an error")
    func levels() {
        expectError(.invalidArgument) { _ = try Compressor(level: 23) }
        expectError(.invalidArgument) { _ = try Compressor(level: -200_000) }
        #expect(throws: Never.self) { try Compressor(level: 22) }
    }

    @Test("with zstd's checksum, no flipped bit gives wrong bytes")
    func flippedBits() throws {
        let bytes = Array(samples(30).joined())
        var frame = try compressed(bytes, with: Compressor(level: 1))
        let decompressor = Decompressor()
        var refused = 0
        for bit in 0..<(frame.count * 8) {
            frame[bit / 8] ^= 1 << UInt8(bit % 8)
            do throws(StorageError) {
                #expect(try decompressed(frame, count: bytes.count, with: decompressor) == bytes)
            } catch {
                refused += 1
            }
            frame[bit / 8] ^= 1 << UInt8(bit % 8)
        }
        #expect(refused > frame.count * 7)
        #expect(try decompressed(frame, count: bytes.count, with: decompressor) == bytes)
    }

    @Test("a frame cut short, followed by more, or of another size is refused")
    func lengths() throws {
        let bytes = samples(1)[0]
        let frame = try compressed(bytes, with: Compressor(level: 1))
        for count in 0..<frame.count {
            expectError(.corrupted) {
                _ = try decompressed(Array(frame.prefix(count)), count: bytes.count)
            }
        }
        expectError(.corrupted) { _ = try decompressed(frame + [0], count: bytes.count) }
        expectError(.corrupted) { _ = try decompressed(frame + frame, count: bytes.count) }
        expectError(.corrupted) { _ = try decompressed(frame, count: bytes.count - 1) }
        expectError(.corrupted) { _ = try decompressed(frame, count: bytes.count + 1) }
        expectError(.corrupted) { _ = try decompressed([], count: 0) }
        expectError(.corrupted) { _ = try decompressed(Array("no frame at all".utf8), count: 10) }
    }
}

@Suite("Decompression of hostile frames")
struct HostileFrameTests {
    /// The head of a frame of one segment that says it holds `size` bytes.
    private static func head(size: UInt32) -> [UInt8] {
        [0x28, 0xB5, 0x2F, 0xFD, 0b1010_0000] + withUnsafeBytes(of: size.littleEndian) { Array($0) }
    }

    /// A block that repeats one byte `count` times: four bytes on disk.
    private static func repeating(_ count: UInt32, isLast: Bool) -> [UInt8] {
        let header = count << 3 | 1 << 1 | (isLast ? 1 : 0)
        return withUnsafeBytes(of: header.littleEndian) { Array($0.prefix(3)) } + [0]
    }

    @Test("a frame built by hand is understood: the others here are refused for their faults alone")
    func sound() throws {
        let frame = Self.head(size: 1000) + Self.repeating(1000, isLast: true)
        #expect(try decompressed(frame, count: 1000) == [UInt8](repeating: 0, count: 1000))
    }

    @Test("a bomb is refused before it takes memory")
    func bomb() throws {
        var bomb = Self.head(size: 1 << 30)
        for index in 1...8192 { bomb += Self.repeating(1 << 17, isLast: index == 8192) }
        #expect(bomb.count < 40_000)
        #expect(try bomb.withUnsafeBytes { try Decompressor.contentSize($0) } == 1 << 30)
        let before = try Self.peakMemory()
        let decompressor = Decompressor()
        for count in [0, 1000, 1 << 20] {
            expectError(.corrupted) { _ = try decompressed(bomb, count: count, with: decompressor) }
        }
        #expect(try Self.peakMemory() < before + (256 << 20))
    }

    @Test("a frame that holds more than it says stops at the end of the buffer")
    func understated() throws {
        for (size, blocks) in [(5, [1 << 17]), (1000, [1000, 1]), (1000, [500, 400])] as [(UInt32, [UInt32])]
        {
            var frame = Self.head(size: size)
            for (index, block) in blocks.enumerated() {
                frame += Self.repeating(block, isLast: index == blocks.count - 1)
            }
            expectError(.corrupted) { _ = try decompressed(frame, count: Int(size)) }
        }
    }

    @Test("a frame that does not tell its size is refused")
    func unknownSize() {
        let frame: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0, 0, 3 << 3 | 1, 0, 0, 1, 2, 3]
        let error = expectError(.corrupted) { _ = try decompressed(frame, count: 3) }
        #expect(error?.message.contains("size") == true)
        expectError(.corrupted) { _ = try frame.withUnsafeBytes { try Decompressor.contentSize($0) } }
    }

    @Test("a frame to be skipped, which holds nothing, is refused where bytes should be")
    func skippable() {
        expectError(.corrupted) {
            _ = try decompressed([0x50, 0x2A, 0x4D, 0x18, 4, 0, 0, 0, 1, 2, 3, 4], count: 4)
        }
    }

    @Test("random bytes after a sound beginning never decompress into more than was asked for")
    func random() throws {
        let seed = TestSeed.draw(for: "random frames")
        var random = SeededNumbers(seed: seed)
        let decompressor = Decompressor()
        var refused = 0
        for _ in 0..<5000 {
            var frame = Self.head(size: 64)
            for _ in 0..<Int.random(in: 0..<40, using: &random) {
                frame.append(UInt8.random(in: 0...255, using: &random))
            }
            do throws(StorageError) {
                _ = try decompressed(frame, count: 64, with: decompressor)
            } catch {
                refused += 1
            }
        }
        #expect(refused > 4500)
    }

    /// The most memory that this process has had, in bytes.
    private static func peakMemory() throws -> Int {
        var usage = rusage()
        #expect(getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0)
        return usage.ru_maxrss * 1024
    }
}

@Suite("Compression dictionaries")
struct CompressionDictionaryTests {
    @Test("small texts become smaller with a dictionary trained on their like, and come back")
    func trainedDictionary() throws {
        let dictionary = try trained()
        #expect(dictionary.id != 0)
        #expect(dictionary.hash == dictionary.bytes.withUnsafeBytes { XXH64.hash($0) })
        let with = try Compressor(level: 3, dictionary: dictionary)
        let without = try Compressor(level: 3)
        let decompressor = Decompressor()
        for text in samples(50, seed: 99) {
            let small = try compressed(text, with: with)
            #expect(small.count * 3 < 2 * (try compressed(text, with: without)).count)
            #expect(
                try decompressed(small, count: text.count, dictionary: dictionary, with: decompressor) == text
            )
        }
    }

    @Test("a frame is refused with another dictionary, without one, and with one that it does not need")
    func wrongDictionary() throws {
        let first = try trained()
        let others = samples(2000, seed: 5).map { Array("other: ".utf8) + $0 }
        let second = try CompressionDictionary(
            bytes: CompressionDictionary.train(
                samples: Array(others.joined()), sampleSizes: others.map(\.count), capacity: 4096), level: 3)
        #expect(first.id != second.id)
        let text = samples(1)[0]
        let frame = try compressed(text, with: Compressor(level: 3, dictionary: first))
        expectError(.corrupted) { _ = try decompressed(frame, count: text.count, dictionary: second) }
        let error = expectError(.corrupted) { _ = try decompressed(frame, count: text.count) }
        #expect(error?.message.contains("\(first.id)") == true)
        let plain = try compressed(text, with: Compressor(level: 3))
        expectError(.corrupted) { _ = try decompressed(plain, count: text.count, dictionary: first) }
    }

    @Test("a dictionary with one wrong byte is found by its hash, wherever the byte is")
    func wrongByte() throws {
        let dictionary = try trained()
        var bytes = dictionary.bytes
        for offset in stride(from: 0, to: bytes.count, by: 97) {
            bytes[offset] ^= 1
            expectError(.corrupted) {
                _ = try CompressionDictionary(bytes: bytes, level: 3, expectedHash: dictionary.hash)
            }
            bytes[offset] ^= 1
        }
        let again = try CompressionDictionary(bytes: bytes, level: 1, expectedHash: dictionary.hash)
        #expect(again.id == dictionary.id)
    }

    @Test("bytes that are no dictionary are refused")
    func noDictionary() {
        for bytes in [[], [1, 2, 3], Array("just some text that is no dictionary at all".utf8)] as [[UInt8]] {
            expectError(.corrupted) { _ = try CompressionDictionary(bytes: bytes, level: 3) }
        }
        // The magic number and an id alone do not make one.
        expectError(.corrupted) {
            _ = try CompressionDictionary(
                bytes: [0x37, 0xA4, 0x30, 0xEC, 1, 0, 0, 0] + [UInt8](repeating: 0xFF, count: 100), level: 3)
        }
    }

    @Test("too few samples, or sizes beyond the samples, are an error and not a bad dictionary")
    func badSamples() {
        for (samples, sizes, capacity) in [
            ([], [], 4096), ([1, 2, 3], [3], 4096), ([1, 2, 3], [4], 4096), ([1, 2, 3], [2, 2], 4096),
            ([1, 2, 3], [-1], 4096), ([1, 2, 3], [.max, .max], 4096),
            ([UInt8](repeating: 1, count: 4000), [Int](repeating: 10, count: 400), 0),
        ] as [([UInt8], [Int], Int)] {
            expectError(.invalidArgument) {
                _ = try CompressionDictionary.train(samples: samples, sampleSizes: sizes, capacity: capacity)
            }
        }
    }

    @Test("threads that share a dictionary do not disturb each other")
    func shared() throws {
        let dictionary = try trained()
        let threads = try (0..<4).map { index in
            try WorkerThread(name: "compress-\(index)") {
                do {
                    let compressor = try Compressor(level: 3, dictionary: dictionary)
                    let decompressor = Decompressor()
                    for text in samples(200, seed: UInt64(index)) {
                        let frame = try compressed(text, with: compressor)
                        let back = try decompressed(
                            frame, count: text.count, dictionary: dictionary, with: decompressor)
                        #expect(back == text)
                    }
                } catch {
                    Issue.record(error)
                }
            }
        }
        for thread in threads { thread.join() }
    }
}
