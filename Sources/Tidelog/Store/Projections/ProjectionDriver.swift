import TidelogStorage

/// Drives a projection: which generation, how far, and what next.
struct ProjectionDriver: Sendable {
    enum Goal: Sendable {
        /// Follow the log for ever.
        case follow
        /// Be as far as the log is when this is reached.
        case catchUp
        /// Build the state anew, then switch over.
        case rebuild
    }

    let log: EventLog
    let projection: Projection
    let goal: Goal

    private var generations: ProjectionGenerations {
        ProjectionGenerations(self.projection.name, self.log.engine, self.log.subscriptions)
    }

    /// Runs to the goal, or until the task is cancelled or the function throws. Of a rebuild that ends so, nothing is
    /// left.
    func run(_ reached: @escaping @Sendable (UInt64) -> Void) async throws(EventLogError) {
        do throws(EventLogError) {
            try await self.work { () throws(EventLogError) in try self.generations.removeOrphans() }
            try await self.runToGoal(reached)
        } catch {
            // Of one that follows, it says that it was stopped while it waited for room.
            if self.goal == .follow, error.code == .storageFull { return }
            await self.abandonRebuild()
            throw error
        }
        if Task.isCancelled { await self.abandonRebuild() }
    }

    /// Where that fails too, it is done when the log is opened again.
    private func abandonRebuild() async {
        guard self.goal == .rebuild else { return }
        try? await self.work { () throws(EventLogError) in try self.generations.abandon() }
    }

    private func runToGoal(_ reached: @escaping @Sendable (UInt64) -> Void) async throws(EventLogError) {
        var mustRebuild = self.goal == .rebuild
        var last: UInt32?
        while true {
            if Task.isCancelled { return }
            let (worker, isBuilding) = try await self.work { [mustRebuild, last] () throws(EventLogError) in
                try self.prepare(rebuilding: mustRebuild, after: last)
            }
            mustRebuild = false
            if isBuilding { last = worker.generation }
            if try await self.drive(worker, isBuilding: isBuilding, reached) { return }
        }
    }

    /// Advances one generation; false if the records must be looked at again.
    private func drive(
        _ worker: ProjectionWorker, isBuilding: Bool, _ reached: @Sendable (UInt64) -> Void
    ) async throws(EventLogError) -> Bool {
        while true {
            if Task.isCancelled { return true }
            if !isBuilding { reached(worker.progress.next) }
            switch try await self.work({ () throws(EventLogError) in try worker.step() }) {
            case .advanced: continue
            case .superseded: return false
            case .failed(let failure): throw failure.error(of: self.projection.name)
            case .caughtUp(let end):
                if isBuilding {
                    // Apart, since each may have to wait for room.
                    let note = try await self.work { () throws(EventLogError) in try self.generations.note() }
                    let isLive = try await self.work { () throws(EventLogError) in
                        try worker.switchOver(with: self.generations.change(note))
                    }
                    if isLive {
                        try await self.work { () throws(EventLogError) in
                            try self.generations.removeOld(then: note)
                        }
                    }
                    if isLive, self.goal == .rebuild { return true }
                    return false
                }
                reached(worker.progress.next)
                if self.goal != .follow { return true }
                guard await self.log.engine.notifier.wait(beyond: end) else { return true }
            }
        }
    }

    /// Runs work that blocks on the log's own threads. One that follows waits for room where the disk is full,
    /// and does the work again, until its task is cancelled.
    private func work<Value: Sendable>(
        _ body: @escaping @Sendable () throws(EventLogError) -> Value
    ) async throws(EventLogError) -> Value {
        var pause = Duration.milliseconds(50)
        while true {
            do throws(EventLogError) {
                return try await self.attempt(body)
            } catch {
                guard self.goal == .follow, error.code == .storageFull else { throw error }
                try? await Task.sleep(for: pause)
                if Task.isCancelled { throw error }
                pause = min(pause * 2, .seconds(5))
            }
        }
    }

    private func attempt<Value: Sendable>(
        _ body: @escaping @Sendable () throws(EventLogError) -> Value
    ) async throws(EventLogError) -> Value {
        let result = try await self.log.run { _ throws(StorageError) -> Result<Value, EventLogError> in
            do throws(EventLogError) {
                return .success(try body())
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    // MARK: Generations

    /// Finds the generation to work on, or begins a new one.
    ///
    /// - Parameter last: the generation that was being built until now.
    private func prepare(
        rebuilding: Bool, after last: UInt32?
    ) throws(EventLogError) -> (ProjectionWorker, isBuilding: Bool) {
        let (name, version) = (self.projection.name, self.projection.version)
        let engine = self.log.engine
        while true {
            let (control, live, building) = try EventLogError.translating { () throws(StorageError) in
                try engine.readingRecords { view throws(StorageError) in
                    let control = try view.control(name)
                    return (
                        control,
                        try control.flatMap { control throws(StorageError) in
                            try view.progress(name, control.live)
                        },
                        try control.flatMap { control throws(StorageError) in
                            try view.progress(name, control.building)
                        }
                    )
                }
            }
            let isLost = self.isLost(last, control)
            // A rebuild goes on with what it has begun: the live one may well be of the same version.
            if !rebuilding, self.goal == .rebuild, let control, let building, building.version == version {
                guard try self.generations.takeOver(control.building, control) else { continue }
                return (
                    try ProjectionWorker(
                        self.projection, engine, control, generation: control.building, building), true
                )
            }
            if !rebuilding, !isLost, let control {
                try self.refuseOlder(than: max(live?.version ?? 0, building?.version ?? 0))
                if let live, live.version == version {
                    return (
                        try ProjectionWorker(
                            self.projection, engine, control, generation: control.live, live),
                        false
                    )
                }
                if let building, building.version == version {
                    return (
                        try ProjectionWorker(
                            self.projection, engine, control, generation: control.building, building), true
                    )
                }
            }
            // A first generation is live at once: nobody has seen an older state.
            let next = (control?.highest ?? 0) + 1
            let isFirst = control == nil || control?.live == 0
            let fresh = ProjectionControl(
                live: isFirst ? next : control?.live ?? 0, building: isFirst ? 0 : next, highest: next)
            let progress = ProjectionProgress(version: version)
            var changes: [RecordChange] = [
                .set(.projections, key: ProjectionKeys.control(name), value: fresh.stored),
                .set(.projections, key: ProjectionKeys.progress(name, next), value: progress.stored),
            ]
            let isRebuild = self.goal == .rebuild && !isFirst
            // A build that a new version makes is no rebuild: whoever runs that version goes on with it.
            let note = control == nil ? nil : try self.generations.note(building: isRebuild ? next : 0)
            if let note { changes.append(self.generations.change(note)) }
            let isDone = try engine.change(
                changes, ifStill: [(ProjectionKeys.control(name), control?.stored)])
            guard isDone else { continue }
            if isRebuild {
                try self.generations.removeOld()
            } else if let note {
                try self.generations.removeOld(then: note)
            }
            return (
                try ProjectionWorker(self.projection, engine, fresh, generation: next, progress), !isFirst
            )
        }
    }

    /// Whether the generation that a rebuild was building has been removed, and neither it nor a later one is live.
    private func isLost(_ last: UInt32?, _ control: ProjectionControl?) -> Bool {
        guard self.goal == .rebuild, let last, let control else { return false }
        return control.building == 0 && control.live < last
    }

    /// Two versions at once would build their states against each other for ever: the older one gives way.
    private func refuseOlder(than version: UInt32) throws(EventLogError) {
        guard self.projection.version < version else { return }
        throw EventLogError(
            .conflict,
            "the projection '\(self.projection.name)' is at version \(version), and this is version "
                + "\(self.projection.version) of its function; run the newer one, or rebuild with this one")
    }
}

extension ProjectionFailure {
    func error(of name: String) -> EventLogError {
        let event =
            self.type.isEmpty
            ? "an event that cannot be read" : "the event of type '\(self.type)' with id \(self.eventID)"
        return EventLogError(
            .projectionFailed,
            "the projection '\(name)' stopped at \(event): \(self.message); its state is as of the event "
                + "before",
            positions: self.position..<Position(self.position.rawValue + 1))
    }
}
