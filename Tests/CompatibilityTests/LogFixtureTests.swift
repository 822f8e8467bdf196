import Foundation
import SystemPackage
import Testing
import Tidelog
import TidelogStorage
import TidelogTesting
import torture

/// A log with something of everything: the one that an earlier build wrote, which every later one must read, and
/// one that this build makes, beside the committed list of what both must hold.
@Suite("A log with something of everything")
struct LogFixtureTests {
    /// Where a log comes from.
    enum Origin: String, CaseIterable {
        case kept = "kept from an earlier build"
        case made = "made by this build"
    }

    /// A log that may be written, and the lines that say what it holds.
    private static func with(
        _ origin: Origin, _ body: (_ log: FilePath, _ lines: [String]) async throws -> Void
    ) async throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let log = directory.path.appending("made").appending("log.tidelog")
        switch origin {
        case .made: try Fixture.make(at: log.removingLastComponent().string)
        case .kept: try KeptLog.make(from: try Self.fixture("log", "txt"), at: log)
        }
        try await body(log, try Self.fixture("events", "ndjson").split(separator: "\n").map(String.init))
    }

    private static func fixture(_ name: String, _ suffix: String) throws -> String {
        let url = try #require(
            Bundle.module.url(forResource: name, withExtension: suffix, subdirectory: "Fixtures/Logs/1"))
        return try String(contentsOf: url, encoding: .utf8)
    }

    private static func lines(_ log: EventLog, _ query: EventQuery = .all) async throws -> [String] {
        let encoder = EventJSONEncoder()
        var lines: [String] = []
        for try await stored in log.read(query) {
            lines.append(String(decoding: encoder.encode(stored), as: UTF8.self))
        }
        return lines
    }

    @Test("is verified clean, in depth", arguments: Origin.allCases)
    func verifies(origin: Origin) async throws {
        try await Self.with(origin) { log, _ in
            let report = try await EventLog.verify(at: log, isDeep: true)
            #expect(report.isClean, "\(report.findings)")
            #expect(report.segments > 1)
        }
    }

    @Test(
        "has every event where and as it was, in every order and by every index", arguments: Origin.allCases)
    func reads(origin: Origin) async throws {
        try await Self.with(origin) { path, lines in
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

    @Test("goes on: appends follow, ids are known, it seals, compacts, backs up", arguments: Origin.allCases)
    func goesOn(origin: Origin) async throws {
        try await Self.with(origin) { path, lines in
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
