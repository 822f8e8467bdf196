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

    /// Looks at the ledger if its version is not the known one. Blocks.
    func lookIfChanged() {
        let number = self.number
        let version = try? self.hub.engine.readRecords { (reader) throws(StorageError) -> UInt64? in
            guard let state = try reader.record(.consumers, key: ConsumerKeys.state(number)) else {
                return nil
            }
            return try LedgerCoding.stateVersion(state)
        }
        if version ?? nil != self.state.withLock({ $0.snapshot.version }) { self.lookAgain() }
        self.signal()
    }

    /// Commits what was settled and gives everything else back. Blocks until that is durable, or refused.
    func shutDown() {
        let (report, name, takers, settling, pump, members) = self.state.withLock { state in
            state.isStopping = true
            var report = SessionReport()
            for batch in state.batches.values {
                for range in batch.takeAcknowledged() { report.finished.append((batch.grant.number, range)) }
                batch.lose()
            }
            report.finished.append(contentsOf: state.vanished)
            report.failed = state.failed
            report.released = state.released
            (state.batches, state.queue) = ([:], DeliveryQueue())
            defer { (state.takers, state.settling) = ([], []) }
            return (
                report, state.name, state.takers, state.settling, Self.signal(&state),
                state.members.values.map(\.events)
            )
        }
        pump?.resume()
        let hub = self.hub
        let session = hub.session
        let number = self.number
        let done = WakeSignal()
        let failure = Lock<StorageError?>(nil)
        hub.engine.submit(
            HeadChange { (transaction) throws(StorageError) in
                let (_, didWrite) = try hub.ledgers.change(name, number: number, in: transaction) {
                    (ledger) throws(StorageError) in
                    _ = ledger.note(report, from: session, .now)
                    ledger.leave(session)
                    return ((), mustWrite: true)
                }
                try ControlCounter.raise(in: transaction)
                return didWrite
            }
        ) { error in
            failure.withLock { $0 = error }
            if error != nil { hub.ledgers.forget(number) }
            done.wake()
        }
        done.wait()
        let error = failure.withLock { $0 }.map { EventLogError($0) }
        for taker in takers { taker.reply.resume(returning: .success(nil)) }
        for waiter in settling { waiter.reply.resume(returning: error) }
        for member in members { member.finish() }
    }
}
