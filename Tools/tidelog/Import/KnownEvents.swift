import Tidelog

/// Where the newest events of a log are, by id: what an import looks into before it appends.
///
/// Ids are hashed; what is found is a candidate that must be read and compared. Two generations of a bounded
/// size cover at least `window` events and at most twice as many.
struct KnownEvents {
    private let window: Int
    private var current: [Int: UInt64] = [:]
    private var previous: [Int: UInt64] = [:]
    /// The position after the last event that was taken in.
    private(set) var end: Position

    /// - Parameter start: the position of the first event that will be taken in.
    init(window: Int, start: Position) {
        self.window = window
        self.end = start
    }

    /// Takes in what the log has beyond `end`; blocks.
    mutating func catchUp(with log: EventLog) throws {
        var query = EventQuery.all
        query.from = self.end
        var next = self.end
        // Copied out and back: the closure cannot change `self` while `self` is changed by this function.
        var found: [(Int, Position)] = []
        repeat {
            found.removeAll(keepingCapacity: true)
            query.from = next
            try log.scan(query) { view in
                found.append((view.id.hashValue, view.position))
                return found.count < 65_536
            }
            for (hash, position) in found { self.insert(hash, position) }
            if let last = found.last { next = last.1.advanced(by: 1) }
        } while !found.isEmpty
        self.end = max(self.end, next)
    }

    /// Takes in events that were appended next to each other.
    mutating func insert(_ events: [Event], at position: Position) {
        var position = position
        for event in events {
            self.insert(event.id.hashValue, position)
            position = position.advanced(by: 1)
        }
        // What others appended in between has not been taken in.
    }

    /// Says that everything up to here was taken in.
    mutating func advance(to position: Position) { self.end = max(self.end, position) }

    /// Where an event with this id may be.
    func candidate(_ id: EventID) -> Position? {
        let hash = id.hashValue
        return (self.current[hash] ?? self.previous[hash]).map { Position($0) }
    }

    private mutating func insert(_ hash: Int, _ position: Position) {
        if self.current.count >= self.window {
            self.previous = self.current
            self.current = [:]
        }
        self.current[hash] = position.rawValue
    }
}
