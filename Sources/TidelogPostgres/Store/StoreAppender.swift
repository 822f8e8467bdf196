#if Postgres
    import Synchronization
    import Tidelog

    /// The one thread of a store that appends. What waits goes together, in one round trip and one commit;
    /// each append is judged by itself.
    ///
    /// The usual append does not wait for the thread: while nothing else is under way its caller puts the statement
    /// on the connection, and the thread, which sleeps on the socket, takes the answer.
    ///
    /// When the connection is lost it is not known whether the last commit took place. The same appends are
    /// made again on the next connection: those that are there are known by their ids, and stored once.
    final class StoreAppender: Sendable {
        final class Job: Sendable {
            let request: AppendRequest
            /// What it counts as while it waits.
            let bytes: Int
            let deadline: ContinuousClock.Instant
            private let reply: @Sendable (Result<AppendResult, EventLogError>) -> Void
            /// Whether an earlier try may have been committed without an answer.
            let isInDoubt = Atomic(false)
            /// Whether it is known that the usual statement does not store it.
            let isUnusual = Atomic(false)

            init(
                _ request: AppendRequest, bytes: Int = 0, _ deadline: ContinuousClock.Instant,
                _ reply: @escaping @Sendable (Result<AppendResult, EventLogError>) -> Void
            ) {
                (self.request, self.bytes, self.deadline, self.reply) = (request, bytes, deadline, reply)
            }

            func answer(_ result: Result<AppendResult, EventLogError>) { self.reply(result) }
        }

        private final class Answer: Sendable {
            let result = Mutex<Result<AppendResult, EventLogError>?>(nil)
        }

        struct State {
            var jobs: [Job] = []
            /// Bytes of the appends that have room and are not under way.
            var waitingBytes = 0
            var isOver = false
            var isRunning = false
            /// Whether the thread sleeps, or is about to, and must be woken.
            var isAsleep = false
            /// Who waits for room, in the order in which they came, and has encoded nothing yet.
            var parked: [(bytes: Int, reply: CheckedContinuation<Void, Never>)] = []
            /// Who waits for the end of the thread, and of what is made on other threads.
            var closers: [CheckedContinuation<Void, Never>] = []
            /// What cuts the appends that are under way on threads of their own.
            var ownThreads: [ConnectionSwitch] = []
            /// Whether others' subscriptions are to be told of appends that the thread did not make.
            var mustNotify = false

            /// Gives room back, and hands it on to those who wait for it, to be resumed.
            mutating func release(_ bytes: Int, of most: Int) -> [CheckedContinuation<Void, Never>] {
                self.waitingBytes -= bytes
                var admitted: [CheckedContinuation<Void, Never>] = []
                while admitted.count < self.parked.count, self.waitingBytes < most {
                    self.waitingBytes += self.parked[admitted.count].bytes
                    admitted.append(self.parked[admitted.count].reply)
                }
                self.parked.removeFirst(admitted.count)
                return admitted
            }

            /// Whether the thread may sleep, and must be woken then: there is nothing to do, and what others are to be
            /// told of has a time.
            mutating func fallAsleep(isDue: Bool) -> Bool {
                self.isAsleep = self.jobs.isEmpty && !self.isOver && (isDue || !self.mustNotify)
                return self.isAsleep
            }

            /// Ends the thread, unless others are to be told of something first.
            mutating func end() -> Bool {
                self.isRunning = self.mustNotify
                return !self.isRunning
            }

            /// Whether nothing is under way.
            var isIdle: Bool { !self.isRunning && self.ownThreads.isEmpty }

            /// Those who wait for the end, to be resumed, if it is there.
            mutating func takeClosers() -> [CheckedContinuation<Void, Never>] {
                guard self.isIdle else { return [] }
                defer { self.closers = [] }
                return self.closers
            }
        }

        /// The connection, and what was put on it whose answer is not taken yet.
        private struct Line {
            var connection: StoreConnection
            var sent: Job?
            /// Whether the thread is there to take answers.
            var isOpen = false
        }

        let context: StoreContext
        let tail: StoreTail
        private let state = Mutex(State())
        private let line: Mutex<Line>
        private let work = WakePipe()
        /// Cuts the connection when closing takes too long.
        private let switchOff = ConnectionSwitch()

        /// How many appends go together, and how many bytes.
        private static let groupCount = 128
        private static let groupBytes = 4 << 20
        /// How long others' subscriptions may wait to be told of an append, so that several are told at once: when
        /// no other follows, and while others follow.
        private static let notifyAfter: Duration = .milliseconds(5)
        private static let notifyWithin: Duration = .milliseconds(25)
        /// The largest append that its caller sends: it fits into the buffer of a socket.
        private static let directBytes = 64 << 10

        init(_ context: StoreContext, tail: StoreTail) {
            self.context = context
            self.tail = tail
            self.line = Mutex(Line(connection: Self.makeConnection(context, self.switchOff)))
        }

        /// Whether the store is closed.
        var isOver: Bool { self.state.withLock { $0.isOver } }

        /// Appends what `encode` makes, and answers after the commit.
        ///
        /// Nothing is encoded before there is room for it, so that callers who wait hold no more than their events.
        func append(
            estimatedBytes bytes: Int, _ encode: () throws(EventLogError) -> AppendRequest
        ) async throws(EventLogError) -> AppendResult {
            if let thread = StoreThread.current(of: self) { return try self.append(encode(), on: thread) }
            // Waiting for room is waiting for others, too.
            let deadline = ContinuousClock.now + self.context.configuration.patience
            await self.takeRoom(bytes)
            let request: AppendRequest
            do throws(EventLogError) {
                if self.isOver { throw EventLogError(StoreContext.closed) }
                if Task.isCancelled {
                    throw EventLogError(
                        .cancelled, "the task was cancelled before its events were accepted")
                }
                request = try encode()
            } catch {
                self.giveBack(bytes)
                throw error
            }
            let result = await withCheckedContinuation { reply in
                let job = Job(request, bytes: bytes, deadline) { reply.resume(returning: $0) }
                if self.send(job) { self.giveBack(bytes) } else { self.accept(job) }
            }
            return try result.get()
        }

        /// Appends on the thread that calls, which may be blocked.
        private func append(
            _ request: AppendRequest, on thread: StoreThread
        ) throws(EventLogError) -> AppendResult {
            // Closing waits for it, and cuts it off, as for those of the other thread.
            let isAccepted = self.state.withLock { state in
                if !state.isOver { state.ownThreads.append(thread.appendSwitch) }
                return !state.isOver
            }
            guard isAccepted else { throw EventLogError(StoreContext.closed) }
            defer {
                let closers = self.state.withLock { state in
                    state.ownThreads.removeAll { $0 === thread.appendSwitch }
                    return state.takeClosers()
                }
                for closer in closers { closer.resume() }
            }
            let answer = Answer()
            let deadline = ContinuousClock.now + self.context.configuration.patience
            let job = Job(request, deadline) { result in answer.result.withLock { $0 = result } }
            let hasStored = thread.append { connection in
                guard let single = self.single(of: job) else { return self.commit([job], connection) }
                return self.finish(job, connection) { connection throws(PostgresError) in
                    try connection.append(single, in: self.context)
                }
            }
            if hasStored { self.notifyLater() }
            guard let result = answer.result.withLock({ $0 }) else { throw AppendRequest.unexpected }
            return try result.get()
        }

        /// Has the thread tell others' subscriptions, once for all that is appended within a while.
        private func notifyLater() {
            let (mustStart, mustWake) = self.state.withLock { state in
                if state.mustNotify { return (false, false) }
                state.mustNotify = true
                defer { (state.isRunning, state.isAsleep) = (true, false) }
                return (!state.isRunning, state.isAsleep)
            }
            if mustStart { PlainThread.start("tidelog-pgappend") { [self] in self.loop() } }
            if mustWake { self.work.signal() }
        }

        /// The append as the usual one, if it is that; where partitions are to be made, there is more to do.
        private func single(of job: Job) -> SingleAppend? {
            self.context.layout == .single ? job.request.single : nil
        }

        /// Puts an append on the connection at once, if it is of the usual kind and nothing else is under way.
        private func send(_ job: Job) -> Bool {
            guard let single = self.single(of: job), single.byteCount <= Self.directBytes else {
                return false
            }
            return self.line.withLockIfAvailable { line in
                guard line.isOpen, line.sent == nil,
                    self.state.withLock({ $0.jobs.isEmpty && !$0.isOver }),
                    line.connection.send(single)
                else { return false }
                line.sent = job
                // What has not left yet, the thread sends.
                if line.connection.hasRest { self.work.signal() }
                return true
            } ?? false
        }

        /// Waits for room for so many bytes and takes it. There is room as long as less than the limit is taken, so
        /// that what is larger than the limit has its turn, too.
        private func takeRoom(_ bytes: Int) async {
            let most = self.context.configuration.maximumWaitingBytes
            let take = { (state: inout State) -> Bool in
                guard state.isOver || state.parked.isEmpty && state.waitingBytes < most else { return false }
                state.waitingBytes += bytes
                return true
            }
            if self.state.withLock({ take(&$0) }) { return }
            await withCheckedContinuation { reply in
                let isThere = self.state.withLock { state in
                    if take(&state) { return true }
                    state.parked.append((bytes, reply))
                    return false
                }
                if isThere { reply.resume() }
            }
        }

        private func giveBack(_ bytes: Int) {
            let most = self.context.configuration.maximumWaitingBytes
            let admitted = self.state.withLock { $0.release(bytes, of: most) }
            for reply in admitted { reply.resume() }
        }

        private func accept(_ job: Job) {
            let accepted = self.state.withLock { state -> (mustStart: Bool, mustWake: Bool)? in
                if state.isOver { return nil }
                state.jobs.append(job)
                defer { (state.isRunning, state.isAsleep) = (true, false) }
                return (!state.isRunning, state.isAsleep)
            }
            guard let accepted else { return job.answer(.failure(EventLogError(StoreContext.closed))) }
            if accepted.mustStart { PlainThread.start("tidelog-pgappend") { [self] in self.loop() } }
            if accepted.mustWake { self.work.signal() }
        }

        /// Refuses new appends, and ends the thread once those that were accepted are done.
        func close() {
            let (parked, mustWake) = self.state.withLock { state in
                state.isOver = true
                defer { (state.parked, state.isAsleep) = ([], false) }
                return (state.parked, state.isAsleep)
            }
            for (_, reply) in parked { reply.resume() }
            if mustWake { self.work.signal() }
        }

        // MARK: The thread

        /// A connection for appends, made when it is needed.
        static func makeConnection(
            _ context: StoreContext, _ switchOff: ConnectionSwitch = .init()
        ) -> StoreConnection {
            StoreConnection(
                context,
                // The function's plans are made once, when the tables may be empty: they must use the indexes.
                setting: "SET enable_seqscan = off; SET enable_bitmapscan = off; "
                    + "SET plan_cache_mode = force_generic_plan; \(context.patienceSetting())",
                limit: context.lockingLimit, switchOff: switchOff)
        }

        private func loop() {
            self.line.withLock { $0.isOpen = true }
            // When to notify others: at the latest, and if nothing follows.
            var due: (latest: ContinuousClock.Instant, quiet: ContinuousClock.Instant)?
            var isAnswered = false
            while true {
                let group = self.take()
                let now = ContinuousClock.now
                let mustNotify = due.map { now >= $0.latest || group.isEmpty && now >= $0.quiet } ?? false
                let (hasStored, hasNotified, answerDeadline, socket) = self.line.withLock { line in
                    var hasStored = false
                    if line.sent != nil {
                        let mustTake = line.connection.answerDeadline.map { $0 <= now } ?? false
                        if isAnswered || !group.isEmpty || mustTake || line.connection.hasRest {
                            hasStored = self.takeAnswer(&line)
                        }
                    } else if isAnswered {
                        line.connection.dropIfClosed()
                    }
                    if !group.isEmpty { hasStored = self.commit(group, line.connection) || hasStored }
                    let canNotify = mustNotify && line.sent == nil
                    if canNotify { self.notify(line.connection) }
                    let deadline = line.sent.map { _ in line.connection.answerDeadline ?? now + .seconds(1) }
                    return (hasStored, canNotify, deadline, line.connection.socket)
                }
                if hasNotified { due = nil }
                if hasStored {
                    let now = ContinuousClock.now
                    due = (due?.latest ?? now + Self.notifyWithin, now + Self.notifyAfter)
                }
                let (isOver, mustNotifyLater) = self.state.withLock { state in
                    (state.isOver && state.jobs.isEmpty, state.mustNotify)
                }
                if mustNotifyLater, due == nil { due = (now + Self.notifyWithin, now + Self.notifyWithin) }
                if isOver { break }
                isAnswered = self.rest(until: answerDeadline ?? due?.quiet, isDue: due != nil, socket)
            }
            self.line.withLock { line in
                line.isOpen = false
                let hasStored = self.takeAnswer(&line)
                if due != nil || hasStored { self.notify(line.connection) }
                while !self.state.withLock({ $0.end() }) { self.notify(line.connection) }
                line.connection.drop()
            }
            let closers = self.state.withLock { $0.takeClosers() }
            for closer in closers { closer.resume() }
        }

        private func notify(_ connection: StoreConnection) {
            self.state.withLock { $0.mustNotify = false }
            StoreTail.notify(connection, self.context)
        }

        /// Takes the answer to what a caller has sent, and tells it; whether something was stored.
        private func takeAnswer(_ line: inout Line) -> Bool {
            guard let job = line.sent, let single = job.request.single else { return false }
            line.sent = nil
            return self.finish(job, line.connection) { connection throws(PostgresError) in
                try connection.takeAnswer(single)
            }
        }

        /// Waits for the end of what is under way, once closed; what is not done after `limit` is cut off.
        func waitUntilOver(cuttingAfter limit: Duration) async {
            let cut = Task {
                guard (try? await Task.sleep(for: limit)) != nil else { return }
                for entry in [self.switchOff] + self.state.withLock({ $0.ownThreads }) { entry.off() }
            }
            defer { cut.cancel() }
            await withCheckedContinuation { reply in
                let isIdle = self.state.withLock { state in
                    if !state.isIdle { state.closers.append(reply) }
                    return state.isIdle
                }
                if isIdle { reply.resume() }
            }
        }

        /// Sleeps until there is something to do, or until `due`; answers whether the socket has something.
        private func rest(until due: ContinuousClock.Instant?, isDue: Bool, _ socket: Int32?) -> Bool {
            guard self.state.withLock({ $0.fallAsleep(isDue: isDue) }) else { return false }
            let hasAnswer = self.work.wait(for: due.map { $0 - ContinuousClock.now }, beside: socket)
            self.state.withLock { $0.isAsleep = false }
            return hasAnswer
        }

        /// What goes together next: one append with a condition on events, or any number without.
        private func take() -> [Job] {
            let (group, parked) = self.state.withLock { state in
                var (count, bytes) = (0, 0)
                while count < state.jobs.count, count < Self.groupCount, bytes < Self.groupBytes {
                    let isAlone = !state.jobs[count].request.absences.isEmpty
                    if isAlone, count > 0 { break }
                    bytes += state.jobs[count].request.byteCount
                    count += 1
                    if isAlone { break }
                }
                let group = Array(state.jobs.prefix(count))
                state.jobs.removeFirst(count)
                let taken = group.reduce(0) { $0 + $1.bytes }
                return (group, state.release(taken, of: self.context.configuration.maximumWaitingBytes))
            }
            for reply in parked { reply.resume() }
            return group
        }
    }
#endif
