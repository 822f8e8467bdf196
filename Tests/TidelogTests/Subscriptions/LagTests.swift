import Testing
import Tidelog
import TidelogTesting

@Suite("How far a consumer is behind")
struct LagTests {
    /// The lag in time, in whole hours.
    private static func hours(_ log: EventLog) async throws -> Int {
        let status = try #require(try await log.consumers.status(of: "c"))
        return Int(status.lagTime / Duration.seconds(3600))
    }

    @Test("the lag in time is the age of the first event that is left, by the event's own timestamp")
    func age() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let past = Timestamp.now().advanced(by: .seconds(-3600))
            try await log.append([Event(type: "t", timestamp: past), Event(type: "t")])
            try await log.consumers.create("c")
            #expect(try await Self.hours(log) == 1)
            try await log.consumers.seek("c", to: .position(1))
            #expect(try await Self.hours(log) == 0)
            #expect(try await log.consumers.status(of: "c")?.lag == 1)
            try await log.consumers.seek("c", to: .end)
            #expect(try await log.consumers.status(of: "c")?.lagTime == .zero)
            await log.close()
        }
    }

    @Test("what truncation, a deletion or retention has taken does not hide that a consumer is behind")
    func gone() async throws {
        var configuration = EventLogConfiguration()
        configuration.sealsInBackground = false
        try await withTemporaryLog { [configuration] _, open in
            let log = try await open(configuration)
            let now = Timestamp.now()
            for (tens, stream) in ["a", "b", "c"].enumerated() {
                // Event number N is 30 - N hours old.
                let ages = (0..<10).map { 30 - tens * 10 - $0 }
                try await log.append(
                    ages.map {
                        Event(type: "t", stream: stream, timestamp: now.advanced(by: .seconds(-3600 * $0)))
                    })
                try await log.seal()
            }
            try await log.consumers.create("c")
            #expect(try await Self.hours(log) == 30)
            try await log.truncate(stream: "a", before: 4)
            #expect(try await Self.hours(log) == 26)
            try await log.delete(stream: "a")
            #expect(try await Self.hours(log) == 20)
            var policy = RetentionPolicy()
            policy.maximumEvents = 10
            policy.ignoresConsumers = true
            #expect(try await log.retain(policy).count == 2)
            #expect(try await Self.hours(log) == 10)
            #expect(try await log.consumers.list().map(\.lag) == [30])
            await log.close()
        }
    }
}
