import Logging

/// The names that metrics, spans and log lines of Tidelog carry, all of them.
///
/// Spans follow OpenTelemetry's semantic conventions for messaging.
public enum TelemetryNames {
    // Metrics; each has the dimension `bus`.

    /// Counter: events accepted.
    public static let published = "tidelog.bus.published"
    /// Counter: calls of handlers, and events given to sequences.
    public static let delivered = "tidelog.bus.delivered"
    /// Counter: calls of handlers that threw.
    public static let failed = "tidelog.bus.failed"
    /// Counter: events that a full buffer dropped.
    public static let dropped = "tidelog.bus.dropped"
    /// Gauge: events that wait in buffers.
    public static let waiting = "tidelog.bus.waiting"
    /// Timer: how long one call of a handler took.
    public static let handlerDuration = "tidelog.bus.handler.duration"
    /// The dimension that tells buses of a process apart.
    public static let busDimension = "bus"

    // Attributes of spans.

    /// What carries the messages: `tidelog`.
    public static let messagingSystem = "messaging.system"
    /// `publish` or `process`.
    public static let messagingOperationName = "messaging.operation.name"
    /// `send` or `process`.
    public static let messagingOperationType = "messaging.operation.type"
    /// The event's type.
    public static let messagingDestination = "messaging.destination.name"
    /// The event's id.
    public static let messagingMessageID = "messaging.message.id"
    /// The event's correlation id.
    public static let messagingConversationID = "messaging.message.conversation_id"
    /// The payload's size.
    public static let messagingBodySize = "messaging.message.body.size"
    /// The bus's name.
    public static let messagingClientID = "messaging.client.id"

    // Metadata of log lines.

    static let logEventType = "tidelog.event.type"
    static let logEventID = "tidelog.event.id"
    static let logCorrelationID = "tidelog.event.correlation_id"
    static let logPattern = "tidelog.pattern"
    static let logError = "tidelog.error"
    static let logFailures = "tidelog.failures"
    static let logConsumer = "tidelog.consumer"

    static func logMetadata(of failure: BusFailure, number: UInt64) -> Logger.Metadata {
        var metadata: Logger.Metadata = [
            Self.logEventType: .string(TerminalText.escape(failure.event.type)),
            Self.logEventID: .string(TerminalText.escape(failure.event.id.description)),
            Self.logPattern: .string(failure.pattern.description),
            Self.logError: .string("\(failure.error)"),
            Self.logFailures: .stringConvertible(number),
        ]
        if let id = failure.event.correlationID {
            metadata[Self.logCorrelationID] = .string(TerminalText.escape(id.description))
        }
        return metadata
    }
}
