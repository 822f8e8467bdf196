import Foundation
import Testing
import Tidelog
import TidelogTesting

@Suite("Consumers and dead letters on the command line")
struct ConsumerToolTests {
    @Test("tails of one consumer go on where the last one ended, and the offset can be moved")
    func tails() throws {
        try TemporaryFolder.withLog { _, log in
            try Tool.succeed("import", log, Sample.path)
            let first = try Tool.succeed(
                "tail", log, "--consumer", "c", "--from", "beginning", "--limit", "10")
            #expect(try first.lines.map { try position($0) } == Array(0..<10))
            let second = try Tool.succeed("tail", log, "--group", "c", "--limit", "5")
            #expect(try second.lines.map { try position($0) } == Array(10..<15))
            var status = try jsonObject(try Tool.succeed("consumers", "show", log, "c", "--json").output)
            #expect(status["offset"] as? Int == 15 && status["lag"] as? Int == 716)
            #expect(status["state"] as? String == "no member")
            try Tool.succeed("consumers", "reset", log, "c", "--to", "700")
            let third = try Tool.succeed("tail", log, "--consumer", "c", "--limit", "1")
            #expect(try third.lines.map { try position($0) } == [700])
            try Tool.succeed("consumers", "pause", log, "c")
            status = try jsonObject(try Tool.succeed("consumers", "show", log, "c", "--json").output)
            #expect(status["paused"] as? Bool == true)
            try Tool.succeed("consumers", "resume", log, "c")
            try Tool.succeed("consumers", "rename", log, "c", "d")
            try Tool.succeed("consumers", "clone", log, "d", "e")
            let list = try jsonObject(try Tool.succeed("consumers", "list", log, "--json").output)
            let all = try #require(list["consumers"] as? [[String: Any]])
            #expect(all.map { $0["consumer"] as? String } == ["d", "e"])
            #expect(all.map { $0["offset"] as? Int } == [701, 701])
            try Tool.succeed("consumers", "delete", log, "e")
            #expect(try Tool.succeed("consumers", "list", log).lines.count == 2)
        }
    }

    @Test("a consumer is moved to a position, the beginning, the end, a time, a day, or so long ago")
    func resets() throws {
        try TemporaryFolder.withLog { _, log in
            for day in 1...5 {
                try Tool.succeed("append", log, "--type", "t", "--time", "2024-01-0\(day)T12:00:00Z")
            }
            try Tool.succeed("append", log, "--type", "t")
            try Tool.succeed("consumers", "create", log, "c")
            for (place, position) in [
                ("3", 3), ("beginning", 0), ("2024-01-03", 2), ("2024-01-03T12:00:00Z", 2),
                ("2024-01-03T12:00:01Z", 3), ("2024-01-04T00:00:00+13:00", 2), ("1h", 5), ("end", 6),
                ("0", 0),
                ("2100-01-01", 6),
            ] {
                try Tool.succeed("consumers", "reset", log, "c", "--to", place)
                let status = try jsonObject(try Tool.succeed("consumers", "show", log, "c", "--json").output)
                #expect(status["offset"] as? Int == position, "\(place)")
                #expect(status["lag"] as? Int == 6 - position, "\(place)")
                if position == 6 { continue }
                let next = try Tool.succeed("tail", log, "--consumer", "c", "--limit", "1")
                #expect(try next.lines.map { try self.position($0) } == [position], "\(place)")
            }
            for place in ["yesterday", "-1", "2024-13-01", ""] {
                try Tool.fail(2, "consumers", "reset", log, "c", "--to=\(place)")
            }
            try Tool.fail(1, "consumers", "reset", log, "nobody", "--to", "end")
        }
    }

    @Test("a tail goes on where its consumer is moved to while it runs, and pauses and resumes with it")
    func resetWhileRunning() throws {
        try TemporaryFolder.withLog { folder, log in
            func append(_ number: Int) throws {
                try Tool.succeed("append", log, "--type", "t", "--stream", "s", "--id", "e-\(number)")
            }
            for number in 0..<4 { try append(number) }
            let tail = try Tool.start(
                ["tail", log, "--consumer", "c", "--from", "beginning"], output: folder.url("tail"),
                error: folder.url("error"))
            defer { if tail.isRunning { tail.terminate() } }
            func expect(_ positions: [Int]) throws {
                try waitUntil("the tail has printed \(positions)") {
                    try Self.positions(folder.url("tail")).count >= positions.count
                }
                #expect(try Self.positions(folder.url("tail")) == positions)
            }
            try expect([0, 1, 2, 3])
            try Tool.succeed("consumers", "reset", log, "c", "--to", "2")
            try expect([0, 1, 2, 3, 2, 3])
            try Tool.succeed("consumers", "pause", log, "c")
            for number in 4..<7 { try append(number) }
            try Tool.succeed("consumers", "reset", log, "c", "--to", "6")
            try Tool.succeed("consumers", "resume", log, "c")
            try expect([0, 1, 2, 3, 2, 3, 6])
            #expect(try Self.end(tail) == 0)
            let status = try jsonObject(try Tool.succeed("consumers", "show", log, "c", "--json").output)
            #expect(status["offset"] as? Int == 7 && status["state"] as? String == "no member")
        }
    }

    @Test("two tails of one group at once share the events: each prints its part, those of a stream in order")
    func group() async throws {
        let folder = try TemporaryDirectory()
        defer { folder.remove() }
        let path = folder.path.appending("log.tidelog")
        let log = try await EventLog.open(at: path)
        var settings = ConsumerSettings()
        // However long the machine lets one of them wait.
        settings.leaseDuration = .seconds(3600)
        settings.prefetch = 16
        try await log.consumers.create("g", settings: settings)
        let outputs = (1...2).map { URL(filePath: folder.path.string + "/tail-\($0)") }
        let tails = try outputs.map {
            try Tool.start(
                ["tail", path.string, "--group", "g"], output: $0,
                error: $0.appendingPathExtension("error"))
        }
        defer { for tail in tails where tail.isRunning { tail.terminate() } }
        var count = 0
        while try count < 500 || outputs.contains(where: { try Data(contentsOf: $0).isEmpty }) {
            let next = count..<count + 50
            try await log.append(
                next.map { Event(id: .init("e-\($0)"), type: "t", stream: "s-\($0 % 7)") })
            count = next.upperBound
            try await Task.sleep(for: .milliseconds(5))
        }
        while try outputs.reduce(0, { try $0 + Self.positions($1).count }) < count {
            try await Task.sleep(for: .milliseconds(5))
        }
        for tail in tails { #expect(try Self.end(tail) == 0) }
        let parts = try outputs.map { try Self.positions($0) }
        #expect(parts.joined().sorted() == Array(0..<count), "each event once, by one of them")
        for part in parts {
            // What stands at a position was made for it, so its stream is known.
            let streams = Dictionary(grouping: part) { $0 % 7 }.values
            #expect(streams.allSatisfy { $0 == $0.sorted() }, "each stream in order")
        }
        let status = try #require(try await log.consumers.status(of: "g"))
        #expect(status.offset.rawValue == UInt64(count) && status.acknowledged == count)
        #expect(status.sessions.isEmpty)
        await log.close()
    }

    @Test("dead letters are listed, shown with every attempt, retried one or all, and dropped")
    func deadLetters() async throws {
        let folder = try TemporaryDirectory()
        defer { folder.remove() }
        let path = folder.path.appending("log.tidelog")
        let log = try await EventLog.open(at: path)
        try await log.append((0..<4).map { Event(id: .init("e-\($0)"), type: "t", json: #"{"n":\#($0)}"#) })
        var settings = ConsumerSettings()
        settings.retry = .immediate(maximumDeliveries: 2)
        let consumer = try await log.consumer("c", settings: settings)
        while try await log.consumers.status(of: "c")?.deadLetters != 4 {
            for delivery in try await consumer.next(max: 4, wait: .milliseconds(100)) {
                try delivery.retry(because: Unreadable(attempt: delivery.attempt))
            }
            try await consumer.flush()
        }
        await log.close()

        let name = path.string
        let list = try jsonObject(try Tool.succeed("dead-letters", "list", name, "c", "--json").output)
        let letters = try #require(list["dead_letters"] as? [[String: Any]])
        #expect(letters.map { $0["position"] as? Int } == [0, 1, 2, 3])
        let shown = try jsonObject(try Tool.succeed("dead-letters", "show", name, "c", "2", "--json").output)
        #expect(shown["id"] as? String == "e-2" && shown["deliveries"] as? Int == 2)
        let attempts = try #require(shown["attempts"] as? [[String: Any]])
        #expect(attempts.map { $0["error"] as? String } == ["unreadable 1", "unreadable 2"])
        #expect(attempts.allSatisfy { $0["time"] is String })
        try Tool.succeed("dead-letters", "retry", name, "c", "--at", "2")
        let one = try Tool.succeed("tail", name, "--group", "c", "--limit", "1")
        #expect(try one.lines.map { try position($0) } == [2])
        try Tool.succeed("dead-letters", "drop", name, "c", "--at", "0")
        try Tool.succeed("dead-letters", "retry", name, "c")
        let rest = try Tool.succeed("tail", name, "--group", "c", "--limit", "2")
        #expect(try rest.lines.map { try position($0) } == [1, 3])
        #expect(try Tool.succeed("dead-letters", "list", name, "c").lines.count == 1)
    }

    struct Unreadable: Error, CustomStringConvertible {
        let attempt: Int
        var description: String { "unreadable \(self.attempt)" }
    }

    @Test("a consumer or dead letter that is not there ends with status 1, a wrong command line with 2")
    func missing() throws {
        try TemporaryFolder.withLog { _, log in
            try Tool.fail(1, "consumers", "show", log, "nobody")
            try Tool.fail(1, "consumers", "pause", log, "nobody")
            try Tool.fail(1, "dead-letters", "list", log, "nobody")
            try Tool.succeed("consumers", "create", log, "c", "--type", "order.>", "--from", "end")
            try Tool.fail(1, "consumers", "create", log, "c")
            try Tool.fail(1, "dead-letters", "show", log, "c", "7")
            #expect(try Tool.succeed("dead-letters", "list", log, "c").lines.count == 1)
            let dropped = try Tool.succeed("dead-letters", "drop", log, "c", "--json").output
            #expect(try jsonObject(dropped)["dropped"] as? Int == 0)
            try Tool.fail(2, "consumers", "reset", log, "c", "--to", "nowhere")
            try Tool.fail(2, "consumers", "reset", log, "c")
        }
    }

    private func position(_ line: Substring) throws -> Int? {
        try jsonObject(String(line))["position"] as? Int
    }

    /// The positions of the whole lines that a tail has written so far.
    private static func positions(_ output: URL) throws -> [Int] {
        let text = try String(contentsOf: output, encoding: .utf8)
        return try text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map {
            try #require(try jsonObject(String($0))["position"] as? Int)
        }
    }

    /// Asks a tail to end; returns its status.
    private static func end(_ tail: Process) throws -> Int32 {
        tail.terminate()
        tail.waitUntilExit()
        try #require(tail.terminationReason == .exit)
        return tail.terminationStatus
    }
}
