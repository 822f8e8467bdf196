import Glibc
import Testing

@testable import TidelogStorage

@Suite("Appends that wait for room in the queue", .timeLimit(.minutes(10)))
struct BackpressureTests {
    let scratch = EngineScratch()

    /// A log whose writer is in a commit until `letGo`, with one append in the queue, which fills it.
    private func congested() async throws -> (engine: LogEngine, letGo: WakeSignal, accepted: [Handle]) {
        var options = self.scratch.options
        options.maximumWaitingBytes = 1000
        let engine = try self.scratch.open(options)
        let letGo = WakeSignal()
        self.scratch.seam.fail(.hold(began: WakeSignal(), letGo: letGo))
        let first = Self.append(0..<1, to: engine)
        while self.scratch.seam.commits < 1 { await Task.yield() }
        let second = Self.append(1..<21, to: engine)
        while engine.writer?.isCongested != true { await Task.yield() }
        return (engine, letGo, [first, second])
    }

    private typealias Handle = Task<Result<AppendOutcome, StorageError>, Never>

    private static func append(_ numbers: Range<Int>, to engine: LogEngine) -> Handle {
        Task {
            do throws(StorageError) {
                return .success(try await engine.append(EngineScratch.records(numbers)))
            } catch {
                return .failure(error)
            }
        }
    }

    /// An append on a thread of its own.
    private static func appendBlocking(
        _ numbers: Range<Int>, to engine: LogEngine
    ) throws -> OutcomeBox<AppendOutcome> {
        let box = OutcomeBox<AppendOutcome>()
        _ = try WorkerThread(name: "appender") {
            do throws(StorageError) {
                box.finish(.success(try engine.appendBlocking(EngineScratch.records(numbers))))
            } catch {
                box.finish(.failure(error))
            }
        }
        return box
    }

    @Test("neither tasks nor threads add to a full queue, and all go on once it is not")
    func waiting() async throws {
        let (engine, letGo, accepted) = try await self.congested()
        let task = Self.append(21..<22, to: engine)
        let thread = try Self.appendBlocking(22..<23, to: engine)
        while engine.writer?.waitingForRoom != 2 { await Task.yield() }
        #expect(engine.writer?.waitingRequests == 1)
        // What changes records alone, as an acknowledgement does, takes no room and waits for none.
        async let change: Void = engine.change(
            HeadChange { transaction throws(StorageError) in
                try transaction.setRecord(RecordSpace(byte: 200), key: [1], value: [2])
                return true
            })
        while engine.writer?.waitingRequests != 2 { await Task.yield() }
        letGo.wake()
        for append in accepted + [task] { _ = try await append.value.get() }
        _ = try thread.wait().get()
        try await change
        #expect(try engine.checkedNumbers().sorted() == Array(0..<23))
        engine.close()
    }

    @Test("closing commits what was accepted and refuses those who wait")
    func closing() async throws {
        let (engine, letGo, accepted) = try await self.congested()
        let task = Self.append(21..<22, to: engine)
        let thread = try Self.appendBlocking(22..<23, to: engine)
        while engine.writer?.waitingForRoom != 2 { await Task.yield() }
        let closed = WakeSignal()
        _ = try WorkerThread(name: "closer") {
            engine.close()
            closed.wake()
        }
        // They are told at once, though the queue is full still.
        let refusals = [await task.value, thread.wait()]
        #expect(self.scratch.seam.commits == 1)
        for refusal in refusals { expectError(.closed) { () throws in _ = try refusal.get() } }
        letGo.wake()
        for append in accepted { _ = try await append.value.get() }
        closed.wait()
        let again = try self.scratch.open()
        #expect(try again.checkedNumbers() == Array(0..<21))
        again.close()
    }
}
