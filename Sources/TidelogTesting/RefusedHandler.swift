package import Tidelog

/// A handler whose transaction the log is to refuse.
package struct RefusedHandler: Error, CustomStringConvertible {
    package let description: String

    /// Appends an event of type "in" and lets a consumer handle it, exactly once and at most once; returns
    /// when the event has become a dead letter.
    ///
    /// - Throws: a ``RefusedHandler`` if the handler's transaction was committed.
    package static func run(
        on log: EventLog, _ handler: @escaping @Sendable (HandlerTransaction) async throws -> Void
    ) async throws {
        try await log.append(Event(type: "in", correlationID: "in"))
        var settings = ConsumerSettings()
        settings.filter = .types("in")
        settings.retry = .immediate(maximumDeliveries: 1)
        let consumer = try await log.consumer("c", settings: settings)
        let running = Task {
            try await consumer.runExactlyOnce { _, transaction in try await handler(transaction) }
        }
        while true {
            let status = try await log.consumers.status(of: "c")
            if status?.deadLetters == 1 { break }
            guard status?.acknowledged == 0 else {
                throw RefusedHandler(description: "what was to be refused was committed")
            }
            try await Task.sleep(for: .milliseconds(5))
        }
        running.cancel()
        try await running.value
    }
}
