import Foundation
import SystemPackage
import Testing
import Tidelog
import TidelogStorage
import TidelogTesting
import torture

@Suite("Several processes on one log", .serialized)
struct SharedLogTests {
    private static var configuration: EventLogConfiguration {
        var configuration = EventLogConfiguration()
        configuration.segmentSizeBytes = 128 << 10
        configuration.blockSizeBytes = 8 << 10
        configuration.idempotenceWindow = 2000
        return configuration
    }

    @Test(
        "two append while six tail, three in processes of their own: each sees every event once and in order"
    )
    func appendersAndTails() async throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path.appending("log.tidelog")
        let log = try await EventLog.open(at: path, configuration: Self.configuration)
        try await log.append(Batch.event(id: "before", stream: "x"))
        let tails = [TailStart.beginning, .position(0), .end].map { start in
            Task { () throws -> [UInt64] in
                var positions: [UInt64] = []
                for try await stored in try log.tail(from: start) {
                    if stored.event.type == "end" { break }
                    positions.append(stored.position.rawValue)
                }
                return positions
            }
        }
        let others = try (1...3).map { number in
            try Child(["tail", path.string], output: directory.path.string + "/tail-\(number)")
        }
        for tail in others { _ = try tail.waitForLine("TAILS") }
        // The tail from the end is there before the first event comes.
        try await Task.sleep(for: .milliseconds(100))
        let children = try (1...2).map { number in
            try Child(
                ["append", path.string, "--seed", "\(number)", "--threads", "2", "--events", "1500"],
                output: directory.path.string + "/child-\(number)")
        }
        for number in 0..<50 { try await log.append(Batch.event(id: "own-\(number)", stream: "own")) }
        for child in children { #expect(child.wait() == 0, "\(child.lines().suffix(2))") }
        var acknowledged: [UInt64: String] = [:]
        for line in children.flatMap({ $0.lines() }) where line.hasPrefix("ACK") {
            let words = line.split(separator: " ")
            #expect(acknowledged.updateValue(String(words[2]), forKey: UInt64(words[1]) ?? 0) == nil)
        }
        let end = try await log.append(Event(type: "end")).positions.lowerBound.rawValue
        #expect(end > 6000)
        #expect(try await tails[0].value == Array(0..<end))
        #expect(try await tails[1].value == Array(0..<end))
        #expect(try await tails[2].value == Array(1..<end))
        for tail in others {
            #expect(tail.wait() == 0)
            #expect(tail.lines().last == "TAILED \(end)")
        }

        var revisions: [String: UInt64] = [:]
        for try await stored in log.read() {
            if let id = acknowledged[stored.position.rawValue] { #expect(stored.event.id.description == id) }
            guard let stream = stored.stream else { continue }
            #expect(stored.revision?.rawValue == revisions[stream, default: 0])
            revisions[stream, default: 0] += 1
        }
        await log.close()
    }

    @Test("two processes append with expected revisions: the history is that of one after the other")
    func racers() async throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path.appending("log.tidelog")
        let children = try (1...2).map { number in
            try Child(
                ["race", path.string, "--name", "r\(number)", "--threads", "3", "--events", "150"],
                output: directory.path.string + "/child-\(number)")
        }
        for child in children { #expect(child.wait() == 0, "\(child.lines().suffix(2))") }
        let history = AppendHistory(children.flatMap { $0.lines() }.compactMap { Racer.attempt($0) })
        #expect(history.attempts.count == 900)
        #expect(history.attempts.contains { $0.stored == nil }, "nobody lost, so nothing was checked")
        let log = try await EventLog.open(at: path, configuration: Self.configuration)
        try history.check(against: try await log.events(.all))
        await log.close()
    }

    @Test("a stream that was read lately is read on when another process has appended to it")
    func cachedStream() async throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path.appending("log.tidelog")
        let log = try await EventLog.open(at: path, configuration: Self.configuration)
        for count in 1...5 {
            let child = try Child(
                ["once", path.string, "--id", "e\(count)"], output: directory.path.string + "/child")
            #expect(child.wait() == 0, "\(child.lines())")
            let found = try await log.events(.stream("once"))
            #expect(found.map(\.id.description) == (1...count).map { "e\($0)" })
            #expect(try log.eventsBlocking(.stream("once")) == found)
        }
        await log.close()
    }

    @Test("a stream that is in memory is read on from the moment another process has appended to it")
    func streamInMemory() async throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path.appending("log.tidelog")
        let log = try await EventLog.open(at: path, configuration: Self.configuration)
        var query = RecordQuery()
        query.filter.streams = ["once"]
        for count in 1...5 {
            let child = try Child(
                ["once", path.string, "--id", "e\(count)"], output: directory.path.string + "/child")
            #expect(child.wait() == 0, "\(child.lines())")
            // The first call since: nothing else has looked at the log meanwhile.
            let found = try await log.events(.stream("once"))
            #expect(found.map(\.id.description) == (1...count).map { "e\($0)" })
            try await log.seal()
            #expect(try await log.events(.stream("once")) == found)
            #expect(log.engine.recordsInMemory(query)?.count == count, "it is in memory, and nothing else")
            var read: [StoredEvent] = []
            for try await stored in log.read(.stream("once")) { read.append(stored) }
            #expect(read == found)
        }
        await log.close()
    }

    @Test("a reader that is stopped holds up nobody, and once it is gone the head grows no further")
    func stoppedReader() async throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path.appending("log.tidelog")
        var configuration = Self.configuration
        configuration.sealsInBackground = false
        let log = try await EventLog.open(at: path, configuration: configuration)
        var generator = EventGenerator(seed: 3)
        try await log.append(generator.events(100))

        let reader = try Child(["hold", path.string], output: directory.path.string + "/reader")
        _ = try reader.waitForLine("HOLDS")
        reader.signal(SIGSTOP)
        for _ in 0..<30 {
            try await log.append(generator.events(200))
            try await log.seal()
        }
        let stopped = try await log.statistics()
        #expect(stopped.activeEvents == 0)
        #expect(stopped.nextPosition == 6100)
        reader.kill()
        await log.close()

        // Opening clears what the dead reader left, and the pages that it held are used again.
        let again = try await EventLog.open(at: path, configuration: configuration)
        for _ in 0..<30 {
            try await again.append(generator.events(200))
            try await again.seal()
        }
        let after = try await again.statistics()
        #expect(after.nextPosition == 12100)
        #expect(
            after.headBytes < stopped.headBytes + (1 << 20),
            "\(stopped.headBytes) bytes while it was stopped, \(after.headBytes) after")
        #expect(try await again.count() == 12100)
        await again.close()
    }

    @Test("a reader that dies while the log stays open holds the head's pages back no longer")
    func deadReader() throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path.appending("log.tidelog").string
        var options = EngineOptions()
        options.sealsInBackground = false
        options.readerCheckInterval = .milliseconds(1)
        let engine = try LogEngine(directory: path, options: options)
        defer { engine.close() }
        var number: UInt64 = 0
        func rounds() throws -> Int {
            for _ in 0..<30 {
                let records = (0..<200).map { _ in
                    number += 1
                    return EventRecord(
                        id: .uuid(1, number), type: "t", stream: "s\(number % 9)", timestamp: 1,
                        payload: ArraySlice((0..<300).map { UInt8(truncatingIfNeeded: $0 &* Int(number)) }))
                }
                _ = try engine.appendBlocking(records)
                _ = try engine.seal()
            }
            return try engine.statistics().headBytes
        }
        let before = try rounds()
        let reader = try Child(["hold", path], output: directory.path.string + "/reader")
        _ = try reader.waitForLine("HOLDS")
        reader.signal(SIGSTOP)
        let held = try rounds()
        reader.kill()
        let after = try rounds()
        #expect(held > before + (1 << 19), "the reader held nothing: \(before), then \(held) bytes")
        #expect(after < held + (1 << 18), "\(held) bytes while it lived, \(after) after")
    }

    @Test("past a file-size limit appends are refused with a typed error, and go on when it is lifted")
    func fileSizeLimit() throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path.appending("log.tidelog").string
        let child = try Child(
            ["fill", path, "--limit", "12000000"], output: directory.path.string + "/child")
        #expect(child.wait() == 0, "\(child.lines().suffix(3))")
        let lines = child.lines()
        #expect(lines.contains("REFUSED storageFull"), "\(lines.suffix(3))")
        let filled =
            lines.last { $0.hasPrefix("FILLED") }?.split(separator: " ").last.flatMap { Int($0) } ?? 0
        #expect(filled > 0)
        #expect(lines.last == "AFTER \(filled)", "\(lines.suffix(3))")
        let log = try EventLog.openBlocking(at: FilePath(path), configuration: Self.configuration)
        let found = try log.eventsBlocking()
        #expect(found.count == filled + 1)
        #expect(found.last?.event.id == "after")
        log.closeBlocking()
    }
}
