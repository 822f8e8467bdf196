/// What a session may have of what is to be had, where others take part too.
///
/// It goes by whole keys: of one key only one session holds some, so a part of each would leave nothing to others. A
/// key is taken if there is room when its first event comes, so that none is left over for ever; a session may then
/// have more than its part, by what that key has.
struct FairShare {
    /// Events that it may have beside those that it holds.
    private(set) var room: Int
    /// The keys of what it holds: nobody else can have more of them.
    private let own: Set<UInt32>
    /// How many events are to be had of each key.
    private var counts: [UInt32: Int] = [:]
    /// Whether it may have a key that was asked for.
    private var answers: [UInt32: Bool] = [:]

    init(room: Int, own: Set<UInt32> = []) {
        self.room = room
        self.own = own
    }

    /// One more event of this key is to be had.
    mutating func add(_ key: UInt32) {
        if key != 0 { self.counts[key, default: 0] += 1 }
    }

    /// Whether it may have the next event, which has this key, or none (0).
    mutating func admits(_ key: UInt32) -> Bool {
        if key != 0, let known = self.answers[key] { return known }
        let isAdmitted = self.room > 0 || self.own.contains(key)
        if isAdmitted { self.room -= key == 0 ? 1 : self.counts[key] ?? 0 }
        if key != 0 { self.answers[key] = isAdmitted }
        return isAdmitted
    }
}

extension Ledger {
    /// The most that a session may hold: its part, by members, of all that is held, of what waits and is due, and of
    /// `fresh` events beyond the frontier.
    ///
    /// Nil where it may have everything: it is alone, or all events have one key, of which only one session can hold
    /// some.
    func part(of session: UInt64, fresh: Int, _ moment: Moment) -> Int? {
        guard self.participants.count > 1, self.settings.ordering.kind != .whole else { return nil }
        let members = self.participants.reduce(0) { $0 + Int($1.members) }
        let own = self.participants.first { $0.session == session }.map { Int($0.members) } ?? 1
        let waiting = self.waiting.count { !$0.isHeld && $0.due <= moment.monotonic }
        let backlog = self.inFlight + waiting + fresh
        return max(1, (backlog * own + members - 1) / members)
    }

    /// What a session may have of what waits and of a proposal; nil where it may have everything.
    func share(
        of session: UInt64, holding held: Int, _ own: Set<UInt32>, _ fresh: Proposal?, _ moment: Moment
    ) -> FairShare? {
        let positions = fresh?.positions ?? []
        let first = positions.firstIndex { $0 >= self.frontier } ?? positions.count
        guard let part = self.part(of: session, fresh: positions.count - first, moment) else { return nil }
        var share = FairShare(room: part - held, own: own)
        for entry in self.waiting where !entry.isHeld { share.add(entry.key) }
        if let keys = fresh?.keys, !keys.isEmpty { for key in keys[first...] { share.add(key) } }
        return share
    }
}
