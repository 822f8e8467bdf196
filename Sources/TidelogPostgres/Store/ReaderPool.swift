#if Postgres
    import Synchronization
    import Tidelog

    /// Threads with a connection each, on which the calls that read, and that change streams, take turns.
    final class ReaderPool: Sendable {
        /// What is to be done, and answers how its caller is told.
        private typealias Job = @Sendable (StoreConnection) -> @Sendable () -> Void

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
            var threads = 0
            /// Those that sleep, the one that was busy last at the end.
            var idle: [Reader] = []
            var isOver = false
            var switches: [ConnectionSwitch] = []
        }

        /// Who takes a job.
        private enum Taker {
            case nobody, another, new
            case idle(Reader)
        }

        private let context: StoreContext
        private let state = Mutex(State())
        /// How long a thread without work keeps its connection.
        private static let idleTime: Duration = .seconds(30)

        init(_ context: StoreContext) { self.context = context }

        /// Runs `body` with a connection; tries again, within the store's patience, when the server cannot be
        /// reached. So `body` must do no harm when it is run twice.
        ///
        /// - Parameter isEndless: whether to go on without a limit.
        func run<Value: Sendable>(
            isEndless: Bool = false,
            _ body: @escaping @Sendable (PostgresConnection) throws(PostgresError) -> Value
        ) async throws(EventLogError) -> Value {
            let result: Result<Value, PostgresError>
            if let thread = StoreThread.current(of: self) {
                result = self.run(on: thread, isEndless: isEndless, body)
            } else {
                result = await withCheckedContinuation { reply in
                    self.submit(isEndless: isEndless, body) { reply.resume(returning: $0) }
                }
            }
            do throws(PostgresError) {
                return try result.get()
            } catch {
                throw EventLogError(error)
            }
        }

        /// As ``run(isEndless:_:)``, with the answer handed to `done` on a thread of the pool.
        ///
        /// - Parameter query: what `body` streams first. If a thread sleeps whose connection has it prepared, it is
        ///   sent at once, and the thread wakes up when the server answers.
        func submit<Value: Sendable>(
            isEndless: Bool = false, sendingAhead query: PostgresStatement? = nil,
            _ body: @escaping @Sendable (PostgresConnection) throws(PostgresError) -> Value,
            _ done: @escaping @Sendable (Result<Value, PostgresError>) -> Void
        ) {
            let patience = isEndless ? nil : self.context.configuration.patience
            let job: Job = { [self] connection in
                let result = self.attempt(connection, patience, body)
                return { done(result) }
            }
            let taker = self.state.withLock { state -> Taker in
                if state.isOver { return .nobody }
                if let reader = state.idle.popLast() { return .idle(reader) }
                state.jobs.append(job)
                guard state.threads < self.context.configuration.maximumReaders else { return .another }
                state.threads += 1
                return .new
            }
            switch taker {
            case .nobody: done(.failure(StoreContext.closed))
            case .another: break
            case .new: PlainThread.start("tidelog-pgread") { [self] in self.loop() }
            case .idle(let reader):
                let (isTaken, isSent) = reader.line.withLock { line in
                    if line.isClosed { return (false, false) }
                    line.job = job
                    return (true, query.map { line.connection.sendAhead($0) } ?? false)
                }
                if !isTaken { done(.failure(StoreContext.closed)) }
                if isTaken, !isSent { reader.wake.signal() }
            }
        }

        /// As ``run(isEndless:_:)``, on a thread that may be blocked.
        func run<Value: Sendable>(
            on thread: StoreThread, isEndless: Bool = false,
            _ body: @Sendable (PostgresConnection) throws(PostgresError) -> Value
        ) -> Result<Value, PostgresError> {
            if self.state.withLock({ $0.isOver }) { return .failure(StoreContext.closed) }
            let patience = isEndless ? nil : self.context.configuration.patience
            return thread.read { self.attempt($0, patience, body) }
        }

        /// A connection that is cut when the pool closes, made when it is needed.
        func makeConnection(_ switchOff: ConnectionSwitch = .init()) -> StoreConnection {
            self.state.withLock { state in
                state.switches.append(switchOff)
                if state.isOver { switchOff.off() }
            }
            return StoreConnection(self.context, setting: "SET lock_timeout = 0", switchOff: switchOff)
        }

        /// A connection that was made with this switch is used no more.
        func forget(_ switchOff: ConnectionSwitch) {
            self.state.withLock { $0.switches.removeAll { $0 === switchOff } }
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
            let reader = Reader(self.makeConnection())
            var job = self.next(after: reader)
            while true {
                if let current = job {
                    let tell = reader.line.withLock { current($0.connection) }
                    // First it is free again: the caller's next call needs no other thread.
                    job = self.next(after: reader)
                    tell()
                } else {
                    let (given, socket) = reader.line.withLock { line in
                        defer { line.job = nil }
                        return (line.job, line.connection.socket)
                    }
                    job = given
                    if given != nil { continue }
                    if self.state.withLock({ $0.isOver }) { break }
                    self.sleep(reader, socket)
                }
            }
            // What was given to it in the last moment is refused.
            let last = reader.line.withLock { line in
                line.isClosed = true
                return line.job.map { $0(line.connection) }
            }
            last?()
            self.state.withLock { state in
                state.threads -= 1
                state.idle.removeAll { $0 === reader }
            }
        }

        /// What waits; if nothing does, the reader is free.
        private func next(after reader: Reader) -> Job? {
            self.state.withLock { state in
                if !state.jobs.isEmpty { return state.jobs.removeFirst() }
                state.idle.append(reader)
                return nil
            }
        }

        /// Waits for something to do, or for the answer to what was sent ahead.
        private func sleep(_ reader: Reader, _ socket: Int32?) {
            let began = ContinuousClock.now
            let hasAnswer = reader.wake.wait(for: Self.idleTime, beside: socket)
            let isIdle = ContinuousClock.now - began >= Self.idleTime
            reader.line.withLock { line in
                if line.job != nil { return }
                if isIdle { line.connection.drop() } else if hasAnswer { line.connection.dropIfClosed() }
            }
        }

        /// Ends the threads; what runs is cut off, what waits is refused.
        func close() {
            let (idle, switches) = self.state.withLock { state in
                state.isOver = true
                return (state.idle, state.switches)
            }
            for entry in switches { entry.off() }
            for reader in idle { reader.wake.signal() }
        }
    }
#endif
