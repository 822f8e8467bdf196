#if Postgres
    import Synchronization
    import Tidelog

    /// What the parts of a store share.
    struct StoreContext: Sendable {
        let settings: PostgresSettings
        let configuration: PostgresStoreConfiguration
        let logID: EventID
        private let known: KnownLayout
        /// How large events were found to be.
        let sizes = KnownSizes()
        /// The statements that append, which are long.
        let appendText: String
        let singleAppendTexts: [String]
        /// Those that read, as far as they are the same every time.
        let hiddenText: String
        let streamConditions: [String]
        private(set) var streamTexts: [Bool: String] = [:]

        init(
            settings: PostgresSettings, configuration: PostgresStoreConfiguration, logID: EventID,
            layout: PostgresLayout
        ) {
            self.settings = settings
            self.configuration = configuration
            self.logID = logID
            self.known = KnownLayout(layout)
            self.appendText = StoreFunction.call(configuration.names)
            self.singleAppendTexts = SingleAppendText.all(configuration.names)
            self.hiddenText = StoreSelection.hiddenText(configuration.names)
            self.streamConditions = [
                "e.stream = $2", StoreSelection.hiddenText(configuration.names, ofStream: "$2"),
            ]
            self.streamTexts = StoreSelection.streamTexts(self)
        }

        var names: PostgresNames { self.configuration.names }

        /// The table's layout, as far as is known: somebody may make the table anew while the store is open.
        var layout: PostgresLayout { self.known.layout }

        /// The table was found to be of this layout.
        func note(_ layout: PostgresLayout) { self.known.note(layout) }

        /// The log's UUID as the first parameter of statements.
        var key: PostgresValue {
            let uuid = self.logID.uuid ?? (0, 0)
            return .uuid(uuid.high, uuid.low)
        }

        /// The statement by which a session, or a transaction, waits for the log no longer than the store's patience,
        /// and does not hold it for long where this program is stopped.
        func patienceSetting(_ scope: String = "") -> String {
            let (seconds, attoseconds) = self.configuration.patience.components
            let milliseconds = max(
                100, min(seconds, 1_000_000) * 1000 + attoseconds / 1_000_000_000_000_000)
            return "SET \(scope)idle_in_transaction_session_timeout = '60s'; "
                + "SET \(scope)lock_timeout = '\(milliseconds)ms'"
        }

        /// How long the server may be silent while it is asked for something that waits for locks.
        var lockingLimit: Duration { self.configuration.patience + self.configuration.answerTimeout }

        /// The error of a call on a store that was closed.
        static var closed: PostgresError { PostgresError(.closed, "the store was closed") }
    }

    /// The layout of a store's table as it was when it was last looked at.
    private final class KnownLayout: Sendable {
        private let state: Mutex<PostgresLayout>

        init(_ layout: PostgresLayout) { self.state = Mutex(layout) }

        var layout: PostgresLayout { self.state.withLock { $0 } }
        func note(_ layout: PostgresLayout) { self.state.withLock { $0 = layout } }
    }

    /// How large a store's events were in the last page that another one follows.
    final class KnownSizes: Sendable {
        /// Before one was read, a guess at large ones: a page that proves too large is cut off, at the price of another
        /// connection.
        private let average = Atomic(4096)

        var averageBytes: Int { self.average.load(ordering: .relaxed) }
        func note(averageBytes: Int) { self.average.store(averageBytes, ordering: .relaxed) }
    }

    /// A connection for one thread that is made when it is needed, and anew after it was lost.
    final class StoreConnection {
        private let context: StoreContext
        private let setting: String
        private let switchOff: ConnectionSwitch
        private let limit: Duration
        private var connection: PostgresConnection?
        /// Why the server could not be reached last, and when; nil since it was.
        private(set) var failure: (error: PostgresError, time: ContinuousClock.Instant)?

        /// - Parameter limit: how long the server may be silent.
        init(_ context: StoreContext, setting: String, limit: Duration, switchOff: ConnectionSwitch) {
            self.context = context
            self.limit = limit
            self.setting = setting
            self.switchOff = switchOff
        }

        /// Drops the connection; the next call makes another.
        func drop() { self.connection = nil }

        /// The connection's socket; nil where there is none.
        var socket: Int32? { self.connection?.socket }

        /// Whether something of what was sent has not left yet: whoever takes the answer sends it.
        var hasRest: Bool { self.connection?.hasRest ?? false }

        /// Until when the answer to what was sent must have come.
        var answerDeadline: ContinuousClock.Instant? { self.connection?.answerDeadline }

        /// Sends an append, if there is a connection that has its statement prepared; its answer is to be taken next.
        func send(_ single: SingleAppend) -> Bool {
            self.connection?.send(single, in: self.context) ?? false
        }

        /// Sends a query that is streamed next, if there is a connection that has it prepared.
        func sendAhead(_ query: PostgresStatement) -> Bool { self.connection?.sendAhead(query) ?? false }

        /// Drops the connection if the server has closed it.
        func dropIfClosed() {
            if self.connection?.isClosed ?? false { self.connection = nil }
        }

        /// Runs `body` with the connection. A lost one is dropped.
        func run<Value>(
            _ body: (PostgresConnection) throws(PostgresError) -> Value
        ) throws(PostgresError) -> Value {
            do throws(PostgresError) {
                let connection: PostgresConnection
                if let known = self.connection { connection = known } else { connection = try self.connect() }
                let value = try body(connection)
                if connection.isBroken { self.connection = nil }
                if self.failure != nil { self.failure = nil }
                return value
            } catch {
                if error.endsConnection || self.connection?.isBroken ?? false { self.connection = nil }
                if error.code == .unreachable { self.failure = (error, .now) }
                throw error
            }
        }

        private func connect() throws(PostgresError) -> PostgresConnection {
            let made = try PostgresConnection.connect(
                self.context.settings, switchOff: self.switchOff, answerLimit: self.limit)
            try made.execute(self.setting)
            self.connection = made
            return made
        }
    }

    /// When to try again after the server could not be reached.
    struct StoreRetry {
        private let deadline: ContinuousClock.Instant?
        private let isEndless: Bool
        private var backoff = ExportMachine.Backoff(first: .milliseconds(20), most: .seconds(2))
        private var attempts = 0

        /// - Parameters:
        ///   - patience: how long to go on; nil: for ever.
        ///   - isEndless: whether a server without room, as for connections, is waited for, too.
        init(patience: Duration?, isEndless: Bool = false) {
            self.deadline = patience.map { ContinuousClock.now + $0 }
            self.isEndless = isEndless
        }

        /// Whether the patience is at its end.
        var isDue: Bool { self.deadline.map { $0 <= ContinuousClock.now } ?? false }

        /// How long to wait before the next try after this error; nil if there is none to be made. The last moment of
        /// the patience is a try, too.
        mutating func delay(after error: PostgresError) -> Duration? {
            // A network that fails while TLS is agreed on looks like a certificate that is refused.
            let mayPass =
                error.code == .unreachable || error.code == .tls && self.attempts < 2
                || self.isEndless && error.code == .storageFull
            guard mayPass else { return nil }
            self.attempts += 1
            let delay = self.backoff.delay(attempt: self.attempts, random: .random(in: 0...1))
            guard let deadline else { return delay }
            let left = deadline - ContinuousClock.now
            return left > .zero ? min(delay, left) : nil
        }
    }
#endif
