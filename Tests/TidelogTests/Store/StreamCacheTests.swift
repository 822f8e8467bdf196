import Testing
import Tidelog
import TidelogStorage
import TidelogTesting

@Suite("Streams that were read lately")
struct StreamCacheTests {
    @Test("are answered from memory as a read would answer, whatever has happened to them")
    func asARead() async throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        try await withTemporaryLog { _, open in
            var configuration = EventLogConfiguration()
            configuration.segmentSizeBytes = 8 << 10
            configuration.blockSizeBytes = 1024
            configuration.sealsInBackground = false
            configuration.cachedStreamBytes = 24 << 10
            let log = try await open(configuration)
            var number = 0
            for step in 0..<600 {
                let stream = "s\(random.below(6))"
                switch random.below(40) {
                case 0: _ = try await log.seal()
                case 1:
                    var options = CompactionOptions()
                    options.keepsLatestOnly = random.below(4) == 0
                    _ = try await log.compact(options)
                case 2:
                    var policy = RetentionPolicy()
                    policy.maximumEvents = 60
                    _ = try await log.retain(policy)
                case 3:
                    let next = (try await log.stream(stream)?.lastRevision.rawValue ?? 0) / 2
                    _ = try? await log.truncate(stream: stream, before: Revision(next))
                case 4: if step % 7 == 0 { try? await log.delete(stream: stream, expecting: .any) }
                case 5...20:
                    let events = (0...random.below(4)).map { _ in
                        number += 1
                        return Event(
                            id: .init("e\(number)"), type: "t.\(number % 3)",
                            text: String(repeating: "x", count: random.below(90)),
                            timestamp: Timestamp(nanosecondsSinceEpoch: Int64(random.below(1000))))
                    }
                    _ = try? await log.append(events, to: stream)
                default: break
                }
                let query = Self.query(stream, &random)
                var read: [StoredEvent] = []
                for try await stored in log.load(query) { read.append(stored) }
                let found = try await log.events(query)
                #expect(found == read, "seed \(seed), step \(step): \(query)")
                #expect(log.streamCache.byteCount <= 24 << 10, "seed \(seed), step \(step)")
            }
            await log.close()
        }
    }

    private static func query(_ stream: String, _ random: inout SeededGenerator) -> EventQuery {
        var query = EventQuery.stream(stream)
        if random.below(3) == 0 { query.fromRevision = Revision(UInt64(random.below(20))) }
        if random.below(6) == 0 { query.toRevision = Revision(20 + UInt64(random.below(20))) }
        if random.below(4) == 0 { query.order = .newestFirst }
        if random.below(4) == 0 { query.limit = random.below(8) }
        if random.below(6) == 0 { query.types = ["t.1"] }
        if random.below(6) == 0 { query.since = Timestamp(nanosecondsSinceEpoch: 300) }
        if random.below(6) == 0 { query.to = Position(UInt64(random.below(300))) }
        if random.below(6) == 0 { (query.from, query.to) = (Position(UInt64(random.below(50))), nil) }
        return query
    }

    @Test("are known again without reading, until something is appended to them")
    func known() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            for index in 0..<50 {
                try await log.append([Event(type: "t", text: "\(index)")], to: "s\(index % 2)")
            }
            _ = try await log.seal()
            let query = try EventQuery.stream("s1").storageQuery()
            #expect(try log.streamCache.known(query, in: log.engine) == nil)
            let found = try await log.events(.stream("s1"))
            #expect(found.count == 25)
            #expect(try log.streamCache.known(query, in: log.engine) == found)
            try await log.append([Event(type: "t")], to: "s0")
            #expect(try log.streamCache.known(query, in: log.engine) == found)
            try await log.append([Event(type: "t")], to: "s1")
            #expect(try log.streamCache.known(query, in: log.engine) == nil)
            #expect(try await log.events(.stream("s1")).count == 26)
            #expect(try log.streamCache.known(query, in: log.engine)?.count == 26)
            // What begins after a snapshot is kept too, and is not mistaken for the whole stream.
            var rest = EventQuery.stream("s0")
            rest.fromRevision = 20
            #expect(try await log.events(rest).count == 6)
            #expect(try log.streamCache.known(try rest.storageQuery(), in: log.engine)?.count == 6)
            #expect(try await log.events(.stream("s0")).count == 26)
            await log.close()
            #expect(throws: EventLogError.self) { try log.eventsBlocking(.stream("s1")) }
        }
    }

    @Test("take no more memory than was allowed, and none where none was")
    func bounded() async throws {
        try await withTemporaryLog { _, open in
            var configuration = EventLogConfiguration()
            configuration.cachedStreamBytes = 64 << 10
            var log = try await open(configuration)
            try await log.append(
                (0..<3000).map { Event(type: "t", stream: "s\($0 % 300)", text: "some text \($0)") },
                if: .always)
            for index in 0..<300 { #expect(try await log.events(.stream("s\(index)")).count == 10) }
            let kept = log.streamCache.byteCount
            #expect(kept > 16 << 10 && kept <= 64 << 10)
            await log.close()
            configuration.cachedStreamBytes = 0
            log = try await open(configuration)
            #expect(try await log.events(.stream("s7")).count == 10)
            #expect(log.streamCache.byteCount == 0)
            await log.close()
        }
    }
}
