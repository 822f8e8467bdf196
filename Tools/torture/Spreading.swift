import Foundation
import SystemPackage
import Tidelog
import TidelogStorage

/// Appends to more and more streams, and says what memory it takes.
enum Spreading {
    /// Small caches and no dictionaries, so that all is as full as it gets after some thousand streams.
    private static var configuration: EventLogConfiguration {
        var configuration = EventLogConfiguration()
        configuration.sealsInBackground = false
        configuration.dictionarySizeBytes = 0
        configuration.idempotenceWindow = 4096
        configuration.openSegments = 2
        configuration.cachedFrames = 1
        configuration.streamCacheBytes = 64 << 10
        return configuration
    }

    /// Begins streams, up to each of the numbers `--few` and `--events`, looks at some of them, and opens the
    /// log anew. Says `MEMORY streams bytes bytes` each time: the anonymous memory before and after opening.
    static func run(_ options: Options) throws {
        let (few, many) = (Int(options.number("few") ?? 20_000), Int(options.number("events") ?? 200_000))
        let path = FilePath(try options.path())
        var log = try EventLog.openBlocking(at: path, configuration: Self.configuration)
        var next = 0
        for count in [few, many] {
            while next < count {
                try self.extend(log, next..<min(next + 1000, count))
                next = min(next + 1000, count)
                if next % 2000 == 0 { _ = try log.engine.seal() }
            }
            let before = try self.anonymousBytes()
            log.closeBlocking()
            log = try EventLog.openBlocking(at: path, configuration: Self.configuration)
            try self.extend(log, 0..<1000)
            acknowledge("MEMORY \(count) \(before) \(try self.anonymousBytes())")
        }
        log.closeBlocking()
    }

    /// Appends an event to each of these streams, and looks at some.
    private static func extend(_ log: EventLog, _ numbers: Range<Int>) throws {
        let names = numbers.map {
            String(1_000_000 + $0)
                + " is a stream, and its name is one of those that take memory: so long is it"
        }
        try log.appendBlocking(names.map { Event(type: "n", stream: $0) })
        for name in names.prefix(2) {
            guard try log.eventsBlocking(.stream(name)).count > 0 else { throw Failure("\(name) is gone") }
        }
    }

    /// The anonymous memory of this process that is resident: no page of a mapped file is in it.
    private static func anonymousBytes() throws -> Int {
        let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix("RssAnon:") }),
            let kilobytes = Int(line.filter(\.isNumber))
        else { throw Failure("the system does not tell anonymous memory") }
        return kilobytes << 10
    }
}
