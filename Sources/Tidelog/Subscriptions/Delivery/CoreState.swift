import TidelogStorage

/// What a process knows of a consumer's ledger as of one transaction.
struct LedgerSnapshot: Sendable {
    var version: UInt64
    var epoch: UInt64
    var frontier: UInt64
    var checkpoint: UInt64
    var isPaused: Bool
    /// Waiting events that nobody holds and that are due.
    var grantable: Int
    /// When the next one becomes due.
    var nextDue: UInt64?
    /// Whether nothing new may be granted until some that wait are done.
    var isBlocked: Bool
    /// The grants of this session, with their leases.
    var ownGrants: [UInt64: UInt64]
    /// When the first lease of another session ends.
    var foreignDeadline: UInt64?
    var participants: [Participant]
    /// The most of what is held or waits that this session may hold; nil where it may have everything.
    var part: Int?

    init(_ ledger: Ledger, session: UInt64, _ moment: Moment) {
        self.version = ledger.version
        self.epoch = ledger.epoch
        self.frontier = ledger.frontier
        self.checkpoint = ledger.checkpoint
        self.isPaused = ledger.isPaused
        self.grantable =
            ledger.waiting.isEmpty
            ? 0 : ledger.waiting.count { !$0.isHeld && $0.due <= moment.monotonic }
        self.nextDue = ledger.nextDue(after: moment)
        self.participants = ledger.participants
        self.part = ledger.part(of: session, fresh: 0, moment)
        self.isBlocked =
            ledger.waiting.count >= ledger.settings.maximumWaiting
            || (ledger.settings.ordering.kind == .whole && ledger.waiting.contains { !$0.isHeld })
        self.ownGrants = [:]
        for grant in ledger.grants {
            if grant.session == session {
                self.ownGrants[grant.number] = grant.deadline
            } else {
                self.foreignDeadline = min(self.foreignDeadline ?? .max, grant.deadline)
            }
        }
    }
}

/// Somebody who waits for deliveries.
struct Taker {
    let id: Int
    let lane: Int32
    let maximum: Int
    /// When to answer with nothing; nil: wait on.
    let deadline: UInt64?
    /// Nothing at all says that the consumer has ended.
    let reply: UnsafeContinuation<Result<[Delivery]?, EventLogError>, Never>
}

/// Somebody who waits until what he settled is durable.
struct Settling {
    let grant: UInt64
    let indexes: Range<Int>
    let reply: UnsafeContinuation<EventLogError?, Never>
}

/// A consumer that is open in this process.
struct LocalMember {
    var lanes: Set<Int32> = []
    let events: AsyncStream<ConsumerEvent>.Continuation
}

/// What a core keeps under its lock.
struct CoreState {
    var name: String
    var settings: ConsumerSettings { didSet { self.lease = self.settings.leaseNanoseconds } }
    /// The settings' lease, in nanoseconds.
    private var lease: UInt64
    var snapshot: LedgerSnapshot
    var queue = DeliveryQueue()
    var batches: [UInt64: DeliveryBatch] = [:]
    var failed: [SessionReport.Failure] = []
    var released: [(grant: UInt64, range: Range<Int>)] = []
    /// Keys of which something goes back to the ledger with the next change: what a grant that is under way brings
    /// of them must not overtake it.
    var withheld: Set<UInt32> = []
    /// Finished without a handler: the event is there no more.
    var vanished: [(grant: UInt64, range: Range<Int>)] = []
    var settling: [Settling] = []
    var takers: [Taker] = []
    var members: [Int: LocalMember] = [:]
    var membersChanged = false
    var nextID = 0
    var nextLane: Int32 = 0
    /// Up to here nothing is left to be read from the frontier on.
    var scannedTo: UInt64
    var logEnd: UInt64
    /// When somebody last asked for a delivery, in the boot's nanoseconds.
    var lastTake: UInt64 = 0
    /// When acknowledgements must be on their way.
    var lingerUntil: UInt64?
    /// No further attempt to get waiting events before this.
    var quietUntil: UInt64 = 0
    /// How much was queued after the ledger was last asked for more.
    var lastFill = 0
    /// When leases are looked at.
    var tendAt: UInt64?
    /// When an offset that moved without an event is to be committed.
    var advanceAt: UInt64?
    var mustLook = false
    var mustReclaim = true
    /// Until its first change the ledger may say that this session holds something: a core before this one could not
    /// give it back when it ended, since the disk was full.
    var mustInherit = true
    var failure: EventLogError?
    /// Set once the core ends: nothing is handed out or taken in any more.
    var ending: CoreEnding?
    /// The pump, while it sleeps.
    var pump: UnsafeContinuation<Void, Never>?
    var isSignalled = false

    init(
        name: String, settings: ConsumerSettings, snapshot: LedgerSnapshot, scannedTo: UInt64, logEnd: UInt64
    ) {
        (self.name, self.settings, self.lease) = (name, settings, settings.leaseNanoseconds)
        (self.snapshot, self.scannedTo, self.logEnd) = (snapshot, scannedTo, logEnd)
    }

    var isStopping: Bool { self.ending != nil }
    var openEvents: Int { self.batches.values.reduce(0) { $0 + $1.standing.open } }

    /// Whether to ask for more: when half of a prefetch is used up. Where others take part, less than that may be all
    /// that can be had: there, when half of what was queued the last time is used up, or when somebody waits.
    var isLow: Bool {
        let half = self.settings.prefetch / 2
        guard self.snapshot.part != nil else { return self.queue.count <= half }
        return self.queue.count <= min(half, self.lastFill / 2) || !self.takers.isEmpty
    }

    /// Whether there is something for the pump to do when somebody has taken what there was.
    var isWaitingForPump: Bool { self.isLow || self.mustReclaim }

    /// Hands out up to `maximum` events to a lane.
    mutating func take(_ lane: Int32, _ maximum: Int, now: UInt64) -> [Delivery] {
        var deliveries: [Delivery] = []
        while deliveries.count < maximum, let delivery = self.takeOne(lane, now: now) {
            deliveries.append(delivery)
        }
        return deliveries
    }

    mutating func takeOne(_ lane: Int32, now: UInt64) -> Delivery? {
        self.lastTake = now
        guard !self.snapshot.isPaused else { return nil }
        while let item = self.queue.take(lane) {
            if item.batch.handOut(item.index, lane: lane, now: now, leaseNanoseconds: self.lease) {
                return Delivery(batch: item.batch, index: item.index)
            }
            _ = self.queue.release(item.key)
            if item.batch.standing.deadline <= now { self.expire(item) }
        }
        return nil
    }

    /// Nothing of a batch can be handed out any more, as its lease is over: it is taken back, in all processes alike.
    /// Until then nothing else of its keys is handed out, which would overtake it.
    private mutating func expire(_ item: DeliveryQueue.Item) {
        let gone = self.queue.extract { $0.batch === item.batch }
        self.withhold([item.key] + gone.map(\.key))
        self.mustReclaim = true
    }

    /// Gives waiting takers what they may have; answers whom to wake with what.
    mutating func feed(now: UInt64) -> [(Taker, [Delivery])] {
        var fed: [(Taker, [Delivery])] = []
        var place = 0
        while place < self.takers.count, self.queue.count > 0 {
            let deliveries = self.take(self.takers[place].lane, self.takers[place].maximum, now: now)
            if deliveries.isEmpty {
                place += 1
            } else {
                fed.append((self.takers.remove(at: place), deliveries))
            }
        }
        return fed
    }

    /// Keeps later events of a key from overtaking one that goes back.
    mutating func withhold(_ key: UInt32) { self.withhold([key]) }

    /// As ``withhold(_:)``, for many keys.
    private mutating func withhold(_ keys: [UInt32]) {
        let keys = Set(keys).subtracting([0])
        guard !keys.isEmpty else { return }
        self.withheld.formUnion(keys)
        self.giveBack { keys.contains($0.key) }
    }

    /// Takes queued events back, to be given to others or later.
    mutating func giveBack(_ mustGo: (DeliveryQueue.Item) -> Bool) {
        for item in self.queue.extract(mustGo) where item.batch.withdraw(item.index) {
            if item.key != 0 { self.withheld.insert(item.key) }
            self.released.append((item.batch.grant.number, item.index..<item.index + 1))
        }
    }

    /// Gives back what is queued beyond this process's part, so that others can have it: whole keys, as of one key
    /// only one process holds some.
    mutating func keep(_ part: Int) {
        let inHand = self.queue.keysInHand
        // What has a key that is in hand stays: nobody else could have it.
        let items = self.queue.items.filter { !inHand.contains($0.key) }
        var share = FairShare(room: part - (self.openEvents - items.count))
        for item in items { share.add(item.key) }
        var gone: Set<UInt64> = []
        for item in items where !share.admits(item.key) { gone.insert(item.position) }
        if !gone.isEmpty { self.giveBack { gone.contains($0.position) } }
        self.lastFill = self.queue.count
    }

    /// Forgets a batch whose grant is gone. Its handlers cannot settle what they have in hand any more, so their
    /// lanes hold those keys no longer. Unless the consumer was moved, its events come again, before later ones of
    /// their keys.
    mutating func lose(_ batch: DeliveryBatch) {
        let lost = batch.lose()
        self.batches[batch.grant.number] = nil
        _ = self.queue.extract { $0.batch === batch }
        self.failed.removeAll { $0.grant == batch.grant.number }
        self.released.removeAll { $0.grant == batch.grant.number }
        if batch.epoch == self.snapshot.epoch {
            self.withhold((lost.inHand + lost.queued).map(batch.grant.key))
        }
        for index in lost.inHand { _ = self.queue.release(batch.grant.key(index)) }
    }
}
