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
}

extension EventLog {
    /// Forwards events to another log, which drops those that it has already; see
    /// ``relay(_:filter:batchesOf:retry:_:)``.
    public func relay(
        _ name: String, to other: EventLog, filter: EventQuery = .all, batchesOf max: Int = 256
    ) async throws(EventLogError) {
        try await self.relay(name, filter: filter, batchesOf: max) { events in
            try await other.appendMissing(events.map(\.event))
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
