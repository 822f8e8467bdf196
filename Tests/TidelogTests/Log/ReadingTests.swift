import SystemPackage
import Testing
import Tidelog
import TidelogTesting

/// Every way to read, against the same question put to an array.
@Suite("Reading")
struct ReadingTests {
    /// A log with sealed segments and a head, and what is in it.
    private static func withLog(
        _ body: (EventLog, [StoredEvent]) async throws -> Void
    ) async throws {
        try await withTemporaryLog { _, open in
            var configuration = EventLogConfiguration()
            configuration.segmentSizeBytes = 48 << 10
            configuration.sealsInBackground = false
            let log = try await open(configuration)
            var generator = EventGenerator(
                seed: 23,
                configuration: {
                    var c = EventGenerator.Configuration()
                    c.streams = 25
                    return c
                }())
            for size in [700, 3, 400] { try await log.append(generator.events(size)) }
            try await log.seal()
            for size in [1, 90, 60] { try await log.append(generator.events(size)) }
            var all: [StoredEvent] = []
            for try await stored in log.read() { all.append(stored) }
            #expect(all.count == 1254)
            try await body(log, all)
            await log.close()
        }
    }

    /// Queries with what an event must satisfy.
    private static func queries(
        _ all: [StoredEvent]
    ) throws -> [(String, EventQuery, (StoredEvent) -> Bool)] {
        var queries: [(String, EventQuery, (StoredEvent) -> Bool)] = []
        func add(
            _ name: String, _ accepts: @escaping (StoredEvent) -> Bool,
            _ change: (inout EventQuery) throws -> Void
        ) rethrows {
            var query = EventQuery.all
            try change(&query)
            queries.append((name, query, accepts))
        }
        let middle = all[all.count / 2]
        let correlated = try #require(all.last { $0.event.correlationID != nil })
        let caused = try #require(all.last { $0.event.causationID != nil })
        let tenant = try #require(all.compactMap { $0.event.metadata.tenantID }.first)
        let stream = try #require(middle.stream)
        let other = try #require(all[3].stream)
        add("everything", { _ in true }) { _ in }
        add("positions", { (300..<1200).contains($0.position.rawValue) }) { query in
            query.from = 300
            query.to = 1200
        }
        add("a time", { $0.event.timestamp >= middle.event.timestamp }) { $0.since = middle.event.timestamp }
        add("until a time", { $0.event.timestamp < middle.event.timestamp }) {
            $0.until = middle.event.timestamp
        }
        add("a stream", { $0.stream == stream }) { $0.streams = [stream] }
        add("two streams", { $0.stream == stream || $0.stream == other }) { $0.streams = [stream, other] }
        add("a prefix", { $0.stream?.hasPrefix("item-1") ?? false }) { $0.streamPrefix = "item-1" }
        add("revisions", { $0.stream == stream && ($0.revision?.rawValue ?? 0) >= 5 }) { query in
            query.streams = [stream]
            query.fromRevision = 5
        }
        try add("a type", { $0.type == EventGenerator.rareType }) {
            $0.types = [try TypePattern(EventGenerator.rareType)]
        }
        add("a pattern and a type", { $0.type.hasPrefix("order.") || $0.type == "user.created" }) {
            $0.types = [TypePattern("order.*"), TypePattern("user.created")]
        }
        add("a correlation", { $0.event.correlationID == correlated.event.correlationID }) {
            $0.correlationID = correlated.event.correlationID
        }
        add("a cause", { $0.event.causationID == caused.event.causationID }) {
            $0.causationID = caused.event.causationID
        }
        add("a source", { $0.event.source == "web" }) { $0.source = "web" }
        add("a tenant", { $0.event.metadata.tenantID == tenant }) { $0.tenantID = tenant }
        add("all at once", { $0.stream == stream && $0.type.hasPrefix("order.") && $0.position < 1200 }) {
            $0.streams = [stream]
            $0.types = [TypePattern("order.*")]
            $0.to = 1200
        }
        return queries
    }

    @Test(
        "by every filter, in both directions, with and without a limit: events, views, arrays and counts agree"
    )
    func filters() async throws {
        try await Self.withLog { log, all in
            for (name, query, accepts) in try Self.queries(all) {
                for order in [EventQuery.Order.oldestFirst, .newestFirst] {
                    for limit in [nil, 1, 7] as [Int?] {
                        var query = query
                        query.order = order
                        query.limit = limit
                        let matching = all.filter(accepts)
                        let ordered = order == .oldestFirst ? matching : matching.reversed()
                        let expected = limit.map { Array(ordered.prefix($0)) } ?? ordered
                        #expect(!expected.isEmpty, "\(name)")
                        try await Self.expect(log, query, gives: expected, name)
                    }
                }
            }
        }
    }

    private static func expect(
        _ log: EventLog, _ query: EventQuery, gives expected: [StoredEvent], _ name: String
    ) async throws {
        let array = try log.eventsBlocking(query)
        #expect(array == expected, "\(name)")
        var events: [StoredEvent] = []
        for try await stored in log.read(query) { events.append(stored) }
        #expect(events == expected, "\(name)")
        var views: [StoredEvent] = []
        var differing = 0
        try log.scan(query) { view throws(EventLogError) in
            let copy = try view.copy()
            views.append(copy)
            let isSame =
                view.position == copy.position && view.revision == copy.revision && view.id == copy.id
                && view.type == copy.type && view.stream == copy.stream && view.source == copy.event.source
                && view.timestamp == copy.event.timestamp && view.correlationID == copy.event.correlationID
                && view.causationID == copy.event.causationID
                && view.contentType == copy.event.payload.contentType
                && view.tenantID == copy.event.metadata.tenantID
                && view.schemaVersion == copy.event.schemaVersion
            let bytes = try view.withPayload { $0.withUnsafeBytes { Array($0) } }
            if !isSame || bytes != Array(copy.event.payload.bytes) { differing += 1 }
            return true
        }
        #expect(views == expected, "\(name)")
        #expect(differing == 0, "\(name)")
        let count = try await log.count(query)
        #expect(count == expected.count, "\(name)")
    }

    @Test("one event by its position or its id is the one that a replay gives; where there is none it is nil")
    func single() async throws {
        try await Self.withLog { log, all in
            for stored in all {
                let found = try log.eventBlocking(at: stored.position)
                #expect(found == stored)
            }
            for stored in all.enumerated().filter({ $0.offset % 50 == 0 }).map(\.element) {
                let (byPosition, byID) = (
                    try await log.event(at: stored.position), try await log.event(id: stored.id)
                )
                #expect(byPosition == stored && byID == stored)
            }
            let (behind, last) = (
                try await log.event(at: Position(UInt64(all.count))), try await log.event(at: Position(.max))
            )
            #expect(behind == nil && last == nil)
        }
    }
}
