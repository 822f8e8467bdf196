import Glibc
import SystemPackage
import Testing
import Tidelog
import TidelogTesting

@Suite("Keeping and dropping")
struct RetentionTests {
    /// A log of sealed segments, ten events each, the segments one hour apart, and five events in the head.
    private static func log(
        _ open: (EventLogConfiguration) async throws -> EventLog, segments: Int, newest: Timestamp = .now()
    ) async throws -> EventLog {
        let log = try await open(.init())
        for segment in 0..<segments {
            let hours = Int64(segments - 1 - segment)
            let time = Timestamp(
                nanosecondsSinceEpoch: newest.nanosecondsSinceEpoch - hours * 3_600_000_000_000)
            try await log.append(
                (0..<10).map { Event(type: "t", stream: "s\($0)", bytes: [UInt8(segment)], timestamp: time) })
            try await log.seal()
        }
        try await log.append((0..<5).map { Event(type: "t", stream: "s\($0)") })
        return log
    }

    private static func positions(_ log: EventLog) async throws -> [UInt64] {
        var found: [UInt64] = []
        for try await stored in log.read() { found.append(stored.position.rawValue) }
        return found
    }

    @Test("by number: as many of the newest events as asked for stay, in whole segments")
    func byCount() async throws {
        try await withTemporaryLog { _, open in
            let log = try await Self.log(open, segments: 6)
            var policy = RetentionPolicy()
            policy.maximumEvents = 27
            let dropped = try await log.retain(policy)
            #expect(dropped.map(\.positions.lowerBound) == [0, 10, 20])
            #expect(try await Self.positions(log) == Array(30..<65))
            // What is gone does not come back, and nothing is numbered anew.
            #expect(try await log.append(Event(type: "t", stream: "s1")).positions.lowerBound == 65)
            #expect(try await log.stream("s1")?.lastRevision == 7)
            #expect(try await log.retain(policy).map(\.positions.lowerBound) == [])
            await log.close()
        }
    }

    @Test("by age: segments go whose newest event is older; what is in the head stays")
    func byAge() async throws {
        try await withTemporaryLog { _, open in
            let log = try await Self.log(open, segments: 5)
            var policy = RetentionPolicy()
            policy.maximumAge = .seconds(2 * 3600 + 1800)
            #expect(try await log.retain(policy).map(\.positions.lowerBound) == [0, 10])
            policy.maximumAge = .zero
            #expect(try await log.retain(policy).count == 3)
            #expect(try await Self.positions(log) == Array(50..<55))
            await log.close()
        }
    }

    @Test("by size: the oldest segments go until the rest fits, and their files are gone at once")
    func bySize() async throws {
        try await withTemporaryLog { directory, open in
            let log = try await Self.log(open, segments: 5)
            let segments = try await log.segments()
            var policy = RetentionPolicy()
            policy.maximumBytes = segments[3...].reduce(0) { $0 + $1.fileBytes }
            #expect(try await log.retain(policy, isRehearsal: true).count == 3)
            #expect(try await log.segments() == segments)
            #expect(try await log.retain(policy).count == 3)
            #expect(try await log.segments() == Array(segments[3...]))
            for segment in segments {
                let isThere = access("\(directory)/segments/\(segment.fileName)", F_OK) == 0
                #expect(isThere == segments[3...].contains(segment))
            }
            await log.close()
        }
    }

    @Test("nothing goes that somebody still needs, whatever else is asked for")
    func keepFrom() async throws {
        try await withTemporaryLog { _, open in
            let log = try await Self.log(open, segments: 4)
            var policy = RetentionPolicy()
            policy.maximumEvents = 0
            policy.maximumBytes = 0
            policy.keepFrom = 15
            #expect(try await log.retain(policy).map(\.positions.lowerBound) == [0])
            #expect(try await Self.positions(log).first == 10)
            policy.maximumEvents = -1
            let impossible = policy
            await #expect(throws: EventLogError.self) { try await log.retain(impossible) }
            await log.close()
        }
    }

    @Test("a truncated or deleted stream is gone from every read at once, and from the disk after compaction")
    func hiding() async throws {
        try await withTemporaryLog { _, open in
            let log = try await Self.log(open, segments: 3)
            try await log.truncate(stream: "s1", before: 2)
            try await log.delete(stream: "s2")
            func check() async throws {
                #expect(try await log.count(.stream("s1")) == 2)
                #expect(try await log.count(.stream("s2")) == 0)
                #expect(try await log.count() == 35 - 2 - 4)
                #expect(try await log.event(at: 1) == nil)
                #expect(try await log.event(at: 2) == nil)
                #expect(try await log.event(at: 21)?.revision == 2)
                await #expect(throws: EventLogError.self) {
                    try await log.append(Event(type: "t", stream: "s2"))
                }
            }
            try await check()
            try await log.seal()
            #expect(try await log.compact().eventsRemoved == 6)
            try await check()
            #expect(try await log.segments().reduce(0) { $0 + $1.count } == 29)
            await log.close()
        }
    }

    @Test("opening a log reads none of its segments: it opens with all of them damaged, and reading tells")
    func openingReadsNoSegment() async throws {
        try await withTemporaryLog { directory, open in
            let log = try await Self.log(open, segments: 40)
            let segments = try await log.segments()
            await log.close()
            for segment in segments {
                let path = "\(directory)/segments/\(segment.fileName)"
                #expect(chmod(path, 0o600) == 0)
                #expect(truncate(path, 1) == 0)
            }
            let again = try await open(.init())
            #expect(try await again.statistics().segments == 40)
            #expect(try await again.event(at: 400)?.position == 400)
            let error = await #expect(throws: EventLogError.self) { try await again.event(at: 5) }
            #expect(error?.code == .corrupted)
            await again.close()
        }
    }

    @Test("settings of sealing that make no sense are refused by name")
    func settings() async throws {
        try await withTemporaryLog { _, open in
            var aged = EventLogConfiguration()
            aged.maximumSegmentAge = .zero
            var unsealed = EventLogConfiguration()
            unsealed.maximumUnsealedSegments = 0
            for (configuration, name) in [
                (aged, "maximumSegmentAge"), (unsealed, "maximumUnsealedSegments"),
            ] {
                let error = await #expect(throws: EventLogError.self) { _ = try await open(configuration) }
                #expect(error?.code == .invalidArgument && error?.message.contains(name) == true)
            }
        }
    }
}
