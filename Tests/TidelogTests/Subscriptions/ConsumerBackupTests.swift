import SystemPackage
import Testing
import Tidelog
import TidelogTesting

@Suite("Backups of logs that have consumers")
struct ConsumerBackupTests {
    struct Busy: Error {}

    /// Makes a log of 60 events, of which the consumer `c` has finished the first 50 but for number 10, which it is to
    /// try again, and number 20, which it has given up on; and two timers.
    private static func fill(_ log: EventLog) async throws {
        try await log.append(ConsumerTests.events(0..<40))
        try await log.seal()
        try await log.append(ConsumerTests.events(40..<60))
        var settings = ConsumerSettings()
        settings.ordering = .none
        settings.leaseDuration = .seconds(600)
        let consumer = try await log.consumer("c", settings: settings)
        var taken: [Delivery] = []
        while taken.count < 50 {
            taken += try await consumer.next(max: 50 - taken.count, wait: .seconds(60))
        }
        try #require(taken.map(\.position.rawValue) == Array(0..<50))
        for delivery in taken where delivery.position != 10 && delivery.position != 20 {
            try delivery.acknowledge()
        }
        try await taken[20].park(because: "unreadable")
        try taken[10].retry(after: .seconds(2), because: Busy())
        try await consumer.flush()
        await consumer.leave()
        try await log.schedule(Event(id: "after", type: "timer"), to: "timers", after: .seconds(3600))
        try await log.schedule(Event(id: "at", type: "timer"), at: .now().advanced(by: .seconds(7200)))
    }

    @Test(
        "a restored log's consumer goes on at its offset; its retry, its dead letter and the timers are there"
    )
    func restoring() async throws {
        let folder = try TemporaryDirectory()
        defer { folder.remove() }
        let backup = folder.path.appending("backup")
        let log = try await EventLog.open(at: folder.path.appending("log.tidelog"))
        try await Self.fill(log)
        let letters = try await log.consumers.deadLetters(of: "c")
        let timers = try await log.scheduledEvents()
        try await log.backup(to: backup)
        // What is done afterwards is no part of it.
        try await log.consumers.dropDeadLetters(of: "c")
        try await log.consumers.seek("c", to: .end)
        try await log.cancelScheduled(id: "after")
        await log.close()

        let path = folder.path.appending("restored.tidelog")
        try await EventLog.restore(from: backup, to: path)
        let restored = try await EventLog.open(at: path)
        let status = try #require(try await restored.consumers.status(of: "c"))
        #expect(status.offset == 10 && status.lag == 50)
        #expect(status.acknowledged == 48 && status.retries == 1 && status.deadLetters == 1)
        try #require(letters.map(\.position) == [20])
        #expect(try await restored.consumers.deadLetters(of: "c") == letters)
        #expect(timers.map(\.event.id) == ["after", "at"])
        #expect(try await restored.scheduledEvents() == timers)

        // It goes on.
        let consumer = try await restored.consumer("c")
        var attempts: [UInt64: Int] = [:]
        while attempts.count < 11 {
            for delivery in try await consumer.next(max: 20, wait: .seconds(60)) {
                attempts[delivery.position.rawValue] = delivery.attempt
                try delivery.acknowledge()
            }
        }
        try await consumer.flush()
        var wanted: [UInt64: Int] = [10: 2]
        for position in UInt64(50)..<60 { wanted[position] = 1 }
        #expect(attempts == wanted)
        #expect(try await restored.consumers.status(of: "c")?.offset == 60)
        #expect(try await restored.consumers.retryDeadLetters(of: "c") == 1)
        var letter: [Delivery] = []
        while letter.isEmpty { letter = try await consumer.next(max: 1, wait: .seconds(60)) }
        #expect(letter.map(\.event.event) == letters.compactMap { $0.event?.event })
        try await letter[0].acknowledgeDurably()
        #expect(try await restored.cancelScheduled(id: "after"))
        await restored.close()
        #expect(try await EventLog.verify(at: path, isDeep: true).isClean)
    }
}
