import Testing
import TidelogStorage
import TidelogTesting

@testable import Tidelog

@Suite("Consumers")
struct ConsumerTests {
    static func events(_ range: Range<Int>, streams: Int = 3) -> [Event] {
        range.map { Event(id: .init("e-\($0)"), type: "t.\($0 % 2)", stream: "s-\($0 % streams)") }
    }

    /// Takes and acknowledges until nothing more is at hand.
    static func drain(_ consumer: Consumer) async throws -> [UInt64] {
        var positions: [UInt64] = []
        while true {
            let batch = try await consumer.next(max: 100, wait: .seconds(3))
            if batch.isEmpty { break }
            for delivery in batch {
                positions.append(delivery.position.rawValue)
                try delivery.acknowledge()
            }
        }
        try await consumer.flush()
        return positions
    }

    @Test("what was acknowledged is not delivered again after reopening, and everything else is")
    func reopening() async throws {
        try await withTemporaryLog { _, open in
            var log = try await open(.init())
            try await log.append(Self.events(0..<50))
            var consumer = try await log.consumer("c")
            let first = try await consumer.next(max: 20, wait: .seconds(10))
            #expect(first.map(\.position.rawValue) == Array(0..<20))
            for delivery in first where delivery.position != 7 { try delivery.acknowledge() }
            await log.close()

            log = try await open(.init())
            #expect(try await log.consumers.status(of: "c")?.offset == 7)
            consumer = try await log.consumer("c")
            #expect(try await Self.drain(consumer).sorted() == [7] + Array(20..<50))
            #expect(try await log.consumers.status(of: "c")?.offset == 50)
            #expect(try await log.consumers.status(of: "c")?.lag == 0)
            await log.close()
        }
    }

    @Test(
        "a consumer receives what its filter lets through, as it is appended, and its offset passes the rest")
    func filters() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            var settings = ConsumerSettings()
            settings.filter = .types("t.1")
            let consumer = try await log.consumer("c", settings: settings)
            let received = Task {
                var ids: [String] = []
                for try await delivery in consumer.deliveries {
                    ids.append(delivery.event.id.description)
                    try delivery.acknowledge()
                    if ids.count == 20 { break }
                }
                return ids
            }
            for number in 0..<40 { try await log.append(Self.events(number..<number + 1)) }
            #expect(try await received.value == (0..<40).filter { $0 % 2 == 1 }.map { "e-\($0)" })
            try await consumer.flush()

            await log.close()
        }
    }

    @Test("a filter that lets nothing through moves the offset, with hardly a commit of its own")
    func emptyFilter() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            var settings = ConsumerSettings()
            settings.filter = .types("nothing.>")
            let consumer = try await log.consumer("c", settings: settings)
            let waiting = Task { try await consumer.next(max: 1, wait: .seconds(600)) }
            let before = try log.engine.newestTransaction()
            let batches = 400
            for number in 0..<batches {
                try await log.append(Self.events(number * 10..<number * 10 + 10))
            }
            while try await log.consumers.status(of: "c")?.offset != 4000 {
                try await Task.sleep(for: .milliseconds(5))
            }
            // One a second at most; here each may take a while, but not a hundredth of a commit an event.
            let commits = try log.engine.newestTransaction() - before
            #expect(commits <= UInt64(batches + 40), "\(commits) commits for \(batches) appends")
            #expect(try await log.consumers.status(of: "c")?.delivered == 0)
            waiting.cancel()
            #expect(try await waiting.value.isEmpty)
            await log.close()
        }
    }

    @Test("a consumer begins at the beginning, the end, a position or a time")
    func starts() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let hour = Timestamp.now()
            for number in 0..<10 {
                let time = hour.advanced(by: .seconds(number))
                try await log.append(Event(id: .init("e-\(number)"), type: "t", timestamp: time))
            }
            let starts: [(ConsumerStart, UInt64)] = [
                (.beginning, 0), (.end, 10), (.position(4), 4), (.time(hour.advanced(by: .seconds(7))), 7),
            ]
            for (number, (start, position)) in starts.enumerated() {
                var settings = ConsumerSettings()
                settings.start = start
                try await log.consumers.create("c-\(number)", settings: settings)
                #expect(try await log.consumers.status(of: "c-\(number)")?.offset.rawValue == position)
            }
            await log.close()
        }
    }

    @Test("settling twice, late, or after a seek is a typed error and changes nothing")
    func settlingTwice() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(Self.events(0..<10))
            let consumer = try await log.consumer("c")
            let batch = try await consumer.next(max: 10, wait: .seconds(10))
            try await batch[0].acknowledgeDurably()
            await refuses(.alreadySettled) { try batch[0].acknowledge() }
            await refuses(.alreadySettled) { try batch[0].retry() }
            await refuses(.alreadySettled) { try await batch[0].park(because: "x") }
            await refuses(.alreadySettled) { try batch[0].extendLease(by: .seconds(1)) }
            try batch[2].acknowledgeUpTo()
            await refuses(.alreadySettled) { try batch[1].acknowledge() }

            try await log.consumers.seek("c", to: .position(5))
            let again = try await consumer.next(max: 1, wait: .seconds(10))
            #expect(again.map(\.position.rawValue) == [5])
            await refuses(.leaseLost) { try batch[9].acknowledge() }
            await refuses(.leaseLost) { try await batch[8].acknowledgeDurably() }
            #expect(try await log.consumers.status(of: "c")?.offset == 5)
            await log.close()
        }
    }

    @Test("a delivery that takes longer than its lease goes elsewhere, unless the lease is extended")
    func leases() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(Self.events(0..<2))
            var settings = ConsumerSettings()
            settings.leaseDuration = .seconds(2)
            settings.acknowledgeWithin = .milliseconds(1)
            settings.retry = .immediate()
            let consumer = try await log.consumer("c", settings: settings)
            let both = try await consumer.next(max: 2, wait: .seconds(60))
            try #require(both.count == 2)
            try both[1].extendLease(by: .seconds(600))
            let again = try await consumer.next(max: 2, wait: .seconds(60))
            try #require(again.map(\.position.rawValue) == [0])
            #expect(again[0].attempt == 2)
            await refuses(.leaseLost) { try both[0].acknowledge() }
            try await both[1].acknowledgeDurably()
            try await again[0].acknowledgeDurably()
            #expect(try await log.consumers.status(of: "c")?.offset == 2)
            await log.close()
        }
    }

    @Test("members share the events, each goes to one of them, and those of a stream stay in order")
    func groups() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            var settings = ConsumerSettings()
            settings.prefetch = 16
            let seen = Witness()
            let members = try await (0..<4).asyncMap { _ in try await log.consumer("c", settings: settings) }
            let tasks = members.enumerated().map { number, member in
                Task {
                    try await member.run(concurrency: 2) { delivery in
                        let stream = delivery.event.stream ?? ""
                        await seen.begin(stream, delivery.position.rawValue, member: number)
                        await Task.yield()
                        await seen.end(stream)
                    }
                }
            }
            for number in 0..<50 {
                try await log.append(Self.events(number * 40..<number * 40 + 40, streams: 7))
            }
            while await seen.count < 2000 { try await Task.sleep(for: .milliseconds(5)) }
            let problems = await seen.problems
            #expect(problems.isEmpty, "\(problems.prefix(3))")
            #expect(await seen.positions.sorted() == Array(0..<2000))
            #expect(await seen.members.count == 4, "the work was spread")
            await log.close()
            for task in tasks { try await task.value }
        }
    }

    @Test("a member that leaves hands over what it holds, uncounted")
    func leaving() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(Self.events(0..<10))
            let first = try await log.consumer("c")
            let held = try await first.next(max: 4, wait: .seconds(10))
            try held[0].acknowledge()
            let second = try await log.consumer("c")
            await first.leave()
            var received: [UInt64: Int] = [:]
            while received.count < 9 {
                for delivery in try await second.next(max: 10, wait: .seconds(10)) {
                    received[delivery.position.rawValue] = delivery.attempt
                    try delivery.acknowledge()
                }
            }
            #expect(received == Dictionary(uniqueKeysWithValues: (1..<10).map { (UInt64($0), 1) }))
            await refuses(.alreadySettled) { try held[1].acknowledge() }
            await log.close()
        }
    }

    @Test("thousands of members that join and leave lose nothing and leave nothing behind")
    func churn() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(Self.events(0..<3000))
            var settings = ConsumerSettings()
            // The last member gives back what was fetched ahead, so that stays small.
            settings.prefetch = 16
            try await log.consumers.create("c", settings: settings)
            let handled = try await withThrowingTaskGroup(of: [UInt64].self) { group in
                for task in 0..<10 {
                    group.addTask {
                        var handled: [UInt64] = []
                        for round in 0..<200 {
                            let member = try await log.consumer("c")
                            for delivery in try await member.next(max: 2, wait: .milliseconds(50)) {
                                // Two of three finish what they get; the others leave with it.
                                if (task + round) % 3 == 0 { continue }
                                try delivery.acknowledge()
                                handled.append(delivery.position.rawValue)
                            }
                            await member.leave()
                        }
                        return handled
                    }
                }
                return try await group.reduce(into: [UInt64]()) { $0 += $1 }
            }
            #expect(Set(handled).count == handled.count, "something was delivered again")
            let last = try await log.consumer("c")
            let rest = try await Self.drain(last)
            #expect(Set(handled).isDisjoint(with: rest))
            #expect(Set(handled).union(rest) == Set(0..<3000))
            await last.leave()
            let status = try #require(try await log.consumers.status(of: "c"))
            #expect(status.sessions.isEmpty && status.inFlight == 0 && status.offset == 3000)
            await log.close()
        }
    }
}

/// What handlers saw.
actor Witness {
    var positions: [UInt64] = []
    var problems: [String] = []
    var members: Set<Int> = []
    private var last: [String: UInt64] = [:]
    private var busy: Set<String> = []
    var count: Int { self.positions.count }

    func begin(_ stream: String, _ position: UInt64, member: Int) {
        if self.busy.contains(stream) { self.problems.append("two of \(stream) at once") }
        if let last = self.last[stream], last >= position {
            self.problems.append("\(position) after \(last)")
        }
        self.busy.insert(stream)
        self.last[stream] = position
        self.members.insert(member)
        self.positions.append(position)
    }

    func end(_ stream: String) { self.busy.remove(stream) }
}

extension Sequence {
    func asyncMap<Result>(_ body: (Element) async throws -> Result) async throws -> [Result] {
        var results: [Result] = []
        for element in self { results.append(try await body(element)) }
        return results
    }
}

/// Expects `body` to throw an error with this code.
func refuses<Result>(
    _ code: EventLogError.Code, at location: SourceLocation = #_sourceLocation,
    isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> Result
) async {
    do {
        _ = try await body()
        Issue.record("nothing was thrown instead of \(code)", sourceLocation: location)
    } catch {
        #expect((error as? EventLogError)?.code == code, "\(error)", sourceLocation: location)
    }
}
