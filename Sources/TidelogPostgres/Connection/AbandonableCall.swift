#if Postgres
    import Dispatch
    import Synchronization

    /// Calls into libpq that come back when a name server, a disk or a server lets them, whatever limit was set:
    /// each has a thread of its own, which its caller leaves behind when he has waited enough.
    ///
    /// Invariants:
    /// - What a call made whose caller is gone is given back on its thread.
    /// - Of each kind only so many are left behind at a time; then further ones are refused at once.
    enum AbandonableCall {
        /// How a call ended.
        enum Outcome<Value: Sendable> {
            case done(Value)
            /// It has not come back in time.
            case late
            /// Its caller was told to stop.
            case stopped
            /// Too many of its kind have not come back, so it was not made.
            case refused
        }

        private enum State<Value: Sendable>: Sendable {
            case running, left
            case done(Value)
        }

        private final class Box<Value: Sendable>: Sendable {
            let state = Mutex(State<Value>.running)
            let finished = DispatchSemaphore(value: 0)

            /// Whether somebody waits for it.
            var isWanted: Bool {
                self.state.withLock { if case .left = $0 { false } else { true } }
            }
        }

        /// How many of one kind may be left behind.
        static let abandonedLimit = 8
        /// How many were left behind and have not come back.
        private static let abandoned = Mutex<[String: Int]>([:])
        /// How soon a stop is seen.
        private static let slice: Duration = .milliseconds(20)

        /// Makes a call; blocks, but no longer than `limit`.
        ///
        /// - Parameters:
        ///   - kind: what it counts as.
        ///   - mustStop: whether to wait no longer.
        ///   - body: the call; is handed what tells whether anybody still waits for it.
        ///   - discard: gives back what `body` made when nobody waits for it any more.
        static func run<Value: Sendable>(
            _ name: String, kind: String, limit: Duration, until mustStop: () -> Bool = { false },
            _ body: @escaping @Sendable (_ isWanted: () -> Bool) -> Value,
            discard: @escaping @Sendable (Value) -> Void = { _ in }
        ) -> Outcome<Value> {
            if mustStop() { return .stopped }
            if self.abandoned.withLock({ $0[kind] ?? 0 >= Self.abandonedLimit }) { return .refused }
            let box = Box<Value>()
            PlainThread.start(name) {
                let value = body { box.isWanted }
                let isLeft = box.state.withLock { state in
                    if case .left = state { return true }
                    state = .done(value)
                    return false
                }
                guard isLeft else {
                    box.finished.signal()
                    return
                }
                discard(value)
                self.abandoned.withLock { counts in
                    let left = (counts[kind] ?? 1) - 1
                    counts[kind] = left > 0 ? left : nil
                }
            }
            let end = ContinuousClock.now + limit
            while true {
                let left = end - ContinuousClock.now
                let isOver = left <= .zero
                let wait = max(.zero, min(left, Self.slice))
                let nanoseconds = Int(wait.components.attoseconds / 1_000_000_000)
                if box.finished.wait(timeout: .now() + .nanoseconds(nanoseconds)) == .success {
                    return box.state.withLock { state in
                        if case .done(let value) = state { .done(value) } else { .late }
                    }
                }
                let mustEnd = mustStop()
                guard isOver || mustEnd else { continue }
                return box.state.withLock { state in
                    if case .done(let value) = state { return .done(value) }
                    state = .left
                    self.abandoned.withLock { $0[kind, default: 0] += 1 }
                    return mustEnd ? .stopped : .late
                }
            }
        }
    }
#endif
