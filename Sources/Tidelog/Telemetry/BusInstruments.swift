import CoreMetrics
import TidelogStorage
import Tracing

/// The metrics and spans of one bus.
final class BusInstruments: Sendable {
    private struct Meters: Sendable {
        let published: Counter
        let delivered: Counter
        let failed: Counter
        let dropped: Counter
        let waiting: Gauge
        let duration: CoreMetrics.Timer
    }

    private let name: String
    private let meters: Meters?
    private let tracer: (any Tracer)?
    private let last = Lock(BusHealth(.healthy))

    /// The instruments that are asked for, or nil if none are.
    init?(_ telemetry: BusTelemetry) {
        guard telemetry.metrics != nil || telemetry.tracer != nil else { return nil }
        self.name = telemetry.name
        self.tracer = telemetry.tracer
        let dimensions = [(TelemetryNames.busDimension, telemetry.name)]
        self.meters = telemetry.metrics.map { factory in
            func counter(_ label: String) -> Counter {
                Counter(label: label, dimensions: dimensions, factory: factory)
            }
            return Meters(
                published: counter(TelemetryNames.published), delivered: counter(TelemetryNames.delivered),
                failed: counter(TelemetryNames.failed), dropped: counter(TelemetryNames.dropped),
                waiting: Gauge(label: TelemetryNames.waiting, dimensions: dimensions, factory: factory),
                duration: CoreMetrics.Timer(
                    label: TelemetryNames.handlerDuration, dimensions: dimensions, factory: factory))
        }
    }

    var hasMeters: Bool { self.meters != nil }
    var isTracing: Bool { self.tracer != nil }

    /// Hands over what has been counted since the last time.
    func report(_ health: BusHealth) {
        guard let meters = self.meters else { return }
        // Of two readings at the same time the older one may come last.
        let (before, now) = self.last.withLock { last -> (BusHealth, BusHealth) in
            let before = last
            last.published = max(last.published, health.published)
            last.delivered = max(last.delivered, health.delivered)
            last.failed = max(last.failed, health.failed)
            last.dropped = max(last.dropped, health.dropped)
            return (before, last)
        }
        func increase(_ counter: Counter, _ key: KeyPath<BusHealth, UInt64>) {
            let more = now[keyPath: key] - before[keyPath: key]
            if more > 0 { counter.increment(by: Int64(clamping: more)) }
        }
        increase(meters.published, \.published)
        increase(meters.delivered, \.delivered)
        increase(meters.failed, \.failed)
        increase(meters.dropped, \.dropped)
        meters.waiting.record(health.waiting)
    }

    // MARK: Handlers

    /// Times a call of a handler, in a span of its own.
    func measure(_ event: Event, _ body: () throws -> Void) throws {
        let span = self.startProcessing(event)
        let start = ContinuousClock.now
        do {
            if let span { try ServiceContext.withValue(span.context, operation: body) } else { try body() }
            self.finish(span, start, nil)
        } catch {
            self.finish(span, start, error)
            throw error
        }
    }

    /// As ``measure(_:_:)-sync``, for handlers that may suspend.
    func measure(_ event: Event, _ body: () async throws -> Void) async throws {
        let span = self.startProcessing(event)
        let start = ContinuousClock.now
        do {
            if let span {
                try await ServiceContext.withValue(span.context, operation: body)
            } else {
                try await body()
            }
            self.finish(span, start, nil)
        } catch {
            self.finish(span, start, error)
            throw error
        }
    }

    private func startProcessing(_ event: Event) -> (any Span)? {
        guard let tracer = self.tracer else { return nil }
        var context = ServiceContext.current ?? .topLevel
        tracer.extract(event.metadata, into: &context, using: TraceCarrier())
        let span = tracer.startAnySpan("process \(event.type)", context: context, ofKind: .consumer)
        self.describe(event, "process", "process", in: span)
        return span
    }

    private func finish(_ span: (any Span)?, _ start: ContinuousClock.Instant, _ error: (any Error)?) {
        self.meters?.duration.recordNanoseconds(Self.nanoseconds(since: start))
        self.end(span, error)
    }

    private static func nanoseconds(since start: ContinuousClock.Instant) -> Int64 {
        let (seconds, attoseconds) = (ContinuousClock.now - start).components
        return seconds &* 1_000_000_000 &+ attoseconds / 1_000_000_000
    }

    private func end(_ span: (any Span)?, _ error: (any Error)?) {
        guard let span else { return }
        if let error {
            span.recordError(error)
            span.setStatus(.init(code: .error))
        }
        span.end()
    }

    // MARK: Publishers

    /// Runs `body` with the event that carries the context of a span for publishing it.
    func publishing(
        _ event: Event, _ body: (Event) throws(EventLogError) -> Void
    ) throws(EventLogError) {
        let (event, span) = self.startPublishing(event)
        do throws(EventLogError) {
            try body(event)
            self.end(span, nil)
        } catch {
            self.end(span, error)
            throw error
        }
    }

    /// As ``publishing(_:_:)-sync``, for publishers that may suspend.
    func publishing(
        _ event: Event, _ body: (Event) async throws(EventLogError) -> Void
    ) async throws(EventLogError) {
        let (event, span) = self.startPublishing(event)
        do throws(EventLogError) {
            try await body(event)
            self.end(span, nil)
        } catch {
            self.end(span, error)
            throw error
        }
    }

    /// The same for several events, each with a span of its own.
    func publishing(
        _ events: [Event], _ body: ([Event]) async throws(EventLogError) -> Void
    ) async throws(EventLogError) {
        let started = events.map { self.startPublishing($0) }
        do throws(EventLogError) {
            try await body(started.map(\.0))
            for (_, span) in started { self.end(span, nil) }
        } catch {
            for (_, span) in started { self.end(span, error) }
            throw error
        }
    }

    private func startPublishing(_ event: Event) -> (Event, (any Span)?) {
        guard let tracer = self.tracer else { return (event, nil) }
        let context = ServiceContext.current ?? .topLevel
        let span = tracer.startAnySpan("publish \(event.type)", context: context, ofKind: .producer)
        self.describe(event, "publish", "send", in: span)
        var headers = EventMetadata()
        tracer.inject(span.context, into: &headers, using: TraceCarrier())
        var event = event
        var metadata = event.metadata
        // The state that an event brought along, such as one that is passed on, is that of another parent.
        if headers.traceparent != nil { metadata.tracestate = nil }
        metadata.merge(headers)
        event.metadata = metadata
        return (event, span)
    }

    private func describe(_ event: Event, _ name: String, _ type: String, in span: any Span) {
        span.updateAttributes { attributes in
            attributes[TelemetryNames.messagingSystem] = "tidelog"
            attributes[TelemetryNames.messagingOperationName] = name
            attributes[TelemetryNames.messagingOperationType] = type
            attributes[TelemetryNames.messagingDestination] = event.type
            attributes[TelemetryNames.messagingMessageID] = event.id.description
            attributes[TelemetryNames.messagingBodySize] = event.payload.count
            attributes[TelemetryNames.messagingClientID] = self.name
            if let id = event.correlationID {
                attributes[TelemetryNames.messagingConversationID] = id.description
            }
        }
    }
}

/// Carries a trace's context in an event's metadata: the headers of W3C Trace Context as keys.
struct TraceCarrier: Injector, Extractor {
    func inject(_ value: String, forKey key: String, into carrier: inout EventMetadata) {
        carrier[key] = .string(value)
    }

    func extract(key: String, from carrier: EventMetadata) -> String? { carrier[key]?.string }
}
