// Durable appends through the public API. `Benchmarks/run` measures the same for longer and beside others;
// these are for watching one's own changes, with percentiles.
import Benchmark
import Foundation
import Tidelog
import TidelogTesting

/// A fresh log on a real disk, with events to append that it has not seen.
final class FreshLog: @unchecked Sendable {
    let log: EventLog
    // SAFETY: used between measurements, by one thread at a time.
    private var generator = EventGenerator(seed: 1)
    private let path: String

    init() throws {
        let parent = ProcessInfo.processInfo.environment["TIDELOG_BENCH_DIRECTORY"] ?? "/var/tmp"
        self.path = parent + "/tidelog-benchmark-" + UUID().uuidString
        self.log = try EventLog.openBlocking(at: .init(self.path))
    }

    func events(_ count: Int) -> [Event] { self.generator.events(count) }

    func remove() async {
        await self.log.close()
        try? FileManager.default.removeItem(atPath: self.path)
    }
}

/// Appends from `callers` tasks at once, each awaiting one batch; one iteration is one round of them.
func appendRound(callers: Int, batch: Int) {
    let title =
        callers == 1 ? "One caller, \(batch) at a time" : "\(callers) callers at once, \(batch) at a time"
    Benchmark(
        title, configuration: .init(metrics: [.wallClock, .throughput], timeUnits: .microseconds)
    ) { (benchmark, fresh: FreshLog) in
        let batches = (0..<callers).map { _ in fresh.events(batch) }
        benchmark.startMeasurement()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for events in batches {
                group.addTask { _ = try await fresh.log.append(events) }
            }
            try await group.waitForAll()
        }
        benchmark.stopMeasurement()
    } setup: {
        try FreshLog()
    } teardown: { fresh in
        await fresh.remove()
    }
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
