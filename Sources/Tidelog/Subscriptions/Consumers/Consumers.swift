import TidelogStorage

extension EventLog {
    /// Opens the consumer of that name as a new member, creating it if there is none.
    ///
    /// - Parameter settings: what it receives and how; where it begins counts only when it is created, all
    ///   else replaces what was set before. Nil: as it was, or the defaults for a new one.
    /// - Throws: ``EventLogError`` with code `invalidArgument` for a name or a setting out of bounds, or if the
    ///   consumer is ordered by a function that `settings` does not give.
    public func consumer(
        _ name: String, settings: ConsumerSettings? = nil
    ) async throws(EventLogError) -> Consumer {
        let (number, actual, ledger) = try await self.consumers.open(name, settings)
        while true {
            let core = try self.subscriptions.core(name, settings: actual, number: number, ledger: ledger)
            if let consumer = Consumer(log: self, core: core) { return consumer }
            // Its last member has left since: what it gives back is on its way, and before what another asks for.
            self.subscriptions.remove(core)
        }
    }

    /// The consumers of this log: how they stand, and their control, also while they run, in any process.
    public var consumers: Consumers { Consumers(log: self) }
}

/// The consumers of a log. Every change is durable when the call returns, and members in all processes follow it
/// within a moment.
public struct Consumers: Sendable {
    let log: EventLog
    var hub: SubscriptionHub { self.log.subscriptions }

    // MARK: How they stand

    /// All of them, in the order of their names' bytes.
    public func list() async throws(EventLogError) -> [ConsumerStatus] {
        try await self.statuses { reader throws(StorageError) in
            var found: [(String, Ledger)] = []
            try LedgerStore.forEach(in: reader) { (name, number, settings) throws(StorageError) in
                found.append((name, try LedgerStore.load(number, settings, in: reader)))
                return true
            }
            return found
        }
    }

    /// One of them; nil if there is none of that name.
    public func status(of name: String) async throws(EventLogError) -> ConsumerStatus? {
        try await self.statuses { reader throws(StorageError) in
            guard let (number, settings) = try LedgerStore.consumer(name, in: reader) else { return [] }
            return [(name, try LedgerStore.load(number, settings, in: reader))]
        }.first
    }

    private func statuses(
        _ load: @escaping @Sendable (borrowing RecordView) throws(StorageError) -> [(String, Ledger)]
    ) async throws(EventLogError) -> [ConsumerStatus] {
        try await self.log.run { engine throws(StorageError) in
            let found = try engine.readingRecords(load)
            let end = try engine.currentView().end
            let moment = Moment.now
            return try found.map { (name, ledger) throws(StorageError) in
                let oldest = try Self.firstTimestamp(from: ledger.checkpoint, to: end, in: engine)
                return ConsumerStatus(name, ledger, end: end, oldest: oldest, moment)
            }
        }
    }

    /// The timestamp of the first event that there is from `position` on. The one at `position` may be gone: dropped,
    /// truncated or deleted.
    private static func firstTimestamp(
        from position: UInt64, to end: UInt64, in engine: LogEngine
    ) throws(StorageError) -> Int64? {
        guard position < end else { return nil }
        if let placed = try engine.record(at: position) { return placed.record.timestamp }
        var query = RecordQuery()
        query.positions = position..<end
        query.limit = 1
        return try engine.records(query).first?.record.timestamp
    }

    // MARK: Control

    /// Creates a consumer without taking part in it; false if there is one of that name already.
    @discardableResult
    public func create(
        _ name: String, settings: ConsumerSettings = .init()
    ) async throws(EventLogError) -> Bool {
        try Self.checkName(name)
        try settings.validate()
        if try await self.find(name, nil) != nil { return false }
        return try await self.write(name, settings, updates: false)
    }

    /// Moves a consumer: it goes on from there. What is in flight or waits for a retry is forgotten, and cannot
    /// be acknowledged any more; dead letters stay.
    public func seek(_ name: String, to start: ConsumerStart) async throws(EventLogError) {
        let position = try await self.position(of: start)
        try await self.control(name) { $0.seek(to: position) }
    }

    /// Stops deliveries. What was fetched ahead is given back, as if it had not been delivered; what is in handlers'
    /// hands can still be settled.
    public func pause(_ name: String) async throws(EventLogError) {
        try await self.control(name) { $0.isPaused = true }
    }

    /// Lets deliveries go on.
    public func resume(_ name: String) async throws(EventLogError) {
        try await self.control(name) { $0.isPaused = false }
    }

    /// Deletes a consumer with its offset and its dead letters; members that are open end with `notFound`.
    public func delete(_ name: String) async throws(EventLogError) {
        let hub = self.hub
        let number = try await self.change { transaction throws(StorageError) in
            guard let (number, _) = try LedgerStore.consumer(name, in: transaction) else {
                throw SubscriptionHub.missing(name)
            }
            try transaction.removeRecord(.consumers, key: ConsumerKeys.consumer(name))
            try transaction.removeRecord(.consumers, key: ConsumerKeys.state(number))
            for prefix in [
                ConsumerKeys.grants(of: number), ConsumerKeys.waiting(of: number),
                ConsumerKeys.deadLetters(of: number),
            ] {
                var keys: [[UInt8]] = []
                try transaction.forEachRecord(.consumers, prefix: prefix, from: prefix) { key, _ in
                    keys.append(key)
                    return true
                }
                for key in keys { try transaction.removeRecord(.consumers, key: key) }
            }
            try ControlCounter.raise(in: transaction)
            hub.ledgers.forget(number)
            return number
        }
        hub.lookAgain(number)
    }

    /// Gives a consumer another name; members that are open follow.
    ///
    /// - Throws: ``EventLogError`` with code `alreadyExists` if there is one of that name.
    public func rename(_ name: String, to newName: String) async throws(EventLogError) {
        try Self.checkName(newName)
        let number = try await self.change { transaction throws(StorageError) in
            guard let record = try transaction.record(.consumers, key: ConsumerKeys.consumer(name)) else {
                throw SubscriptionHub.missing(name)
            }
            try Self.requireFree(newName, in: transaction)
            try transaction.removeRecord(.consumers, key: ConsumerKeys.consumer(name))
            try transaction.setRecord(.consumers, key: ConsumerKeys.consumer(newName), value: record)
            try ControlCounter.raise(in: transaction)
            return try LedgerCoding.decodeConsumer(record).0
        }
        self.hub.lookAgain(number)
    }

    /// Makes a consumer under a new name that has the same settings and begins where `name` stands: with what
    /// that one has not finished, or in no order of their own has.
    ///
    /// - Throws: ``EventLogError`` with code `alreadyExists` if there is one of that name.
    public func clone(_ name: String, as newName: String) async throws(EventLogError) {
        try Self.checkName(newName)
        let ledgers = self.hub.ledgers
        _ = try await self.change { transaction throws(StorageError) in
            guard let (number, settings) = try LedgerStore.consumer(name, in: transaction) else {
                throw SubscriptionHub.missing(name)
            }
            try Self.requireFree(newName, in: transaction)
            let source = try LedgerStore.load(number, settings, in: transaction)
            let newNumber = try Self.nextNumber(in: transaction)
            var ledger = Ledger(number: newNumber, settings: settings, frontier: source.frontier)
            ledger.boot = BootClock.boot
            // Everything below the frontier that the source has not finished waits; in order, so one by one.
            var unfinished: [Waiting] = []
            for grant in source.grants {
                for gap in grant.finished.gaps(below: grant.positions.count) {
                    for index in gap {
                        unfinished.append(
                            Waiting(position: grant.positions[index], key: grant.key(index)))
                    }
                }
            }
            for entry in source.waiting where !entry.isHeld {
                unfinished.append(Waiting(position: entry.position, key: entry.key))
            }
            ledger.putBack(unfinished)
            try transaction.setRecord(
                .consumers, key: ConsumerKeys.consumer(newName),
                value: LedgerCoding.encode(number: newNumber, settings))
            try ledgers.write(&ledger, in: transaction)
            return newNumber
        }
    }

    // MARK: Inside

    /// Runs a change of the head's records in the writer's next transaction.
    func change<Value: Sendable>(
        _ body: @escaping @Sendable (borrowing HeadTransaction) throws(StorageError) -> Value
    ) async throws(EventLogError) -> Value {
        let value = Lock<Value?>(nil)
        do throws(StorageError) {
            try await self.log.engine.change(
                HeadChange { transaction throws(StorageError) in
                    let made = try body(transaction)
                    value.withLock { $0 = made }
                    return true
                })
        } catch {
            throw EventLogError(error)
        }
        guard let made = value.withLock({ $0 }) else {
            throw EventLogError(.closed, "the log closed before the change was made")
        }
        return made
    }

    /// Changes a consumer's ledger and lets every member notice.
    func control(
        _ name: String, _ body: @escaping @Sendable (inout Ledger) -> Void
    ) async throws(EventLogError) {
        let ledgers = self.hub.ledgers
        let touched = Lock<UInt64?>(nil)
        do throws(EventLogError) {
            let number = try await self.change { transaction throws(StorageError) in
                let (number, _) = try ledgers.change(name, number: nil, in: transaction) { ledger in
                    body(&ledger)
                    touched.withLock { $0 = ledger.number }
                    return (ledger.number, mustWrite: true)
                }
                try ControlCounter.raise(in: transaction)
                return number
            }
            self.hub.lookAgain(number)
        } catch {
            if let number = touched.withLock({ $0 }) { ledgers.forget(number) }
            throw error
        }
    }

    /// Creates or updates a consumer, and reads it.
    func open(
        _ name: String, _ settings: ConsumerSettings?
    ) async throws(EventLogError) -> (UInt64, ConsumerSettings, Ledger) {
        try Self.checkName(name)
        try settings?.validate()
        // What is there and as it should be needs no commit: ten thousand consumers open in a moment.
        var found = try await self.find(name, settings)
        if found == nil {
            // Only a process that has made itself known can tell whether others live.
            try EventLogError.translating { () throws(StorageError) in try self.hub.begin() }
            _ = try await self.write(name, settings ?? .init(), updates: settings != nil)
            found = try await self.find(name, nil)
        }
        guard let (number, known, kept) = found else {
            throw EventLogError(SubscriptionHub.missing(name))
        }
        var (actual, ledger) = (known, kept)
        if let settings {
            actual.ordering = settings.ordering
            actual.retry.isPermanent = settings.retry.isPermanent
        }
        if actual.ordering.kind == .function, actual.ordering.function == nil {
            throw EventLogError(
                .invalidArgument,
                "the consumer '\(name)' is ordered by the function '\(actual.ordering.name)'; open it with "
                    + "settings that give it")
        }
        ledger.settings = actual
        return (number, actual, ledger)
    }

    /// The consumer of that name with its ledger, if it is there and, with `settings`, as they say.
    private func find(
        _ name: String, _ settings: ConsumerSettings?
    ) async throws(EventLogError) -> (UInt64, ConsumerSettings, Ledger)? {
        let wanted = settings.map { LedgerCoding.encode(number: 0, $0) }
        return try await self.hub.read { reader throws(StorageError) in
            guard let (number, known) = try LedgerStore.consumer(name, in: reader),
                wanted == nil || wanted == LedgerCoding.encode(number: 0, known)
            else { return nil }
            return (number, known, try LedgerStore.load(number, known, in: reader))
        }
    }

    private func write(
        _ name: String, _ settings: ConsumerSettings, updates: Bool
    ) async throws(EventLogError) -> Bool {
        let position = try await self.position(of: settings.start)
        let (ledgers, isPresent) = (self.hub.ledgers, self.hub.isPresent)
        let (number, isNew) = try await self.change { transaction throws(StorageError) in
            if let (number, known) = try LedgerStore.consumer(name, in: transaction) {
                if updates {
                    let ledger = try LedgerStore.load(number, known, in: transaction)
                    // Members that do not agree on the keys would hand out events of one key at the same time.
                    guard
                        known.ordering.isNamed(as: settings.ordering)
                            || !ledger.participants.contains(where: { isPresent($0.session) })
                    else { throw SubscriptionHub.atWork(name, known.ordering) }
                    try transaction.setRecord(
                        .consumers, key: ConsumerKeys.consumer(name),
                        value: LedgerCoding.encode(number: number, settings))
                    try ControlCounter.raise(in: transaction)
                }
                return (number, false)
            }
            let number = try Self.nextNumber(in: transaction)
            var ledger = Ledger(number: number, settings: settings, frontier: position)
            ledger.boot = BootClock.boot
            try transaction.setRecord(
                .consumers, key: ConsumerKeys.consumer(name),
                value: LedgerCoding.encode(number: number, settings))
            try ledgers.write(&ledger, in: transaction)
            return (number, true)
        }
        if !isNew { self.hub.lookAgain(number) }
        return isNew
    }

    private func position(of start: ConsumerStart) async throws(EventLogError) -> UInt64 {
        try await self.log.run { engine throws(StorageError) in
            let view = try engine.currentView()
            switch start.kind {
            case .beginning: return view.state.firstPosition
            case .end: return view.end
            case .position(let position): return max(view.state.firstPosition, position.rawValue)
            case .time(let time):
                var query = RecordQuery()
                query.filter.since = time.nanosecondsSinceEpoch
                query.limit = 1
                return try engine.records(query).first?.position ?? view.end
            }
        }
    }

    private static func nextNumber(in transaction: borrowing HeadTransaction) throws(StorageError) -> UInt64 {
        var number: UInt64 = 1
        if let record = try transaction.record(.consumers, key: ConsumerKeys.next) {
            var reader = FieldReader(record, what: "the number of the next consumer")
            number = try reader.fixed()
        }
        var writer = FieldWriter()
        writer.fixed(number + 1)
        try transaction.setRecord(.consumers, key: ConsumerKeys.next, value: writer.bytes)
        return number
    }

    private static func requireFree(
        _ name: String, in transaction: borrowing HeadTransaction
    ) throws(StorageError) {
        guard try LedgerStore.consumer(name, in: transaction) == nil else {
            throw StorageError(.alreadyExists, "there is a consumer '\(name)' already; choose another name")
        }
    }

    static func checkName(_ name: String) throws(EventLogError) {
        guard !name.isEmpty, name.utf8.count <= 255, !NameRules.hasControlCharacter(name) else {
            throw EventLogError(
                .invalidArgument,
                "a consumer's name has 1 to 255 bytes of UTF-8 and no control characters; this one does not")
        }
    }
}
