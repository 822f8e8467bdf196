import Tidelog

extension EventStoreConformance {
    static var streams: [Check] {
        [
            Check("streams are listed with revision, count, and the times of their first and last event") {
                store in
                try await store.append(Self.sample(), if: .always)
                let all = try await store.describeStreams(prefix: "", after: nil, limit: 100)
                try expectEqual(
                    all.map(\.info.name), ["order-1", "order-2", "order-é", "user-1"], "the names")
                try expectEqual(all.map(\.count), [4, 4, 4, 4], "the counts")
                try expectEqual(all.map(\.info.lastRevision), [3, 3, 3, 3], "the revisions")
                try expectEqual(
                    all[1].firstTimestamp, Timestamp(nanosecondsSinceEpoch: 0), "the first time of order-2")
                try expectEqual(
                    all[1].lastTimestamp, Timestamp(nanosecondsSinceEpoch: 8000), "the last time of order-2")
                let page = try await store.describeStreams(prefix: "order-", after: "order-1", limit: 1)
                try expectEqual(page.map(\.info.name), ["order-2"], "the page")
                try expectEqual(
                    try await store.stream("user-1"), all[3].info, "what is known of user-1")
                try await expectError(.invalidArgument, "a page of no streams") {
                    _ = try await store.describeStreams(prefix: "", after: nil, limit: 0)
                }
            },
            Check("names that Swift takes for equal but whose bytes differ are streams of their own") {
                store in
                try await store.append([Event(type: "t", stream: "\u{E9}")], if: .always)
                try await store.append(
                    [Event(type: "t", stream: "e\u{301}")], if: .stream("e\u{301}", .noStream))
                try expectEqual(try await store.count(.stream("\u{E9}")), 1, "the events of one")
                try expectEqual(
                    try await store.describeStreams(prefix: "", after: nil, limit: 9).count, 2, "the streams")
            },
            Check("a truncated stream begins at the revision, keeps counting, and cannot grow backwards") {
                store in
                try await store.append((0..<5).map { _ in Event(type: "t", stream: "s") }, if: .always)
                try await store.truncate(stream: "s", before: 3)
                try expectEqual(try await store.positions(.stream("s")), [3, 4], "what is left")
                try expectEqual(try await store.count(.all), 2, "the count")
                try await store.truncate(stream: "s", before: 1)
                try expectEqual(try await store.positions(.all), [3, 4], "what is left after a lower bound")
                try await store.append([Event(type: "t", stream: "s")], if: .stream("s", .exact(4)))
                try expectEqual(try await store.stream("s")?.lastRevision, 5, "the revision")
                try expectEqual(try await store.stream("s")?.firstRevision, 3, "the first revision")
                let error = try await expectError(.invalidArgument, "truncating past the end") {
                    try await store.truncate(stream: "s", before: 7)
                }
                try expectEqual(error.actualRevision, 5, "the actual revision")
                try await expectError(.notFound, "truncating no stream") {
                    try await store.truncate(stream: "none", before: 0)
                }
            },
            Check("a deleted stream shows nothing, takes nothing, and is known as deleted") { store in
                try await store.append(
                    [Event(type: "t", stream: "s"), Event(type: "t", stream: "kept")], if: .always)
                try await expectError(.conflict, "deleting with a wrong expectation") {
                    try await store.delete(stream: "s", expecting: .exact(3))
                }
                try await store.delete(stream: "s", expecting: .exact(0))
                try expectEqual(try await store.positions(.all), [1], "what is left")
                for condition in [AppendCondition.always, .stream("s", .noStream), .stream("s", .exact(0))] {
                    try await expectError(.streamDeleted, "appending to a deleted stream") {
                        try await store.append([Event(type: "t", stream: "s")], if: condition)
                    }
                }
                try expectEqual(try await store.stream("s")?.isDeleted, true, "whether it is deleted")
                let described = try await store.describeStreams(prefix: "s", after: nil, limit: 9)
                try expectEqual(described.map(\.count), [0], "its count")
                try await expectError(.streamDeleted, "deleting it again") {
                    try await store.delete(stream: "s", expecting: .any)
                }
                try await expectError(.notFound, "deleting no stream") {
                    try await store.delete(stream: "none", expecting: .any)
                }
            },
        ]
    }

    static var subscribing: [Check] {
        [
            Check("a subscription gives history first, then what comes, each event once and in order") {
                store in
                try await store.append((0..<50).map { _ in Event(type: "old") }, if: .always)
                let task = Task { () throws -> [UInt64] in
                    var positions: [UInt64] = []
                    for try await stored in try store.subscribe(.all, from: .beginning) {
                        positions.append(stored.position.rawValue)
                        if stored.type == "end" { break }
                    }
                    return positions
                }
                for _ in 0..<20 {
                    try await store.append([Event(type: "new"), Event(type: "new")], if: .always)
                }
                try await store.append([Event(type: "end")], if: .always)
                try expectEqual(try await task.value, Array(0..<91), "what came")
            },
            Check("a subscription from a position, with criteria, ends with its task") { store in
                try await store.append(Self.sample(), if: .always)
                let task = Task { () throws -> [String] in
                    var ids: [String] = []
                    for try await stored in try store.subscribe(.types("tick", "last"), from: .position(8)) {
                        ids.append(stored.id.description)
                        if ids.count == 4 { withUnsafeCurrentTask { $0?.cancel() } }
                    }
                    return ids
                }
                try await store.append([Event(id: "end", type: "last")], if: .always)
                try expectEqual(try await task.value, ["e11", "e15", "e19", "end"], "what came")
            },
            Check("a subscription from the end gives what comes after it began") { store in
                try await store.append(Self.sample(), if: .always)
                var iterator = try store.subscribe(.all, from: .end).makeAsyncIterator()
                let task = Task {
                    // The iterator may begin late: it is given events until it has taken one.
                    while !Task.isCancelled {
                        try await store.append([Event(type: "new")], if: .always)
                        try await Task.sleep(for: .milliseconds(1))
                    }
                }
                let first = try await iterator.next(isolation: nil)
                task.cancel()
                _ = try? await task.value
                try expectEqual(first?.type, "new", "the first one")
                try await expectError(.invalidArgument, "a subscription that reads backwards") {
                    var query = EventQuery.all
                    query.order = .newestFirst
                    _ = try store.subscribe(query, from: .beginning)
                }
            },
        ]
    }
}
