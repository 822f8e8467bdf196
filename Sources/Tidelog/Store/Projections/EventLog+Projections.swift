import TidelogStorage

/// How a projection stands.
public struct ProjectionStatus: Hashable, Sendable {
    /// Its name.
    public let name: String
    /// The version of the function that made its state.
    public let version: UInt32
    /// The position of the first event that its state does not know.
    public let next: Position
    /// Where the log ended when this was asked.
    public let end: Position
    /// How many events its function was given.
    public let applied: UInt64
    /// When it last made progress; nil if it never has.
    public let updatedAt: Timestamp?
    /// The event that it stopped at, if its function threw there or it cannot be read, and it has not passed it
    /// since.
    public let failure: ProjectionFailure?
    /// How far the build is that goes on beside it, if one does.
    public let building: Position?

    /// How many positions of the log it has not looked at.
    public var lag: UInt64 { self.end.rawValue - min(self.end.rawValue, self.next.rawValue) }
}

extension EventLog {
    /// Starts a projection, which then follows the log; goes on where it was.
    ///
    /// If the stored state was made by another version of the function, a new one is built beside it, and
    /// takes its place in one step once it is as far. An older version than the stored one ends with
    /// `conflict`. Several processes may start the same projection: each event still counts once. A full disk
    /// is waited for.
    ///
    /// - Returns: the running projection; it stops when this is let go.
    public func start(_ projection: Projection) async throws(EventLogError) -> LogFollower {
        try ProjectionKeys.checkName(projection.name)
        _ = try projection.batchQuery()
        let running = LogFollower(name: projection.name)
        let driver = ProjectionDriver(log: self, projection: projection, goal: .follow)
        let reached: @Sendable (UInt64) -> Void = { [weak running] in running?.reached($0) }
        running.begin {
            do throws(EventLogError) {
                try await driver.run(reached)
                return .success(())
            } catch {
                return error.code == .closed ? .success(()) : .failure(error)
            }
        }
        return running
    }

    /// Runs a projection up to the end of the log, and returns.
    ///
    /// - Throws: ``EventLogError`` with code `projectionFailed` and the event's place if its function throws.
    @discardableResult
    public func catchUp(_ projection: Projection) async throws(EventLogError) -> ProjectionStatus {
        try await self.run(projection, .catchUp)
    }

    /// Builds a projection's state anew from the first event, beside the live one, and switches over in one
    /// step once it is as far. Until then, and if its function throws, the live one is what is asked.
    ///
    /// What was built is removed if the function throws or the task is cancelled; if the process dies, when a log is
    /// next opened for writing or the projection runs.
    @discardableResult
    public func rebuild(_ projection: Projection) async throws(EventLogError) -> ProjectionStatus {
        try await self.run(projection, .rebuild)
    }

    private func run(
        _ projection: Projection, _ goal: ProjectionDriver.Goal
    ) async throws(EventLogError) -> ProjectionStatus {
        try ProjectionKeys.checkName(projection.name)
        _ = try projection.batchQuery()
        try await ProjectionDriver(log: self, projection: projection, goal: goal).run { _ in }
        guard let status = try await self.projection(projection.name).status() else {
            throw EventLogError(.notFound, "the projection '\(projection.name)' was deleted while it ran")
        }
        return status
    }

    /// The state of the projection with this name, to be asked.
    public func projection(_ name: String) -> ProjectionReader { ProjectionReader(log: self, name: name) }

    /// How all projections stand, by name.
    public func projections() async throws(EventLogError) -> [ProjectionStatus] {
        try await self.run { engine throws(StorageError) in
            let end = try engine.currentView().end
            return try engine.readingRecords { view throws(StorageError) in
                var result: [ProjectionStatus] = []
                try view.forEach(.projections, prefix: [0]) { key, _ throws(StorageError) in
                    if let status = try view.status(String(decoding: key, as: UTF8.self), end: end) {
                        result.append(status)
                    }
                    return true
                }
                return result
            }
        }
    }

    /// Deletes a projection's state and offset. One that runs ends or begins anew.
    ///
    /// - Throws: ``EventLogError`` with code `notFound`.
    public func deleteProjection(_ name: String) async throws(EventLogError) {
        let hub = self.subscriptions
        let isThere = try await self.run { engine throws(StorageError) -> Result<Bool, EventLogError> in
            let generations = ProjectionGenerations(name, engine, hub)
            while true {
                let control = try engine.readingRecords { view throws(StorageError) in
                    try view.control(name)
                }
                guard let control, control.live > 0 else { return .success(false) }
                do throws(EventLogError) {
                    if try generations.removeAll(control) { return .success(true) }
                } catch {
                    return .failure(error)
                }
            }
        }.get()
        guard isThere else { throw EventLogError(.notFound, "there is no projection '\(name)'") }
    }
}

extension RecordView {
    fileprivate func status(_ name: String, end: UInt64) throws(StorageError) -> ProjectionStatus? {
        guard let control = try self.control(name), let live = try self.progress(name, control.live) else {
            return nil
        }
        let building = control.building > 0 ? try self.progress(name, control.building) : nil
        return ProjectionStatus(
            name: name, version: live.version, next: Position(live.next), end: Position(end),
            applied: live.applied,
            updatedAt: live.updatedAt == 0 ? nil : Timestamp(nanosecondsSinceEpoch: live.updatedAt),
            failure: live.failure, building: building.map { Position($0.next) })
    }
}

/// Asks a projection's live state. Each call sees one state, whatever is committed meanwhile.
public struct ProjectionReader: Sendable {
    let log: EventLog
    /// The projection's name.
    public let name: String

    /// How it stands; nil if there is none.
    public func status() async throws(EventLogError) -> ProjectionStatus? {
        let name = self.name
        return try await self.log.run { engine throws(StorageError) in
            let end = try engine.currentView().end
            return try engine.readingRecords { view throws(StorageError) in try view.status(name, end: end) }
        }
    }

    /// The value under a key; nil if there is none.
    public func value(_ key: String) async throws(EventLogError) -> ProjectionValue? {
        try ProjectionState.checkKey(key)
        return try await self.read { view, prefix throws(StorageError) in
            guard let bytes = try view.record(.projections, key: prefix + Array(key.utf8)) else { return nil }
            return try ProjectionValue(stored: bytes)
        } ?? nil
    }

    /// The number under a key; nil if there is none.
    public func integer(_ key: String) async throws(EventLogError) -> Int64? {
        try await self.value(key)?.integer
    }

    /// The value in JSON under a key as a `Codable` type; nil if there is none.
    public func decode<Value: Decodable>(
        _ key: String, as type: Value.Type = Value.self
    ) async throws(EventLogError) -> Value? {
        try await self.value(key)?.decode(as: type)
    }

    /// Entries whose keys begin with `prefix`, in the order of their bytes, a page at a time.
    ///
    /// - Parameters:
    ///   - key: only keys after this one: the last one of the page before.
    ///   - limit: the size of a page.
    public func entries(
        prefix: String = "", after key: String? = nil, limit: Int = 1000
    ) async throws(EventLogError) -> [(key: String, value: ProjectionValue)] {
        try await self.entries(from: key.map { Array($0.utf8) + [0] } ?? [], limit) {
            $0.starts(with: prefix.utf8)
        } start: {
            Array(prefix.utf8)
        }
    }

    /// Entries whose keys are at or after `low` and before `high`, in the order of their bytes.
    public func entries(
        from low: String, to high: String, limit: Int = 1000
    ) async throws(EventLogError) -> [(key: String, value: ProjectionValue)] {
        let bound = Array(high.utf8)
        return try await self.entries(from: [], limit) {
            $0.lexicographicallyPrecedes(bound)
        } start: {
            Array(low.utf8)
        }
    }

    private func entries(
        from key: [UInt8], _ limit: Int, while isWanted: @escaping @Sendable (ArraySlice<UInt8>) -> Bool,
        start: () -> [UInt8]
    ) async throws(EventLogError) -> [(key: String, value: ProjectionValue)] {
        guard limit > 0 else {
            throw EventLogError(.invalidArgument, "a page of \(limit) entries; ask for one at the least")
        }
        let first = start()
        let begin = key.lexicographicallyPrecedes(first) ? first : key
        return try await self.read { view, prefix throws(StorageError) in
            var result: [(key: String, value: ProjectionValue)] = []
            try view.forEach(.projections, prefix: prefix, from: begin) { key, bytes throws(StorageError) in
                guard isWanted(key) else { return false }
                result.append(
                    (String(decoding: key, as: UTF8.self), try ProjectionValue(stored: bytes)))
                return result.count < limit
            }
            return result
        } ?? []
    }

    /// Runs `body` with the live generation's keys; nil if there is no such projection.
    private func read<Value: Sendable>(
        _ body: @escaping @Sendable (borrowing RecordView, [UInt8]) throws(StorageError) -> Value
    ) async throws(EventLogError) -> Value? {
        let name = self.name
        return try await self.log.run { engine throws(StorageError) in
            try engine.readingRecords { view throws(StorageError) -> Value? in
                guard let control = try view.control(name), control.live > 0 else { return nil }
                return try body(view, ProjectionKeys.values(name, control.live))
            }
        }
    }
}
