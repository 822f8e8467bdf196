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
}
