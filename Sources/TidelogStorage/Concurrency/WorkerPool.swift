/// A few plain threads for calls that block, so that none blocks the pool that runs Swift's tasks.
///
/// Jobs run in the order in which they were submitted, as threads become free. Threads start with the first
/// job and end with ``shutdown()``.
package final class WorkerPool: Sendable {
    private struct State {
        var jobs: [@Sendable () -> Void] = []
        var next = 0
        var idle: [WakeSignal] = []
        var threads: [WorkerThread] = []
        var isClosed = false
    }

    private let name: String
    private let size: Int
    private let state = Lock(State())

    package init(name: String, size: Int) {
        self.name = name
        self.size = max(1, size)
    }

    /// Runs `body` on a thread of the pool and answers what it answers.
    package func run<Value: Sendable>(
        _ body: @escaping @Sendable () throws(StorageError) -> Value
    ) async throws(StorageError) -> Value {
        let result = await withUnsafeContinuation {
            (reply: UnsafeContinuation<Result<Value, StorageError>, Never>) in
            let accepted = self.submit {
                let result: Result<Value, StorageError>
                do throws(StorageError) {
                    result = .success(try body())
                } catch {
                    result = .failure(error)
                }
                ResumeFence.cross()
                reply.resume(returning: result)
            }
            if !accepted {
                reply.resume(returning: .failure(StorageError(.closed, "the log is closed")))
            }
        }
        ResumeFence.cross()
        return try result.get()
    }

    /// Queues a job; answers false once the pool has been shut down.
    package func submit(_ job: @escaping @Sendable () -> Void) -> Bool {
        let (accepted, sleeper) = self.state.withLock { state -> (Bool, WakeSignal?) in
            guard !state.isClosed else { return (false, nil) }
            if state.idle.isEmpty, state.threads.count < self.size {
                let signal = WakeSignal()
                if let thread = try? WorkerThread(name: self.name, { self.work(signal) }) {
                    state.threads.append(thread)
                }
            }
            guard !state.threads.isEmpty else { return (false, nil) }
            state.jobs.append(job)
            return (true, state.idle.popLast())
        }
        sleeper?.wake()
        return accepted
    }

    /// Runs what was submitted to its end, then ends the threads.
    package func shutdown() {
        let (sleepers, threads) = self.state.withLock { state in
            state.isClosed = true
            defer {
                state.idle = []
                state.threads = []
            }
            return (state.idle, state.threads)
        }
        for sleeper in sleepers { sleeper.wake() }
        for thread in threads { thread.join() }
    }

    private func work(_ signal: WakeSignal) {
        while true {
            let (job, isOver) = self.state.withLock { state -> ((@Sendable () -> Void)?, Bool) in
                if state.next < state.jobs.count {
                    let job = state.jobs[state.next]
                    state.next += 1
                    if state.next == state.jobs.count {
                        state.jobs.removeAll(keepingCapacity: true)
                        state.next = 0
                    }
                    return (job, false)
                }
                if !state.isClosed { state.idle.append(signal) }
                return (nil, state.isClosed)
            }
            if let job {
                job()
            } else if isOver {
                return
            } else {
                signal.wait()
            }
        }
    }
}
