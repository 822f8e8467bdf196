// The waiting events of a ledger, kept in the order of their positions, and its dead letters.
extension Ledger {
    /// The place of the first waiting event at or after `position`.
    func waitingPlace(atOrAfter position: UInt64) -> Int {
        var low = 0
        var high = self.waiting.count
        while low < high {
            let middle = (low + high) / 2
            if self.waiting[middle].position < position { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The event of a grant as a waiting one, taken out if it was one before.
    mutating func take(_ grant: Grant, _ index: Int) -> Waiting {
        let position = grant.positions[index]
        if !grant.counts.isEmpty {
            let place = self.waitingPlace(atOrAfter: position)
            if place < self.waiting.count, self.waiting[place].position == position {
                var entry = self.waiting.remove(at: place)
                entry.isHeld = false
                (entry.due, entry.delay, entry.wallDue) = (0, 0, 0)
                return entry
            }
        }
        return Waiting(position: position, key: grant.key(index))
    }

    /// Adds waiting events, all at once because they lie in one array.
    mutating func putBack(_ entries: [Waiting]) {
        guard !entries.isEmpty else { return }
        for entry in entries { self.write(entry) }
        self.waiting.append(contentsOf: entries)
        self.waiting.sort { $0.position < $1.position }
    }

    /// Drops a waiting event that is finished.
    mutating func forget(_ position: UInt64) {
        let place = self.waitingPlace(atOrAfter: position)
        guard place < self.waiting.count, self.waiting[place].position == position else { return }
        self.waiting.remove(at: place)
        self.edits.append(.remove(ConsumerKeys.waiting(self.number, position)))
    }

    mutating func write(_ entry: Waiting) {
        self.edits.append(
            .set(ConsumerKeys.waiting(self.number, entry.position), LedgerCoding.encode(entry)))
    }

    mutating func remove(_ grant: UInt64) {
        self.grants.removeAll { $0.number == grant }
        self.edits.append(.remove(ConsumerKeys.grant(self.number, grant)))
    }

    /// Makes an event a dead letter; answers whether there was room for it.
    mutating func bury(_ entry: Waiting, reason: String, _ moment: Moment) -> Bool {
        guard self.deadLetters < UInt64(self.settings.maximumDeadLetters) else { return false }
        let letter = StoredDeadLetter(
            position: entry.position, serial: self.counters.deadLettered, key: entry.key, count: entry.count,
            time: moment.wall, reason: reason,
            attempts: entry.attempts)
        self.edits.append(.remove(ConsumerKeys.waiting(self.number, entry.position)))
        self.edits.append(
            .set(
                ConsumerKeys.deadLetter(self.number, entry.position, letter.serial),
                LedgerCoding.encode(letter)))
        self.deadLetters += 1
        self.counters.deadLettered += 1
        return true
    }

    /// Lets a dead letter be tried again, with as many deliveries as a new event.
    mutating func revive(_ letter: StoredDeadLetter) {
        self.edits.append(.remove(ConsumerKeys.deadLetter(self.number, letter.position, letter.serial)))
        self.deadLetters -= min(1, self.deadLetters)
        // After a seek it may be on its way anyway.
        let place = self.waitingPlace(atOrAfter: letter.position)
        let isWaiting = place < self.waiting.count && self.waiting[place].position == letter.position
        if letter.position >= self.frontier || isWaiting || self.isHeld(letter.position) { return }
        self.putBack([Waiting(position: letter.position, key: letter.key, attempts: letter.attempts)])
    }

    private func isHeld(_ position: UInt64) -> Bool {
        self.grants.contains { grant in
            guard let index = grant.positions.firstIndex(of: position) else { return false }
            return !grant.finished.contains(index)
        }
    }

    /// Drops a dead letter.
    mutating func drop(_ letter: StoredDeadLetter) {
        self.edits.append(.remove(ConsumerKeys.deadLetter(self.number, letter.position, letter.serial)))
        self.deadLetters -= min(1, self.deadLetters)
    }

    /// Gives back whatever a session holds, as not begun: it leaves in order.
    mutating func leave(_ session: UInt64) {
        var returned: [Waiting] = []
        for grant in self.grants where grant.session == session {
            for gap in grant.finished.gaps(below: grant.positions.count) {
                for index in gap {
                    var entry = self.take(grant, index)
                    entry.count = grant.count(index) - 1
                    returned.append(entry)
                }
            }
            self.remove(grant.number)
        }
        self.putBack(returned)
        self.participants.removeAll { $0.session == session }
    }

    /// Moves the consumer: whatever is held or waiting is forgotten, dead letters stay.
    mutating func seek(to position: UInt64) {
        for grant in self.grants { self.edits.append(.remove(ConsumerKeys.grant(self.number, grant.number))) }
        for entry in self.waiting {
            self.edits.append(.remove(ConsumerKeys.waiting(self.number, entry.position)))
        }
        (self.grants, self.waiting) = ([], [])
        self.epoch += 1
        self.frontier = position
    }
}
