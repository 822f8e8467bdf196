import Testing
import TidelogStorage
import TidelogTesting

@testable import Tidelog

/// The last member of a process leaves while another one joins: each order in which that can happen, one after the
/// other.
@Suite("A member that comes when the last one goes")
struct SuccessionTests {
    @Test("a core that has ended takes no member; the consumer gets another, which works")
    func joiningTheEnded() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ConsumerTests.events(0..<5))
            let first = try await log.consumer("c")
            await first.leave()
            #expect(Consumer(log: log, core: first.core) == nil)
            let second = try await log.consumer("c")
            #expect(second.core !== first.core)
            #expect(try await ConsumerTests.drain(second) == Array(0..<5))
            await log.close()
        }
    }

    @Test("the end of a core that comes late takes nothing from its successor")
    func removingLate() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let first = try await log.consumer("c")
            await first.leave()
            let second = try await log.consumer("c")
            // The first one's end, once more, after the second one has come and asked to be woken.
            async let nothing = second.next(max: 1, wait: .milliseconds(200))
            while !second.core.state.withLock({ !$0.takers.isEmpty }) { await Task.yield() }
            log.subscriptions.remove(first.core)
            try #require(log.subscriptions.cores.map(\.number) == [second.core.number])
            #expect(try await nothing.isEmpty)
            await log.close()
        }
    }

    @Test("a core's last change is with the writer before anybody can take its place")
    func lastChangeFirst() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ConsumerTests.events(0..<10))
            let hub = log.subscriptions
            let first = try await log.consumer("c")
            let batch = try await first.next(max: 3, wait: .seconds(60))
            try batch[0].acknowledge()
            // The writer stands still, so that what it is given stays in the order in which it came.
            let (gate, isThere) = (WakeSignal(), WakeSignal())
            hub.engine.submit(
                HeadChange { _ in
                    isThere.wake()
                    gate.wait()
                    return false
                }
            ) { _ in }
            isThere.wait()
            let ending = first.core.leave(first.member)
            let seen = Lock<(sessions: Int, inFlight: Int, finished: UInt64)?>(nil)
            let number = first.core.number
            hub.engine.submit(
                HeadChange { transaction throws(StorageError) in
                    try hub.ledgers.inspect("c", number: number, in: transaction) { ledger in
                        seen.withLock {
                            $0 = (ledger.participants.count, ledger.inFlight, ledger.counters.acknowledged)
                        }
                    }
                    return false
                }
            ) { _ in }
            // The successor comes while the writer still stands, and asks for events of the same session.
            let second = try await log.consumer("c")
            async let rest = ConsumerTests.drain(second)
            gate.wake()
            #expect(await ending?.wait() == nil)
            #expect(try await rest.sorted() == Array(1..<10), "none of them was taken back from it")
            let known = try #require(seen.withLock { $0 })
            #expect(known.sessions == 0 && known.inFlight == 0 && known.finished == 1)
            await first.leave()
            await log.close()
        }
    }
}
