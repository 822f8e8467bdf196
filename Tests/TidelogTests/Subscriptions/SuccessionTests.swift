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

    @Test("what a core could not give back when it ended, its successor in the same process delivers at once")
    func inheriting() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ConsumerTests.events(0..<10))
            try await log.consumers.create("c")
            let hub = log.subscriptions
            // As a full disk leaves it, which refused the last change: this session holds three events.
            let granted: Result<Int, EventLogError> = await withCheckedContinuation { reply in
                hub.submit(
                    "c", number: nil,
                    { ledger in
                        let session = hub.session
                        ledger.participate(session, members: 1, process: hub.process, .now)
                        let proposal = Proposal(epoch: ledger.epoch, from: 0, to: 3, positions: [0, 1, 2])
                        let grant = ledger.grant(to: session, capacity: 3, proposal, .now)
                        return (grant?.positions.count ?? 0, mustWrite: true)
                    }
                ) { reply.resume(returning: $0) }
            }
            try #require(try granted.get() == 3)
            let consumer = try await log.consumer("c")
            var attempts: [UInt64: Int] = [:]
            while attempts.count < 10 {
                let batch = try await consumer.next(max: 10, wait: .seconds(10))
                try #require(!batch.isEmpty, "the session keeps what nobody has: \(attempts)")
                for delivery in batch {
                    attempts[delivery.position.rawValue] = delivery.attempt
                    try delivery.acknowledge()
                }
            }
            #expect(attempts.values.allSatisfy { $0 == 1 }, "no attempt was made before: \(attempts)")
            #expect(try await log.consumers.status(of: "c")?.sessions.count == 1)
            await log.close()
        }
    }
}
