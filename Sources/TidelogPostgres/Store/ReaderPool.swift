#if Postgres
    import Dispatch
    import Synchronization
    import Tidelog

    /// Threads with a connection each, on which the calls that read, and that change streams, take turns.
    final class ReaderPool: Sendable {
        /// What is to be done, and answers how its caller is told.
        private typealias Job = @Sendable (StoreConnection) -> @Sendable () -> Void

        private struct State {
            var jobs: [Job] = []
            var threads = 0
            var idle = 0
            var isOver = false
            var switches: [ConnectionSwitch] = []
        }

        private let context: StoreContext
        private let state = Mutex(State())
        private let work = DispatchSemaphore(value: 0)
        /// How long a thread without work keeps its connection.
        private static let idleSeconds = 30

        init(_ context: StoreContext) { self.context = context }

        /// Runs `body` with a connection; tries again, within the store's patience, when the server cannot be
        /// reached. So `body` must do no harm when it is run twice.
        ///
        /// - Parameter isEndless: whether to go on without a limit.
        func run<Value: Sendable>(
            isEndless: Bool = false,
            _ body: @escaping @Sendable (PostgresConnection) throws(PostgresError) -> Value
        ) async throws(EventLogError) -> Value {
            let result = await withCheckedContinuation {
                (reply: CheckedContinuation<Result<Value, PostgresError>, Never>) in
                self.submit(isEndless: isEndless, body) { reply.resume(returning: $0) }
            }
            do throws(PostgresError) {
                return try result.get()
            } catch {
                throw EventLogError(error)
            }
        }

        /// As ``run(isEndless:_:)``, with the answer handed to `done` on a thread of the pool.
        func submit<Value: Sendable>(
            isEndless: Bool = false,
            _ body: @escaping @Sendable (PostgresConnection) throws(PostgresError) -> Value,
            _ done: @escaping @Sendable (Result<Value, PostgresError>) -> Void
        ) {
            let patience = isEndless ? nil : self.context.configuration.patience
            let mustStart = self.state.withLock { state -> Bool? in
                if state.isOver { return nil }
                state.jobs.append { [self] connection in
                    let result = self.attempt(connection, patience, body)
                    return { done(result) }
                }
                let most = self.context.configuration.maximumReaders
                guard state.jobs.count > state.idle, state.threads < most else { return false }
                state.threads += 1
                return true
            }
            guard let mustStart else { return done(.failure(StoreContext.closed)) }
            if mustStart { PlainThread.start("tidelog-pgread") { [self] in self.loop() } }
            self.work.signal()
        }

        private func attempt<Value>(
            _ connection: StoreConnection, _ patience: Duration?,
            _ body: (PostgresConnection) throws(PostgresError) -> Value
        ) -> Result<Value, PostgresError> {
            var retry = StoreRetry(patience: patience, isEndless: patience == nil)
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

        private func loop() {
            let switchOff = ConnectionSwitch()
            self.state.withLock { $0.switches.append(switchOff) }
            let connection = StoreConnection(
                self.context, setting: "SET lock_timeout = 0", switchOff: switchOff)
            self.state.withLock { $0.idle += 1 }
            while true {
                let isIdle = self.work.wait(timeout: .now() + .seconds(Self.idleSeconds)) == .timedOut
                let (job, isOver) = self.state.withLock { state -> (Job?, Bool) in
                    if !state.jobs.isEmpty { state.idle -= 1 }
                    return (state.jobs.isEmpty ? nil : state.jobs.removeFirst(), state.isOver)
                }
                if let job {
                    let tell = job(connection)
                    // First it is free again: the caller's next call needs no other thread.
                    self.state.withLock { $0.idle += 1 }
                    tell()
                } else if isOver {
                    break
                } else if isIdle {
                    connection.drop()
                }
            }
            self.state.withLock { state in
                state.threads -= 1
                state.idle -= 1
            }
        }

        /// Ends the threads; what runs is cut off, what waits is refused.
        func close() {
            let (threads, switches) = self.state.withLock { state in
                state.isOver = true
                return (state.threads, state.switches)
            }
            for entry in switches { entry.off() }
            for _ in 0..<threads { self.work.signal() }
        }
    }
#endif
