import Testing

@testable import TidelogStorage

@Suite("The size of a transaction")
struct TransactionSizeTests {
    let scratch = EngineScratch()

    @Test("has a bound: what waits is committed in several, in order, and every caller has his answer")
    func bounded() async throws {
        var options = self.scratch.options
        options.segmentBytes = 64 << 20
        options.transactionBytes = 100_000
        let engine = try self.scratch.open(options)
        let (began, letGo) = (WakeSignal(), WakeSignal())
        self.scratch.seam.fail(.hold(began: began, letGo: letGo))
        async let first = engine.append([EngineScratch.record(0)])
        while self.scratch.seam.commits < 1 { await Task.yield() }
        // Thirty requests of some 10,000 bytes wait now, and one that is larger than the bound for itself.
        try await withThrowingTaskGroup(of: Void.self) { group in
            var number = 1
            for count in Array(repeating: 10, count: 30) + [200] {
                let records = EngineScratch.records(number..<number + count, stream: nil, bytes: 1000)
                number += count
                let waiting = try #require(engine.writer).waitingBytes
                group.addTask { _ = try await engine.append(records) }
                while try #require(engine.writer).waitingBytes < waiting + count * 1000 { await Task.yield() }
            }
            letGo.wake()
            try await group.waitForAll()
        }
        #expect(try await first.firstPosition == 0)
        // The first one; nine or so at a time, so four; the large one.
        #expect((5...8).contains(self.scratch.seam.commits), "\(self.scratch.seam.commits) commits")
        #expect(try engine.checkedNumbers() == Array(0..<501))
        engine.close()
    }

    @Test("does not keep what was accepted from being committed when the log closes")
    func closing() async throws {
        var options = self.scratch.options
        options.segmentBytes = 64 << 20
        options.transactionBytes = 1
        let engine = try self.scratch.open(options)
        let (began, letGo) = (WakeSignal(), WakeSignal())
        self.scratch.seam.fail(.hold(began: began, letGo: letGo))
        let tasks = (0..<20).map { number in
            Task { try await engine.append(EngineScratch.records(number * 3..<number * 3 + 3, stream: nil)) }
        }
        // One is being committed, and all the others wait.
        await Task.detached { _ = began.wait() }.value
        while try #require(engine.writer).waitingRequests < 19 { await Task.yield() }
        letGo.wake()
        await Task.detached { engine.close() }.value
        for task in tasks { #expect(try await task.value.count == 3) }
        let again = try self.scratch.open()
        #expect(try again.count(RecordQuery()) == 60)
        again.close()
    }
}
