import CoreMetrics
import TidelogStorage
import Tracing

/// The metrics and spans of a log's consumers in this process.
final class ConsumerInstruments: Sendable {
    private struct Meters: Sendable {
        let delivered: Counter
        let acknowledged: Counter
        let retried: Counter
        let deadLettered: Counter
        let lag: Gauge
    }

    private let metrics: (any MetricsFactory)?
    private let tracer: (any Tracer)?
    private let meters = Lock<[String: Meters]>([:])

    /// The instruments that are asked for, or nil if none are.
    init?(_ telemetry: ConsumerTelemetry) {
        guard telemetry.metrics != nil || telemetry.tracer != nil else { return nil }
        (self.metrics, self.tracer) = (telemetry.metrics, telemetry.tracer)
    }

    // MARK: Metrics

    /// Hands over what one commit has changed.
    func report(_ consumer: String, from old: LedgerCounters, to new: LedgerCounters, lag: UInt64) {
        guard let meters = self.meters(of: consumer) else { return }
        func increase(_ counter: Counter, _ key: KeyPath<LedgerCounters, UInt64>) {
            let more = new[keyPath: key] - min(old[keyPath: key], new[keyPath: key])
            if more > 0 { counter.increment(by: Int64(clamping: more)) }
        }
        increase(meters.delivered, \.delivered)
        increase(meters.acknowledged, \.acknowledged)
        increase(meters.retried, \.retried)
        increase(meters.deadLettered, \.deadLettered)
        meters.lag.record(lag)
    }

    /// Whether there are metrics to be handed over.
    var hasMetrics: Bool { self.metrics != nil }

    /// Hands over how far a consumer is behind, whether it has changed anything or not.
    func report(_ consumer: String, lag: UInt64) {
        self.meters(of: consumer)?.lag.record(lag)
    }

    private func meters(of consumer: String) -> Meters? {
        guard let factory = self.metrics else { return nil }
        return self.meters.withLock { known in
            if let meters = known[consumer] { return meters }
            let dimensions = [(TelemetryNames.consumerDimension, consumer)]
            func counter(_ label: String) -> Counter {
                Counter(label: label, dimensions: dimensions, factory: factory)
            }
            let meters = Meters(
                delivered: counter(TelemetryNames.consumerDelivered),
                acknowledged: counter(TelemetryNames.consumerAcknowledged),
                retried: counter(TelemetryNames.consumerRetried),
                deadLettered: counter(TelemetryNames.consumerDeadLettered),
                lag: Gauge(label: TelemetryNames.consumerLag, dimensions: dimensions, factory: factory))
            known[consumer] = meters
            return meters
        }
    }

    // MARK: Spans

    /// Events with the context of the caller's span in their metadata, for handlers' spans to link to; what an event
    /// brought along stays.
    func tracing(_ events: [Event]) -> [Event] {
        guard let tracer = self.tracer, let context = ServiceContext.current else { return events }
        var headers = EventMetadata()
        tracer.inject(context, into: &headers, using: TraceCarrier())
        guard !headers.isEmpty else { return events }
        return events.map { event in
            guard event.metadata.traceparent == nil else { return event }
            var event = event
            event.metadata.merge(headers)
            return event
        }
    }

    /// Runs a handler in a span of its own, with a link to the span of each event's append.
    func handling(_ deliveries: [Delivery], _ body: () async throws -> Void) async throws {
        guard let tracer = self.tracer, let first = deliveries.first else { return try await body() }
        let context = ServiceContext.current ?? .topLevel
        let isBatch = deliveries.count > 1
        let name = isBatch ? "process \(first.consumer)" : "process \(first.event.type)"
        let span = tracer.startAnySpan(name, context: context, ofKind: .consumer)
        defer { span.end() }
        span.updateAttributes { attributes in
            attributes[TelemetryNames.messagingSystem] = "tidelog"
            attributes[TelemetryNames.messagingOperationName] = "process"
            attributes[TelemetryNames.messagingOperationType] = "process"
            attributes[TelemetryNames.messagingConsumerGroup] = first.consumer
            if isBatch { return attributes[TelemetryNames.messagingBatchCount] = deliveries.count }
            let event = first.event
            attributes[TelemetryNames.messagingDestination] = event.type
            attributes[TelemetryNames.messagingMessageID] = event.id.description
            attributes[TelemetryNames.messagingBodySize] = event.payload.count
            if let id = event.event.correlationID {
                attributes[TelemetryNames.messagingConversationID] = id.description
            }
        }
        for delivery in deliveries {
            let metadata = delivery.event.metadata
            guard !metadata.isEmpty else { continue }
            var origin = ServiceContext.topLevel
            tracer.extract(metadata, into: &origin, using: TraceCarrier())
            if !origin.isEmpty { span.addLink(SpanLink(context: origin, attributes: [:])) }
        }
        do {
            try await ServiceContext.withValue(span.context, operation: body)
        } catch {
            span.recordError(error)
            span.setStatus(.init(code: .error))
            throw error
        }
    }
}

extension SubscriptionHub {
    /// Hands over how far the consumers that are open here are behind, as the head has it: a consumer that commits
    /// nothing would seem to stand where it did. Blocks for a moment.
    func reportLags() {
        guard let instruments = self.instruments, instruments.hasMetrics else { return }
        for core in self.cores {
            let number = core.number
            let settings = core.settings
            let checkpoint = try? self.engine.readingRecords { (reader) throws(StorageError) -> UInt64? in
                guard let state = try reader.record(.consumers, key: ConsumerKeys.state(number)) else {
                    return nil
                }
                return try LedgerCoding.summary(state, number: number, settings).checkpoint
            }
            guard let checkpoint else { continue }
            let end = self.engine.knownEnd
            instruments.report(core.name, lag: end - min(end, checkpoint))
        }
    }
}
