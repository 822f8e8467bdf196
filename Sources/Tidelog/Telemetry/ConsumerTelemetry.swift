public import CoreMetrics
public import Tracing

/// What a log's consumers tell about their work, and to whom. Off unless asked for.
public struct ConsumerTelemetry: Sendable {
    /// What makes the metrics, such as `MetricsSystem.factory`: what this process delivered, acknowledged, tried
    /// again and gave up on, and each consumer's lag; handed over once a commit, the lags of the consumers that are
    /// open here also once a second; and how old the log's oldest read is, every five seconds in which it is written
    /// to. Default: nil, no metrics.
    public var metrics: (any MetricsFactory)?
    /// What makes the spans, such as `InstrumentationSystem.tracer`: one for each call of a handler by `run`,
    /// linked to the spans that the events' metadata carry (W3C Trace Context). What is appended within a span carries
    /// it, if it carries none yet. Default: nil, no spans.
    public var tracer: (any Tracer)?

    /// Neither metrics nor spans.
    public init() {}

    /// Metrics and spans through the process's own systems, as they are set up when this is called.
    public static var system: Self {
        var telemetry = Self()
        telemetry.metrics = MetricsSystem.factory
        telemetry.tracer = InstrumentationSystem.tracer
        return telemetry
    }
}
