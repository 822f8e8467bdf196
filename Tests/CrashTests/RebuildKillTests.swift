import Testing
import Tidelog
import TidelogStorage
import TidelogTesting
import torture

@Suite("A rebuild whose process is killed", .serialized)
struct RebuildKillTests {
    /// How many entries each generation of the projection has in the head.
    private static func generations(_ log: EventLog) async throws -> [UInt32: Int] {
        try await log.run { engine throws(StorageError) in
            try engine.readingRecords { view throws(StorageError) in
                var found: [UInt32: Int] = [:]
                let prefix = [2] + Array(Rebuilding.name.utf8) + [0]
                try view.forEach(.projections, prefix: prefix) { key, _ in
                    found[key.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }, default: 0] += 1
                    return true
                }
                return found
            }
        }
    }

    /// How many records of other kinds there are: control, progress, note.
    private static func others(_ log: EventLog) async throws -> [UInt8: Int] {
        try await log.run { engine throws(StorageError) in
            try engine.readingRecords { view throws(StorageError) in
                var found: [UInt8: Int] = [:]
                for kind in [UInt8(0), 1, 3] {
                    try view.forEach(.projections, prefix: [kind] + Array(Rebuilding.name.utf8)) { _, _ in
                        found[kind, default: 0] += 1
                        return true
                    }
                }
                return found
            }
        }
    }

    /// Requires that the live state has all events, and that there is nothing else.
    private static func expectLiveAlone(_ log: EventLog, of count: Int) async throws {
        #expect(try await self.generations(log) == [1: count])
        #expect(try await self.others(log) == [0: 1, 1: 1])
        let status = try #require(try await log.projection(Rebuilding.name).status())
        #expect(status.building == nil && status.applied == UInt64(count) && status.lag == 0)
        let entries = try await log.projection(Rebuilding.name).entries(limit: .max)
        #expect(entries.count == count)
        for entry in entries { #expect(entry.key == "n/\(entry.value.integer ?? -1)") }
    }

    @Test("leaves a state that is removed when the log is next opened for writing; the live one is untouched")
    func opening() async throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path.appending("log.tidelog")
        let first = try await EventLog.open(at: path)
        try await first.append(Rebuilding.events(9000))
        try await first.catchUp(Rebuilding.projection())
        await first.close()
        let child = try Child(
            ["rebuild", path.string, "--events", "8950"], output: directory.path.string + "/child")
        _ = try child.waitForLine("WAITS")
        child.kill()

        var reading = EventLogConfiguration()
        reading.mode = .readOnly
        let reader = try await EventLog.open(at: path, configuration: reading)
        #expect(
            try await Self.generations(reader) == [1: 9000, 2: 8900], "nothing was left, so nothing is tested"
        )
        await reader.close()

        let log = try await EventLog.open(at: path)
        let deadline = ContinuousClock.now + .seconds(30)
        while try await Self.others(log)[3] != nil, ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(5))
        }
        try await Self.expectLiveAlone(log, of: 9000)
        await log.close()
    }

    @Test("leaves a state that is removed when the projection runs next; while the process lives it stays")
    func running() async throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path.appending("log.tidelog")
        let log = try await EventLog.open(at: path)
        try await log.append(Rebuilding.events(1000))
        try await log.catchUp(Rebuilding.projection())
        for round in 1...3 {
            let child = try Child(
                ["rebuild", path.string, "--events", "\(300 * round)"],
                output: directory.path.string + "/child-\(round)")
            _ = try child.waitForLine("WAITS")
            // Who builds lives, and so it stays, whatever runs and whoever opens the log.
            try await log.catchUp(Rebuilding.projection())
            let other = try Child(
                ["once", path.string, "--id", "e\(round)"], output: directory.path.string + "/other")
            #expect(other.wait() == 0)
            #expect(try await Self.generations(log) == [1: 1000, UInt32(round + 1): 300 * round])
            #expect(try await log.projection(Rebuilding.name).status()?.building != nil)
            child.kill()
            if round < 3 {
                try await log.catchUp(Rebuilding.projection())
            } else {
                let follower = try await log.start(Rebuilding.projection())
                await follower.waitUntil(1002)
                await follower.stop()
            }
            try await Self.expectLiveAlone(log, of: 1000)
        }
        // Another rebuild is not in the way of what was left.
        let last = try Child(
            ["rebuild", path.string, "--events", "500"], output: directory.path.string + "/last")
        _ = try last.waitForLine("WAITS")
        last.kill()
        try await log.rebuild(Rebuilding.projection())
        #expect(try await Self.generations(log).map(\.value) == [1000])
        #expect(try await Self.others(log) == [0: 1, 1: 1])
        await log.close()
    }
}
