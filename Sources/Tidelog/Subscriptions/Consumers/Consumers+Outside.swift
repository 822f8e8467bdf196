import TidelogStorage

/// How far a reader is that keeps its own account outside of the log, such as an export to a database.
package struct OutsideProgress: Sendable {
    /// The position of the first event that it has not finished.
    package var next: Position
    /// Events that it has finished since it was last noted.
    package var finished: Int
    /// Whether it is paused.
    package var isPaused: Bool
    /// What has failed since it was last noted.
    package var error: String?

    package init(next: Position, finished: Int, isPaused: Bool, error: String?) {
        self.next = next
        self.finished = finished
        self.isPaused = isPaused
        self.error = error
    }
}

extension Consumers {
    /// Sees to it that there is a consumer of that name, so that retention waits for it from now on.
    ///
    /// - Throws: ``EventLogError``: `permissionDenied` or what else a log throws that is open for reading alone.
    package func enroll(_ name: String, settings: ConsumerSettings) async throws(EventLogError) {
        _ = try await self.open(name, settings)
    }

    /// Notes how far the reader is; in one transaction, durable when it returns.
    ///
    /// The reader's own account decides: what anybody did to the consumer in between is overwritten.
    package func note(_ name: String, _ progress: OutsideProgress) async throws(EventLogError) {
        try await self.control(name) { $0.follow(progress, Moment.now) }
    }
}

extension Ledger {
    /// Takes over how far a reader outside of the log is.
    mutating func follow(_ progress: OutsideProgress, _ moment: Moment) {
        let position = progress.next.rawValue
        if position > self.frontier || progress.finished > 0 { self.lastProgress = moment.wall }
        if position < self.frontier || !self.grants.isEmpty || !self.waiting.isEmpty {
            self.seek(to: position)
        } else {
            self.frontier = position
        }
        let finished = UInt64(max(0, progress.finished))
        self.counters.delivered += finished
        self.counters.acknowledged += finished
        if finished > 0 { self.rate.add(finished, moment.wall) }
        self.isPaused = progress.isPaused
        if let error = progress.error {
            self.lastError = (Attempt(time: moment.wall, error: error), position)
        }
    }
}
