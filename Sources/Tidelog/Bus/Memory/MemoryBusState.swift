// The parts of an in-memory bus that may wait: queues, the tasks that empty them, and closing.
//
// Tasks hold the state, never the bus, so that a bus nobody holds goes away: its queues are closed then, and
// the tasks end when they are empty.
import TidelogStorage

/// On whose behalf the present task runs: the buses whose handlers it is within.
enum BusContext {
    @TaskLocal static var handling: [UInt64] = []
}

final class MemoryBusState: Sendable {
    private struct Life {
        var isClosing = false
        var isClosed = false
        var dispatcher: Task<Void, Never>?
        var reporter: Task<Void, Never>?
        var handlers: [ObjectIdentifier: Task<Void, Never>] = [:]
        var awaiting: [UnsafeContinuation<Void, Never>] = []
        /// What queues of cancelled subscriptions dropped while they were there.
        var droppedBefore: UInt64 = 0
    }

    let core: BusCore
    /// Events that the dispatcher has not come to; nil with synchronous dispatch.
    let queue: EventQueue?
    /// The same, to be reached by publishers without counting references: the count would lie where the
    /// dispatcher reads for each event.
    private let hotQueue: Unmanaged<EventQueue>?
    /// Whether publishing is a matter of calling handlers and nothing else.
    let isSimple: Bool
    /// The queue, where publishing is a matter of putting events there and nothing else.
    let simpleQueue: Unmanaged<EventQueue>?
    private let telemetry: BusTelemetry
    private let life = Lock(Life())

    init(dispatch: BusBuffer?, telemetry: BusTelemetry) {
        self.telemetry = telemetry
        let instruments = BusInstruments(telemetry)
        self.core = BusCore(failures: BusFailures(logger: telemetry.logger), instruments: instruments)
        self.queue = dispatch.map { EventQueue($0) }
        self.hotQueue = self.queue.map { .passUnretained($0) }
        let isTracing = instruments?.isTracing == true
        self.isSimple = dispatch == nil && !isTracing
        self.simpleQueue = isTracing ? nil : self.hotQueue
    }

    func start() {
        if let queue = self.queue {
            let dispatcher = Task { await self.runDispatcher(queue) }
            self.life.withLock { $0.dispatcher = dispatcher }
        }
        if self.core.instruments?.hasMeters == true {
            let interval = self.telemetry.metricsInterval
            let reporter = Task { [weak self] in
                while !Task.isCancelled, let state = self {
                    state.core.instruments?.report(state.health)
                    try? await Task.sleep(for: interval)
                }
            }
            self.life.withLock { $0.reporter = reporter }
        }
    }

    // MARK: Publishing

    /// Whether the caller is within a handler of this bus.
    private var isWithinHandler: Bool {
        self.core.lane.depth > 0 || BusContext.handling.contains(self.core.number)
    }

    /// Publishes from synchronous code where it is a matter of more than calling handlers or filling a queue.
    @inline(never)
    func publishOtherwise(_ event: Event) throws(EventLogError) {
        if let instruments = self.core.instruments, instruments.isTracing {
            try instruments.publishing(event) { event throws(EventLogError) in
                try self.publishBlocking(event)
            }
        } else {
            try self.publishBlocking(event)
        }
    }

    private func publishBlocking(_ event: Event) throws(EventLogError) {
        while let full = try self.attempt(event, for: .publisher) {
            if self.isWithinHandler {
                if let full = try self.attempt(event, for: .handler) { throw Self.noRoom(full) }
                return
            }
            guard full.whenFull == .wait, !Self.isInTask else { throw Self.noRoom(full) }
            full.waitForRoomBlocking()
        }
    }

    func publish(_ event: Event) async throws(EventLogError) {
        if let instruments = self.core.instruments, instruments.isTracing {
            try await instruments.publishing(event) { event async throws(EventLogError) in
                try await self.publishWaiting(event)
            }
        } else {
            try await self.publishWaiting(event)
        }
    }

    private func publishWaiting(_ event: Event) async throws(EventLogError) {
        while true {
            if Task.isCancelled { throw .publisherCancelled }
            guard let full = try self.attempt(event, for: .publisher) else { return }
            if self.isWithinHandler {
                if let full = try self.attempt(event, for: .handler) { throw Self.noRoom(full) }
                return
            }
            guard full.whenFull == .wait else { throw Self.noRoom(full) }
            await full.waitForRoom()
        }
    }

    /// Publishes if nothing has to be waited for; else nobody gets the event, and the full queue is told.
    private func attempt(_ event: Event, for sender: BusCore.Sender) throws(EventLogError) -> EventQueue? {
        guard let queue = self.hotQueue else {
            switch self.core.dispatch(event, self.core.lane, counts: true, for: sender) {
            case .done: return nil
            case .closed: throw .busClosed
            case .cancelled: throw .publisherCancelled
            case .full(let queue): return queue
            }
        }
        if Task.isCancelled { throw .publisherCancelled }
        let limit: EventQueue.Limit = sender == .handler ? .twice : .size
        switch queue._withUnsafeGuaranteedRef({ $0.offer(event, upTo: limit) }) {
        case .accepted, .dropped: return nil
        case .full: return self.queue
        case .closed: throw .busClosed
        }
    }

    private static var isInTask: Bool { withUnsafeCurrentTask { $0 != nil } }

    private static func noRoom(_ queue: EventQueue) -> EventLogError {
        EventLogError(
            .limitExceeded,
            "A buffer of the bus holds \(queue.size) events and has no room; nobody got this one. Publish "
                + "more slowly, with `await`, or give the bus or the subscription a larger buffer.")
    }

    // MARK: Subscribing

    /// An entry that puts events into a queue.
    static func queued(_ pattern: TypePattern, _ buffer: BusBuffer) -> (HandlerEntry, EventQueue) {
        let queue = EventQueue(buffer)
        // Whoever must not find a full queue has looked before the first handler got the event.
        let limit: EventQueue.Limit = buffer.whenFull == .wait ? .unlimited : .size
        let entry = HandlerEntry(pattern, queue: queue) { event in
            if queue.offer(event, upTo: limit) == .full { throw Self.noRoom(queue) }
        }
        return (entry, queue)
    }

    func subscribe(_ entry: HandlerEntry) throws(EventLogError) -> BusSubscription {
        // With asynchronous dispatch the table stays open until the last event has been dispatched.
        guard !self.life.withLock({ $0.isClosing }) else { throw .busClosed }
        let isDone = self.core.replace { $0.isClosed ? nil : HandlerTable($0.entries + [entry]) }
        guard isDone else { throw .busClosed }
        // Closing says so first, and then looks at the table: one of the two sees the other.
        if self.life.withLock({ $0.isClosing }) { entry.queue?.liftLimit() }
        return BusSubscription(pattern: entry.pattern) { [weak self] in self?.cancel(entry) }
    }

    /// Subscribes a handler that has a task of its own, which comes first: closing waits for those it knows.
    func subscribe(
        _ entry: HandlerEntry, _ queue: EventQueue,
        _ handler: @escaping @Sendable (Event) async throws -> Void
    ) throws(EventLogError) -> BusSubscription {
        guard !self.life.withLock({ $0.isClosing }) else { throw .busClosed }
        self.run(entry, queue, handler)
        do throws(EventLogError) {
            return try self.subscribe(entry)
        } catch {
            self.cancel(entry)
            throw error
        }
    }

    private func cancel(_ entry: HandlerEntry) {
        entry.deactivate()
        let wasThere = self.core.replace { table in
            guard !table.isClosed else { return nil }
            return HandlerTable(table.entries.filter { $0 !== entry })
        }
        entry.queue?.cancel()
        // Closing has counted what the queues dropped that were there then.
        self.life.withLock { if wasThere { $0.droppedBefore += entry.queue?.dropped ?? 0 } }
    }

    /// Calls an asynchronous handler with what comes into the queue, until that is closed.
    private func run(
        _ entry: HandlerEntry, _ queue: EventQueue,
        _ handler: @escaping @Sendable (Event) async throws -> Void
    ) {
        let core = self.core
        let work: @Sendable () async -> Void = {
            // Where it was subscribed in a handler of another bus, it is not within that one.
            await BusContext.$handling.withValue([core.number]) {
                var count = 0
                while true {
                    let batch = await queue.next(after: count)
                    count = batch.count
                    if count == 0 { return }
                    for index in 0..<count where !queue.isCancelled {
                        queue.begin(index)
                        let event = batch.slots[index].event
                        core.count(1, .delivered)
                        do {
                            if let instruments = core.instruments {
                                try await instruments.measure(event) { try await handler(event) }
                            } else {
                                try await handler(event)
                            }
                        } catch {
                            core.failed(entry, event, error, core.lane)
                        }
                    }
                }
            }
        }
        // Known until it ends, also when it is cancelled: closing waits for the call that is under way.
        let key = ObjectIdentifier(entry)
        self.life.withLock { life in
            life.handlers[key] = Task { [weak self] in
                await work()
                self?.life.withLock { $0.handlers[key] = nil }
                _ = entry  // whose address is the key, until here
            }
        }
    }

    // MARK: Dispatching

    private func runDispatcher(_ queue: EventQueue) async {
        var count = 0
        var batches = 0
        while true {
            let batch = await queue.next(after: count)
            count = batch.count
            if count == 0 { return }
            var next = 0
            while let full = self.dispatch(batch, queue, from: &next) {
                queue.wakeWaitersIfRoom()
                await full.waitForRoom()
            }
            batches += 1
            // Others want the thread, too.
            if batches % 64 == 0 { await Task.yield() }
        }
    }

    /// Calls handlers until the batch is done, or a queue that publishers wait for has no room.
    private func dispatch(_ batch: EventQueue.Batch, _ queue: EventQueue, from next: inout Int) -> EventQueue?
    {
        let lane = self.core.lane
        while next < batch.count {
            queue.begin(next)
            // Where a queue refuses, there is no publisher to throw to: for that subscription it is a failure.
            if case .full(let full) = self.dispatch(batch.slots[next], lane) { return full }
            next += 1
        }
        return nil
    }

    @inline(__always)
    private func dispatch(_ slot: borrowing EventQueue.Slot, _ lane: Lane) -> BusCore.Outcome {
        self.core.dispatch(slot.event, lane, counts: false, for: .dispatcher)
    }

    // MARK: Closing

    var health: BusHealth {
        let (isClosing, before) = self.life.withLock { ($0.isClosing, $0.droppedBefore) }
        var health = BusHealth(isClosing ? .closed : .healthy)
        let entries = self.core.current.entries
        let queues = entries.compactMap(\.queue) + [self.queue].compactMap(\.self)
        health.published = self.core.lanes.sum(.published) + (self.queue?.accepted ?? 0)
        health.delivered = self.core.lanes.sum(.delivered)
        health.failed = self.core.lanes.sum(.failed)
        health.dropped = before + queues.reduce(0) { $0 + $1.dropped }
        health.waiting = queues.reduce(0) { $0 + $1.waiting }
        health.subscribers = entries.count
        return health
    }

    func close() async {
        let isFirst = self.life.withLock { life in
            defer { life.isClosing = true }
            return !life.isClosing
        }
        let isWithin = self.isWithinHandler
        if isFirst {
            let entries = self.refuse()
            if isWithin { Task { await self.drain(entries) } } else { await self.drain(entries) }
        } else if !isWithin {
            await withUnsafeContinuation { (reply: UnsafeContinuation<Void, Never>) in
                let mustWait = self.life.withLock { life in
                    if life.isClosed { return false }
                    life.awaiting.append(reply)
                    return true
                }
                if !mustWait { reply.resume() }
            }
        }
    }

    /// Accepts nothing from now on; answers the subscriptions there were.
    private func refuse() -> [HandlerEntry] {
        var entries = self.core.current.entries
        if let queue = self.queue {
            queue.close()  // the dispatcher still needs the handlers
        } else {
            self.core.replace { table in
                entries = table.entries
                return HandlerTable([], isClosed: true)
            }
        }
        // Whoever waits for room in a subscription's queue goes on: publishers find the bus closed, and the
        // dispatcher hands over the rest, at most what its own queue holds. The reader of a sequence may
        // never come, though somebody holds the sequence.
        for entry in entries { entry.queue?.liftLimit() }
        return entries
    }

    private func drain(_ known: [HandlerEntry]) async {
        var entries = known
        await self.life.withLock { $0.dispatcher }?.value
        if self.queue != nil {
            self.core.replace { table in
                entries = table.entries
                return HandlerTable([], isClosed: true)
            }
        }
        // Publishers that found the bus open are calling handlers still.
        while self.core.isBusyElsewhere { try? await Task.sleep(for: .microseconds(200)) }
        self.core.reclaim()
        for queue in entries.compactMap(\.queue) { queue.close() }
        for task in self.life.withLock({ Array($0.handlers.values) }) { await task.value }
        let (reporter, awaiting) = self.life.withLock { life in
            life.isClosed = true
            life.droppedBefore += entries.reduce(0) { $0 + ($1.queue?.dropped ?? 0) }
            defer { (life.handlers, life.awaiting) = ([:], []) }
            return (life.reporter, life.awaiting)
        }
        self.core.instruments?.report(self.health)
        reporter?.cancel()
        self.core.failures.finish()
        for reply in awaiting { reply.resume() }
    }

    /// For a bus that nobody holds any more: what was accepted is delivered, and then everything ends.
    func abandon() {
        let isFirst = self.life.withLock { life in
            defer { life.isClosing = true }
            return !life.isClosing
        }
        guard isFirst else { return }
        let entries = self.refuse()
        Task { await self.drain(entries) }
    }
}
