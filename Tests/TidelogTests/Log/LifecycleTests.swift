import Testing
import Tidelog
import TidelogTesting

@Suite("The life of a log")
struct LifecycleTests {
    @Test("closing commits what was accepted, answers everybody, and then refuses")
    func closingWhileAppending() async throws {
        try await withTemporaryLog { _, open in
            for round in 0..<5 {
                let log = try await open(.init())
                let before = try await log.count()
                let tasks = (0..<40).map { number in
                    Task { () -> Int in
                        var acknowledged = 0
                        for _ in 0..<200 {
                            do {
                                let count = number % 5 == 0 ? 60 : 1
                                try await log.append((0..<count).map { _ in Event(type: "t", stream: "s") })
                                acknowledged += count
                            } catch let error as EventLogError {
                                #expect(error.code == .closed, "\(error)")
                                break
                            }
                        }
                        return acknowledged
                    }
                }
                try await Task.sleep(for: .milliseconds(5 * (round + 1)))
                await log.close()
                var acknowledged = 0
                for task in tasks { acknowledged += try await task.value }
                let error = await #expect(throws: EventLogError.self) {
                    try await log.append(Event(type: "t"))
                }
                #expect(error?.code == .closed)
                await #expect(throws: EventLogError.self) { try await log.count() }
                await #expect(throws: EventLogError.self) { try await log.seal() }
                await log.close()

                let again = try await open(.init())
                #expect(try await again.count() == before + acknowledged)
                await again.close()
            }
        }
    }

    @Test("reading while the log closes ends with `closed` or the end, never with anything else")
    func closingWhileReading() async throws {
        try await withTemporaryLog { _, open in
            var configuration = EventLogConfiguration()
            configuration.segmentSizeBytes = 32 << 10
            for _ in 0..<5 {
                let log = try await open(configuration)
                var generator = EventGenerator(seed: 1)
                _ = try? await log.append(generator.events(2000))
                let readers = (0..<4).map { number in
                    Task {
                        do {
                            for _ in 0..<20 {
                                if number % 2 == 0 {
                                    for try await _ in log.read(.types("order.*")) {}
                                } else {
                                    _ = try await log.count(.stream("item-1"))
                                    _ = try await log.event(at: 1500)
                                }
                            }
                        } catch let error as EventLogError {
                            #expect(error.code == .closed, "\(error)")
                        }
                    }
                }
                try await Task.sleep(for: .milliseconds(20))
                await log.close()
                for reader in readers { try await reader.value }
            }
        }
    }

    @Test("a log that is dropped without closing commits what was accepted and can be opened again")
    func dropping() async throws {
        try await withTemporaryLog { _, open in
            for round in 0..<3 {
                do {
                    let log = try await open(.init())
                    try await log.append(Event(type: "t"))
                }
                // The dropped log closes on a thread of its own.
                var log: EventLog?
                for _ in 0..<500 where log == nil {
                    do {
                        log = try await open(.init())
                    } catch EventLogError.Code.locked {
                        try await Task.sleep(for: .milliseconds(10))
                    }
                }
                #expect(try await log?.count() == round + 1)
                await log?.close()
            }
        }
    }

    @Test("a cancelled task appends nothing, and a tail that is cancelled ends")
    func cancellation() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let task = Task {
                while !Task.isCancelled { await Task.yield() }
                try await log.append(Event(type: "never"))
            }
            task.cancel()
            let error = await #expect(throws: EventLogError.self) { try await task.value }
            #expect(error?.code == .cancelled)
            #expect(try await log.count() == 0)

            let tail = Task { () throws -> Int in
                var seen = 0
                for try await _ in try log.tail(from: .beginning) { seen += 1 }
                return seen
            }
            try await log.append(Event(type: "seen"))
            try await Task.sleep(for: .milliseconds(50))
            tail.cancel()
            #expect(try await tail.value <= 1)

            // A tail that waits ends when the log closes.
            let (arrivals, arrival) = AsyncStream<Void>.makeStream()
            let waiting = Task { () throws -> Int in
                var seen = 0
                for try await _ in try log.tail(from: .beginning) {
                    seen += 1
                    arrival.yield()
                }
                return seen
            }
            var arrived = arrivals.makeAsyncIterator()
            _ = await arrived.next()
            await log.close()
            #expect(try await waiting.value == 1)
        }
    }

    @Test("a tail with a limit or an end ends there", .timeLimit(.minutes(30)))
    func boundedTails() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append((0..<3).map { _ in Event(type: "t") })
            var limited = EventQuery.all
            limited.limit = 5
            var ended = EventQuery.all
            ended.to = 5
            var none = EventQuery.all
            none.limit = 0
            let tails = [limited, ended, none].map { query in
                Task { () throws -> [UInt64] in
                    var positions: [UInt64] = []
                    for try await stored in try log.tail(query, from: .beginning) {
                        positions.append(stored.position.rawValue)
                    }
                    return positions
                }
            }
            try await Task.sleep(for: .milliseconds(30))
            for _ in 0..<4 { try await log.append(Event(type: "t")) }
            #expect(try await tails[0].value == [0, 1, 2, 3, 4])
            #expect(try await tails[1].value == [0, 1, 2, 3, 4])
            #expect(try await tails[2].value.isEmpty)
            await log.close()
        }
    }

    @Test("reads go on while segments are sealed, compacted and dropped under them")
    func readingDuringMaintenance() async throws {
        try await withTemporaryLog { _, open in
            var configuration = EventLogConfiguration()
            configuration.segmentSizeBytes = 16 << 10
            configuration.blockSizeBytes = 2 << 10
            configuration.openSegments = 2
            let log = try await open(configuration)
            var generator = EventGenerator(seed: 5, configuration: .init())
            let events = generator.events(4000)
            let readers = (0..<3).map { number in
                Task {
                    var rounds = 0
                    while !Task.isCancelled {
                        rounds += 1
                        var last: UInt64?
                        for try await stored in log.read() {
                            let position = stored.position.rawValue
                            if let last, position != last + 1 {
                                // Retention dropped what came between; nothing else may be missing.
                                let first = try await log.statistics().firstPosition.rawValue
                                #expect(position > last + 1 && position <= first)
                            }
                            #expect(stored.event == events[Int(position)])
                            last = position
                        }
                        _ = try await log.count(.types("sensor.reading"))
                        let index = (rounds * 37 + number) % events.count
                        let byID = try await log.event(id: events[index].id)
                        #expect(byID == nil || byID?.position.rawValue == UInt64(index))
                        _ = try await log.event(at: Position(UInt64(index)))
                    }
                }
            }
            for start in stride(from: 0, to: events.count, by: 100) {
                try await log.append(Array(events[start..<start + 100]))
                if start % 300 == 0 { try await log.seal() }
                if start % 700 == 0 { try await log.compact() }
                if start % 1000 == 900 {
                    var policy = RetentionPolicy()
                    policy.maximumEvents = 1500
                    try await log.retain(policy)
                }
            }
            for reader in readers { reader.cancel() }
            for reader in readers { try await reader.value }
            await log.close()
        }
    }
}
