import Tidelog

extension EventStoreConformance {
    /// Twenty events over four streams and none, with everything that can be asked for.
    static func sample() -> [Event] {
        let types = ["order.placed", "order.paid", "user.made", "tick"]
        let streams: [String?] = ["order-1", "order-2", "user-1", nil, "order-é"]
        return (0..<20).map { index -> Event in
            var event = Event(id: EventID("e\(index)"), type: types[index % 4], stream: streams[index % 5])
            event.timestamp = Timestamp(nanosecondsSinceEpoch: Int64(index / 2 * 1000))
            if index % 3 == 0 { event.metadata = ["tenant_id": "acme"] }
            if index % 2 == 0 { event.source = "web" }
            if index % 7 == 0 { event.correlationID = "flow" }
            if index > 0 { event.causationID = EventID("e\(index - 1)") }
            return event
        }
    }

    static var reading: [Check] {
        [
            Check(
                "each criterion selects what it says, alone and combined, forwards and backwards, counted alike"
            ) {
                store in
                let events = Self.sample()
                try await store.append(events, if: .always)
                var queries: [EventQuery] = []
                let changes: [(inout EventQuery) -> Void] = [
                    { $0.types = ["order.*"] }, { $0.types = ["tick", "user.>"] },
                    { $0.streams = ["order-1"] },
                    { $0.streams = ["order-1", "user-1"] }, { $0.streamPrefix = "order-" },
                    { $0.since = Timestamp(nanosecondsSinceEpoch: 4000) },
                    { $0.until = Timestamp(nanosecondsSinceEpoch: 4000) }, { $0.correlationID = "flow" },
                    { $0.causationID = "e4" }, { $0.source = "web" }, { $0.tenantID = "acme" },
                    { ($0.from, $0.to) = (5, 15) }, { ($0.fromRevision, $0.toRevision) = (1, 3) },
                ]
                for change in changes {
                    for other in changes {
                        var query = EventQuery.all
                        change(&query)
                        other(&query)
                        queries.append(query)
                    }
                }
                let all = try await store.events(.all)
                try expectEqual(all.map(\.event), events, "everything")
                for query in queries {
                    let wanted = all.filter { query.matches($0) }.map(\.id.description)
                    var backwards = query
                    backwards.order = .newestFirst
                    try expectEqual(try await store.ids(query), wanted, "\(query) forwards")
                    try expectEqual(try await store.ids(backwards), wanted.reversed(), "\(query) backwards")
                    try expectEqual(try await store.count(query), wanted.count, "the count of \(query)")
                    var some = query
                    some.limit = 3
                    try expectEqual(
                        try await store.events(some, offset: 2).map(\.id.description),
                        Array(wanted.dropFirst(2).prefix(3)), "\(query), three after two")
                }
            },
            Check("a stream is read from a revision on, and backwards from one down") { store in
                try await store.append(
                    (0..<10).map { Event(id: .init("e\($0)"), type: "t", stream: "s") }, if: .always)
                func ids(_ events: Store.Events) async throws -> [String] {
                    var ids: [String] = []
                    for try await stored in events { ids.append(stored.id.description) }
                    return ids
                }
                try expectEqual(
                    try await ids(store.load(stream: "s", from: 7)), ["e7", "e8", "e9"], "from 7")
                try expectEqual(
                    try await ids(store.load(stream: "s", from: 2, order: .newestFirst)), ["e2", "e1", "e0"],
                    "from 2 backwards")
                try expectEqual(
                    try await ids(store.load(stream: "s", order: .newestFirst)).first, "e9", "the last one")
                try expectEqual(try await ids(store.load(stream: "s", from: 10)), [], "from past the end")
                try expectEqual(try await ids(store.load(stream: "none")), [], "no stream")
            },
            Check("criteria that cannot be answered are refused, each with a typed error") { store in
                try await store.append([Event(type: "t")], if: .always)
                let changes: [(inout EventQuery) -> Void] = [
                    { $0.limit = -1 }, { ($0.from, $0.to) = (2, 1) },
                    {
                        $0.since = Timestamp(nanosecondsSinceEpoch: 2)
                        $0.until = Timestamp(nanosecondsSinceEpoch: 1)
                    },
                    { ($0.fromRevision, $0.toRevision) = (2, 1) },
                ]
                for (index, change) in changes.enumerated() {
                    var query = EventQuery.all
                    change(&query)
                    let what = "criterion \(index)"
                    try await expectError(.invalidArgument, what) { [query] in
                        _ = try await store.events(query, offset: 0)
                    }
                    try await expectError(.invalidArgument, what) { [query] in
                        _ = try await store.count(query)
                    }
                    try await expectError(.invalidArgument, what) { [query] in _ = try await store.ids(query)
                    }
                    try await expectError(.invalidArgument, what) { [query] in
                        _ = try store.subscribe(query, from: .beginning)
                    }
                }
                try await expectError(.invalidArgument, "a negative offset") {
                    _ = try await store.events(.all, offset: -1)
                }
                var none = EventQuery.all
                none.limit = 0
                try expectEqual(try await store.events(none, offset: 0).count, 0, "a limit of zero")
            },
            Check("a read as of a position or a moment is what it would have been then") { store in
                let events = Self.sample()
                try await store.append(events, if: .always)
                try expectEqual(
                    try await store.ids(.types("order.*").asOf(.position(5))), ["e0", "e1", "e4", "e5"],
                    "as of position 5")
                try expectEqual(
                    try await store.ids(.all.asOf(.time(Timestamp(nanosecondsSinceEpoch: 1999)))),
                    ["e0", "e1", "e2", "e3"], "as of a time")
                var later = EventQuery.all
                later.from = 10
                try expectEqual(try await store.ids(later.asOf(.position(4))), [], "what came later")
                let state = try await store.state(of: "order-1", asOf: .position(12), from: [String]()) {
                    $0.append($1.id.description)
                }
                try expectEqual(state.state, ["e0", "e5", "e10"], "the state as of position 12")
                try expectEqual(state.revision, 2, "its revision")
                try expectEqual(state.position, 10, "its position")
                let now = try await store.state(of: "order-1", from: 0) { count, _ in count += 1 }
                try expectEqual(now.state, 4, "the state now")
            },
        ]
    }

    static var paging: [Check] {
        [
            Check("pages follow on each other without a gap or a repeat, also while events are appended") {
                store in
                try await store.append(Self.sample(), if: .always)
                for order in [EventQuery.Order.oldestFirst, .newestFirst] {
                    var query = EventQuery.types("order.*", "tick")
                    query.order = order
                    query.to = 20
                    let wanted = try await store.ids(query)
                    var found: [String] = []
                    var cursor: EventCursor?
                    repeat {
                        let page = try await store.page(query, size: 4, after: cursor)
                        try expect(page.events.count <= 4, "a page of \(page.events.count)")
                        found += page.events.map(\.id.description)
                        cursor = page.next.flatMap { EventCursor($0.description) }
                        try await store.append([Event(type: "tick")], if: .always)
                    } while cursor != nil
                    try expectEqual(found, wanted, "the pages together")
                }
            },
            Check("a page of nothing, a size below one, and cursors that are unknown or of the other order") {
                store in
                try await store.append(Self.sample(), if: .always)
                let empty = try await store.page(.types("none"), size: 3)
                try expect(empty.events.isEmpty && empty.next == nil, "a page of nothing has something")
                try await expectError(.invalidArgument, "a page of zero") {
                    _ = try await store.page(.all, size: 0)
                }
                let page = try await store.page(.all, size: 3)
                var backwards = EventQuery.all
                backwards.order = .newestFirst
                try await expectError(.invalidArgument, "a cursor of the other order") { [backwards] in
                    _ = try await store.page(backwards, size: 3, after: page.next)
                }
                for text in ["", "f", "x3", "f-1", "f1.5", "3"] {
                    try expect(EventCursor(text) == nil, "'\(text)' is read as a cursor")
                    try await expectError(.invalidArgument, "the cursor '\(text)'") {
                        _ = try EventCursor(parsing: text)
                    }
                }
                for unknown in ["f\(UInt64.max)", "f\(try await store.end())"] {
                    try await expectError(.invalidArgument, "the unknown cursor \(unknown)") {
                        _ = try await store.page(.all, size: 3, after: try EventCursor(parsing: unknown))
                    }
                }
            },
        ]
    }
}
