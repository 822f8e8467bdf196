import Foundation
import SystemPackage
import Testing
import Tidelog
import TidelogStorage
import TidelogTesting
import torture

/// A log with something of everything, made by this build, beside the committed list of what it must hold.
@Suite("A log with something of everything")
struct LogFixtureTests {
    /// A new log that may be written, and the lines that say what it holds.
    private static func with(_ body: (_ log: FilePath, _ lines: [String]) async throws -> Void) async throws {
        let expected = try #require(
            Bundle.module.url(forResource: "events", withExtension: "ndjson", subdirectory: "Fixtures/Logs/1")
        )
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let made = directory.path.appending("made")
        try Fixture.make(at: made.string)
        let text = try String(contentsOf: expected, encoding: .utf8)
        try await body(made.appending("log.tidelog"), text.split(separator: "\n").map(String.init))
    }

    private static func lines(_ log: EventLog, _ query: EventQuery = .all) async throws -> [String] {
        let encoder = EventJSONEncoder()
        var lines: [String] = []
        for try await stored in log.read(query) {
            lines.append(String(decoding: encoder.encode(stored), as: UTF8.self))
        }
        return lines
    }

    @Test("is verified clean, in depth")
    func verifies() async throws {
        try await Self.with { log, _ in
            let report = try await EventLog.verify(at: log, isDeep: true)
            #expect(report.isClean, "\(report.findings)")
            #expect(report.segments > 1)
        }
    }

    @Test("has every event where and as it was, in every order and by every index")
    func reads() async throws {
        try await Self.with { path, lines in
            let log = try await EventLog.open(at: path)
            #expect(lines.count > 1000)
            #expect(try await Self.lines(log) == lines)
            var query = EventQuery.all
            query.order = .newestFirst
            #expect(try await Self.lines(log, query) == lines.reversed())
            #expect(
                try await Self.lines(log, .stream("extra"))
                    == lines.filter { $0.contains(#""subject":"extra""#) })
            #expect(
                try await Self.lines(log, .types("torture.>")).count
                    == Self.count(lines, #""type":"torture."#))
            #expect(try await log.count() == lines.count)
            #expect(try await log.event(id: "odd/1")?.stream == "stra\u{00DF}e \u{1F33E}")
            #expect(try await log.event(id: "gone") == nil)
            #expect(try await log.event(id: "extra-1200-0") == nil)
            #expect(try await log.event(id: "extra-70-4")?.revision == 14)
            await log.close()
        }
    }

    @Test("goes on: appends follow, ids are known, it seals, compacts, backs up")
    func goesOn() async throws {
        try await Self.with { path, lines in
            let log = try await EventLog.open(at: path)
            let next = try await log.statistics().nextPosition
            let result = try await log.append(Event(type: "new", stream: "extra"))
            #expect(result.positions.lowerBound == next)
            #expect(result.lastRevision(of: "extra") == 20)
            let error = await #expect(throws: EventLogError.self) {
                try await log.append(Event(type: "new", stream: "deleted"))
            }
            #expect(error?.code == .streamDeleted)
            try await log.seal()
            try await log.compact()
            #expect(try await Array(Self.lines(log).dropLast()) == lines)
            let backup = path.removingLastComponent().appending("backup")
            try await log.backup(to: backup)
            await log.close()
            let restored = path.removingLastComponent().appending("restored.tidelog")
            try await EventLog.restore(from: backup, to: restored)
            let report = try await EventLog.verify(at: restored, isDeep: true)
            #expect(report.isClean, "\(report.findings)")
        }
    }

    private static func count(_ lines: [String], _ text: String) -> Int {
        lines.count { $0.contains(text) }
    }
}
