// The consumer's side of a queue: taking what is there, or sleeping until something is.
import Synchronization

extension EventQueue {
    /// Suspends until there are events; a batch without any says that the queue is closed and empty.
    ///
    /// - Parameter previous: how many events the last batch had; the more they were, the longer it watches
    ///   for others before it suspends. Few get time to become more: taking each one as it comes would cost
    ///   both sides the lines of the state for every event.
    func next(after previous: Int) async -> Batch {
        if previous > 0, previous < 128 { Self.pause() }
        while true {
            if let batch = self.take() { return batch }
            if previous > 0 {
                for _ in 0..<min(1 + previous / 16, Self.looks) {
                    Self.pause()
                    if let batch = self.take() { return batch }
                }
            }
            self.forget()
            let isOver = await self.sleep()
            if isOver {
                return self.take() ?? Batch(slots: self.draining.value.pointee.slots, count: 0)
            }
        }
    }

    /// Says that the consumer begins with an event of its batch.
    @inline(__always)
    func begin(_ index: Int) {
        guard index & self.wakeMask == self.wakeMask else {
            return self.begun.value.pointee.store(index + 1, ordering: .releasing)
        }
        // In this order, also as others see it (`mustWait`).
        self.begun.value.pointee.store(index + 1, ordering: .sequentiallyConsistent)
        if self.hasWaiters.value.pointee.load(ordering: .sequentiallyConsistent) {
            // Of a small queue every place counts.
            if self.wakeMask == 0 { self.wakeWaitersIfRoom() } else { self.wakeWaitersIfEmptier() }
        }
    }

    /// As ``begin(_:)``, where it may be long until the next one: who waits goes on as soon as there is room.
    func beginAlone(_ index: Int) {
        self.begun.value.pointee.store(index + 1, ordering: .sequentiallyConsistent)
        if self.hasWaiters.value.pointee.load(ordering: .sequentiallyConsistent) { self.wakeWaitersIfRoom() }
    }

    /// Resumes a consumer that sleeps, as if there were events.
    func wakeConsumer() {
        let consumer = self.locked { state in
            defer { state.pointee.consumer = nil }
            return state.pointee.consumer
        }
        consumer?.resume()
    }

    /// What is there, or nil.
    func take() -> Batch? {
        if self.isCancelled { return nil }
        let draining = self.draining.value
        let (batch, waiters) = self.lockedByConsumer { state -> (Batch?, [Waiter]) in
            self.begun.value.pointee.store(0, ordering: .relaxed)
            if self.takesOne {
                state.pointee.taken = min(1, state.pointee.filling.count)
                if state.pointee.taken == 1 {
                    let head = state.pointee.filling.head
                    swap(&draining.pointee.slots[0], &state.pointee.filling.slots[head])
                    draining.pointee.used = 1
                    state.pointee.filling.head = head + 1 == state.pointee.filling.capacity ? 0 : head + 1
                    state.pointee.filling.count -= 1
                }
            } else {
                state.pointee.taken = state.pointee.filling.count
                if state.pointee.taken > 0 {
                    let drained = draining.pointee
                    draining.pointee = state.pointee.filling
                    state.pointee.filling = drained
                    state.pointee.filling.head = 0
                    state.pointee.filling.count = 0
                }
            }
            let waiters = self.hasHalfRoom(state) ? self.takeWaiters(state) : []
            guard state.pointee.taken > 0 else { return (nil, waiters) }
            return (Batch(slots: draining.pointee.slots, count: state.pointee.taken), waiters)
        }
        for waiter in waiters { waiter.wake() }
        return batch
    }

    /// Releases what the slots keep of events that are done.
    private func forget() {
        self.draining.value.pointee.forget()
        self.locked { state in
            if state.pointee.filling.count == 0 { state.pointee.filling.forget() }
        }
    }

    /// Suspends until something happens; whether the queue is closed.
    private func sleep() async -> Bool {
        await withUnsafeContinuation { (reply: UnsafeContinuation<Void, Never>) in
            let mustWait = self.locked { state in
                if state.pointee.isClosed || state.pointee.filling.count > 0 || Task.isCancelled {
                    return false
                }
                state.pointee.consumer = reply
                return true
            }
            if !mustWait { reply.resume() }
        }
        return Task.isCancelled || self.locked { $0.pointee.isClosed }
    }
}
