// A sealed log read through the public API, and the same events read from SQLite through GRDB.
import Benchmark
import Foundation
import SQLitePeer
import Tidelog
import TidelogTesting

let count = 200_000

/// A directory on a real disk that is removed with its owner.
final class Scratch: Sendable {
    let path: String

    init() throws {
        let parent = ProcessInfo.processInfo.environment["TIDELOG_BENCH_DIRECTORY"] ?? "/var/tmp"
        self.path = parent + "/tidelog-benchmark-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: self.path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: self.path) }
}

/// A sealed log of generated events.
struct SealedLog: Sendable {
    let log: EventLog
    private let scratch: Scratch

    init() async throws {
        self.scratch = try Scratch()
        self.log = try await EventLog.open(at: .init(self.scratch.path + "/log"))
        var generator = EventGenerator(seed: 1)
        for _ in 0..<(count / 1000) { try await self.log.append(generator.events(1000)) }
        _ = try await self.log.seal()
    }
}

/// The same events as rows.
struct Rows: Sendable {
    let store: SQLiteStore
    private let scratch: Scratch

    init() throws {
        self.scratch = try Scratch()
        self.store = try SQLiteStore(directory: self.scratch.path)
        var generator = EventGenerator(seed: 1)
        try self.store.insert(
            (0..<count).lazy.map { _ -> SQLiteStore.StoredEvent in
                let event = generator.nextEvent()
                return .init(
                    id: event.id.description, type: event.type, stream: event.stream,
                    timestamp: event.timestamp.nanosecondsSinceEpoch, source: event.source,
                    correlation: event.correlationID?.description, causation: event.causationID?.description,
                    metadata: Data(event.metadata.json), payload: Data(event.payload.bytes))
            })
    }
}

let benchmarks: @Sendable () -> Void = {
    Benchmark.defaultConfiguration = .init(
        metrics: [.wallClock, .throughput, .peakMemoryResident], timeUnits: .milliseconds,
        maxDuration: .seconds(10), maxIterations: 50)

    Benchmark("Replay \(count) events, views") { (benchmark, sealed: SealedLog) in
        var sum = 0
        benchmark.startMeasurement()
        try sealed.log.scan { view throws(EventLogError) in
            sum &+= try view.withPayload { $0.byteCount }
            return true
        }
        benchmark.stopMeasurement()
        blackHole(sum)
    } setup: {
        try await SealedLog()
    } teardown: { sealed in
        await sealed.log.close()
    }

    Benchmark("Replay \(count) events, owned, as an AsyncSequence") { (benchmark, sealed: SealedLog) in
        var sum = 0
        benchmark.startMeasurement()
        for try await event in sealed.log.read() { sum &+= event.payload.count }
        benchmark.stopMeasurement()
        blackHole(sum)
    } setup: {
        try await SealedLog()
    } teardown: { sealed in
        await sealed.log.close()
    }

    Benchmark("Replay \(count) events, owned, from SQLite through GRDB") { (benchmark, rows: Rows) in
        var sum = 0
        benchmark.startMeasurement()
        try rows.store.forEach { sum &+= $0.payload?.count ?? 0 }
        benchmark.stopMeasurement()
        blackHole(sum)
    } setup: {
        try Rows()
    }
}
