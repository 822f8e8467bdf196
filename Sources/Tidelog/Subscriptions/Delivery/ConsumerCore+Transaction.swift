import TidelogStorage

// One change of the ledger, and what follows from it in this process.
extension ConsumerCore {
    /// What has gathered for the ledger.
    private struct Gathered: Sendable {
        var report = SessionReport()
        var settling: [Settling] = []
        var members: Int?
        var mustReclaim = false
        var mustInherit = false
        var name: String
    }

    func transact(
        _ plan: Plan, _ proposal: Proposal?, _ records: [PlacedRecord], _ renewed: [UInt64]
    ) async throws(EventLogError) {
        guard let (gathered, result) = await self.change(plan, proposal, renewed) else { return }
        let outcome: Outcome
        switch result {
        case .success(let answer): outcome = answer
        case .failure(let error):
            self.putBack(gathered, error)
            throw error
        }
        self.hub.noteUnburied(outcome.verdict, of: gathered.name)
        let (events, settled, fed) = self.apply(outcome, gathered)
        for (taker, deliveries) in fed { taker.reply.resume(returning: .success(deliveries)) }
        for (waiter, failure) in settled { waiter.reply.resume(returning: failure) }
        for event in events { self.emit(event) }
        for loser in outcome.losers where loser != self.hub.session { self.emit(.tookOver(from: loser)) }
        guard let grant = outcome.grant else {
            if plan.capacity > 0, outcome.snapshot.frontier == plan.frontier {
                // What waits is not to be had now: try again when something has changed, or in a moment.
                self.state.withLock { state in
                    state.quietUntil = BootClock.now + 20_000_000
                    state.lastFill = state.queue.count
                }
            }
            return
        }
        try await self.take(grant, epoch: outcome.snapshot.epoch, records)
    }

    private static func gather(_ state: inout CoreState, _ renewed: [UInt64]) -> Gathered {
        var gathered = Gathered(name: state.name)
        gathered.report.renewed = renewed
        for batch in state.batches.values {
            for range in batch.takeAcknowledged() {
                gathered.report.finished.append((batch.grant.number, range))
            }
        }
        gathered.report.finished.append(contentsOf: state.vanished)
        gathered.report.failed = state.failed
        gathered.report.released = state.released
        gathered.settling = state.settling
        if state.membersChanged { gathered.members = state.members.count }
        gathered.mustReclaim =
            state.mustReclaim || !renewed.isEmpty
            || (state.snapshot.foreignDeadline.map { $0 <= BootClock.now } ?? false)
        gathered.mustInherit = state.mustInherit
        state.mustInherit = false
        (state.failed, state.released, state.vanished) = ([], [], [])
        state.withheld = []
        (state.settling, state.membersChanged, state.mustReclaim) = ([], false, false)
        (state.lingerUntil, state.advanceAt) = (nil, nil)
        return gathered
    }

    /// After a failure: what was settled is settled later, and who waits for it learns why.
    private func putBack(_ gathered: Gathered, _ error: EventLogError) {
        self.state.withLock { state in
            state.vanished = gathered.report.finished + state.vanished
            state.failed = gathered.report.failed + state.failed
            state.released = gathered.report.released + state.released
            state.membersChanged = state.membersChanged || gathered.members != nil
            state.mustReclaim = state.mustReclaim || gathered.mustReclaim
            state.mustInherit = state.mustInherit || gathered.mustInherit
            for batch in state.batches.values where gathered.report.renewed.contains(batch.grant.number) {
                state.tendAt = 0
            }
        }
        for waiter in gathered.settling { waiter.reply.resume(returning: error) }
    }

    /// Makes one change with all that has gathered; nil if the core has ended.
    ///
    /// It is handed to the writer under the lock, so that it comes before the core's last change.
    private func change(
        _ plan: Plan, _ proposal: Proposal?, _ renewed: [UInt64]
    ) async -> (Gathered, Result<Outcome, EventLogError>)? {
        await withUnsafeContinuation {
            (reply: UnsafeContinuation<(Gathered, Result<Outcome, EventLogError>)?, Never>) in
            let isSubmitted = self.state.withLock { state in
                if state.isStopping { return false }
                let gathered = Self.gather(&state, renewed)
                let advance = proposal ?? Self.emptyProposal(state, plan)
                self.submit(gathered, capacity: plan.capacity, advance) { result in
                    reply.resume(returning: (gathered, result))
                }
                return true
            }
            if !isSubmitted { reply.resume(returning: nil) }
        }
    }

    private func submit(
        _ gathered: Gathered, capacity: Int, _ advance: Proposal?,
        reply: @escaping @Sendable (Result<Outcome, EventLogError>) -> Void
    ) {
        let hub = self.hub
        let session = hub.session
        let (report, members, mustReclaim) = (gathered.report, gathered.members, gathered.mustReclaim)
        let mustInherit = gathered.mustInherit
        let body = { @Sendable (ledger: inout Ledger) throws(StorageError) -> (Outcome, mustWrite: Bool) in
            let moment = Moment.now
            let before = (ledger.frontier, ledger.boot, ledger.participants)
            // A core's last change comes before its successor's first one: what this session holds then is nobody's.
            if mustInherit { ledger.leave(session) }
            if let members {
                ledger.participate(session, members: members, process: hub.process, moment)
            }
            var losers: [UInt64] = []
            if mustReclaim || ledger.boot != moment.boot {
                losers = ledger.reclaim(moment, isPresent: hub.isPresent)
            }
            let verdict = ledger.note(report, from: session, moment)
            // What is processed after the last member left must not be granted to nobody.
            let isOver = self.state.withLock { $0.isStopping }
            let grant = isOver ? nil : ledger.grant(to: session, capacity: capacity, advance, moment)
            let mustWrite =
                !report.isEmpty || grant != nil || !losers.isEmpty || !ledger.edits.isEmpty
                || before.0 != ledger.frontier || before.1 != ledger.boot || before.2 != ledger.participants
            var snapshot = LedgerSnapshot(ledger, session: session, moment)
            if mustWrite { snapshot.version += 1 }
            return (
                Outcome(verdict: verdict, grant: grant, snapshot: snapshot, losers: losers), mustWrite
            )
        }
        hub.submit(gathered.name, number: self.number, body, reply: reply)
    }

    /// Moves the offset past what was read and is none of the consumer's business.
    private static func emptyProposal(_ state: CoreState, _ plan: Plan) -> Proposal? {
        guard state.scannedTo > plan.frontier else { return nil }
        return Proposal(epoch: plan.epoch, from: plan.frontier, to: state.scannedTo)
    }

    private func apply(
        _ outcome: Outcome, _ gathered: Gathered
    ) -> ([ConsumerEvent], [(Settling, EventLogError?)], [(Taker, [Delivery])]) {
        self.state.withLock { state in
            let events = Self.adopt(outcome.snapshot, &state)
            var settled: [(Settling, EventLogError?)] = []
            for waiter in gathered.settling {
                var failure: EventLogError?
                if outcome.verdict.stale.contains(where: {
                    $0.grant == waiter.grant && $0.range.overlaps(waiter.indexes)
                }) {
                    failure = EventLogError(
                        .leaseLost,
                        "the lease ended before this was committed; the event is delivered again")
                } else if outcome.verdict.unburied.contains(where: {
                    $0.grant == waiter.grant && waiter.indexes.contains($0.index)
                }) {
                    failure = EventLogError(
                        .deadLettersFull,
                        "the consumer '\(state.name)' keeps \(state.settings.maximumDeadLetters) dead letters "
                            + "already; retry or drop some; the event is tried again meanwhile")
                }
                settled.append((waiter, failure))
            }
            // Keys may have become free that somebody waits for.
            return (events, settled, state.mustLook ? [] : state.feed(now: BootClock.now))
        }
    }

    /// Puts what was granted into the queue.
    private func take(
        _ grant: Grant, epoch: UInt64, _ records: [PlacedRecord]
    ) async throws(EventLogError) {
        var missing: [Int] = []
        let granted: GrantedRecords
        if Self.isWhole(records, grant) {
            granted = .whole(records)
        } else {
            let found = try await self.match(records, grant)
            missing = found.indices.filter { found[$0] == nil }
            granted = .gapped(found)
        }
        let batch = DeliveryBatch(core: self, grant: grant, epoch: epoch, records: granted)
        for index in missing { _ = batch.withdraw(index) }
        let now = BootClock.now
        let fed = self.state.withLock { state in
            guard state.snapshot.epoch == epoch else {
                batch.lose()
                return [(Taker, [Delivery])]()
            }
            state.batches[grant.number] = batch
            state.queue.append(batch)
            if !state.withheld.isEmpty {
                let withheld = state.withheld
                state.giveBack { withheld.contains($0.key) }
            }
            if state.tendAt == nil { state.tendAt = now + state.settings.leaseNanoseconds / 4 }
            // Somebody may have paused the consumer since: what comes is handed out when that has been looked at.
            let fed = state.mustLook ? [] : state.feed(now: now)
            state.lastFill = state.queue.count
            return fed
        }
        for (taker, deliveries) in fed { taker.reply.resume(returning: .success(deliveries)) }
    }

    /// Whether what was read is what was granted, and nothing else.
    private static func isWhole(_ records: [PlacedRecord], _ grant: Grant) -> Bool {
        records.count == grant.positions.count
            && records.indices.allSatisfy { records[$0].position == grant.positions[$0] }
    }

    /// The record of each granted position, read now where it is not among `records`; nil where it is not there
    /// any more, which is noted.
    private func match(
        _ records: [PlacedRecord], _ grant: Grant
    ) async throws(EventLogError) -> [PlacedRecord?] {
        var found: [PlacedRecord?] = []
        found.reserveCapacity(grant.positions.count)
        var missing: [Int] = []
        var next = 0
        for (index, position) in grant.positions.enumerated() {
            while next < records.count, records[next].position < position { next += 1 }
            if next < records.count, records[next].position == position {
                found.append(records[next])
            } else {
                found.append(nil)
                missing.append(index)
            }
        }
        if !missing.isEmpty {
            let positions = missing.map { grant.positions[$0] }
            let (read, first) = try await self.read(positions)
            for (place, index) in missing.enumerated() { found[index] = read[place] }
            missing.removeAll { found[$0] != nil }
            self.noteMissing(missing, grant, firstPosition: first)
        }
        return found
    }

    private func read(_ positions: [UInt64]) async throws(EventLogError) -> ([PlacedRecord?], UInt64) {
        let engine = self.hub.engine
        do throws(StorageError) {
            return try await engine.pool.run { () throws(StorageError) in
                var found: [PlacedRecord?] = []
                found.reserveCapacity(positions.count)
                // Neighbours are read together: one by one each would be looked for in its frame anew.
                var start = 0
                while start < positions.count {
                    var end = start + 1
                    while end < positions.count, positions[end] == positions[end - 1] + 1 { end += 1 }
                    if end == start + 1 {
                        found.append(try engine.record(at: positions[start]))
                    } else {
                        var query = RecordQuery()
                        query.positions = positions[start]..<positions[end - 1] + 1
                        var records = try engine.records(query)[...]
                        for position in positions[start..<end] {
                            found.append(records.first?.position == position ? records.removeFirst() : nil)
                        }
                    }
                    start = end
                }
                return (found, try engine.currentView().state.firstPosition)
            }
        } catch {
            throw EventLogError(error)
        }
    }

    /// What retention has dropped becomes a dead letter, so that nobody misses it unknowingly; what was deleted
    /// with its stream is finished.
    private func noteMissing(_ missing: [Int], _ grant: Grant, firstPosition: UInt64) {
        self.state.withLock { state in
            for index in missing {
                if grant.positions[index] < firstPosition, !state.settings.skipsMissingEvents {
                    state.failed.append(
                        SessionReport.Failure(
                            grant: grant.number, index: index, error: "retention dropped the event",
                            isFinal: true))
                } else {
                    state.vanished.append((grant.number, index..<index + 1))
                }
            }
        }
    }
}
