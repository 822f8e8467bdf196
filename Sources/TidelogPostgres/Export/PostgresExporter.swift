#if Postgres
    import Dispatch
    import Logging
    import Synchronization
    public import Tidelog

    /// Ships a log to PostgreSQL: continuously or once, all of it or what a filter wants.
    ///
    /// Rows and the checkpoint are committed together, so that every event arrives exactly once, whatever is
    /// cut and whoever is killed. No connection is the normal state of a device: the exporter tries again, with
    /// growing delays, from where the database says that it stands. It reads the log as any reader does and
    /// never holds up an append; it holds two batches in memory, whatever the backlog.
    ///
    /// ```swift
    /// let exporter = try PostgresExporter(log: log, to: PostgresSettings("host=db dbname=farm"))
    /// exporter.start()
    /// …
    /// await exporter.stop(drainingFor: .seconds(5))
    /// ```
    public final class PostgresExporter: Sendable {
        struct State {
            var machine: ExportMachine
            var pace: ExportPace
            /// Counts the starts.
            var run = 0
            var isRunning = false
            var isOver = false
            var waiters: [CheckedContinuation<Void, Never>] = []
            var watcher: Task<Void, Never>?
            var reporter: Task<Void, Never>?
            /// Failures since the exporter was made.
            var failed = 0
            /// When the last of them was.
            var failedAt: Timestamp?
            var session: ConnectionSwitch?
            var counted = ExportCounter()
            /// How far this exporter knows the database to be.
            var known: UInt64?
            /// How far an exporter before this one had brought it, as the log remembers.
            var remembered: UInt64?
        }

        /// The log.
        public let log: EventLog
        /// How it is exported.
        public let configuration: PostgresExportConfiguration
        let settings: PostgresSettings
        let state: Mutex<State>
        private let wake = DispatchSemaphore(value: 0)
        let started = ContinuousClock.now
        let reporter: ExportReporter

        /// An exporter that does nothing yet.
        ///
        /// - Throws: ``PostgresError`` with code `invalidConfiguration`.
        public init(
            log: EventLog, to settings: PostgresSettings, configuration: PostgresExportConfiguration = .init()
        ) throws(PostgresError) {
            try configuration.validate()
            _ = try PostgresConnection.passwords(in: settings.connectionString)
            self.log = log
            self.settings = settings
            self.configuration = configuration
            self.state = Mutex(
                State(
                    machine: Self.machine(configuration, isContinuous: true),
                    pace: ExportPace(configuration.pace)))
            self.reporter = ExportReporter(log: log, configuration: configuration)
        }

        private static func machine(
            _ configuration: PostgresExportConfiguration, isContinuous: Bool
        ) -> ExportMachine {
            ExportMachine(
                isContinuous: isContinuous,
                backoff: .init(first: configuration.firstRetryDelay, most: configuration.longestRetryDelay),
                attempts: configuration.attempts, gathering: configuration.gathering,
                fullBatch: UInt64(configuration.batchEvents))
        }

        // MARK: Running

        /// Exports what there is and what comes, until ``stop(drainingFor:)``. A second call does nothing.
        public func start() { _ = self.begin(isContinuous: true) }

        /// Exports what the log has now and returns.
        ///
        /// - Throws: ``PostgresError``; failures that may pass are tried `attempts` times first. Code
        ///   `invalidConfiguration` if the exporter runs already.
        @discardableResult
        public func exportOnce() async throws(PostgresError) -> PostgresExportStatus {
            guard self.begin(isContinuous: false) else {
                throw PostgresError(.invalidConfiguration, "this exporter runs already; stop it first")
            }
            await self.waitUntilOver()
            let status = self.status
            if let error = status.lastError { throw error }
            return status
        }

        /// Exports until the task is cancelled, then drains for `grace`: the shape of a service's `run`.
        ///
        /// - Throws: ``PostgresError`` if the export ended by itself, as when the log was closed.
        public func run(grace: Duration = .seconds(5)) async throws(PostgresError) {
            self.start()
            await withTaskCancellationHandler {
                await self.waitUntilOver()
            } onCancel: {
                self.requestStop(drainingFor: grace)
            }
            guard let error = self.status.lastError, !Task.isCancelled else { return }
            // A stop that cut the connection is no failure; a log that was closed is.
            if error.code != .closed || error.cause is EventLogError { throw error }
        }

        /// Ends the export: first what the log has now is exported, if that takes no longer than `limit`. Then what
        /// is under way is cut off, a quarter of a second after the call at the earliest; a server that does not answer
        /// holds nothing up. What is not exported then goes out after the next start.
        public func stop(drainingFor limit: Duration = .zero) async {
            guard self.state.withLock({ $0.isRunning }) else { return }
            self.requestStop(drainingFor: limit)
            await self.waitUntilOver()
        }

        /// Stops exporting, and lets go of the connection, until ``resume()``.
        public func pause() {
            self.state.withLock { $0.machine.pause() }
            self.wake.signal()
        }

        /// Goes on after a pause, or after a halt that was looked into; also cuts a delay short.
        public func resume() {
            self.state.withLock { $0.machine.resume() }
            self.wake.signal()
        }

        private func begin(isContinuous: Bool) -> Bool {
            let mustStart = self.state.withLock { state in
                if state.isRunning { return false }
                state.run += 1
                state.isRunning = true
                state.isOver = false
                let wasPaused = state.machine.isPaused
                state.machine = Self.machine(self.configuration, isContinuous: isContinuous)
                state.pace = ExportPace(isContinuous ? self.configuration.pace : .full)
                if wasPaused { state.machine.pause() }
                return true
            }
            guard mustStart else { return false }
            if isContinuous {
                // Woken by the log's own notice of appends, whoever made them; the loop itself never polls. While
                // events gather anyway, an app that appends all the time is not to be asked more often.
                let pause = max(.milliseconds(5), min(self.configuration.gathering, .milliseconds(50)))
                let watcher = Task { [log, wake] in
                    var seen = Position.zero
                    while await log.waitForEvents(beyond: seen) {
                        seen = (try? await log.statistics().nextPosition) ?? seen
                        wake.signal()
                        try? await Task.sleep(for: pause)
                    }
                    wake.signal()
                }
                self.state.withLock { $0.watcher = watcher }
            }
            // Retention waits from before the first look at the database.
            let reporter = Task { [self] in
                await self.reporter.enroll()
                let remembered = await self.reporter.remembered()
                self.state.withLock { $0.remembered = remembered }
                PlainThread.start("tidelog-export", isBackground: true) { [self] in self.loop() }
                while !self.state.withLock({ $0.isOver }), !Task.isCancelled {
                    await self.reporter.report(await self.currentReport())
                    try? await Task.sleep(for: .seconds(1))
                }
                // A task of its own: what a cancelled one asks of the log is refused.
                await Task { await self.reporter.report(await self.currentReport()) }.value
            }
            self.state.withLock { $0.reporter = reporter }
            return true
        }

        private func requestStop(drainingFor limit: Duration) {
            let target = (try? self.log.nextPositionBlocking().rawValue) ?? 0
            let deadline = self.now + limit
            let run = self.state.withLock { state in
                state.machine.stop(target: target, deadline: deadline)
                return state.run
            }
            self.wake.signal()
            // A call that blocks past the limit is cut.
            Task {
                try? await Task.sleep(for: max(limit, .milliseconds(250)))
                let session = self.state.withLock { $0.isOver || $0.run != run ? nil : $0.session }
                session?.off()
            }
        }

        private func waitUntilOver() async {
            await withCheckedContinuation { reply in
                let isOver = self.state.withLock { state in
                    if !state.isOver { state.waiters.append(reply) }
                    return state.isOver
                }
                if isOver { reply.resume() }
            }
            // Its last report tells where the export ended.
            let reporter = self.state.withLock { $0.reporter }
            await reporter?.value
        }

        var now: Duration { ContinuousClock.now - self.started }

        // MARK: The loop

        private func loop() {
            let switchOff = ConnectionSwitch()
            self.state.withLock { $0.session = switchOff }
            var session: ExportSession?
            var source: (batches: BatchSource, layout: PostgresLayout)?
            var end: UInt64 = 0
            while true {
                do throws(EventLogError) {
                    end = try self.log.nextPositionBlocking().rawValue
                } catch {
                    // The machine knows what follows: a log that is closed ends it, as for the rest it waits.
                    session = nil
                    self.note(PostgresError(error))
                }
                let step: ExportMachine.Step
                do throws(PostgresError) {
                    let began = self.now
                    let bytes: Int
                    (step, bytes) = self.state.withLock { state in
                        state.pace.note(end: end, now: began)
                        return (
                            state.machine.step(now: began, end: end),
                            state.pace.batchBytes(self.configuration.batchBytes)
                        )
                    }
                    switch step {
                    case .connect:
                        session = nil
                        let new = try ExportSession(
                            log: self.log, settings: self.settings, configuration: self.configuration,
                            switchOff: switchOff)
                        try self.compare(new)
                        session = new
                        // The table may have been made anew, in another layout, which needs other things of a
                        // batch.
                        if source?.layout == new.layout { break }
                        source?.batches.end()
                        source = (
                            BatchSource(
                                log: self.log, logID: new.facts.id.uuid ?? (0, 0),
                                configuration: self.configuration, countsMonths: new.layout == .byMonth),
                            new.layout
                        )
                    case .export(let from):
                        guard let session, let source else { break }
                        let batch = try source.batches.batch(from: from, bytes: bytes)
                        if batch.next > from { try session.export(batch) }
                        self.count(batch, since: began, end: end)
                    case .rest(let limit):
                        session = nil
                        self.sleep(limit)
                    case .wait(let limit): self.sleep(limit)
                    case .probe:
                        try session?.connection.execute("SELECT 1")
                        self.state.withLock { [now] in $0.machine.probed(now: now) }
                    case .end: break
                    }
                } catch {
                    session = nil
                    self.note(error)
                    continue
                }
                if step == .end { break }
            }
            session = nil
            source?.batches.end()
            self.finish()
        }

        private func compare(_ session: ExportSession) throws(PostgresError) {
            let (known, remembered) = self.state.withLock { ($0.known, $0.remembered) }
            let next = try session.begin(known: known, remembered: remembered)
            let now = self.now
            self.state.withLock { state in
                state.known = next
                state.machine.connected(next: next, now: now)
                if next >= session.facts.end { state.machine.settled() }
            }
        }

        private func count(_ batch: ExportBatch, since began: Duration, end: UInt64) {
            let now = self.now
            self.state.withLock { state in
                state.known = batch.next
                state.machine.exported(next: batch.next, now: now)
                state.counted.add(batch, now: now)
                let rest = state.pace.rest(after: now - began, next: batch.next, end: end, now: now)
                state.machine.rest(until: now + rest)
            }
        }

        private func note(_ error: PostgresError) {
            let now = self.now
            let random = Double.random(in: 0...1)
            let (failures, isNew) = self.state.withLock { state in
                let isNew = state.machine.lastError?.code != error.code
                state.machine.failed(error, now: now, random: random)
                state.failed += 1
                state.failedAt = .now()
                return (state.machine.failures, isNew)
            }
            if error.mustHalt {
                self.configuration.logger.error(
                    "the export to PostgreSQL is halted", metadata: ["tidelog.error": "\(error)"])
            } else {
                // What a person must mend is said once, although it is tried again.
                self.configuration.logger.log(
                    level: isNew && !error.isTransient && error.code != .closed ? .warning : .debug,
                    "the export to PostgreSQL failed",
                    metadata: ["tidelog.error": "\(error)", "tidelog.failures": "\(failures)"])
            }
        }

        private func sleep(_ limit: Duration?) {
            guard let limit else { return self.wake.wait() }
            let (seconds, attoseconds) = limit.components
            let nanoseconds = min(seconds, 1_000_000) * 1_000_000_000 + attoseconds / 1_000_000_000
            _ = self.wake.wait(timeout: .now() + .nanoseconds(Int(max(nanoseconds, 0))))
        }

        private func finish() {
            let (waiters, watcher) = self.state.withLock { state in
                state.isRunning = false
                state.isOver = true
                state.session = nil
                defer { (state.waiters, state.watcher) = ([], nil) }
                return (state.waiters, state.watcher)
            }
            watcher?.cancel()
            self.state.withLock { $0.reporter }?.cancel()
            for waiter in waiters { waiter.resume() }
        }
    }
#endif
