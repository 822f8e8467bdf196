import Tidelog

/// Where the newest events of a log are, by id: what an import looks into before it appends.
///
/// Ids are hashed; what is found is a candidate that must be read and compared. Two generations of a bounded
/// size cover at least `window` events and at most twice as many.
struct KnownEvents {
    private let window: Int
    private var current: Table
    private var previous: Table?
    /// The position after the last event that was taken in.
    private(set) var end: Position

    /// - Parameter start: the position of the first event that will be taken in.
    init(window: Int, start: Position) {
        self.window = window
        self.current = Table(base: start.rawValue)
        self.end = start
    }

    /// What an id is known by here.
    static func hash(_ id: EventID) -> UInt64 { UInt64(truncatingIfNeeded: id.hashValue) | 1 }

    /// Takes in what the log has from `end` to before `limit`; blocks.
    mutating func catchUp(with log: EventLog, to limit: Position = Position(.max)) throws {
        var query = EventQuery.all
        query.to = limit
        var found: [(hash: UInt64, position: Position)] = []
        repeat {
            found.removeAll(keepingCapacity: true)
            query.from = self.end
            try log.scan(query) { view in
                found.append((Self.hash(view.id), view.position))
                return found.count < 65_536
            }
            for event in found { self.insert(event.hash, event.position) }
        } while !found.isEmpty && self.end < limit
        if limit.rawValue < .max { self.end = max(self.end, limit) }
    }

    /// Takes in an event at `end` or behind it.
    mutating func insert(_ hash: UInt64, _ position: Position) {
        if self.current.count >= self.window {
            self.previous = self.current
            self.current = Table(base: position.rawValue)
        }
        self.current.insert(hash, position: position.rawValue)
        self.end = position.advanced(by: 1)
    }

    /// Where the newest event with an id of this hash is.
    func candidate(_ hash: UInt64) -> Position? {
        (self.current.find(hash) ?? self.previous?.find(hash)).map { Position($0) }
    }

    /// Open addressing with linear probing, at most three quarters full; 0 marks a free slot.
    private struct Table {
        private let base: UInt64
        private(set) var count = 0
        private var hashes = ContiguousArray<UInt64>(repeating: 0, count: 1024)
        private var offsets = ContiguousArray<UInt32>(repeating: 0, count: 1024)

        init(base: UInt64) { self.base = base }

        func find(_ hash: UInt64) -> UInt64? {
            self.hashes.withUnsafeBufferPointer { hashes in
                var slot = Self.slot(hash, hashes.count)
                while hashes[slot] != 0 {
                    if hashes[slot] == hash { return self.base + UInt64(self.offsets[slot]) }
                    slot = (slot + 1) & (hashes.count - 1)
                }
                return nil
            }
        }

        mutating func insert(_ hash: UInt64, position: UInt64) {
            if (self.count + 1) * 4 > self.hashes.count * 3 { self.grow() }
            self.place(hash, UInt32(truncatingIfNeeded: position - self.base))
        }

        private mutating func place(_ hash: UInt64, _ offset: UInt32) {
            let slot = self.hashes.withUnsafeMutableBufferPointer { hashes in
                var slot = Self.slot(hash, hashes.count)
                while hashes[slot] != 0, hashes[slot] != hash { slot = (slot + 1) & (hashes.count - 1) }
                if hashes[slot] == 0 { self.count += 1 }
                hashes[slot] = hash
                return slot
            }
            self.offsets[slot] = offset
        }

        private mutating func grow() {
            let (hashes, offsets) = (self.hashes, self.offsets)
            self.hashes = ContiguousArray(repeating: 0, count: hashes.count * 2)
            self.offsets = ContiguousArray(repeating: 0, count: hashes.count * 2)
            self.count = 0
            for slot in hashes.indices where hashes[slot] != 0 { self.place(hashes[slot], offsets[slot]) }
        }

        private static func slot(_ hash: UInt64, _ count: Int) -> Int {
            Int(truncatingIfNeeded: hash >> 1) & (count - 1)
        }
    }
}
