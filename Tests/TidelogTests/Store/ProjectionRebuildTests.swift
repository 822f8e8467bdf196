import Foundation
import Testing
import TidelogStorage
import TidelogTesting

@testable import Tidelog

@Suite("Rebuilding a projection")
struct ProjectionRebuildTests {
    @Test("a rebuild leaves the live state to be asked until it is done, and then takes its place")
    func rebuild() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ProjectionSample.numbers(10..<30))
            try await log.catchUp(ProjectionSample.sums())
            let before = try await ProjectionSample.entries(log)
            // The function of the rebuild looks at the live state at each event: it must be the old one.
            let seen = Counter()
            let slow = Projection("sums", version: 2, of: .types("n.*")) { stored, state in
                try state.add(10, to: "tens")
                seen.add(1)
            }
            var small = slow
            small.batchEvents = 3
            async let rebuilt = log.rebuild(small)
            while seen.value < 20 {
                let now = try await ProjectionSample.entries(log)
                #expect(now == before || now == ["tens=200"])
                await Task.yield()
            }
            let status = try await rebuilt
            #expect(status.version == 2)
            #expect(status.building == nil)
            #expect(try await ProjectionSample.entries(log) == ["tens=200"])
            // Nothing of the old generation is left in the head.
            let left = try log.engine.readingRecords { view throws(StorageError) in
                var count = 0
                try view.forEach(.projections, prefix: [2]) { _, _ in
                    count += 1
                    return true
                }
                return count
            }
            #expect(left == 1)
            await log.close()
        }
    }

    @Test("a deletion that a rebuild has overtaken is refused, and made again takes that away as well")
    func overtakenDeletion() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ProjectionSample.numbers(10..<20))
            try await log.catchUp(ProjectionSample.sums())
            let control = {
                try log.engine.readingRecords { view throws(StorageError) in try view.control("sums") }
            }
            let known = try #require(try control())
            try await log.rebuild(ProjectionSample.sums())
            let before = try #require(try control())
            #expect(before.highest > known.highest)
            let generations = ProjectionGenerations("sums", log.engine, log.subscriptions)
            #expect(try !generations.removeAll(known))
            #expect(try control() == before)
            #expect(try await log.projection("sums").integer("count") == 10)
            try await log.deleteProjection("sums")
            #expect(try control() == nil)
            await expectCode(.notFound) { try await log.deleteProjection("sums") }
            await log.close()
        }
    }

    @Test(
        "a rebuild that another one of it overtakes goes on and switches over, beside a live one of any version",
        arguments: [1, 2])
    func overtaken(liveVersion: UInt32) async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ProjectionSample.numbers(10..<30))
            try await log.catchUp(ProjectionSample.sums(version: liveVersion))
            let calls = Counter()
            let anew = Projection("sums", of: .types("n.*")) { _, state in
                calls.add(1)
                if calls.value == 1 { try Self.overtake(log) }
                try state.add(10, to: "tens")
            }
            let status = try await log.rebuild(anew)
            #expect(status.version == 1 && status.building == nil && status.applied == 20)
            #expect(try await ProjectionSample.entries(log) == ["tens=200"])
            await log.close()
        }
    }

    /// The generations that have anything in the head, and whether a note is there.
    private static func left(_ log: EventLog) throws -> (generations: Set<UInt32>, isNoted: Bool) {
        try log.engine.readingRecords { view throws(StorageError) in
            var found: Set<UInt32> = []
            for kind in [UInt8(1), 2] {
                try view.forEach(.projections, prefix: [kind] + Array("sums".utf8) + [0]) { key, _ in
                    found.insert(key.prefix(4).reduce(0) { $0 << 8 | UInt32($1) })
                    return true
                }
            }
            return (found, try view.note("sums") != nil)
        }
    }

    @Test("a rebuild that throws or is cancelled leaves nothing of what it built", arguments: [false, true])
    func leftovers(isCancelled: Bool) async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ProjectionSample.numbers(10..<30))
            try await log.catchUp(ProjectionSample.sums())
            let before = try await ProjectionSample.entries(log)
            let calls = Counter()
            let (begun, goOn) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
            var failing = Projection("sums", version: 2, of: .types("n.*")) { stored, state in
                calls.add(1)
                if calls.value == 15 {
                    let left = try Self.left(log)
                    #expect(left.generations == [1, 2] && left.isNoted, "nothing was there to be removed")
                    guard isCancelled else { throw ProjectionSample.Refused() }
                    begun.signal()
                    goOn.wait()
                }
                try state.add(10, to: "tens/\(calls.value)")
            }
            failing.batchEvents = 2
            let rebuild = Task { [failing] in try await log.rebuild(failing) }
            if isCancelled {
                await withCheckedContinuation { reply in
                    Thread.detachNewThread {
                        begun.wait()
                        reply.resume()
                    }
                }
                rebuild.cancel()
                goOn.signal()
                _ = await rebuild.result
                #expect(calls.value < 20)
            } else {
                await expectCode(.projectionFailed) { _ = try await rebuild.value }
            }
            let left = try Self.left(log)
            #expect(left.generations == [1] && !left.isNoted)
            #expect(try await ProjectionSample.entries(log) == before)
            let status = try await log.projection("sums").status()
            #expect(status?.version == 1 && status?.building == nil)
            // The older version is not in the way of itself.
            try await log.catchUp(ProjectionSample.sums())
            await log.close()
        }
    }

    @Test("a rebuild whose generation is given up by somebody else begins anew and is done")
    func givenUp() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ProjectionSample.numbers(10..<30))
            try await log.catchUp(ProjectionSample.sums())
            let calls = Counter()
            let anew = Projection("sums", of: .types("n.*")) { _, state in
                calls.add(1)
                if calls.value == 3 {
                    try ProjectionGenerations("sums", log.engine, log.subscriptions).abandon()
                }
                try state.add(10, to: "tens")
            }
            let status = try await log.rebuild(anew)
            #expect(status.building == nil && status.applied == 20)
            #expect(try await ProjectionSample.entries(log) == ["tens=200"])
            let left = try Self.left(log)
            #expect(left.generations == [3] && !left.isNoted)
            await log.close()
        }
    }

    @Test("a build for a new version goes on after the log was opened again")
    func versionGoesOn() async throws {
        try await withTemporaryLog { _, open in
            let first = try await open(.init())
            try await first.append(ProjectionSample.numbers(10..<30))
            try await first.catchUp(ProjectionSample.sums())
            let calls = Counter()
            var newer = Projection("sums", version: 2, of: .types("n.*")) { _, state in
                calls.add(1)
                if calls.value == 16 { throw ProjectionSample.Refused() }
                try state.add(10, to: "tens")
            }
            newer.batchEvents = 5
            await expectCode(.projectionFailed) { try await first.catchUp(newer) }
            await first.close()
            let log = try await open(.init())
            #expect(try await log.projection("sums").status()?.building == 15)
            #expect(try await log.catchUp(newer).version == 2)
            #expect(calls.value == 21)
            #expect(try await ProjectionSample.entries(log) == ["tens=200"])
            #expect(try Self.left(log).generations == [2])
            #expect(try !Self.left(log).isNoted)
            await log.close()
        }
    }

    @Test("what a deletion that was killed has left is removed when the log is opened again")
    func killedDeletion() async throws {
        try await withTemporaryLog { _, open in
            let first = try await open(.init())
            try await first.append(ProjectionSample.numbers(10..<30))
            try await first.catchUp(ProjectionSample.sums())
            // The first transaction of a deletion, in a session that is no more.
            let none = ProjectionControl(live: 0, building: 0, highest: 1)
            _ = try first.engine.change(
                [
                    .set(.projections, key: ProjectionKeys.control("sums"), value: none.stored),
                    .set(
                        .projections, key: ProjectionKeys.note("sums"),
                        value: ProjectionNote(generation: 0, session: 77).stored),
                ], ifStill: [])
            await first.close()
            let log = try await open(.init())
            while try Self.left(log).isNoted { try await Task.sleep(for: .milliseconds(2)) }
            #expect(try Self.left(log).generations.isEmpty)
            #expect(try log.engine.record(.projections, key: ProjectionKeys.control("sums")) == nil)
            await log.close()
        }
    }

    /// Commits what another process might that builds the same generation: nothing new, at another time.
    private static func overtake(_ log: EventLog) throws {
        let (key, stored) = try log.engine.readingRecords { view throws(StorageError) -> ([UInt8], [UInt8]) in
            guard let control = try view.control("sums"),
                var progress = try view.progress("sums", control.building)
            else { throw StorageError(.notFound, "nothing is being built") }
            progress.updatedAt = 1
            return (ProjectionKeys.progress("sums", control.building), progress.stored)
        }
        _ = try log.engine.change([.set(.projections, key: key, value: stored)], ifStill: [])
    }

    @Test(
        "a running one of the version that a rebuild made live goes on with its state; an older version gives way"
    )
    func rebuildWhileRunning() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ProjectionSample.numbers(10..<20))
            let running = try await log.start(ProjectionSample.sums())
            await running.waitUntil(9)
            try await log.rebuild(ProjectionSample.sums())
            let result = try await log.append(ProjectionSample.numbers(20..<30))
            await running.waitUntil(result.positions.upperBound.advanced(by: -1))
            #expect(try await log.projection("sums").integer("count") == 20)
            await running.stop()
            // Starting a new version builds it and switches by itself.
            let newer = try await log.start(ProjectionSample.sums(version: 2, factor: 2))
            await newer.waitUntil(19)
            #expect(try await log.projection("sums").integer("sum/s0") == 2 * 117)
            await newer.stop()
            await expectCode(.conflict) { try await log.catchUp(ProjectionSample.sums()) }
            let older = try await log.start(ProjectionSample.sums())
            await expectCode(.conflict) { try await older.waitUntilStopped() }
            #expect(try await log.projection("sums").status()?.version == 2)
            // Going back is a rebuild.
            try await log.rebuild(ProjectionSample.sums())
            #expect(try await log.projection("sums").integer("sum/s0") == 117)
            await log.close()
        }
    }
}
