import Testing
import Tidelog
import TidelogTesting

@Suite("What every event store does")
struct EventStoreConformanceTests {
    @Test("the store in memory", arguments: EventStoreConformance<InMemoryEventStore>.checks)
    func inMemory(check: EventStoreConformance<InMemoryEventStore>.Check) async throws {
        try await check.run { InMemoryEventStore() }
    }

    @Test("the log", arguments: EventStoreConformance<EventLog>.checks)
    func log(check: EventStoreConformance<EventLog>.Check) async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await check.run { log }
            await log.close()
        }
    }

    @Test(
        "the log with tiny segments, so that events are sealed while it works",
        arguments: EventStoreConformance<EventLog>.checks)
    func sealingLog(check: EventStoreConformance<EventLog>.Check) async throws {
        try await withTemporaryLog { _, open in
            var configuration = EventLogConfiguration()
            configuration.segmentSizeBytes = 4096
            configuration.blockSizeBytes = 1024
            let log = try await open(configuration)
            try await check.run { log }
            await log.close()
        }
    }
}
