import Testing
import TidelogStorage
import TidelogTesting

@testable import Tidelog

@Suite("The order of deliveries, and their limits")
struct OrderingTests {
    /// An ordering, and what it says of event number N of ``events(_:)``: its key, or nil if it has none.
    struct Case: Sendable, CustomTestStringConvertible {
        let ordering: EventOrdering
        let key: @Sendable (Int) -> String?
        var testDescription: String { self.ordering.description }
    }

    static let cases = [
        Case(ordering: .whole) { _ in "all" },
        Case(ordering: .perStream) { "s-\($0 % 5)" },
        Case(ordering: .perCorrelation) { $0 % 4 == 0 ? nil : "c-\($0 % 7)" },
        Case(ordering: .perMetadata("tenant")) { $0 % 3 == 0 ? nil : "t-\($0 % 6)" },
        Case(ordering: .by("tens", { $0.event.id.description.last.map { "n-\($0)" } })) { "n-\($0 % 10)" },
    ]

    static func events(_ count: Int) -> [Event] {
        (0..<count).map { number in
            var event = Event(id: .init("e-\(number)"), type: "t", stream: "s-\(number % 5)")
            if number % 4 != 0 { event.correlationID = .init("c-\(number % 7)") }
            if number % 3 != 0 { event.metadata["tenant"] = .string("t-\(number % 6)") }
            return event
        }
    }

    /// Who is at work, and with what.
    actor Watch {
        var problems: [String] = []
        var finished: Set<Int> = []
        /// The most handlers that were at work at once.
        var most = 0
        private var busy: Set<String> = []
        private var last: [String: Int] = [:]
        private var running = 0

        func begin(_ number: Int, _ key: String?) {
            self.running += 1
            self.most = max(self.most, self.running)
            guard let key else { return }
            if !self.busy.insert(key).inserted { self.problems.append("two of \(key) at once") }
            if let last = self.last[key], last > number { self.problems.append("\(number) after \(last)") }
            self.last[key] = number
        }

        func end(_ number: Int, _ key: String?, hasFailed: Bool) {
            self.running -= 1
            if let key {
                self.busy.remove(key)
                // Until it is done, none of those behind it may come.
                if hasFailed { self.last[key] = number }
            }
            if !hasFailed, !self.finished.insert(number).inserted { self.problems.append("\(number) again") }
        }
    }

    struct Oops: Error {}

    @Test(
        "events with one key come one after the other, in order, through retries too; others meanwhile",
        arguments: cases)
    func keys(kind: Case) async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            var settings = ConsumerSettings()
            settings.ordering = kind.ordering
            settings.retry = .fixed(.milliseconds(2), maximumDeliveries: nil)
            settings.prefetch = 40
            let watch = Watch()
            let members = [
                try await log.consumer("c", settings: settings),
                try await log.consumer("c", settings: settings),
            ]
            let tasks = members.map { member in
                Task {
                    try await member.run(concurrency: 4) { delivery in
                        let number = Int(delivery.position.rawValue)
                        let key = kind.key(number)
                        await watch.begin(number, key)
                        for _ in 0..<5 { await Task.yield() }
                        let hasFailed = number % 11 == 3 && delivery.attempt < 3
                        await watch.end(number, key, hasFailed: hasFailed)
                        if hasFailed { throw Oops() }
                    }
                }
            }
            for event in Self.events(300) { try await log.append(event) }
            while await watch.finished.count < 300 { try await Task.sleep(for: .milliseconds(2)) }
            let problems = await watch.problems
            #expect(problems.isEmpty, "\(problems.prefix(3))")
            #expect(await watch.most == 1 || kind.ordering.kind != .whole)
            #expect(await watch.most > 1 || kind.ordering.kind == .whole, "others went on meanwhile")
            await log.close()
            for task in tasks { try await task.value }
        }
    }

    @Test("a member is given no more than it may hold unfinished, and more once it has finished some")
    func backpressure() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ConsumerTests.events(0..<50))
            var settings = ConsumerSettings()
            settings.ordering = .none
            (settings.maximumInFlight, settings.prefetch) = (8, 4)
            let consumer = try await log.consumer("c", settings: settings)
            var held: [Delivery] = []
            while held.count < 8 { held += try await consumer.next(max: 50, wait: .seconds(60)) }
            #expect(held.map(\.position.rawValue) == Array(0..<8))
            #expect(try await consumer.next(max: 50, wait: .milliseconds(50)).isEmpty)
            #expect(try await log.consumers.status(of: "c")?.inFlight == 8)
            try held[3].acknowledge()
            try held[5].acknowledge()
            var more: [Delivery] = []
            while more.count < 2 { more += try await consumer.next(max: 50, wait: .seconds(60)) }
            #expect(more.map(\.position.rawValue) == [8, 9])
            #expect(try await consumer.next(max: 50, wait: .milliseconds(50)).isEmpty)
            await log.close()
        }
    }

    @Test("a batch handler is given several at once, and what it settles itself stays so when it throws")
    func batches() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ConsumerTests.events(0..<30))
            var settings = ConsumerSettings()
            settings.ordering = .none
            settings.retry = .immediate()
            let consumer = try await log.consumer("c", settings: settings)
            let seen = Lock<[(positions: [UInt64], attempt: Int)]>([])
            let running = Task {
                try await consumer.run(batchesOf: 10) { deliveries in
                    seen.withLock { $0.append((deliveries.map(\.position.rawValue), deliveries[0].attempt)) }
                    guard deliveries[0].position == 10, deliveries[0].attempt == 1 else { return }
                    try deliveries[0].acknowledge()
                    throw Oops()
                }
            }
            while try await log.consumers.status(of: "c")?.acknowledged != 30 {
                try await Task.sleep(for: .milliseconds(2))
            }
            running.cancel()
            try await running.value
            let calls = seen.withLock { $0 }
            #expect(calls.allSatisfy { (1...10).contains($0.positions.count) })
            let again = calls.filter { $0.attempt == 2 }.flatMap(\.positions)
            #expect(again.sorted() == Array(11..<20), "\(calls)")
            await log.close()
        }
    }

    @Test("another ordering is refused while somebody works with the one there is, and changes nothing")
    func otherOrdering() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ConsumerTests.events(0..<10))
            var settings = ConsumerSettings()
            settings.ordering = .by("first") { $0.stream }
            settings.maximumDeadLetters = 7
            let consumer = try await log.consumer("c", settings: settings)
            #expect(try await consumer.next(max: 1, wait: .seconds(60)).count == 1)
            for other in [EventOrdering.none, .perStream, .by("second") { $0.stream }] {
                var changed = settings
                changed.ordering = other
                changed.maximumDeadLetters = 8
                await refuses(.invalidArgument) { _ = try await log.consumer("c", settings: changed) }
            }
            // A function is not in the log: who opens it must have it.
            await refuses(.invalidArgument) { _ = try await log.consumer("c") }
            let second = try await log.consumer("c", settings: settings)
            await second.leave()
            await consumer.leave()
            settings.ordering = .none
            let third = try await log.consumer("c", settings: settings)
            #expect(try await ConsumerTests.drain(third).count == 10)
            await log.close()
        }
    }
}
