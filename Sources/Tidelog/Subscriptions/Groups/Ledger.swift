/// All that is durable of a consumer: the protocol of groups as a value, without I/O.
///
/// Every process changes it inside a head transaction, so that there is one order of changes. It gathers in
/// `edits` which records they touch. Invariants (see Docs/Decisions/subscriptions.md):
///
/// - a position below `frontier` is finished unless exactly one grant has it unfinished, or it is waiting, or
///   it is a dead letter; a position that is waiting and `isHeld` is unfinished in one grant as well;
/// - the checkpoint is the lowest unfinished or waiting position, else the frontier; only a seek lowers it;
/// - grants' numbers are used once; a report that names a grant that is gone changes nothing;
/// - of events with one key, at most one session holds some, and none is granted before an earlier one of it.
struct Ledger: Sendable {
    /// The consumer's number, in the keys of its records.
    let number: UInt64
    var settings: ConsumerSettings

    /// Counts the changes, so that another process's are noticed.
    var version: UInt64 = 0
    /// The boot that deadlines are counted in.
    var boot: UInt64 = 0
    /// Counts seeks.
    var epoch: UInt64 = 0
    /// No position from here on has been granted.
    var frontier: UInt64
    var isPaused = false
    var nextGrant: UInt64 = 1
    var grants: [Grant] = []
    /// Ascending by position.
    var waiting: [Waiting] = []
    var participants: [Participant] = []
    var counters = LedgerCounters()
    var deadLetters: UInt64 = 0
    /// Nanoseconds since 1970 when something was last finished; 0 if never.
    var lastProgress: Int64 = 0
    var lastError: (attempt: Attempt, position: UInt64)?
    var rate = RateMeter()

    /// Records to be written; the state's own is not among them.
    var edits: [LedgerEdit] = []

    init(number: UInt64, settings: ConsumerSettings, frontier: UInt64) {
        self.number = number
        self.settings = settings
        self.frontier = frontier
    }

    /// The lowest position that is not finished.
    var checkpoint: UInt64 {
        var lowest = self.frontier
        if let first = self.waiting.first { lowest = min(lowest, first.position) }
        for grant in self.grants { if let first = grant.firstUnfinished { lowest = min(lowest, first) } }
        return lowest
    }

    /// Events that somebody holds.
    var inFlight: Int { self.grants.reduce(0) { $0 + $1.unfinished } }

    /// Events that failed and will be tried again.
    var retries: Int { self.waiting.count { !$0.isHeld && !$0.attempts.isEmpty } }

    /// When the next waiting event becomes due, if one will.
    func nextDue(after moment: Moment) -> UInt64? {
        var next: UInt64?
        for entry in self.waiting where !entry.isHeld && entry.due > moment.monotonic {
            next = min(next ?? .max, entry.due)
        }
        return next
    }

    // MARK: Sessions

    /// Notes that a session takes part with so many members; zero takes it out.
    mutating func participate(_ session: UInt64, members: Int, process: UInt32, _ moment: Moment) {
        let known = self.participants.firstIndex { $0.session == session }
        if members == 0 {
            if let known { self.participants.remove(at: known) }
        } else if let known {
            self.participants[known].members = UInt32(members)
        } else {
            self.participants.append(
                Participant(
                    session: session, members: UInt32(members), joined: moment.wall, process: process))
        }
    }

    /// Ends the leases that are over: past their deadline, of an earlier boot, or of sessions that are gone.
    /// Answers the sessions that lost something.
    mutating func reclaim(_ moment: Moment, isPresent: (UInt64) -> Bool) -> [UInt64] {
        let isOtherBoot = self.boot != moment.boot
        if isOtherBoot { self.carryOver(moment) }
        var present: [UInt64: Bool] = [:]
        func isThere(_ session: UInt64) -> Bool {
            if let known = present[session] { return known }
            let answer = isPresent(session)
            present[session] = answer
            return answer
        }
        var losers: [UInt64] = []
        for grant in self.grants {
            let isGone = isOtherBoot || !isThere(grant.session)
            guard isGone || grant.deadline <= moment.monotonic else { continue }
            losers.append(grant.session)
            self.end(
                grant, error: isGone ? "the member's process ended" : "the lease ran out", moment)
        }
        for participant in self.participants where isOtherBoot || !isThere(participant.session) {
            if !losers.contains(participant.session) { losers.append(participant.session) }
            self.participants.removeAll { $0.session == participant.session }
        }
        return losers
    }

    /// Counts times in the present boot; what was left to wait goes on, but no longer than was asked for.
    private mutating func carryOver(_ moment: Moment) {
        self.boot = moment.boot
        for index in self.waiting.indices where self.waiting[index].due > 0 {
            let entry = self.waiting[index]
            let left = min(max(0, entry.wallDue &- moment.wall), Int64(clamping: entry.delay))
            self.waiting[index].due = moment.monotonic + UInt64(left)
            self.write(self.waiting[index])
        }
    }

    /// Takes back what a grant holds. Whether its holder had begun each event is unknown.
    private mutating func end(_ grant: Grant, error: String, _ moment: Moment) {
        let attempt = Attempt(time: moment.wall, error: error)
        var told = attempt
        var returned: [Waiting] = []
        for gap in grant.finished.gaps(below: grant.positions.count) {
            for index in gap {
                var entry = self.take(grant, index)
                entry.count = grant.count(index)
                entry.isUnsure = true
                entry.note(attempt)
                self.counters.retried += 1
                if grant.isAlone, self.mustGiveUp(entry.count) {
                    if self.bury(entry, reason: error, moment) { continue }
                    entry.wait(Self.fullDelay, from: moment)
                    told = self.noRoom(attempt)
                }
                returned.append(entry)
            }
        }
        self.lastError = (told, grant.firstUnfinished ?? 0)
        self.putBack(returned)
        self.remove(grant.number)
    }

    // MARK: Reports

    /// Notes what a session says of its deliveries; answers what could not be done.
    mutating func note(
        _ report: SessionReport, from session: UInt64, _ moment: Moment
    ) -> Verdict {
        var verdict = Verdict()
        for item in report.finished {
            guard let place = self.place(of: item.grant, session, item.range) else {
                verdict.stale.append(item)
                continue
            }
            if !self.waiting.isEmpty, !self.grants[place].counts.isEmpty {
                for index in item.range { self.forget(self.grants[place].positions[index]) }
            }
            self.grants[place].finished.insert(item.range)
            self.counters.acknowledged += UInt64(item.range.count)
            self.rate.add(UInt64(item.range.count), moment.wall)
            self.lastProgress = moment.wall
        }
        var returned: [Waiting] = []
        for failure in report.failed {
            let range = failure.index..<failure.index + 1
            guard let place = self.place(of: failure.grant, session, range) else {
                verdict.stale.append((failure.grant, range))
                continue
            }
            if let (entry, isUnburied) = self.fail(failure, place, moment) {
                returned.append(entry)
                if isUnburied {
                    verdict.unburied.append((failure.grant, failure.index, entry.position))
                }
            }
        }
        for item in report.released {
            guard let place = self.place(of: item.grant, session, item.range) else {
                verdict.stale.append(item)
                continue
            }
            for index in item.range {
                var entry = self.take(self.grants[place], index)
                entry.count = self.grants[place].count(index) - 1
                returned.append(entry)
            }
            self.counters.delivered -= min(self.counters.delivered, UInt64(item.range.count))
            self.grants[place].finished.insert(item.range)
        }
        self.putBack(returned)
        for number in report.renewed {
            guard let place = self.grants.firstIndex(where: { $0.number == number && $0.session == session })
            else { continue }
            self.grants[place].deadline = moment.monotonic + self.settings.leaseNanoseconds
        }
        for grant in self.grants where grant.session == session && grant.isDone { self.remove(grant.number) }
        return verdict
    }

    /// Whether the session holds all of `range` of that grant.
    func holds(_ number: UInt64, _ session: UInt64, _ range: Range<Int>) -> Bool {
        self.place(of: number, session, range) != nil
    }

    private func place(of number: UInt64, _ session: UInt64, _ range: Range<Int>) -> Int? {
        guard let place = self.grants.firstIndex(where: { $0.number == number }),
            self.grants[place].session == session, range.lowerBound >= 0,
            range.upperBound <= self.grants[place].positions.count,
            self.grants[place].finished.isDisjoint(from: range)
        else { return nil }
        return place
    }

    /// Nil if it has become a dead letter.
    private mutating func fail(
        _ failure: SessionReport.Failure, _ place: Int, _ moment: Moment
    ) -> (entry: Waiting, isUnburied: Bool)? {
        let grant = self.grants[place]
        let attempt = Attempt(time: moment.wall, error: failure.error)
        var entry = self.take(grant, failure.index)
        entry.count = grant.count(failure.index)
        entry.isUnsure = false
        entry.note(attempt)
        self.grants[place].finished.insert(failure.index..<failure.index + 1)
        self.lastError = (attempt, entry.position)
        let mustBury = failure.isFinal || self.mustGiveUp(entry.count)
        if mustBury, self.bury(entry, reason: failure.error, moment) {
            self.lastProgress = moment.wall
            return nil
        }
        if mustBury { self.lastError = (self.noRoom(attempt), entry.position) }
        let random = (entry.position &+ UInt64(entry.count)) &* 0x9E37_79B9_7F4A_7C15
        let delay =
            failure.delay
            ?? self.settings.retry.delay(after: entry.count, random: random ^ random >> 29)
        entry.wait(mustBury ? max(delay, Self.fullDelay) : delay, from: moment)
        self.counters.retried += 1
        return (entry, mustBury)
    }

    /// How long an event that should become a dead letter waits at the least, in nanoseconds, where there is no room
    /// for another one: it may fail at once each time.
    private static let fullDelay: UInt64 = 1_000_000_000

    /// What is told of such an event.
    private func noRoom(_ attempt: Attempt) -> Attempt {
        let full = "the dead letters are full (\(self.settings.maximumDeadLetters)); the event is tried again"
        return Attempt(time: attempt.time, error: "\(full): \(attempt.error)")
    }

    private func mustGiveUp(_ count: UInt32) -> Bool {
        self.settings.retry.maximumDeliveries.map { count >= UInt32(clamping: $0) } ?? false
    }
}
