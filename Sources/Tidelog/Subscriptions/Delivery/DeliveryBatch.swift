import TidelogStorage

/// The events of a grant, by their index in it.
enum GrantedRecords: Sendable {
    /// All of them, as they were read.
    case whole([PlacedRecord])
    /// Some are not there any more.
    case gapped([PlacedRecord?])

    subscript(index: Int) -> PlacedRecord? {
        switch self {
        case .whole(let records): records[index]
        case .gapped(let records): records[index]
        }
    }
}

/// The events of one grant, with what became of each in this process.
///
/// A delivery is a reference to this and an index, so that handing one out allocates nothing.
final class DeliveryBatch: Sendable {
    /// Where a delivery is.
    enum Place: UInt8 {
        /// Fetched, and not handed out yet.
        case queued
        /// In a handler's hands.
        case inHand
        /// Acknowledged, failed, parked or given back.
        case settled
        /// Not ours any more.
        case lost
    }

    struct State {
        var places: [Place]
        /// The lane that each was handed to.
        var lanes: [Int32]
        /// When the lease of each in hand ends, in milliseconds of the boot.
        var leases: [UInt64]
        /// Acknowledged and not yet on the way to the writer.
        var acknowledged: [Range<Int>] = []
        /// Not settled, and not lost.
        var open: Int
        /// When the grant's lease ends, in the boot's nanoseconds.
        var deadline: UInt64
        /// Whether the core knows that there is something to commit.
        var isListed = false
        /// Whether the grant is gone.
        var isLost = false
    }

    let core: ConsumerCore
    let grant: Grant
    let epoch: UInt64
    let records: GrantedRecords
    let state: Lock<State>

    init(core: ConsumerCore, grant: Grant, epoch: UInt64, records: GrantedRecords) {
        self.core = core
        self.grant = grant
        self.epoch = epoch
        self.records = records
        let count = grant.positions.count
        self.state = Lock(
            State(
                places: [Place](repeating: .queued, count: count),
                lanes: [Int32](repeating: -1, count: count), leases: [UInt64](repeating: 0, count: count),
                open: count, deadline: grant.deadline))
    }

    // MARK: Handing out

    /// Marks an event as handed out; false if it cannot be any more.
    func handOut(_ index: Int, lane: Int32, now: UInt64, leaseNanoseconds: UInt64) -> Bool {
        self.state.withLock { state in
            guard state.places[index] == .queued, state.deadline > now else { return false }
            state.places[index] = .inHand
            state.lanes[index] = lane
            state.leases[index] = (now &+ leaseNanoseconds) / 1_000_000
            return true
        }
    }

    /// The lane that an event was handed to.
    func lane(of index: Int) -> Int32 { self.state.withLock { $0.lanes[index] } }

    /// What a lane has in hand at positions before this one.
    func held(by lane: Int32, before position: UInt64) -> [Int] {
        self.state.withLock { state in
            var indexes: [Int] = []
            for index in state.places.indices {
                if self.grant.positions[index] >= position { break }
                if state.places[index] == .inHand, state.lanes[index] == lane { indexes.append(index) }
            }
            return indexes
        }
    }

    // MARK: Settling

    /// Notes an acknowledgement; answers whether the batch has to be listed with the core.
    func acknowledge(_ index: Int) throws(EventLogError) -> Bool {
        let now = BootClock.now
        let outcome = self.state.withLock { state -> (Place, Bool) in
            guard state.places[index] == .inHand else { return (state.places[index], false) }
            guard state.deadline > now else { return (.lost, false) }
            state.places[index] = .settled
            state.open -= 1
            if let last = state.acknowledged.last, last.upperBound == index {
                state.acknowledged[state.acknowledged.count - 1] = last.lowerBound..<index + 1
            } else {
                state.acknowledged.append(index..<index + 1)
            }
            defer { state.isListed = true }
            return (.inHand, !state.isListed)
        }
        if outcome.0 != .inHand { throw Self.refusal(outcome.0) }
        return outcome.1
    }

    /// Takes an event out of its handler's hands, to fail it or give it back.
    func settle(_ index: Int) throws(EventLogError) {
        let now = BootClock.now
        let place = self.state.withLock { state -> Place in
            guard state.places[index] == .inHand else { return state.places[index] }
            guard state.deadline > now else { return .lost }
            state.places[index] = .settled
            state.open -= 1
            return .inHand
        }
        if place != .inHand { throw Self.refusal(place) }
    }

    /// Puts an event back into its handler's hands: what was asked for could not be done. False if the grant has
    /// been lost meanwhile, and the event with it.
    func unsettle(_ index: Int) -> Bool {
        self.state.withLock { state in
            guard state.places[index] == .settled else { return true }
            state.places[index] = state.isLost ? .lost : .inHand
            if !state.isLost { state.open += 1 }
            return !state.isLost
        }
    }

    /// Gives a handler so much time from now on.
    func extend(_ index: Int, by nanoseconds: UInt64) throws(EventLogError) {
        let now = BootClock.now
        let place = self.state.withLock { state -> Place in
            guard state.places[index] == .inHand else { return state.places[index] }
            guard state.deadline > now else { return .lost }
            state.leases[index] = (now &+ nanoseconds) / 1_000_000
            return .inHand
        }
        if place != .inHand { throw Self.refusal(place) }
    }

    private static func refusal(_ place: Place) -> EventLogError {
        switch place {
        case .settled:
            EventLogError(
                .alreadySettled, "the delivery was acknowledged, given back or parked before; settle it once")
        case .queued, .inHand, .lost:
            EventLogError(
                .leaseLost,
                "the delivery is no longer this member's: its lease ran out, or the consumer was moved; the "
                    + "event is delivered again, so undo or ignore what was done")
        }
    }

    // MARK: The core's side

    /// What was acknowledged since the last call.
    func takeAcknowledged() -> [Range<Int>] {
        self.state.withLock { state in
            state.isListed = false
            defer { state.acknowledged = [] }
            return state.acknowledged
        }
    }

    /// Takes an event back before it was handed out; false if it was.
    func withdraw(_ index: Int) -> Bool {
        self.state.withLock { state in
            guard state.places[index] == .queued else { return false }
            state.places[index] = .settled
            state.open -= 1
            return true
        }
    }

    /// Takes back what is in the hands of these lanes; nil: of all.
    func withdraw(lanes: Set<Int32>) -> [Int] {
        self.state.withLock { state in
            var indexes: [Int] = []
            for index in state.places.indices
            where state.places[index] == .inHand && lanes.contains(state.lanes[index]) {
                state.places[index] = .settled
                state.open -= 1
                indexes.append(index)
            }
            return indexes
        }
    }

    /// What is in hand longer than its lease is lost to its handler; answers it, and whether the grant's
    /// lease should be renewed.
    func tend(now: UInt64) -> (overdue: [Int], mustRenew: Bool) {
        self.state.withLock { state in
            guard state.deadline > now else { return ([], false) }
            var overdue: [Int] = []
            for index in state.places.indices
            where state.places[index] == .inHand && state.leases[index] <= now / 1_000_000 {
                state.places[index] = .lost
                state.open -= 1
                overdue.append(index)
            }
            return (overdue, state.open > 0)
        }
    }

    func renewed(until deadline: UInt64) {
        self.state.withLock { $0.deadline = deadline }
    }

    /// The grant is gone: nothing of it may be settled any more. Answers what was in handlers' hands, and what nobody
    /// had yet.
    @discardableResult
    func lose() -> (inHand: [Int], queued: [Int]) {
        self.state.withLock { state in
            let inHand = state.places.indices.filter { state.places[$0] == .inHand }
            let queued = state.places.indices.filter { state.places[$0] == .queued }
            for index in inHand + queued { state.places[index] = .lost }
            state.isLost = true
            state.open = 0
            state.deadline = 0
            state.acknowledged = []
            return (inHand, queued)
        }
    }

    /// Events that are neither settled nor lost, and when the grant's lease ends.
    var standing: (open: Int, deadline: UInt64) { self.state.withLock { ($0.open, $0.deadline) } }
}
