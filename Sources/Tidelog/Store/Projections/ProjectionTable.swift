import Glibc
import TidelogStorage

/// What a projection's state has in memory: an open-addressing table over the keys' UTF-8, without an allocation
/// a key or a number. A key stays until all are removed; a nil value says that nothing is stored under it.
struct ProjectionTable: Sendable {
    /// What is stored under a key. Numbers are in their entries, all else is in a list of its own: an entry is plain
    /// bytes, so that counting touches no reference count.
    private enum Kind: UInt8 { case none, number, other }

    private struct Entry: BitwiseCopyable {
        var hash: UInt64
        /// The number, or which of `others`.
        var number: Int64 = 0
        /// Where the key is in `keys`, all of them together being under 4 GiB.
        var keyStart: UInt32
        var keyCount: UInt16
        var kind = Kind.none
        var isChanged = false
    }

    private var entries: ContiguousArray<Entry> = []
    /// Values that are no numbers.
    private var others: ContiguousArray<ProjectionValue?> = []
    private var freeOthers: ContiguousArray<Int> = []
    /// An entry's index plus one in as many bits as tell the slots apart, and in the others those of the upper half of
    /// its key's hash; 0 is free. Keys come in any order, so each look-up is one miss of a cache: the fewer bytes, the
    /// nearer the cache.
    private var slots = ContiguousArray<UInt32>(repeating: 0, count: 64)
    private var keys: ContiguousArray<UInt8> = []
    /// Keys come from events, and so perhaps from somebody who would like them all in one slot.
    private let seed = UInt64.random(in: 0 ... .max)

    var count: Int { self.entries.count }

    /// The entry of a key; nil if it has none.
    @inline(__always)
    func find(_ key: UnsafeRawBufferPointer) -> Int? {
        let slot = self.slot(of: key, hash: XXH64.hash(key, seed: self.seed))
        let found = self.slots[slot]
        return found == 0 ? nil : Int(found & self.indexBits) - 1
    }

    /// What is stored under an entry's key; nil if nothing is.
    @inline(__always)
    func value(_ index: Int) -> ProjectionValue? {
        let entry = self.entries[index]
        return switch entry.kind {
        case .none: nil
        case .number: .integer(entry.number)
        case .other: self.others[Int(entry.number)]
        }
    }

    @inline(__always)
    func isChanged(_ index: Int) -> Bool { self.entries[index].isChanged }

    /// Adds to an entry's number; nil if it has none. Answers also whether the entry had been changed before.
    @inline(__always)
    mutating func add(_ count: Int64, to index: Int) -> (sum: Int64, wasChanged: Bool)? {
        self.entries.withUnsafeMutableBufferPointer { entries in
            guard entries[index].kind == .number else { return nil }
            let (sum, wasChanged) = (entries[index].number &+ count, entries[index].isChanged)
            entries[index].number = sum
            entries[index].isChanged = true
            return (sum, wasChanged)
        }
    }

    /// Adds the entry of a key that has none.
    mutating func insert(
        _ key: UnsafeRawBufferPointer, _ value: ProjectionValue?, isChanged: Bool
    ) -> Int {
        let hash = XXH64.hash(key, seed: self.seed)
        let slot = self.slot(of: key, hash: hash)
        precondition(self.slots[slot] == 0, "the key is new")
        self.entries.append(
            Entry(hash: hash, keyStart: UInt32(self.keys.count), keyCount: UInt16(key.count)))
        self.keys.append(contentsOf: key)
        self.slots[slot] = self.tag(hash) | UInt32(self.entries.count)
        if self.entries.count * 3 > self.slots.count * 2 { self.grow() }
        let index = self.entries.count - 1
        self.update(index, value, isChanged: isChanged)
        return index
    }

    mutating func update(_ index: Int, _ value: ProjectionValue?, isChanged: Bool) {
        var entry = self.entries[index]
        entry.isChanged = isChanged
        if entry.kind == .other {
            self.others[Int(entry.number)] = nil
            self.freeOthers.append(Int(entry.number))
        }
        switch value {
        case nil: entry.kind = .none
        case .integer(let number)?: (entry.kind, entry.number) = (.number, number)
        case let other?:
            if let free = self.freeOthers.popLast() {
                self.others[free] = other
                entry.number = Int64(free)
            } else {
                entry.number = Int64(self.others.count)
                self.others.append(other)
            }
            entry.kind = .other
        }
        self.entries[index] = entry
    }

    mutating func markUnchanged(_ index: Int) { self.entries[index].isChanged = false }

    /// The bytes of an entry's key, behind `prefix`.
    func key(_ index: Int, prefix: [UInt8]) -> [UInt8] {
        let entry = self.entries[index]
        let start = Int(entry.keyStart)
        var key: [UInt8] = []
        key.reserveCapacity(prefix.count + Int(entry.keyCount))
        key.append(contentsOf: prefix)
        key.append(contentsOf: self.keys[start..<start + Int(entry.keyCount)])
        return key
    }

    mutating func removeAll() {
        self.entries.removeAll()
        self.others.removeAll()
        self.freeOthers.removeAll()
        self.keys.removeAll()
        self.slots = ContiguousArray(repeating: 0, count: 64)
    }

    /// The bits of a slot that have the index.
    @inline(__always)
    private var indexBits: UInt32 { UInt32(truncatingIfNeeded: self.slots.count - 1) }

    @inline(__always)
    private func tag(_ hash: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: hash >> 32) & ~self.indexBits }

    /// The slot that has the key, or the free one where it belongs.
    @inline(__always)
    private func slot(of key: UnsafeRawBufferPointer, hash: UInt64) -> Int {
        let mask = self.slots.count - 1
        let (bits, tag) = (self.indexBits, self.tag(hash))
        var slot = Int(truncatingIfNeeded: hash) & mask
        while true {
            let found = self.slots[slot]
            if found == 0 { return slot }
            if found & ~bits == tag, self.has(Int(found & bits) - 1, key, hash) { return slot }
            slot = (slot + 1) & mask
        }
    }

    @inline(__always)
    private func has(_ index: Int, _ key: UnsafeRawBufferPointer, _ hash: UInt64) -> Bool {
        let (start, count, known) = self.entries.withUnsafeBufferPointer { entries in
            (Int(entries[index].keyStart), Int(entries[index].keyCount), entries[index].hash)
        }
        guard known == hash, count == key.count else { return false }
        return self.keys.withUnsafeBytes { keys in
            guard let left = keys.baseAddress, let right = key.baseAddress else { return true }
            return memcmp(left + start, right, count) == 0
        }
    }

    private mutating func grow() {
        let mask = self.slots.count * 2 - 1
        self.slots = ContiguousArray(repeating: 0, count: mask + 1)
        for index in self.entries.indices {
            let hash = self.entries[index].hash
            var slot = Int(truncatingIfNeeded: hash) & mask
            while self.slots[slot] != 0 { slot = (slot + 1) & mask }
            self.slots[slot] = self.tag(hash) | UInt32(index + 1)
        }
    }
}
