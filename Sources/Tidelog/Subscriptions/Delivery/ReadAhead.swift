import TidelogStorage

/// What was read of some positions.
struct Reading: Sendable {
    var records: [PlacedRecord] = []
    /// The key of each; empty where the order does not matter.
    var keys: [UInt32] = []
    var from: UInt64
    /// All that is wanted below this was read.
    var to: UInt64

    /// What nothing was read of.
    init(from: UInt64) { (self.from, self.to) = (from, from) }

    init(records: [PlacedRecord], keys: [UInt32], from: UInt64, to: UInt64) {
        (self.records, self.keys, self.from, self.to) = (records, keys, from, to)
    }

    /// Takes what is beyond the first `count` events off; nil if there are no more.
    mutating func split(at count: Int) -> Reading? {
        guard self.records.count > count else { return nil }
        var rest = self
        rest.from = self.records[count - 1].position + 1
        rest.records.removeFirst(count)
        self.records.removeLast(self.records.count - count)
        if !self.keys.isEmpty {
            rest.keys.removeFirst(count)
            self.keys.removeLast(self.keys.count - count)
        }
        self.to = rest.from
        return rest
    }
}

/// What is read, one part after the other, while the grants of what comes before are committed: so neither the disk
/// nor the decoding waits for the other.
struct ReadAhead {
    private struct Part {
        let began: UInt64
        let task: Task<Result<Reading, EventLogError>, Never>
    }

    /// Each begins where the one before it ends, the first one at `from`.
    private var parts: [Part] = []
    private var from: UInt64 = 0

    /// How many parts are read before they are asked for: with one alone, reading stands still from its end until the
    /// grant that it waits for is asked for.
    private static let depth = 2
    /// How long what was read is good for, in nanoseconds: what is deleted meanwhile is delivered all the same.
    private static let shelfLife: UInt64 = 1_000_000_000

    /// The next part, which begins at `from`, and when its reading began. Nil, and nothing is left, if that was not
    /// read, in vain, or too long ago.
    mutating func next(from: UInt64) async -> (Reading, began: UInt64)? {
        guard let part = self.parts.first, self.from == from,
            BootClock.now - part.began < Self.shelfLife,
            case .success(let reading) = await part.task.value, reading.to > from
        else {
            self = ReadAhead()
            return nil
        }
        self.parts.removeFirst()
        self.from = reading.to
        return (reading, part.began)
    }

    /// Puts back what was left of a part.
    mutating func putBack(_ rest: Reading, began: UInt64) {
        self.parts.insert(Part(began: began, task: Task { .success(rest) }), at: 0)
        self.from = rest.from
    }

    /// Reads on until there are enough parts, the first of which begins at `start` if there is none yet.
    mutating func fill(
        from start: UInt64, _ read: @escaping @Sendable (UInt64) async throws(EventLogError) -> Reading
    ) {
        if self.parts.isEmpty { self.from = start }
        while self.parts.count < Self.depth {
            let before = self.parts.last?.task
            let task = Task { () -> Result<Reading, EventLogError> in
                do throws(EventLogError) {
                    return .success(try await read(try await before?.value.get().to ?? start))
                } catch {
                    return .failure(error)
                }
            }
            self.parts.append(Part(began: BootClock.now, task: task))
        }
    }
}
