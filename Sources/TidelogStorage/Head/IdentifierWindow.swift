/// The idempotence window: which event ids the log's last events carry, and where they are.
///
/// It holds 64-bit hashes only; what it finds is a candidate that the caller compares with the stored event.
/// Two generations of a fixed size give a window of at least `minimum` and at most twice as many events, in
/// bounded memory (about 24 bytes an event), without ever deleting single entries.
struct IdentifierWindow {
    /// Events that are covered at the least, once as many have been appended.
    let minimum: Int
    private var current: Table
    private var previous: Table?
    /// The position after the last event that was inserted.
    private(set) var end: UInt64

    init(minimum: Int, start: UInt64) {
        self.minimum = max(1, minimum)
        self.current = Table(base: start)
        self.previous = nil
        self.end = start
    }

    /// Positions of events in the window whose id has this hash, newest generation first.
    func candidates(_ hash: UInt64) -> [UInt64] {
        var found: [UInt64] = []
        self.current.forEach(hash) { found.append($0) }
        self.previous?.forEach(hash) { found.append($0) }
        return found
    }

    /// Whether any event in the window has an id of one of these hashes.
    func containsAny(_ hashes: [UInt64]) -> Bool {
        self.current.containsAny(hashes) || (self.previous?.containsAny(hashes) ?? false)
    }

    /// Adds the ids of events that follow each other, the first at `first`.
    mutating func insert(_ hashes: [UInt64], first: UInt64) {
        if self.current.count + hashes.count > self.minimum {
            for (index, hash) in hashes.enumerated() { self.insert(hash, position: first + UInt64(index)) }
        } else {
            self.current.insert(hashes, first: first)
            self.end = first + UInt64(hashes.count)
        }
    }

    /// Adds the id of the event at `position`, which is the next one.
    mutating func insert(_ hash: UInt64, position: UInt64) {
        if self.current.count >= self.minimum {
            self.previous = self.current
            self.current = Table(base: position)
        }
        self.current.insert(hash, position: position)
        self.end = position + 1
    }

    /// Says that the events up to `end` are covered (some of them may have been compacted away).
    mutating func advance(to end: UInt64) {
        self.end = max(self.end, end)
    }

    private struct Table {
        let base: UInt64
        private(set) var count = 0
        private var hashes = ContiguousArray<UInt64>(repeating: 0, count: 1024)
        private var offsets = ContiguousArray<UInt32>(repeating: 0, count: 1024)

        init(base: UInt64) {
            self.base = base
        }

        func containsAny(_ wanted: [UInt64]) -> Bool {
            self.hashes.withUnsafeBufferPointer { hashes in
                let mask = hashes.count - 1
                for hash in wanted {
                    let hash = hash == 0 ? 1 : hash
                    var slot = Int(truncatingIfNeeded: hash &* 0x9E37_79B9_7F4A_7C15 >> 20) & mask
                    while hashes[slot] != 0 {
                        if hashes[slot] == hash { return true }
                        slot = (slot + 1) & mask
                    }
                }
                return false
            }
        }

        mutating func insert(_ added: [UInt64], first: UInt64) {
            while (self.count + added.count) * 2 > self.hashes.count { self.grow() }
            let start = UInt32(first - self.base)
            self.hashes.withUnsafeMutableBufferPointer { hashes in
                self.offsets.withUnsafeMutableBufferPointer { offsets in
                    let mask = hashes.count - 1
                    for index in added.indices {
                        let hash = added[index] == 0 ? 1 : added[index]
                        var slot = Int(truncatingIfNeeded: hash &* 0x9E37_79B9_7F4A_7C15 >> 20) & mask
                        while hashes[slot] != 0 { slot = (slot + 1) & mask }
                        hashes[slot] = hash
                        offsets[slot] = start + UInt32(index)
                    }
                }
            }
            self.count += added.count
        }

        func forEach(_ hash: UInt64, _ body: (UInt64) -> Void) {
            let hash = hash == 0 ? 1 : hash
            let mask = self.hashes.count - 1
            var slot = Int(truncatingIfNeeded: hash &* 0x9E37_79B9_7F4A_7C15 >> 20) & mask
            while self.hashes[slot] != 0 {
                if self.hashes[slot] == hash { body(self.base + UInt64(self.offsets[slot])) }
                slot = (slot + 1) & mask
            }
        }

        mutating func insert(_ hash: UInt64, position: UInt64) {
            if (self.count + 1) * 2 > self.hashes.count { self.grow() }
            self.place(hash == 0 ? 1 : hash, offset: UInt32(position - self.base))
            self.count += 1
        }

        private mutating func place(_ hash: UInt64, offset: UInt32) {
            self.hashes.withUnsafeMutableBufferPointer { hashes in
                let mask = hashes.count - 1
                var slot = Int(truncatingIfNeeded: hash &* 0x9E37_79B9_7F4A_7C15 >> 20) & mask
                while hashes[slot] != 0 { slot = (slot + 1) & mask }
                hashes[slot] = hash
                self.offsets[slot] = offset
            }
        }

        private mutating func grow() {
            let (oldHashes, oldOffsets) = (self.hashes, self.offsets)
            self.hashes = ContiguousArray(repeating: 0, count: oldHashes.count * 2)
            self.offsets = ContiguousArray(repeating: 0, count: oldHashes.count * 2)
            for slot in oldHashes.indices where oldHashes[slot] != 0 {
                self.place(oldHashes[slot], offset: oldOffsets[slot])
            }
        }
    }
}
