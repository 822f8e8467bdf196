/// The event types of a segment: how many events of each there are, and in which blocks.
///
/// Types stand in the order of their UTF-8 bytes, in pages; the key of a page ends with its first type. An
/// entry is the type's name, its number of events, the number of its blocks, the two orders of the code of
/// its blocks, the length of that code in bytes, and the code: the first block's number in `blockBits` bits,
/// then `PostingsCode.writeRest`. So totals are read without looking at blocks.
struct TypeTable {
    /// Collects the types while a segment is written.
    private var numbers: [ExactText: Int] = [:]
    private var names: [String] = []
    /// Per type its blocks so far.
    private var blocks: [[CompactPosting]] = []
    /// Per type the events in the block that is being filled.
    private var current: [UInt32] = []
    private var touched: [Int] = []

    /// A posting in 8 bytes.
    private struct CompactPosting {
        var block: UInt32
        var count: UInt32
    }

    /// The number under which events of a type are added.
    mutating func number(of type: String) -> Int {
        let key = ExactText(type)
        if let number = self.numbers[key] { return number }
        let number = self.names.count
        self.numbers[key] = number
        self.names.append(type)
        self.blocks.append([])
        self.current.append(0)
        return number
    }

    /// Counts an event of the block being filled.
    @inline(__always)
    mutating func add(_ number: Int) {
        if self.current[number] == 0 { self.touched.append(number) }
        self.current[number] += 1
    }

    /// Ends the block being filled.
    mutating func endBlock(_ block: Int) {
        for number in self.touched {
            self.blocks[number].append(CompactPosting(block: UInt32(block), count: self.current[number]))
            self.current[number] = 0
        }
        self.touched.removeAll(keepingCapacity: true)
    }

    /// Gives the pages in order: the first type of each and its bytes.
    func forEachPage(
        blockCount: Int, _ body: (String, [UInt8]) throws(StorageError) -> Void
    ) throws(StorageError) {
        let order = self.names.indices.sorted {
            self.names[$0].utf8.lexicographicallyPrecedes(self.names[$1].utf8)
        }
        var page = RecordWriter()
        var first = ""
        for number in order {
            let entry = self.entry(number, blockCount: blockCount)
            // The key is as long as the name, so what fits two to a leaf is less by that.
            let limit = PostingsPage.targetBytes - first.utf8.count
            if !page.bytes.isEmpty, page.bytes.count + entry.count > limit {
                try body(first, page.bytes)
                page = RecordWriter()
            }
            if page.bytes.isEmpty { first = self.names[number] }
            page.append(bytes: entry)
        }
        if !page.bytes.isEmpty { try body(first, page.bytes) }
    }

    private func entry(_ number: Int, blockCount: Int) -> [UInt8] {
        let blocks = self.blocks[number].map { BlockPosting(block: Int($0.block), count: Int($0.count)) }
        var code = PostingsCode(
            isGrouped: true, hashBits: 0, blockBits: PostingsCode.bits(toNumber: blockCount))
        var costs = PostingsBuilder.Costs(code: code)
        costs.add(distance: nil, blocks: blocks)
        costs.choose(&code)
        var bits = BitWriter()
        bits.write(UInt64(blocks.first?.block ?? 0), count: code.blockBits)
        code.writeRest(blocks, to: &bits)
        let coded = bits.finish()
        var writer = RecordWriter()
        writer.append(text: self.names[number])
        writer.append(varint: UInt64(blocks.reduce(0) { $0 + $1.count }))
        writer.append(varint: UInt64(blocks.count))
        writer.append(UInt8(code.gapShift))
        writer.append(UInt8(code.countOrder))
        writer.append(varint: UInt64(coded.count))
        writer.append(bytes: coded)
        return writer.bytes
    }
}

extension TypeTable {
    /// A type as it stands in a page.
    struct Entry {
        var name: String
        var count: Int
        fileprivate var length: Int
        fileprivate var code: PostingsCode
        fileprivate var bits: UnsafeRawBufferPointer

        /// The blocks that hold the type, ascending, and how many events of it each holds.
        func blocks() throws(StorageError) -> [BlockPosting] {
            var blocks: [BlockPosting] = []
            var reader = BitReader(self.bits)
            var sum = 0
            let first = Int(reader.read(count: self.code.blockBits))
            self.code.readRest(first: first, length: self.length, from: &reader) { posting in
                blocks.append(posting)
                sum &+= posting.count
            }
            guard reader.isAtEnd, blocks.count == self.length, sum == self.count else {
                throw StorageError(.corrupted, "the blocks of a type do not add up in the table of types")
            }
            return blocks
        }
    }

    /// Gives the entries of a page to `body`, which returns false to stop.
    static func forEachEntry(
        in page: UnsafeRawBufferPointer, blockCount: Int, _ body: (Entry) throws(StorageError) -> Bool
    ) throws(StorageError) {
        var reader = RecordReader(page)
        while reader.remaining > 0 {
            let name = reader.text(limit: 255)
            let count = reader.count()
            let length = reader.count(limit: blockCount)
            let gapShift = Int(reader.byte())
            let countOrder = Int(reader.byte())
            let bits = reader.slice(reader.count(limit: page.count))
            guard !reader.hasFailed, gapShift < 16, countOrder < 16, length > 0 else {
                throw StorageError(.corrupted, "the table of types does not hold together")
            }
            let code = PostingsCode(
                isGrouped: true, hashBits: 0, blockBits: PostingsCode.bits(toNumber: blockCount),
                gapShift: gapShift, countOrder: countOrder)
            let goOn = try body(Entry(name: name, count: count, length: length, code: code, bits: bits))
            if !goOn { return }
        }
    }
}
