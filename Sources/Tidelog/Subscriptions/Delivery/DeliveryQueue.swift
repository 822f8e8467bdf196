/// What was fetched and is not handed out yet, and which keys are in whose hands: a value, without I/O.
///
/// A **lane** handles one thing after the other: an iteration, one of a runner's handlers. Invariants:
///
/// - a key that is in a lane's hands goes to no other lane, and its events are handed out in order;
/// - an event whose key is elsewhere is set aside with that key, and comes before later ones of it.
struct DeliveryQueue {
    struct Item {
        let batch: DeliveryBatch
        let index: Int
        var key: UInt32 { self.batch.grant.key(self.index) }
        var position: UInt64 { self.batch.grant.positions[self.index] }
    }

    private struct Run {
        let batch: DeliveryBatch
        var next: Int
        let end: Int
    }

    private struct Busy {
        var lane: Int32
        var inHand: Int
        var aside: [Item] = []
    }

    private var runs: [Run] = []
    private var first = 0
    /// Events whose key has become free: they go first.
    private var freed: [Item] = []
    private var busy: [UInt32: Busy] = [:]
    private(set) var count = 0

    /// Adds all of a batch.
    mutating func append(_ batch: DeliveryBatch) {
        self.runs.append(Run(batch: batch, next: 0, end: batch.grant.positions.count))
        self.count += batch.grant.positions.count
    }

    /// The next event for a lane, if there is one that it may have.
    mutating func take(_ lane: Int32) -> Item? {
        if let place = self.freed.firstIndex(where: { self.mayHave($0.key, lane) }) {
            let item = self.freed.remove(at: place)
            self.busy[item.key, default: Busy(lane: lane, inHand: 0)].lane = lane
            self.busy[item.key]?.inHand += 1
            self.count -= 1
            return item
        }
        while let item = self.popFirst() {
            let key = item.key
            if key == 0 {
                self.count -= 1
                return item
            }
            if self.busy[key] != nil {
                guard self.busy[key]?.lane == lane, self.busy[key]?.aside.isEmpty == true,
                    self.busy[key]?.inHand ?? 0 > 0
                else {
                    self.busy[key]?.aside.append(item)
                    continue
                }
                self.busy[key]?.inHand += 1
            } else {
                self.busy[key] = Busy(lane: lane, inHand: 1)
            }
            self.count -= 1
            return item
        }
        return nil
    }

    private func mayHave(_ key: UInt32, _ lane: Int32) -> Bool {
        guard let busy = self.busy[key] else { return true }
        return busy.inHand == 0 || busy.lane == lane
    }

    private mutating func popFirst() -> Item? {
        guard self.first < self.runs.count else { return nil }
        let run = self.runs[self.first]
        self.runs[self.first].next += 1
        if run.next + 1 == run.end {
            self.first += 1
            if self.first == self.runs.count || self.first > 64 {
                self.runs.removeFirst(self.first)
                self.first = 0
            }
        }
        return Item(batch: run.batch, index: run.next)
    }

    /// An event of this key is in nobody's hands any more; answers whether another one can be handed out now.
    mutating func release(_ key: UInt32) -> Bool {
        guard key != 0, var entry = self.busy[key] else { return false }
        entry.inHand -= 1
        if entry.inHand > 0 {
            self.busy[key] = entry
            return false
        }
        if entry.aside.isEmpty {
            // One that was freed before and not taken yet keeps the key in order.
            self.busy[key] = self.freed.contains { $0.key == key } ? entry : nil
            return false
        }
        self.freed.append(entry.aside.removeFirst())
        entry.inHand = 0
        self.busy[key] = entry
        return true
    }

    /// All that is queued.
    var items: [Item] {
        var items = self.freed
        for entry in self.busy.values { items += entry.aside }
        for run in self.runs[self.first...] {
            for index in run.next..<run.end { items.append(Item(batch: run.batch, index: index)) }
        }
        return items
    }

    /// The keys that are in a lane's hands.
    var keysInHand: Set<UInt32> { Set(self.busy.filter { $0.value.inHand > 0 }.keys) }

    /// Takes out every event that `mustGo` says.
    mutating func extract(_ mustGo: (Item) -> Bool) -> [Item] {
        var taken: [Item] = []
        var runs: [Run] = []
        for run in self.runs[self.first...] {
            var start = run.next
            for index in run.next..<run.end where mustGo(Item(batch: run.batch, index: index)) {
                taken.append(Item(batch: run.batch, index: index))
                if start < index { runs.append(Run(batch: run.batch, next: start, end: index)) }
                start = index + 1
            }
            if start < run.end { runs.append(Run(batch: run.batch, next: start, end: run.end)) }
        }
        (self.runs, self.first) = (runs, 0)
        self.freed.removeAll { item in
            guard mustGo(item) else { return false }
            taken.append(item)
            return true
        }
        for (key, entry) in self.busy where !entry.aside.isEmpty {
            let gone = entry.aside.filter(mustGo)
            guard !gone.isEmpty else { continue }
            taken.append(contentsOf: gone)
            self.busy[key]?.aside.removeAll(where: mustGo)
        }
        // A key that nobody has in hand and nothing waits for is free.
        self.busy = self.busy.filter { key, entry in
            entry.inHand > 0 || !entry.aside.isEmpty || self.freed.contains { $0.key == key }
        }
        for (key, entry) in self.busy
        where entry.inHand == 0 && !self.freed.contains(where: { $0.key == key }) {
            self.freed.append(entry.aside[0])
            self.busy[key]?.aside.removeFirst()
        }
        self.count -= taken.count
        return taken
    }
}
