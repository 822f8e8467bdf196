// How a plain thread sleeps until another one has work for it.
//
// Invariants: `state` is `idle`, `signalled` or `sleeping`. Only `wake` sets `signalled`; only the sleeper
// takes it away. A wake before the sleep is not lost: the next `wait` returns at once. Several wakes before
// a `wait` count as one. `wake` takes the mutex only when somebody sleeps, so a busy thread costs its
// wakers one atomic exchange.
import Glibc
import Synchronization

/// Lets one thread sleep until another wakes it.
package final class WakeSignal: Sendable {
    private static let idle: UInt32 = 0
    private static let signalled: UInt32 = 1
    private static let sleeping: UInt32 = 2

    private let state = Atomic<UInt32>(WakeSignal.idle)
    private struct Objects {
        let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
        let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    }
    // SAFETY: allocated in `init`, freed in `deinit`; POSIX makes both objects safe between threads.
    nonisolated(unsafe) private let objects = Objects()

    package init() {
        var attributes = pthread_condattr_t()
        var status = pthread_condattr_init(&attributes)
        status |= pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        status |= pthread_mutex_init(self.objects.mutex, nil)
        status |= pthread_cond_init(self.objects.condition, &attributes)
        pthread_condattr_destroy(&attributes)
        precondition(status == 0, "the system has no mutex or condition variable left")
    }

    deinit {
        pthread_cond_destroy(self.objects.condition)
        pthread_mutex_destroy(self.objects.mutex)
        self.objects.condition.deallocate()
        self.objects.mutex.deallocate()
    }

    /// Wakes the thread in ``wait(timeout:)``, or makes its next call return at once.
    package func wake() {
        let previous = self.state.exchange(Self.signalled, ordering: .acquiringAndReleasing)
        guard previous == Self.sleeping else { return }
        pthread_mutex_lock(self.objects.mutex)
        pthread_cond_signal(self.objects.condition)
        pthread_mutex_unlock(self.objects.mutex)
    }

    /// Sleeps until ``wake()`` is called or `timeout` has passed; one thread at a time may wait.
    ///
    /// - Parameter timeout: how long to sleep at most; nil: until woken.
    /// - Returns: whether it was woken; `false` says that the time had passed.
    @discardableResult
    package func wait(timeout: Duration? = nil) -> Bool {
        if self.takeSignal() { return true }
        var deadline = timespec()
        if let timeout {
            guard timeout > .zero else { return false }
            deadline = Self.now(after: timeout)
        }
        pthread_mutex_lock(self.objects.mutex)
        defer { pthread_mutex_unlock(self.objects.mutex) }
        let (slept, found) = self.state.compareExchange(
            expected: Self.idle, desired: Self.sleeping, ordering: .acquiringAndReleasing)
        precondition(slept || found == Self.signalled, "two threads wait on one signal")
        while !self.takeSignal() {
            if timeout == nil {
                pthread_cond_wait(self.objects.condition, self.objects.mutex)
            } else if pthread_cond_timedwait(self.objects.condition, self.objects.mutex, &deadline)
                == ETIMEDOUT
            {
                let previous = self.state.exchange(Self.idle, ordering: .acquiringAndReleasing)
                return previous == Self.signalled
            }
        }
        return true
    }

    /// Takes a waiting signal away; whether there was one.
    private func takeSignal() -> Bool {
        self.state.compareExchange(
            expected: Self.signalled, desired: Self.idle, ordering: .acquiringAndReleasing
        ).exchanged
    }

    private static func now(after timeout: Duration) -> timespec {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        let (seconds, attoseconds) = timeout.components
        var nanoseconds = Int64(time.tv_nsec) + attoseconds / 1_000_000_000
        let carried = Int64(time.tv_sec).addingReportingOverflow(seconds + nanoseconds / 1_000_000_000)
        nanoseconds %= 1_000_000_000
        return timespec(
            tv_sec: carried.overflow ? Int.max : Int(carried.partialValue), tv_nsec: Int(nanoseconds))
    }
}
