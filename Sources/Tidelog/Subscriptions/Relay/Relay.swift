extension EventLog {
    /// Forwards events to somewhere else, such as a broker or another log, until the task is cancelled or the log is
    /// closed: in the order of the log, resuming where it was, whatever fails meanwhile.
    ///
    /// It is a durable consumer: its offset moves once `forward` has returned, so a failure or a kill in between
    /// forwards again. The event's id is the key by which the other side drops what it has already; a log does so by
    /// itself within its window of ids.
    ///
    /// ```swift
    /// try await log.relay("to-broker") { events in
    ///     try await broker.send(events.map(\.event))
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - name: the consumer's name, as in ``consumers``.
    ///   - filter: which events.
    ///   - max: how many events are forwarded at a time at most.
    ///   - retry: when a failed forward is tried again. By default for ever, after 200 ms at first and 30 s at
    ///     last: being offline is normal. With a limit, or errors that are permanent, an event that cannot be
    ///     forwarded becomes a dead letter, and those behind it go on.
    ///   - forward: takes the events, and throws if they are not there for good.
    public func relay(
        _ name: String, filter: EventQuery = .all, batchesOf max: Int = 256,
        retry: RetryPolicy = .relay,
        _ forward: @escaping @Sendable ([StoredEvent]) async throws -> Void
    ) async throws(EventLogError) {
        try await self.relayDeliveries(name, filter, batchesOf: max, retry) { deliveries in
            try await forward(deliveries.map(\.event))
        }
    }

    /// The consumer behind a relay: in the order of the log, one batch at a time.
    func relayDeliveries(
        _ name: String, _ filter: EventQuery, batchesOf max: Int, _ retry: RetryPolicy,
        _ forward: @escaping @Sendable ([Delivery]) async throws -> Void
    ) async throws(EventLogError) {
        var settings = ConsumerSettings()
        settings.filter = filter
        settings.ordering = .whole
        settings.retry = retry
        settings.prefetch = Swift.max(max, 1)
        let consumer = try await self.consumer(name, settings: settings)
        do throws(EventLogError) {
            try await consumer.run(batchesOf: max, forward)
        } catch {
            await consumer.leave()
            throw error
        }
        await consumer.leave()
    }

    /// Sends events together or, where that is refused because of one of them, one after the other: what is refused
    /// for good by itself becomes a dead letter, and the others are finished.
    static func forward(
        _ deliveries: [Delivery], _ send: ([Event]) async throws -> Void
    ) async throws {
        do {
            return try await send(deliveries.map(\.event.event))
        } catch let error as EventLogError where Self.mayPassInPieces(error) {
            // Which one is it, or are they too many at once?
        }
        for delivery in deliveries {
            do {
                try await send([delivery.event.event])
                try delivery.acknowledge()
            } catch let error as EventLogError where Self.isForGood(error) {
                try await delivery.park(because: error.message)
            }
        }
    }

    /// Whether what is refused so is refused always: it is the event's own doing.
    private static func isForGood(_ error: EventLogError) -> Bool {
        switch error.code {
        case .invalidEvent, .duplicateEvent, .schemaViolation, .streamDeleted: true
        default: false
        }
    }

    /// Whether some of the events may be accepted alone.
    private static func mayPassInPieces(_ error: EventLogError) -> Bool {
        switch error.code {
        case .limitExceeded, .invalidArgument: true
        default: Self.isForGood(error)
        }
    }
}

extension EventLog {
    /// Forwards events to another log, which drops those that it has already; see
    /// ``relay(_:filter:batchesOf:retry:_:)``.
    ///
    /// What that log refuses for good (`duplicateEvent` for an id with other contents, `invalidEvent`,
    /// `schemaViolation`, `streamDeleted`) becomes a dead letter of its own, and those behind it go on.
    public func relay(
        _ name: String, to other: EventLog, filter: EventQuery = .all, batchesOf max: Int = 256
    ) async throws(EventLogError) {
        try await self.relayDeliveries(name, filter, batchesOf: max, .relay) { deliveries in
            // Of a batch of which it has some already it takes each by itself, and knows those again.
            try await Self.forward(deliveries) { events in _ = try await other.append(events) }
        }
    }

    /// Appends those of the events that the log does not have yet, by their ids, in their order: for the receiving
    /// end of a relay, where a batch may hold some that came with an earlier one.
    ///
    /// They are recognised within the window of ids (`idempotenceWindow`). An id with other contents is an error.
    public func appendMissing(_ events: [Event]) async throws(EventLogError) {
        do throws(EventLogError) {
            try await self.append(events)
        } catch {
            guard error.code == .duplicateEvent, events.count > 1 else { throw error }
            for event in events { try await self.append(event) }
        }
    }
}
