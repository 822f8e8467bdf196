// A sealed log read through the public API, and the same events read from SQLite through GRDB.
import Benchmark
import Foundation
import SQLitePeer
import Tidelog
import TidelogTesting

let count = 200_000

/// A directory on a real disk.
func freshPath() -> String {
    let parent = ProcessInfo.processInfo.environment["TIDELOG_BENCH_DIRECTORY"] ?? "/var/tmp"
    return parent + "/tidelog-benchmark-" + UUID().uuidString
}

/// A sealed log of generated events.
final class SealedLog {
    private(set) var log: EventLog?
    private let path = freshPath()

    func open() async throws {
        let log = try await EventLog.open(at: .init(self.path))
        var generator = EventGenerator(seed: 1)
        for _ in 0..<(count / 1000) { try await log.append(generator.events(1000)) }
        try await log.seal()
        self.log = log
    }

    func remove() async {
        await self.log?.close()
        self.log = nil
        try? FileManager.default.removeItem(atPath: self.path)
    }
}

/// The same events as rows.
final class Rows {
    private(set) var store: SQLiteStore?
    private let path = freshPath()

    func open() throws {
        try FileManager.default.createDirectory(atPath: self.path, withIntermediateDirectories: true)
        let store = try SQLiteStore(directory: self.path)
        var generator = EventGenerator(seed: 1)
        try store.insert(
            (0..<count).lazy.map { _ -> SQLiteStore.StoredEvent in
                let event = generator.nextEvent()
                return .init(
                    id: event.id.description, type: event.type, stream: event.stream,
                    timestamp: event.timestamp.nanosecondsSinceEpoch, source: event.source,
                    correlation: event.correlationID?.description, causation: event.causationID?.description,
                    metadata: Data(event.metadata.json), payload: Data(event.payload.bytes))
            })
        self.store = store
    }

    func remove() {
        self.store = nil
        try? FileManager.default.removeItem(atPath: self.path)
    }
}

let benchmarks: @Sendable () -> Void = {
    Benchmark.defaultConfiguration = .init(
        metrics: [.wallClock, .throughput, .peakMemoryResident], timeUnits: .milliseconds,
        maxDuration: .seconds(10), maxIterations: 50)
    let sealed = SealedLog()
    let rows = Rows()

    Benchmark(
        "Replay \(count) events, views",
        closure: { benchmark in
            var sum = 0
            benchmark.startMeasurement()
            try sealed.log?.scan { view throws(EventLogError) in
                sum &+= try view.withPayload { $0.byteCount }
                return true
            }
            benchmark.stopMeasurement()
            blackHole(sum)
        },
        setup: { try await sealed.open() },
        teardown: { await sealed.remove() })

    Benchmark(
        "Replay \(count) events, owned, as an AsyncSequence",
        closure: { benchmark in
            guard let log = sealed.log else { return benchmark.error("there is no log") }
            var sum = 0
            benchmark.startMeasurement()
            for try await event in log.read() { sum &+= event.payload.count }
            benchmark.stopMeasurement()
            blackHole(sum)
        },
        setup: { try await sealed.open() },
        teardown: { await sealed.remove() })

    Benchmark(
        "Replay \(count) events, owned, from SQLite through GRDB",
        closure: { benchmark in
            var sum = 0
            benchmark.startMeasurement()
            try rows.store?.forEach { sum &+= $0.payload?.count ?? 0 }
            benchmark.stopMeasurement()
            blackHole(sum)
        },
        setup: { try rows.open() },
        teardown: { rows.remove() })
}
