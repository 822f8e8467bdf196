import Foundation
import SystemPackage
import Testing
import TidelogTesting
import torture

@testable import Tidelog

/// What members in other processes, other boots and other times do to a consumer.
@Suite("Members in several processes", .serialized, .timeLimit(.minutes(30)))
struct MemberTests {
    /// A log, and a function that starts the tool with it.
    private static func withLog(
        _ body: (FilePath, (_ arguments: String...) throws -> Child) async throws -> Void
    ) async throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path.appending("log.tidelog")
        var count = 0
        try await body(path) { arguments in
            count += 1
            return try Child(
                [arguments[0], path.string] + arguments.dropFirst(),
                output: directory.path.string + "/said-\(count)")
        }
    }

    /// The words of the child's lines that begin with this one, without it.
    private static func said(_ word: String, by child: Child) -> [[String]] {
        child.lines().map { $0.split(separator: " ").map(String.init) }
            .filter { $0.first == word }.map { Array($0.dropFirst()) }
    }

    private static var settings: ConsumerSettings {
        var settings = ConsumerSettings()
        settings.filter = .types("in")
        settings.leaseDuration = .seconds(600)
        settings.prefetch = 64
        settings.maximumInFlight = 128
        settings.retry = .immediate(maximumDeliveries: nil)
        return settings
    }

    @Test("members learn who joined, who left, and whose work was taken over")
    func events() async throws {
        try await Self.withLog { path, start in
            let log = try await EventLog.open(at: path)
            try await log.append((0..<20).map { _ in Event(type: "in") })
            let consumer = try await log.consumer("c", settings: Self.settings)
            var events = consumer.events.makeAsyncIterator()
            func session() async throws -> UInt64 {
                guard case .joined(let session) = await events.next() else {
                    throw Failure("no process joined")
                }
                return session
            }
            #expect(try await session() == log.subscriptions.session, "its own")

            // One that dies with work in its hands.
            let dying = try start("consume", "--hold")
            let first = try await session()
            _ = try dying.waitForLine("HOLDS")
            dying.kill()
            var fates: Set<String> = []
            while fates.count < 2 {
                switch await events.next() {
                case .left(let session): fates.insert("left \(session == first)")
                case .tookOver(let session): fates.insert("took over \(session == first)")
                case let other: Issue.record("\(String(describing: other))")
                }
            }
            #expect(fates == ["left true", "took over true"])

            // One that leaves by itself: nothing is taken over.
            let leaving = try start("consume", "--hold", "--events", "1")
            let second = try await session()
            _ = try leaving.waitForLine("LEFT")
            guard case .left(second) = await events.next() else {
                Issue.record("it left, and nobody was told")
                return
            }
            #expect(leaving.wait() == 0)
            let rest = try await consumer.next(max: 20, wait: .seconds(60))
            for delivery in rest { try await delivery.acknowledgeDurably() }
            let status = try #require(try await log.consumers.status(of: "c"))
            #expect(status.sessions.map(\.id) == [log.subscriptions.session])
            await log.close()
            // The last words: it ended, in order.
            #expect(await events.next() == nil)
        }
    }

    @Test(
        "the last thing that another process changes is noticed, wherever in its commit this one has looked",
        .enabled(if: Fault.isAvailable, "under a sanitizer the calls are the sanitizer's"))
    func slowCommit() async throws {
        try await Self.withLog { path, _ in
            let log = try await EventLog.open(at: path)
            let consumer = try await log.consumer("c", settings: Self.settings)
            let core = try #require(log.subscriptions.cores.first)
            var (step, hasStopped, stops) = (0, true, 0)
            while hasStopped {
                for pauses in [true, false] {
                    let child = try Spawned(
                        ["pause", path.string, "--step", "\(step)"] + (pauses ? [] : ["--resume"]),
                        output: path.string + ".said")
                    while child.poll() == nil { try await Task.sleep(for: .milliseconds(2)) }
                    hasStopped = !child.hasEnded
                    if hasStopped {
                        stops += 1
                        // Some looks at what it has done so far.
                        try await Task.sleep(for: .milliseconds(100))
                        child.proceed()
                        while child.poll() == nil { try await Task.sleep(for: .milliseconds(2)) }
                    }
                    let end = ContinuousClock.now + .seconds(30)
                    while core.state.withLock({ $0.snapshot.isPaused }) != pauses {
                        try #require(ContinuousClock.now < end, "step \(step), pauses: \(pauses)")
                        try await Task.sleep(for: .milliseconds(5))
                    }
                }
                step += 1
            }
            #expect(stops > 4)
            await consumer.leave()
            await log.close()
        }
    }

    @Test(
        "members in two processes share the work; renaming it all the time stops neither",
        .timeLimit(.minutes(10)))
    func renaming() async throws {
        try await Self.withLog { path, start in
            let log = try await EventLog.open(at: path)
            try await log.consumers.create("c", settings: Self.settings)
            let members = [try start("consume"), try start("consume")]
            for member in members { _ = try member.waitForLine("READY") }
            // On a machine with much to do, one could do all the work before the other has joined.
            while try await log.consumers.status(of: "c")?.sessions.count ?? 0 < 2 {
                try await Task.sleep(for: .milliseconds(5))
            }
            let feeding = Task {
                for _ in 0..<40 {
                    try await log.append((0..<50).map { Event(type: "in", stream: "s-\($0)") })
                }
            }
            var name = "c"
            while members.reduce(0, { $0 + Self.said("ACK", by: $1).count }) < 2000 {
                let next = name == "c" ? "d" : "c"
                try await log.consumers.rename(name, to: next)
                name = next
                try await Task.sleep(for: .milliseconds(30))
                let lost = members.flatMap { Self.said("LOST", by: $0) }
                try #require(lost.isEmpty, "\(lost)")
            }
            try await feeding.value
            for member in members {
                #expect(Self.said("ACK", by: member).count > 0, "the work was spread")
            }
            let positions = members.flatMap { Self.said("GOT", by: $0).map { $0[0] } }
            #expect(Set(positions).count == positions.count, "each went to one of them, once")
            let status = try #require(try await log.consumers.status(of: name))
            #expect(status.acknowledged == 2000 && status.sessions.count == 2)
            for member in members { member.kill() }
            await log.close()
        }
    }

    @Test(
        "a process that joins is given its part of what another one has fetched and not begun, in whole keys",
        .timeLimit(.minutes(10)), arguments: [0, 10])
    func joining(streams: Int) async throws {
        try await Self.withLog { path, start in
            let log = try await EventLog.open(at: path)
            try await log.append(Self.events(100, streams: streams))
            var settings = Self.settings
            (settings.prefetch, settings.maximumInFlight) = (4096, 8192)
            let consumer = try await log.consumer("c", settings: settings)
            var own = try await consumer.next(max: 1, wait: .seconds(600))
            try #require(own.count == 1)
            let child = try start("consume")
            // The second half of what has no key; of ten keys the last five.
            let expected = (0..<100).filter { streams == 0 ? $0 >= 50 : $0 % streams >= 5 }
            while Self.said("ACK", by: child).count < expected.count {
                try await Task.sleep(for: .milliseconds(5))
            }
            #expect(Self.said("GOT", by: child).map { $0[0] } == expected.map { "\($0)" })
            while own.count < 100 - expected.count {
                let more = try await consumer.next(max: 100, wait: .seconds(600))
                try #require(!more.isEmpty)
                own += more
            }
            for delivery in own { try await delivery.acknowledgeDurably() }
            #expect(own.allSatisfy { $0.attempt == 1 })
            let positions = own.map { Int($0.position.rawValue) }
            #expect(positions.sorted() == Set(0..<100).subtracting(expected).sorted())
            #expect(try await log.consumers.status(of: "c")?.offset == 100)
            child.kill()
            await log.close()
        }
    }

    @Test(
        "a process that joins late gets its part of what is left, once and in the order of each stream",
        arguments: [0, 40])
    func joiningLate(streams: Int) async throws {
        try await Self.withLog { path, start in
            let log = try await EventLog.open(at: path)
            try await log.append(Self.events(2000, streams: streams))
            var settings = ConsumerSettings()
            settings.leaseDuration = .seconds(600)
            try await log.consumers.create("c", settings: settings)
            let first = try start("consume", "--pause-milliseconds", "5")
            _ = try first.waitForLine("ACK")
            let second = try start("consume", "--pause-milliseconds", "5")
            _ = try second.waitForLine("READY")
            let left = 2000 - Self.said("ACK", by: first).count
            let members = [first, second]
            while members.reduce(0, { $0 + Self.said("ACK", by: $1).count }) < 2000 {
                try await Task.sleep(for: .milliseconds(50))
            }
            let share = Self.said("ACK", by: second).count
            #expect(share >= left / 5, "\(share) of the last \(left)")
            let deliveries = members.flatMap { Self.said("GOT", by: $0) }.compactMap(Self.delivery)
                .sorted { $0.time < $1.time }
            #expect(deliveries.map(\.position).sorted() == Array(0..<2000))
            #expect(deliveries.allSatisfy { $0.attempt == 1 })
            var last: [Int: Int] = [:]
            for delivery in deliveries where streams > 0 {
                let before = last.updateValue(delivery.position, forKey: delivery.position % streams)
                #expect(before ?? -1 < delivery.position)
            }
            for member in members { member.kill() }
            await log.close()
        }
    }

    /// So many events, in so many streams, one after the other; none: in no stream.
    private static func events(_ count: Int, streams: Int) -> [Event] {
        (0..<count).map { Event(type: "in", stream: streams == 0 ? nil : "s-\($0 % streams)") }
    }

    /// What a child says that it got.
    private static func delivery(_ words: [String]) -> (position: Int, attempt: Int, time: UInt64)? {
        guard words.count == 3, let position = Int(words[0]), let attempt = Int(words[1]),
            let time = UInt64(words[2])
        else { return nil }
        return (position, attempt, time)
    }

    @Test("another process may not change the ordering that a member works with, until it is gone")
    func otherOrdering() async throws {
        try await Self.withLog { path, start in
            let log = try await EventLog.open(at: path)
            try await log.consumers.create("c", settings: Self.settings)
            try await log.append([Event(type: "in")])
            let member = try start("consume", "--hold")
            _ = try member.waitForLine("HOLDS")
            var settings = Self.settings
            settings.ordering = .none
            let error = await #expect(throws: EventLogError.self) {
                _ = try await log.consumer("c", settings: settings)
            }
            #expect(error?.code == .invalidArgument)
            member.kill()
            let consumer = try await log.consumer("c", settings: settings)
            let deliveries = try await consumer.next(max: 1, wait: .seconds(600))
            #expect(deliveries.map(\.attempt) == [2])
            await log.close()
        }
    }

    @Test(
        "an event that kills each process that gets it becomes a dead letter; its neighbours are handled")
    func poison() async throws {
        try await Self.withLog { path, start in
            var log = try await EventLog.open(at: path)
            try await log.append((0..<10).map { Event(type: "in", stream: "s-\($0 % 2)") })
            var settings = ConsumerSettings()
            settings.retry = .immediate(maximumDeliveries: 3)
            try await log.consumers.create("c", settings: settings)
            await log.close()
            var lives: [Child] = []
            repeat { lives.append(try start("poison")) } while lives.last?.wait() != 0 && lives.count < 20
            #expect(lives.last?.lines().last == "DONE")
            let attempts = lives.flatMap { Self.said("GOT", by: $0) }.filter { $0[0] == "4" }.map { $0[1] }
            #expect(attempts == ["1", "2", "3"])
            log = try await EventLog.open(at: path)
            let letters = try await log.consumers.deadLetters(of: "c")
            #expect(letters.map(\.position) == [4])
            let errors = letters.flatMap(\.attempts).map(\.error)
            #expect(errors == Array(repeating: "the member's process ended", count: 3))
            #expect(try await log.consumers.status(of: "c")?.acknowledged == 9)
            await log.close()
        }
    }

    @Test(
        "after a restart of the machine all leases are over, and retries and timers wait for what was left",
        .enabled(if: Fault.isAvailable, "the sanitizers intercept the same calls"))
    func restart() async throws {
        try await Self.withLog { path, start in
            let before = try start("before-restart")
            let word = try before.waitForLine("HOLDS").split(separator: " ")
            let due = try #require(Int64(word[1])) + 2_000_000_000
            before.kill()
            let after = try start("after-restart")
            #expect(after.wait() == 0)
            #expect(after.lines().contains("DONE"), "\(after.lines())")
            let deliveries = Self.said("GOT", by: after)
            #expect(deliveries.map { "\($0[0]) \($0[1])" }.sorted() == (3..<10).map { "\($0) 2" })
            // The wall clock is all that both boots have in common; what it says is to the millisecond here.
            let retried = try #require(deliveries.first { $0[0] == "3" })
            #expect(try #require(Int64(retried[2])) >= due - 1_000_000)
            let timers = Self.said("CAME", by: after)
            #expect(Set(timers.map { $0[0] }) == ["at", "after"])
            for timer in timers { #expect(try #require(Int64(timer[1])) >= due - 1_000_000) }
        }
    }

    @Test(
        "a wall clock that jumps an hour back and forth neither loses, nor hurries, nor repeats anything",
        .enabled(if: Fault.isAvailable, "the sanitizers intercept the same calls"))
    func wallClock() async throws {
        try await Self.withLog { _, start in
            let child = try start("jump", "--seed", "\(UInt64.random(in: 0...1_000_000))")
            #expect(child.wait() == 0)
            // 200 events, each delivered twice and acknowledged once, and 20 timers.
            #expect(child.lines() == ["DONE 400 200 20"])
        }
    }

    @Test("events that several processes schedule are appended once each, also when one is killed")
    func scheduling() async throws {
        try await Self.withLog { path, start in
            let log = try await EventLog.open(at: path)
            let children = try (1...3).map { try start("schedule", "--seed", "\($0)", "--events", "60") }
            while Self.said("SCHEDULED", by: children[0]).count < 30 {
                try await Task.sleep(for: .milliseconds(1))
            }
            children[0].kill()
            for child in children[1...] { _ = try child.waitForLine("READY") }
            let scheduled = children.flatMap { Self.said("SCHEDULED", by: $0).map { $0[0] } }
            let cancelled = Set(children.flatMap { Self.said("CANCELLED", by: $0).map { $0[0] } })
            // What was under way when the first one was killed may have been kept, or taken back, without a word.
            while try await !log.scheduledEvents().isEmpty { try await Task.sleep(for: .milliseconds(5)) }
            var found: [String] = []
            for try await stored in log.read(.types("timer")) { found.append(stored.id.description) }
            #expect(Set(found).count == found.count, "one was appended twice")
            #expect(cancelled.isDisjoint(with: found), "one was appended that was taken back")
            let missing = Set(scheduled).subtracting(found).subtracting(cancelled)
            #expect(missing.isSubset(of: Self.unsure(children[0])), "\(missing) is missing")
            #expect(Set(found).subtracting(scheduled).count <= 1, "a stranger: \(found)")
            for child in children[1...] { child.kill() }
            await log.close()
        }
    }

    /// What a process that was killed may have taken back without a word: the last one it spoke of.
    private static func unsure(_ child: Child) -> Set<String> {
        guard let last = child.lines().last, last.hasPrefix("SCHEDULED ") else { return [] }
        return [String(last.dropFirst("SCHEDULED ".count))]
    }
}
