import Testing

@testable import TidelogStorage

/// The postings index on its own: bits, pages, lookups.
@Suite("Postings index")
struct PostingsTests {
    @Test("numbers of every size and order come back from their Golomb codes at the cost foretold")
    func golombRoundTrip() {
        var numbers: [(UInt64, Int)] = []
        for order in 0..<48 {
            for bits in 0..<48 {
                for offset in -1...1 {
                    let value = Int64(1) << Int64(bits) + Int64(offset)
                    if value < 1 << 47 { numbers.append((UInt64(value), order)) }
                }
            }
        }
        numbers = numbers.filter { $0.0 + 1 << UInt64($0.1) < 1 << 48 }
        var writer = BitWriter()
        for (value, order) in numbers {
            let before = writer.bitCount
            writer.writeGolomb(value, order: order)
            #expect(writer.bitCount - before == BitWriter.golombCost(value, order: order))
        }
        writer.write(0b1011, count: 4)
        let bytes = writer.finish()
        bytes.withUnsafeBytes { raw in
            var reader = BitReader(raw)
            for (value, order) in numbers { #expect(reader.readGolomb(order: order) == value) }
            #expect(reader.read(count: 4) == 0b1011)
            #expect(reader.isAtEnd)
            var skipping = BitReader(raw)
            for (_, order) in numbers { skipping.skipGolomb(order: order) }
            #expect(skipping.read(count: 4) == 0b1011)
            var beyond = skipping
            _ = beyond.read(count: 20)
            #expect(beyond.isExhausted)
        }
    }

    @Test("a reader at the end gives zeros and says so, whatever it is asked")
    func exhaustedReader() {
        let empty = BitReader(UnsafeRawBufferPointer(start: nil, count: 0))
        var reader = empty
        #expect(reader.read(count: 7) == 0)
        #expect(reader.isExhausted)
        reader = empty
        #expect(reader.readGolomb(order: 3) == 0)
        #expect(reader.isExhausted)
    }

    @Test("the radix sort keeps the order of equals", arguments: [1, 12, 22, 33, 40])
    func radixSort(topBits: Int) {
        let seed = UInt64.random(in: .min ... .max)
        var random = SeededRandom(seed)
        let values = (0..<5_000).map { _ in random.next() }
        var sorted = values
        PostingsBuilder.sort(&sorted, topBits: topBits)
        let expected = values.enumerated().sorted {
            let left = $0.element >> UInt64(64 - topBits)
            let right = $1.element >> UInt64(64 - topBits)
            return (left, $0.offset) < (right, $1.offset)
        }
        #expect(sorted == expected.map(\.element), "seed \(seed)")
    }

    /// A mixture that an index may hold: how many blocks, names, events, and how they cluster.
    struct Shape: Sendable, CustomTestStringConvertible {
        var blocks: Int
        var names: Int
        var events: Int
        /// Within how many blocks of its first one name occurs.
        var spread: Int
        var testDescription: String { "\(events) events of \(names) names in \(blocks) blocks" }
    }

    static let shapes = [
        Shape(blocks: 1, names: 1, events: 1, spread: 1),
        Shape(blocks: 1, names: 40, events: 300, spread: 1),
        Shape(blocks: 500, names: 1, events: 20_000, spread: 500),
        Shape(blocks: 500, names: 12, events: 30_000, spread: 500),
        Shape(blocks: 500, names: 10_000, events: 50_000, spread: 500),
        Shape(blocks: 500, names: 10_000, events: 50_000, spread: 2),
        Shape(blocks: 500, names: 1 << 40, events: 50_000, spread: 1),
        Shape(blocks: 60_000, names: 3, events: 150_000, spread: 60_000),
    ]

    @Test("every name is found in exactly its blocks, with its counts", arguments: shapes)
    func groupedAgainstBruteForce(shape: Shape) throws {
        let seed = UInt64.random(in: .min ... .max)
        var random = SeededRandom(seed)
        var events: [(hash: UInt64, block: Int)] = []
        for _ in 0..<shape.events {
            let hash = SeededRandom.mix(UInt64(random.below(shape.names)))
            let first = Int(hash % UInt64(shape.blocks))
            events.append((hash, (first + random.below(shape.spread)) % shape.blocks))
        }
        events.sort { $0.block < $1.block }
        var builder = PostingsBuilder(isGrouped: true)
        for event in events { builder.add(hash: event.hash, block: event.block) }
        let index = try MemoryIndex(&builder, blockCount: shape.blocks)

        var expected: [UInt64: [Int: Int]] = [:]
        for event in events {
            expected[index.code.key(of: event.hash), default: [:]][event.block, default: 0] += 1
        }
        var listed: [UInt64: [Int: Int]] = [:]
        try index.forEachEntry { entry in
            #expect(listed[entry.key] == nil, "an entry stands twice; seed \(seed)")
            listed[entry.key] = Dictionary(uniqueKeysWithValues: entry.blocks.map { ($0.block, $0.count) })
        }
        #expect(listed == expected, "seed \(seed)")
        #expect(index.entries == expected.count)
        for hash in Set(events.prefix(3_000).map(\.hash)) {
            let blocks = try index.lookup(hash)
            #expect(blocks.map(\.block) == blocks.map(\.block).sorted())
            let counts = Dictionary(uniqueKeysWithValues: blocks.map { ($0.block, $0.count) })
            #expect(counts == expected[index.code.key(of: hash)], "seed \(seed)")
        }
        for _ in 0..<1_000 {
            let hash = random.next()
            let found = try index.lookup(hash)
            #expect(found.isEmpty == (expected[index.code.key(of: hash)] == nil), "seed \(seed)")
        }
    }

    @Test(
        "every event id is found in its block, also where hashes are the same", arguments: [0, 1, 50, 40_000])
    func singleAgainstBruteForce(count: Int) throws {
        let seed = UInt64.random(in: .min ... .max)
        var random = SeededRandom(seed)
        let blocks = 300
        var events = (0..<count).map { _ in (hash: random.next(), block: random.below(blocks)) }
        // A run of equal hashes longer than a page, at both ends and in the middle.
        if count > 1_000 {
            for _ in 0..<3_000 { events.append((UInt64.max, random.below(blocks))) }
            for _ in 0..<1_500 { events.append((events[0].hash, random.below(blocks))) }
        }
        events.sort { $0.block < $1.block }
        var builder = PostingsBuilder(isGrouped: false)
        for event in events { builder.add(hash: event.hash, block: event.block) }
        let index = try MemoryIndex(&builder, blockCount: blocks)
        #expect(index.entries == events.count)
        var expected: [UInt64: [Int]] = [:]
        for event in events { expected[index.code.key(of: event.hash), default: []].append(event.block) }
        for event in events.prefix(2_000) + events.suffix(2_000) {
            let found = try index.lookup(event.hash).map(\.block)
            #expect(found == expected[index.code.key(of: event.hash)], "seed \(seed)")
        }
        #expect(try index.lookup(0x1234_5678_0000_0000).isEmpty || count > 0)
    }

    @Test("pages are filled: none but the last leaves a tenth unused")
    func pagesAreFilled() throws {
        var builder = PostingsBuilder(isGrouped: false)
        var random = SeededRandom(7)
        for event in 0..<100_000 { builder.add(hash: random.next(), block: event / 500) }
        let index = try MemoryIndex(&builder, blockCount: 200)
        #expect(index.pages.dropLast().allSatisfy { $0.bytes.count > PostingsPage.targetBytes * 9 / 10 })
        #expect(index.pages.allSatisfy { $0.bytes.count <= PostingsPage.targetBytes })
        let bytes = index.pages.reduce(0) { $0 + $1.bytes.count }
        #expect(bytes < 100_000 * 3)
    }

    @Test("a page of random bytes gives an error or an answer, never a crash")
    func randomPages() {
        let seed = UInt64.random(in: .min ... .max)
        var random = SeededRandom(seed)
        for _ in 0..<20_000 {
            let page = (0..<random.below(80)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            let code = PostingsCode(
                isGrouped: random.below(2) == 0, hashBits: 12 + random.below(29),
                blockBits: random.below(25), lowBits: random.below(40), lengthOrder: random.below(16),
                gapShift: random.below(16), countOrder: random.below(16))
            page.withUnsafeBytes { bytes in
                _ = try? PostingsPage.blocks(for: random.next() >> 30, in: bytes, firstKey: 0, code: code)
                try? PostingsPage.forEachEntry(in: bytes, firstKey: 0, code: code) { _ in }
            }
        }
    }
}

/// An index kept in memory as the segment keeps it in its file.
private struct MemoryIndex {
    var pages: [(firstKey: UInt64, bytes: [UInt8])] = []
    var code: PostingsCode
    var entries: Int

    init(_ builder: inout PostingsBuilder, blockCount: Int) throws {
        var pages: [(firstKey: UInt64, bytes: [UInt8])] = []
        let result = try builder.finish(blockCount: blockCount) { firstKey, bytes in
            pages.append((firstKey, bytes))
        }
        self.pages = pages
        self.code = result.code
        self.entries = result.entries
        #expect(zip(pages, pages.dropFirst()).allSatisfy { $0.firstKey < $1.firstKey })
    }

    func lookup(_ hash: UInt64) throws -> [BlockPosting] {
        let key = self.code.key(of: hash)
        guard let page = self.pages.last(where: { $0.firstKey <= key }) else { return [] }
        var found: [BlockPosting] = []
        try page.bytes.withUnsafeBytes { bytes in
            found = try PostingsPage.blocks(for: key, in: bytes, firstKey: page.firstKey, code: self.code)
        }
        return found
    }

    func forEachEntry(_ body: (PostingsEntry) throws(StorageError) -> Void) throws {
        for page in self.pages {
            try page.bytes.withUnsafeBytes { bytes in
                try PostingsPage.forEachEntry(in: bytes, firstKey: page.firstKey, code: self.code, body)
            }
        }
    }
}
