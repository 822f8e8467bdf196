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

    /// Runs to the goal, or until the task is cancelled or the function throws.
    func run(_ reached: @escaping @Sendable (UInt64) -> Void) async throws(EventLogError) {
        var mustRebuild = self.goal == .rebuild
        while true {
            if Task.isCancelled { return }
            let (worker, isBuilding) = try await self.work { [mustRebuild] () throws(EventLogError) in
                try self.prepare(rebuilding: mustRebuild)
            }
            mustRebuild = false
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
                    let isLive = try await self.work { () throws(EventLogError) in
                        let isLive = try worker.switchOver()
                        if isLive { try self.removeOldGenerations() }
                        return isLive
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

    private func work<Value: Sendable>(
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
    private func prepare(rebuilding: Bool) throws(EventLogError) -> (ProjectionWorker, isBuilding: Bool) {
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
            // A rebuild goes on with what it has begun: the live one may well be of the same version.
            if !rebuilding, self.goal == .rebuild, let control, let building, building.version == version {
                return (
                    try ProjectionWorker(
                        self.projection, engine, control, generation: control.building, building), true
                )
            }
            if !rebuilding, let control {
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
            let isDone = try engine.change(
                [
                    .set(.projections, key: ProjectionKeys.control(name), value: fresh.stored),
                    .set(.projections, key: ProjectionKeys.progress(name, next), value: progress.stored),
                ], ifStill: [(ProjectionKeys.control(name), control?.stored)])
            guard isDone else { continue }
            try self.removeOldGenerations()
            return (
                try ProjectionWorker(self.projection, engine, fresh, generation: next, progress), !isFirst
            )
        }
    }

    /// Two versions at once would build their states against each other for ever: the older one gives way.
    private func refuseOlder(than version: UInt32) throws(EventLogError) {
        guard self.projection.version < version else { return }
        throw EventLogError(
            .conflict,
            "the projection '\(self.projection.name)' is at version \(version), and this is version "
                + "\(self.projection.version) of its function; run the newer one, or rebuild with this one")
    }

    /// Removes the state of every generation that is neither live nor being built.
    private func removeOldGenerations() throws(EventLogError) {
        try Self.removeGenerations(of: self.projection.name, self.log.engine)
    }

    static func removeGenerations(of name: String, _ engine: LogEngine) throws(EventLogError) {
        while true {
            // In slices: one huge transaction would make later ones slower.
            let (removals, control) = try EventLogError.translating { () throws(StorageError) in
                try engine.readingRecords { view throws(StorageError) in
                    let control = try view.control(name)
                    var removals: [RecordChange] = []
                    let kept = [control?.live ?? 0, control?.building ?? 0]
                    for kind in [UInt8(2), 1] {
                        var start: [UInt8] = []
                        let prefix = [kind] + Array(name.utf8) + [0]
                        repeat {
                            var next: [UInt8]?
                            try view.forEach(.projections, prefix: prefix, from: start) { key, _ in
                                let generation = key.prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
                                if kept.contains(generation) {
                                    let after = generation &+ 1
                                    next =
                                        after == 0
                                        ? nil : withUnsafeBytes(of: after.bigEndian) { [UInt8]($0) }
                                    return false
                                }
                                removals.append(.remove(.projections, key: prefix + key))
                                return removals.count < 4096
                            }
                            start = next ?? []
                        } while !start.isEmpty && removals.count < 4096
                    }
                    return (removals, control)
                }
            }
            if removals.isEmpty { return }
            // The generation of a rebuild that began meanwhile is not among them: its number is new.
            _ = try engine.change(
                removals, ifStill: [(ProjectionKeys.control(name), control?.stored)])
        }
    }
}

extension ProjectionFailure {
    func error(of name: String) -> EventLogError {
        EventLogError(
            .projectionFailed,
            "the projection '\(name)' stopped at the event of type '\(self.type)' with id \(self.eventID): "
                + "\(self.message); its state is as of the event before",
            positions: self.position..<Position(self.position.rawValue + 1))
    }
}
