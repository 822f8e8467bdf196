/// What one session holds: events that were granted together, in ascending order.
///
/// All but `deadline` and `finished` never changes once it is written.
struct Grant: Equatable, Sendable {
    /// Used once: the fencing token of its deliveries.
    let number: UInt64
    let session: UInt64
    /// Whether the session holds nothing else, so that its death is this event's doing.
    let isAlone: Bool
    let positions: [UInt64]
    /// How often each has been granted, this time included; empty where all are at their first.
    let counts: [UInt32]
    /// The key of each; empty where none has one.
    let keys: [UInt32]
    /// When the lease ends, in the boot's nanoseconds.
    var deadline: UInt64
    var finished = FinishedSet()

    func count(_ index: Int) -> UInt32 { self.counts.isEmpty ? 1 : self.counts[index] }
    func key(_ index: Int) -> UInt32 { self.keys.isEmpty ? 0 : self.keys[index] }
    var isDone: Bool { self.finished.count == self.positions.count }
    var unfinished: Int { self.positions.count - self.finished.count }
    /// The lowest position that is not finished.
    var firstUnfinished: UInt64? {
        let index = self.finished.firstGap
        return index < self.positions.count ? self.positions[index] : nil
    }

    /// Adds the keys of what is not finished.
    func addKeys(to keys: inout Set<UInt32>) {
        guard !self.keys.isEmpty else { return }
        for gap in self.finished.gaps(below: self.positions.count) {
            for index in gap { keys.insert(self.keys[index]) }
        }
    }
}

/// One delivery that did not end well.
struct Attempt: Equatable, Sendable {
    /// Nanoseconds since 1970.
    var time: Int64
    var error: String
}

/// An event below the frontier that is to be granted (again), or that was before and is held now.
struct Waiting: Equatable, Sendable {
    let position: UInt64
    let key: UInt32
    /// How often it has been granted.
    var count: UInt32 = 0
    /// When it may be granted, in the boot's nanoseconds; 0 at once.
    var due: UInt64 = 0
    /// The same by the wall clock, and the delay that was asked for: for another boot.
    var wallDue: Int64 = 0
    var delay: UInt64 = 0
    /// Whether its last holder died, or lost it, without a word.
    var isUnsure = false
    /// Whether a grant has it.
    var isHeld = false
    var attempts: [Attempt] = []

    /// Whether it may have killed who held it and must be granted alone.
    var isSuspect: Bool { self.isUnsure && self.count >= 2 }

    /// The most attempts that are kept.
    private static let maximumAttempts = 100
    /// How many of them are the first ones: they say how it began, the last ones how it stands.
    private static let firstAttempts = 10

    /// Keeps what became of a delivery; of very many the first and the last ones.
    mutating func note(_ attempt: Attempt) {
        if self.attempts.count >= Self.maximumAttempts { self.attempts.remove(at: Self.firstAttempts) }
        self.attempts.append(attempt)
    }

    /// Lets it wait so many nanoseconds from now on.
    mutating func wait(_ delay: UInt64, from moment: Moment) {
        self.delay = delay
        self.due = delay == 0 ? 0 : moment.monotonic + delay
        self.wallDue = moment.wall &+ Int64(clamping: delay)
    }
}

/// An event that was given up on.
struct StoredDeadLetter: Equatable, Sendable {
    let position: UInt64
    /// Tells apart two of one position: after a seek it may be given up on again.
    let serial: UInt64
    let key: UInt32
    let count: UInt32
    /// When it was given up on, nanoseconds since 1970.
    let time: Int64
    let reason: String
    let attempts: [Attempt]
}

/// A process that takes part, by its session.
struct Participant: Equatable, Sendable {
    let session: UInt64
    /// Consumers open in it.
    var members: UInt32
    /// Nanoseconds since 1970.
    let joined: Int64
    let process: UInt32
}

/// What has been counted since the consumer was created.
struct LedgerCounters: Equatable, Sendable {
    var delivered: UInt64 = 0
    var acknowledged: UInt64 = 0
    var retried: UInt64 = 0
    var deadLettered: UInt64 = 0
}

/// What a change did to a ledger, for metrics.
struct LedgerMove: Sendable {
    let old: LedgerCounters
    let new: LedgerCounters
    let checkpoint: UInt64

    init(_ old: LedgerCounters, _ ledger: Ledger) {
        (self.old, self.new, self.checkpoint) = (old, ledger.counters, ledger.checkpoint)
    }
}

/// How many events are acknowledged in a second: of the last whole window, and of the one that runs.
struct RateMeter: Equatable, Sendable {
    /// When the window that runs began, nanoseconds since 1970; 0 before the first.
    var since: Int64 = 0
    var count: UInt64 = 0
    /// Events a second, times 1,000, in the window before.
    var last: UInt64 = 0

    static let window: Int64 = 10_000_000_000

    mutating func add(_ events: UInt64, _ now: Int64) {
        let passed = now &- self.since
        if self.since == 0 || passed < 0 {
            (self.since, self.count) = (now, 0)
        } else if passed >= Self.window {
            self.last = Self.rate(self.count, passed)
            (self.since, self.count) = (now, 0)
        }
        self.count += events
    }

    /// Events a second as of now.
    func value(_ now: Int64) -> Double {
        let passed = now &- self.since
        if self.since == 0 || passed >= 2 * Self.window { return 0 }
        let rate =
            passed < Self.window / 5 && self.last > 0 ? self.last : Self.rate(self.count, max(1, passed))
        return Double(rate) / 1000
    }

    private static func rate(_ count: UInt64, _ nanoseconds: Int64) -> UInt64 {
        UInt64(Double(count) * 1e12 / Double(nanoseconds))
    }
}

/// What a session says happened to its deliveries.
struct SessionReport: Sendable {
    struct Failure: Sendable {
        let grant: UInt64
        let index: Int
        let error: String
        /// Nanoseconds until the next try; nil: as the policy says.
        var delay: UInt64?
        /// Whether to make it a dead letter, whatever its count.
        var isFinal = false
    }

    var finished: [(grant: UInt64, range: Range<Int>)] = []
    var failed: [Failure] = []
    /// Given back without having been begun.
    var released: [(grant: UInt64, range: Range<Int>)] = []
    /// Grants whose leases begin anew.
    var renewed: [UInt64] = []

    var isEmpty: Bool {
        self.finished.isEmpty && self.failed.isEmpty && self.released.isEmpty && self.renewed.isEmpty
    }
}

/// What of a report could not be done.
struct Verdict: Sendable {
    /// The session no longer held it.
    var stale: [(grant: UInt64, range: Range<Int>)] = []
    /// There was no room for another dead letter: it is tried again.
    var unburied: [(grant: UInt64, index: Int, position: UInt64)] = []
}

/// Events that a session read from the frontier on and would like to have.
struct Proposal: Sendable {
    /// The epoch and the frontier that it read from.
    var epoch: UInt64
    var from: UInt64
    /// Where reading ended: what lies between and is not listed is none of the consumer's business.
    var to: UInt64
    var positions: [UInt64] = []
    /// Of the same number, or empty where events have no keys.
    var keys: [UInt32] = []
}

/// The time as a ledger needs it.
struct Moment: Sendable {
    /// Nanoseconds of the boot, and which boot.
    var monotonic: UInt64
    var boot: UInt64
    /// Nanoseconds since 1970.
    var wall: Int64
}

/// A record to be written or removed, in the space of consumers.
enum LedgerEdit: Equatable, Sendable {
    case set([UInt8], [UInt8])
    case remove([UInt8])
}
