// One projection at work, on threads that may block.
//
// Invariants:
// - a batch is committed only if the records that it was computed from are still what they were: the control
//   record and the generation's progress are compared in the transaction that writes. So of two processes that
//   run one projection, or a process that goes on after it was thought dead, one commits and the other one
//   begins again from what is stored;
// - what `state` remembers is what is stored as of `progress`; after a refused commit it is forgotten.
import TidelogStorage

/// A projection's generation, advanced a batch at a time.
final class ProjectionWorker: Sendable {
    enum Step {
        /// A batch was committed.
        case advanced
        /// There is nothing more; the log ends here.
        case caughtUp(UInt64)
        /// The function threw, or the event cannot be read; the state is as of the event before.
        case failed(ProjectionFailure)
        /// Somebody else changed the records; look at them again.
        case superseded
    }

    let projection: Projection
    let generation: UInt32
    private let engine: LogEngine
    private let query: EventQuery
    private let control: ProjectionControl
    private let place: Lock<ProjectionProgress>
    /// One task at a time works with it.
    private let state: Lock<ProjectionState>
    /// How far the generation is.
    var progress: ProjectionProgress { self.place.withLock { $0 } }

    private static let batchBytes = 4 << 20
    /// So that a function that takes its time is not computed for minutes before something of it is kept, or
    /// its task notices that it was cancelled.
    private static let batchTime = Duration.seconds(1)

    init(
        _ projection: Projection, _ engine: LogEngine, _ control: ProjectionControl, generation: UInt32,
        _ progress: ProjectionProgress
    ) throws(EventLogError) {
        self.projection = projection
        self.engine = engine
        self.query = try projection.batchQuery()
        self.control = control
        self.generation = generation
        self.place = Lock(progress)
        let prefix = ProjectionKeys.values(projection.name, generation)
        self.state = Lock(
            ProjectionState(isComplete: progress.next == 0) { key throws(StorageError) in
                let bytes = try engine.record(.projections, key: prefix + key)
                guard let bytes else { return nil }
                return try ProjectionValue(stored: bytes)
            })
    }

    /// Applies the next batch and commits it with the offset.
    func step() throws(EventLogError) -> Step {
        let end = try EventLogError.translating { () throws(StorageError) in try self.engine.currentView().end
        }
        guard self.progress.next < end else { return .caughtUp(end) }
        do throws(EventLogError) {
            return try self.batch(below: end)
        } catch {
            // Of a batch that was not committed, nothing may be left when it is tried again.
            self.forget()
            throw error
        }
    }

    private func batch(below end: UInt64) throws(EventLogError) -> Step {
        var limit = end
        var failure: ProjectionFailure?
        while true {
            switch try self.apply(below: limit) {
            case .reached(let next, let applied):
                // If a limit of the batch was reached first, the event that fails comes in a later one.
                return try self.commit(next: next, applied: applied, failure: next == limit ? failure : nil)
            case .stopped(let found):
                // The function may have changed the state before it threw, or have been given events behind
                // the place that damage is reported at: begin anew, up to the event before.
                self.forget()
                limit = found.position.rawValue
                failure = found
            }
        }
    }

    private func forget() {
        let isAtStart = self.progress.next == 0
        self.state.withLock { $0.reset(isComplete: isAtStart) }
    }

    private enum Batch {
        case reached(UInt64, applied: UInt64)
        /// The function threw, or the event cannot be read; it is before the limit that was given.
        case stopped(ProjectionFailure)
    }

    /// Gives events to the function until a limit of the batch.
    private func apply(below end: UInt64) throws(EventLogError) -> Batch {
        try self.state.withLock { state throws(EventLogError) in try self.apply(below: end, &state) }
    }

    private func apply(below end: UInt64, _ state: inout ProjectionState) throws(EventLogError) -> Batch {
        var storage = try self.query.storageQuery()
        let low = max(storage.positions.lowerBound, self.progress.next)
        let high = max(low, min(storage.positions.upperBound, end))
        storage.positions = low..<high
        var applied: UInt64 = 0
        var next = end
        // All that is wanted before this has been read.
        var seen = low
        var failure: ProjectionFailure?
        let limit = UInt64(max(1, self.projection.batchEvents))
        let (apply, applyOwned) = (self.projection.apply, self.projection.applyOwned)
        let deadline = ContinuousClock.now + Self.batchTime
        do throws(StorageError) {
            try self.engine.scanAhead(storage, owning: applyOwned != nil) {
                frame, selection, records throws(StorageError) in
                let goesOn = try selection.forEach(backwards: false) { index in
                    do {
                        if let applyOwned, !records.isEmpty {
                            // Moved out, not copied.
                            try applyOwned(StoredEvent(placed: records.removeLast()), &state)
                        } else {
                            try apply(EventView(frame: frame, index: index), &state)
                        }
                    } catch {
                        failure = ProjectionFailure(
                            position: Position(frame.position(index)), eventID: EventID(frame.id(index)),
                            type: frame.distinctText(.type, frame.code(.type, index)) ?? "",
                            message: "\(error)")
                        return false
                    }
                    applied += 1
                    if applied < limit, state.changed.count < state.changeLimit,
                        state.changedBytes < Self.batchBytes
                    {
                        return true
                    }
                    next = frame.position(index) + 1
                    return false
                }
                if goesOn { seen = frame.header.lastPosition + 1 }
                guard goesOn, ContinuousClock.now > deadline else { return goesOn }
                next = min(frame.header.lastPosition + 1, high)
                return false
            }
        } catch {
            guard error.code == .corrupted, low < high else { throw EventLogError(error) }
            let damaged = max(seen, error.positions?.lowerBound ?? low)
            return .stopped(ProjectionFailure(damaged: damaged < high ? damaged : low, error))
        }
        if let failure { return .stopped(failure) }
        return .reached(next, applied: applied)
    }

    private func commit(
        next: UInt64, applied: UInt64, failure: ProjectionFailure?
    ) throws(EventLogError) -> Step {
        var progress = self.progress
        progress.next = next
        progress.applied += applied
        progress.updatedAt = currentNanoseconds()
        progress.failure = failure
        let name = self.projection.name
        let progressKey = ProjectionKeys.progress(name, self.generation)
        let prefix = ProjectionKeys.values(name, self.generation)
        var changes = self.state.withLock { $0.changes(prefix: prefix) }
        changes.append(.set(.projections, key: progressKey, value: progress.stored))
        let isDone = try self.engine.change(
            changes,
            ifStill: [
                (ProjectionKeys.control(name), self.control.stored), (progressKey, self.progress.stored),
            ])
        guard isDone else {
            self.state.withLock { $0.reset(isComplete: false) }
            return .superseded
        }
        self.place.withLock { [progress] in $0 = progress }
        self.state.withLock { $0.committed() }
        return failure.map { .failed($0) } ?? .advanced
    }

    /// Makes this generation the live one, if it is as far as the one that is, together with a change that says who
    /// removes that one; false if it is not as far.
    func switchOver(with note: RecordChange) throws(EventLogError) -> Bool {
        let name = self.projection.name
        let live = self.control.live
        let next = self.progress.next
        var expected: [([UInt8], [UInt8]?)] = [
            (ProjectionKeys.control(name), self.control.stored),
            (ProjectionKeys.progress(name, self.generation), self.progress.stored),
        ]
        if live > 0 {
            let other = try EventLogError.translating { () throws(StorageError) in
                try self.engine.readingRecords { view throws(StorageError) in try view.progress(name, live) }
            }
            if let other {
                if other.next > next { return false }
                expected.append((ProjectionKeys.progress(name, live), other.stored))
            }
        }
        let control = ProjectionControl(live: self.generation, building: 0, highest: self.control.highest)
        return try self.engine.change(
            [.set(.projections, key: ProjectionKeys.control(name), value: control.stored), note],
            ifStill: expected)
    }
}

extension LogEngine {
    /// Changes records if those under these keys are still what they were; answers whether they were.
    func change(
        _ changes: [RecordChange], in space: RecordSpace = .projections,
        ifStill expected: [(key: [UInt8], value: [UInt8]?)]
    ) throws(EventLogError) -> Bool {
        do throws(StorageError) {
            _ = try self.appendBlocking([], changing: changes) { transaction throws(StorageError) in
                for (key, value) in expected {
                    guard try transaction.record(space, key: key) == value else {
                        throw StorageError(.conflict, "a record was changed by somebody else meanwhile")
                    }
                }
            }
            return true
        } catch {
            if error.code == .conflict { return false }
            throw EventLogError(error)
        }
    }
}
