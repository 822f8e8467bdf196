import TidelogStorage

extension EventLog {
    /// Keeps an event now and appends it at a time: until then it has no position and reaches no consumer.
    ///
    /// It survives restarts. A process that has the log open then appends it, once; if none has, the next one that
    /// opens it does. An event with the id of one that is scheduled takes its place. Durable when it returns.
    public func schedule(
        _ event: Event, to stream: String? = nil, at time: Timestamp
    ) async throws(EventLogError) {
        try await self.schedule(try ScheduledEvent(event, stream, .at(time), for: self))
    }

    /// Keeps an event now and appends it after a time, measured by a clock that nobody sets; across a restart of
    /// the machine the wall clock decides what is left of it.
    public func schedule(
        _ event: Event, to stream: String? = nil, after delay: Duration
    ) async throws(EventLogError) {
        try await self.schedule(try ScheduledEvent(event, stream, .after(delay), for: self))
    }

    private func schedule(_ scheduled: ScheduledEvent) async throws(EventLogError) {
        _ = try await self.consumers.change { transaction throws(StorageError) in
            try scheduled.write(in: transaction)
            try ControlCounter.raise(in: transaction)
            return true
        }
        try EventLogError.translating { () throws(StorageError) in try self.subscriptions.begin() }
        self.subscriptions.lookAtSchedules()
    }

    /// Takes back a scheduled event; false if there is none with this id, or it was appended already.
    @discardableResult
    public func cancelScheduled(id: EventID) async throws(EventLogError) -> Bool {
        try await self.consumers.change { transaction throws(StorageError) in
            try ScheduledEvent.remove(id: id, in: transaction)
        }
    }

    /// Events that are to come, by time; those that could not be appended when they were due are last.
    public func scheduledEvents(limit: Int = 1000) async throws(EventLogError) -> [ScheduledEvent] {
        var found = try await self.subscriptions.read { reader throws(StorageError) in
            var found: [ScheduledEvent] = []
            for family in ScheduledEvent.families {
                try reader.forEachRecord(.timers, prefix: [family], from: [family]) {
                    _, value throws(StorageError) in
                    found.append(try ScheduledEvent.decode(value))
                    return found.count < max(0, limit) * ScheduledEvent.families.count
                }
            }
            return found
        }
        found.sort { ($0.problem == nil ? 0 : 1, $0.time) < ($1.problem == nil ? 0 : 1, $1.time) }
        return Array(found.prefix(max(0, limit)))
    }
}

extension SubscriptionHub {
    /// Scheduled events appended by one transaction.
    private static let slice = 256

    /// Starts the thread if something is scheduled: at the log's opening. Blocks.
    func resumeSchedules() {
        guard !self.engine.options.isReadOnly else { return }
        let isSome = try? self.engine.readingRecords { (reader) throws(StorageError) in
            try Self.nextDue(in: reader, .now) != nil
        }
        guard isSome == true else { return }
        try? self.begin()
        self.lookAtSchedules()
    }

    /// Appends what is due, and answers when the next one is, in the boot's nanoseconds. Blocks.
    func fireSchedules() -> UInt64? {
        let retry = BootClock.now + 1_000_000_000
        while true {
            let moment = Moment.now
            do throws(StorageError) {
                let due = try self.engine.readingRecords { (reader) throws(StorageError) in
                    try Self.due(in: reader, moment)
                }
                try self.carryOver(due.filter { $0.delay != nil && $0.boot != moment.boot }, moment)
                let ready = due.filter { $0.delay == nil || $0.boot == moment.boot }
                if !ready.isEmpty { try self.fire(ready) }
                if due.isEmpty {
                    return try self.engine.readingRecords { (reader) throws(StorageError) in
                        try Self.nextDue(in: reader, moment)
                    }
                }
            } catch {
                if error.code == .closed { return nil }
                self.noteUnfired(error)
                return retry
            }
        }
    }

    private func fire(_ scheduled: [ScheduledEvent]) throws(StorageError) {
        var fitting: [ScheduledEvent] = []
        for event in scheduled {
            if let problem = self.misfit(event) {
                try self.giveUp(event, because: problem)
            } else {
                fitting.append(event)
            }
        }
        if !fitting.isEmpty { try self.append(fitting) }
    }

    /// Why a schema that was registered since forbids the event; nil if none does.
    private func misfit(_ scheduled: ScheduledEvent) -> String? {
        do throws(EventLogError) {
            try self.schemas.validate([scheduled.event.record])
            return nil
        } catch {
            // What keeps schemas from being read is no fault of the event's, and meets the append as well.
            return error.code == .schemaViolation ? error.message : nil
        }
    }

    private func append(_ scheduled: [ScheduledEvent]) throws(StorageError) {
        let removals = scheduled.flatMap(\.removal)
        let check: @Sendable (borrowing HeadTransaction) throws(StorageError) -> Void = {
            transaction throws(StorageError) in
            for event in scheduled where try !event.isThere(in: transaction) {
                throw StorageError(.cancelled, "another process was faster, or it was taken back")
            }
        }
        do throws(StorageError) {
            let outcome = try self.engine.appendBlocking(
                scheduled.map(\.event.record), changing: removals, check: check)
            if outcome.isRepeat {
                // Somebody has appended them himself, so the writer has only looked: they are still to be removed.
                _ = try self.engine.appendBlocking([], changing: removals, check: check)
            }
        } catch {
            switch error.code {
            case .cancelled where scheduled.count == 1: return
            case .cancelled, .duplicate, .streamDeleted, .conflict, .invalidArgument, .limitExceeded:
                guard scheduled.count == 1 else {
                    for event in scheduled { try self.append([event]) }
                    return
                }
                try self.giveUp(scheduled[0], because: error.message)
            default: throw error
            }
        }
    }

    /// It can never be appended: keeps it where a person finds it.
    private func giveUp(_ scheduled: ScheduledEvent, because problem: String) throws(StorageError) {
        let changes = scheduled.removal + scheduled.failed(problem).entries
        do throws(StorageError) {
            _ = try self.engine.appendBlocking([], changing: changes) { transaction throws(StorageError) in
                guard try !scheduled.isThere(in: transaction) else { return }
                throw StorageError(.cancelled, "another process was faster, or it was taken back")
            }
        } catch {
            if error.code != .cancelled { throw error }
        }
    }

    /// What waited in an earlier boot waits for what is left.
    private func carryOver(_ scheduled: [ScheduledEvent], _ moment: Moment) throws(StorageError) {
        guard !scheduled.isEmpty else { return }
        var changes: [RecordChange] = []
        for event in scheduled {
            let carried = event.carriedOver(moment)
            changes += event.removal + carried.entries
        }
        _ = try self.engine.appendBlocking([], changing: changes) { transaction throws(StorageError) in
            for event in scheduled where try !event.isThere(in: transaction) {
                throw StorageError(.cancelled, "another process was faster, or it was taken back")
            }
        }
    }

    private static func due(
        in reader: borrowing RecordView, _ moment: Moment
    ) throws(StorageError) -> [ScheduledEvent] {
        var due: [ScheduledEvent] = []
        for family in ScheduledEvent.families.dropLast() {
            try reader.forEachRecord(.timers, prefix: [family], from: [family]) {
                _, value throws(StorageError) in
                let event = try ScheduledEvent.decode(value)
                guard event.isDue(moment) else { return event.delay != nil && event.boot != moment.boot }
                due.append(event)
                return due.count < Self.slice
            }
        }
        return due
    }

    private static func nextDue(
        in reader: borrowing RecordView, _ moment: Moment
    ) throws(StorageError) -> UInt64? {
        var next: UInt64?
        for family in ScheduledEvent.families.dropLast() {
            try reader.forEachRecord(.timers, prefix: [family], from: [family]) {
                _, value throws(StorageError) in
                let event = try ScheduledEvent.decode(value)
                let wait = max(0, event.time.nanosecondsSinceEpoch &- moment.wall)
                // The wall clock may be set meanwhile: look at least every minute.
                let due =
                    event.delay != nil
                    ? event.monotonicDue : moment.monotonic + UInt64(min(wait, 60_000_000_000))
                next = min(next ?? .max, due)
                return false
            }
        }
        return next
    }
}

extension ScheduledEvent {
    /// Whether it is to be looked at now: it is due, or it waits by the clock of another boot.
    func isDue(_ moment: Moment) -> Bool {
        if self.delay == nil { return self.time.nanosecondsSinceEpoch <= moment.wall }
        return self.boot != moment.boot || self.monotonicDue <= moment.monotonic
    }
}
