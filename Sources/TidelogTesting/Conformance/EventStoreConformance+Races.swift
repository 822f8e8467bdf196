import Synchronization
import Tidelog

extension EventStoreConformance {
    /// Appends `count` events to random ones of `streams`, each expecting the revision seen last, and notes
    /// what came of each attempt.
    static func race(
        _ store: Store, name: String, streams: Int, count: Int, clock: @Sendable () -> UInt64
    ) async throws -> [AppendHistory.Attempt] {
        var random = SeededGenerator(seed: UInt64(name.utf8.reduce(7) { $0 &* 31 &+ Int($1) }))
        var attempts: [AppendHistory.Attempt] = []
        var seen: [String: Revision?] = [:]
        for number in 0..<count {
            let stream = "race-\(random.below(streams))"
            // Now and then what was seen before one's own last append: somebody loses in every run.
            let isStale = number % 7 == 6 && seen[stream] != nil
            let expected = isStale ? seen[stream] ?? nil : try await store.stream(stream)?.lastRevision
            seen[stream] = expected
            await Task.yield()
            let id = "\(name)-\(number)"
            let began = clock()
            do {
                let result = try await store.append(
                    [Event(id: .init(id), type: "raced")], toStream: stream,
                    expecting: expected.map { .exact($0) } ?? .noStream)
                attempts.append(
                    .init(
                        id: id, stream: stream, expected: expected?.rawValue, began: began, ended: clock(),
                        stored: (
                            result.positions.lowerBound.rawValue,
                            result.lastRevision(of: stream)?.rawValue ?? .max
                        ), actual: nil))
            } catch {
                guard error.code == .conflict else { throw error }
                attempts.append(
                    .init(
                        id: id, stream: stream, expected: expected?.rawValue, began: began, ended: clock(),
                        stored: nil, actual: error.actualRevision?.rawValue))
            }
        }
        return attempts
    }

    static var races: [Check] {
        [
            Check("concurrent appends with expected revisions are linearizable: each race has one winner") {
                store in
                let ticks = Ticks()
                let history = try await withThrowingTaskGroup(of: [AppendHistory.Attempt].self) { group in
                    for task in 0..<8 {
                        group.addTask {
                            try await Self.race(store, name: "t\(task)", streams: 2, count: 60) {
                                ticks.next()
                            }
                        }
                    }
                    return try await group.reduce(into: AppendHistory()) { $0.attempts += $1 }
                }
                let lost = history.attempts.count { $0.stored == nil }
                try expect(lost > 0, "nobody lost a race, so nothing was checked")
                try history.check(against: try await store.events(.all))
            },
            Check(
                "of many who append under one condition on a query at once, one wins and all others are told"
            ) {
                store in
                for round in 0..<25 {
                    let type = TypePattern(stringLiteral: "round.\(round)")
                    let winners = try await withThrowingTaskGroup(of: Bool.self) { group in
                        for task in 0..<12 {
                            group.addTask {
                                do {
                                    try await store.append(
                                        [Event(type: "round.\(round)", stream: "task-\(task)")],
                                        if: .noEvent(matching: .types(type), after: nil))
                                    return true
                                } catch EventLogError.Code.conflict {
                                    return false
                                }
                            }
                            // Others without a condition, which the store may gather with it.
                            group.addTask {
                                try await store.append(
                                    [Event(type: "noise", stream: "n\(task)")], if: .always)
                                return false
                            }
                        }
                        return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
                    }
                    try expectEqual(winners, 1, "the number of winners of round \(round)")
                    try expectEqual(try await store.count(.types(type)), 1, "the events of round \(round)")
                }
                try expectEqual(try await store.count(.types("noise")), 300, "the events without condition")
            },
            Check("a condition also sees an event without one that is appended at the same time") { store in
                // Each pair: an unconditional event, and one that may only be there without it before.
                for round in 0..<40 {
                    async let plain = store.append(
                        [Event(id: .init("plain-\(round)"), type: "p\(round)")], if: .always)
                    async let guarded = Self.succeeds {
                        try await store.append(
                            [Event(id: .init("guarded-\(round)"), type: "g\(round)")],
                            if: .noEvent(
                                matching: .types(TypePattern(stringLiteral: "p\(round)")), after: nil))
                    }
                    let place = try await plain.positions.lowerBound
                    if try await guarded {
                        let other = try await store.events(
                            .types(TypePattern(stringLiteral: "g\(round)")), offset: 0
                        ).first?.position
                        try expect(
                            other.map { $0 < place } ?? false,
                            "the guarded event of round \(round) stands after what should have refused it")
                    }
                }
            },
        ]
    }

    private static func succeeds(_ body: () async throws -> Void) async throws -> Bool {
        do {
            try await body()
            return true
        } catch EventLogError.Code.conflict {
            return false
        }
    }
}

/// A clock that no two readings share.
private final class Ticks: Sendable {
    private let count = Atomic<UInt64>(0)

    func next() -> UInt64 { self.count.wrappingAdd(1, ordering: .sequentiallyConsistent).newValue }
}
