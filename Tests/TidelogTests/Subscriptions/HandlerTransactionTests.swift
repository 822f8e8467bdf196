import Testing
import TidelogStorage
import TidelogTesting

@testable import Tidelog

@Suite("What a handler reads and changes through its transaction")
struct HandlerTransactionTests {
    struct Refused: Error {}

    /// Adds one to the number that is kept under a key; none counts as zero.
    private static func increment(_ key: String, _ transaction: HandlerTransaction) async throws {
        let count = Self.text(try await transaction.value(for: key)).flatMap { Int($0) } ?? 0
        try transaction.set(Array("\(count + 1)".utf8), for: key)
    }

    private static func text(_ bytes: [UInt8]?) -> String? {
        bytes.map { String(decoding: $0, as: UTF8.self) }
    }

    private static func value(_ key: String, _ log: EventLog) async throws -> String? {
        self.text(try await log.value(for: key))
    }

    /// Waits until the consumer `c` has acknowledged so many, none of which may be given up on.
    private static func wait(for count: Int, _ log: EventLog) async throws {
        while true {
            let status = try #require(try await log.consumers.status(of: "c"))
            try #require(status.deadLetters == 0, "\(String(describing: status.lastError))")
            if status.acknowledged == count { return }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    private static var settings: ConsumerSettings {
        var settings = ConsumerSettings()
        settings.filter = .types("in")
        settings.ordering = .none
        settings.leaseDuration = .seconds(600)
        return settings
    }

    private static func inputs(_ count: Int) -> [Event] { (0..<count).map { _ in Event(type: "in") } }

    @Test("a count that handlers keep side by side has every event once", arguments: [1, 2])
    func counting(members: Int) async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(Self.inputs(400))
            var settings = Self.settings
            // A handler that is run again has not failed: one failure would make a dead letter.
            settings.retry = .immediate(maximumDeliveries: 1)
            settings.prefetch = 32
            let consumers = try await (0..<members).asyncMap { _ in
                try await log.consumer("c", settings: settings)
            }
            let tasks = consumers.map { consumer in
                Task {
                    try await consumer.runExactlyOnce(concurrency: 4) { _, transaction in
                        try await Self.increment("count", transaction)
                    }
                }
            }
            try await Self.wait(for: 400, log)
            #expect(try await Self.value("count", log) == "400")
            await log.close()
            for task in tasks { try await task.value }
        }
    }

    @Test("a handler whose value is changed before its commit is run again, which counts as no attempt")
    func changedMeanwhile() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(Self.inputs(1))
            let consumer = try await log.consumer("c", settings: Self.settings)
            let attempts = Lock<[Int]>([])
            let running = Task {
                try await consumer.runExactlyOnce { deliveries, transaction in
                    try transaction.append(Event(type: "out"))
                    try await Self.increment("count", transaction)
                    try await Self.increment("count", transaction)
                    let isFirst = attempts.withLock { attempts in
                        attempts.append(deliveries[0].attempt)
                        return attempts.count == 1
                    }
                    guard isFirst else { return }
                    let other = RecordChange.set(
                        .app, key: try HandlerValues.key("count"), value: Array("40".utf8))
                    _ = try await log.engine.append([], changing: [other])
                }
            }
            try await Self.wait(for: 1, log)
            #expect(attempts.withLock { $0 } == [1, 1])
            #expect(try await Self.value("count", log) == "42")
            #expect(try await log.count(.types("out")) == 1)
            #expect(try await log.consumers.status(of: "c")?.retried == 0)
            await log.close()
            try await running.value
        }
    }

    @Test("a value that a handler has only set is not watched, and the last one stays")
    func setBlindly() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(Self.inputs(1))
            let consumer = try await log.consumer("c", settings: Self.settings)
            let runs = Lock(0)
            let running = Task {
                try await consumer.runExactlyOnce { _, transaction in
                    runs.withLock { $0 += 1 }
                    try transaction.set([1], for: "a")
                    #expect(try await transaction.value(for: "a") == [1])
                    let other = RecordChange.set(.app, key: try HandlerValues.key("a"), value: [2])
                    _ = try await log.engine.append([], changing: [other])
                }
            }
            try await Self.wait(for: 1, log)
            #expect(runs.withLock { $0 } == 1)
            #expect(try await log.value(for: "a") == [1])
            await log.close()
            try await running.value
        }
    }

    @Test("a value is read as the transaction leaves it, and one that was removed is gone with the commit")
    func values() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(Self.inputs(3))
            var settings = Self.settings
            settings.ordering = .whole
            let consumer = try await log.consumer("c", settings: settings)
            let seen = Lock<[[String?]]>([])
            let running = Task {
                try await consumer.runExactlyOnce { deliveries, transaction in
                    let position = deliveries[0].position
                    let before = Self.text(try await transaction.value(for: "a"))
                    try transaction.set(Array("\(position)".utf8), for: "a")
                    let within = Self.text(try await transaction.value(for: "a"))
                    if position == 1 { try transaction.remove("a") }
                    let after = Self.text(try await transaction.value(for: "a"))
                    seen.withLock { $0.append([before, within, after]) }
                    if position == 0 { try transaction.set([7], for: "b") }
                    if position == 2 { try transaction.remove("b") }
                    try transaction.remove("never there")
                }
            }
            try await Self.wait(for: 3, log)
            #expect(seen.withLock { $0 } == [[nil, "0", "0"], ["0", "1", nil], [nil, "2", "2"]])
            #expect(try await Self.value("a", log) == "2")
            #expect(try await log.value(for: "b") == nil)
            await log.close()
            try await running.value
        }
    }

    @Test("keys out of bounds are refused")
    func keys() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let transaction = HandlerTransaction(log: log)
            for key in ["", String(repeating: "k", count: 256)] {
                await refuses(.invalidArgument) { try await transaction.value(for: key) }
                await refuses(.invalidArgument) { try transaction.set([], for: key) }
                await refuses(.invalidArgument) { try transaction.remove(key) }
            }
            await log.close()
        }
    }

    @Test("what a handler takes back of what was scheduled goes with its commit, and with nothing less")
    func takingBack() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(Self.inputs(1))
            for id in ["a", "b"] as [EventID] {
                try await log.schedule(Event(id: id, type: "later"), after: .seconds(3600))
            }
            var settings = Self.settings
            settings.retry = .immediate(maximumDeliveries: nil)
            let consumer = try await log.consumer("c", settings: settings)
            let running = Task {
                try await consumer.runExactlyOnce { deliveries, transaction in
                    if deliveries[0].attempt == 1 {
                        transaction.cancelScheduled(id: "a")
                        throw Refused()
                    }
                    transaction.cancelScheduled(id: "b")
                    transaction.cancelScheduled(id: "nothing of this name")
                    // What a transaction itself schedules it can take back as well.
                    for id in ["c", "d"] as [EventID] {
                        try transaction.schedule(Event(id: id, type: "later"), after: .seconds(3600))
                    }
                    transaction.cancelScheduled(id: "d")
                }
            }
            try await Self.wait(for: 1, log)
            #expect(try await Set(log.scheduledEvents().map(\.event.id)) == ["a", "c"])
            await log.close()
            try await running.value
        }
    }
}
