import TidelogStorage

/// How a process manager stands.
public struct ProcessStatus: Hashable, Sendable {
    /// Its name.
    public let name: String
    /// The position of the first event that it has not looked at.
    public let next: Position
    /// Where the log ended when this was asked.
    public let end: Position
    /// What it stopped at, if a function of it threw there, or the log refused what it sent, and it has not passed
    /// that since.
    public let failure: ProcessFailure?

    /// How many positions of the log it has not looked at.
    public var lag: UInt64 { self.end.rawValue - min(self.end.rawValue, self.next.rawValue) }
}

extension ProcessStatus {
    init(_ name: String, _ progress: ProcessProgress, end: UInt64) {
        self.init(name: name, next: Position(progress.next), end: Position(end), failure: progress.failure)
    }
}

/// A timer that waits.
public struct PendingTimer: Hashable, Sendable {
    /// The instance that it wakes.
    public let instance: String
    /// Its name.
    public let name: String
    /// When it is due.
    public let due: Timestamp
}

extension EventLog {
    /// Starts a process manager, which then follows the log and its timers; goes on where it was.
    ///
    /// Several processes may start the same one: each event and timer still takes effect once. It stops, alone, at an
    /// event or timer whose function throws, or whose events the log refuses; starting it again resumes it there. A
    /// full disk is waited for.
    ///
    /// - Returns: what follows; it stops when this is let go.
    public func start<State>(_ process: ProcessManager<State>) async throws(EventLogError) -> LogFollower {
        try ProjectionKeys.checkName(process.name)
        let follower = LogFollower(name: process.name)
        let reached: @Sendable (UInt64) -> Void = { [weak follower] in follower?.reached($0) }
        let worker = try await self.work { log throws(EventLogError) in try ProcessWorker(process, log) }
        follower.begin {
            do throws(EventLogError) {
                try await self.drive(worker, follows: true, reached)
                return .success(())
            } catch {
                return error.code == .closed ? .success(()) : .failure(error)
            }
        }
        return follower
    }

    /// Runs a process manager until it has handled every event, its own included, and every timer that is due.
    @discardableResult
    public func catchUp<State>(
        _ process: ProcessManager<State>
    ) async throws(EventLogError) -> ProcessStatus {
        try ProjectionKeys.checkName(process.name)
        let worker = try await self.work { log throws(EventLogError) in try ProcessWorker(process, log) }
        try await self.drive(worker, follows: false) { _ in }
        guard let status = try await self.process(process.name).status() else {
            let end = try await self.end()
            return ProcessStatus(name: process.name, next: end, end: end, failure: nil)
        }
        return status
    }

    /// All process managers that have run, in the order of their names' bytes.
    public func processes() async throws(EventLogError) -> [ProcessStatus] {
        try await self.run { engine throws(StorageError) in
            let end = try engine.currentView().end
            return try engine.readingRecords { view throws(StorageError) in
                var result: [ProcessStatus] = []
                try view.forEach(.processes, prefix: [0]) { key, bytes throws(StorageError) in
                    let name = String(decoding: key, as: UTF8.self)
                    result.append(
                        ProcessStatus(name, try ProcessProgress(stored: Array(bytes)), end: end))
                    return true
                }
                return result
            }
        }
    }

    /// The process manager with this name, to be asked.
    public func process(_ name: String) -> ProcessReader { ProcessReader(log: self, name: name) }

    private func drive<State>(
        _ worker: ProcessWorker<State>, follows: Bool, _ reached: @Sendable (UInt64) -> Void
    ) async throws(EventLogError) {
        var pause = Duration.milliseconds(50)
        while !Task.isCancelled {
            reached(worker.progress.next)
            let step: ProcessWorker<State>.Step
            do throws(EventLogError) {
                step = try await self.work { _ throws(EventLogError) in try worker.step() }
                pause = .milliseconds(50)
            } catch {
                guard follows, error.code == .storageFull else { throw error }
                try? await Task.sleep(for: pause)
                pause = min(pause * 2, .seconds(5))
                continue
            }
            switch step {
            case .advanced, .superseded: continue
            case .failed(let failure): throw failure.error(of: worker.process.name)
            case .caughtUp(let end, let timer):
                guard follows else { return }
                guard await self.waitForGrowth(beyond: end, orUntil: timer, worker.process.now) else {
                    return
                }
            }
        }
    }

    /// Waits until the log has grown or a moment has come; false when the log closed or the task was
    /// cancelled.
    private func waitForGrowth(
        beyond end: UInt64, orUntil moment: Timestamp?, _ now: @Sendable () -> Timestamp
    ) async -> Bool {
        let notifier = self.engine.notifier
        guard let moment else { return await notifier.wait(beyond: end) }
        // Another process may set an earlier timer: look again at least every second.
        let nanoseconds = moment.nanosecondsSinceEpoch &- now().nanosecondsSinceEpoch
        let pause = Duration.nanoseconds(min(max(nanoseconds, 1_000_000), 1_000_000_000))
        return await withTaskGroup(of: Bool?.self) { group in
            group.addTask { await notifier.wait(beyond: end) }
            group.addTask {
                try? await Task.sleep(for: pause)
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first ?? !Task.isCancelled
        }
    }

    /// Runs work that blocks on the log's own threads.
    func work<Value: Sendable>(
        _ body: @escaping @Sendable (EventLog) throws(EventLogError) -> Value
    ) async throws(EventLogError) -> Value {
        let result = try await self.run { _ throws(StorageError) -> Result<Value, EventLogError> in
            do throws(EventLogError) {
                return .success(try body(self))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// What an append would refuse in these events whatever the log holds.
    ///
    /// - Parameter warns: as in ``SchemaRegistry/validate(_:warns:)``.
    /// - Returns: the schemas that they fit.
    @discardableResult
    func validate(_ events: [Event], warns: Bool = true) throws(EventLogError) -> SchemaStamp {
        try self.checked(events, warns: warns).schemas
    }
}

/// Asks a process manager's instances and timers.
public struct ProcessReader: Sendable {
    let log: EventLog
    /// The process manager's name.
    public let name: String

    /// How it stands; nil if it has never run.
    public func status() async throws(EventLogError) -> ProcessStatus? {
        let name = self.name
        return try await self.log.run { engine throws(StorageError) in
            let end = try engine.currentView().end
            return try engine.readingRecords { view throws(StorageError) in
                try view.processProgress(name).map { ProcessStatus(name, $0, end: end) }
            }
        }
    }

    /// The state of an instance; nil if there is none, or none any more.
    public func state<State: Decodable>(
        of instance: String, as type: State.Type = State.self
    ) async throws(EventLogError) -> State? {
        let key = ProcessKeys.instances(self.name) + Array(instance.utf8)
        let stored = try await self.log.run { engine throws(StorageError) in
            try engine.record(.processes, key: key).map { bytes throws(StorageError) in
                try ProcessInstance(stored: bytes)
            }
        }
        return try stored.map { instance throws(EventLogError) in
            try EventPayload(bytes: instance.state).decode(as: type)
        }
    }

    /// Instances that are not complete, in the order of their names' bytes, a page at a time.
    public func instances(
        after instance: String? = nil, limit: Int = 1000
    ) async throws(EventLogError) -> [String] {
        guard limit > 0 else {
            throw EventLogError(.invalidArgument, "a page of \(limit) instances; ask for one at the least")
        }
        let prefix = ProcessKeys.instances(self.name)
        let start: [UInt8] = instance.map { Array($0.utf8) + [0] } ?? []
        return try await self.log.run { engine throws(StorageError) in
            try engine.readingRecords { view throws(StorageError) in
                var result: [String] = []
                try view.forEach(.processes, prefix: prefix, from: start) { key, _ in
                    result.append(String(decoding: key, as: UTF8.self))
                    return result.count < limit
                }
                return result
            }
        }
    }

    /// Timers that wait, the next one first.
    public func timers(limit: Int = 1000) async throws(EventLogError) -> [PendingTimer] {
        guard limit > 0 else {
            throw EventLogError(.invalidArgument, "a page of \(limit) timers; ask for one at the least")
        }
        let prefix = ProcessKeys.timers(self.name)
        return try await self.log.run { engine throws(StorageError) in
            try engine.readingRecords { view throws(StorageError) in
                var result: [PendingTimer] = []
                try view.forEach(.processTimers, prefix: prefix) { key, _ in
                    if let timer = ProcessKeys.parse(key) {
                        result.append(
                            PendingTimer(
                                instance: timer.instance, name: timer.timer,
                                due: Timestamp(nanosecondsSinceEpoch: timer.due)))
                    }
                    return result.count < limit
                }
                return result
            }
        }
    }
}
