import Testing

@testable import TidelogStorage

@Suite("A commit that fails")
struct CommitFaultTests {
    let scratch = EngineScratch()

    @Test(
        "with an error of the disk stops the log: who waits is told, appends are refused, reads go on",
        arguments: [false, true])
    func failStop(isDurable: Bool) async throws {
        let engine = try self.scratch.open()
        _ = try engine.appendBlocking(EngineScratch.records(0..<10))
        let began = WakeSignal()
        let letGo = WakeSignal()
        // The first commit is held, so that the others gather in the one that fails.
        self.scratch.seam.fail(.hold(began: began, letGo: letGo))
        async let held = engine.append([EngineScratch.record(10)])
        while self.scratch.seam.commits < 2 { await Task.yield() }
        let waiting = (0..<8).map { (number: Int) -> Task<AppendOutcome, any Error> in
            let first = 100 + number * 60
            let records = EngineScratch.records(first..<first + [1, 60][number % 2])
            return Task { try await engine.append(records) }
        }
        try await Task.sleep(for: .milliseconds(50))
        self.scratch.seam.fail(isDurable ? .after(.inputOutput) : .before(.inputOutput))
        letGo.wake()
        _ = try await held
        for task in waiting {
            guard case .failure(let error as StorageError) = await task.result else {
                Issue.record("an append was acknowledged though its commit failed")
                continue
            }
            #expect(error.code == .inputOutput || error.code == .poisoned)
        }
        expectError(.poisoned) { _ = try engine.appendBlocking([EngineScratch.record(1000)]) }
        expectError(.poisoned) { _ = try engine.seal() }
        expectError(.poisoned) { try engine.truncate(stream: "s", before: 1) }
        #expect(try engine.records(RecordQuery()).count >= 11)
        #expect(try engine.record(at: 3) != nil)
        engine.close()

        let again = try self.scratch.open()
        let numbers = try again.checkedNumbers()
        #expect(numbers.starts(with: 0..<11))
        #expect((numbers.count > 11) == isDurable)
        // Ids settle what became of it: repeated, everything is there once.
        for number in 0..<8 {
            let count = [1, 60][number % 2]
            _ = try again.appendBlocking(EngineScratch.records(100 + number * 60..<100 + number * 60 + count))
        }
        #expect(try again.checkedNumbers().count == 11 + 4 * 1 + 4 * 60)
        again.close()
    }

    @Test(
        "for want of room changes nothing, and appending goes on",
        arguments: [StorageError.Code.diskFull, .mapFull])
    func noRoom(code: StorageError.Code) throws {
        let engine = try self.scratch.open()
        var expected: [Int] = []
        for (round, count) in [1, 60, 3, 200, 1].enumerated() {
            let numbers = round * 1000..<round * 1000 + count
            self.scratch.seam.fail(.before(code))
            expectError(code) { _ = try engine.appendBlocking(EngineScratch.records(numbers)) }
            #expect(try engine.checkedNumbers() == expected)
            let outcome = try engine.appendBlocking(EngineScratch.records(numbers))
            #expect(!outcome.isRepeat)
            #expect(outcome.firstPosition == UInt64(expected.count))
            expected += numbers
            #expect(try engine.checkedNumbers() == expected)
            #expect(try engine.stream("s")?.lastRevision == UInt64(expected.count - 1))
        }
        engine.close()
        let again = try self.scratch.open()
        #expect(try again.checkedNumbers() == expected)
        again.close()
    }

    @Test("shows nobody its events in the place of those that another process commits at once")
    func overtaken() async throws {
        let engine = try self.scratch.open()
        _ = try engine.appendBlocking(EngineScratch.records(0..<10))
        let (began, letGo) = (WakeSignal(), WakeSignal())
        self.scratch.seam.fail(.hold(began: began, letGo: letGo))
        async let held = engine.append([EngineScratch.record(10)])
        while self.scratch.seam.commits < 2 { await Task.yield() }
        // Two frames in one transaction: the first of them is in the index before the commit.
        let lost = [100..<160, 200..<260].map { (numbers: Range<Int>) -> Task<AppendOutcome, any Error> in
            Task { try await engine.append(EngineScratch.records(numbers)) }
        }
        while engine.writer?.waitingRequests != 2 { await Task.yield() }
        let seen = Lock<[UInt64?]>([])
        self.scratch.seam.fail(
            .overtaken(.diskFull) { () throws(StorageError) in
                let transaction = try engine.head.beginWrite()
                let draft = try FrameEncoder(level: 1).encode([EngineScratch.record(900, stream: "other")])
                try transaction.appendFrame(draft, first: 11, baseRevisions: [0])
                try transaction.commit(through: .durable)
                let streams = [
                    try engine.stream("s")?.lastRevision, try engine.stream("other")?.lastRevision,
                ]
                let end = try engine.currentView().end
                seen.withLock { $0 = streams + [end] }
            })
        letGo.wake()
        _ = try await held
        for task in lost {
            guard case .failure(let error as StorageError) = await task.result else {
                Issue.record("an append was acknowledged though its commit failed")
                continue
            }
            #expect(error.code == .diskFull)
        }
        // The log as it was before both, or with the other's event and no other.
        #expect([[10, nil, 11], [10, 0, 12]].contains(seen.withLock { $0 }))
        #expect(try engine.stream("s")?.lastRevision == 10)
        #expect(try engine.stream("other")?.lastPosition == 11)
        _ = try engine.appendBlocking(EngineScratch.records(100..<160))
        let expected = Array(0...10) + [900] + Array(100..<160)
        #expect(try engine.checkedNumbers() == expected)
        engine.close()
        let again = try self.scratch.open()
        #expect(try again.checkedNumbers() == expected)
        again.close()
    }

    @Test("shows nothing of what is not durable: not to readers, not in what is known of streams")
    func nothingUncommittedIsSeen() async throws {
        let engine = try self.scratch.open()
        _ = try engine.appendBlocking(EngineScratch.records(0..<3))
        let began = WakeSignal()
        let letGo = WakeSignal()
        self.scratch.seam.fail(.hold(began: began, letGo: letGo))
        async let pending = engine.append(
            EngineScratch.records(3..<5) + [EngineScratch.record(5, stream: "new")])
        while self.scratch.seam.commits < 2 { await Task.yield() }
        #expect(try engine.checkedNumbers() == [0, 1, 2])
        #expect(try engine.currentView().end == 3)
        #expect(try engine.record(at: 3) == nil)
        #expect(try engine.record(id: .text("e4")) == nil)
        var query = RecordQuery()
        query.filter.streams = ["s"]
        #expect(try engine.count(query) == 3)
        #expect(try engine.stream("new") == nil)
        #expect(try engine.stream("s")?.lastRevision == 2)
        #expect(try engine.stream("s")?.lastPosition == 2)
        #expect(try engine.streams(prefix: "", after: nil, limit: 10).map(\.lastRevision) == [2])
        letGo.wake()
        _ = try await pending
        #expect(try engine.stream("s")?.lastRevision == 4)
        #expect(try engine.stream("new")?.lastPosition == 5)
        engine.close()
    }

    @Test(
        "at any step of sealing, compacting or retaining loses nothing, and a second try succeeds",
        arguments: [StorageError.Code.diskFull, .inputOutput], ["seal", "compact", "retain"])
    func maintenance(code: StorageError.Code, job: String) throws {
        var step = 0
        while true {
            let scratch = EngineScratch()
            var engine = try scratch.open()
            for start in stride(from: 0, to: 600, by: 50) {
                _ = try engine.appendBlocking(EngineScratch.records(start..<start + 50, stream: "s\(start)"))
            }
            if job != "seal" { _ = try engine.seal() }
            scratch.seam.fail(.before(code), after: step)
            let before = scratch.seam.commits
            var failed = false
            do {
                try Self.run(job, engine)
            } catch {
                failed = true
                #expect(error.code == code, "step \(step): \(error)")
            }
            if failed, code == .inputOutput {
                expectError(.poisoned) { _ = try engine.appendBlocking([EngineScratch.record(9999)]) }
            }
            if failed, job != "retain" {
                #expect(try engine.checkedNumbers() == Array(0..<600), "step \(step) of \(job)")
            }
            if code == .inputOutput {
                engine.close()
                engine = try scratch.open()
            }
            scratch.seam.fail(nil)
            try Self.run(job, engine)
            _ = try engine.appendBlocking([EngineScratch.record(600)])
            if job == "retain" {
                let left = try engine.records(RecordQuery())
                #expect(left.count >= 101)
                #expect(left.last?.position == 600)
                #expect(left.first?.position == 601 - UInt64(left.count))
            } else {
                #expect(try engine.checkedNumbers() == Array(0...600), "step \(step) of \(job), again")
            }
            engine.close()
            let reopened = try scratch.open()
            #expect(try reopened.records(RecordQuery()).last?.position == 600)
            reopened.close()
            if !failed {
                #expect(scratch.seam.commits - before >= step)
                break
            }
            step += 1
        }
        #expect(step >= 1)
    }

    private static func run(_ job: String, _ engine: LogEngine) throws(StorageError) {
        switch job {
        case "seal": _ = try engine.seal()
        case "compact":
            var policy = CompactionPolicy()
            policy.mergedBytes = 40 << 10
            _ = try engine.compact(policy)
        default:
            var limits = RetentionLimits()
            limits.maximumEvents = 100
            _ = try engine.retain(limits)
        }
    }
}
