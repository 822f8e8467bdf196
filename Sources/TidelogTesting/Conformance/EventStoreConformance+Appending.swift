import Tidelog

extension EventStoreConformance {
    static var appending: [Check] {
        [
            Check("an event comes back as it was stored, with its position and its revision") { store in
                let event = Event(
                    type: "order.placed", stream: "order-1", payload: .init(json: #"{"total":1299}"#),
                    metadata: ["user_id": "u-7", "tenant_id": "acme"], source: "shop",
                    correlationID: "c-1", causationID: "k-1", schemaVersion: 3)
                let result = try await store.append([event], if: .always)
                try expectEqual(result.positions, 0..<1, "the range of positions")
                try expectEqual(result.lastRevision(of: "order-1"), 0, "the revision")
                let found = try await store.events(.all)
                try expectEqual(found.map(\.event), [event], "what was read")
                try expectEqual(found.first?.position, 0, "its position")
                try expectEqual(found.first?.revision, 0, "its revision")
                try expectEqual(try await store.end(), 1, "the next position")
            },
            Check("a batch to several streams is stored next to each other, each stream counted alone") {
                store in
                let events = ["a", "b", "a", nil, "b", "a"].enumerated().map { index, stream in
                    Event(id: .init("e\(index)"), type: "t", stream: stream)
                }
                let result = try await store.append(events, if: .streams(["a": .noStream, "b": .noStream]))
                try expectEqual(result.positions, 0..<6, "the range of positions")
                try expectEqual(result.lastRevision(of: "a"), 2, "the last revision of a")
                try expectEqual(result.lastRevision(of: "b"), 1, "the last revision of b")
                let found = try await store.events(.all)
                try expectEqual(found.map(\.revision), [0, 0, 1, nil, 1, 2], "the revisions")
                try expectEqual(try await store.ids(.stream("b")), ["e1", "e4"], "stream b")
            },
            Check("a batch of which one event or one expectation is refused leaves nothing behind") { store in
                try await store.append([Event(type: "t", stream: "b")], if: .always)
                try await expectError(.conflict, "a batch with one wrong expectation") {
                    try await store.append(
                        [Event(type: "t", stream: "a"), Event(type: "t", stream: "b")],
                        if: .streams(["a": .noStream, "b": .noStream]))
                }
                try await expectError(.invalidEvent, "a batch with an event without a type") {
                    try await store.append([Event(type: "t", stream: "a"), Event(type: "")], if: .always)
                }
                try expectEqual(try await store.count(.all), 1, "the number of events")
                try expect(try await store.stream("a") == nil, "stream a exists")
            },
            Check("expectations: any, no stream, stream exists, exact, and the error tells the revision") {
                store in
                func append(_ expectation: ExpectedRevision) async throws {
                    try await store.append(
                        [Event(type: "t")], toStream: "s", expecting: expectation)
                }
                var error = try await expectError(.conflict, "'exists' on no stream") {
                    try await append(.streamExists)
                }
                try expectEqual(error.actualRevision, nil, "the actual revision")
                try await expectError(.conflict, "'exact' on no stream") { try await append(.exact(0)) }
                try await append(.noStream)
                error = try await expectError(.conflict, "'no stream' on a stream") {
                    try await append(.noStream)
                }
                try expectEqual(error.actualRevision, 0, "the actual revision")
                try await append(.exact(0))
                try await append(.streamExists)
                try await append(.any)
                error = try await expectError(.conflict, "'exact' with an old revision") {
                    try await append(.exact(1))
                }
                try expectEqual(error.actualRevision, 3, "the actual revision")
                try await expectError(.conflict, "'exact' with a future revision") {
                    try await append(.exact(4))
                }
                try expectEqual(try await store.count(.stream("s")), 4, "the number of events")
            },
            Check("an append repeated stores nothing and answers as the first time, also with later events") {
                store in
                let events = (0..<3).map { Event(id: .init("r\($0)"), type: "t", stream: "s") }
                let first = try await store.append(events, if: .stream("s", .noStream))
                try await store.append([Event(type: "t", stream: "s")], if: .always)
                let again = try await store.append(events, if: .stream("s", .noStream))
                try expectEqual(again.positions, first.positions, "the positions of the repeat")
                try expectEqual(again.lastRevision(of: "s"), 2, "the revision of the repeat")
                try expect(again.isRepeat && !first.isRepeat, "the repeat does not say that it is one")
                try expectEqual(try await store.count(.all), 4, "the number of events")
            },
            Check("an event tried again within another trace is known, and with other metadata refused") {
                store in
                var traced = Event(id: "traced", type: "t", json: "{}")
                traced.metadata = [
                    "a": 1, "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                ]
                try await store.append([traced], if: .always)
                traced.metadata = [
                    "a": 1, "traceparent": "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01",
                ]
                let retried = try await store.append([traced], if: .always)
                try expect(retried.isRepeat, "an event in another trace is not known again")
                traced.metadata["a"] = 2
                try await expectError(.duplicateEvent, "other metadata under the same id") {
                    _ = try await store.append([traced], if: .always)
                }
                try expectEqual(try await store.count(.all), 1, "the number of events")
            },
            Check("a known id in another append is refused: in part, with other contents, to another stream")
            {
                store in
                let event = Event(id: "known", type: "t", stream: "s", payload: .init(json: "1"))
                try await store.append([event], if: .always)
                for (what, events) in [
                    ("in part", [event, Event(type: "t", stream: "s")]),
                    ("other contents", [Event(id: "known", type: "t", stream: "s")]),
                    ("another stream", [event.withStream("other")]),
                ] {
                    try await expectError(.duplicateEvent, "a known id: \(what)") {
                        try await store.append(events, if: .always)
                    }
                }
                try await expectError(.invalidArgument, "one id twice in a batch") {
                    let twice = Event(type: "t")
                    try await store.append([twice, twice], if: .always)
                }
                try expectEqual(try await store.count(.all), 1, "the number of events")
            },
            Check("an append of nothing changes nothing, and its condition still counts") { store in
                try await store.append([Event(type: "t", stream: "s")], if: .always)
                let result = try await store.append([], if: .stream("s", .exact(0)))
                try expectEqual(result.positions, 1..<1, "the positions")
                try await expectError(.conflict, "an empty append with a wrong expectation") {
                    try await store.append([], if: .stream("s", .noStream))
                }
                try expectEqual(try await store.append([], if: .always).positions, 1..<1, "the positions")
            },
            Check(
                "a snapshot is kept with its append, replaced by a newer one, and not kept by a refused one"
            ) {
                store in
                func snapshot(_ revision: Revision, _ state: [UInt8]) -> StreamSnapshot {
                    StreamSnapshot(stream: "s", revision: revision, schema: "x1", state: state)
                }
                try expect(try await store.snapshot(of: "s") == nil, "there is a snapshot of nothing")
                try await store.append(
                    [Event(type: "t", stream: "s")], if: .always, snapshots: [snapshot(0, [1, 2])])
                try expectEqual(try await store.snapshot(of: "s"), snapshot(0, [1, 2]), "the snapshot")
                try await expectError(.conflict, "a wrong expectation") {
                    try await store.append(
                        [Event(type: "t", stream: "s")], if: .stream("s", .noStream),
                        snapshots: [snapshot(1, [9])])
                }
                try expectEqual(try await store.snapshot(of: "s"), snapshot(0, [1, 2]), "the snapshot")
                try await store.append([], if: .always, snapshots: [snapshot(0, [3])])
                try expectEqual(try await store.snapshot(of: "s"), snapshot(0, [3]), "the snapshot")
            },
        ]
    }
}
