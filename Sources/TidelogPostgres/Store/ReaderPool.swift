#if Postgres
    import Synchronization
    import Tidelog

    /// Threads with a connection each, on which the calls that read, and that change streams, take turns.
    ///
    /// A call that fails because the server cannot be reached is tried again, and keeps no thread until then. So
    /// calls that go on without a limit, as those of subscriptions do, stand in nobody's way.
    final class ReaderPool: Sendable {
        /// What is to be done.
        private struct Job: Sendable {
            enum Outcome {
                /// It is done; how its caller is told.
                case done(@Sendable () -> Void)
                case failed(PostgresError)
            }

            /// Tries it.
            let attempt: @Sendable (StoreConnection) -> Outcome
            /// Tells its caller an error.
            let refuse: @Sendable (PostgresError) -> Void
            /// Whether its caller still waits for it.
            let isWanted: @Sendable () -> Bool
            var retry: StoreRetry
        }

        /// A thread with its connection, which belongs to whoever holds the lock.
        private final class Reader: Sendable {
            struct Line {
                var connection: StoreConnection
                /// What it is to do next.
                var job: Job?
                var isClosed = false
            }

            let line: Mutex<Line>
            let wake = WakePipe()

            init(_ connection: sending StoreConnection) { self.line = Mutex(Line(connection: connection)) }
        }

        private struct State {
            /// What no thread is free for.
            var jobs: [Job] = []
            /// What failed, and is tried again after a while.
            var resting: [UInt64: Job] = [:]
            var lastNumber: UInt64 = 0
            /// Why the server cannot be reached, as far as is known.
            var failure: PostgresError?
            var threads = 0
            /// Those that sleep, the one that was busy last at the end.
            var idle: [Reader] = []
            var isOver = false
            var switches: [ConnectionSwitch] = []
        }

        /// Who takes a job.
        private enum Taker {
            case nobody, later, new
            case idle(Reader)
        }

        private let context: StoreContext
        private let state = Mutex(State())
        /// Whether ``State/failure`` is there.
        private let isFailing = Atomic(false)
        /// How long a thread without work keeps its connection.
        private static let idleTime: Duration = .seconds(30)

        init(_ context: StoreContext) { self.context = context }

        /// Runs `body` with a connection; tries again, within the store's patience, when the server cannot be
        /// reached. So `body` must do no harm when it is run twice.
        func run<Value: Sendable>(
            _ body: @escaping @Sendable (PostgresConnection) throws(PostgresError) -> Value
        ) async throws(EventLogError) -> Value {
            let result: Result<Value, PostgresError>
            if let thread = StoreThread.current(of: self) {
                result = self.run(on: thread, body)
            } else {
                result = await withCheckedContinuation { reply in
                    self.submit(body) { reply.resume(returning: $0) }
                }
            }
            do throws(PostgresError) {
                return try result.get()
            } catch {
                throw EventLogError(error)
            }
        }

        /// As ``run(_:)``, with the answer handed to `done` on another thread.
        ///
        /// - Parameters:
        ///   - isWanted: whether to go on, without a limit; nil: within the store's patience.
        ///   - query: what `body` streams first. If a thread sleeps whose connection has it prepared, it is sent at
        ///     once, and the thread wakes up when the server answers.
        func submit<Value: Sendable>(
            while isWanted: (@Sendable () -> Bool)? = nil, sendingAhead query: PostgresStatement? = nil,
            _ body: @escaping @Sendable (PostgresConnection) throws(PostgresError) -> Value,
            _ done: @escaping @Sendable (Result<Value, PostgresError>) -> Void
        ) {
            let isEndless = isWanted != nil
            let job = Job(
                attempt: { connection in
                    do throws(PostgresError) {
                        let value = try connection.run(body)
                        return .done { done(.success(value)) }
                    } catch {
                        return .failed(error)
                    }
                },
                refuse: { done(.failure($0)) }, isWanted: isWanted ?? { true },
                retry: StoreRetry(
                    patience: isEndless ? nil : self.context.configuration.patience, isEndless: isEndless))
            self.accept(job, sendingAhead: query)
        }

        private func accept(_ job: Job, sendingAhead query: PostgresStatement? = nil) {
            let taker = self.state.withLock { state -> Taker in
                if state.isOver { return .nobody }
                if let reader = state.idle.popLast() { return .idle(reader) }
                state.jobs.append(job)
                guard state.threads < self.context.configuration.maximumReaders else { return .later }
                state.threads += 1
                return .new
            }
            switch taker {
            case .nobody: job.refuse(StoreContext.closed)
            case .later: break
            case .new: PlainThread.start("tidelog-pgread") { [self] in self.loop() }
            case .idle(let reader):
                let (isTaken, isSent) = reader.line.withLock { line in
                    if line.isClosed { return (false, false) }
                    line.job = job
                    let isSent = query.map { line.connection.sendAhead($0) } ?? false
                    return (true, isSent && !line.connection.hasRest)
                }
                if !isTaken { job.refuse(StoreContext.closed) }
                if isTaken, !isSent { reader.wake.signal() }
            }
        }

        /// As ``run(_:)``, on a thread that may be blocked.
        func run<Value: Sendable>(
            on thread: StoreThread,
            _ body: @Sendable (PostgresConnection) throws(PostgresError) -> Value
        ) -> Result<Value, PostgresError> {
            if self.state.withLock({ $0.isOver }) { return .failure(StoreContext.closed) }
            return thread.read { connection in
                var retry = StoreRetry(patience: self.context.configuration.patience)
                while true {
                    do throws(PostgresError) {
                        return .success(try connection.run(body))
                    } catch {
                        if self.state.withLock({ $0.isOver }) { return .failure(StoreContext.closed) }
                        guard let delay = retry.delay(after: error) else { return .failure(error) }
                        PlainThread.sleep(delay)
                    }
                }
            }
        }

        /// A connection that is cut when the pool closes, made when it is needed.
        func makeConnection(_ switchOff: ConnectionSwitch = .init()) -> StoreConnection {
            self.state.withLock { state in
                state.switches.append(switchOff)
                if state.isOver { switchOff.off() }
            }
            return StoreConnection(
                self.context, setting: "SET lock_timeout = 0",
                limit: self.context.configuration.answerTimeout, switchOff: switchOff)
        }

        /// A connection that was made with this switch is used no more.
        func forget(_ switchOff: ConnectionSwitch) {
            self.state.withLock { $0.switches.removeAll { $0 === switchOff } }
        }

        /// Tries a job; answers how its caller is told, or nil if it is tried again later.
        private func attempt(_ job: Job, _ connection: StoreConnection) -> (@Sendable () -> Void)? {
            let error: PostgresError
            switch job.attempt(connection) {
            case .done(let tell):
                if self.isFailing.load(ordering: .relaxed) {
                    self.isFailing.store(false, ordering: .relaxed)
                    self.state.withLock { $0.failure = nil }
                }
                return tell
            case .failed(let failure): error = failure
            }
            var job = job
            let delay = job.isWanted() ? job.retry.delay(after: error) : nil
            let (number, isOver) = self.state.withLock { [job] state -> (UInt64, Bool) in
                if error.code == .unreachable { state.failure = error }
                if state.isOver || delay == nil { return (0, state.isOver) }
                state.lastNumber += 1
                state.resting[state.lastNumber] = job
                return (state.lastNumber, false)
            }
            if error.code == .unreachable { self.isFailing.store(true, ordering: .relaxed) }
            if isOver { return { [job] in job.refuse(StoreContext.closed) } }
            guard let delay else { return { [job] in job.refuse(error) } }
            Task {
                try? await Task.sleep(for: delay)
                if let job = self.state.withLock({ $0.resting.removeValue(forKey: number) }) {
                    self.accept(job)
                }
            }
            return nil
        }

        private func loop() {
            let reader = Reader(self.makeConnection())
            var job = self.next(after: reader)
            var idleSince = ContinuousClock.now
            while true {
                if let current = job {
                    let tell = reader.line.withLock { self.attempt(current, $0.connection) }
                    // First it is free again: the caller's next call needs no other thread.
                    job = self.next(after: reader)
                    tell?()
                    idleSince = .now
                } else {
                    let (given, socket) = reader.line.withLock { line in
                        defer { line.job = nil }
                        return (line.job, line.connection.socket)
                    }
                    job = given
                    if given != nil { continue }
                    if self.state.withLock({ $0.isOver }) { break }
                    self.sleep(reader, socket, since: idleSince)
                }
            }
            // What was given to it in the last moment is refused.
            let last = reader.line.withLock { line in
                line.isClosed = true
                return line.job
            }
            last?.refuse(StoreContext.closed)
            self.state.withLock { state in
                state.threads -= 1
                state.idle.removeAll { $0 === reader }
            }
        }

        /// What waits; if nothing does, the reader is free. What has waited for longer than its patience while the
        /// server cannot be reached is refused.
        private func next(after reader: Reader) -> Job? {
            while true {
                let (job, failure) = self.state.withLock { state -> (Job?, PostgresError?) in
                    if !state.jobs.isEmpty { return (state.jobs.removeFirst(), state.failure) }
                    state.idle.append(reader)
                    return (nil, nil)
                }
                guard let job, let failure, job.retry.isDue else { return job }
                job.refuse(failure)
            }
        }

        /// Waits for something to do, or for the answer to what was sent ahead.
        private func sleep(_ reader: Reader, _ socket: Int32?, since began: ContinuousClock.Instant) {
            let idle = ContinuousClock.now - began
            // What is sent ahead meanwhile must not wait for its answer longer than the server may be silent.
            let left = max(.milliseconds(1), idle < Self.idleTime ? Self.idleTime - idle : Self.idleTime)
            let most = min(left, self.context.configuration.answerTimeout)
            let hasAnswer = reader.wake.wait(for: most, beside: socket)
            let isIdle = ContinuousClock.now - began >= Self.idleTime
            reader.line.withLock { line in
                if line.job != nil { return }
                if isIdle { line.connection.drop() } else if hasAnswer { line.connection.dropIfClosed() }
            }
        }

        /// Ends the threads; what runs is cut off, what waits is refused.
        func close() {
            let (idle, switches, resting) = self.state.withLock { state in
                state.isOver = true
                defer { state.resting = [:] }
                return (state.idle, state.switches, state.resting)
            }
            for entry in switches { entry.off() }
            for job in resting.values { job.refuse(StoreContext.closed) }
            for reader in idle { reader.wake.signal() }
        }
    }
#endif
