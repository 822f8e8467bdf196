public import CoreMetrics
public import Logging
public import Tracing

/// What a bus tells about its work, and to whom.
///
/// Metrics and spans are off unless asked for: they cost more than publishing does. Failures of handlers are
/// always logged.
public struct BusTelemetry: Sendable {
    /// The bus's name in metrics and spans. Default: `bus`.
    public var name = "bus"
    /// Where failures of handlers are logged, at level info. Default: a logger labelled `tidelog.bus`.
    public var logger = Logger(label: "tidelog.bus")
    /// What makes the metrics, such as `MetricsSystem.factory`. Default: nil, no metrics.
    public var metrics: (any MetricsFactory)?
    /// How often counters are handed to the metrics; handlers are timed at each call. Default: 1 s.
    public var metricsInterval: Duration = .seconds(1)
    /// What makes the spans, such as `InstrumentationSystem.tracer`. A span of a publisher is carried in the
    /// event's metadata (W3C Trace Context) and becomes the parent of the handlers' spans.
    /// Default: nil, no spans.
    public var tracer: (any Tracer)?

    /// Logging alone.
    public init() {}

    /// Metrics and spans through the process's own systems, as they are set up when this is called.
    public static var system: Self {
        var telemetry = Self()
        telemetry.metrics = MetricsSystem.factory
        telemetry.tracer = InstrumentationSystem.tracer
        return telemetry
    }
}
