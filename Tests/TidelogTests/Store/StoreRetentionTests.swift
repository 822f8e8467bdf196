import Testing
import Tidelog
import TidelogTesting

@Suite("Retention beside projections and process managers")
struct StoreRetentionTests {
    private static func dropAll(_ log: EventLog, ignoring: Bool = false) async throws -> Bool {
        try await log.seal()
        var policy = RetentionPolicy()
        policy.maximumEvents = 0
        policy.ignoresConsumers = ignoring
        return try await !log.retain(policy).isEmpty
    }

    @Test("waits until a projection has seen the events, or is deleted; others go without it")
    func projection() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ProjectionSample.numbers(0..<3))
            try await log.catchUp(ProjectionSample.sums())
            #expect(try await Self.dropAll(log))
            // Of these it would know nothing.
            try await log.append(ProjectionSample.numbers(3..<6))
            #expect(try await !Self.dropAll(log))
            try await log.catchUp(ProjectionSample.sums())
            #expect(try await log.projection("sums").integer("count") == 6)
            #expect(try await Self.dropAll(log))
            try await log.append(ProjectionSample.numbers(8..<9))
            #expect(try await !Self.dropAll(log))
            try await log.deleteProjection("sums")
            #expect(try await Self.dropAll(log))
            await log.close()
        }
    }

    @Test("waits until a process manager has seen the events, unless told not to")
    func process() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let process = ProcessManager("saga", state: 0, of: .types("n.x")) {
                $0.stream
            } handle: { _, state, _ in
                state += 1
            }
            try await log.append(ProjectionSample.numbers(0..<3))
            try await log.catchUp(process)
            #expect(try await Self.dropAll(log))
            try await log.append(ProjectionSample.numbers(3..<6))
            #expect(try await !Self.dropAll(log))
            #expect(try await Self.dropAll(log, ignoring: true))
            await log.close()
        }
    }
}
