/// Follows the revisions of streams through the sealed part of the log, in bounded memory.
///
/// It keeps 24 bytes a stream. When there are more streams than it has room for, it keeps every second one,
/// then every fourth, and so on, chosen by the hash of their names; ``share`` says how many that is.
struct StreamLedger {
    /// What is known of one stream.
    struct Entry {
        /// XXH64 of the name, never 0.
        var hash: UInt64
        /// The revision after its last event; 0 in a free slot.
        var next: UInt64
        var lastPosition: UInt64
    }

    private var slots: ContiguousArray<Entry>
    private var count = 0
    private var mask: UInt64 = 0
    private let limit: Int

    init(limit: Int = 4 << 20) {
        self.limit = max(limit, 64)
        self.slots = ContiguousArray(
            repeating: Entry(hash: 0, next: 0, lastPosition: 0), count: 1024)
    }

    /// One stream in so many is followed.
    var share: UInt64 { self.mask + 1 }

    static func hash(_ name: String) -> UInt64 {
        max(XXH64.hash(name), 1)
    }

    /// Whether streams of this hash are followed. Slots are chosen by other bits.
    func follows(_ hash: UInt64) -> Bool {
        hash >> 40 & self.mask == 0
    }

    func entry(_ hash: UInt64) -> Entry? {
        let entry = self.slots[self.slot(of: hash)]
        return entry.hash == 0 ? nil : entry
    }

    /// Records the stream's newest event.
    mutating func set(_ hash: UInt64, next: UInt64, lastPosition: UInt64) {
        guard self.follows(hash) else { return }
        var slot = self.slot(of: hash)
        if self.slots[slot].hash == 0 {
            if self.count >= self.limit { self.thin() }
            if (self.count + 1) * 2 > self.slots.count { self.rebuild(size: self.slots.count * 2) }
            guard self.follows(hash) else { return }
            slot = self.slot(of: hash)
            self.count += 1
        }
        self.slots[slot] = Entry(hash: hash, next: next, lastPosition: lastPosition)
    }

    /// Takes a stream out; answers what was known of it.
    mutating func remove(_ hash: UInt64) -> Entry? {
        guard let entry = self.entry(hash) else { return nil }
        // A slot cannot be freed without breaking the search of others: it keeps its hash and loses the rest.
        self.slots[self.slot(of: hash)].next = 0
        return entry.next == 0 ? nil : entry
    }

    /// The streams that are still in it.
    var remaining: [Entry] { self.slots.filter { $0.next > 0 } }

    private func slot(of hash: UInt64) -> Int {
        let mask = self.slots.count - 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while self.slots[slot].hash != 0, self.slots[slot].hash != hash { slot = (slot + 1) & mask }
        return slot
    }

    private mutating func thin() {
        while self.count >= self.limit, self.mask < 1 << 20 {
            self.mask = self.mask << 1 | 1
            self.rebuild(size: self.slots.count)
        }
    }

    private mutating func rebuild(size: Int) {
        let old = self.slots
        self.slots = ContiguousArray(repeating: Entry(hash: 0, next: 0, lastPosition: 0), count: size)
        self.count = 0
        for entry in old where entry.hash != 0 && self.follows(entry.hash) {
            self.slots[self.slot(of: entry.hash)] = entry
            self.count += 1
        }
    }
}
