import InMemoryTracing
import MetricsTestKit
import Testing
import TidelogStorage
import TidelogTesting
import Tracing

@testable import Tidelog

@Suite("What consumers tell of their work")
struct ConsumerTelemetryTests {
    struct Oops: Error {}

    @Test("metrics count what was delivered, acknowledged, retried and given up on, and show the lag")
    func metrics() async throws {
        let metrics = TestMetrics()
        var configuration = EventLogConfiguration()
        configuration.consumerTelemetry.metrics = metrics
        try await withTemporaryLog { _, open in
            let log = try await open(configuration)
            try await log.append(ConsumerTests.events(0..<20))
            var settings = ConsumerSettings()
            settings.ordering = .none
            settings.retry = .fixed(.zero, maximumDeliveries: 2)
            let consumer = try await log.consumer("billing", settings: settings)
            var settled = 0
            while settled < 20 {
                for delivery in try await consumer.next(max: 20, wait: .seconds(10)) {
                    if delivery.position.rawValue == 3 {
                        try delivery.retry(because: Oops())
                        if delivery.attempt == 2 { settled += 1 }
                    } else {
                        try delivery.acknowledge()
                        settled += 1
                    }
                }
            }
            try await consumer.flush()
            await consumer.leave()
            await log.close()
        }
        let dimensions = [("consumer", "billing")]
        func total(_ label: String) throws -> Int64 {
            try metrics.expectCounter(label, dimensions).values.reduce(0, +)
        }
        #expect(try total(TelemetryNames.consumerDelivered) == 21)
        #expect(try total(TelemetryNames.consumerAcknowledged) == 19)
        #expect(try total(TelemetryNames.consumerRetried) == 1)
        #expect(try total(TelemetryNames.consumerDeadLettered) == 1)
        let lag = try metrics.expectGauge(TelemetryNames.consumerLag, dimensions)
        #expect(lag.values.last == 0 && lag.values.contains(20))
        // By commit, not by event.
        #expect(try metrics.expectCounter(TelemetryNames.consumerAcknowledged, dimensions).values.count < 19)
    }

    @Test("the age of a log's oldest reader is a gauge of its own")
    func oldestReader() throws {
        let metrics = TestMetrics()
        var configuration = EventLogConfiguration()
        #expect(try configuration.engineOptions(for: "some.tidelog").onReaderCheck == nil)
        configuration.consumerTelemetry.metrics = metrics
        let report = try #require(try configuration.engineOptions(for: "some.tidelog").onReaderCheck)
        report(.milliseconds(2500))
        let gauge = try metrics.expectGauge(TelemetryNames.oldestReaderAge, [("log", "some.tidelog")])
        #expect(gauge.values == [2.5])
        report(.zero)
        #expect(gauge.values == [2.5, 0])
    }

    @Test("what a handler's transaction acknowledges is counted as well")
    func transactions() async throws {
        let metrics = TestMetrics()
        var configuration = EventLogConfiguration()
        configuration.consumerTelemetry.metrics = metrics
        try await withTemporaryLog { _, open in
            let log = try await open(configuration)
            try await log.append(ConsumerTests.events(0..<10))
            let consumer = try await log.consumer("billing")
            let run = Task { try await consumer.runExactlyOnce(batchesOf: 5) { _, _ in } }
            while try await log.consumers.status(of: "billing")?.acknowledged != 10 {
                try await Task.sleep(for: .milliseconds(2))
            }
            // The core's own picture of the ledger is of before; the gauge goes by the ledger.
            log.subscriptions.reportLags()
            await log.close()
            try await run.value
        }
        let dimensions = [("consumer", "billing")]
        let counter = try metrics.expectCounter(TelemetryNames.consumerAcknowledged, dimensions)
        #expect(counter.values.reduce(0, +) == 10)
        #expect(try metrics.expectGauge(TelemetryNames.consumerLag, dimensions).lastValue == 0)
    }

    @Test("the lag of a consumer that does nothing rises with the log")
    func idleLag() async throws {
        let metrics = TestMetrics()
        var configuration = EventLogConfiguration()
        configuration.consumerTelemetry.metrics = metrics
        try await withTemporaryLog { _, open in
            let log = try await open(configuration)
            let consumer = try await log.consumer("billing")
            try await log.consumers.pause("billing")
            try await log.append(ConsumerTests.events(0..<10))
            func lag() -> Double? {
                try? metrics.expectGauge(TelemetryNames.consumerLag, [("consumer", "billing")]).lastValue
            }
            while lag() != 10 { try await Task.sleep(for: .milliseconds(5)) }
            await consumer.leave()
            await log.close()
        }
    }

    @Test("each call of a handler has a span with a link to the span that its event carries")
    func tracing() async throws {
        let tracer = InMemoryTracer()
        var configuration = EventLogConfiguration()
        configuration.consumerTelemetry.tracer = tracer
        try await withTemporaryLog { _, open in
            let log = try await open(configuration)
            var telemetry = BusTelemetry()
            telemetry.tracer = tracer
            let bus = LogBus(log, telemetry: telemetry)
            try await bus.publish(Event(type: "order.placed", json: "{}").withCorrelation("c-1"))
            let consumer = try await log.consumer("billing")
            let attempts = Lock(0)
            let run = Task {
                try await consumer.run { _ in
                    let attempt = attempts.withLock { attempts in
                        attempts += 1
                        return attempts
                    }
                    if attempt == 1 { throw Oops() }
                    #expect(ServiceContext.current != nil)
                }
            }
            while try await log.consumers.status(of: "billing")?.acknowledged != 1 {
                try await Task.sleep(for: .milliseconds(2))
            }
            await bus.close()
            await log.close()
            try await run.value
        }
        let spans = tracer.finishedSpans
        let publish = try #require(spans.first { $0.operationName == "publish order.placed" })
        let handled = spans.filter { $0.operationName == "process order.placed" }
        #expect(handled.count == 2)
        for span in handled {
            #expect(span.kind == .consumer && span.parentSpanID == nil)
            #expect(span.links.map(\.context.inMemorySpanContext?.spanID) == [publish.spanID])
            #expect(span.attributes.get("messaging.consumer.group.name") == .string("billing"))
        }
        #expect(handled.map { $0.errors.count } == [1, 0])
    }

    @Test("what is appended within a span carries it, and the handler's span links to it")
    func appendedWithinSpan() async throws {
        let tracer = InMemoryTracer()
        var configuration = EventLogConfiguration()
        configuration.consumerTelemetry.tracer = tracer
        try await withTemporaryLog { _, open in
            let log = try await open(configuration)
            let consumer = try await log.consumer("billing")
            let run = Task {
                try await consumer.runExactlyOnce { deliveries, transaction in
                    guard deliveries[0].event.type == "order.placed" else { return }
                    try transaction.append(Event(type: "order.billed", json: "{}"))
                }
            }
            try await tracer.withSpan("request", ofKind: .server) { _ in
                _ = try await log.append(Event(type: "order.placed", json: "{}"))
            }
            while try await log.consumers.status(of: "billing")?.acknowledged != 2 {
                try await Task.sleep(for: .milliseconds(2))
            }
            await log.close()
            try await run.value
        }
        let spans = tracer.finishedSpans
        func one(_ name: String) throws -> FinishedInMemorySpan {
            try #require(spans.first { $0.operationName == name })
        }
        func links(_ name: String) throws -> [String?] {
            try one(name).links.map(\.context.inMemorySpanContext?.spanID)
        }
        #expect(try links("process order.placed") == [try one("request").spanID])
        #expect(try links("process order.billed") == [try one("process order.placed").spanID])
    }
}
