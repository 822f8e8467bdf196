import Tidelog

extension EventStoreConformance {
    static var conditions: [Check] {
        [
            Check("a condition on a query holds until an event that satisfies it comes after the position") {
                store in
                let taken = { (name: String, stream: String) in
                    Event(type: "name.taken", stream: stream).with(metadata: ["tenant_id": .string(name)])
                }
                var byName = EventQuery.types("name.taken")
                byName.tenantID = "ada"
                let none = AppendCondition.noEvent(matching: byName, after: nil)
                try await store.append([taken("bob", "user-1")], if: none)
                let first = try await store.append([taken("ada", "user-2")], if: none)
                let error = try await expectError(.conflict, "a name that is taken in another stream") {
                    try await store.append([taken("ada", "user-3")], if: none)
                }
                try expectEqual(
                    error.positions, first.positions.lowerBound..<first.positions.upperBound,
                    "the place of the event that stands against it")
                // Whoever knows of that event may go on.
                let known = AppendCondition.noEvent(matching: byName, after: first.positions.lowerBound)
                try await store.append([taken("ada", "user-4")], if: known)
                try await expectError(.conflict, "a position that is behind") {
                    try await store.append([taken("ada", "user-5")], if: known)
                }
                try expectEqual(try await store.count(.all), 3, "the number of events")
            },
            Check("each criterion of a query can be a condition, and others do not stand against it") {
                store in
                try await store.append(
                    [
                        Event(
                            type: "a.b", stream: "s-1",
                            timestamp: Timestamp(nanosecondsSinceEpoch: 1000), source: "src",
                            correlationID: "cor", causationID: "cau"),
                        Event(type: "x", timestamp: Timestamp(nanosecondsSinceEpoch: 5000)),
                    ], if: .always)
                let there: [(inout EventQuery) -> Void] = [
                    { $0.types = ["a.*"] }, { $0.streams = ["s-1"] }, { $0.streamPrefix = "s-" },
                    { $0.source = "src" }, { $0.correlationID = "cor" }, { $0.causationID = "cau" },
                    { $0.until = Timestamp(nanosecondsSinceEpoch: 1001) },
                    { $0.since = Timestamp(nanosecondsSinceEpoch: 5000) }, { $0.fromRevision = 0 },
                    { $0.to = 1 },
                ]
                let missing: [(inout EventQuery) -> Void] = [
                    { $0.types = ["a", "b.>"] }, { $0.streams = ["s"] }, { $0.streamPrefix = "t" },
                    { $0.source = "other" }, { $0.correlationID = "cau" }, { $0.causationID = "cor" },
                    { $0.until = Timestamp(nanosecondsSinceEpoch: 1000) },
                    { $0.since = Timestamp(nanosecondsSinceEpoch: 5001) }, { $0.fromRevision = 1 },
                    { $0.from = 2 }, { $0.tenantID = "nobody" },
                ]
                for (index, change) in there.enumerated() {
                    var query = EventQuery.all
                    change(&query)
                    try await expectError(.conflict, "criterion \(index), which an event satisfies") {
                        [query] in
                        try await store.append([], if: .noEvent(matching: query, after: nil))
                    }
                }
                for change in missing {
                    var query = EventQuery.all
                    change(&query)
                    try await store.append([], if: .noEvent(matching: query, after: nil))
                }
                try await store.append([], if: .noEvent(matching: .all, after: 1))
                try await expectError(.conflict, "any event after position 0") {
                    try await store.append([], if: .noEvent(matching: .all, after: 0))
                }
            },
            Check("conditions on streams and on queries combine; all must hold") { store in
                try await store.append([Event(type: "t", stream: "s")], if: .always)
                let free = AppendCondition.noEvent(matching: .types("u"), after: nil)
                try await expectError(.conflict, "a wrong revision") {
                    try await store.append(
                        [Event(type: "u", stream: "s")], if: free.and(.stream("s", .noStream)))
                }
                try await store.append([Event(type: "u", stream: "s")], if: free.and(.stream("s", .exact(0))))
                try await expectError(.conflict, "an event that is there") {
                    try await store.append(
                        [Event(type: "u", stream: "s")], if: free.and(.stream("s", .exact(1))))
                }
            },
            Check(
                "a conditional append repeated answers as the first time, though it now stands against itself"
            ) {
                store in
                let event = Event(id: "once", type: "t", stream: "s")
                let condition = AppendCondition.noEvent(matching: .types("t"), after: nil)
                let first = try await store.append([event], if: condition)
                let again = try await store.append([event], if: condition)
                try expectEqual(again.positions, first.positions, "the positions of the repeat")
                try expectEqual(try await store.count(.all), 1, "the number of events")
            },
            Check("a query with a limit, or with bounds that contradict each other, is no condition") {
                store in
                var limited = EventQuery.all
                limited.limit = 1
                var contradictory = EventQuery.all
                contradictory.since = Timestamp(nanosecondsSinceEpoch: 2)
                contradictory.until = Timestamp(nanosecondsSinceEpoch: 1)
                for query in [limited, contradictory] {
                    try await expectError(.invalidArgument, "a condition that cannot be answered") {
                        try await store.append(
                            [Event(type: "t")], if: .noEvent(matching: query, after: nil))
                    }
                }
                try expectEqual(try await store.count(.all), 0, "the number of events")
            },
        ]
    }
}
