import Synchronization

/// The one thread that commits for everybody (group commit).
///
/// It takes everything that waits, puts it into one head transaction, makes that durable, and then answers
/// each caller; while it syncs, the next batch gathers. Invariants:
///
/// - nobody is answered before the commit that holds his events has returned;
/// - a request is refused alone; a failed commit refuses everything in it;
/// - a transaction takes what waits in the order in which it came, and no more than ``EngineOptions`` allows,
///   save that a single request is never split: LMDB loses pages once a transaction has too many dirty ones;
/// - after a failed sync nothing is written any more (fail-stop): what that commit left behind is unknown
///   until the log is opened again. A full disk or map is no such failure: nothing was committed, the
///   transaction is undone, and appends go on once there is room.
package final class LogWriter: Sendable {
    /// A change to the head other than an append, in a transaction of its own.
    struct Command: Sendable {
        let body: @Sendable (borrowing HeadTransaction) throws(StorageError) -> Void
        let reply: @Sendable (Result<Void, StorageError>) -> Void
    }

    private struct State {
        var requests: [AppendRequest] = []
        var commands: [Command] = []
        var waitingBytes = 0
        /// Called once there is room again, or the log takes no more.
        var backlog: [@Sendable () -> Void] = []
        var thread: WorkerThread?
        var isStopping = false
        var failure: StorageError?
        /// Requests that the writer waits for before it wants to be woken.
        var goal = 1

        /// Takes out what the next transaction is for: all that waits, or as much of it as one may hold.
        mutating func takeRequests(atMost limit: Int) -> [AppendRequest] {
            guard self.waitingBytes > limit, self.requests.count > 1 else {
                defer {
                    self.requests = []
                    self.waitingBytes = 0
                }
                return self.requests
            }
            var count = 1
            var bytes = self.requests[0].bytes
            while count < self.requests.count, bytes + self.requests[count].bytes <= limit {
                bytes += self.requests[count].bytes
                count += 1
            }
            defer {
                self.requests.removeFirst(count)
                self.waitingBytes -= bytes
            }
            return Array(self.requests[..<count])
        }

        /// Takes out what changes records alone, while appends have to wait: the first that fit.
        mutating func takeChanges(atMost limit: Int) -> [AppendRequest] {
            var changes: [AppendRequest] = []
            var bytes = 0
            var isFull = false
            self.requests.removeAll { request in
                guard request.events.bytes == 0, !isFull else { return false }
                isFull = !changes.isEmpty && bytes + request.bytes > limit
                if isFull { return false }
                changes.append(request)
                bytes += request.bytes
                return true
            }
            self.waitingBytes -= bytes
            return changes
        }
    }

    /// How many requests have not been taken into a transaction yet.
    var waitingRequests: Int { self.state.withLock { $0.requests.count } }

    /// How many callers wait for room before they hand in theirs.
    var waitingForRoom: Int { self.state.withLock { $0.backlog.count } }

    private let options: EngineOptions
    private let state = Lock(State())
    private let signal = WakeSignal()
    private let congestion = Atomic<Bool>(false)
    private let holding = Atomic<Bool>(false)

    init(options: EngineOptions) {
        self.options = options
    }

    /// What made the log refuse writes, if something did.
    package var failure: StorageError? { self.state.withLock { $0.failure } }

    /// Bytes of the appends that wait for their transaction.
    package var waitingBytes: Int { self.state.withLock { $0.waitingBytes } }

    func start(_ engine: LogEngine) throws(StorageError) {
        let thread = try WorkerThread(name: "tidelog-write", stackBytes: 4 << 20) { [self] in
            var batch = WriteBatch(engine: engine)
            var grouping = CommitGrouping()
            while let (requests, commands) = self.take(engine, &grouping) {
                for command in commands { command.reply(self.run(command, &batch)) }
                if !requests.isEmpty { self.commit(requests, &batch, &grouping) }
            }
        }
        self.state.withLock { $0.thread = thread }
    }

    /// Commits what was accepted, then ends the thread.
    func stop() {
        let (thread, backlog) = self.state.withLock { state in
            state.isStopping = true
            defer { (state.thread, state.backlog) = (nil, []) }
            return (state.thread, state.backlog)
        }
        for resume in backlog { resume() }
        self.signal.wake()
        thread?.join()
    }

    /// Lets the thread look anew at whether appends have to wait.
    func wake() {
        self.signal.wake()
    }

    /// Whether appends wait for sealing at the moment.
    var isHoldingAppends: Bool { self.holding.load(ordering: .relaxed) }

    // MARK: Callers' side

    /// Hands a request to the writer; answers why not, if it was not accepted.
    func submit(_ request: AppendRequest) -> StorageError? {
        self.enqueue { state in
            state.requests.append(request)
            state.waitingBytes += request.bytes
            if state.waitingBytes > self.options.maximumWaitingBytes {
                self.congestion.store(true, ordering: .relaxed)
            }
        }
    }

    /// Hands a command to the writer and waits; for threads that may block.
    func perform(
        _ body: @escaping @Sendable (borrowing HeadTransaction) throws(StorageError) -> Void
    ) throws(StorageError) {
        let box = OutcomeBox<Void>()
        let refusal = self.enqueue { state in
            state.commands.append(Command(body: body, reply: { box.finish($0) }))
        }
        if let refusal { throw refusal }
        try box.wait().get()
    }

    private func enqueue(_ add: (inout State) -> Void) -> StorageError? {
        let (refusal, mustWake) = self.state.withLock { state -> (StorageError?, Bool) in
            if let failure = state.failure { return (failure, false) }
            if state.isStopping { return (StorageError(.closed, "the log is closed"), false) }
            add(&state)
            let isEnough = state.requests.count >= state.goal || !state.commands.isEmpty
            return (nil, isEnough || state.waitingBytes > self.options.maximumWaitingBytes)
        }
        if mustWake { self.signal.wake() }
        return refusal
    }

    /// Whether so much is waiting that a caller should wait before it adds more.
    var isCongested: Bool { self.congestion.load(ordering: .relaxed) }

    /// Suspends until there is room for more waiting bytes, or the log takes no more.
    func waitForRoom() async {
        while self.isCongested {
            let hasWaited = await withUnsafeContinuation { (reply: UnsafeContinuation<Bool, Never>) in
                if !self.isWaiting({ reply.resume(returning: true) }) { reply.resume(returning: false) }
            }
            if !hasWaited { return }
        }
    }

    /// As ``waitForRoom()``, for threads that may block.
    func waitForRoomBlocking() {
        while self.isCongested {
            let room = WakeSignal()
            guard self.isWaiting({ room.wake() }) else { return }
            room.wait()
        }
    }

    /// Whether there is something to wait for; then `resume` is called once that is over.
    private func isWaiting(_ resume: @escaping @Sendable () -> Void) -> Bool {
        self.state.withLock { state in
            guard state.waitingBytes > self.options.maximumWaitingBytes, !state.isStopping,
                state.failure == nil
            else { return false }
            state.backlog.append(resume)
            return true
        }
    }

    // MARK: The thread's side

    /// Sleeps until there is work; nil once everything accepted is done and the log closes.
    ///
    /// While the head is full of segments that wait to be sealed, appends stay where they are, and so does
    /// whoever finds the queue full; commands go on, sealing's own among them, and changes without events, such as
    /// acknowledgements.
    private func take(
        _ engine: LogEngine, _ grouping: inout CommitGrouping
    ) -> ([AppendRequest], [Command])? {
        while true {
            let isHolding = engine.maintenance.holdsAppends(engine)
            self.holding.store(isHolding, ordering: .relaxed)
            if isHolding {
                let (changes, commands, isOver) = self.state.withLock { state in
                    defer { state.commands = [] }
                    let changes = state.takeChanges(atMost: self.options.transactionBytes)
                    return (changes, state.commands, state.isStopping)
                }
                if !changes.isEmpty || !commands.isEmpty { return (changes, commands) }
                if !isOver {
                    self.signal.wait(timeout: .milliseconds(200))
                    continue
                }
            }
            self.gather(&grouping)
            let (requests, commands, backlog, isOver) = self.state.withLock { state in
                let requests = state.takeRequests(atMost: self.options.transactionBytes)
                let commands = state.commands
                state.commands = []
                if state.requests.isEmpty { state.requests.reserveCapacity(requests.count) }
                let isCongested = state.waitingBytes > self.options.maximumWaitingBytes
                self.congestion.store(isCongested, ordering: .relaxed)
                var backlog: [@Sendable () -> Void] = []
                if !isCongested { swap(&backlog, &state.backlog) }
                return (requests, commands, backlog, state.isStopping)
            }
            for resume in backlog { resume() }
            if !requests.isEmpty || !commands.isEmpty { return (requests, commands) }
            if isOver { return nil }
            self.signal.wait()
        }
    }

    /// Lets callers who were answered a moment ago come back, where that makes fewer commits of more events.
    private func gather(_ grouping: inout CommitGrouping) {
        let now = ContinuousClock.now
        // Whoever waits for room, for a command or for the end waits no longer.
        func isUrgent(_ state: State) -> Bool {
            !state.commands.isEmpty || state.isStopping
                || state.waitingBytes > self.options.maximumWaitingBytes
        }
        let waiting = self.state.withLock { state in
            state.requests.isEmpty || isUrgent(state) ? nil : state.requests.count
        }
        guard let waiting, let plan = grouping.plan(waiting: waiting, at: now) else { return }
        let deadline = now + plan.patience
        var count = waiting
        var isOver = false
        self.state.withLock { $0.goal = plan.goal }
        while count < plan.goal, !isOver {
            let isWoken = self.signal.wait(timeout: deadline - ContinuousClock.now)
            // A wake may be one of before the goal was set.
            (count, isOver) = self.state.withLock { state in
                (state.requests.count, !isWoken || isUrgent(state))
            }
        }
        self.state.withLock { $0.goal = 1 }
        grouping.noteWait(reached: count >= plan.goal)
    }

    private func commit(
        _ requests: [AppendRequest], _ batch: inout WriteBatch, _ grouping: inout CommitGrouping
    ) {
        if let failure = self.failure {
            for request in requests { request.reply(.failure(failure)) }
            return
        }
        let result = batch.commit(requests)
        if case .failure(let error) = result {
            self.failStop(error)
            if error.code == .diskFull || error.code == .mapFull {
                // There is no room for events; what changes records alone may still fit into the reserve.
                let appends = requests.filter { $0.events.bytes > 0 }
                if !appends.isEmpty, appends.count < requests.count {
                    batch.answer(appends, result)
                    return self.commit(requests.filter { $0.events.bytes == 0 }, &batch, &grouping)
                }
            }
        }
        let queued = self.state.withLock { $0.requests.count }
        batch.answer(requests, result)
        grouping.noteAnswers(
            requests.count, queued: queued, syncTime: batch.syncTime, at: ContinuousClock.now)
        batch.settle()
    }

    private func run(_ command: Command, _ batch: inout WriteBatch) -> Result<Void, StorageError> {
        if let failure = self.failure { return .failure(failure) }
        do throws(StorageError) {
            try batch.run(command.body)
            return .success(())
        } catch {
            self.failStop(error)
            return .failure(error)
        }
    }

    /// Refuses every further write if `error` leaves open what is durable.
    private func failStop(_ error: StorageError) {
        switch error.code {
        case .inputOutput, .poisoned, .library:
            let failure = StorageError(
                .poisoned,
                "a write or sync failed earlier (\(error.message)), so the log takes no more writes; close "
                    + "it, see to the disk, and open it again: appends with ids can then be repeated safely",
                number: error.number, path: error.path)
            self.state.withLock { $0.failure = failure }
        default:
            break
        }
    }
}

/// Where a thread waits for an outcome.
final class OutcomeBox<Value: Sendable>: Sendable {
    private let done = WakeSignal()
    private let outcome = Lock<Result<Value, StorageError>?>(nil)

    func finish(_ result: Result<Value, StorageError>) {
        self.outcome.withLock { $0 = result }
        self.done.wake()
    }

    func wait() -> Result<Value, StorageError> {
        while true {
            if let outcome = self.outcome.withLock({ $0 }) { return outcome }
            self.done.wait()
        }
    }
}
