import Testing

@testable import TidelogStorage

@Suite("An append that is refused")
struct AtomicityTests {
    let scratch = EngineScratch()

    @Test("because of the records that go with it leaves no event behind", arguments: [1, 60])
    func refusedChange(count: Int) throws {
        let engine = try self.scratch.open()
        _ = try engine.appendBlocking(EngineScratch.records(0..<2))
        let key = [UInt8](repeating: 1, count: 600)
        for change in [RecordChange.set(.app, key: key, value: [1]), .remove(.app, key: key)] {
            expectError(.invalidArgument) {
                _ = try engine.appendBlocking(
                    EngineScratch.records(10..<10 + count),
                    changing: [.set(.app, key: [1], value: [1]), change])
            }
        }
        #expect(try engine.checkedNumbers() == [0, 1])
        _ = try engine.appendBlocking(EngineScratch.records(2..<3))
        #expect(try engine.checkedNumbers() == [0, 1, 2])
        engine.close()
        let again = try self.scratch.open()
        #expect(try again.checkedNumbers() == [0, 1, 2])
        again.close()
    }

    @Test("because of one name in it leaves nothing of it with the events of others")
    func refusedName() async throws {
        let engine = try self.scratch.open()
        let began = WakeSignal()
        let letGo = WakeSignal()
        // While one commit is held, the others gather in one frame.
        self.scratch.seam.fail(.hold(began: began, letGo: letGo))
        let held = Task { try await engine.append([EngineScratch.record(0)]) }
        while self.scratch.seam.commits < 1 { await Task.yield() }
        var bad = EngineScratch.records(100..<103)
        bad[2].type = String(repeating: "x", count: 300)
        let tasks = [EngineScratch.records(1..<3), bad, EngineScratch.records(3..<5)].map { records in
            Task { try await engine.append(records) }
        }
        try await Task.sleep(for: .milliseconds(50))
        letGo.wake()
        _ = try await held.value
        _ = try await tasks[0].value
        await #expect(throws: StorageError.self) { try await tasks[1].value }
        _ = try await tasks[2].value
        #expect(try engine.checkedNumbers().sorted() == [0, 1, 2, 3, 4])
        engine.close()
    }

    @Test("because of an expectation leaves the head as it was, also in a transaction with others")
    func refusedExpectation() throws {
        let engine = try self.scratch.open()
        _ = try engine.appendBlocking(EngineScratch.records(0..<2))
        for count in [1, 60] {
            let error = expectError(.conflict) {
                _ = try engine.appendBlocking(
                    EngineScratch.records(10..<10 + count, stream: "new"),
                    expecting: [("new", .noStream), ("s", .exact(0))])
            }
            #expect(error?.actualRevision == 1)
            #expect(try engine.stream("new") == nil)
        }
        #expect(try engine.checkedNumbers() == [0, 1])
        engine.close()
    }
}
