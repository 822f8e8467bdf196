// A bounded queue of events from any number of publishers to one consumer.
//
// Invariants:
// - Publishers fill one buffer under a spin lock that is held for some twenty nanoseconds; the consumer swaps
//   it for the other one and reads that without a lock. With `dropOldest` it takes one event at a time
//   instead, so that the oldest is always in the buffer that publishers reach.
// - Slots are always initialised. What was consumed is released when a publisher writes over it, or when the
//   consumer goes to sleep: so the reference count of a payload stays on one core while there is traffic.
//   What the next event in that slot has in common with it is neither released nor counted again.
// - `waiting` counts what the consumer has not begun with; it exceeds `size` for handlers, who would
//   otherwise wait for themselves, and then up to twice the size; and by one for each publisher of a
//   synchronous bus that found room at the same time as another one, since its event may be with others by now.
// - `room` events can be accepted without a look at how far the consumer is: it is never more than there is.
// - What the consumer writes for each event lies on another cache line than what publishers write, and
//   neither on that of the queue itself: else each event would cost both cores a line that the other one has.
// - A queue whose limit was lifted, because its bus is being closed, makes nobody wait: it takes what the bus
//   had accepted before, whether or not anybody reads it.
// - `accepted` counts under `spin`, so whoever has closed the queue knows how many there will ever have been.
// - Everything in `state` is reached under `spin`; the buffer that the consumer has taken lies elsewhere.
// - Whoever waits, watches for some 20 microseconds before it sleeps, about what the other side needs for
//   512 events: so where both have a core, they seldom sleep. Publishers go on when the queue is half empty; where
//   it is small, or read by somebody who may not come again for long, when there is any room.
//
// No wake-up is lost: both sides look at the state and leave their waiter in it under `spin`. The consumer
// may overlook new waiters while it works through a batch, but not when it takes the next one.
import CTidelogThread
import Synchronization
import TidelogStorage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

final class EventQueue: Sendable {
    /// What became of an event that was offered.
    enum Offer { case accepted, dropped, full, closed }

    /// How many events may wait where a full queue is no reason to drop any.
    enum Limit {
        /// The queue's size.
        case size
        /// Twice as many: for handlers, who would otherwise wait for themselves.
        case twice
        /// However many: for those who have looked for room before.
        case unlimited
    }

    enum Waiter {
        case task(UnsafeContinuation<Void, Never>)
        case thread(WakeSignal)

        func wake() {
            switch self {
            case .task(let reply): reply.resume()
            case .thread(let signal): signal.wake()
            }
        }
    }

    struct State {
        var filling: Buffer
        var taken = 0
        var room: Int
        var isClosed = false
        var isUnlimited = false
        var consumer: UnsafeContinuation<Void, Never>?
        var waiters: [Waiter] = []
        var accepted: UInt64 = 0
    }

    private static let firstCapacity = 16
    /// Two cache lines, since processors fetch them in pairs.
    private static let line = 128
    private static let stateOffset = 16
    private static let drainingOffset = 32
    /// How often a publisher, and at most a consumer, looks again before it sleeps: some 20 µs together.
    static let looks = 8

    let size: Int
    let whenFull: BusBuffer.Overflow
    let takesOne: Bool
    /// Where the following lie, lines apart; freed in `deinit`.
    private let memory: Unguarded<UnsafeMutableRawPointer>
    /// Reached under `spin` alone.
    let place: Unguarded<UnsafeMutablePointer<State>>
    private let spin: Unguarded<UnsafeMutablePointer<Atomic<Bool>>>
    /// What the consumer has taken, and its alone.
    let draining: Unguarded<UnsafeMutablePointer<Buffer>>
    /// How many events of the taken batch the consumer has begun with.
    let begun: Unguarded<UnsafeMutablePointer<Atomic<Int>>>
    let hasWaiters: Unguarded<UnsafeMutablePointer<Atomic<Bool>>>
    /// Whether the consumer waits for `spin`: publishers let it go first, or it would seldom find a gap.
    private let isWanted: Unguarded<UnsafeMutablePointer<Atomic<Bool>>>
    /// The consumer looks for waiters when these bits of an event's index are set.
    let wakeMask: Int
    private let droppedCount = Atomic<UInt64>(0)
    private let cancelled = Atomic<Bool>(false)

    init(_ buffer: BusBuffer) {
        self.size = buffer.size
        self.whenFull = buffer.whenFull
        self.takesOne = buffer.whenFull == .dropOldest
        let capacity = min(buffer.size, Self.firstCapacity)
        self.wakeMask = buffer.size < 256 ? 0 : 15
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: 4 * Self.line, alignment: Self.line)
        precondition(Self.stateOffset + MemoryLayout<State>.size <= 2 * Self.line)
        self.memory = Unguarded(memory)
        self.begun = Unguarded((memory + 0).bindMemory(to: Atomic<Int>.self, capacity: 1))
        self.hasWaiters = Unguarded((memory + 16).bindMemory(to: Atomic<Bool>.self, capacity: 1))
        self.draining = Unguarded(
            (memory + Self.drainingOffset).bindMemory(to: Buffer.self, capacity: 1))
        self.spin = Unguarded((memory + Self.line).bindMemory(to: Atomic<Bool>.self, capacity: 1))
        self.place = Unguarded(
            (memory + Self.line + Self.stateOffset).bindMemory(to: State.self, capacity: 1))
        self.isWanted = Unguarded(
            (memory + 3 * Self.line).bindMemory(to: Atomic<Bool>.self, capacity: 1))
        self.isWanted.value.initialize(to: Atomic(false))
        self.begun.value.initialize(to: Atomic(0))
        self.hasWaiters.value.initialize(to: Atomic(false))
        self.spin.value.initialize(to: Atomic(false))
        self.place.value.initialize(
            to: State(filling: Buffer(capacity: capacity), room: buffer.size))
        self.draining.value.initialize(to: Buffer(capacity: self.takesOne ? 1 : capacity))
    }

    deinit {
        self.place.value.pointee.filling.free()
        self.draining.value.pointee.free()
        self.place.value.deinitialize(count: 1)
        self.memory.value.deallocate()
    }

    /// Events that were accepted. Once the queue is closed, there will be no more.
    var accepted: UInt64 { self.locked { $0.pointee.accepted } }
    /// Events that were dropped.
    var dropped: UInt64 { self.droppedCount.load(ordering: .relaxed) }
    /// Whether the consumer is to stop without looking at the rest.
    var isCancelled: Bool { self.cancelled.load(ordering: .acquiring) }
    /// Events that the consumer has not begun with.
    var waiting: Int { self.locked { $0.pointee.filling.count + self.takenAndWaiting($0) } }

    // MARK: Publishers

    /// Hands over an event without waiting.
    ///
    /// - Parameter limit: How many may wait before it answers `full`.
    func offer(_ event: Event, upTo limit: Limit) -> Offer {
        let state = self.place.value
        self.lock()
        if state.pointee.isClosed {
            self.unlock()
            return .closed
        }
        if state.pointee.room > 0 {
            state.pointee.room -= 1
        } else if let answer = self.makeRoom(state, limit) {
            self.unlock()
            return answer
        }
        if state.pointee.filling.count == state.pointee.filling.capacity {
            state.pointee.filling.grow(to: state.pointee.filling.capacity * 2)
        }
        state.pointee.filling.append(event)
        state.pointee.accepted &+= 1
        let consumer = state.pointee.consumer
        if consumer != nil { state.pointee.consumer = nil }
        self.unlock()
        consumer?.resume()
        return .accepted
    }

    /// Room for one event, or why there is none.
    @inline(never)
    private func makeRoom(_ state: UnsafeMutablePointer<State>, _ limit: Limit) -> Offer? {
        let waiting = state.pointee.filling.count + self.takenAndWaiting(state)
        if waiting < self.size {
            state.pointee.room = self.size - waiting - 1
            return nil
        }
        switch self.whenFull {
        case .dropNewest:
            self.droppedCount.wrappingAdd(1, ordering: .relaxed)
            return .dropped
        case .dropOldest:
            // What the consumer has just taken is not ours to drop: then the queue holds one more.
            guard state.pointee.filling.count > 0 else { return nil }
            let head = state.pointee.filling.head
            state.pointee.filling.slots[head].event = Self.nothing
            state.pointee.filling.head = head + 1 == state.pointee.filling.capacity ? 0 : head + 1
            state.pointee.filling.count -= 1
            self.droppedCount.wrappingAdd(1, ordering: .relaxed)
            return nil
        default:
            return self.isReached(limit, by: waiting) ? .full : nil
        }
    }

    /// Whether this sender would have to wait, or would be refused.
    func isFull(for sender: BusCore.Sender) -> Bool {
        let isRefusing = self.whenFull == .fail && sender != .dispatcher
        guard self.whenFull == .wait || isRefusing else { return false }
        let limit: Limit = self.whenFull == .wait && sender == .handler ? .twice : .size
        return self.locked { self.isFull($0, limit) }
    }

    private func isFull(_ state: UnsafeMutablePointer<State>, _ limit: Limit = .size) -> Bool {
        if state.pointee.isClosed || state.pointee.isUnlimited { return false }
        return self.isReached(limit, by: state.pointee.filling.count + self.takenAndWaiting(state))
    }

    private func isReached(_ limit: Limit, by waiting: Int) -> Bool {
        switch limit {
        case .size: waiting >= self.size
        case .twice: waiting >= 2 * self.size
        case .unlimited: false
        }
    }

    private func takenAndWaiting(_ state: UnsafeMutablePointer<State>) -> Int {
        max(0, state.pointee.taken - self.begun.value.pointee.load(ordering: .sequentiallyConsistent))
    }

    /// Suspends until there was room, the queue was closed, or the task cancelled. Others may be faster.
    func waitForRoom() async {
        await withTaskCancellationHandler {
            await withUnsafeContinuation { (reply: UnsafeContinuation<Void, Never>) in
                let mustWait = self.locked { state in
                    self.mustWait(state, as: .task(reply), unless: Task.isCancelled)
                }
                if !mustWait { reply.resume() }
            }
        } onCancel: {
            self.wakeWaiters()
        }
    }

    /// As ``waitForRoom()``, for threads that may block. A quick consumer makes room before a sleep begins.
    func waitForRoomBlocking() {
        for _ in 0..<Self.looks {
            Self.pause()
            if self.locked({ $0.pointee.isClosed || self.hasHalfRoom($0) }) { return }
        }
        let signal = WakeSignal()
        if self.locked({ self.mustWait($0, as: .thread(signal)) }) { signal.wait() }
    }

    /// Notes who waits for room, where there is none.
    ///
    /// The consumer says that it has begun with an event and then looks whether anybody waits; so here that is said
    /// before it is looked at how far the consumer is. One of the two sees the other.
    private func mustWait(
        _ state: UnsafeMutablePointer<State>, as waiter: Waiter, unless isCancelled: Bool = false
    ) -> Bool {
        self.hasWaiters.value.pointee.store(true, ordering: .sequentiallyConsistent)
        let mustWait = !isCancelled && self.isFull(state)
        if mustWait { state.pointee.waiters.append(waiter) }
        if state.pointee.waiters.isEmpty { self.hasWaiters.value.pointee.store(false, ordering: .relaxed) }
        return mustWait
    }

    private func wakeWaiters() {
        let waiters = self.locked { self.takeWaiters($0) }
        for waiter in waiters { waiter.wake() }
    }

    /// Wakes those who wait once there is room for more than a few: else they would sleep again at once.
    @inline(never)
    func wakeWaitersIfEmptier() {
        let waiters = self.locked { self.hasHalfRoom($0) ? self.takeWaiters($0) : [] }
        for waiter in waiters { waiter.wake() }
    }

    /// Wakes those who wait if there is any room: the consumer will not go on for a while.
    func wakeWaitersIfRoom() {
        let waiters = self.locked { self.isFull($0) ? [] : self.takeWaiters($0) }
        for waiter in waiters { waiter.wake() }
    }

    func hasHalfRoom(_ state: UnsafeMutablePointer<State>) -> Bool {
        state.pointee.filling.count + self.takenAndWaiting(state) <= self.size / 2
    }

    func takeWaiters(_ state: UnsafeMutablePointer<State>) -> [Waiter] {
        guard !state.pointee.waiters.isEmpty else { return [] }
        defer { state.pointee.waiters = [] }
        self.hasWaiters.value.pointee.store(false, ordering: .relaxed)
        return state.pointee.waiters
    }

    /// Makes nobody wait for room from now on; those who do go on.
    func liftLimit() {
        let waiters = self.locked { state in
            state.pointee.isUnlimited = true
            return self.takeWaiters(state)
        }
        for waiter in waiters { waiter.wake() }
    }

    /// Accepts nothing more; the consumer gets the rest.
    func close() {
        let (consumer, waiters) = self.locked { state in
            state.pointee.isClosed = true
            defer { state.pointee.consumer = nil }
            return (state.pointee.consumer, self.takeWaiters(state))
        }
        consumer?.resume()
        for waiter in waiters { waiter.wake() }
    }

    /// Accepts nothing more, and drops the rest.
    func cancel() {
        self.cancelled.store(true, ordering: .releasing)
        self.close()
    }

    // MARK: The lock

    @inline(__always)
    func locked<Result>(_ body: (UnsafeMutablePointer<State>) -> Result) -> Result {
        self.lock()
        defer { self.unlock() }
        return body(self.place.value)
    }

    @inline(__always)
    func lockedByConsumer<Result>(_ body: (UnsafeMutablePointer<State>) -> Result) -> Result {
        if self.spin.value.pointee.exchange(true, ordering: .acquiring) {
            self.isWanted.value.pointee.store(true, ordering: .relaxed)
            self.lockPatiently(firstPauses: 1)
            self.isWanted.value.pointee.store(false, ordering: .relaxed)
        }
        defer { self.unlock() }
        return body(self.place.value)
    }

    @inline(__always)
    private func lock() {
        if self.isWanted.value.pointee.load(ordering: .relaxed)
            || self.spin.value.pointee.exchange(true, ordering: .acquiring)
        {
            self.lockSlowly()
        }
    }

    @inline(__always)
    private func unlock() { self.spin.value.pointee.store(false, ordering: .releasing) }

    @inline(never)
    private func lockSlowly() {
        var looks = 0
        while looks < 16, self.isWanted.value.pointee.load(ordering: .relaxed) {
            tidelog_pause()
            looks += 1
        }
        self.lockPatiently(firstPauses: 4)
    }

    /// Tries again and again, ever more rarely: each try takes the line with the lock, and with it the time of
    /// whoever holds the lock. One side watching it closely made an event cost five times as much.
    @inline(never)
    private func lockPatiently(firstPauses: Int) {
        var pauses = firstPauses
        while self.spin.value.pointee.exchange(true, ordering: .acquiring) {
            for _ in 0..<pauses { tidelog_pause() }
            // Whoever holds it that long has lost its core.
            if pauses < 256 { pauses *= 2 } else { sched_yield() }
        }
    }

    /// Passes one to four microseconds, by processor. It does not yield: on a busy machine that costs a whole
    /// turn of the others, where a sleeper is woken at once.
    static func pause() {
        for _ in 0..<100 { tidelog_pause() }
    }
}
