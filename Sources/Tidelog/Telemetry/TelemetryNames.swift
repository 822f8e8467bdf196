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

    // Metrics of consumers; each has the dimension `consumer`.

    /// Counter: events handed to a process, retries among them.
    public static let consumerDelivered = "tidelog.consumer.delivered"
    /// Counter: events acknowledged.
    public static let consumerAcknowledged = "tidelog.consumer.acknowledged"
    /// Counter: deliveries that failed and will be made again.
    public static let consumerRetried = "tidelog.consumer.retried"
    /// Counter: events given up on.
    public static let consumerDeadLettered = "tidelog.consumer.dead_lettered"
    /// Gauge: positions from the consumer's offset to the end of the log.
    public static let consumerLag = "tidelog.consumer.lag"
    /// The dimension that tells consumers apart.
    public static let consumerDimension = "consumer"

    // Metrics of a log; each has the dimension `log`.

    /// Gauge: for how many seconds the oldest read of any process has stood at the same commit.
    public static let oldestReaderAge = "tidelog.log.oldest_reader_age"
    /// The dimension that tells logs apart: the log's directory.
    public static let logDimension = "log"

    // Metrics of exports; each has the dimension `export`.

    /// Counter: events that an export has put into its database.
    public static let exportedEvents = "tidelog.export.events"
    /// Counter: bytes that it sent for them.
    public static let exportedBytes = "tidelog.export.bytes"
    /// Counter: failures to connect or to export.
    public static let exportFailures = "tidelog.export.failures"
    /// Gauge: what it is doing: 0 stopped, 1 connecting, 2 connected, 3 offline, 4 paused, 5 halted.
    public static let exportState = "tidelog.export.state"
    /// Gauge: events a second over the last ten seconds.
    public static let exportRate = "tidelog.export.rate"
    /// Gauge: positions that are not exported yet.
    public static let exportLagEvents = "tidelog.export.lag.events"
    /// Gauge: about how many bytes of events are not exported yet.
    public static let exportLagBytes = "tidelog.export.lag.bytes"
    /// Gauge: how old the oldest event is that is not exported yet, in seconds.
    public static let exportLagSeconds = "tidelog.export.lag.seconds"
    /// The dimension that tells exports apart.
    public static let exportDimension = "export"

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
    /// The consumer's name.
    public static let messagingConsumerGroup = "messaging.consumer.group.name"
    /// How many events share the call of a handler.
    public static let messagingBatchCount = "messaging.batch.message_count"

    // Metadata of log lines.

    static let logEventType = "tidelog.event.type"
    static let logEventID = "tidelog.event.id"
    static let logCorrelationID = "tidelog.event.correlation_id"
    static let logPattern = "tidelog.pattern"
    static let logError = "tidelog.error"
    static let logFailures = "tidelog.failures"
    static let logConsumer = "tidelog.consumer"
    static let logSchemaVersion = "tidelog.schema.version"

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
