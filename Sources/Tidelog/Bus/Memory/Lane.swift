// What one thread has of one bus: the tables of handlers that it is reading, and its share of the counters.
//
// Only the owner writes; everyone may read. So a publish writes to no memory that another core writes to,
// which is why it scales. A lane lives as long as its bus and passes to another thread when its own ends, so
// counts are never lost and there are at most as many lanes as there were threads at once.
import CTidelogThread
import Synchronization
import TidelogStorage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// One thread's lane; a place in memory that the bus owns.
struct Lane: Hashable {
    /// How many publishes may nest before reading takes the slow way.
    static let nesting = 8
    private static let wordCount = 32  // whole cache lines, and their neighbours'

    enum Count: Int { case published = 8, delivered, failed, depth }

    private let words: UnsafeMutablePointer<Atomic<UInt>>

    @inline(__always)
    init(_ memory: UnsafeMutableRawPointer) {
        self.words = memory.assumingMemoryBound(to: Atomic<UInt>.self)
    }

    static func allocate() -> Lane {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: Self.wordCount * 8, alignment: 128)
        let words = memory.bindMemory(to: Atomic<UInt>.self, capacity: Self.wordCount)
        for index in 0..<Self.wordCount { (words + index).initialize(to: Atomic(0)) }
        return Lane(memory)
    }

    func deallocate() { self.memory.deallocate() }

    var memory: UnsafeMutableRawPointer { UnsafeMutableRawPointer(self.words) }

    /// How many publishes of this thread are under way, one within the other.
    @inline(__always)
    var depth: Int {
        get { Int(bitPattern: self[.depth]) }
        nonmutating set {
            self.words[Count.depth.rawValue].store(UInt(bitPattern: newValue), ordering: .relaxed)
        }
    }

    @inline(__always)
    subscript(count: Count) -> UInt { self.words[count.rawValue].load(ordering: .relaxed) }

    @inline(__always)
    func add(_ value: Int, to count: Count) {
        let sum = self[count] &+ UInt(bitPattern: value)
        self.words[count.rawValue].store(sum, ordering: .relaxed)
    }

    /// Says that the table at `address` is being read at this depth; 0: none.
    @inline(__always)
    func protect(_ address: UInt, at depth: Int) {
        (self.words + depth).pointee.store(address, ordering: .releasing)
    }

    /// Whether the owner may be reading the table at `address`; after a barrier on all threads.
    func protects(_ address: UInt) -> Bool {
        (0..<Self.nesting).contains { (self.words + $0).pointee.load(ordering: .acquiring) == address }
    }

    /// Whether the owner is reading any table.
    var isReading: Bool {
        (0..<Self.nesting).contains { (self.words + $0).pointee.load(ordering: .acquiring) != 0 }
    }
}

/// The lanes of one bus. Threads hold it too, so that a lane outlives whoever goes first.
final class LaneSet: Sendable {
    private struct State {
        /// Atomics alone; freed in `deinit`.
        var lanes: [Unguarded<Lane>] = []
        var idle: [Unguarded<Lane>] = []
        var isAbandoned = false
    }

    private static let lastNumber = Atomic<UInt64>(0)

    /// No two buses of a process ever have the same.
    let number: UInt64
    private let state = Lock(State())

    init() { self.number = Self.nextNumber() }

    static func nextNumber() -> UInt64 { self.lastNumber.add(1, ordering: .relaxed).newValue }

    deinit {
        self.state.withLock { state in
            for lane in state.lanes { lane.value.deallocate() }
        }
    }

    /// Whether the bus is gone.
    var isAbandoned: Bool { self.state.withLock { $0.isAbandoned } }

    func abandon() { self.state.withLock { $0.isAbandoned = true } }

    func take() -> Lane {
        self.state.withLock { state in
            if let idle = state.idle.popLast() { return idle }
            let lane = Unguarded(Lane.allocate())
            state.lanes.append(lane)
            return lane
        }.value
    }

    func giveBack(_ lane: Lane) {
        let lane = Unguarded(lane)
        self.state.withLock { $0.idle.append(lane) }
    }

    /// Whether a lane is as `condition` has it.
    func contains(_ condition: (Lane) -> Bool) -> Bool {
        self.state.withLock { state in state.lanes.contains { condition($0.value) } }
    }

    /// The sum of a count over all threads.
    func sum(_ count: Lane.Count) -> UInt64 {
        self.state.withLock { state in
            state.lanes.reduce(0) { $0 &+ UInt64(truncatingIfNeeded: $1.value[count]) }
        }
    }
}

/// The lanes of one thread, by bus; and what gives them back when the thread ends.
final class ThreadLanes {
    private var lanes: [UInt64: (set: LaneSet, memory: UnsafeMutableRawPointer)] = [:]

    private static let key: pthread_key_t = {
        var key = pthread_key_t()
        let status = pthread_key_create(&key) { value in
            guard let value = value as UnsafeMutableRawPointer? else { return }
            tidelog_forget_lanes()
            let lanes = Unmanaged<ThreadLanes>.fromOpaque(value).takeRetainedValue().lanes
            for (set, memory) in lanes.values { set.giveBack(Lane(memory)) }
        }
        precondition(status == 0, "the system has no thread-specific key left")
        return key
    }()

    /// The calling thread's lane of the bus, taken from it if there is none yet.
    @inline(never)
    static func lane(of set: LaneSet) -> Lane {
        let mine: ThreadLanes
        if let known = pthread_getspecific(self.key) {
            mine = Unmanaged<ThreadLanes>.fromOpaque(known).takeUnretainedValue()
        } else {
            mine = ThreadLanes()
            pthread_setspecific(self.key, Unmanaged.passRetained(mine).toOpaque())
        }
        let memory: UnsafeMutableRawPointer
        if let known = mine.lanes[set.number]?.memory {
            memory = known
        } else {
            if mine.lanes.count >= 32 { mine.lanes = mine.lanes.filter { !$0.value.set.isAbandoned } }
            memory = set.take().memory
            mine.lanes[set.number] = (set, memory)
        }
        tidelog_remember_lane(set.number, memory)
        return Lane(memory)
    }
}
