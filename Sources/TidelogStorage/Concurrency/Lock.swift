// A value behind a lock. It is `Synchronization.Mutex`, except in a build with `-DTIDELOG_SANITIZE_THREAD`:
// the Thread Sanitizer does not see through `Mutex` and reports races where there are none, so there a
// pthread mutex takes its place.
#if TIDELOG_SANITIZE_THREAD
    import Glibc

    /// Orders what a thread did before it resumed a task before what the task does then: the Thread Sanitizer does not
    /// see that the runtime does (swiftlang/swift 57803).
    package enum ResumeFence {
        private static let lock = Lock(())

        /// To be called before a task is resumed, and by the task once it goes on.
        package static func cross() { self.lock.withLock { _ in } }
    }

    // SAFETY: both pointers are owned by the lock, and `value` is touched only while `mutex` is held.
    /// A value that one thread at a time can reach, inside ``withLock(_:)``.
    package struct Lock<Value: ~Copyable>: ~Copyable, @unchecked Sendable {
        private let mutex: UnsafeMutablePointer<pthread_mutex_t>
        private let value: UnsafeMutablePointer<Value>

        /// Puts `initialValue` behind a new lock.
        package init(_ initialValue: consuming sending Value) {
            self.mutex = .allocate(capacity: 1)
            self.value = .allocate(capacity: 1)
            self.value.initialize(to: initialValue)
            let status = pthread_mutex_init(self.mutex, nil)
            precondition(status == 0, "pthread_mutex_init failed with \(status)")
        }

        deinit {
            pthread_mutex_destroy(self.mutex)
            self.mutex.deallocate()
            self.value.deinitialize(count: 1)
            self.value.deallocate()
        }

        /// Runs `body` with the value while no other thread can reach it; a thread must not nest this.
        package borrowing func withLock<Result: ~Copyable, Failure: Error>(
            _ body: (inout sending Value) throws(Failure) -> sending Result
        ) throws(Failure) -> sending Result {
            pthread_mutex_lock(self.mutex)
            defer { pthread_mutex_unlock(self.mutex) }
            return try body(&self.value.pointee)
        }

        /// As ``withLock(_:)``, or answers nil at once if another thread has the value.
        package borrowing func withLockIfAvailable<Result: ~Copyable, Failure: Error>(
            _ body: (inout sending Value) throws(Failure) -> sending Result
        ) throws(Failure) -> sending Result? {
            guard pthread_mutex_trylock(self.mutex) == 0 else { return nil }
            defer { pthread_mutex_unlock(self.mutex) }
            return try body(&self.value.pointee)
        }
    }
#else
    package import Synchronization

    // No type of our own around it: calls of another module's generic methods are not specialised, and each would
    // look its types up at run time.
    /// A value that one thread at a time can reach, inside `withLock(_:)` and
    /// `withLockIfAvailable(_:)`.
    package typealias Lock = Mutex

    package enum ResumeFence {
        @inline(__always)
        package static func cross() {}
    }
#endif
