import Glibc

/// Where a chunk has the streams of a frame: entries of its table, or -1, and the revisions that come next.
package struct StreamPlaces {
    /// The chunk that was asked; in another one the entries mean nothing.
    let chunk: ObjectIdentifier
    var entries: ContiguousArray<Int32> = []
    /// 0 for a stream that was not found.
    var nextRevisions: [UInt64] = []
    /// Means nothing: see ``StreamTable/touch(_:)``.
    var touched: UInt64 = 0
}

/// The streams of a chunk: an open-addressing table over their names' UTF-8, without an allocation a stream.
///
/// A lookup touches two places of memory: a slot, and the entry with the name's first bytes, which is most
/// names' all. With a hundred thousand streams each touch is a cache miss, and that is what a lookup costs.
package struct StreamTable {
    package struct Entry: BitwiseCopyable {
        fileprivate var hash: UInt64
        fileprivate var start: NameStart
        /// The revision after the last one in the chunk.
        package var nextRevision: UInt64
        /// Offset of the stream's last event in the chunk.
        package var lastOffset: UInt32
        /// Offset of the stream's first event in the chunk.
        package var firstOffset: UInt32
        /// Events of the stream in the chunk.
        package var count: UInt32
        /// Where the name is in the table's `names`, all of them together being under 4 GiB.
        fileprivate var place: UInt32

        var nameStart: Int { Int(self.place) }
        var nameCount: Int { Int(self.start.nameCount) }
    }

    /// The first bytes of a name, filled up with zeros, and how many bytes the name has.
    fileprivate struct NameStart: BitwiseCopyable {
        static let capacity = 24
        var bytes: (UInt64, UInt64, UInt64) = (0, 0, 0)
        var nameCount: UInt32

        @inline(__always)
        init(_ name: UnsafeRawBufferPointer) {
            self.nameCount = UInt32(truncatingIfNeeded: name.count)
            let count = min(name.count, Self.capacity)
            guard let base = name.baseAddress else { return }
            withUnsafeMutableBytes(of: &self.bytes) { target in
                target.copyMemory(from: UnsafeRawBufferPointer(start: base, count: count))
            }
        }

        @inline(__always)
        static func == (left: Self, right: Self) -> Bool {
            left.bytes.0 == right.bytes.0 && left.bytes.1 == right.bytes.1 && left.bytes.2 == right.bytes.2
                && left.nameCount == right.nameCount
        }
    }

    package private(set) var entries: ContiguousArray<Entry> = []
    /// The upper half of a name's hash and, in the lower half, its entry's index plus one; 0 is free.
    private var slots: ContiguousArray<UInt64> = ContiguousArray(repeating: 0, count: 64)
    private(set) var names: ContiguousArray<UInt8> = []

    package init() {}

    package func name(_ entry: Int) -> String {
        let found = self.entries[entry]
        return String(
            decoding: self.names[found.nameStart..<found.nameStart + found.nameCount], as: UTF8.self)
    }

    package func find(_ name: String) -> Int? {
        Self.withBytes(of: name) { self.entry(of: $0, hash: XXH64.hash($0)) }
    }

    /// The same where the XXH64 of the name is known.
    @inline(__always)
    func find(_ name: String, hash: UInt64) -> Int? {
        Self.withBytes(of: name) { self.entry(of: $0, hash: hash) }
    }

    mutating func findOrInsert(_ name: String, nextRevision: UInt64) -> Int {
        Self.withBytes(of: name) { bytes in
            let hash = XXH64.hash(bytes)
            let start = NameStart(bytes)
            let slot = self.slot(of: bytes, start, hash: hash)
            if self.slots[slot] != 0 { return Int(UInt32(truncatingIfNeeded: self.slots[slot])) - 1 }
            self.entries.append(
                Entry(
                    hash: hash, start: start, nextRevision: nextRevision, lastOffset: .max,
                    firstOffset: .max, count: 0, place: UInt32(self.names.count)))
            self.names.append(contentsOf: bytes)
            self.slots[slot] = Self.slot(hash, self.entries.count)
            if self.entries.count * 2 > self.slots.count { self.grow() }
            return self.entries.count - 1
        }
    }

    /// Records the events of a frame and adds, for each, the link to the event before it in its stream.
    ///
    /// - Parameters:
    ///   - codes: for each event 0, or one more than the index of its stream's entry in `numbers`.
    ///   - start: the offset of the first event.
    mutating func link(
        _ codes: [UInt32], entries numbers: ContiguousArray<Int32>, start: UInt32,
        into links: inout ContiguousArray<UInt32>
    ) {
        let codes = codes.span
        let numbers = numbers.span
        self.entries.withUnsafeMutableBufferPointer { entries in
            for index in codes.indices {
                let code = codes[index]
                if code == 0 {
                    links.append(0)
                    continue
                }
                let entry = Int(numbers[Int(code) - 1])
                let offset = start + UInt32(index)
                let previous = entries[entry].lastOffset
                entries[entry].lastOffset = offset
                if previous == .max { entries[entry].firstOffset = offset }
                entries[entry].count += 1
                entries[entry].nextRevision += 1
                links.append(previous &+ 1)
            }
        }
    }

    /// Looks up at once those of many names that are not found yet: for each the revision that comes next, and
    /// its entry here if `keepsEntries`.
    func find(
        _ names: [String], hashes: [UInt64], keepsEntries: Bool, into places: inout StreamPlaces
    ) {
        let names = names.span
        let hashes = hashes.span
        var start = 0
        while start < names.count {
            let end = min(start + Self.batch, names.count)
            places.touched &+= self.touch(hashes.extracting(start..<end))
            for index in start..<end where places.nextRevisions[index] == 0 {
                guard let entry = self.find(names[index], hash: hashes[index]) else { continue }
                if keepsEntries { places.entries[index] = Int32(entry) }
                places.nextRevisions[index] = self.entries[entry].nextRevision
            }
            start = end
        }
    }

    /// How many names are looked up with their places in memory asked for at the same time.
    private static let batch = 32

    /// Brings what the search for these names is going to look at into the processor's cache, for all of them
    /// at once: none of these loads waits for another one, as those of one search after the other do.
    ///
    /// - Returns: a number that means nothing, to be kept somewhere: else the compiler leaves the loads out.
    @inline(__always)
    func touch(_ hashes: Span<UInt64>) -> UInt64 {
        let mask = self.slots.count - 1
        return self.slots.withUnsafeBufferPointer { slots in
            self.entries.withUnsafeBufferPointer { entries in
                var sum: UInt64 = 0
                for index in hashes.indices {
                    let found = slots[Int(truncatingIfNeeded: hashes[index]) & mask]
                    let number = Int(UInt32(truncatingIfNeeded: found)) - 1
                    if number >= 0 { sum &+= entries[number].start.bytes.0 }
                }
                return sum
            }
        }
    }

    // MARK: Slots

    @inline(__always)
    private static func withBytes<Result>(
        of name: String, _ body: (UnsafeRawBufferPointer) -> Result
    ) -> Result {
        if let result = name.utf8.withContiguousStorageIfAvailable({ body(UnsafeRawBufferPointer($0)) }) {
            return result
        }
        var copy = name
        return copy.withUTF8 { body(UnsafeRawBufferPointer($0)) }
    }

    @inline(__always)
    private func entry(of name: UnsafeRawBufferPointer, hash: UInt64) -> Int? {
        let found = self.slots[self.slot(of: name, NameStart(name), hash: hash)]
        return found == 0 ? nil : Int(UInt32(truncatingIfNeeded: found)) - 1
    }

    @inline(__always)
    private static func slot(_ hash: UInt64, _ number: Int) -> UInt64 {
        hash & ~0xFFFF_FFFF | UInt64(UInt32(number))
    }

    /// The slot that holds the name, or the free one where it belongs.
    @inline(__always)
    private func slot(of name: UnsafeRawBufferPointer, _ start: NameStart, hash: UInt64) -> Int {
        self.slots.withUnsafeBufferPointer { slots in
            let mask = slots.count - 1
            var slot = Int(truncatingIfNeeded: hash) & mask
            while slots[slot] != 0 {
                if (slots[slot] ^ hash) >> 32 == 0,
                    self.isNamed(Int(UInt32(truncatingIfNeeded: slots[slot])) - 1, name, start)
                {
                    return slot
                }
                slot = (slot + 1) & mask
            }
            return slot
        }
    }

    @inline(__always)
    private func isNamed(_ entry: Int, _ name: UnsafeRawBufferPointer, _ start: NameStart) -> Bool {
        let (found, nameStart) = self.entries.withUnsafeBufferPointer {
            ($0[entry].start, $0[entry].nameStart)
        }
        guard found == start else { return false }
        let restCount = name.count - NameStart.capacity
        guard restCount > 0, let base = name.baseAddress else { return true }
        return self.names.withUnsafeBufferPointer { names in
            guard let known = names.baseAddress else { return false }
            return memcmp(known + nameStart + NameStart.capacity, base + NameStart.capacity, restCount) == 0
        }
    }

    private mutating func grow() {
        let mask = self.slots.count * 4 - 1
        var slots = ContiguousArray<UInt64>(repeating: 0, count: mask + 1)
        for (index, entry) in self.entries.enumerated() {
            var slot = Int(truncatingIfNeeded: entry.hash) & mask
            while slots[slot] != 0 { slot = (slot + 1) & mask }
            slots[slot] = Self.slot(entry.hash, index + 1)
        }
        self.slots = slots
    }
}
