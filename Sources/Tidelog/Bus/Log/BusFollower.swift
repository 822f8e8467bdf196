// How a subscription reads the log: batch by batch, from a position of its own, for as long as its bus is open.
//
// Invariants: `next` is the position after the last event that was given, or after what the pattern left out;
// it never goes back. No transaction is open between two calls. When the bus closes, it goes on to the end
// that the log had then, and stops.
import TidelogStorage

final class BusFollower: Sendable {
    private struct State {
        var batch: [PlacedRecord] = []
        var index = 0
        var next: UInt64
        var isCancelled = false
        /// Where to stop, once the bus has been closed.
        var limit: UInt64?
        var waiter: Task<Bool, Never>?
    }

    private static let batchBytes = 256 << 10

    private let log: EventLog
    private let query: RecordQuery
    private let state: Lock<State>

    init(_ log: EventLog, pattern: TypePattern, from position: Position) throws(EventLogError) {
        self.log = log
        self.query = try (pattern.matchesEverything ? EventQuery.all : .types(pattern)).storageQuery()
        self.state = Lock(State(next: position.rawValue))
    }

    /// The position after the last event that was given.
    var position: Position { Position(self.state.withLock { $0.next }) }

    /// Whether the next event has yet to be read or waited for.
    var isBatchDone: Bool { self.state.withLock { $0.index >= $0.batch.count } }

    /// Gives nothing more.
    func cancel() {
        let waiter = self.state.withLock { state in
            state.isCancelled = true
            return state.waiter
        }
        waiter?.cancel()
    }

    /// Gives what there is below `end`, and then nothing more.
    func finish(at end: UInt64) {
        let waiter = self.state.withLock { state in
            state.limit = end
            return state.waiter
        }
        waiter?.cancel()
    }

    /// The next event; nil when it is over: cancelled, finished, or the log closed.
    func next() async throws(EventLogError) -> StoredEvent? {
        while !Task.isCancelled {
            let (record, isOver) = self.state.withLock { state -> (PlacedRecord?, Bool) in
                if state.isCancelled { return (nil, true) }
                if state.index < state.batch.count {
                    let record = state.batch[state.index]
                    if let limit = state.limit, record.position >= limit { return (nil, true) }
                    state.index += 1
                    state.next = record.position + 1
                    return (record, false)
                }
                return (nil, state.limit.map { state.next >= $0 } ?? false)
            }
            if let record { return StoredEvent(placed: record) }
            if isOver { return nil }
            do throws(EventLogError) {
                guard try await self.refill() else { return nil }
            } catch {
                guard error.code == .closed else { throw error }
                return nil
            }
        }
        return nil
    }

    /// Reads a batch, or waits until there may be one; false: it is over.
    private func refill() async throws(EventLogError) -> Bool {
        var query = self.query
        let start = self.state.withLock { $0.next }
        query.positions = start..<UInt64.max
        let wanted = query
        let (batch, end) = try await self.log.run { engine throws(StorageError) in
            let end = try engine.currentView().end
            return (try engine.records(wanted, maximumBytes: Self.batchBytes), end)
        }
        self.state.withLock { state in
            state.batch = batch
            state.index = 0
            if batch.isEmpty { state.next = max(start, end) }  // nothing below `end` matches
        }
        if !batch.isEmpty || end > start { return true }
        let notifier = self.log.engine.notifier
        let waiter = Task { await notifier.wait(beyond: start) }
        let mustWait = self.state.withLock { state in
            state.waiter = waiter
            return !state.isCancelled && state.limit == nil
        }
        if !mustWait { waiter.cancel() }
        let isMore = await withTaskCancellationHandler {
            await waiter.value
        } onCancel: {
            waiter.cancel()
        }
        return self.state.withLock { state in
            state.waiter = nil
            return isMore || state.limit != nil
        }
    }
}
