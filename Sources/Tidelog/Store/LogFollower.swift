import TidelogStorage

/// A projection or process manager that follows the log, until it is stopped, it fails, or the log closes.
///
/// It stops when it is let go: keep it as long as it is to run.
public final class LogFollower: Sendable {
    private struct State {
        var next: UInt64 = 0
        var isOver = false
        var waiters: [(position: UInt64, reply: UnsafeContinuation<Void, Never>)] = []
        var task: Task<Result<Void, EventLogError>, Never>?
    }

    /// The name of what follows.
    public let name: String
    private let state = Lock(State())

    init(name: String) {
        self.name = name
    }

    deinit {
        self.state.withLock { $0.task }?.cancel()
    }

    func begin(_ body: @escaping @Sendable () async -> Result<Void, EventLogError>) {
        let task = Task { [weak self] in
            let result = await body()
            self?.finish()
            return result
        }
        self.state.withLock { $0.task = task }
    }

    /// Stops it after the batch that it is at. What was committed stays, and it can be started again.
    public func stop() async {
        let task = self.state.withLock { $0.task }
        task?.cancel()
        _ = await task?.value
    }

    /// Waits until it ends.
    ///
    /// - Throws: ``EventLogError`` with code `projectionFailed`, with the event's place, if its function
    ///   threw; what reading and writing the log throw.
    public func waitUntilStopped() async throws(EventLogError) {
        guard let task = self.state.withLock({ $0.task }) else { return }
        try await task.value.get()
    }

    /// Waits until the event at `position` has been taken in, to read what one has written; returns at once
    /// if it has ended.
    public func waitUntil(_ position: Position) async {
        await withUnsafeContinuation { (reply: UnsafeContinuation<Void, Never>) in
            let isDone = self.state.withLock { state in
                if state.next > position.rawValue || state.isOver { return true }
                state.waiters.append((position.rawValue, reply))
                return false
            }
            if isDone { reply.resume() }
        }
    }

    func reached(_ next: UInt64) {
        let ready = self.state.withLock { state in
            state.next = next
            let ready = state.waiters.filter { $0.position < next }
            if !ready.isEmpty { state.waiters.removeAll { $0.position < next } }
            return ready
        }
        for waiter in ready { waiter.reply.resume() }
    }

    private func finish() {
        let waiters = self.state.withLock { state in
            state.isOver = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.reply.resume() }
    }
}
