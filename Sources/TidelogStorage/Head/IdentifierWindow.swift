/// The idempotence window: which event ids the log's last events carry, and where they are.
///
/// It holds 64-bit hashes only; what it finds is a candidate that the caller compares with the stored event.
/// Two generations of a fixed size give a window of at least `minimum` and at most twice as many events, in
/// bounded memory (20 to 28 bytes an event), without ever deleting single entries. A generation that has had
/// its day gives its memory to the next one.
struct IdentifierWindow {
    /// Events that are covered at the least, once as many have been appended.
    let minimum: Int
    private var current: Table
    private var previous: Table?
    /// The position after the last event that was inserted.
    private(set) var end: UInt64

    init(minimum: Int, start: UInt64) {
        self.minimum = max(1, minimum)
        self.current = Table(base: start, limit: self.minimum)
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
        hashes.withUnsafeBufferPointer { hashes in
            self.current.containsAny(hashes) || (self.previous?.containsAny(hashes) ?? false)
        }
    }

    /// Whether any event in the window has an id of this hash.
    func contains(_ hash: UInt64) -> Bool {
        withUnsafePointer(to: hash) { hash in
            let hashes = UnsafeBufferPointer(start: hash, count: 1)
            return self.current.containsAny(hashes) || (self.previous?.containsAny(hashes) ?? false)
        }
    }

    /// Brings what looking for these hashes needs into the processor's cache; see ``StreamTable/touch(_:)``.
    func touch(_ hashes: Span<UInt64>) -> UInt64 {
        self.current.touch(hashes) &+ (self.previous?.touch(hashes) ?? 0)
    }

    /// Adds the ids of events that follow each other, the first at `first`.
    mutating func insert(_ hashes: [UInt64], first: UInt64) {
        var next = 0
        while next < hashes.count {
            if self.current.count >= self.minimum { self.begin(at: first + UInt64(next)) }
            let count = min(hashes.count - next, self.minimum - self.current.count)
            self.current.insert(hashes[next..<next + count], first: first + UInt64(next))
            next += count
        }
        self.end = first + UInt64(hashes.count)
    }

    /// Adds the id of the event at `position`, which is the next one.
    mutating func insert(_ hash: UInt64, position: UInt64) {
        if self.current.count >= self.minimum { self.begin(at: position) }
        self.current.insert(CollectionOfOne(hash), first: position)
        self.end = position + 1
    }

    /// Says that the events up to `end` are covered (some of them may have been compacted away).
    mutating func advance(to end: UInt64) {
        self.end = max(self.end, end)
    }

    /// Begins another generation with the event at `position`.
    private mutating func begin(at position: UInt64) {
        var next = self.previous ?? Table(base: position, limit: self.minimum)
        self.previous = nil
        next.reset(base: position)
        swap(&self.current, &next)
        self.previous = next
    }

    /// One generation: hashes and places in the order in which they came, and slots that find them.
    ///
    /// A slot has four bytes, the number of an entry and in the upper bits a piece of its hash, so that a
    /// search hardly ever touches the entries themselves and most of the slots stay in the processor's cache.
    private struct Table {
        private var base: UInt64
        private var hashes: ContiguousArray<UInt64> = []
        private var offsets: ContiguousArray<UInt32> = []
        /// The entry's number plus one below `tagShift`, a piece of its hash above; 0 is free.
        private var slots = ContiguousArray<UInt32>(repeating: 0, count: 1024)
        private let tagShift: UInt32

        var count: Int { self.hashes.count }

        init(base: UInt64, limit: Int) {
            self.base = base
            // As many bits as the number of the last entry, plus one, needs; of 32 none is left for a tag.
            self.tagShift = UInt32(min(32, Int.bitWidth - limit.leadingZeroBitCount))
        }

        mutating func reset(base: UInt64) {
            self.base = base
            self.hashes.removeAll(keepingCapacity: true)
            self.offsets.removeAll(keepingCapacity: true)
            self.slots.withUnsafeMutableBufferPointer { $0.update(repeating: 0) }
        }

        @inline(__always)
        private static func mix(_ hash: UInt64) -> UInt64 { hash &* 0x9E37_79B9_7F4A_7C15 }

        @inline(__always)
        private static func slot(_ mixed: UInt64, _ mask: Int) -> Int {
            Int(truncatingIfNeeded: mixed &>> 20) & mask
        }

        /// The piece of a hash that stands in a slot.
        @inline(__always)
        private static func tag(_ mixed: UInt64, _ shift: UInt32) -> UInt32 {
            shift >= 32 ? 0 : UInt32(truncatingIfNeeded: mixed >> 32) & ~(1 << shift &- 1)
        }

        func containsAny(_ wanted: UnsafeBufferPointer<UInt64>) -> Bool {
            var isFound = false
            self.slots.withUnsafeBufferPointer { slots in
                self.hashes.withUnsafeBufferPointer { hashes in
                    for hash in wanted {
                        self.search(hash, slots, hashes) { _ in isFound = true }
                        if isFound { return }
                    }
                }
            }
            return isFound
        }

        func touch(_ wanted: Span<UInt64>) -> UInt64 {
            self.slots.withUnsafeBufferPointer { slots in
                var sum: UInt64 = 0
                for index in wanted.indices {
                    sum &+= UInt64(slots[Self.slot(Self.mix(wanted[index]), slots.count - 1)])
                }
                return sum
            }
        }

        func forEach(_ hash: UInt64, _ body: (UInt64) -> Void) {
            self.slots.withUnsafeBufferPointer { slots in
                self.hashes.withUnsafeBufferPointer { hashes in
                    self.search(hash, slots, hashes) { body(self.base + UInt64(self.offsets[$0])) }
                }
            }
        }

        @inline(__always)
        private func search(
            _ hash: UInt64, _ slots: UnsafeBufferPointer<UInt32>, _ hashes: UnsafeBufferPointer<UInt64>,
            _ found: (Int) -> Void
        ) {
            let mixed = Self.mix(hash)
            let tag = Self.tag(mixed, self.tagShift)
            let numbers: UInt32 = self.tagShift >= 32 ? .max : 1 << self.tagShift &- 1
            var slot = Self.slot(mixed, slots.count - 1)
            while slots[slot] != 0 {
                if slots[slot] & ~numbers == tag {
                    let entry = Int(slots[slot] & numbers) - 1
                    if hashes[entry] == hash { found(entry) }
                }
                slot = (slot + 1) & (slots.count - 1)
            }
        }

        /// Adds events that follow each other, the first at `first`.
        @inline(__always)
        mutating func insert(_ added: some Collection<UInt64>, first: UInt64) {
            while (self.count + added.count) * 2 > self.slots.count { self.grow() }
            let start = self.count
            self.hashes.append(contentsOf: added)
            var offset = UInt32(first - self.base)
            for _ in start..<self.count {
                self.offsets.append(offset)
                offset += 1
            }
            self.place(start..<self.count)
        }

        /// Gives the entries their slots.
        private mutating func place(_ entries: Range<Int>) {
            let shift = self.tagShift
            self.slots.withUnsafeMutableBufferPointer { slots in
                self.hashes.withUnsafeBufferPointer { hashes in
                    let mask = slots.count - 1
                    for entry in entries {
                        let mixed = Self.mix(hashes[entry])
                        var slot = Self.slot(mixed, mask)
                        while slots[slot] != 0 { slot = (slot + 1) & mask }
                        slots[slot] = Self.tag(mixed, shift) | UInt32(truncatingIfNeeded: entry + 1)
                    }
                }
            }
        }

        private mutating func grow() {
            self.slots = ContiguousArray(repeating: 0, count: self.slots.count * 2)
            self.place(0..<self.count)
        }
    }
}
