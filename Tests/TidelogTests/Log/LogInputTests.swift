import Testing
import Tidelog
import TidelogTesting

@Suite("What a log does not accept")
struct LogInputTests {
    /// Runs `body` on a log with one event and requires that it throws `code` and leaves the log as it was.
    private func refused(
        _ code: EventLogError.Code, _ configuration: EventLogConfiguration = .init(),
        sourceLocation: SourceLocation = #_sourceLocation, _ body: (EventLog) async throws -> Void
    ) async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(configuration)
            try await log.append(Event(id: "known", type: "first", stream: "s"))
            let error = await #expect(throws: EventLogError.self, sourceLocation: sourceLocation) {
                try await body(log)
            }
            #expect(error?.code == code, "\(error as Any)", sourceLocation: sourceLocation)
            #expect(try await log.count() == 1, sourceLocation: sourceLocation)
            #expect(try await log.streams().map(\.name) == ["s"], sourceLocation: sourceLocation)
            // And it still works.
            let result = try await log.append(Event(type: "next", stream: "s"))
            #expect(result.positions.lowerBound == 1, sourceLocation: sourceLocation)
            #expect(result.lastRevision(of: "s") == 1, sourceLocation: sourceLocation)
            await log.close()
        }
    }

    private static let long = String(repeating: "é", count: 128)

    private static let badEvents: [Event] = [
        Event(type: ""), Event(type: long), Event(type: "a\u{0}b"), Event(type: "a\u{1B}[31mb"),
        Event(type: "a\u{85}b"), Event(id: "", type: "t"), Event(id: EventID(long), type: "t"),
        Event(type: "t", stream: ""), Event(type: "t", stream: long), Event(type: "t", stream: "a\nb"),
        Event(type: "t").withSource(""), Event(type: "t").withSource("a\u{7F}"),
        Event(type: "t").withCorrelation(""), Event(type: "t").withCorrelation(EventID(long)),
        Event(type: "t", payload: .init(bytes: [1], contentType: "")),
        Event(type: "t", payload: .init(bytes: [1], contentType: "a\u{9}")),
    ]

    @Test(
        "an event without a type or id, or with a name that is empty, too long or has control characters",
        arguments: badEvents.indices)
    func badEvent(index: Int) async throws {
        let event = Self.badEvents[index]
        try await self.refused(.invalidEvent) { try await $0.append(event) }
        // Anywhere in a batch, whatever its size.
        for count in [2, 100] {
            try await self.refused(.invalidEvent) { log in
                var events = (0..<count).map { _ in Event(type: "fine", stream: "fine") }
                events[count - 1] = event
                try await log.append(events)
            }
        }
    }

    @Test("a stream's name in the call that no event may have", arguments: ["", "a\u{0}", long])
    func badStream(name: String) async throws {
        try await self.refused(.invalidEvent) { try await $0.append(Event(type: "t"), to: name) }
        try await self.refused(.notFound) { try await $0.truncate(stream: name, before: 0) }
        try await self.refused(.notFound) { try await $0.delete(stream: name) }
    }

    @Test("names that would lead out of the directory are names like any other")
    func pathNames() async throws {
        try await withTemporaryLog { directory, open in
            let log = try await open(.init())
            for name in ["../../etc/passwd", "/etc/passwd", ".", "..", "a/b", "~", "nul", "%2e%2e"] {
                try await log.append(Event(type: "t", stream: name))
                try await log.seal()
                #expect(try await log.count(.stream(name)) == 1)
            }
            await log.close()
        }
    }

    @Test("an event over the limit, a batch over the limit")
    func tooLarge() async throws {
        var configuration = EventLogConfiguration()
        configuration.limits.maximumEventBytes = 1000
        configuration.maximumBatchBytes = 10_000
        try await self.refused(.invalidEvent, configuration) {
            try await $0.append(Event(type: "t", bytes: [UInt8](repeating: 1, count: 1001)))
        }
        try await self.refused(.limitExceeded, configuration) { log in
            try await log.append(
                (0..<20).map { _ in Event(type: "t", bytes: [UInt8](repeating: 1, count: 900)) })
        }
    }

    @Test("one id twice in a batch; a known id with other contents, in another stream, in another batch")
    func ids() async throws {
        for count in [2, 100] {
            try await self.refused(.invalidArgument) { log in
                try await log.append(
                    (0..<count).map { Event(id: EventID("i\($0 % (count - 1))"), type: "t") })
            }
        }
        try await self.refused(.duplicateEvent) {
            try await $0.append(Event(id: "known", type: "first", stream: "s", text: "other"))
        }
        try await self.refused(.duplicateEvent) {
            try await $0.append(Event(id: "known", type: "first", stream: "another"))
        }
        try await self.refused(.duplicateEvent) {
            try await $0.append([Event(id: "known", type: "first", stream: "s"), Event(type: "new")])
        }
    }

    @Test("an expectation that does not hold, or that does not say of which stream")
    func expectations() async throws {
        try await self.refused(.conflict) {
            try await $0.append(Event(type: "t"), to: "s", expecting: .noStream)
        }
        try await self.refused(.conflict) {
            try await $0.append(Event(type: "t"), to: "s", expecting: .exact(1))
        }
        try await self.refused(.conflict) {
            try await $0.append(Event(type: "t"), to: "new", expecting: .streamExists)
        }
        try await self.refused(.conflict) {
            let events = [Event(type: "t", stream: "s"), Event(type: "t", stream: "new")]
            try await $0.append(events, expecting: ["s": .exact(0), "new": .exact(0)])
        }
        try await self.refused(.invalidArgument) {
            let events = [Event(type: "t", stream: "s"), Event(type: "t", stream: "new")]
            try await $0.append(events, expecting: .exact(0))
        }
        try await self.refused(.conflict) { try await $0.delete(stream: "s", expecting: .exact(7)) }
        try await self.refused(.conflict) { try await $0.delete(stream: "s", expecting: .noStream) }
        try await self.refused(.invalidArgument) { try await $0.truncate(stream: "s", before: 2) }
    }

    @Test("queries and settings that contradict themselves")
    func queries() async throws {
        var query = EventQuery.all
        query.limit = -1
        try await self.refused(.invalidArgument) { [query] in _ = try await $0.count(query) }
        query.limit = nil
        query.from = 2
        query.to = 1
        try await self.refused(.invalidArgument) { [query] in _ = try await $0.count(query) }
        try await self.refused(.invalidArgument) { [query] in for try await _ in $0.read(query) {} }
        query = .all
        query.order = .newestFirst
        try await self.refused(.invalidArgument) { [query] in _ = try $0.tail(query) }
        try await self.refused(.invalidArgument) { _ = try await $0.streams(limit: 0) }
        try await self.refused(.invalidArgument) {
            var policy = RetentionPolicy()
            policy.maximumEvents = -1
            try await $0.retain(policy)
        }
    }

    @Test("questions about names that no event can have find nothing, and break nothing")
    func strangeNames() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(Event(type: "t", stream: "s"))
            let huge = String(repeating: "x", count: 5000)
            for sealed in [false, true] {
                if sealed { try await log.seal() }
                for name in ["", huge, "\u{0}"] {
                    #expect(try await log.stream(name) == nil)
                    #expect(try await log.count(.stream(name)) == 0)
                    #expect(try await log.event(id: EventID(name)) == nil)
                    #expect(try await log.count(.correlation(EventID(name))) == 0)
                }
                #expect(try await log.streams(prefix: huge).isEmpty)
                #expect(try await log.streams(after: huge).isEmpty)
                #expect(try await log.event(at: Position(.max)) == nil)
                #expect(try await log.event(at: 1) == nil)
            }
            try await log.append(Event(type: "t"), to: "new", expecting: .noStream)
            await #expect(throws: EventLogError.self) {
                try await log.append([Event(type: "t")], expecting: [huge: .exact(3)])
            }
            #expect(try await log.count() == 2)
            await log.close()
        }
    }
}
