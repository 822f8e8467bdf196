import Glibc
import TidelogStorage

/// What a projection's state has in memory: an open-addressing table over the keys' UTF-8, without an allocation
/// a key. A key stays until all are removed; a nil value says that nothing is stored under it.
struct ProjectionTable: Sendable {
    struct Entry: Sendable {
        fileprivate var hash: UInt64
        /// Where the key is in `keys`, all of them together being under 4 GiB.
        fileprivate var keyStart: UInt32
        fileprivate var keyCount: UInt32
        var isChanged: Bool
        var value: ProjectionValue?
    }

    private(set) var entries: ContiguousArray<Entry> = []
    /// The upper half of a key's hash and, in the lower half, its entry's index plus one; 0 is free.
    private var slots = ContiguousArray<UInt64>(repeating: 0, count: 64)
    private var keys: ContiguousArray<UInt8> = []
    /// Keys come from events, and so perhaps from somebody who would like them all in one slot.
    private let seed = UInt64.random(in: 0 ... .max)

    var count: Int { self.entries.count }

    /// The entry of a key; nil if it has none.
    @inline(__always)
    func find(_ key: String) -> Int? {
        Self.withBytes(of: key) { bytes in
            let slot = self.slot(of: bytes, hash: XXH64.hash(bytes, seed: self.seed))
            return self.slots[slot] == 0 ? nil : Int(UInt32(truncatingIfNeeded: self.slots[slot])) - 1
        }
    }

    /// Adds the entry of a key that has none.
    mutating func insert(_ key: String, _ value: ProjectionValue?, isChanged: Bool) -> Int {
        Self.withBytes(of: key) { bytes in
            let hash = XXH64.hash(bytes, seed: self.seed)
            let slot = self.slot(of: bytes, hash: hash)
            precondition(self.slots[slot] == 0, "the key is new")
            self.entries.append(
                Entry(
                    hash: hash, keyStart: UInt32(self.keys.count), keyCount: UInt32(bytes.count),
                    isChanged: isChanged, value: value))
            self.keys.append(contentsOf: bytes)
            self.slots[slot] = Self.slot(hash, self.entries.count)
            if self.entries.count * 2 > self.slots.count { self.grow() }
            return self.entries.count - 1
        }
    }

    @inline(__always)
    mutating func update(_ index: Int, _ value: ProjectionValue?, isChanged: Bool) {
        self.entries[index].value = value
        self.entries[index].isChanged = isChanged
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
        self.keys.removeAll()
        self.slots = ContiguousArray(repeating: 0, count: 64)
    }

    private static func withBytes<Result>(
        of key: String, _ body: (UnsafeRawBufferPointer) -> Result
    ) -> Result {
        var key = key
        return key.withUTF8 { body(UnsafeRawBufferPointer($0)) }
    }

    @inline(__always)
    private static func slot(_ hash: UInt64, _ number: Int) -> UInt64 {
        hash & 0xFFFF_FFFF_0000_0000 | UInt64(UInt32(number))
    }

    /// The slot that has the key, or the free one where it belongs.
    @inline(__always)
    private func slot(of key: UnsafeRawBufferPointer, hash: UInt64) -> Int {
        let mask = self.slots.count - 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while true {
            let found = self.slots[slot]
            if found == 0 { return slot }
            if (found ^ hash) >> 32 == 0, self.has(Int(UInt32(truncatingIfNeeded: found)) - 1, key, hash) {
                return slot
            }
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
        var slots = ContiguousArray<UInt64>(repeating: 0, count: mask + 1)
        for index in self.entries.indices {
            let hash = self.entries[index].hash
            var slot = Int(truncatingIfNeeded: hash) & mask
            while slots[slot] != 0 { slot = (slot + 1) & mask }
            slots[slot] = Self.slot(hash, index + 1)
        }
        self.slots = slots
    }
}
