#if Postgres
    import Dispatch
    import Glibc
    import Synchronization
    import Tidelog

    extension PostgresEventStore {
        /// Runs `body` on a thread of its own, which this store's calls block instead of changing threads, as in a
        /// program that calls libpq by hand: one append takes about as long as there.
        ///
        /// For one task that talks to the database all the time. What runs there takes turns, child tasks too:
        /// while one waits for the database, the others wait for it. It makes up to two connections of its own. What
        /// leaves the thread (an actor with an executor of its own, `Task { … }`) works as anywhere else.
        ///
        /// ```swift
        /// try await store.withOwnThread {
        ///     for event in events { try await store.append([event], if: .always) }
        /// }
        /// ```
        public func withOwnThread<Value: Sendable>(
            isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> Value
        ) async rethrows -> Value {
            let thread = StoreThread(self.core.context, self.core.appender, self.core.pool)
            defer { thread.end() }
            return try await StoreThread.$chosen.withValue(thread) {
                try await withTaskExecutorPreference(thread) { try await body() }
            }
        }
    }

    /// A thread that runs tasks, and that the store's calls of these tasks may block.
    final class StoreThread: TaskExecutor {
        private struct State {
            var jobs: [UnownedJob] = []
            var isRunning = false
            var isAsleep = false
            var isOver = false
        }

        /// The thread that the task is to run on; it may be on another one at times.
        @TaskLocal static var chosen: StoreThread?

        private let appender: StoreAppender
        /// Cuts the connection for appends when closing the store takes too long.
        let appendSwitch = ConnectionSwitch()
        private let switchOff = ConnectionSwitch()
        private let pool: ReaderPool
        private let appending: Mutex<StoreConnection>
        private let reading: Mutex<StoreConnection>
        private let state = Mutex(State())
        private let work = DispatchSemaphore(value: 0)
        /// The system's number of the thread; 0 where it is not running.
        private let number = Atomic<UInt>(0)

        init(_ context: StoreContext, _ appender: StoreAppender, _ pool: ReaderPool) {
            self.appender = appender
            self.pool = pool
            self.appending = Mutex(StoreAppender.makeConnection(context, self.appendSwitch))
            self.reading = Mutex(pool.makeConnection(self.switchOff))
        }

        /// The thread that this code runs on, if it belongs to the store of this appender.
        static func current(of appender: StoreAppender) -> StoreThread? {
            guard let chosen = Self.chosen, chosen.appender === appender, chosen.isCurrent else { return nil }
            return chosen
        }

        /// The thread that this code runs on, if it belongs to the store of this pool.
        static func current(of pool: ReaderPool) -> StoreThread? {
            guard let chosen = Self.chosen, chosen.pool === pool, chosen.isCurrent else { return nil }
            return chosen
        }

        private var isCurrent: Bool { self.number.load(ordering: .relaxed) == pthread_self() }

        /// Runs `body` with the connection for appends; blocks.
        func append<Value: Sendable>(_ body: (StoreConnection) -> Value) -> Value {
            self.appending.withLock { body($0) }
        }

        /// Runs `body` with the connection for other calls; blocks.
        func read<Value: Sendable>(_ body: (StoreConnection) -> Value) -> Value {
            self.reading.withLock { body($0) }
        }

        // MARK: Tasks

        func enqueue(_ job: consuming ExecutorJob) {
            let job = UnownedJob(job)
            let (mustStart, mustWake) = self.state.withLock { state in
                state.jobs.append(job)
                defer { (state.isRunning, state.isAsleep) = (true, false) }
                return (!state.isRunning, state.isAsleep)
            }
            if mustStart { PlainThread.start("tidelog-pgown") { [self] in self.loop() } }
            if mustWake { self.work.signal() }
        }

        /// Ends the thread once nothing is left to run; what comes later starts another.
        func end() {
            self.pool.forget(self.switchOff)
            let mustWake = self.state.withLock { state in
                state.isOver = true
                defer { state.isAsleep = false }
                return state.isAsleep
            }
            if mustWake { self.work.signal() }
        }

        private func loop() {
            self.number.store(pthread_self(), ordering: .relaxed)
            let executor = self.asUnownedTaskExecutor()
            while true {
                let (jobs, mustEnd) = self.state.withLock { state in
                    let jobs = state.jobs
                    state.jobs = []
                    state.isAsleep = jobs.isEmpty && !state.isOver
                    let mustEnd = jobs.isEmpty && state.isOver
                    if mustEnd {
                        self.number.store(0, ordering: .relaxed)
                        state.isRunning = false
                    }
                    return (jobs, mustEnd)
                }
                if mustEnd { return }
                if jobs.isEmpty { self.work.wait() }
                for job in jobs { job.runSynchronously(on: executor) }
            }
        }
    }
#endif
