// Who gets which events.
extension Ledger {
    /// Gives a session up to `capacity` events: first those that wait and are due, then what it proposes.
    ///
    /// Nil if there is nothing for it now. The frontier moves past what the proposal says is no business of
    /// the consumer's, also then. Where others take part, it gets its part of what there is, and leaves them the rest.
    mutating func grant(
        to session: UInt64, capacity: Int, _ proposal: Proposal?, _ moment: Moment
    ) -> Grant? {
        // Who is alone pays nothing for what is to be left to others.
        let isShared = self.participants.count > 1 && capacity > 0
        var held = 0
        var suspects = false
        var ownKeys: Set<UInt32> = []
        var foreignKeys: Set<UInt32> = []
        for grant in self.grants {
            if grant.isAlone { suspects = true }
            if grant.session == session {
                if grant.isAlone { return nil }
                held += grant.unfinished
                if isShared { grant.addKeys(to: &ownKeys) }
            } else {
                grant.addKeys(to: &foreignKeys)
            }
        }
        foreignKeys.remove(0)
        let fresh = proposal.flatMap { $0.epoch == self.epoch && $0.from <= self.frontier ? $0 : nil }
        var share = isShared ? self.share(of: session, holding: held, ownKeys, fresh, moment) : nil
        let most = share.map { min(capacity, max(0, $0.room)) } ?? capacity
        var choice = Choice(capacity: self.isPaused ? 0 : most)
        var blocked = foreignKeys
        if !self.waiting.isEmpty {
            if !suspects, choice.capacity > 0, let place = self.firstSuspect(foreignKeys, moment) {
                // It is granted alone: the session must have empty hands first.
                guard held == 0 else { return nil }
                self.choose(place, &choice)
                return self.record(choice, session, isAlone: true, moment)
            }
            self.chooseWaiting(&choice, &share, &blocked, moment)
        }
        if let fresh { self.chooseFresh(fresh, &choice, &share, blocked) }
        return choice.positions.isEmpty ? nil : self.record(choice, session, isAlone: false, moment)
    }

    private struct Choice {
        let capacity: Int
        var positions: [UInt64] = []
        var counts: [UInt32] = []
        var keys: [UInt32] = []
        var hasWaiting = false
        var isFull: Bool { self.positions.count >= self.capacity }
    }

    /// The first event that may have killed its holder and can be granted now.
    private func firstSuspect(_ foreignKeys: Set<UInt32>, _ moment: Moment) -> Int? {
        var blocked = foreignKeys
        for (place, entry) in self.waiting.enumerated() where !entry.isHeld {
            if entry.isSuspect, entry.due <= moment.monotonic, !blocked.contains(entry.key) { return place }
            if entry.key != 0 { blocked.insert(entry.key) }
        }
        return nil
    }

    private mutating func choose(_ place: Int, _ choice: inout Choice) {
        self.waiting[place].isHeld = true
        choice.positions.append(self.waiting[place].position)
        choice.counts.append(self.waiting[place].count + 1)
        choice.keys.append(self.waiting[place].key)
        choice.hasWaiting = true
    }

    private mutating func chooseWaiting(
        _ choice: inout Choice, _ share: inout FairShare?, _ blocked: inout Set<UInt32>, _ moment: Moment
    ) {
        for place in self.waiting.indices where !self.waiting[place].isHeld {
            let entry = self.waiting[place]
            if choice.isFull || entry.isSuspect || entry.due > moment.monotonic
                || blocked.contains(entry.key) || (entry.key != 0 && share?.admits(entry.key) == false)
            {
                if entry.key != 0 { blocked.insert(entry.key) }
            } else {
                self.choose(place, &choice)
            }
        }
    }

    private mutating func chooseFresh(
        _ proposal: Proposal, _ choice: inout Choice, _ share: inout FairShare?, _ blocked: Set<UInt32>
    ) {
        guard !self.isPaused else { return }
        var reached = proposal.to
        var deferred: [Waiting] = []
        // In whole order nothing overtakes what waits, and nothing is taken out of others' hands.
        let isHeldUp = self.settings.ordering.kind == .whole && !blocked.isEmpty
        for (index, position) in proposal.positions.enumerated() where position >= self.frontier {
            let key = proposal.keys.isEmpty ? 0 : proposal.keys[index]
            if isHeldUp || choice.isFull {
                reached = position
                break
            }
            if key != 0, (!blocked.isEmpty && blocked.contains(key)) || share?.admits(key) == false {
                if self.waiting.count + deferred.count >= self.settings.maximumWaiting {
                    reached = position
                    break
                }
                deferred.append(Waiting(position: position, key: key))
                continue
            }
            choice.positions.append(position)
            choice.counts.append(1)
            choice.keys.append(key)
        }
        self.frontier = max(self.frontier, reached)
        self.putBack(deferred)
    }

    private mutating func record(
        _ choice: Choice, _ session: UInt64, isAlone: Bool, _ moment: Moment
    ) -> Grant {
        let hasKeys = choice.keys.contains { $0 != 0 }
        let grant = Grant(
            number: self.nextGrant, session: session, isAlone: isAlone, positions: choice.positions,
            counts: choice.hasWaiting ? choice.counts : [], keys: hasKeys ? choice.keys : [],
            deadline: moment.monotonic + self.settings.leaseNanoseconds)
        self.nextGrant += 1
        self.grants.append(grant)
        self.counters.delivered += UInt64(choice.positions.count)
        self.edits.append(
            .set(ConsumerKeys.grant(self.number, grant.number), LedgerCoding.encode(grant)))
        return grant
    }
}
