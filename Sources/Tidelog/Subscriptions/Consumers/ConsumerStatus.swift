import TidelogStorage

/// How a consumer stands.
public struct ConsumerStatus: Sendable {
    /// A process that takes part.
    public struct Session: Sendable, Hashable {
        /// Its number, the same as in ``ConsumerEvent``.
        public let id: UInt64
        /// The process.
        public let processID: Int
        /// Consumers open in it.
        public let members: Int
        /// Since when.
        public let joined: Timestamp
        /// Events that it holds.
        public let inFlight: Int
    }

    /// The error of a handler.
    public struct Failure: Sendable, Hashable {
        /// When it was thrown.
        public let time: Timestamp
        /// What it said.
        public let error: String
        /// At which event.
        public let position: Position
    }

    /// Its name.
    public let name: String
    /// Its settings.
    public let settings: ConsumerSettings
    /// The position of the lowest event that it has not finished.
    public let offset: Position
    /// Positions from the offset to the end of the log: never fewer than the events that it has to do.
    public let lag: Int
    /// How old the first event is that there is at the offset or after it, by the event's own timestamp; zero if there
    /// is none. The filter is not asked: the offset passes what it leaves out within a moment.
    public let lagTime: Duration
    /// Events that members hold.
    public let inFlight: Int
    /// Events that failed and will be tried again.
    public let retries: Int
    /// Events that wait for an earlier one of their key.
    public let waiting: Int
    /// Events that were given up on.
    public let deadLetters: Int
    /// Since the consumer was created: events delivered, acknowledged, tried again, given up on.
    public let delivered: Int, acknowledged: Int, retried: Int, deadLettered: Int
    /// Events acknowledged in a second, lately.
    public let rate: Double
    /// Whether it is paused.
    public let isPaused: Bool
    /// When it last finished something; nil if never.
    public let lastProgress: Timestamp?
    /// The last error; where the event should have become a dead letter and they are full, it says so.
    public let lastError: Failure?
    /// The processes that take part.
    public let sessions: [Session]

    init(_ name: String, _ ledger: Ledger, end: UInt64, oldest: Int64?, _ moment: Moment) {
        self.name = name
        self.settings = ledger.settings
        let checkpoint = ledger.checkpoint
        self.offset = Position(checkpoint)
        self.lag = Int(end - min(end, checkpoint))
        self.lagTime = .nanoseconds(max(0, oldest.map { moment.wall &- $0 } ?? 0))
        self.inFlight = ledger.inFlight
        self.retries = ledger.retries
        self.waiting = ledger.waiting.count { !$0.isHeld && $0.attempts.isEmpty }
        self.deadLetters = Int(clamping: ledger.deadLetters)
        self.delivered = Int(clamping: ledger.counters.delivered)
        self.acknowledged = Int(clamping: ledger.counters.acknowledged)
        self.retried = Int(clamping: ledger.counters.retried)
        self.deadLettered = Int(clamping: ledger.counters.deadLettered)
        self.rate = ledger.rate.value(moment.wall)
        self.isPaused = ledger.isPaused
        self.lastProgress =
            ledger.lastProgress == 0 ? nil : Timestamp(nanosecondsSinceEpoch: ledger.lastProgress)
        self.lastError = ledger.lastError.map {
            Failure(
                time: Timestamp(nanosecondsSinceEpoch: $0.attempt.time), error: $0.attempt.error,
                position: Position($0.position))
        }
        self.sessions = ledger.participants.map { participant in
            Session(
                id: participant.session, processID: Int(participant.process),
                members: Int(participant.members),
                joined: Timestamp(nanosecondsSinceEpoch: participant.joined),
                inFlight: ledger.grants.reduce(0) {
                    $0 + ($1.session == participant.session ? $1.unfinished : 0)
                })
        }
    }
}
