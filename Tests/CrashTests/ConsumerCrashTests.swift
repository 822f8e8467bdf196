import Foundation
import SystemPackage
import Testing
import Tidelog
import TidelogTesting
import torture

@Suite("Consumers whose processes die", .serialized)
struct ConsumerCrashTests {
    private static var configuration: EventLogConfiguration {
        var configuration = EventLogConfiguration()
        configuration.segmentSizeBytes = 1 << 20
        return configuration
    }

    /// The lines of one kind that children wrote: the numbers behind the word.
    private static func words(_ word: String, in outputs: [String]) -> [[UInt64]] {
        outputs.flatMap { path -> [[UInt64]] in
            let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
            return text.split(separator: "\n").compactMap { line in
                let parts = line.split(separator: " ")
                return parts.first == word[...] ? parts.dropFirst().compactMap { UInt64($0) } : nil
            }
        }
    }

    /// The first number of each of them.
    private static func numbers(_ word: String, in outputs: [String]) -> [UInt64] {
        self.words(word, in: outputs).compactMap(\.first)
    }

    @Test(
        "through 200 kills of members and of the writer every event is delivered, and none after it was finished"
    )
    func kills() async throws {
        let environment = ProcessInfo.processInfo.environment
        let seed = environment["TIDELOG_KILL_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 0 ... .max)
        print("consumers under kills: TIDELOG_KILL_SEED=\(seed)")
        var generator = SeededGenerator(seed: seed)
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path.appending("log.tidelog").string
        var outputs: [String] = []
        func start(_ role: String) throws -> Child {
            outputs.append(directory.path.string + "/\(role)-\(outputs.count)")
            return try Child([role, path], output: outputs[outputs.count - 1])
        }
        let log = try await EventLog.open(at: FilePath(path), configuration: Self.configuration)
        try await log.consumers.create("c", settings: Self.settings)
        var children = [try start("feed"), try start("consume"), try start("consume")]
        var lastOffset: UInt64 = 0
        for _ in 0..<200 {
            try await Task.sleep(for: .microseconds(Int.random(in: 5_000...80_000, using: &generator)))
            let offset = try #require(try await log.consumers.status(of: "c")).offset.rawValue
            #expect(offset >= lastOffset, "seed \(seed): the offset went back")
            lastOffset = offset
            let victim = Int.random(in: 0..<3, using: &generator)
            children[victim].kill()
            children[victim] = try start(victim == 0 ? "feed" : "consume")
        }
        for child in children { child.kill() }

        let total = try await log.statistics().nextPosition.rawValue
        var delivered = Set(Self.numbers("GOT", in: outputs))
        let finished = Self.numbers("ACK", in: outputs)
        let consumer = try await log.consumer("c", settings: Self.settings)
        while try await log.consumers.status(of: "c")?.offset.rawValue != total {
            for delivery in try await consumer.next(max: 100, wait: .milliseconds(100)) {
                #expect(
                    !finished.contains(delivery.position.rawValue), "seed \(seed): \(delivery.position) again"
                )
                delivered.insert(delivery.position.rawValue)
                try delivery.acknowledge()
            }
            try await consumer.flush()
        }
        await log.close()
        #expect(Set(finished).count == finished.count, "seed \(seed): finished twice")
        // Whatever was delivered after it was finished for good, to whomever.
        var ends: [UInt64: UInt64] = [:]
        for words in Self.words("ACK", in: outputs) where words.count == 2 { ends[words[0]] = words[1] }
        let late = Self.words("GOT", in: outputs).filter { $0.count == 3 && $0[2] > ends[$0[0]] ?? .max }
        #expect(late.isEmpty, "seed \(seed): again after its end: \(late.prefix(3))")
        let missing = Set(0..<total).subtracting(delivered)
        #expect(missing.isEmpty, "seed \(seed): never delivered: \(missing.sorted().prefix(5))")
        #expect(total > 500, "the children did work")
        try await Self.checkOrder(of: path, outputs, seed)
    }

    /// Of each stream no event was delivered for the first time before the one ahead of it was, in whatever process.
    private static func checkOrder(of path: String, _ outputs: [String], _ seed: UInt64) async throws {
        var firsts: [UInt64: UInt64] = [:]
        for words in Self.words("GOT", in: outputs) where words.count == 3 {
            firsts[words[0]] = min(words[2], firsts[words[0]] ?? .max)
        }
        let log = try await EventLog.open(at: FilePath(path), configuration: Self.configuration)
        var last: [String: UInt64] = [:]
        for try await stored in log.read(.types("in")) {
            guard let stream = stored.stream, let time = firsts[stored.position.rawValue] else { continue }
            #expect(time >= last[stream] ?? 0, "seed \(seed): \(stored.position) overtook in \(stream)")
            last[stream] = time
        }
        #expect(last.count == 7, "of every stream something was delivered")
        await log.close()
    }

    private static var settings: ConsumerSettings {
        var settings = ConsumerSettings()
        settings.filter = .types("in")
        settings.leaseDuration = .seconds(1)
        settings.retry = .immediate(maximumDeliveries: nil)
        return settings
    }

    @Test("a stopped member's work goes to another, and when it wakes it cannot finish any of it")
    func stopped() async throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path.appending("log.tidelog")
        let log = try await EventLog.open(at: path, configuration: Self.configuration)
        try await log.append((0..<10).map { _ in Event(type: "in", stream: "s") })
        let output = directory.path.string + "/stopped"
        let child = try Child(["consume", path.string, "--hold"], output: output)
        _ = try child.waitForLine("HOLDS")
        child.signal(SIGSTOP)
        let consumer = try await log.consumer("c", settings: Self.settings)
        var taken: Set<UInt64> = []
        while taken.count < 10 {
            for delivery in try await consumer.next(max: 10, wait: .seconds(60)) {
                try await delivery.acknowledgeDurably()
                taken.insert(delivery.position.rawValue)
            }
        }
        child.signal(SIGCONT)
        while Self.numbers("LOST", in: [output]).count < 10 { try await Task.sleep(for: .milliseconds(10)) }
        child.kill()
        #expect(Self.numbers("ACK", in: [output]).isEmpty)
        #expect(try await log.consumers.status(of: "c")?.offset == 10)
        await log.close()
    }

    @Test(
        "a process that stood still for longer than its leases, with nobody beside it, finishes all, in order"
    )
    func alone() async throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path.appending("log.tidelog")
        let log = try await EventLog.open(at: path, configuration: Self.configuration)
        // All of them are fetched at once, so that nothing else goes on afterwards.
        try await log.append((0..<60).map { Event(type: "in", stream: "s-\($0 % 7)") })
        let output = directory.path.string + "/alone"
        let child = try Child(["consume", path.string, "--pause-milliseconds", "5"], output: output)
        while Self.numbers("ACK", in: [output]).count < 10 { try await Task.sleep(for: .milliseconds(5)) }
        child.signal(SIGSTOP)
        // Longer than its leases, by far.
        try await Task.sleep(for: .seconds(3))
        child.signal(SIGCONT)
        while Set(Self.numbers("ACK", in: [output])).count < 60 {
            try await Task.sleep(for: .milliseconds(20))
        }
        child.kill()
        #expect(Self.numbers("ACK", in: [output]).count == 60)
        #expect(try await log.consumers.status(of: "c")?.offset == 60)
        await log.close()
        try await Self.checkOrder(of: path.string, [output], 0)
    }

    @Test(
        "transforms killed at any moment append one output for each input and count it, never one more or less"
    )
    func exactlyOnce() async throws {
        let environment = ProcessInfo.processInfo.environment
        let seed = environment["TIDELOG_KILL_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 0 ... .max)
        print("transforms under kills: TIDELOG_KILL_SEED=\(seed)")
        var generator = SeededGenerator(seed: seed)
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path.appending("log.tidelog")
        var feeder: Child? = try Child(
            ["feed", path.string, "--events", "20000"], output: directory.path.string + "/feed")
        for round in 0..<60 {
            let child = try Child(["transform", path.string], output: directory.path.string + "/t-\(round)")
            _ = try child.waitForLine("READY")
            try await Task.sleep(for: .microseconds(Int.random(in: 0...60_000, using: &generator)))
            child.kill()
        }
        feeder?.kill()
        feeder = nil
        // Two at once, which add to the same count.
        let last = try (0..<2).map {
            try Child(["transform", path.string], output: directory.path.string + "/last-\($0)")
        }
        let log = try await EventLog.open(at: path, configuration: Self.configuration)
        let inputs = try await log.count(.types("in"))
        while try await log.consumers.status(of: "c")?.acknowledged != inputs {
            try await Task.sleep(for: .milliseconds(20))
        }
        for child in last { child.kill() }
        var causes: [EventID: Int] = [:]
        for try await stored in log.read(.types("out")) {
            if let cause = stored.event.causationID { causes[cause, default: 0] += 1 }
        }
        #expect(causes.count == inputs, "seed \(seed)")
        #expect(causes.values.allSatisfy { $0 == 1 }, "seed \(seed)")
        let counted = try await log.value(for: "transformed").map { String(decoding: $0, as: UTF8.self) }
        #expect(counted == "\(inputs)", "seed \(seed)")
        await log.close()
    }
}
