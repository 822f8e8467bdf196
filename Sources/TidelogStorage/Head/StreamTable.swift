import Glibc

/// Where a chunk has the streams of a frame: entries of its table, or -1, and the revisions that come next.
package struct StreamPlaces {
    var entries: ContiguousArray<Int32>
    var nextRevisions: [UInt64]
}

/// The streams of a chunk: an open-addressing table over their names' UTF-8, without an allocation a stream.
package struct StreamTable {
    package struct Entry {
        fileprivate var hash: UInt64
        fileprivate(set) var nameStart: Int
        fileprivate(set) var nameCount: Int
        /// Offset of the stream's last event in the chunk.
        package var lastOffset: UInt32
        /// Offset of the stream's first event in the chunk.
        package var firstOffset: UInt32
        /// Events of the stream in the chunk.
        package var count: UInt32
        /// The revision after the last one in the chunk.
        package var nextRevision: UInt64
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
        var name = name
        return name.withUTF8 { bytes in
            let slot = self.slots[self.slot(of: bytes, hash: XXH64.hash(UnsafeRawBufferPointer(bytes)))]
            return slot == 0 ? nil : Int(UInt32(truncatingIfNeeded: slot)) - 1
        }
    }

    mutating func findOrInsert(_ name: String, nextRevision: UInt64) -> Int {
        var name = name
        return name.withUTF8 { bytes in
            let hash = XXH64.hash(UnsafeRawBufferPointer(bytes))
            let slot = self.slot(of: bytes, hash: hash)
            if self.slots[slot] != 0 { return Int(UInt32(truncatingIfNeeded: self.slots[slot])) - 1 }
            self.entries.append(
                Entry(
                    hash: hash, nameStart: self.names.count, nameCount: bytes.count,
                    lastOffset: .max, firstOffset: .max, count: 0, nextRevision: nextRevision))
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
        links.reserveCapacity(links.count + codes.count)
        self.entries.withUnsafeMutableBufferPointer { entries in
            for (index, code) in codes.enumerated() {
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

    /// Looks many names up at once.
    func places(of names: [String], hashes: [UInt64]) -> StreamPlaces {
        var places = StreamPlaces(
            entries: ContiguousArray(repeating: -1, count: names.count),
            nextRevisions: [UInt64](repeating: 0, count: names.count))
        let names = names.span
        for index in names.indices {
            guard let slot = self.slot(of: names[index], hash: hashes[index]) else { continue }
            let entry = Int(UInt32(truncatingIfNeeded: slot)) - 1
            places.entries[index] = Int32(entry)
            places.nextRevisions[index] = self.entries[entry].nextRevision
        }
        return places
    }

    /// What the name's slot holds; nil if it is not there.
    @inline(__always)
    private func slot(of name: borrowing String, hash: UInt64) -> UInt64? {
        let found = name.utf8.withContiguousStorageIfAvailable { bytes in
            self.slots[self.slot(of: bytes, hash: hash)]
        }
        if let found { return found == 0 ? nil : found }
        var copy = copy name
        let slot = copy.withUTF8 { self.slots[self.slot(of: $0, hash: hash)] }
        return slot == 0 ? nil : slot
    }

    @inline(__always)
    private static func slot(_ hash: UInt64, _ number: Int) -> UInt64 {
        hash & ~0xFFFF_FFFF | UInt64(UInt32(number))
    }

    /// The slot that holds the name, or the free one where it belongs.
    private func slot(of name: UnsafeBufferPointer<UInt8>, hash: UInt64) -> Int {
        self.slots.withUnsafeBufferPointer { slots in
            let mask = slots.count - 1
            var slot = Int(truncatingIfNeeded: hash) & mask
            while slots[slot] != 0 {
                if (slots[slot] ^ hash) >> 32 == 0,
                    self.isNamed(Int(UInt32(truncatingIfNeeded: slots[slot])) - 1, name)
                {
                    return slot
                }
                slot = (slot + 1) & mask
            }
            return slot
        }
    }

    @inline(__always)
    private func isNamed(_ entry: Int, _ name: UnsafeBufferPointer<UInt8>) -> Bool {
        let (start, count) = self.entries.withUnsafeBufferPointer {
            ($0[entry].nameStart, $0[entry].nameCount)
        }
        guard count == name.count, let wanted = name.baseAddress else { return false }
        return self.names.withUnsafeBufferPointer { names in
            names.baseAddress.map { memcmp($0 + start, wanted, count) == 0 } ?? false
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
