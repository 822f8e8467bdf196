import TidelogStorage

/// Loads ledgers from the head and writes their changes back, inside transactions.
///
/// Only the writer's thread uses it for changes; what it remembers is a cache, held against the version in
/// the head each time.
final class LedgerStore: Sendable {
    private let known = Lock<[UInt64: Ledger]>([:])
    /// Ledgers kept in memory; of those beyond, some are loaded anew when they are needed.
    private static let limit = 16_384

    /// The consumer of that name: its number and settings.
    static func consumer<Source: RecordSource & ~Copyable>(
        _ name: String, in source: borrowing Source
    ) throws(StorageError) -> (number: UInt64, settings: ConsumerSettings)? {
        guard let record = try source.record(.consumers, key: ConsumerKeys.consumer(name)) else { return nil }
        return try LedgerCoding.decodeConsumer(record)
    }

    /// The present name of the consumer of that number.
    static func name<Source: RecordSource & ~Copyable>(
        of number: UInt64, in source: borrowing Source
    ) throws(StorageError) -> String? {
        var name: String?
        try self.forEach(in: source) { (found, actual, _) in
            if actual == number { name = found }
            return name == nil
        }
        return name
    }

    /// Calls `body` with each consumer, in the order of names' bytes, until it answers false.
    static func forEach<Source: RecordSource & ~Copyable>(
        in source: borrowing Source,
        _ body: (String, UInt64, ConsumerSettings) throws(StorageError) -> Bool
    ) throws(StorageError) {
        try source.forEachRecord(.consumers, prefix: ConsumerKeys.consumers, from: ConsumerKeys.consumers) {
            key, value throws(StorageError) in
            let (number, settings) = try LedgerCoding.decodeConsumer(value)
            return try body(String(decoding: key.dropFirst(), as: UTF8.self), number, settings)
        }
    }

    /// The lowest position that a consumer still needs, of those that hold up retention.
    static func lowestNeeded(in engine: LogEngine) throws(StorageError) -> UInt64? {
        try engine.readingRecords { reader throws(StorageError) in
            var lowest: UInt64?
            try self.forEach(in: reader) { (_, number, settings) throws(StorageError) in
                if settings.holdsRetention,
                    let state = try reader.record(.consumers, key: ConsumerKeys.state(number))
                {
                    let (_, checkpoint) = try LedgerCoding.summary(state, number: number, settings)
                    lowest = min(lowest ?? .max, checkpoint)
                }
                return true
            }
            return lowest
        }
    }

    /// The whole ledger, from the head alone.
    static func load<Source: RecordSource & ~Copyable>(
        _ number: UInt64, _ settings: ConsumerSettings, in source: borrowing Source
    ) throws(StorageError) -> Ledger {
        guard let state = try source.record(.consumers, key: ConsumerKeys.state(number)) else {
            throw StorageError(.corrupted, "a consumer has lost its state; run `tidelog verify`")
        }
        var records: [UInt64: [UInt8]] = [:]
        let prefix = ConsumerKeys.grants(of: number)
        try source.forEachRecord(.consumers, prefix: prefix, from: prefix) { key, value in
            records[ConsumerKeys.lastNumber(of: key)] = value
            return true
        }
        var ledger = try LedgerCoding.decodeState(state, number: number, settings) { records[$0] }
        let waiting = ConsumerKeys.waiting(of: number)
        try source.forEachRecord(.consumers, prefix: waiting, from: waiting) {
            key, value throws(StorageError) in
            ledger.waiting.append(
                try LedgerCoding.decodeWaiting(value, position: ConsumerKeys.lastNumber(of: key)))
            return true
        }
        for grant in ledger.grants where !grant.counts.isEmpty {
            for gap in grant.finished.gaps(below: grant.positions.count) {
                for index in gap {
                    let place = ledger.waitingPlace(atOrAfter: grant.positions[index])
                    guard place < ledger.waiting.count,
                        ledger.waiting[place].position == grant.positions[index]
                    else { continue }
                    ledger.waiting[place].isHeld = true
                }
            }
        }
        return ledger
    }

    /// The consumer of that name or, with a number, that one under whatever name it has by now.
    ///
    /// - Throws: `notFound` if there is no such consumer, `leaseLost` if the name is another one's.
    private static func consumer(
        _ name: String, number: UInt64?, in transaction: borrowing HeadTransaction
    ) throws(StorageError) -> (number: UInt64, settings: ConsumerSettings) {
        let found = try self.consumer(name, in: transaction)
        if let found, number == nil || number == found.number { return found }
        // Rare, and so worth a look at all of them: it was renamed, and who asks does not know it yet.
        if let number, let present = try self.name(of: number, in: transaction),
            let renamed = try self.consumer(present, in: transaction)
        {
            return renamed
        }
        guard found != nil else { throw SubscriptionHub.missing(name) }
        throw StorageError(.leaseLost, "the consumer '\(name)' was deleted and created anew; open it again")
    }

    /// Runs `body` on the consumer's ledger and writes what it changed.
    ///
    /// - Parameter number: the consumer's; nil: whichever has the name.
    /// - Throws: `notFound` if there is no such consumer, `leaseLost` if the name is another one's; what `body`
    ///   throws, before anything is written.
    func change<Value>(
        _ name: String, number: UInt64?, in transaction: borrowing HeadTransaction,
        _ body: (inout Ledger) throws(StorageError) -> (Value, mustWrite: Bool)
    ) throws(StorageError) -> (Value, didWrite: Bool) {
        let (actual, settings) = try Self.consumer(name, number: number, in: transaction)
        var ledger = try self.take(actual, settings, in: transaction)
        let (value, mustWrite) = try body(&ledger)
        if mustWrite { try self.write(&ledger, in: transaction) }
        self.known.withLock { known in
            if known.count >= Self.limit { known.removeAll() }
            known[actual] = ledger
        }
        return (value, mustWrite)
    }

    /// Looks at the consumer's ledger as the transaction sees it.
    func inspect<Value>(
        _ name: String, number: UInt64, in transaction: borrowing HeadTransaction,
        _ body: (Ledger) throws(StorageError) -> Value
    ) throws(StorageError) -> Value {
        let (_, settings) = try Self.consumer(name, number: number, in: transaction)
        let ledger = try self.take(number, settings, in: transaction)
        let value = try body(ledger)
        self.known.withLock { $0[number] = ledger }
        return value
    }

    /// Forgets what a transaction that failed has left.
    func forget(_ number: UInt64) {
        self.known.withLock { $0[number] = nil }
    }

    /// Forgets everything.
    func forgetAll() {
        self.known.withLock { $0.removeAll() }
    }

    private func take(
        _ number: UInt64, _ settings: ConsumerSettings, in transaction: borrowing HeadTransaction
    ) throws(StorageError) -> Ledger {
        // Taken out, so that it is changed in place and not copied.
        let known = self.known.withLock { $0.removeValue(forKey: number) }
        if var known, let state = try transaction.record(.consumers, key: ConsumerKeys.state(number)),
            try LedgerCoding.stateVersion(state) == known.version
        {
            known.settings = settings
            return known
        }
        return try Self.load(number, settings, in: transaction)
    }

    /// Writes the state of a ledger that was just made, or changed.
    func write(_ ledger: inout Ledger, in transaction: borrowing HeadTransaction) throws(StorageError) {
        for edit in ledger.edits {
            switch edit {
            case .set(let key, let value): try transaction.setRecord(.consumers, key: key, value: value)
            case .remove(let key): try transaction.removeRecord(.consumers, key: key)
            }
        }
        ledger.edits.removeAll(keepingCapacity: true)
        ledger.version += 1
        try transaction.setRecord(
            .consumers, key: ConsumerKeys.state(ledger.number), value: LedgerCoding.encode(ledger))
    }
}
