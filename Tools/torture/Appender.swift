import Foundation
import SystemPackage
package import Tidelog
import TidelogStorage
import TidelogTesting

/// A batch of events that say themselves what they should be: `b-SEED-THREAD-NUMBER-COUNT-INDEX`.
package struct Batch: Hashable {
    /// All of the id but the index.
    package let name: String
    package let count: Int

    /// The event with this id; everything else of it follows from the id and the stream.
    package static func event(id: String, stream: String) -> Event {
        let size = Int(XXH64.hash(id) % 400)
        return Event(
            id: EventID(id), type: "torture.\(size % 7)", stream: stream,
            payload: EventPayload(text: id + String(repeating: "x", count: size)),
            timestamp: Timestamp(nanosecondsSinceEpoch: Int64(size)))
    }

    /// The batch that an id names, and the event's place in it.
    package static func parse(_ id: String) -> (batch: Batch, index: Int)? {
        let parts = id.split(separator: "-")
        guard parts.count == 6, parts[0] == "b", let count = Int(parts[4]), let index = Int(parts[5]) else {
            return nil
        }
        return (Batch(name: parts[0..<5].joined(separator: "-"), count: count), index)
    }
}

/// Appends from several threads for ever, and says each acknowledgement before it goes on.
struct Appender {
    let log: String
    let seed: UInt64
    let threads: Int
    let maintains: Bool
    /// How many events each thread appends; nil: until killed.
    let events: Int?

    /// Small segments, so that all that can happen does.
    static var configuration: EventLogConfiguration {
        var configuration = EventLogConfiguration()
        configuration.segmentSizeBytes = 128 << 10
        configuration.blockSizeBytes = 8 << 10
        configuration.dictionarySizeBytes = 4 << 10
        configuration.dictionaryEvents = 300
        configuration.idempotenceWindow = 2000
        return configuration
    }

    /// Where a log is backed up.
    static func backup(of log: String) -> String { log + ".backup" }

    func run() throws {
        let log = try EventLog.openBlocking(at: FilePath(self.log), configuration: Self.configuration)
        acknowledge("OPEN")
        var workers: [WorkerThread] = []
        for thread in 0..<self.threads {
            workers.append(
                try WorkerThread(name: "append-\(thread)") {
                    do { try self.append(log, thread: thread) } catch { self.fail(error) }
                })
        }
        if self.maintains {
            workers.append(
                try WorkerThread(name: "maintain") {
                    do { try self.maintain(log) } catch { self.fail(error) }
                })
        }
        for worker in workers { worker.join() }
        log.closeBlocking()
        acknowledge("CLOSED")
    }

    private func fail(_ error: any Error) {
        acknowledge("FAILED \(error)")
        exit(1)
    }

    private func append(_ log: EventLog, thread: Int) throws {
        var random = SeededGenerator(seed: self.seed &* 31 &+ UInt64(thread))
        var number = 0
        var appended = 0
        while appended < self.events ?? .max {
            number += 1
            let count = [1, 1, 2, 5, 47, 48, 120][random.below(7)]
            // The streams of thread 0 are truncated now and then; nobody else's are.
            let prefix = thread == 0 && self.maintains ? "tr" : "s"
            let events = (0..<count).map { index in
                Batch.event(
                    id: "b-\(self.seed)-\(thread)-\(number)-\(count)-\(index)",
                    stream: "\(prefix)\(random.below(20))")
            }
            let result = try log.appendBlocking(events)
            acknowledge("ACK \(result.positions.lowerBound) \(events[0].id)")
            appended += count
        }
    }

    private func maintain(_ log: EventLog) throws {
        var random = SeededGenerator(seed: self.seed &* 31 &+ 1000)
        let engine = log.engine
        while true {
            switch random.below(6) {
            case 0: _ = try engine.seal()
            case 1:
                var policy = CompactionPolicy()
                policy.mergedBytes = random.chance(permille: 500) ? 256 << 10 : 0
                _ = try engine.compact(policy)
            case 2:
                let end = try engine.currentView().end
                guard end > 6000 else { break }
                var limits = RetentionLimits()
                limits.keepFrom = end - 5000
                limits.maximumAge = 0
                acknowledge("RETAIN \(end - 5000)")
                _ = try engine.retain(limits)
            case 3:
                let name = "tr\(random.below(20))"
                guard let stream = try engine.stream(name) else { break }
                acknowledge("TRUNCATE \(name) \(stream.lastRevision)")
                try engine.truncate(stream: name, before: stream.lastRevision)
                acknowledge("TRUNCATED \(name) \(stream.lastRevision)")
            case 4:
                acknowledge("BACKUP")
                let outcome = try engine.backUp(to: Self.backup(of: self.log))
                acknowledge("BACKED-UP \(outcome.manifest.positions.upperBound)")
            default: usleep(UInt32(random.below(20_000)))
            }
        }
    }
}
