import TidelogStorage

/// An event that a consumer gave up on, with every error that led there.
public struct DeadLetter: Sendable, Hashable {
    /// One delivery that failed.
    public struct Attempt: Sendable, Hashable {
        /// When it failed.
        public let time: Timestamp
        /// What the handler threw, or why the lease ended.
        public let error: String
    }

    /// The event's place in the log.
    public let position: Position
    /// The event; nil if retention or a deletion has taken it since.
    public let event: StoredEvent?
    /// How often it was delivered.
    public let deliveries: Int
    /// When it was given up on.
    public let time: Timestamp
    /// Why.
    public let reason: String
    /// The deliveries that failed, oldest first; of very many the first 10 and the last 90.
    public let attempts: [Attempt]
    /// Tells apart two of one position: an event may be given up on again after a seek.
    let serial: UInt64

    init(_ stored: StoredDeadLetter, event: PlacedRecord?) {
        self.position = Position(stored.position)
        self.event = event.map { StoredEvent(placed: $0) }
        self.deliveries = Int(stored.count)
        self.time = Timestamp(nanosecondsSinceEpoch: stored.time)
        self.reason = stored.reason
        self.attempts = stored.attempts.map {
            Attempt(time: Timestamp(nanosecondsSinceEpoch: $0.time), error: $0.error)
        }
        self.serial = stored.serial
    }
}

extension Consumers {
    /// Dead letters changed by one transaction: many would hold up appends.
    private static let slice = 1000

    /// A consumer's dead letters in the order of their positions, a page at a time.
    ///
    /// - Parameter position: only those at or after it.
    public func deadLetters(
        of name: String, from position: Position = .zero, limit: Int = 1000
    ) async throws(EventLogError) -> [DeadLetter] {
        try await self.log.run { engine throws(StorageError) in
            let stored = try engine.readingRecords { reader throws(StorageError) in
                try Self.stored(of: name, from: position.rawValue, limit: max(0, limit), in: reader)
            }
            return try stored.map { (letter) throws(StorageError) in
                DeadLetter(letter, event: try engine.record(at: letter.position))
            }
        }
    }

    /// Delivers dead letters again, as if they were new; answers how many.
    ///
    /// - Parameter position: those of this event; nil: all.
    @discardableResult
    public func retryDeadLetters(
        of name: String, at position: Position? = nil
    ) async throws(EventLogError) -> Int {
        try await self.clear(name, position) { ledger, letter in ledger.revive(letter) }
    }

    /// Drops dead letters for good; answers how many. The events themselves stay in the log.
    ///
    /// - Parameter position: those of this event; nil: all.
    @discardableResult
    public func dropDeadLetters(
        of name: String, at position: Position? = nil
    ) async throws(EventLogError) -> Int {
        try await self.clear(name, position) { ledger, letter in ledger.drop(letter) }
    }

    private func clear(
        _ name: String, _ position: Position?,
        _ body: @escaping @Sendable (inout Ledger, StoredDeadLetter) -> Void
    ) async throws(EventLogError) -> Int {
        let ledgers = self.hub.ledgers
        var total = 0
        while true {
            let count: Int
            let number: UInt64
            do throws(EventLogError) {
                (count, number) = try await self.clearSlice(name, position, body)
            } catch {
                // What the transaction made of the ledger is undone.
                ledgers.forgetAll()
                throw error
            }
            self.hub.lookAgain(number)
            total += count
            if count < Self.slice || position != nil { return total }
        }
    }

    private func clearSlice(
        _ name: String, _ position: Position?,
        _ body: @escaping @Sendable (inout Ledger, StoredDeadLetter) -> Void
    ) async throws(EventLogError) -> (Int, UInt64) {
        let ledgers = self.hub.ledgers
        return try await self.change { transaction throws(StorageError) in
            var letters = try Self.stored(
                of: name, from: position?.rawValue ?? 0, limit: Self.slice, in: transaction)
            if let position { letters.removeAll { $0.position != position.rawValue } }
            let ((), _) = try ledgers.change(name, number: nil, in: transaction) { [letters] ledger in
                for letter in letters { body(&ledger, letter) }
                return ((), mustWrite: !letters.isEmpty)
            }
            if !letters.isEmpty { try ControlCounter.raise(in: transaction) }
            return (letters.count, try LedgerStore.consumer(name, in: transaction)?.number ?? 0)
        }
    }

    private static func stored<Source: RecordSource & ~Copyable>(
        of name: String, from position: UInt64, limit: Int, in source: borrowing Source
    ) throws(StorageError) -> [StoredDeadLetter] {
        guard let (number, _) = try LedgerStore.consumer(name, in: source) else {
            throw SubscriptionHub.missing(name)
        }
        var letters: [StoredDeadLetter] = []
        guard limit > 0 else { return letters }
        try source.forEachRecord(
            .consumers, prefix: ConsumerKeys.deadLetters(of: number),
            from: ConsumerKeys.deadLetter(number, position, 0)
        ) { key, value throws(StorageError) in
            letters.append(try LedgerCoding.decodeDeadLetter(value, key: key))
            return letters.count < limit
        }
        return letters
    }
}
