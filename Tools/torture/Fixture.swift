import Foundation
import SystemPackage
import Tidelog
import TidelogStorage
import TidelogTesting

/// A small log with something of everything, as this build writes it, and beside it what it holds.
///
/// `DIR/log.tidelog` is the log; `DIR/events.ndjson` every event in order with its place; `DIR/log.txt` all
/// that the log's files hold, as text.
package enum Fixture {
    package static func make(at directory: String) throws {
        let work = try TemporaryDirectory()
        defer { work.remove() }
        var configuration = EventLogConfiguration()
        configuration.sealsInBackground = false
        configuration.blockSizeBytes = 8 << 10
        let log = try EventLog.openBlocking(
            at: work.path.appending("log.tidelog"), configuration: configuration)
        var generator = EventGenerator(seed: 20_250)
        // A segment with a dictionary, one without, one made of two by compaction, and an active part.
        for (count, isSealed) in [(1005, true), (60, true), (70, true), (45, false)] {
            var events = generator.events(count)
            events += (0..<5).map { Batch.event(id: "extra-\(count)-\($0)", stream: "extra") }
            try log.appendBlocking(events)
            if count == 70 { try log.engine.truncate(stream: "extra", before: 7) }
            if isSealed { _ = try log.engine.seal() }
        }
        try log.appendBlocking([Self.odd])
        try log.appendBlocking([Event(id: "gone", type: "a.b", stream: "deleted")])
        try log.engine.delete(stream: "deleted", expecting: .any)
        var policy = CompactionPolicy()
        policy.mergedBytes = 48 << 10
        _ = try log.engine.compact(policy)
        // A restored backup has no free pages and nothing set aside.
        let backup = work.path.appending("backup").string
        _ = try log.engine.backUp(to: backup)
        let events = try log.eventsBlocking()
        log.closeBlocking()
        try? FileManager.default.removeItem(atPath: directory)
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        _ = try Restore.run(from: backup, to: directory + "/log.tidelog")
        for name in ["open.lock", "head.mdb-lock", "maintenance.lock"] {
            try? FileManager.default.removeItem(atPath: directory + "/log.tidelog/" + name)
        }
        try Self.text(of: directory + "/log.tidelog").write(
            toFile: directory + "/log.txt", atomically: true, encoding: .utf8)
        let encoder = EventJSONEncoder()
        let lines = events.map { String(decoding: encoder.encode($0), as: UTF8.self) }
        try (lines.joined(separator: "\n") + "\n").write(
            toFile: directory + "/events.ndjson", atomically: true, encoding: .utf8)
    }

    /// What the files of a log hold: after a line `= NAME` that of each, the head first.
    private static func text(of log: String) throws -> String {
        var text = "= head.mdb\n" + (try TextDump(reading: log + "/head.mdb", TextDump.head).text)
        for name in try FileManager.default.contentsOfDirectory(atPath: log + "/segments").sorted() {
            let dump = try TextDump(reading: log + "/segments/" + name, TextDump.segment)
            text += "= segments/\(name)\n" + dump.text
        }
        return text
    }

    /// An event with every field, and text that is no ASCII.
    private static var odd: Event {
        var event = Event(
            id: EventID("odd/1"), type: "odd.ever\u{00FC}", stream: "stra\u{00DF}e \u{1F33E}",
            payload: EventPayload(json: #"{"n":1.50,"t":"\u00e9"}"#),
            timestamp: Timestamp(nanosecondsSinceEpoch: -1))
        event.source = "/source"
        event.metadata = ["user": "\u{00FC}1", "retries": 3, "tags": ["a", "b"]]
        event.schemaVersion = 7
        event.correlationID = EventID("c-1")
        event.causationID = EventID("018f3a4b-7c1d-7e2f-8a3b-0123456789ab")
        return event
    }
}
