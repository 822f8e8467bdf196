import Glibc
import Synchronization
import Tidelog

/// Runs scenarios of durable consumers, each on a fresh log that holds all of the input.
extension BenchRunner {
    func consume(_ scenario: BenchScenario.Consuming, _ batches: [[Event]]) async throws -> [BenchResult] {
        switch scenario {
        case .consume: [try await self.consume(batches)]
        case .transform: [try await self.transform(batches)]
        case .latency: try await self.latency(batches)
        case .idle: try await self.idle()
        case .open: [try await self.openMany()]
        }
    }

    /// Takes one by one and acknowledges each; the time ends when all of it is durable.
    private func consume(_ batches: [[Event]]) async throws -> BenchResult {
        try await self.withFilledLog(batches) { log, total in
            // What filling has left to do is done first, as the peers have nothing left to do.
            try await log.seal()
            let consumer = try await log.consumer("bench")
            let watch = Stopwatch()
            var done = 0
            var isInOrder = true
            for try await delivery in consumer.deliveries {
                isInOrder = isInOrder && delivery.position.rawValue == UInt64(done)
                try delivery.acknowledge()
                done += 1
                if done == total { break }
            }
            try await consumer.flush()
            let seconds = watch.seconds
            let status = try await log.consumers.status(of: "bench")
            guard isInOrder, status?.lag == 0, status?.acknowledged == total else {
                throw Failure(.unmet, "not every event was delivered and acknowledged once, in order")
            }
            return BenchResult("consume", events: total, seconds: seconds)
        }
    }

    /// Appends one event for each, exactly once, a hundred to a transaction.
    private func transform(_ batches: [[Event]]) async throws -> BenchResult {
        try await self.withFilledLog(batches) { log, total in
            var settings = ConsumerSettings()
            settings.ordering = .none
            settings.start = .beginning
            let consumer = try await log.consumer("bench", settings: settings)
            let done = Atomic<Int>(0)
            let watch = Stopwatch()
            let running = Task {
                try await consumer.runExactlyOnce(batchesOf: 100, concurrency: 16) {
                    deliveries, transaction in
                    // What this transform itself appends is not transformed again.
                    let inputs = deliveries.filter { $0.position.rawValue < total }
                    try transaction.append(
                        inputs.map { Event(type: "bench.out", payload: $0.event.payload) })
                    done.add(inputs.count, ordering: .relaxed)
                }
            }
            while try await log.consumers.status(of: "bench")?.offset.rawValue ?? 0 < total {
                try await Task.sleep(for: .milliseconds(1))
            }
            let seconds = watch.seconds
            running.cancel()
            try await running.value
            guard try await log.count(.types("bench.out")) == total else {
                throw Failure(.unmet, "there is not one output for each input")
            }
            return BenchResult("transform-100", events: total, seconds: seconds)
        }
    }

    /// Appends a thousand events a second; measures from the return of the durable append to the handler.
    private func latency(_ batches: [[Event]]) async throws -> [BenchResult] {
        try await self.withFilledLog([]) { log, _ in
            let consumer = try await log.consumer("bench")
            let events = Array(batches.joined().prefix(5000))
            let begun = Times(events.count)
            let running = Task {
                try await consumer.run { delivery in begun.note(Int(delivery.position.rawValue)) }
            }
            var durable: [ContinuousClock.Instant] = []
            let start = ContinuousClock.now
            for (number, event) in events.enumerated() {
                try await Task.sleep(until: start + .milliseconds(number), tolerance: .zero)
                try await log.append(event)
                durable.append(.now)
            }
            while try await log.consumers.status(of: "bench")?.lag != 0 {
                try await Task.sleep(for: .milliseconds(5))
            }
            running.cancel()
            try await running.value
            let late = zip(durable, begun.all).map { max(0, ($1 - $0).inSeconds) }.sorted()
            let seconds = (ContinuousClock.now - start).inSeconds
            return [("delivery-latency", late.count / 2), ("delivery-latency-p99", late.count * 99 / 100)].map
            {
                BenchResult($0, events: late.count, seconds: seconds, .microseconds(late[$1] * 1e6))
            }
        }
    }

    /// A thousand consumers that wait for events that do not come.
    private func idle() async throws -> [BenchResult] {
        try await self.withFilledLog([]) { log, _ in
            let before = anonymousMegabytes()
            var tasks: [Task<Void, any Error>] = []
            for number in 0..<1000 {
                let consumer = try await log.consumer("idle-\(number)")
                tasks.append(
                    Task { for try await delivery in consumer.deliveries { try delivery.acknowledge() } })
            }
            try await Task.sleep(for: .seconds(2))
            let (watch, start) = (Stopwatch(), processorSeconds())
            try await Task.sleep(for: .seconds(10))
            let (used, seconds) = (processorSeconds() - start, watch.seconds)
            let megabytes = anonymousMegabytes() - before
            for task in tasks { task.cancel() }
            for task in tasks { _ = try? await task.value }
            return [
                BenchResult(
                    "consumers-idle-cpu", events: 1000, seconds: seconds, .percent(used / seconds * 100)),
                BenchResult("consumers-idle-memory", events: 1000, seconds: seconds, .megabytes(megabytes)),
            ]
        }
    }

    /// Opens ten thousand consumers that have offsets.
    private func openMany() async throws -> BenchResult {
        try await self.withFilledLog([]) { log, _ in
            for number in 0..<10_000 where number % 100 == 0 {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for one in number..<number + 100 {
                        group.addTask { try await log.consumers.create("many-\(one)") }
                    }
                    try await group.waitForAll()
                }
            }
            let watch = Stopwatch()
            var all: [Consumer] = []
            for number in 0..<10_000 { all.append(try await log.consumer("many-\(number)")) }
            let seconds = watch.seconds
            guard all.count == 10_000 else { throw Failure(.unmet, "not all consumers are open") }
            return BenchResult(
                "consumers-open", events: 10_000, seconds: seconds, .microseconds(seconds * 1e6))
        }
    }

    private func withFilledLog<Value>(
        _ batches: [[Event]], _ body: (EventLog, Int) async throws -> Value
    ) async throws -> Value {
        try await self.withFreshLog(sealsInBackground: self.sealsInBackground) { log in
            for batch in batches { try await log.append(batch) }
            return try await body(log, batches.reduce(0) { $0 + $1.count })
        }
    }
}

/// When each event reached the handler.
private final class Times: Sendable {
    private let times: Mutex<[ContinuousClock.Instant]>

    init(_ count: Int) { self.times = Mutex([ContinuousClock.Instant](repeating: .now, count: count)) }

    func note(_ index: Int) {
        let now = ContinuousClock.now
        self.times.withLock { $0[index] = now }
    }

    var all: [ContinuousClock.Instant] { self.times.withLock { $0 } }
}

/// Seconds of processors that this process has used.
private func processorSeconds() -> Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
        + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
}

/// Anonymous memory of this process that is resident, in megabytes.
private func anonymousMegabytes() -> Double {
    guard let file = fopen("/proc/self/status", "r") else { return 0 }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    while fgets(&line, Int32(line.count), file) != nil {
        let text = line.withUnsafeBufferPointer { bytes in
            String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
        guard text.hasPrefix("RssAnon:") else { continue }
        let digits = text.filter(\.isNumber)
        return (Double(digits) ?? 0) / 1024
    }
    return 0
}
