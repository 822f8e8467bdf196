#if Postgres
    import CTidelogPostgres
    import Dispatch
    import Glibc
    import Synchronization

    /// Cuts a connection from another thread, so that a call that blocks in it returns with an error.
    ///
    /// The server then rolls back what was not committed.
    ///
    /// Invariant: what is cut is the connection's socket and nothing else. libpq closes its descriptor when it
    /// likes, as when the server is gone, and the next moment the number may be that of any file of the process.
    /// So a switch has a descriptor of its own for the same socket, which nobody but it closes.
    final class ConnectionSwitch: Sendable {
        private struct State {
            /// Its own descriptor.
            var socket: Int32?
            /// Tells one connection from the next.
            var attachment = 0
            var isOff = false

            mutating func letGo() {
                if let socket { close(socket) }
                self.socket = nil
            }
        }

        private let state = Mutex(State())

        deinit { self.state.withLock { $0.letGo() } }

        /// Whether it was switched off; it stays so.
        var isOff: Bool { self.state.withLock { $0.isOff } }

        /// Cuts the connection, and every later one.
        func off() {
            self.state.withLock { state in
                state.isOff = true
                if let socket = state.socket { _ = shutdown(socket, Int32(SHUT_RDWR)) }
            }
        }

        /// Takes a connection's socket, which is open, instead of that of the one before.
        ///
        /// - Returns: what to detach it by; nil if the process has no descriptors left.
        func attach(_ socket: Int32) -> Int? {
            self.state.withLock { state in
                state.letGo()
                let own = fcntl(socket, F_DUPFD_CLOEXEC, 0)
                if own < 0 { return nil }
                state.socket = own
                state.attachment += 1
                if state.isOff { _ = shutdown(own, Int32(SHUT_RDWR)) }
                return state.attachment
            }
        }

        /// Lets go of a connection's socket, unless another one came since.
        func detach(_ attachment: Int) {
            self.state.withLock { state in
                if state.attachment == attachment { state.letGo() }
            }
        }
    }

    /// A plain thread for calls that block, with a name.
    enum PlainThread {
        private final class Start {
            let name: String
            let body: @Sendable () -> Void
            init(_ name: String, _ body: @escaping @Sendable () -> Void) {
                (self.name, self.body) = (name, body)
            }
        }

        /// The most bytes of a thread's name that the system takes (pthread_setname_np).
        private static let longestName = 15

        /// As much of a name as the system takes.
        private static func shortened(_ name: String) -> String {
            var short = name[...]
            while short.utf8.count > Self.longestName { short.removeLast() }
            return String(short)
        }

        /// Runs `body` on a thread of its own; where the system has none left, on one of Dispatch's.
        ///
        /// - Parameters:
        ///   - name: what debuggers, `ps -L` and `top -H` show: its first 15 bytes.
        ///   - isBackground: whether the app's own threads go before it where processors are short.
        static func start(
            _ name: String, isBackground: Bool = false, _ body: @escaping @Sendable () -> Void
        ) {
            let body: @Sendable () -> Void = {
                // On Linux that is the calling thread's own priority.
                if isBackground { _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10) }
                body()
            }
            var attributes = pthread_attr_t()
            pthread_attr_init(&attributes)
            defer { pthread_attr_destroy(&attributes) }
            pthread_attr_setstacksize(&attributes, 2 << 20)
            pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
            // Signals are the app's business and go to its threads.
            var blocked = sigset_t()
            var previous = sigset_t()
            sigfillset(&blocked)
            for signal in [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS, SIGPROF] {
                sigdelset(&blocked, signal)
            }
            let start = Unmanaged.passRetained(Start(Self.shortened(name), body))
            pthread_sigmask(SIG_SETMASK, &blocked, &previous)
            var thread = pthread_t()
            let status = pthread_create(
                &thread, &attributes,
                { argument in
                    guard let argument else { return nil }
                    let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                    tidelog_pq_name_thread(start.name)
                    start.body()
                    return nil
                }, start.toOpaque())
            pthread_sigmask(SIG_SETMASK, &previous, nil)
            if status != 0 {
                start.release()
                DispatchQueue.global().async(execute: body)
            }
        }

        /// Lets the calling thread, which must be one that may block, rest for so long.
        static func sleep(_ duration: Duration) {
            let (seconds, attoseconds) = duration.components
            var time = timespec(
                tv_sec: Int(max(0, seconds)), tv_nsec: Int(max(0, attoseconds) / 1_000_000_000))
            var left = timespec()
            while nanosleep(&time, &left) != 0 { time = left }
        }

        /// Runs `body`, which blocks, on a thread of its own; the caller suspends.
        static func run<Value: Sendable>(
            _ name: String, _ body: @escaping @Sendable () throws(PostgresError) -> Value
        ) async throws(PostgresError) -> Value {
            let result = await withCheckedContinuation {
                (reply: CheckedContinuation<Result<Value, PostgresError>, Never>) in
                Self.start(name) {
                    do throws(PostgresError) {
                        reply.resume(returning: .success(try body()))
                    } catch {
                        reply.resume(returning: .failure(error))
                    }
                }
            }
            return try result.get()
        }
    }
#endif
