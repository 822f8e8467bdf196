/// Wakes tails when the log has grown, also by another process's hand.
///
/// This process's own commits wake at once. Other processes' are found by comparing transaction ids every
/// `interval`, by a thread that runs only while somebody waits.
package final class ChangeNotifier: Sendable {
    private struct Waiter {
        var end: UInt64
        var reply: UnsafeContinuation<Bool, Never>
    }

    private struct State {
        var end: UInt64 = 0
        var nextID: UInt64 = 0
        var waiters: [UInt64: Waiter] = [:]
        var cancelled: Set<UInt64> = []
        var thread: WorkerThread?
        var beat: (@Sendable () -> Void)?
        var isClosed = false
    }

    private let interval: Duration
    private let state = Lock(State())
    private let signal = WakeSignal()

    init(interval: Duration) {
        self.interval = interval
    }

    func start(_ engine: LogEngine) throws(StorageError) {
        let thread = try WorkerThread(name: "tidelog-tail") { [self] in
            while let mustLook = self.sleep() {
                guard mustLook else { continue }
                try? engine.refresh()
                self.state.withLock { $0.beat }?()
            }
        }
        self.state.withLock { $0.thread = thread }
    }

    /// Has `body` called on the notifier's thread at least once in an interval while somebody waits, so that
    /// whoever else must look at what other processes did needs no timer of his own; nil: no more.
    package func onBeat(_ body: (@Sendable () -> Void)?) {
        self.state.withLock { $0.beat = body }
    }

    /// Ends the thread; everybody who waits is told that the log has closed.
    func stop() {
        let (thread, waiters) = self.state.withLock { state in
            state.isClosed = true
            defer { (state.thread, state.beat, state.waiters) = (nil, nil, [:]) }
            return (state.thread, state.waiters.values.map(\.reply))
        }
        self.signal.wake()
        for waiter in waiters { waiter.resume(returning: false) }
        thread?.join()
    }

    /// Suspends until the log ends beyond `end`. Answers false when the log closed or the task was cancelled.
    package func wait(beyond end: UInt64) async -> Bool {
        let id = self.state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        return await withTaskCancellationHandler {
            await withUnsafeContinuation { (reply: UnsafeContinuation<Bool, Never>) in
                let answer = self.state.withLock { state -> Bool? in
                    if state.isClosed || state.cancelled.remove(id) != nil { return false }
                    if state.end > end { return true }
                    state.waiters[id] = Waiter(end: end, reply: reply)
                    return nil
                }
                if let answer { reply.resume(returning: answer) } else { self.signal.wake() }
            }
        } onCancel: {
            let waiter = self.state.withLock { state in
                let waiter = state.waiters.removeValue(forKey: id)
                if waiter == nil { state.cancelled.insert(id) }
                return waiter
            }
            waiter?.reply.resume(returning: false)
        }
    }

    /// Says that the log now ends at `end`.
    func changed(end: UInt64) {
        let ready = self.state.withLock { state -> [UnsafeContinuation<Bool, Never>] in
            state.end = max(state.end, end)
            if state.waiters.isEmpty { return [] }
            var ready: [UnsafeContinuation<Bool, Never>] = []
            for (id, waiter) in state.waiters where state.end > waiter.end {
                ready.append(waiter.reply)
                state.waiters[id] = nil
            }
            return ready
        }
        for reply in ready { reply.resume(returning: true) }
    }

    /// Sleeps; answers whether somebody waits, or nil when it is over.
    private func sleep() -> Bool? {
        let (isClosed, isAwaited) = self.state.withLock { ($0.isClosed, !$0.waiters.isEmpty) }
        if isClosed { return nil }
        self.signal.wait(timeout: isAwaited ? self.interval : nil)
        return self.state.withLock { $0.isClosed ? nil : !$0.waiters.isEmpty }
    }
}
