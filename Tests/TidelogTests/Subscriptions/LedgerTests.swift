import Foundation
import Testing
import TidelogTesting

@testable import Tidelog

@Suite("The ledger of a consumer")
struct LedgerTests {
    static let moment = Moment(monotonic: 1000, boot: 7, wall: 1_700_000_000_000_000_000)

    private func ledger(_ change: (inout ConsumerSettings) -> Void = { _ in }) -> Ledger {
        var settings = ConsumerSettings()
        settings.retry = .fixed(.seconds(1), maximumDeliveries: 3)
        change(&settings)
        var ledger = Ledger(number: 1, settings: settings, frontier: 0)
        ledger.boot = 7
        return ledger
    }

    private func proposal(_ positions: Range<UInt64>, keys: [UInt32] = [], epoch: UInt64 = 0) -> Proposal {
        Proposal(
            epoch: epoch, from: positions.lowerBound, to: positions.upperBound, positions: Array(positions),
            keys: keys)
    }

    private func granted(
        _ ledger: inout Ledger, to session: UInt64, capacity: Int, _ proposal: Proposal?, _ moment: Moment
    ) throws -> Grant {
        let grant = ledger.grant(to: session, capacity: capacity, proposal, moment)
        return try #require(grant)
    }

    @Test(
        "random sessions that finish, fail, die, stall and leave lose, skip, repeat and reorder nothing",
        arguments: 0..<40)
    func randomSessions(round: Int) throws {
        let base = ProcessInfo.processInfo.environment["TIDELOG_LEDGER_SEED"].flatMap { UInt64($0) }
        let seed = base ?? UInt64.random(in: 0 ... .max)
        var model = LedgerModel(seed: seed &+ UInt64(round))
        for _ in 0..<300 where model.problems.isEmpty { try model.step() }
        if model.problems.isEmpty { model.drain() }
        #expect(
            model.problems.isEmpty, "TIDELOG_LEDGER_SEED=\(seed), round \(round): \(model.problems.prefix(3))"
        )
    }

    @Test("an event that kills its process each time is parked after its tries, and its neighbours are not")
    func poison() throws {
        var ledger = self.ledger()
        var moment = Self.moment
        var handled: Set<UInt64> = []
        for session in UInt64(1)...20 {
            while let grant = ledger.grant(to: session, capacity: 10, self.proposal(0..<10), moment) {
                let bad = grant.positions.firstIndex(of: 4)
                // Handlers go through the grant in order; position 4 ends the process.
                let done = bad ?? grant.positions.count
                if done > 0 {
                    handled.formUnion(grant.positions[..<done])
                    var report = SessionReport()
                    report.finished = [(grant.number, 0..<done)]
                    _ = ledger.note(report, from: session, moment)
                }
                if bad != nil { break }
            }
            moment.monotonic += 2_000_000_000
            _ = ledger.reclaim(moment) { $0 != session }
        }
        #expect(ledger.deadLetters == 1)
        #expect(ledger.checkpoint == 10)
        #expect(handled == Set((0..<10).filter { $0 != 4 }))
    }

    @Test("a session that lost its lease cannot finish, fail or give back anything")
    func fencing() throws {
        var ledger = self.ledger()
        let first = try self.granted(&ledger, to: 1, capacity: 2, self.proposal(0..<2), Self.moment)
        var later = Self.moment
        later.monotonic += 40_000_000_000
        let losers = ledger.reclaim(later) { _ in true }
        #expect(losers == [1])
        let second = try self.granted(&ledger, to: 2, capacity: 2, nil, later)
        #expect(second.positions == [0, 1])
        var report = SessionReport()
        report.finished = [(first.number, 0..<1)]
        report.failed = [.init(grant: first.number, index: 1, error: "late")]
        report.released = [(second.number, 0..<1)]
        report.renewed = [second.number]
        let verdict = ledger.note(report, from: 1, later)
        #expect(verdict.stale.count == 3)
        #expect(ledger.inFlight == 2)
        #expect(ledger.grants.map(\.deadline) == [second.deadline])
    }

    @Test("the wall clock, an hour back or forth, changes no lease and no retry within a boot")
    func wallClock() throws {
        for jump in [Int64(-3_600), 3_600].map({ $0 * 1_000_000_000 }) {
            var ledger = self.ledger()
            var moment = Self.moment
            let grant = try self.granted(&ledger, to: 1, capacity: 2, self.proposal(0..<2), moment)
            var report = SessionReport()
            report.failed = [.init(grant: grant.number, index: 0, error: "no", delay: 1_000_000)]
            _ = ledger.note(report, from: 1, moment)
            moment.wall += jump
            let losers = ledger.reclaim(moment) { _ in true }
            #expect(losers.isEmpty)
            let early = ledger.grant(to: 2, capacity: 2, nil, moment)
            #expect(early == nil, "not due yet")
            moment.monotonic += 1_000_000
            let due = ledger.grant(to: 2, capacity: 2, nil, moment)
            #expect(due?.positions == [0])
        }
    }

    @Test(
        "after a restart of the machine a retry waits for what was left, and never longer than was asked for")
    func restart() throws {
        for (jump, left) in [(Int64(400_000), UInt64(600_000)), (5_000_000, 0), (-9_000_000, 1_000_000)] {
            var ledger = self.ledger()
            let grant = try self.granted(&ledger, to: 1, capacity: 1, self.proposal(0..<1), Self.moment)
            var report = SessionReport()
            report.failed = [.init(grant: grant.number, index: 0, error: "no", delay: 1_000_000)]
            _ = ledger.note(report, from: 1, Self.moment)
            let after = Moment(monotonic: 50, boot: 8, wall: Self.moment.wall + jump)
            _ = ledger.reclaim(after) { _ in true }
            #expect(ledger.waiting.map(\.due) == [50 + left])
        }
    }

    @Test("an event behind a failed one of its key waits for it, and other keys go on")
    func keyOrder() throws {
        var ledger = self.ledger()
        var moment = Self.moment
        let grant = try self.granted(
            &ledger, to: 1, capacity: 1, self.proposal(0..<4, keys: [5, 5, 6, 5]), moment)
        #expect(grant.positions == [0])
        var report = SessionReport()
        report.failed = [.init(grant: grant.number, index: 0, error: "no")]
        _ = ledger.note(report, from: 1, moment)
        let other = try self.granted(
            &ledger, to: 2, capacity: 9, self.proposal(1..<4, keys: [5, 6, 5]), moment)
        #expect(other.positions == [2])
        moment.monotonic += 1_000_000_000
        let again = try self.granted(&ledger, to: 1, capacity: 9, nil, moment)
        #expect(again.positions == [0, 1, 3])
        #expect(again.counts == [2, 1, 1])
    }

    @Test("a full store of dead letters loses nothing: the event is tried on")
    func deadLettersFull() throws {
        var ledger = self.ledger { $0.maximumDeadLetters = 1 }
        let grant = try self.granted(&ledger, to: 1, capacity: 2, self.proposal(0..<2), Self.moment)
        var report = SessionReport()
        report.failed = [0, 1].map {
            .init(grant: grant.number, index: $0, error: "bad", delay: nil, isFinal: true)
        }
        let verdict = ledger.note(report, from: 1, Self.moment)
        #expect(verdict.unburied.map(\.index) == [1])
        #expect(ledger.deadLetters == 1)
        #expect(ledger.waiting.map(\.position) == [1])
    }

    @Test("of a thousand failures the first 10 and the last 90 are kept, in memory as on the disk")
    func manyFailures() throws {
        var ledger = self.ledger { $0.retry = .immediate(maximumDeliveries: nil) }
        var shelf = RecordShelf()
        var moment = Self.moment
        var proposal: Proposal? = self.proposal(0..<1)
        for number in 0..<1000 {
            moment.wall = Int64(number)
            let grant = try self.granted(&ledger, to: 1, capacity: 1, proposal, moment)
            proposal = nil
            if number % 3 == 0 {
                moment.monotonic += 40_000_000_000
                _ = ledger.reclaim(moment) { _ in true }
            } else {
                var report = SessionReport()
                report.failed = [.init(grant: grant.number, index: 0, error: "no")]
                _ = ledger.note(report, from: 1, moment)
            }
            shelf.write(&ledger)
        }
        let kept = Array(Int64(0)..<10) + Array(Int64(910)..<1000)
        #expect(ledger.waiting.map(\.count) == [1000])
        #expect(ledger.waiting.map { $0.attempts.map(\.time) } == [kept])
        let loaded = try LedgerStore.load(1, ledger.settings, in: shelf)
        #expect(loaded.waiting == ledger.waiting)
        // As a dead letter the same.
        let grant = try self.granted(&ledger, to: 1, capacity: 1, nil, moment)
        var report = SessionReport()
        report.failed = [.init(grant: grant.number, index: 0, error: "no", delay: nil, isFinal: true)]
        _ = ledger.note(report, from: 1, moment)
        shelf.write(&ledger)
        let key = ConsumerKeys.deadLetter(1, 0, 0)
        let record = try #require(shelf.records[key])
        #expect(try LedgerCoding.decodeDeadLetter(record, key: key).attempts.count == 100)
    }

    @Test("what should become a dead letter while they are full waits a second, whatever the policy says")
    func fullDelay() throws {
        let second = Self.moment.monotonic + 1_000_000_000
        func full(_ deliveries: Int) -> Ledger {
            self.ledger {
                $0.maximumDeadLetters = 0
                $0.retry = .immediate(maximumDeliveries: deliveries)
            }
        }
        for isFinal in [true, false] {
            var ledger = full(1)
            let grant = try self.granted(&ledger, to: 1, capacity: 1, self.proposal(0..<1), Self.moment)
            var report = SessionReport()
            report.failed = [
                .init(grant: grant.number, index: 0, error: "bad", delay: nil, isFinal: isFinal)
            ]
            let verdict = ledger.note(report, from: 1, Self.moment)
            #expect(verdict.unburied.map(\.position) == [0])
            #expect(ledger.waiting.map(\.due) == [second])
            #expect(ledger.waiting.first?.attempts.map(\.error) == ["bad"])
            #expect(ledger.lastError?.attempt.error.contains("dead letters are full") == true)
        }
        // The same of an event that ends its process each time.
        var ledger = full(2)
        for _ in 0..<3 {
            #expect(ledger.waiting.allSatisfy { $0.due == 0 })
            _ = try self.granted(&ledger, to: 1, capacity: 1, self.proposal(0..<1), Self.moment)
            _ = ledger.reclaim(Self.moment) { _ in false }
        }
        #expect(ledger.waiting.map(\.due) == [second])
        #expect(ledger.lastError?.attempt.error.contains("dead letters are full") == true)
    }

    private func shared(members: [Int]) -> Ledger {
        var ledger = self.ledger()
        for (index, count) in members.enumerated() {
            ledger.participate(UInt64(index + 1), members: count, process: 1, Self.moment)
        }
        return ledger
    }

    @Test("sessions hold their parts by members, each of what is there; who is alone gets what it asks for")
    func parts() throws {
        var ledger = self.shared(members: [1, 3])
        let first = try self.granted(&ledger, to: 1, capacity: 500, self.proposal(0..<100), Self.moment)
        #expect(first.positions == Array(0..<25))
        let more = ledger.grant(to: 1, capacity: 500, self.proposal(25..<100), Self.moment)
        #expect(more == nil, "it has its part")
        let second = try self.granted(&ledger, to: 2, capacity: 500, self.proposal(25..<100), Self.moment)
        #expect(second.positions == Array(25..<100))
        // The less is left, the less each may hold; but never nothing.
        ledger.leave(2)
        ledger.participate(2, members: 3, process: 1, Self.moment)
        var report = SessionReport()
        report.finished = [(first.number, 0..<24)]
        _ = ledger.note(report, from: 1, Self.moment)
        let again = try self.granted(&ledger, to: 1, capacity: 500, nil, Self.moment)
        #expect(again.positions == Array(25..<43), "19 of 76, of which it holds one")

        var alone = self.shared(members: [1])
        let all = try self.granted(&alone, to: 1, capacity: 500, self.proposal(0..<100), Self.moment)
        #expect(all.positions.count == 100)
    }

    @Test("a part is made of whole keys, so that the others are not left with keys that they cannot have")
    func partsByKey() throws {
        var ledger = self.shared(members: [1, 1])
        let keys = (0..<100).map { UInt32($0 % 4 + 1) }
        let first = try self.granted(
            &ledger, to: 1, capacity: 500, self.proposal(0..<100, keys: keys), Self.moment)
        #expect(first.positions == (0..<100).filter { $0 % 4 < 2 })
        #expect(ledger.frontier == 98)
        let second = try self.granted(
            &ledger, to: 2, capacity: 500, self.proposal(98..<100, keys: Array(keys[98...])), Self.moment)
        #expect(second.positions == (0..<100).filter { $0 % 4 > 1 })
        #expect(ledger.checkpoint == 0 && ledger.inFlight == 100)
    }

    @Test("one key with more than a session's part is granted to one of them all the same")
    func largeKey() throws {
        var ledger = self.shared(members: [1, 1])
        let keys = [UInt32](repeating: 5, count: 90) + (10..<20).map { UInt32($0) }
        let first = try self.granted(
            &ledger, to: 1, capacity: 500, self.proposal(0..<100, keys: keys), Self.moment)
        #expect(first.positions == Array(0..<50))
        let second = try self.granted(
            &ledger, to: 2, capacity: 500, self.proposal(50..<100, keys: Array(keys[50...])), Self.moment)
        #expect(second.positions == Array(90..<100))
        #expect(ledger.waiting.map(\.position) == Array(50..<90), "until the first one has finished some")
    }

    @Test("a proposal from before a seek is refused")
    func epochs() throws {
        var ledger = self.ledger()
        ledger.seek(to: 3)
        let early = ledger.grant(to: 1, capacity: 9, self.proposal(0..<9), Self.moment)
        #expect(early == nil)
        #expect(ledger.frontier == 3)
        let grant = ledger.grant(to: 1, capacity: 9, self.proposal(3..<9, epoch: 1), Self.moment)
        #expect(grant?.positions == Array(3..<9))
    }

    @Test("delays are none, the same each time, or longer each time up to a limit, shortened at random")
    func delays() {
        func delays(_ policy: RetryPolicy, random: UInt64 = 0) -> [UInt64] {
            (1...6).map { policy.delay(after: $0, random: random) / 1_000_000 }
        }
        #expect(delays(.immediate()) == [0, 0, 0, 0, 0, 0])
        #expect(delays(.fixed(.milliseconds(30))) == [30, 30, 30, 30, 30, 30])
        let growing = RetryPolicy.exponential(
            from: .milliseconds(100), factor: 3, upTo: .seconds(2), jitter: 0.5)
        #expect(delays(growing) == [100, 300, 900, 2000, 2000, 2000])
        let shortest = delays(growing, random: .max)
        #expect(zip(shortest, [50, 150, 450, 1000, 1000, 1000]).allSatisfy { $0 == $1 || $0 + 1 == $1 })
        let some = Set((0..<50).map { _ in growing.delay(after: 2, random: .random(in: 0 ... .max)) })
        #expect(some.count > 10 && some.allSatisfy { (150_000_000...300_000_000).contains($0) })
        #expect(growing.delay(after: .max, random: 0) == 2_000_000_000, "no overflow")
    }

    @Test("ranges of finished events join, and gaps are what is left")
    func finishedSets() {
        var generator = SystemRandomNumberGenerator()
        var set = FinishedSet()
        var plain: Set<Int> = []
        for index in (0..<200).shuffled(using: &generator) where index % 7 != 3 {
            #expect(set.isDisjoint(from: index..<index + 1))
            set.insert(index..<index + 1)
            plain.insert(index)
            #expect(set.count == plain.count)
            #expect(set.contains(index))
        }
        #expect(set.gaps(below: 200).flatMap { Array($0) } == (0..<200).filter { $0 % 7 == 3 })
        #expect(set.firstGap == 3)
    }
}
