#if Postgres
    import Dispatch
    import Glibc
    import Logging
    import Synchronization
    import Tidelog

    /// The one thread of a store that appends. What waits goes together, in one round trip and one commit;
    /// each append is judged by itself.
    ///
    /// When the connection is lost it is not known whether the last commit took place. The same appends are
    /// made again on the next connection: those that are there are known by their ids, and stored once.
    final class StoreAppender: Sendable {
        private final class Job: Sendable {
            let request: AppendRequest
            let deadline: ContinuousClock.Instant
            private let reply: CheckedContinuation<Result<AppendResult, EventLogError>, Never>
            /// Whether an earlier try may have been committed without an answer.
            let isInDoubt = Atomic(false)

            init(
                _ request: AppendRequest, _ deadline: ContinuousClock.Instant,
                _ reply: CheckedContinuation<Result<AppendResult, EventLogError>, Never>
            ) {
                (self.request, self.deadline, self.reply) = (request, deadline, reply)
            }

            func answer(_ result: Result<AppendResult, EventLogError>) {
                self.reply.resume(returning: result)
            }
        }

        private struct State {
            var jobs: [Job] = []
            var waitingBytes = 0
            var isOver = false
            var isRunning = false
            /// Whether the thread waits to be signalled.
            var isAsleep = false
            var parked: [CheckedContinuation<Void, Never>] = []
            /// Who waits for the thread's end.
            var closers: [CheckedContinuation<Void, Never>] = []
        }

        private let context: StoreContext
        private let tail: StoreTail
        private let state = Mutex(State())
        private let work = DispatchSemaphore(value: 0)
        /// Whether something was accepted since the thread looked last.
        private let hasWork = Atomic(false)

        /// How many appends go together, and how many bytes.
        private static let groupCount = 128
        private static let groupBytes = 4 << 20
        /// How long others' subscriptions may wait to be told of an append, so that several are told at once: when
        /// no other follows, and while others follow.
        private static let notifyAfter: Duration = .milliseconds(5)
        private static let notifyWithin: Duration = .milliseconds(25)
        /// How long the thread stays awake after an append: a caller often comes back at once, and waking a thread
        /// takes long beside what an append does.
        private static let lingering: Duration = .microseconds(100)

        init(_ context: StoreContext, tail: StoreTail) {
            self.context = context
            self.tail = tail
        }

        /// Appends and answers after the commit.
        func append(_ request: AppendRequest) async throws(EventLogError) -> AppendResult {
            await self.waitForRoom()
            if Task.isCancelled {
                throw EventLogError(.cancelled, "the task was cancelled before its events were accepted")
            }
            let deadline = ContinuousClock.now + self.context.configuration.patience
            let result = await withCheckedContinuation { reply in
                self.accept(Job(request, deadline, reply))
            }
            return try result.get()
        }

        private func waitForRoom() async {
            while true {
                let most = self.context.configuration.maximumWaitingBytes
                if self.state.withLock({ $0.isOver || $0.waitingBytes < most }) { return }
                await withCheckedContinuation { reply in
                    let isThere = self.state.withLock { state in
                        if state.isOver || state.waitingBytes < most { return true }
                        state.parked.append(reply)
                        return false
                    }
                    if isThere { reply.resume() }
                }
            }
        }

        private func accept(_ job: Job) {
            let accepted = self.state.withLock { state -> (mustStart: Bool, mustWake: Bool)? in
                if state.isOver { return nil }
                state.jobs.append(job)
                state.waitingBytes += job.request.byteCount
                defer { (state.isRunning, state.isAsleep) = (true, false) }
                return (!state.isRunning, state.isAsleep)
            }
            guard let accepted else { return job.answer(.failure(EventLogError(StoreContext.closed))) }
            self.hasWork.store(true, ordering: .releasing)
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
            for reply in parked { reply.resume() }
            self.hasWork.store(true, ordering: .releasing)
            if mustWake { self.work.signal() }
        }

        // MARK: The thread

        private func loop() {
            let connection = StoreConnection(
                self.context,
                // The function's plans are made once, when the tables may be empty: they must use the indexes.
                setting: "SET enable_seqscan = off; SET enable_bitmapscan = off; "
                    + "SET plan_cache_mode = force_generic_plan; SET idle_in_transaction_session_timeout = '60s'; "
                    + "SET lock_timeout = '\(self.lockMilliseconds)ms'",
                switchOff: ConnectionSwitch())
            // When to notify others: at the latest, and if nothing follows.
            var due: (latest: ContinuousClock.Instant, quiet: ContinuousClock.Instant)?
            while true {
                self.hasWork.store(false, ordering: .relaxed)
                let group = self.take()
                let now = ContinuousClock.now
                if let at = due, now >= at.latest || group.isEmpty && now >= at.quiet {
                    StoreTail.notify(connection, self.context)
                    due = nil
                }
                if group.isEmpty {
                    if self.state.withLock({ $0.isOver && $0.jobs.isEmpty }) { break }
                    self.rest(until: due?.quiet)
                    continue
                }
                if self.commit(group, connection) {
                    let now = ContinuousClock.now
                    due = (due?.latest ?? now + Self.notifyWithin, now + Self.notifyAfter)
                    self.linger()
                }
            }
            if due != nil { StoreTail.notify(connection, self.context) }
            let closers = self.state.withLock { state in
                state.isRunning = false
                defer { state.closers = [] }
                return state.closers
            }
            for closer in closers { closer.resume() }
        }

        /// Waits for the end of the thread, once closed.
        func waitUntilOver() async {
            await withCheckedContinuation { reply in
                let isOver = self.state.withLock { state in
                    if state.isRunning { state.closers.append(reply) }
                    return !state.isRunning
                }
                if isOver { reply.resume() }
            }
        }

        private var lockMilliseconds: Int64 {
            let (seconds, attoseconds) = self.context.configuration.patience.components
            return max(100, min(seconds, 1_000_000) * 1000 + attoseconds / 1_000_000_000_000_000)
        }

        /// Waits a moment for the next append, giving way to whoever wants the processor.
        private func linger() {
            let end = ContinuousClock.now + Self.lingering
            while !self.hasWork.load(ordering: .acquiring), ContinuousClock.now < end { sched_yield() }
        }

        /// Sleeps until there is something to do, or until `due`.
        private func rest(until due: ContinuousClock.Instant?) {
            let mustSleep = self.state.withLock { state in
                state.isAsleep = state.jobs.isEmpty && !state.isOver
                return state.isAsleep
            }
            guard mustSleep else { return }
            guard let due else { return self.work.wait() }
            let left = due - ContinuousClock.now
            let nanoseconds =
                left.components.seconds * 1_000_000_000 + left.components.attoseconds / 1_000_000_000
            guard self.work.wait(timeout: .now() + .nanoseconds(Int(max(nanoseconds, 0)))) == .timedOut else {
                return
            }
            let isSignalled = self.state.withLock { state in
                defer { state.isAsleep = false }
                return !state.isAsleep
            }
            // Whoever woke it has signalled, or is about to: that signal is not to wake it a second time.
            if isSignalled { self.work.wait() }
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
                state.waitingBytes -= bytes
                defer { state.parked = [] }
                return (group, state.parked)
            }
            for reply in parked { reply.resume() }
            return group
        }

        /// Appends a group and answers its callers; whether something was stored.
        private func commit(_ group: [Job], _ connection: StoreConnection) -> Bool {
            var retry = StoreRetry(patience: nil)
            while true {
                do throws(PostgresError) {
                    return try self.attempt(group, connection)
                } catch {
                    if let delay = retry.delay(after: error) {
                        let next = ContinuousClock.now + delay
                        if group.allSatisfy({ $0.deadline >= next }), !self.state.withLock({ $0.isOver }) {
                            PlainThread.sleep(delay)
                            continue
                        }
                    } else if group.count > 1 {
                        // One of them is at fault; the others must not pay for it.
                        return group.reduce(false) { self.commit([$1], connection) || $0 }
                    }
                    for job in group { job.answer(.failure(EventLogError(error))) }
                    return false
                }
            }
        }

        private func attempt(
            _ group: [Job], _ connection: StoreConnection
        ) throws(PostgresError) -> Bool {
            let results = try connection.run { connection throws(PostgresError) in
                try self.withPartitions(group, connection) { () throws(PostgresError) in
                    try self.append(group, connection)
                }
            }
            var end: UInt64 = 0
            for (job, result) in zip(group, results) {
                if case .success(let value) = result { end = max(end, value.positions.upperBound.rawValue) }
                job.answer(result)
            }
            if end > 0 { self.tail.publish(end) }
            return end > 0
        }

        private func append(
            _ group: [Job], _ connection: PostgresConnection
        ) throws(PostgresError) -> [Result<AppendResult, EventLogError>] {
            if let first = group.first, !first.request.absences.isEmpty {
                return [try self.appendGuarded(first, connection)]
            }
            if group.count == 1, let result = try self.appendSingle(group[0], connection) {
                return [.success(result)]
            }
            return try self.appendTogether(group, connection)
        }

        private func withPartitions<Value>(
            _ group: [Job], _ connection: PostgresConnection, _ body: () throws(PostgresError) -> Value
        ) throws(PostgresError) -> Value {
            if self.context.layout == .single { return try body() }
            let months = group.reduce(into: Set<Int>()) { $0.formUnion($1.request.months) }
            var partitions =
                connection.partitions
                ?? Partitions(
                    names: self.context.names, layout: self.context.layout)
            defer { connection.partitions = partitions }
            return try partitions.run(connection, logID: self.context.logID, months: months, body)
        }

        /// The usual append; nil if it is not, or something is in its way.
        private func appendSingle(
            _ job: Job, _ connection: PostgresConnection
        ) throws(PostgresError) -> AppendResult? {
            guard let single = job.request.single else { return nil }
            var result: AppendResult?
            do throws(PostgresError) {
                try connection.run(single.statement(in: self.context)) { row throws(PostgresError) in
                    result = try single.result(row)
                }
            } catch {
                self.doubt([job], connection)
                throw error
            }
            return result
        }

        /// All in one round trip, which is one transaction.
        private func appendTogether(
            _ group: [Job], _ connection: PostgresConnection
        ) throws(PostgresError) -> [Result<AppendResult, EventLogError>] {
            var answers: [AppendAnswer?] = Array(repeating: nil, count: group.count)
            let calls = group.map { $0.request.call(in: self.context, isRuledOut: false) }
            do throws(PostgresError) {
                try connection.pipeline(calls) { index, row throws(PostgresError) in
                    answers[index] = try AppendAnswer(row)
                }
            } catch {
                self.doubt(group, connection)
                throw error
            }
            var results: [Result<AppendResult, EventLogError>] = []
            for (index, job) in group.enumerated() {
                results.append(
                    try self.result(
                        of: job, answers[index], ruledOut: nil, connection))
            }
            return results
        }

        /// One append with a condition on events: the log is locked, the condition looked at, and then, in the
        /// same transaction, the function called.
        private func appendGuarded(
            _ job: Job, _ connection: PostgresConnection
        ) throws(PostgresError) -> Result<AppendResult, EventLogError> {
            let absences = job.request.absences
            var found: [Int64?] = Array(repeating: nil, count: absences.count)
            let lock =
                "SELECT next_position FROM \(self.context.names.quoted("_logs")) WHERE log_id = $1 FOR UPDATE"
            var answer: AppendAnswer?
            var ruledOut: (index: Int, position: Position)?
            do throws(PostgresError) {
                try connection.pipeline(
                    [.init(text: "BEGIN"), .init(text: lock, parameters: [self.context.key])]
                        + absences.map(\.query)
                ) { index, row throws(PostgresError) in
                    if index >= 2 { found[index - 2] = try row.integer(0) }
                }
                if let index = found.firstIndex(where: { $0 != nil }), let position = found[index] {
                    ruledOut = (index, Position(UInt64(clamping: position)))
                }
                let call = job.request.call(in: self.context, isRuledOut: ruledOut != nil)
                try connection.pipeline([call, .init(text: "COMMIT")]) { index, row throws(PostgresError) in
                    if index == 0 { answer = try AppendAnswer(row) }
                }
            } catch {
                self.doubt([job], connection)
                if !connection.isBroken { try? connection.execute("ROLLBACK") }
                throw error
            }
            return try self.result(of: job, answer, ruledOut: ruledOut, connection)
        }

        /// Remembers of these that, as the connection is lost, they may be stored all the same.
        private func doubt(_ group: [Job], _ connection: PostgresConnection) {
            guard connection.isBroken else { return }
            for job in group { job.isInDoubt.store(true, ordering: .relaxed) }
        }

        private func result(
            of job: Job, _ answer: AppendAnswer?, ruledOut: (index: Int, position: Position)?,
            _ connection: PostgresConnection
        ) throws(PostgresError) -> Result<AppendResult, EventLogError> {
            guard let answer else { return .failure(AppendRequest.unexpected) }
            if let result = job.request.result(answer, ruledOut: ruledOut) { return result }
            // What is there is compared field by field. More events than were sent are not the same append.
            var stored: [StoredEvent] = []
            let most = min(answer.last - answer.first, UInt64(job.request.events.count)) + 1
            try connection.query(
                "SELECT \(EventColumns.selection) FROM \(self.context.names.quoted()) WHERE log_id = $1 "
                    + "AND position >= $2 AND position < $3 ORDER BY position",
                [
                    self.context.key, .bigint(Int64(clamping: answer.first)),
                    .bigint(Int64(clamping: answer.first + most)),
                ]
            ) { row throws(PostgresError) in stored.append(try connection.decoder.event(row)) }
            // What an earlier try of the same call has stored is no repeat.
            let isRepeat = !job.isInDoubt.load(ordering: .relaxed)
            return job.request.result(known: stored, isRepeat: isRepeat)
        }
    }
#endif
