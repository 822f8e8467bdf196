#if Postgres
    import Dispatch
    import Logging
    import Synchronization
    import Tidelog

    /// Knows how far the log goes, for the subscriptions of a store: one thread with one connection, which
    /// listens for notifications and looks for itself when none comes.
    ///
    /// Positions become visible in their order (see ``StoreFunction``), so whoever has read everything before
    /// the end that is known here has missed nothing.
    final class StoreTail: Sendable {
        private struct State {
            var end: UInt64 = 0
            var waiters: [UInt64: (position: UInt64, reply: CheckedContinuation<Waking, Never>)] = [:]
            var nextWaiter: UInt64 = 0
            var isRunning = false
            var isOver = false
            var session: ConnectionSwitch?
        }

        /// Why a wait ended.
        enum Waking: Sendable {
            /// There is something; or the task was cancelled.
            case look
            case closed
            case failed(PostgresError)
        }

        private let context: StoreContext
        private let state = Mutex(State())
        /// How long the thread stays when nobody waits.
        private static let lingering: Duration = .seconds(10)
        /// How long it waits after what does not pass by itself, such as a password that is refused.
        private static let refusalDelay: Duration = .seconds(1)

        init(_ context: StoreContext) { self.context = context }

        /// The log is known to go to before `end`.
        func publish(_ end: UInt64) {
            let ready = self.state.withLock { state in
                if end <= state.end { return [(UInt64, CheckedContinuation<Waking, Never>)]() }
                state.end = end
                return Self.take(&state) { $0 < end }
            }
            for (_, reply) in ready { reply.resume(returning: .look) }
        }

        private static func take(
            _ state: inout State, where isReady: (UInt64) -> Bool
        ) -> [(UInt64, CheckedContinuation<Waking, Never>)] {
            var ready: [(UInt64, CheckedContinuation<Waking, Never>)] = []
            for (id, waiter) in state.waiters where isReady(waiter.position) {
                ready.append((id, waiter.reply))
            }
            for (id, _) in ready { state.waiters[id] = nil }
            return ready
        }

        /// Waits until there is something at or after `position`, the task is cancelled, or the store closes.
        func wait(from position: UInt64) async -> Waking {
            let id = self.state.withLock { state in
                state.nextWaiter += 1
                return state.nextWaiter
            }
            return await withTaskCancellationHandler {
                await withCheckedContinuation { (reply: CheckedContinuation<Waking, Never>) in
                    let (waking, mustStart) = self.state.withLock { state -> (Waking?, Bool) in
                        if state.isOver { return (.closed, false) }
                        if state.end > position || Task.isCancelled { return (.look, false) }
                        state.waiters[id] = (position, reply)
                        defer { state.isRunning = true }
                        return (nil, !state.isRunning)
                    }
                    if let waking { reply.resume(returning: waking) }
                    if mustStart { PlainThread.start("tidelog-pglisten") { [self] in self.loop() } }
                }
            } onCancel: {
                self.state.withLock { $0.waiters.removeValue(forKey: id) }?.reply.resume(returning: .look)
            }
        }

        /// Ends all waiting, and the thread.
        func close() {
            let (ready, session) = self.state.withLock { state in
                state.isOver = true
                return (Self.take(&state) { _ in true }, state.session)
            }
            session?.off()
            for (_, reply) in ready { reply.resume(returning: .closed) }
        }

        /// Tells the subscriptions of other processes. If it is lost they find out by themselves, a little later.
        static func notify(_ connection: StoreConnection, _ context: StoreContext) {
            do throws(PostgresError) {
                try connection.run { connection throws(PostgresError) in
                    try connection.pipeline([
                        .init(
                            // What a crash of the server would undo here nobody misses, so no flush is waited for.
                            text: "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)",
                            parameters: [
                                .text(context.names.channel), .text(context.logID.description),
                            ])
                    ])
                }
            } catch {
                context.configuration.logger.debug(
                    "a notification was not sent", metadata: ["tidelog.error": "\(error)"])
            }
        }

        // MARK: The thread

        private func loop() {
            let switchOff = ConnectionSwitch()
            self.state.withLock { $0.session = switchOff }
            let connection = StoreConnection(
                self.context, setting: "LISTEN \(self.context.names.channel)",
                limit: self.context.configuration.answerTimeout, switchOff: switchOff)
            var retry = StoreRetry(patience: nil, isEndless: true)
            var lastWaiter = ContinuousClock.now
            while true {
                let mustEnd = self.state.withLock { state in
                    if !state.waiters.isEmpty { lastWaiter = ContinuousClock.now }
                    let isIdle = ContinuousClock.now - lastWaiter > Self.lingering
                    if state.isOver || isIdle { state.isRunning = false }
                    return state.isOver || isIdle
                }
                if mustEnd { return }
                do throws(PostgresError) {
                    // First the end, then waiting: what was notified before the connection was made counts too.
                    try connection.run { connection throws(PostgresError) in
                        self.publish(try StoreEnd.read(connection, self.context))
                        _ = try connection.waitForNotification(self.context.configuration.pollInterval)
                    }
                    retry = StoreRetry(patience: nil, isEndless: true)
                } catch {
                    self.note(error)
                    PlainThread.sleep(retry.delay(after: error) ?? Self.refusalDelay)
                }
            }
        }

        private func note(_ error: PostgresError) {
            if self.state.withLock({ $0.isOver }) { return }
            self.context.configuration.logger.debug(
                "listening to PostgreSQL failed", metadata: ["tidelog.error": "\(error)"])
            // A server without room, as for connections, is waited for as one that is away.
            if [.unreachable, .storageFull].contains(error.code) { return }
            // What does not pass by itself is the subscriptions' to know.
            let waiters = self.state.withLock { state in Self.take(&state) { _ in true } }
            for (_, reply) in waiters { reply.resume(returning: .failed(error)) }
        }
    }

    /// The position that a log's next event gets.
    enum StoreEnd {
        static func statement(_ context: StoreContext) -> PostgresStatement {
            .init(
                text: "SELECT next_position FROM \(context.names.quoted("_logs")) WHERE log_id = $1",
                parameters: [context.key])
        }

        static func read(
            _ connection: PostgresConnection, _ context: StoreContext
        ) throws(PostgresError) -> UInt64 {
            var end: UInt64?
            try connection.pipeline([self.statement(context)]) { _, row throws(PostgresError) in
                end = UInt64(clamping: try row.requiredInteger(0))
            }
            guard let end else {
                throw PostgresError(
                    .missingSchema, "the log was removed from the database; open the store again")
            }
            return end
        }
    }
#endif
