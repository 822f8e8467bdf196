extension EventLog {
    /// Forwards events to a bus, such as a broker's: in the order of the log, resuming where it was, until the task is
    /// cancelled or the log is closed.
    ///
    /// An event's offset moves once the bus has accepted it. Where the bus fails, or the process is killed in between,
    /// the event is published again under the same id, by which its receivers drop what they have already. What a
    /// bus refuses for good (`invalidEvent`, `duplicateEvent` for an id with other contents, `schemaViolation`,
    /// `streamDeleted`) becomes a dead letter of its own, and those behind it go on. A bus that is closed is tried
    /// again as any other that fails: cancel the task.
    ///
    /// ```swift
    /// let relay = Task { try await log.relay("to-broker", to: broker) }
    /// ```
    ///
    /// - Parameters: as of ``relay(_:filter:batchesOf:retry:_:)``.
    public func relay(
        _ name: String, to bus: any EventBus, filter: EventQuery = .all, batchesOf max: Int = 256,
        retry: RetryPolicy = .relay
    ) async throws(EventLogError) {
        try await self.relayDeliveries(name, filter, batchesOf: max, retry) { deliveries in
            try await Self.forward(deliveries) { events in try await bus.publish(events) }
        }
    }
}

extension RetryPolicy {
    /// For ever, after 200 ms at first and 30 s at last: being offline is normal.
    public static var relay: Self {
        .exponential(from: .milliseconds(200), upTo: .seconds(30), jitter: 0, maximumDeliveries: nil)
    }
}
