// The in-memory bus below its public face: the table of handlers, how threads read it without a lock, and
// when an old one is freed.
//
// Reading: a thread writes the table's address into its lane, keeps the compiler from reordering, and looks
// again whether that is still the table. Replacing: the writer swaps the address, has the kernel put a full
// barrier on every thread (`membarrier`), and then frees those old tables that no lane holds. Either the
// reader sees the new address when it looks again, or the writer sees the old one in the lane. Where the
// kernel lacks the call, and under Thread Sanitizer, readers pay for a barrier of their own.
//
// At most `Lane.nesting` old tables a lane are kept, however long a handler runs.
//
// Nobody subscribed: the address says so itself, in its lowest bit, and there is no table to protect then.
import CTidelogThread
import Synchronization
import TidelogStorage

final class BusCore: Sendable {
    /// What became of an event.
    enum Outcome {
        case done, closed, cancelled
        /// Nobody got it: this queue has no room.
        case full(EventQueue)
    }

    /// Who hands an event to the handlers, and so which queues are too full for it.
    enum Sender {
        /// Waits where a queue has no room, or is told that it has none.
        case publisher
        /// A publisher that is a handler of the bus: it cannot wait, but may exceed what others wait for.
        case handler
        /// The bus's own task: it waits, and has nobody to tell that a queue refuses.
        case dispatcher
    }

    private struct Writer {
        var retired: [Unmanaged<HandlerTable>] = []
    }

    #if TIDELOG_SANITIZE_THREAD
        private static let hasBarrier = false
    #else
        private static let hasBarrier = tidelog_register_barrier()
    #endif

    let number: UInt64
    let lanes = LaneSet()
    let failures: BusFailures
    let instruments: BusInstruments?
    private let table: Atomic<UInt>
    private let needsFence: Bool
    private let writer = Lock(Writer())

    init(failures: BusFailures, instruments: BusInstruments?) {
        self.number = self.lanes.number
        self.failures = failures
        self.instruments = instruments
        self.needsFence = !Self.hasBarrier
        self.table = Atomic(Self.address(of: HandlerTable([]), marks: instruments == nil))
    }

    deinit {
        self.lanes.abandon()
        Self.table(at: self.table.load(ordering: .acquiring)).release()
        self.writer.withLock { writer in
            for old in writer.retired { old.release() }
        }
    }

    /// Set in the address of a table that is open and without handlers. Objects lie at multiples of 16.
    private static let emptyMark: UInt = 1

    private static func address(of table: HandlerTable, marks: Bool) -> UInt {
        let address = UInt(bitPattern: Unmanaged.passRetained(table).toOpaque())
        return marks && table.isEmpty && !table.isClosed ? address | self.emptyMark : address
    }

    @inline(__always)
    private static func table(at address: UInt) -> Unmanaged<HandlerTable> {
        // SAFETY: the address is never 0, and was made by `address(of:marks:)`.
        .fromOpaque(UnsafeRawPointer(bitPattern: address & ~Self.emptyMark).unsafelyUnwrapped)
    }

    // MARK: Reading

    @inline(__always)
    var lane: Lane {
        if let memory = tidelog_lane(self.number) { return Lane(memory) }
        return ThreadLanes.lane(of: self.lanes)
    }

    /// Lends the table as it is now; `body` may call handlers, which may do the same.
    @inline(__always)
    private func withTable<Result>(
        _ lane: Lane, _ body: (HandlerTable) -> Result
    ) -> Result {
        let depth = lane.depth
        guard depth < Lane.nesting else { return body(self.retainedTable()) }
        var address = self.table.load(ordering: .relaxed)
        while true {
            lane.protect(address & ~Self.emptyMark, at: depth)
            if self.needsFence {
                atomicMemoryFence(ordering: .sequentiallyConsistent)
            } else {
                tidelog_compiler_barrier()
            }
            let again = self.table.load(ordering: .acquiring)
            if again == address { break }
            address = again
        }
        lane.depth = depth + 1
        defer {
            lane.depth = depth
            lane.protect(0, at: depth)
        }
        return Self.table(at: address)._withUnsafeGuaranteedRef { body($0) }
    }

    @inline(never)
    private func retainedTable() -> HandlerTable {
        self.writer.withLock { _ in
            Self.table(at: self.table.load(ordering: .acquiring)).takeUnretainedValue()
        }
    }

    /// Counts an event that nobody is subscribed to; false if somebody may be, or the bus is closed.
    ///
    /// Not on a bus with metrics: closing reports what was counted, and does not see this one under way.
    @inline(__always)
    func countUnheard() -> Bool {
        guard self.table.load(ordering: .acquiring) & Self.emptyMark != 0 else { return false }
        guard let memory = tidelog_lane(self.number) else { return false }
        Lane(memory).add(1, to: .published)
        return true
    }

    /// Calls the handlers of the event's type on this thread, in order of subscription.
    ///
    /// - Parameters:
    ///   - counts: whether the event counts as published now.
    ///   - sender: for whom a full queue is a reason to stop before anyone got the event.
    @inline(__always)
    func dispatch(_ event: Event, _ lane: Lane, counts: Bool, for sender: Sender) -> Outcome {
        self.withTable(lane) { table in
            if table.isClosed { return .closed }
            if table.isEmpty {
                if counts { lane.add(1, to: .published) }
                return .done
            }
            if counts, Task.isCancelled { return .cancelled }
            return self.dispatch(event, table, lane, counts: counts, for: sender)
        }
    }

    @inline(__always)
    private func dispatch(
        _ event: Event, _ table: HandlerTable, _ lane: Lane, counts: Bool, for sender: Sender
    ) -> Outcome {
        let list = table.known(event.record.type) ?? self.makeList(event.record.type, in: table)
        return list._withUnsafeGuaranteedRef { list in
            if list.queueCount > 0, let queue = list.fullQueue(for: sender) { return .full(queue) }
            if counts { lane.add(1, to: .published) }
            if self.instruments != nil {
                self.callMeasured(list, event, lane)
                return .done
            }
            var called = 0
            for index in 0..<list.count {
                list.handlers[index]._withUnsafeGuaranteedRef { entry in
                    guard entry.isActive else {
                        // One with a queue counts for itself.
                        if entry.queue != nil { called &+= 1 }
                        return
                    }
                    called &+= 1
                    do {
                        try entry.body(event)
                    } catch {
                        self.failed(entry, event, error, lane)
                    }
                }
            }
            if called > list.queueCount { lane.add(called &- list.queueCount, to: .delivered) }
            return .done
        }
    }

    @inline(never)
    private func callMeasured(_ list: HandlerList, _ event: Event, _ lane: Lane) {
        for index in 0..<list.count {
            let entry = list.handlers[index].takeUnretainedValue()
            guard entry.isActive else { continue }
            do {
                if entry.queue != nil {
                    try entry.body(event)
                } else {
                    lane.add(1, to: .delivered)
                    try self.instruments?.measure(event) { try entry.body(event) }
                }
            } catch {
                self.failed(entry, event, error, lane)
            }
        }
    }

    @inline(never)
    private func makeList(_ type: String, in table: HandlerTable) -> Unmanaged<HandlerList> {
        let (list, isWorn) = table.make(type)
        if isWorn { self.replace { $0 === table ? HandlerTable($0.entries) : nil } }
        return list
    }

    @inline(never)
    func failed(_ entry: HandlerEntry, _ event: Event, _ error: any Error, _ lane: Lane) {
        lane.add(1, to: .failed)
        self.failures.report(BusFailure(event: event, pattern: entry.pattern, error: error))
    }

    /// Counts for handlers with a task of their own.
    func count(_ value: Int, _ count: Lane.Count) { self.lane.add(value, to: count) }

    // MARK: Writing

    /// The table as it is now.
    var current: HandlerTable { self.retainedTable() }

    /// Puts another table in place of the present one, unless `change` answers nil; and frees old ones.
    ///
    /// - Returns: whether the table was replaced.
    @discardableResult
    func replace(_ change: (HandlerTable) -> HandlerTable?) -> Bool {
        let (isDone, freed) = self.writer.withLock { writer -> (Bool, [Unmanaged<HandlerTable>]) in
            let old = Self.table(at: self.table.load(ordering: .acquiring))
            guard let new = change(old.takeUnretainedValue()) else { return (false, []) }
            self.table.store(
                Self.address(of: new, marks: self.instruments == nil), ordering: .sequentiallyConsistent)
            writer.retired.append(old)
            let freed = self.takeUnread(&writer)
            return (true, freed)
        }
        for old in freed { old.release() }  // outside of the lock: it may end a handler's life, and run code
        return isDone
    }

    /// Frees old tables that nobody reads any more.
    func reclaim() {
        for old in self.writer.withLock({ self.takeUnread(&$0) }) { old.release() }
    }

    private func takeUnread(_ writer: inout Writer) -> [Unmanaged<HandlerTable>] {
        self.barrier()
        let unread = writer.retired.filter { old in
            let address = UInt(bitPattern: old.toOpaque())
            return !self.lanes.contains { $0.protects(address) }
        }
        let addresses = Set(unread.map { $0.toOpaque() })
        writer.retired.removeAll { addresses.contains($0.toOpaque()) }
        return unread
    }

    private func barrier() {
        if self.needsFence {
            atomicMemoryFence(ordering: .sequentiallyConsistent)
        } else {
            tidelog_barrier_all()
        }
    }

    /// How many old tables are kept because somebody may be reading them.
    var retiredTables: Int { self.writer.withLock { $0.retired.count } }

    /// Whether another thread than the calling one is calling handlers.
    var isBusyElsewhere: Bool {
        let mine = self.lane
        self.barrier()
        return self.lanes.contains { $0 != mine && $0.isReading }
    }
}
