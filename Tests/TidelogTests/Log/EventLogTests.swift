import SystemPackage
import Testing
import Tidelog
import TidelogTesting

@Suite("The log")
struct EventLogTests {
    @Test("what was appended is read back, sealed or not, also after reopening")
    func roundTrip() async throws {
        try await withTemporaryLog { directory, open in
            var configuration = EventLogConfiguration()
            configuration.segmentSizeBytes = 64 << 10
            let log = try await open(configuration)
            var generator = EventGenerator(seed: 7)
            var expected: [Event] = []
            for size in [1, 2, 47, 48, 300, 1000, 1] {
                let events = generator.events(size)
                let result = try await log.append(events)
                #expect(result.positions.lowerBound == Position(UInt64(expected.count)))
                #expect(result.positions.count == size)
                expected += events
            }
            try await Self.expect(log, holds: expected)
            try await log.seal()
            #expect(try await !log.segments().isEmpty)
            try await Self.expect(log, holds: expected)
            await log.close()

            let again = try await open(configuration)
            try await Self.expect(again, holds: expected)
            let more = generator.events(10)
            try await again.append(more)
            try await Self.expect(again, holds: expected + more)
            await again.close()
        }
    }

    private static func expect(_ log: EventLog, holds expected: [Event]) async throws {
        var position: UInt64 = 0
        var revisions: [String: UInt64] = [:]
        for try await stored in log.read() {
            #expect(stored.position == Position(position))
            #expect(stored.event == expected[Int(position)])
            if let stream = stored.stream {
                #expect(stored.revision == Revision(revisions[stream, default: 0]))
                revisions[stream, default: 0] += 1
            }
            position += 1
        }
        #expect(position == UInt64(expected.count))
    }
}
