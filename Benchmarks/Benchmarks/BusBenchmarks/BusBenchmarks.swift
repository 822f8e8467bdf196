// Publishing on the in-memory bus, for watching one's own changes. `bus-run` measures the same beside Go.
import Benchmark
import Tidelog

/// Publishes one event over and over on a bus with so many handlers.
func publishing(_ title: String, handlers: Int) {
    Benchmark(title, configuration: .init(metrics: [.wallClock, .throughput], scalingFactor: .kilo)) {
        benchmark in
        let bus = InMemoryBus()
        for _ in 0..<handlers {
            try bus.subscribe("order.placed") { event in blackHole(event.schemaVersion) }
        }
        let event = Event(type: "order.placed", json: #"{"total":1299}"#)
        benchmark.startMeasurement()
        for _ in benchmark.scaledIterations { try publish(event, on: bus) }
        benchmark.stopMeasurement()
    }
}

/// From synchronous code.
func publish(_ event: Event, on bus: InMemoryBus) throws { try bus.publish(event) }

let benchmarks: @Sendable () -> Void = {
    Benchmark.defaultConfiguration = .init(maxDuration: .seconds(3), maxIterations: 20_000)
    publishing("Publish, no subscriber", handlers: 0)
    publishing("Publish, 10 subscribers", handlers: 10)
    Benchmark(
        "Publish asynchronously, 1 subscriber, draining included",
        configuration: .init(metrics: [.wallClock, .throughput], scalingFactor: .kilo)
    ) { benchmark in
        let bus = try InMemoryBus(dispatch: .asynchronous())
        try bus.subscribe("order.placed") { event in blackHole(event.schemaVersion) }
        let event = Event(type: "order.placed", json: #"{"total":1299}"#)
        benchmark.startMeasurement()
        for _ in benchmark.scaledIterations { try await bus.publish(event) }
        await bus.close()
        benchmark.stopMeasurement()
    }
}
