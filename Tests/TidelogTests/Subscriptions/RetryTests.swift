import Logging
import Testing
import Tidelog
import TidelogTesting

@Suite("Retries and dead letters")
struct RetryTests {
    struct Refused: Error, CustomStringConvertible { let description: String }

    @Test("a poison event becomes a dead letter with every error, and stops neither others nor its stream")
    func poison() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ConsumerTests.events(0..<60))
            var settings = ConsumerSettings()
            settings.retry = .fixed(.milliseconds(20), maximumDeliveries: 3)
            let consumer = try await log.consumer("c", settings: settings)
            let seen = Witness()
            let running = Task {
                try await consumer.run(concurrency: 3) { delivery in
                    if delivery.position == 10 { throw Refused(description: "try \(delivery.attempt)") }
                    await seen.begin(delivery.event.stream ?? "", delivery.position.rawValue, member: 0)
                    await seen.end(delivery.event.stream ?? "")
                }
            }
            while await seen.count < 59 { try await Task.sleep(for: .milliseconds(5)) }
            let problems = await seen.problems
            #expect(problems.isEmpty, "\(problems.prefix(3))")
            try await consumer.flush()
            let letters = try await log.consumers.deadLetters(of: "c")
            #expect(letters.map(\.position) == [10])
            #expect(letters[0].attempts.map(\.error) == ["try 1", "try 2", "try 3"])
            #expect(letters[0].deliveries == 3)
            #expect(letters[0].event?.id == "e-10")
            #expect(try await log.consumers.status(of: "c")?.offset == 60)
            await log.close()
            try await running.value
        }
    }

    @Test("a retry survives a restart, and is delivered when it is due and not before")
    func restart() async throws {
        try await withTemporaryLog { _, open in
            var log = try await open(.init())
            try await log.append(ConsumerTests.events(0..<3))
            var consumer = try await log.consumer("c")
            var batch = try await consumer.next(max: 3, wait: .seconds(10))
            try batch[0].retry(after: .milliseconds(400), because: Refused(description: "busy"))
            try batch[1].acknowledge()
            try batch[2].acknowledge()
            let start = ContinuousClock.now
            await log.close()
            log = try await open(.init())
            #expect(try await log.consumers.status(of: "c")?.retries == 1)
            #expect(try await log.consumers.status(of: "c")?.lastError?.error == "busy")
            consumer = try await log.consumer("c")
            batch = try await consumer.next(max: 3, wait: .seconds(60))
            #expect(ContinuousClock.now - start >= .milliseconds(390))
            #expect(batch.map(\.position.rawValue) == [0])
            #expect(batch.map(\.attempt) == [2])
            await log.close()
        }
    }

    @Test("dead letters are retried one or all, or dropped")
    func clearing() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ConsumerTests.events(0..<6))
            var settings = ConsumerSettings()
            settings.ordering = .none
            let consumer = try await log.consumer("c", settings: settings)
            for delivery in try await consumer.next(max: 6, wait: .seconds(10)) {
                try await delivery.park(because: "unreadable")
            }
            #expect(try await log.consumers.deadLetters(of: "c").count == 6)
            #expect(try await log.consumers.retryDeadLetters(of: "c", at: 4) == 1)
            #expect(try await consumer.next(max: 6, wait: .seconds(10)).map(\.position.rawValue) == [4])
            #expect(try await log.consumers.dropDeadLetters(of: "c", at: 0) == 1)
            #expect(
                try await log.consumers.deadLetters(of: "c", from: 2, limit: 2).map(\.position) == [2, 3])
            #expect(try await log.consumers.retryDeadLetters(of: "c") == 4)
            var rest: [UInt64] = []
            while rest.count < 4 {
                rest += try await consumer.next(max: 6, wait: .seconds(10)).map(\.position.rawValue)
            }
            #expect(rest.sorted() == [1, 2, 3, 5])
            #expect(try await log.consumers.deadLetters(of: "c").isEmpty)
            await log.close()
        }
    }

    @Test("parking beyond the limit of dead letters is a typed error, and the event is delivered again")
    func full() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ConsumerTests.events(0..<2))
            var settings = ConsumerSettings()
            settings.maximumDeadLetters = 1
            settings.retry = .immediate()
            let consumer = try await log.consumer("c", settings: settings)
            let batch = try await consumer.next(max: 2, wait: .seconds(10))
            try await batch[0].park(because: "bad")
            await refuses(.deadLettersFull) {
                try await batch[1].park(because: "bad")
            }
            #expect(try await consumer.next(max: 2, wait: .seconds(120)).map(\.position.rawValue) == [1])
            await log.close()
        }
    }

    @Test(
        "what fails for good while the dead letters are full is told and tried on, and is one when there is room",
        .timeLimit(.minutes(10)), arguments: [true, false])
    func fullAtWork(isPermanent: Bool) async throws {
        let lines = Seen<Logger.Metadata>()
        var configuration = EventLogConfiguration()
        configuration.logger = Logger(label: "test") { _ in BusTelemetryTests.Lines(lines) }
        try await withTemporaryLog { [configuration] _, open in
            let log = try await open(configuration)
            try await log.append(ConsumerTests.events(0..<3))
            var settings = ConsumerSettings()
            settings.maximumDeadLetters = 1
            settings.retry = .immediate(maximumDeliveries: 2)
            if isPermanent { settings.retry.isPermanent = { $0 is Refused } }
            let consumer = try await log.consumer("c", settings: settings)
            let running = Task {
                try await consumer.run { delivery in
                    if delivery.position != 1 { throw Refused(description: "never") }
                }
            }
            var status = try #require(try await log.consumers.status(of: "c"))
            while status.lastError?.error.contains("dead letters are full") != true {
                try await Task.sleep(for: .milliseconds(5))
                status = try #require(try await log.consumers.status(of: "c"))
            }
            let buried = try await log.consumers.deadLetters(of: "c").map(\.position)
            try #require(buried == [0] || buried == [2])
            let kept: Position = buried == [0] ? 2 : 0
            #expect(status.lastError?.position == kept)
            #expect(status.lastError?.error.hasSuffix("never") == true)
            #expect(status.offset <= kept && status.deadLetters == 1)
            while !lines.values.contains(where: { $0["tidelog.consumer"] == "c" }) {
                try await Task.sleep(for: .milliseconds(5))
            }

            #expect(try await log.consumers.dropDeadLetters(of: "c") == 1)
            while try await log.consumers.deadLetters(of: "c").map(\.position) != [kept] {
                try await Task.sleep(for: .milliseconds(5))
            }
            #expect(try await log.consumers.status(of: "c")?.offset == 3)
            running.cancel()
            try await running.value
            await log.close()
        }
    }

    @Test("an error that is permanent is not tried again")
    func permanent() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ConsumerTests.events(0..<4))
            var settings = ConsumerSettings()
            settings.retry.isPermanent = { $0 is Refused }
            let consumer = try await log.consumer("c", settings: settings)
            let running = Task {
                try await consumer.run { delivery in
                    if delivery.position == 1 { throw Refused(description: "never") }
                }
            }
            while try await log.consumers.status(of: "c")?.offset != 4 {
                try await Task.sleep(for: .milliseconds(5))
            }
            #expect(try await log.consumers.deadLetters(of: "c").map(\.deliveries) == [1])
            running.cancel()
            try await running.value
            await log.close()
        }
    }
}
