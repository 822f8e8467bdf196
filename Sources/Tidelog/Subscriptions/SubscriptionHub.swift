import Glibc
import Logging
import TidelogStorage

/// What an open log has to do with durable subscriptions: its session, its consumers, and their timers.
///
/// A thread runs while there is a consumer, and sleeps until something is due. What other processes did is
/// noticed by comparing a number in the head whenever the log's own thread has looked whether the log grew.
package final class SubscriptionHub: Sendable {
    private struct State {
        var cores: [UInt64: ConsumerCore] = [:]
        /// When each core wants to be woken, in the boot's nanoseconds.
        var deadlines: [UInt64: UInt64] = [:]
        /// None of them is earlier: finding the earliest anew for each would take as long as there are consumers.
        var earliest = UInt64.max
        var presence: PresenceFile?
        var thread: WorkerThread?
        var watcher: Task<Void, Never>?
        var isClosed = false
        /// The head's transaction and the control counter as they were last seen.
        var seenTransaction: UInt64 = 0
        var seenControl: UInt64 = 0
        /// When they were looked at, in the boot's nanoseconds.
        var polledAt: UInt64 = 0
        /// When scheduled events are looked at, in the boot's nanoseconds.
        var schedulesDue: UInt64?
        var isFiring = false
    }

    let engine: LogEngine
    /// What events that are scheduled must fit when they are due.
    let schemas: SchemaRegistry
    let ledgers = LedgerStore()
    /// This open log among all that ever take part.
    let session = UInt64.random(in: 1...0x3FFF_FFFF_FFFF_FFFF)
    let process = UInt32(truncatingIfNeeded: getpid())
    private let state = Lock(State())
    private let signal = WakeSignal()
    private let pollInterval: UInt64

    private let logger: Logger

    /// Metrics and spans; nil if nobody asked for them.
    let instruments: ConsumerInstruments?

    init(engine: LogEngine, schemas: SchemaRegistry, _ configuration: EventLogConfiguration) {
        self.engine = engine
        self.schemas = schemas
        self.logger = configuration.logger
        self.instruments = ConsumerInstruments(configuration.consumerTelemetry)
        self.pollInterval = engine.options.pollInterval.wholeNanoseconds
    }

    // MARK: Sessions

    /// Whether the process behind a session lives.
    var isPresent: @Sendable (UInt64) -> Bool {
        { [self] session in
            if session == self.session { return true }
            return self.state.withLock { $0.presence }?.isPresent(session) ?? true
        }
    }

    /// Makes this process known to others that ask whether it lives, once.
    func announce() throws(StorageError) {
        try self.state.withLock { state throws(StorageError) in try self.announce(&state) }
    }

    private func announce(_ state: inout State) throws(StorageError) {
        if state.isClosed { throw StorageError(.closed, "the log is closed") }
        guard state.presence == nil else { return }
        let presence = try PresenceFile(self.engine.directory + "/members.lock")
        try presence.announce(self.session)
        state.presence = presence
    }

    /// Makes this process known and starts the thread, once.
    func begin() throws(StorageError) {
        try self.state.withLock { state throws(StorageError) in
            try self.announce(&state)
            guard state.thread == nil else { return }
            state.thread = try WorkerThread(name: "tidelog-subs") { [self] in self.work() }
            self.engine.notifier.onBeat { [self] in self.poll() }
            // From here on, not from when the task begins: what a core is made with in between must not be the last
            // that it hears of.
            let end = self.engine.knownEnd
            state.watcher = Task { [self] in
                var seen = end
                while await self.engine.notifier.wait(beyond: seen) {
                    seen = self.engine.knownEnd
                    for core in self.state.withLock({ Array($0.cores.values) }) { core.logGrew(to: seen) }
                }
            }
        }
    }

    // MARK: Changes and reads

    /// Hands the writer a change of a consumer's ledger, after all that were handed to it before. `reply` learns
    /// what came of it once it is durable; if it is refused, at once.
    func submit<Value: Sendable>(
        _ name: String, number: UInt64?,
        _ body: @escaping @Sendable (inout Ledger) throws(StorageError) -> (Value, mustWrite: Bool),
        raisesControl: Bool = false, reply: @escaping @Sendable (Result<Value, EventLogError>) -> Void
    ) {
        let outcome = Lock<(value: Value, number: UInt64, moved: LedgerMove)?>(nil)
        let raised = Lock<UInt64?>(nil)
        let ledgers = self.ledgers
        let change = HeadChange { transaction throws(StorageError) in
            var mustRaise = raisesControl
            let (value, didWrite) = try ledgers.change(name, number: number, in: transaction) {
                (ledger) throws(StorageError) in
                let (counters, participants) = (ledger.counters, ledger.participants)
                let (value, mustWrite) = try body(&ledger)
                // Who is alone looks at nothing that others do, until they are told that there are some.
                if ledger.participants.map(\.session) != participants.map(\.session) { mustRaise = true }
                return ((value, ledger.number, LedgerMove(counters, ledger)), mustWrite: mustWrite)
            }
            outcome.withLock { $0 = value }
            if mustRaise {
                let control = try ControlCounter.raise(in: transaction)
                raised.withLock { $0 = control }
            }
            return didWrite || mustRaise
        }
        self.engine.submit(change) { [self] error in
            let known = outcome.withLock { $0 }
            if let error {
                // What the transaction made of the ledger is undone: read it anew.
                if let known { ledgers.forget(known.number) }
                reply(.failure(EventLogError(error)))
            } else if let known {
                if let control = raised.withLock({ $0 }) { self.noteOwn(control) }
                self.report(known.moved, of: name)
                reply(.success(known.value))
            } else {
                reply(.failure(EventLogError(.closed, "the log closed before the change was made")))
            }
        }
    }

    /// This process has raised the counter of changes to this value: no need to look for what others did.
    private func noteOwn(_ control: UInt64) {
        self.state.withLock { state in
            if state.seenControl &+ 1 == control { state.seenControl = control }
        }
    }

    /// Tells what a commit has changed, if anybody wants to know.
    func report(_ move: LedgerMove, of name: String) {
        guard let instruments = self.instruments else { return }
        let end = self.engine.knownEnd
        instruments.report(
            name, from: move.old, to: move.new, lag: end - min(end, move.checkpoint))
    }

    /// Reads records on a thread that may block.
    func read<Value: Sendable>(
        _ body: @escaping @Sendable (borrowing RecordView) throws(StorageError) -> Value
    ) async throws(EventLogError) -> Value {
        let engine = self.engine
        do throws(StorageError) {
            return try await engine.pool.run { () throws(StorageError) in try engine.readingRecords(body) }
        } catch {
            throw EventLogError(error)
        }
    }

    /// A handler's delivery could not be settled when it was done: it is, or will be, delivered again.
    func noteUnsettled(_ error: EventLogError) {
        guard error.code != .alreadySettled else { return }
        self.logger.debug("a delivery could not be settled", metadata: ["tidelog.error": "\(error.code)"])
    }

    /// Events that should have become dead letters did not, as there was no room for them.
    func noteUnburied(_ verdict: Verdict, of consumer: String) {
        guard let first = verdict.unburied.first else { return }
        self.logger.warning(
            "a consumer's dead letters are full: what should become one is tried on; retry or drop some",
            metadata: [
                TelemetryNames.logConsumer: "\(consumer)", "tidelog.position": "\(first.position)",
                "tidelog.events": "\(verdict.unburied.count)",
            ])
    }

    func noteUnfired(_ error: StorageError) {
        self.logger.debug(
            "scheduled events could not be appended yet", metadata: ["tidelog.error": "\(error.code)"])
    }

    static func missing(_ name: String) -> StorageError {
        StorageError(.notFound, "there is no consumer '\(name)'; it was deleted, renamed or never created")
    }

    static func atWork(_ name: String, _ ordering: EventOrdering) -> StorageError {
        StorageError(
            .invalidArgument,
            "the consumer '\(name)' has members that work with the ordering \(ordering); let them leave before it is "
                + "opened with another one")
    }

    static func gone(_ name: String, _ from: UInt64, _ first: UInt64) -> String {
        "retention dropped events from position \(from) to \(first) that the consumer '\(name)' has not seen; "
            + "move it with seek, or let it skip them (skipsMissingEvents)"
    }

    // MARK: Cores

    /// The consumer as it is open in this process, opened if it is not yet.
    func core(
        _ name: String, settings: ConsumerSettings, number: UInt64, ledger: Ledger
    ) throws(EventLogError) -> ConsumerCore {
        try EventLogError.translating { () throws(StorageError) in try self.begin() }
        let (core, isFirst) = try self.state.withLock { state throws(EventLogError) in
            if let known = state.cores[number] {
                guard known.ordering.isNamed(as: settings.ordering) else {
                    throw EventLogError(Self.atWork(name, known.ordering))
                }
                return (known, false)
            }
            let isFirst = state.cores.isEmpty
            let core = ConsumerCore(
                hub: self, name: name, number: number, settings: settings,
                snapshot: LedgerSnapshot(ledger, session: self.session, .now))
            state.cores[number] = core
            core.start()
            return (core, isFirst)
        }
        if isFirst { self.signal.wake() }
        return core
    }

    /// Wakes a core at a time, or earlier.
    func wake(_ core: ConsumerCore, at deadline: UInt64) {
        let isEarlier = self.state.withLock { state in
            state.deadlines[core.number] = min(state.deadlines[core.number] ?? .max, deadline)
            defer { state.earliest = min(state.earliest, deadline) }
            return deadline < state.earliest
        }
        if isEarlier { self.signal.wake() }
    }

    /// Lets the consumer's core in this process look at its ledger.
    func lookAgain(_ number: UInt64) {
        self.state.withLock { $0.cores[number] }?.lookAgain()
    }

    /// Takes the last member of a consumer out of this process.
    func remove(_ core: ConsumerCore) {
        self.state.withLock { state in
            // Another core may have taken its place, with deadlines of its own.
            guard state.cores[core.number] === core else { return }
            state.cores[core.number] = nil
            state.deadlines[core.number] = nil
        }
    }

    /// The cores that are open.
    var cores: [ConsumerCore] { self.state.withLock { Array($0.cores.values) } }

    // MARK: The thread

    /// How often processes that died are looked for, in nanoseconds.
    private static let roundInterval: UInt64 = 250_000_000
    /// How often lags are handed to the metrics, in a round; in nanoseconds.
    private static let lagInterval: UInt64 = 1_000_000_000

    private func work() {
        var nextRound = BootClock.now
        var nextLags = nextRound + Self.lagInterval
        while !self.state.withLock({ $0.isClosed }) {
            let now = BootClock.now
            if now >= nextRound {
                self.lookForDeaths()
                nextRound = now + Self.roundInterval
                if now >= nextLags {
                    self.reportLags()
                    nextLags = now + Self.lagInterval
                }
            }
            let (due, next, isIdle) = self.state.withLock { state in
                var due: [ConsumerCore] = []
                var next = UInt64.max
                for (number, deadline) in state.deadlines {
                    if deadline <= now {
                        if let core = state.cores[number] { due.append(core) }
                        state.deadlines[number] = nil
                    } else {
                        next = min(next, deadline)
                    }
                }
                state.earliest = next
                return (due, next, state.cores.isEmpty)
            }
            for core in due { core.signal() }
            let schedulesDue = self.fireIfDue(now)
            let until = min(next, isIdle ? .max : nextRound, schedulesDue ?? .max)
            let left = Duration.nanoseconds(Int64(clamping: until - min(until, now)))
            self.signal.wait(timeout: until == .max ? nil : left)
        }
    }

    /// Lets the thread look at scheduled events.
    func lookAtSchedules() {
        self.state.withLock { $0.schedulesDue = 0 }
        self.signal.wake()
    }

    /// Appends scheduled events that are due, on another thread; answers when to look again.
    private func fireIfDue(_ now: UInt64) -> UInt64? {
        let (mustFire, next) = self.state.withLock { state in
            guard let due = state.schedulesDue, !state.isFiring else { return (false, UInt64?.none) }
            guard due <= now else { return (false, due) }
            (state.isFiring, state.schedulesDue) = (true, nil)
            return (true, nil)
        }
        guard mustFire else { return next }
        let isAccepted = self.engine.pool.submit { [self] in
            let next = self.fireSchedules()
            self.state.withLock { state in
                state.isFiring = false
                if let next { state.schedulesDue = min(state.schedulesDue ?? .max, next) }
            }
            self.signal.wake()
        }
        if !isAccepted { self.state.withLock { $0.isFiring = false } }
        return nil
    }

    /// Notices what other processes did; called on the log's own thread, and at most twice in an interval.
    private func poll() {
        let now = BootClock.now
        let isDue = self.state.withLock { state in
            guard !state.isClosed, now &- state.polledAt >= self.pollInterval / 2 else { return false }
            state.polledAt = now
            return true
        }
        guard isDue, let newest = try? self.engine.newestTransaction() else { return }
        let cores = self.state.withLock { state -> [ConsumerCore]? in
            // Mostly nothing has happened: then this must cost next to nothing, with however many consumers.
            state.seenTransaction != newest ? Array(state.cores.values) : nil
        }
        guard let cores else { return }
        // Readers see a commit once its last flush is done, and its number stands in the file before that: so what
        // counts as seen is what was read, and until that is the newest it is read again.
        let seen = try? self.engine.readingRecords { (reader) throws(StorageError) in
            (control: try ControlCounter.value(in: reader), transaction: reader.transactionID)
        }
        let control = seen?.control ?? 0
        let hasChanged = self.state.withLock { state in
            defer { (state.seenControl, state.seenTransaction) = (control, seen?.transaction ?? newest) }
            if state.seenControl != control { state.schedulesDue = 0 }
            return state.seenControl != control
        }
        for core in cores where hasChanged || core.sharesWithOthers { core.lookIfChanged() }
    }

    /// Notices processes that died.
    private func lookForDeaths() {
        for core in self.cores where core.sharesWithOthers { core.lookForDeaths() }
    }

    // MARK: The end

    /// Commits what was settled, gives the rest back, and ends all consumers. Blocks.
    func close() {
        let (cores, thread, watcher, presence) = self.state.withLock { state in
            state.isClosed = true
            defer {
                (state.cores, state.deadlines) = ([:], [:])
                (state.thread, state.watcher, state.presence) = (nil, nil, nil)
            }
            return (Array(state.cores.values), state.thread, state.watcher, state.presence)
        }
        let endings = cores.map { $0.end() }
        for ending in endings { ending.wait() }
        watcher?.cancel()
        self.engine.notifier.onBeat(nil)
        self.signal.wake()
        thread?.join()
        presence?.withdraw(self.session)
    }
}

extension Moment {
    /// The present one.
    static var now: Moment {
        Moment(monotonic: BootClock.now, boot: BootClock.boot, wall: currentNanoseconds())
    }
}
