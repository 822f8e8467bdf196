import Synchronization

/// A thread that takes a piece of work off another's hands for a fraction of a millisecond, if it is free.
///
/// Whoever offers work goes on with his own and then calls ``finish()``: if the assistant did not get to the
/// work in the meantime, it is taken back and the caller does it himself. So an assistant that the system
/// does not let run costs nothing, and nobody waits for longer than the work takes.
package final class Assistant: Sendable {
    /// What can be handed over.
    package protocol Work: AnyObject, Sendable {
        func run()
    }

    private enum Phase {
        static let idle: UInt32 = 0
        static let offering: UInt32 = 1
        static let offered: UInt32 = 2
        static let running: UInt32 = 3
        static let done: UInt32 = 4
    }

    private struct State {
        var work: (any Work)?
        var thread: WorkerThread?
        var isStopping = false
    }

    private let phase = Atomic<UInt32>(Phase.idle)
    private let state = Lock(State())
    private let offered = WakeSignal()
    private let done = WakeSignal()

    package init() {}

    /// Hands `work` over; answers false if the assistant is busy or gone. If true, ``finish()`` must follow.
    package func offer(_ work: any Work) -> Bool {
        guard
            self.phase.compareExchange(
                expected: Phase.idle, desired: Phase.offering, ordering: .acquiring
            ).exchanged
        else { return false }
        let isReady = self.state.withLock { state in
            if state.isStopping { return false }
            if state.thread == nil {
                state.thread = try? WorkerThread(name: "tidelog-pack") { [self] in self.work() }
            }
            if state.thread == nil { return false }
            state.work = work
            return true
        }
        guard isReady else {
            self.phase.store(Phase.idle, ordering: .releasing)
            return false
        }
        self.phase.store(Phase.offered, ordering: .releasing)
        self.offered.wake()
        return true
    }

    /// Takes the work back, or waits for its end if it has begun; answers whether the assistant did it.
    package func finish() -> Bool {
        let isTakenBack = self.phase.compareExchange(
            expected: Phase.offered, desired: Phase.offering, ordering: .acquiringAndReleasing
        ).exchanged
        if !isTakenBack {
            while self.phase.load(ordering: .acquiring) != Phase.done { self.done.wait() }
        }
        self.state.withLock { $0.work = nil }
        self.phase.store(Phase.idle, ordering: .releasing)
        return !isTakenBack
    }

    /// Ends the thread; later offers are refused.
    package func stop() {
        let thread = self.state.withLock { state in
            state.isStopping = true
            defer { state.thread = nil }
            return state.thread
        }
        self.offered.wake()
        thread?.join()
    }

    private func work() {
        while true {
            self.offered.wait()
            let isMine = self.phase.compareExchange(
                expected: Phase.offered, desired: Phase.running, ordering: .acquiringAndReleasing
            ).exchanged
            if isMine {
                self.state.withLock { $0.work }?.run()
                self.phase.store(Phase.done, ordering: .releasing)
                self.done.wake()
            }
            if self.state.withLock({ $0.isStopping }) { return }
        }
    }
}
