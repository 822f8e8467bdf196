import TidelogStorage

// The pump: reads ahead, and makes one change of the ledger after the other, each with everything that has
// gathered meanwhile. While it sleeps it costs nothing.
extension ConsumerCore {
    /// What the pump does next.
    struct Plan {
        var epoch: UInt64
        var capacity = 0
        /// Where to read from; nil: nothing is to be read.
        var readFrom: UInt64?
        var readTo: UInt64 = 0
        var frontier: UInt64
        var mustTend = false
        var mustLook = false
        var mustTransact = false
        var isDemanded = false
        /// Whether it is worth reading further: not where others take what comes next.
        var readsAhead = true
    }

    /// What a change of the ledger answers.
    struct Outcome: Sendable {
        var verdict: Verdict
        var grant: Grant?
        var snapshot: LedgerSnapshot
        var losers: [UInt64]
    }

    func start() {
        Task { await self.pump() }
    }

    private func pump() async {
        var ahead = ReadAhead()
        while true {
            let (plan, isOver) = self.nextPlan()
            if isOver { return }
            guard let plan else {
                await self.sleep()
                continue
            }
            do throws(EventLogError) {
                try await self.carryOut(plan, &ahead)
            } catch {
                await self.recover(from: error)
            }
        }
    }

    private func sleep() async {
        await withUnsafeContinuation { (reply: UnsafeContinuation<Void, Never>) in
            let mustGoOn = self.state.withLock { state in
                if state.isSignalled {
                    state.isSignalled = false
                    return true
                }
                state.pump = reply
                return false
            }
            if mustGoOn { reply.resume() }
        }
    }

    // MARK: Deciding

    private func nextPlan() -> (Plan?, isOver: Bool) {
        let now = BootClock.now
        let (plan, isOver, wakeAt, expired) = self.state.withLock { state in
            state.isSignalled = false
            if state.isStopping || state.failure != nil { return (Plan?.none, true, UInt64?.none, [Taker]()) }
            var expired: [Taker] = []
            state.takers.removeAll { taker in
                guard let deadline = taker.deadline, deadline <= now else { return false }
                expired.append(taker)
                return true
            }
            let (plan, wakeAt) = Self.plan(&state, now)
            return (plan, false, wakeAt, expired)
        }
        for taker in expired { taker.reply.resume(returning: .success([])) }
        if plan == nil, let wakeAt { self.hub.wake(self, at: wakeAt) }
        return (plan, isOver)
    }

    private static func plan(_ state: inout CoreState, _ now: UInt64) -> (Plan?, UInt64?) {
        let snapshot = state.snapshot
        var plan = Plan(epoch: snapshot.epoch, frontier: snapshot.frontier)
        let lease = state.settings.leaseNanoseconds
        plan.isDemanded = !state.takers.isEmpty || state.lastTake &+ lease > now
        plan.mustLook = state.mustLook
        plan.mustTend = state.tendAt.map { $0 <= now } ?? false
        plan.mustTransact =
            !state.failed.isEmpty || !state.released.isEmpty || !state.settling.isEmpty
            || !state.vanished.isEmpty || state.membersChanged || state.mustReclaim
            || (state.lingerUntil.map { $0 <= now } ?? false) || (state.advanceAt.map { $0 <= now } ?? false)
            || (snapshot.foreignDeadline.map { $0 <= now } ?? false)
        plan.readsAhead = snapshot.part == nil
        let isDue = snapshot.grantable > 0 || (snapshot.nextDue.map { $0 <= now } ?? false)
        var mayFetch = false
        if plan.isDemanded, state.isLow, !snapshot.isPaused {
            let capacity = min(
                state.settings.maximumInFlight - state.openEvents,
                state.settings.prefetch - state.queue.count)
            let from = max(state.scannedTo, snapshot.frontier)
            mayFetch = capacity > 0
            if mayFetch, state.quietUntil <= now {
                if from < state.logEnd, !snapshot.isBlocked {
                    (plan.readFrom, plan.readTo) = (from, state.logEnd)
                }
                if plan.readFrom != nil || isDue { plan.capacity = capacity }
            }
        }
        if plan.mustTransact || plan.capacity > 0 || plan.mustLook || plan.mustTend { return (plan, nil) }
        var wakeAt: UInt64?
        for moment in [
            state.lingerUntil, state.tendAt, state.advanceAt, snapshot.foreignDeadline,
            mayFetch ? snapshot.nextDue.map { max($0, state.quietUntil) } : nil,
            plan.isDemanded && state.quietUntil > now ? state.quietUntil : nil,
            state.takers.compactMap(\.deadline).min(),
        ] { if let moment { wakeAt = min(wakeAt ?? .max, moment) } }
        return (nil, wakeAt)
    }

    // MARK: Doing

    private func carryOut(_ plan: Plan, _ ahead: inout ReadAhead) async throws(EventLogError) {
        if plan.mustLook {
            // The filter may be another one.
            ahead = ReadAhead()
            try await self.look()
        }
        var renewed: [UInt64] = []
        if plan.mustTend { renewed = self.tend(isDemanded: plan.isDemanded) }
        var proposal: Proposal?
        var records: [PlacedRecord] = []
        if let from = plan.readFrom, plan.capacity > 0 {
            let reading = try await self.reading(from, plan, &ahead)
            records = reading.records
            proposal = self.proposal(reading, plan)
            self.noteReading(reading)
            if records.isEmpty, !plan.mustTransact, renewed.isEmpty,
                self.state.withLock({ $0.snapshot.grantable == 0 })
            {
                return
            }
        }
        if plan.mustTransact || plan.capacity > 0 || !renewed.isEmpty {
            try await self.transact(plan, proposal, records, renewed)
        }
    }

    /// Reads as the plan says, or takes what was read ahead; and reads further ahead.
    private func reading(
        _ from: UInt64, _ plan: Plan, _ ahead: inout ReadAhead
    ) async throws(EventLogError) -> Reading {
        var (result, began) = (Reading(from: from), BootClock.now)
        if let known = await ahead.next(from: from) {
            (result, began) = known
        } else {
            result = try await self.read(from: from, to: plan.readTo, limit: plan.capacity)
        }
        if let rest = result.split(at: plan.capacity) { ahead.putBack(rest, began: began) }
        guard plan.readsAhead, !result.records.isEmpty, result.to < plan.readTo else {
            ahead = ReadAhead()
            return result
        }
        let limit = max(plan.capacity, self.settings.prefetch / 2)
        ahead.fill(from: result.to) { start throws(EventLogError) in
            try await self.read(from: start, to: plan.readTo, limit: limit)
        }
        return result
    }

    /// Bytes of events read in one go, and positions looked at.
    private static let readBytes = 4 << 20
    private static let readPositions: UInt64 = 1 << 20

    private func read(from: UInt64, to: UInt64, limit: Int) async throws(EventLogError) -> Reading {
        let settings = self.settings
        var query = try settings.filter.storageQuery()
        let skipsMissing = settings.skipsMissingEvents
        let (name, ordering) = (self.name, self.ordering)
        let high = max(from, min(to, from + Self.readPositions))
        query.positions = from..<high
        query.limit = limit
        let storage = query
        do throws(StorageError) {
            return try await self.hub.engine.pool.run { [engine = self.hub.engine] () throws(StorageError) in
                let first = try engine.currentView().state.firstPosition
                if first > from, !skipsMissing {
                    throw StorageError(
                        .notFound, SubscriptionHub.gone(name, from, first), positions: from..<first)
                }
                guard high > from else { return Reading(from: from) }
                let (records, isFull) = try engine.batch(storage, maximumBytes: Self.readBytes)
                return Reading(
                    records: records, keys: ordering.kind == .none ? [] : records.map(ordering.key),
                    from: from,
                    to: isFull ? records.last.map { $0.position + 1 } ?? high : high)
            }
        } catch {
            if error.code == .notFound {
                throw EventLogError(.eventsGone, error.message, positions: EventLogError(error).positions)
            }
            throw EventLogError(error)
        }
    }

    private func proposal(_ reading: Reading, _ plan: Plan) -> Proposal {
        var proposal = Proposal(epoch: plan.epoch, from: plan.frontier, to: reading.to)
        proposal.positions = reading.records.map(\.position)
        proposal.keys = reading.keys
        return proposal
    }

    /// How far an offset may move in memory alone, and for how long.
    private static let advanceDistance: UInt64 = 1 << 17
    private static let advanceDelay: UInt64 = 1_000_000_000

    private func noteReading(_ reading: Reading) {
        guard reading.records.isEmpty else { return }
        self.state.withLock { state in
            state.scannedTo = max(state.scannedTo, reading.to)
            let distance = state.scannedTo - min(state.scannedTo, state.snapshot.frontier)
            let now = BootClock.now
            if distance >= Self.advanceDistance {
                state.advanceAt = now
            } else if state.advanceAt == nil, distance > 0 {
                state.advanceAt = now + Self.advanceDelay
            }
        }
    }

    /// Ends leases of handlers that took too long, gives back what nobody asks for, and answers which grants
    /// to renew.
    private func tend(isDemanded: Bool) -> [UInt64] {
        let now = BootClock.now
        return self.state.withLock { state in
            let lease = state.settings.leaseDuration
            var renewed: [UInt64] = []
            if !isDemanded { state.giveBack { _ in true } }
            for batch in state.batches.values {
                let (overdue, mustRenew) = batch.tend(now: now)
                for index in overdue {
                    let key = batch.grant.key(index)
                    state.failed.append(
                        SessionReport.Failure(
                            grant: batch.grant.number, index: index,
                            error: "the lease ran out: the handler took longer than \(lease)"))
                    state.withhold(key)
                    _ = state.queue.release(key)
                }
                if mustRenew { renewed.append(batch.grant.number) }
                // Nobody else may be there to take back what this process held while it did not run.
                if batch.standing.deadline <= now { state.mustReclaim = true }
            }
            state.tendAt = state.batches.isEmpty ? nil : now + state.settings.leaseNanoseconds / 4
            return renewed
        }
    }

    /// Reads the ledger without changing it.
    private func look() async throws(EventLogError) {
        let session = self.hub.session
        let number = self.number
        let name = self.name
        self.state.withLock { $0.mustLook = false }
        let (snapshot, settings) = try await self.hub.read { (reader) throws(StorageError) in
            guard let (actual, settings) = try LedgerStore.consumer(name, in: reader), actual == number else {
                throw SubscriptionHub.missing(name)
            }
            let ledger = try LedgerStore.load(number, settings, in: reader)
            return (LedgerSnapshot(ledger, session: session, .now), settings)
        }
        guard settings.ordering.isNamed(as: self.ordering) else {
            throw EventLogError(
                .invalidArgument,
                "the consumer '\(name)' was opened elsewhere with another ordering; open it again")
        }
        let (events, fed) = self.state.withLock { state in
            let ordering = state.settings.ordering
            let isPermanent = state.settings.retry.isPermanent
            state.settings = settings
            state.settings.ordering = ordering
            state.settings.retry.isPermanent = isPermanent
            let events = Self.adopt(snapshot, &state)
            return (events, state.feed(now: BootClock.now))
        }
        for event in events { self.emit(event) }
        for (taker, deliveries) in fed { taker.reply.resume(returning: .success(deliveries)) }
    }

    /// Takes over what a transaction has left; answers what members should know.
    static func adopt(_ snapshot: LedgerSnapshot, _ state: inout CoreState) -> [ConsumerEvent] {
        let before = state.snapshot
        guard snapshot.version >= before.version else { return [] }
        var events: [ConsumerEvent] = []
        let sessions = Set(snapshot.participants.map(\.session))
        let known = Set(before.participants.map(\.session))
        for session in sessions.subtracting(known) { events.append(.joined(session: session)) }
        for session in known.subtracting(sessions) { events.append(.left(session: session)) }
        if snapshot.epoch != before.epoch {
            events.append(.moved(to: Position(snapshot.frontier)))
            (state.scannedTo, state.advanceAt) = (snapshot.frontier, nil)
        }
        if snapshot.isPaused != before.isPaused { events.append(snapshot.isPaused ? .paused : .resumed) }
        state.snapshot = snapshot
        state.scannedTo = max(state.scannedTo, snapshot.frontier)
        if snapshot.frontier >= state.scannedTo { state.advanceAt = nil }
        state.quietUntil = 0
        for (number, batch) in state.batches {
            if let deadline = snapshot.ownGrants[number], batch.epoch == snapshot.epoch {
                batch.renewed(until: deadline)
            } else {
                state.lose(batch)
            }
        }
        // The pump is at work, so it commits what is given back before it sleeps.
        if snapshot.isPaused {
            state.giveBack { _ in true }
        } else if let part = snapshot.part, !sessions.isSubset(of: known) {
            state.keep(part)
        }
        return events
    }

    private func recover(from error: EventLogError) async {
        switch error.code {
        case .storageFull:
            // What was settled is kept, and tried again: there is a reserve, and retention makes room.
            try? await Task.sleep(for: .milliseconds(200))
        case .notFound, .leaseLost:
            let number = self.number
            let renamed = try? await self.hub.read { reader throws(StorageError) in
                try LedgerStore.name(of: number, in: reader)
            }
            if let renamed, renamed != self.name {
                // What made it look is still to be seen.
                self.state.withLock { ($0.name, $0.mustLook) = (renamed, true) }
            } else {
                self.fail(error)
            }
        default: self.fail(error)
        }
    }
}
