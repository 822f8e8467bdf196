import Foundation
import SystemPackage
import Tidelog
package import TidelogTesting

/// Appends with expected revisions from several threads, and says what came of each attempt with the times of
/// the system's monotonic clock, which all processes share.
package struct Racer {
    let log: String
    let name: String
    let threads: Int
    let attempts: Int

    static func run(_ options: Options) throws {
        let racer = Racer(
            log: try options.path(), name: options.text("name") ?? "racer",
            threads: Int(options.number("threads") ?? 2), attempts: Int(options.number("events") ?? 200))
        try racer.run()
    }

    private func run() throws {
        let log = try EventLog.openBlocking(at: FilePath(self.log), configuration: Appender.configuration)
        acknowledge("OPEN")
        let group = DispatchGroup()
        for thread in 0..<self.threads {
            DispatchQueue.global().async(group: group) {
                do {
                    try self.race(log, "\(self.name)-\(thread)")
                } catch {
                    acknowledge("FAILED \(error)")
                    exit(1)
                }
            }
        }
        group.wait()
        log.closeBlocking()
        acknowledge("CLOSED")
    }

    private func race(_ log: EventLog, _ name: String) throws {
        var random = SeededGenerator(seed: UInt64(name.utf8.reduce(11) { $0 &* 31 &+ Int($1) }))
        for number in 0..<self.attempts {
            let stream = "race-\(random.below(3))"
            var last = EventQuery.stream(stream)
            last.order = .newestFirst
            last.limit = 1
            let expected = try log.eventsBlocking(last).first?.revision
            let id = "\(name)-\(number)"
            let began = Self.now()
            do {
                let result = try log.appendBlocking(
                    [Event(id: .init(id), type: "raced")], to: stream,
                    expecting: expected.map { .exact($0) } ?? .noStream)
                let revision = result.lastRevision(of: stream)?.rawValue ?? .max
                self.say(id, stream, expected, began, "won \(result.positions.lowerBound) \(revision)")
            } catch {
                guard error.code == .conflict else { throw error }
                self.say(
                    id, stream, expected, began, "lost \(error.actualRevision.map(\.description) ?? "none")")
            }
        }
    }

    private func say(
        _ id: String, _ stream: String, _ expected: Revision?, _ began: UInt64, _ what: String
    ) {
        acknowledge(
            "TRY \(id) \(stream) \(expected.map(\.description) ?? "none") \(began) \(Self.now()) \(what)")
    }

    private static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// The attempt that a line of this tool's output tells.
    package static func attempt(_ line: String) -> AppendHistory.Attempt? {
        let words = line.split(separator: " ").map(String.init)
        guard words.count >= 8, words[0] == "TRY", let began = UInt64(words[4]), let ended = UInt64(words[5])
        else { return nil }
        var stored: (position: UInt64, revision: UInt64)?
        if words[6] == "won", words.count == 9, let position = UInt64(words[7]),
            let revision = UInt64(words[8])
        {
            stored = (position, revision)
        }
        return AppendHistory.Attempt(
            id: words[1], stream: words[2], expected: UInt64(words[3]), began: began, ended: ended,
            stored: stored, actual: stored == nil ? UInt64(words[7]) : nil)
    }
}
