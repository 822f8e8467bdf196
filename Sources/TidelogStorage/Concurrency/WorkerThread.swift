import Glibc

/// A plain thread that runs one closure to its end: for work that blocks, which has no place in the pool
/// that runs Swift's tasks.
///
/// The thread blocks all signals but those that a fault raises: an app's handlers run elsewhere, and a write
/// over the file-size limit fails with EFBIG instead of ending the process by SIGXFSZ.
package final class WorkerThread: Sendable {
    private struct State {
        var thread: pthread_t
        var isJoinable = true
    }

    private final class Start: Sendable {
        let name: String
        let body: @Sendable () -> Void
        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    private let state: Lock<State>

    /// Starts a thread that runs `body`.
    ///
    /// - Parameters:
    ///   - name: shown by debuggers and `top -H`; the first 15 bytes count.
    ///   - stackBytes: the size of its stack; at least 1 MiB is given.
    /// - Throws: ``StorageError`` with code `limitExceeded` when the system has no thread left.
    package init(
        name: String, stackBytes: Int = 1 << 20, _ body: @escaping @Sendable () -> Void
    ) throws(StorageError) {
        let start = Unmanaged.passRetained(Start(name: name, body: body))
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, max(stackBytes, 1 << 20))

        var blocked = sigset_t()
        var previous = sigset_t()
        sigfillset(&blocked)
        for signal in [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS, SIGPROF] {
            sigdelset(&blocked, signal)
        }
        pthread_sigmask(SIG_SETMASK, &blocked, &previous)  // a new thread inherits the mask
        var thread = pthread_t()
        let status = pthread_create(
            &thread, &attributes,
            { argument in
                guard let argument else { return nil }
                let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                SystemCalls.nameThread(start.name)
                start.body()
                return nil
            }, start.toOpaque())
        pthread_sigmask(SIG_SETMASK, &previous, nil)
        guard status == 0 else {
            start.release()
            throw StorageError(
                .limitExceeded, "cannot start the thread \"\(name)\": pthread_create failed", number: status)
        }
        self.state = Lock(State(thread: thread))
    }

    deinit {
        self.state.withLock { state in
            if state.isJoinable { pthread_detach(state.thread) }
        }
    }

    /// Waits until the closure has returned; a second call returns at once.
    ///
    /// To be called from one thread, and not from the thread itself.
    package func join() {
        let thread = self.state.withLock { state -> pthread_t? in
            defer { state.isJoinable = false }
            return state.isJoinable ? state.thread : nil
        }
        guard let thread else { return }
        let status = pthread_join(thread, nil)
        precondition(status == 0, "pthread_join failed with \(status)")
    }
}
