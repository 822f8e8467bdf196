import Testing
import Tidelog
import TidelogTesting

@Suite("Projections that throw")
struct ProjectionFailureTests {
    @Test(
        "of many events, the state is as of the one before the first that fails",
        arguments: [0, 12_345, 29_999])
    func failsAmongMany(at failing: Int) async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let numbers = (0..<30_000).map { $0 == failing ? -1 : $0 + 10 }
            try await log.append(
                numbers.map { Event(type: "n.x", stream: "s", payload: .init(text: "\($0)")) })
            try await log.seal()
            await #expect(throws: EventLogError.self) {
                try await log.catchUp(ProjectionSample.sums(batch: 100_000))
            }
            let before = numbers[..<failing].reduce(0) { $0 + Int64($1) }
            #expect(
                try await log.projection("sums").integer("sum/s") == (failing == 0 ? nil : before))
            #expect(try await log.projection("sums").status()?.failure?.position == Position(UInt64(failing)))
            await log.close()
        }
    }

    @Test(
        "one that throws stops alone, as of the event before, and says at which event; a repaired one goes on",
        arguments: [1, 4, 1000])
    func throwing(batch: Int) async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ProjectionSample.numbers(10..<20))
            try await log.append([Event(id: "bad", type: "n.bad", stream: "s0", payload: .init(text: "-1"))])
            try await log.append(ProjectionSample.numbers(20..<25))
            let other = try await log.start(
                Projection("other", of: .all) { _, state in try state.add(1, to: "count") })
            let error = await #expect(throws: EventLogError.self) {
                try await log.catchUp(ProjectionSample.sums(batch: batch))
            }
            #expect(error?.code == .projectionFailed)
            #expect(error?.positions == 10..<11)
            let status = try await log.projection("sums").status()
            #expect(status?.next == 10)
            #expect(status?.applied == 10)
            #expect(status?.failure?.eventID == "bad")
            #expect(status?.failure?.type == "n.bad")
            #expect(status?.failure?.message.contains("Refused") == true)
            #expect(try await log.projection("sums").integer("count") == 10)
            #expect(try await log.projection("sums").integer("sum/s0") == 45)
            await other.waitUntil(15)
            #expect(try await log.projection("other").integer("count") == 16)
            await other.stop()
            // The same version of the function, repaired: it goes on from the event.
            let repaired = Projection("sums", of: .types("n.*")) { _, state in try state.add(1, to: "count") }
            let after = try await log.catchUp(repaired)
            #expect(after.failure == nil)
            #expect(try await log.projection("sums").integer("count") == 16)
            await log.close()
        }
    }

    @Test("an upcaster that throws stops the projection that reads through it, and no other")
    func throwingUpcaster() async throws {
        struct Lost: Error {}
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ProjectionSample.numbers(0..<3))
            try await log.append(Event(id: "old", type: "n.old", stream: "s0").withSchemaVersion(1))
            var upcasters = Upcasters()
            upcasters.add("n.old", from: 1) { _ in throw Lost() }
            let counting = { (name: String, upcasters: Upcasters) in
                Projection(name, of: .types("n.*"), upcasters: upcasters) { _, state in
                    try state.add(1, to: "count")
                }
            }
            let other = try await log.start(counting("other", .init()))
            let error = await #expect(throws: EventLogError.self) {
                try await log.catchUp(counting("through", upcasters))
            }
            #expect(error?.code == .projectionFailed && error?.positions == 3..<4)
            #expect(try await log.projection("through").integer("count") == 3)
            #expect(try await log.projection("through").status()?.failure?.eventID == "old")
            try await log.append(ProjectionSample.numbers(3..<5))
            await other.waitUntil(5)
            #expect(try await log.projection("other").integer("count") == 6)
            await other.stop()
            await log.close()
        }
    }

    @Test("a rebuild that throws leaves the live state as it is")
    func failedRebuild() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ProjectionSample.numbers(10..<20))
            try await log.catchUp(ProjectionSample.sums())
            let before = try await ProjectionSample.entries(log)
            await expectCode(.projectionFailed) {
                try await log.rebuild(
                    Projection("sums", version: 2, of: .all) { _, _ in throw ProjectionSample.Refused() })
            }
            #expect(try await ProjectionSample.entries(log) == before)
            #expect(try await log.projection("sums").status()?.version == 1)
            await log.close()
        }
    }

    @Test("an event that cannot be read stops a projection there, after those before it, and no other one")
    func damaged() async throws {
        try await withTemporaryLog { _, open in
            let log = try await DamagedSample.log(open) { Event(id: .init("n-\($0)"), type: "n.x") }
            try await log.append(ProjectionSample.numbers(0..<3))
            var behind = EventQuery.all
            behind.from = 120
            let other = Projection("other", of: behind) { _, state in try state.add(1, to: "count") }
            let counting = Projection("counting", of: .all) { _, state in try state.add(1, to: "count") }
            for _ in 0..<2 {
                let error = await #expect(throws: EventLogError.self) { try await log.catchUp(counting) }
                #expect(error?.code == .projectionFailed && error?.positions == 60..<61)
                #expect(error?.message.contains("cannot be read") == true)
                let status = try #require(try await log.projection("counting").status())
                #expect(status.next == 60 && status.applied == 60)
                #expect(status.failure?.position == 60 && status.failure?.type == "")
                #expect(status.failure?.message.contains("corrupted") == true)
                #expect(try await log.projection("counting").integer("count") == 60)
            }
            #expect(try await log.catchUp(other).failure == nil)
            // What begins behind the damage passes it.
            let beyond = Projection("counting", of: behind) { _, state in try state.add(1, to: "count") }
            #expect(try await log.catchUp(beyond).failure == nil)
            #expect(try await log.projection("counting").integer("count") == 63)
            await log.close()
        }
    }

    @Test("a log without room is waited for by one that follows, and each event counts once")
    func full() async throws {
        try await withTemporaryLog { _, open in
            let (log, bytes) = try await FullSample.log(open, holding: ProjectionSample.numbers(0..<3))
            // More than what a change of records may take of the reserve.
            let large = Projection("large", of: .types("n.*")) { stored, state in
                try state.set("bytes/\(stored.position.rawValue)", .bytes(bytes))
                try state.add(1, to: "count")
            }
            await expectCode(.storageFull) { try await log.catchUp(large) }
            await expectCode(.storageFull) { try await log.rebuild(large) }
            let stopped = try await log.start(large)
            let running = try await log.start(large)
            try await Task.sleep(for: .milliseconds(200))
            #expect(try await log.projection("large").integer("count") == nil)
            await stopped.stop()
            try await stopped.waitUntilStopped()
            try await log.seal()
            await running.waitUntil(2)
            #expect(try await log.projection("large").integer("count") == 3)
            #expect(try await log.projection("large").value("bytes/2") == .bytes(bytes))
            await running.stop()
            await log.close()
        }
    }
}
