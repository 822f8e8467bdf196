// What subscriptions' tasks do with the bus that they belong to.
import TidelogStorage

extension LogBus.Core {
    var health: BusHealth {
        self.state.withLock { state in
            var health = BusHealth(state.isClosing ? .closed : .healthy)
            if let fault = state.fault, !state.isClosing {
                health = BusHealth(.degraded, reason: "a subscription has ended: \(fault)")
            }
            health.published = state.published
            health.delivered = state.delivered
            health.failed = state.failed
            health.subscribers = state.members.count
            return health
        }
    }

    /// Hands the counters over to the metrics, if there are any.
    func report() {
        if let instruments = self.instruments, instruments.hasMeters { instruments.report(self.health) }
    }

    /// Calls a handler, and keeps what it throws away from everyone else.
    func deliver(
        _ stored: StoredEvent, _ pattern: TypePattern,
        _ handler: @Sendable (StoredEvent) async throws -> Void
    ) async {
        self.state.withLock { $0.delivered += 1 }
        do {
            if let instruments = self.instruments {
                try await instruments.measure(stored.event) { try await handler(stored) }
            } else {
                try await handler(stored)
            }
        } catch {
            self.state.withLock { $0.failed += 1 }
            self.channel.report(BusFailure(event: stored.event, pattern: pattern, error: error))
        }
        self.report()
    }

    /// A subscription was cancelled; closing waits for the call of its handler that may be under way.
    func cancelled(_ number: Int) {
        self.state.withLock { state in
            guard let index = state.members.firstIndex(where: { $0.number == number }) else { return }
            state.ending[number] = state.members.remove(at: index).task
        }
    }

    /// A subscription's task has come to its end.
    func ended(_ number: Int) {
        self.state.withLock { state in
            state.ending[number] = nil
            state.members.removeAll { $0.number == number }
        }
    }

    /// A subscription cannot go on.
    func broke(_ error: EventLogError, _ pattern: TypePattern) {
        self.state.withLock { $0.fault = error }
        self.channel.report(
            BusFailure(event: Event(.systemHealthError), pattern: pattern, error: error))
    }

    func beginAppend() throws(EventLogError) {
        let isOpen = self.state.withLock { state in
            if !state.isClosing { state.appending += 1 }
            return !state.isClosing
        }
        if !isOpen { throw .busClosed }
    }

    func endAppend() {
        let closer = self.state.withLock { state -> UnsafeContinuation<Void, Never>? in
            state.appending -= 1
            guard state.appending == 0 else { return nil }
            defer { state.awaitingAppends = nil }
            return state.awaitingAppends
        }
        closer?.resume()
    }

    /// Suspends until the appends that began before closing have ended; the one who closes calls it.
    func waitForAppends() async {
        await withUnsafeContinuation { (reply: UnsafeContinuation<Void, Never>) in
            let mustWait = self.state.withLock { state in
                if state.appending == 0 { return false }
                state.awaitingAppends = reply
                return true
            }
            if !mustWait { reply.resume() }
        }
    }

    func drain(to end: Position?) async {
        let (members, ending) = self.state.withLock { ($0.members, $0.ending) }
        for member in members {
            if let end { member.follower.finish(at: end.rawValue) } else { member.follower.cancel() }
        }
        for task in members.compactMap(\.task) + ending.values { await task.value }
        let awaiting = self.state.withLock { state in
            state.isClosed = true
            defer { (state.members, state.awaiting) = ([], []) }
            return state.awaiting
        }
        self.channel.finish()
        for reply in awaiting { reply.resume() }
    }

    func waitUntilClosed() async {
        await withUnsafeContinuation { (reply: UnsafeContinuation<Void, Never>) in
            let mustWait = self.state.withLock { state in
                if state.isClosed { return false }
                state.awaiting.append(reply)
                return true
            }
            if !mustWait { reply.resume() }
        }
    }
}
