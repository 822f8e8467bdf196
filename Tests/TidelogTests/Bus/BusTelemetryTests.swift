import InMemoryTracing
import Logging
import MetricsTestKit
import Testing
import TidelogStorage
import TidelogTesting
import Tracing

@testable import Tidelog

@Suite("What a bus tells of its work")
struct BusTelemetryTests {
    struct Oops: Error {}

    /// Under Thread Sanitizer Swift Testing never learns that a process has ended.
    private static var startsProcesses: some TestTrait {
        #if TIDELOG_SANITIZE_THREAD
            ConditionTrait.disabled("the test library does not see its processes end under Thread Sanitizer")
        #else
            ConditionTrait.enabled(if: true)
        #endif
    }

    @Test("metrics tell how deep the buffers are, and what full ones dropped")
    func bufferMetrics() async throws {
        let metrics = TestMetrics()
        var telemetry = BusTelemetry()
        telemetry.name = "farm"
        telemetry.metrics = metrics
        telemetry.metricsInterval = .seconds(3600)
        let bus = try InMemoryBus(dispatch: .synchronous, telemetry: telemetry)
        let door = Door()
        try bus.subscribe(
            "a", buffer: .init(size: 3, whenFull: .dropNewest), handler: { _ in await door.pass() })
        try await bus.publish(Event(type: "a"))
        await door.arrived()
        for _ in 0..<10 { try await bus.publish(Event(type: "a")) }
        bus.state.core.instruments?.report(bus.health)
        let dimensions = [("bus", "farm")]
        #expect(try metrics.expectGauge(TelemetryNames.waiting, dimensions).lastValue == 3)
        #expect(try metrics.expectCounter(TelemetryNames.dropped, dimensions).values.reduce(0, +) == 7)
        door.open()
        await bus.close()
        #expect(try metrics.expectGauge(TelemetryNames.waiting, dimensions).lastValue == 0)
        #expect(try metrics.expectCounter(TelemetryNames.delivered, dimensions).values.reduce(0, +) == 4)
    }

    @Test("metrics count what was published, delivered and failed, and time the handlers")
    func metrics() async throws {
        let metrics = TestMetrics()
        var telemetry = BusTelemetry()
        telemetry.name = "farm"
        telemetry.metrics = metrics
        telemetry.metricsInterval = .seconds(3600)
        let bus = try InMemoryBus(dispatch: .synchronous, telemetry: telemetry)
        try bus.subscribe("a") { _ in }
        try bus.subscribe("a") { _ in throw Oops() }
        for _ in 0..<10 { try await bus.publish(Event(type: "a")) }
        await bus.close()
        let dimensions = [("bus", "farm")]
        func total(_ label: String) throws -> Int64 {
            try metrics.expectCounter(label, dimensions).values.reduce(0, +)
        }
        #expect(try total(TelemetryNames.published) == 10)
        #expect(try total(TelemetryNames.delivered) == 20)
        #expect(try total(TelemetryNames.failed) == 10)
        let timer = try metrics.expectTimer(TelemetryNames.handlerDuration, dimensions)
        #expect(timer.values.count == 20)
    }

    @Test("readings that come out of their order are counted once")
    func reportsOutOfOrder() throws {
        let metrics = TestMetrics()
        var telemetry = BusTelemetry()
        telemetry.metrics = metrics
        let instruments = try #require(BusInstruments(telemetry))
        for published: UInt64 in [6, 5, 7] {
            var health = BusHealth(.healthy)
            health.published = published
            instruments.report(health)
        }
        let counter = try metrics.expectCounter(TelemetryNames.published, [("bus", "bus")])
        #expect(counter.values.reduce(0, +) == 7)
    }

    @Test("a bus on a log that publishes nothing tells what it delivers, before it is closed")
    func deliveriesOnLog() async throws {
        let metrics = TestMetrics()
        var telemetry = BusTelemetry()
        telemetry.metrics = metrics
        let settings = telemetry
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let bus = LogBus(log, telemetry: settings)
            try await bus.subscribe("*") { _ in throw Oops() }
            try await log.append((0..<3).map { _ in Event(type: "a") })
            let failed = try metrics.expectCounter(TelemetryNames.failed, [("bus", "bus")])
            for _ in 0..<5000 where failed.values.reduce(0, +) < 3 {
                try await Task.sleep(for: .milliseconds(1))
            }
            let delivered = try metrics.expectCounter(TelemetryNames.delivered, [("bus", "bus")])
            #expect(delivered.values.reduce(0, +) == 3)
            #expect(failed.values.reduce(0, +) == 3)
            await bus.close()
            await log.close()
        }
    }

    @Test(
        "a handler's span is a child of the publisher's, through the event's metadata",
        arguments: [false, true])
    func tracing(isOnLog: Bool) async throws {
        let tracer = InMemoryTracer()
        var telemetry = BusTelemetry()
        telemetry.name = "farm"
        telemetry.tracer = tracer
        let settings = telemetry
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let bus = try Self.bus(isOnLog ? log : nil, settings)
            let seen = Seen<Event>()
            try await bus.subscribe("order.placed") { seen.add($0) }
            try await bus.publish(Event(type: "order.placed", json: "{}").withCorrelation("c-1"))
            await bus.close()
            await log.close()
            #expect(seen.values.first?.metadata.isEmpty == false)  // the tracer's headers
        }
        let spans = tracer.finishedSpans
        let publish = try #require(spans.first { $0.operationName == "publish order.placed" })
        let process = try #require(spans.first { $0.operationName == "process order.placed" })
        #expect(process.traceID == publish.traceID)
        #expect(process.parentSpanID == publish.spanID)
        #expect(publish.kind == .producer && process.kind == .consumer)
        #expect(publish.attributes.get("messaging.destination.name") == .string("order.placed"))
        #expect(publish.attributes.get("messaging.system") == .string("tidelog"))
        #expect(process.attributes.get("messaging.message.conversation_id") == .string("c-1"))
    }

    /// A bus on a log, or in memory and asynchronous.
    private static func bus(_ log: EventLog?, _ telemetry: BusTelemetry) throws -> any EventBus {
        if let log { return LogBus(log, telemetry: telemetry) }
        return try InMemoryBus(dispatch: .asynchronous(), telemetry: telemetry)
    }

    /// A tracer whose context travels as the header of W3C Trace Context.
    struct W3CTracer: Tracer {
        static let sent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        let spans = InMemoryTracer()
        let received = Seen<String>()

        func startSpan<Instant: TracerInstant>(
            _ operationName: String, context: @autoclosure () -> ServiceContext, ofKind kind: SpanKind,
            at instant: @autoclosure () -> Instant, function: String, file fileID: String, line: UInt
        ) -> InMemorySpan {
            self.spans.startSpan(
                operationName, context: context(), ofKind: kind, at: instant(), function: function,
                file: fileID, line: line)
        }

        func forceFlush() {}

        func inject<Carrier, Inject: Injector>(
            _ context: ServiceContext, into carrier: inout Carrier, using injector: Inject
        ) where Inject.Carrier == Carrier {
            injector.inject(Self.sent, forKey: "traceparent", into: &carrier)
        }

        func extract<Carrier, Extract: Extractor>(
            _ carrier: Carrier, into context: inout ServiceContext, using extractor: Extract
        ) where Extract.Carrier == Carrier {
            if let value = extractor.extract(key: "traceparent", from: carrier) { self.received.add(value) }
        }
    }

    @Test("the header `traceparent` of W3C Trace Context travels as it is", arguments: [false, true])
    func traceparent(isOnLog: Bool) async throws {
        let tracer = W3CTracer()
        var telemetry = BusTelemetry()
        telemetry.tracer = tracer
        let settings = telemetry
        let seen = Seen<Event>()
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let bus = try Self.bus(isOnLog ? log : nil, settings)
            try await bus.subscribe("order.placed") { seen.add($0) }
            try await bus.publish(Event(type: "order.placed"))
            await bus.close()
            await log.close()
        }
        let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        #expect(seen.values.map(\.metadata.traceparent) == [header])
        #expect(seen.values.first?.metadata["traceparent"] == .string(header))
        #expect(tracer.received.values == [header])
    }

    @Test("an event that is passed on does not keep the trace state of its former parent")
    func formerTracestate() async throws {
        var telemetry = BusTelemetry()
        telemetry.tracer = W3CTracer()
        let bus = try Self.bus(nil, telemetry)
        let seen = Seen<Event>()
        try await bus.subscribe("*") { seen.add($0) }
        let metadata: EventMetadata = [
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "tracestate": "rojo=00f067aa0ba902b7", "user_id": "u-1",
        ]
        try await bus.publish(Event(type: "a", metadata: metadata))
        await bus.close()
        let got = try #require(seen.values.first).metadata
        #expect(got.traceparent == W3CTracer.sent)
        #expect(got.tracestate == nil)
        #expect(got.userID == "u-1")
    }

    @Test("failures are logged with what tells the event, and not each one of many")
    func logging() async throws {
        let lines = Seen<Logger.Metadata>()
        var telemetry = BusTelemetry()
        telemetry.logger = Logger(label: "test") { _ in Lines(lines) }
        let bus = try InMemoryBus(dispatch: .synchronous, telemetry: telemetry)
        try bus.subscribe("a") { _ in throw Oops() }
        for number in 0..<100 { try await bus.publish(Event(id: EventID("e-\(number)"), type: "a")) }
        await bus.close()
        #expect(lines.count == 7)  // 1, 2, 4, 8, 16, 32, 64
        #expect(lines.values.first?["tidelog.event.id"] == "e-0")
        #expect(lines.values.last?["tidelog.failures"]?.description == "64")
    }

    struct Lines: LogHandler {
        let lines: Seen<Logger.Metadata>
        var metadata: Logger.Metadata = [:]
        var logLevel: Logger.Level = .trace
        init(_ lines: Seen<Logger.Metadata>) { self.lines = lines }
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { self.metadata[key] }
            set { self.metadata[key] = newValue }
        }
        func log(event: LogEvent) { self.lines.add(event.metadata ?? [:]) }
    }

    @Test(
        "an event that must be published and cannot be ends the process, and says why", Self.startsProcesses)
    func publishOrFail() async {
        let bus = InMemoryBus()
        await bus.publishOrFail(Event(type: "audit"))
        #expect(bus.health.published == 1)
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let bus = InMemoryBus()
            await bus.close()
            await bus.publishOrFail(Event(type: "audit.entry"))
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("audit.entry") && text.contains("closed"))
    }

    @Test("a malformed pattern in the source ends the process, and says why", Self.startsProcesses)
    func literals() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let pattern: TypePattern = "order..placed"
            print(pattern)
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("The pattern cannot be used"))
    }

    @Test("the standard types are types of events, each once, and apps add theirs")
    func types() throws {
        #expect(EventType.standard.count == 18 && Set(EventType.standard).count == 18)
        for type in EventType.standard {
            let event = Event(type)
            try event.validate()
            #expect(try TypePattern(type).matches(event.type) && event.isOf(type))
        }
        let names = [
            "user.created", "user.updated", "user.deleted", "user.authenticated", "emissions.calculated",
            "emissions.updated", "emissions.factor.updated", "ingestion.completed", "ingestion.error",
            "compliance.report.generated", "compliance.report.submitted", "billing.subscription.created",
            "billing.subscription.updated", "billing.payment.received", "billing.payment.failed",
            "system.mode.changed", "system.health.error", "error",
        ]
        #expect(EventType.standard.map(\.rawValue) == names)
        let own: EventType = "order.placed"
        #expect(Event(own).type == "order.placed")
        #expect(EventType.emissionsFactorUpdated.rawValue == "emissions.factor.updated")
    }

    @Test("a pattern that is empty, malformed or over-long is a typed error")
    func malformedPatterns() {
        for text in ["", "a..b", ".a", "a.", ">.a", "a*", "a.>b", String(repeating: "a", count: 256)] {
            #expect(throws: EventLogError.self) { try TypePattern(text) }
        }
    }
}
