import TidelogStorage

// Looking at what others did, and the end.
extension ConsumerCore {
    /// Whether other processes take part in the consumer.
    var sharesWithOthers: Bool {
        self.state.withLock { state in
            state.snapshot.participants.contains { $0.session != self.hub.session }
        }
    }

    /// Ends the leases of processes that died, as soon as that is noticed. Blocks for a moment.
    func lookForDeaths() {
        let sessions = self.state.withLock { $0.snapshot.participants.map(\.session) }
        guard sessions.contains(where: { !self.hub.isPresent($0) }) else { return }
        self.state.withLock { state -> UnsafeContinuation<Void, Never>? in
            state.mustReclaim = true
            return Self.signal(&state)
        }?.resume()
    }

    /// Looks at the ledger if its version or the consumer's name is not the known one. Blocks.
    func lookIfChanged() {
        let (number, name) = (self.number, self.name)
        let version = try? self.hub.engine.readingRecords { (reader) throws(StorageError) -> UInt64? in
            guard let record = try reader.record(.consumers, key: ConsumerKeys.consumer(name)),
                try LedgerCoding.decodeConsumer(record).0 == number,
                let state = try reader.record(.consumers, key: ConsumerKeys.state(number))
            else { return nil }
            return try LedgerCoding.stateVersion(state)
        }
        if version ?? nil != self.state.withLock({ $0.snapshot.version }) { self.lookAgain() }
        self.signal()
    }

    /// Ends the core: what was settled is committed, and everything else given back.
    func end() -> CoreEnding {
        let (ending, pump) = self.state.withLock { (self.end(&$0), Self.signal(&$0)) }
        pump?.resume()
        return ending
    }

    /// As ``end()``, under the lock: the change is with the writer before anybody sees that the core has ended.
    /// So a core that takes its place comes after it in the writer's order, and the grants of that one, which
    /// have the same session, are not among those that are given back here.
    func end(_ state: inout CoreState) -> CoreEnding {
        if let ending = state.ending { return ending }
        var report = SessionReport()
        for batch in state.batches.values {
            for range in batch.takeAcknowledged() { report.finished.append((batch.grant.number, range)) }
            batch.lose()
        }
        report.finished.append(contentsOf: state.vanished)
        (report.failed, report.released) = (state.failed, state.released)
        let ending = CoreEnding(
            takers: state.takers, settling: state.settling, members: state.members.values.map(\.events))
        state.ending = ending
        (state.batches, state.queue) = ([:], DeliveryQueue())
        (state.takers, state.settling) = ([], [])
        let (hub, session, name) = (self.hub, self.hub.session, state.name)
        hub.submit(
            name, number: self.number,
            { [report] ledger in
                let verdict = ledger.note(report, from: session, .now)
                ledger.leave(session)
                return (verdict, mustWrite: true)
            }, raisesControl: true
        ) { result in
            switch result {
            case .success(let verdict):
                hub.noteUnburied(verdict, of: name)
                ending.finish(nil)
            case .failure(let error): ending.finish(error)
            }
        }
        return ending
    }
}

/// The end of a core: over once its last change is durable, or refused.
final class CoreEnding: Sendable {
    private struct State {
        var isOver = false
        var error: EventLogError?
        var takers: [Taker]
        var settling: [Settling]
        var members: [AsyncStream<ConsumerEvent>.Continuation]
        var waiting: [UnsafeContinuation<EventLogError?, Never>] = []
        var threads: [WakeSignal] = []
    }

    private let state: Lock<State>

    init(
        takers: [Taker], settling: [Settling], members: [AsyncStream<ConsumerEvent>.Continuation]
    ) {
        self.state = Lock(State(takers: takers, settling: settling, members: members))
    }

    /// Tells everybody who waited for something of the core.
    func finish(_ error: EventLogError?) {
        let state = self.state.withLock { state in
            (state.isOver, state.error) = (true, error)
            defer { (state.takers, state.settling, state.members) = ([], [], []) }
            defer { (state.waiting, state.threads) = ([], []) }
            return state
        }
        for taker in state.takers { taker.reply.resume(returning: .success(nil)) }
        for waiter in state.settling { waiter.reply.resume(returning: error) }
        for member in state.members { member.finish() }
        for reply in state.waiting { reply.resume(returning: error) }
        for thread in state.threads { thread.wake() }
    }

    /// Suspends until the end is over; answers why it could not be made durable.
    func wait() async -> EventLogError? {
        await withUnsafeContinuation { (reply: UnsafeContinuation<EventLogError?, Never>) in
            let known = self.state.withLock { state -> EventLogError?? in
                if state.isOver { return .some(state.error) }
                state.waiting.append(reply)
                return nil
            }
            if let known { reply.resume(returning: known) }
        }
    }

    /// As ``wait()-async``, for threads that may block.
    func wait() {
        let signal = WakeSignal()
        let isOver = self.state.withLock { state in
            if !state.isOver { state.threads.append(signal) }
            return state.isOver
        }
        if !isOver { signal.wait() }
    }
}
