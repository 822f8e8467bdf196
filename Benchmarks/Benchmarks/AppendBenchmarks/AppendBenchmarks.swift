// Durable appends through the public API. `Benchmarks/run` measures the same for longer and beside others;
// these are for watching one's own changes, with percentiles.
import Benchmark
import Foundation
import Tidelog
import TidelogTesting

/// A fresh log on a real disk, with events to append that it has not seen.
final class FreshLog {
    private(set) var log: EventLog?
    private var generator = EventGenerator(seed: 1)
    private let path: String

    init() {
        let parent = ProcessInfo.processInfo.environment["TIDELOG_BENCH_DIRECTORY"] ?? "/var/tmp"
        self.path = parent + "/tidelog-benchmark-" + UUID().uuidString
    }

    func open() async throws { self.log = try await EventLog.open(at: .init(self.path)) }

    func events(_ count: Int) -> [Event] { self.generator.events(count) }

    func remove() async {
        await self.log?.close()
        self.log = nil
        try? FileManager.default.removeItem(atPath: self.path)
    }
}

/// Appends from `callers` tasks at once, each awaiting one batch; one iteration is one round of them.
func appendRound(callers: Int, batch: Int) {
    let title =
        callers == 1 ? "One caller, \(batch) at a time" : "\(callers) callers at once, \(batch) at a time"
    let fresh = FreshLog()
    Benchmark(
        title, configuration: .init(metrics: [.wallClock, .throughput], timeUnits: .microseconds),
        closure: { benchmark in
            guard let log = fresh.log else { return benchmark.error("there is no log") }
            let batches = (0..<callers).map { _ in fresh.events(batch) }
            benchmark.startMeasurement()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for events in batches {
                    group.addTask { _ = try await log.append(events) }
                }
                try await group.waitForAll()
            }
            benchmark.stopMeasurement()
        },
        setup: { try await fresh.open() },
        teardown: { await fresh.remove() })
}

let benchmarks: @Sendable () -> Void = {
    Benchmark.defaultConfiguration = .init(maxDuration: .seconds(5), maxIterations: 20_000)
    appendRound(callers: 1, batch: 1)
    appendRound(callers: 1, batch: 1000)
    appendRound(callers: 4, batch: 100)
    appendRound(callers: 4, batch: 1000)
    appendRound(callers: 64, batch: 1)
    appendRound(callers: 1024, batch: 1)
}
