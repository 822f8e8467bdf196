// Subscriptions with a name. Their offset, the position of the next event, is a record of the head: under the
// key `bus/NAME` in the space of consumers, eight bytes, little-endian. Whoever writes it checks in the same
// transaction that it is still what he wrote last, so of two who use one name the slower one finds out.
import TidelogStorage

extension LogBus {
    /// Events after which an offset is saved, if the subscription has not caught up before.
    private static let savedEvery = 128

    /// Calls `handler` with every event whose type matches, from where the subscription of that name was.
    ///
    /// The place is kept in the log, and saved when the subscription has caught up, after 128 events, and
    /// when it is cancelled or the bus is closed. After a crash, the handler may get those events again that
    /// it got since: it must not mind. A handler that throws is isolated, and the event counts as done.
    ///
    /// - Parameters:
    ///   - pattern: What types of events.
    ///   - name: Its name in this log, 1 to 200 bytes of UTF-8. One process at a time may use it.
    ///   - start: Where to begin if the name is new. Default: with the first event appended from now on.
    ///   - handler: Called with one event at a time, in the order of the log.
    /// - Throws: ``EventLogError``: `closed`; `invalidArgument` for the name; `alreadyExists` if this bus has
    ///   a subscription of that name; and what a write to the log throws.
    @discardableResult
    public func subscribe(
        _ pattern: TypePattern, durable name: String, from start: TailStart = .end,
        handler: @escaping @Sendable (StoredEvent) async throws -> Void
    ) async throws(EventLogError) -> BusSubscription {
        try self.reserve(name)
        do throws(EventLogError) {
            let offset = try await ConsumerOffset.load(self.log, name: name, start: start)
            let core = self.core
            let (follower, number) = try await self.add(pattern, from: offset.position) { follower in
                do throws(EventLogError) {
                    var unsaved = 0
                    while let stored = try await follower.next() {
                        await core.deliver(stored, pattern, handler)
                        unsaved += 1
                        if unsaved >= Self.savedEvery || follower.isBatchDone {
                            try await offset.save(follower.position)
                            unsaved = 0
                        }
                    }
                    try await offset.save(follower.position)
                } catch {
                    if error.code != .closed { core.broke(error, pattern) }
                }
                core.state.withLock { _ = $0.durableNames.remove(name) }
            }
            return self.subscription(pattern, follower, number)
        } catch {
            self.core.state.withLock { _ = $0.durableNames.remove(name) }
            throw error
        }
    }

    private func reserve(_ name: String) throws(EventLogError) {
        guard (1...200).contains(name.utf8.count), !NameRules.hasControlCharacter(name) else {
            throw EventLogError(
                .invalidArgument,
                "A durable subscription cannot have this name: it needs 1 to 200 bytes of UTF-8 without "
                    + "control characters.")
        }
        let isNew = self.core.state.withLock { $0.durableNames.insert(name).inserted }
        guard isNew else {
            throw EventLogError(
                .alreadyExists,
                "This bus has a subscription named \"\(name)\" already; cancel it first, or take another name."
            )
        }
    }
}

/// Where a named subscription is.
private final class ConsumerOffset: Sendable {
    private let log: EventLog
    private let name: String
    private let saved: Lock<[UInt8]?>
    /// Where it is to go on.
    let position: Position

    private init(_ log: EventLog, name: String, saved: [UInt8]?, position: Position) {
        self.log = log
        self.name = name
        self.saved = Lock(saved)
        self.position = position
    }

    private static func key(_ name: String) -> [UInt8] { Array("bus/\(name)".utf8) }

    private static func bytes(_ position: Position) -> [UInt8] {
        withUnsafeBytes(of: position.rawValue.littleEndian) { Array($0) }
    }

    /// Reads the offset; where there is none, the start becomes the offset, so that a subscription that
    /// never got an event knows after a restart what it missed.
    static func load(_ log: EventLog, name: String, start: TailStart) async throws(EventLogError)
        -> ConsumerOffset
    {
        let key = Self.key(name)
        let box = Found()
        try await Self.write(log, []) { transaction throws(StorageError) in
            let value = try transaction.record(.consumers, key: key)
            box.value.withLock { $0 = value }
        }
        if let value = box.value.withLock({ $0 }) {
            guard value.count == 8 else {
                throw EventLogError(
                    .corrupted, "The offset of the subscription \"\(name)\" has \(value.count) bytes, not 8.")
            }
            let number = value.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)) }
            return ConsumerOffset(log, name: name, saved: value, position: Position(number))
        }
        let position: Position
        switch start.kind {
        case .beginning: position = .zero
        case .position(let given): position = given
        case .end:
            position = try await log.run { engine throws(StorageError) in
                Position(try engine.currentView().end)
            }
        }
        let offset = ConsumerOffset(log, name: name, saved: nil, position: position)
        try await offset.save(position)
        return offset
    }

    /// Makes the offset durable.
    func save(_ position: Position) async throws(EventLogError) {
        let bytes = Self.bytes(position)
        let before = self.saved.withLock { $0 }
        if before == bytes { return }
        let key = Self.key(self.name)
        let name = self.name
        try await Self.write(self.log, [.set(.consumers, key: key, value: bytes)]) {
            transaction throws(StorageError) in
            guard try transaction.record(.consumers, key: key) == before else {
                throw StorageError(
                    .conflict,
                    "another process moved the offset of the subscription '\(name)'; give each its own name")
            }
        }
        self.saved.withLock { $0 = bytes }
    }

    private final class Found: Sendable {
        let value = Lock<[UInt8]?>(nil)
    }

    private static func write(
        _ log: EventLog, _ changes: [RecordChange],
        _ check: @escaping @Sendable (borrowing HeadTransaction) throws(StorageError) -> Void
    ) async throws(EventLogError) {
        do throws(StorageError) {
            _ = try await log.engine.append([], changing: changes, check: check)
        } catch {
            throw EventLogError(error)
        }
    }
}
