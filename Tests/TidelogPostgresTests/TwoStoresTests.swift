#if Postgres
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    /// A connection goes by what it knows of its last append for as long as nobody else writes; here others do.
    @Suite("Stores that take turns on one log")
    struct TwoStoresTests {
        /// What the log must hold, judged one call after the other.
        struct Model {
            struct Stream {
                var last: UInt64?
                var first: UInt64 = 0
                var isDeleted = false
            }

            struct Kept: Equatable {
                var id: EventID
                var stream: String?
                var revision: UInt64?
            }

            var kept: [Kept] = []
            var streams: [String: Stream] = [:]

            /// What an append brings: the positions and whether it is a repeat, or why it is refused.
            mutating func append(
                _ events: [Event], _ expected: ExpectedRevision
            ) -> (positions: Range<UInt64>, isRepeat: Bool, refusal: EventLogError.Code?) {
                let known = events.compactMap { event in self.kept.firstIndex { $0.id == event.id } }
                if let first = known.first {
                    let range = first..<first + events.count
                    if known != Array(range) { return (0..<0, false, .duplicateEvent) }
                    return (UInt64(range.lowerBound)..<UInt64(range.upperBound), true, nil)
                }
                if let name = events[0].stream {
                    let stream = self.streams[name] ?? Stream()
                    if stream.isDeleted { return (0..<0, false, .streamDeleted) }
                    let holds =
                        switch expected {
                        case .any: true
                        case .noStream: stream.last == nil
                        case .streamExists: stream.last != nil
                        default: stream.last != nil && expected.exactRevision?.rawValue == stream.last
                        }
                    if !holds { return (0..<0, false, .conflict) }
                }
                let start = UInt64(self.kept.count)
                for event in events {
                    if let name = event.stream {
                        let revision = self.streams[name]?.last.map { $0 + 1 } ?? 0
                        self.streams[name, default: Stream()].last = revision
                        self.kept.append(.init(id: event.id, stream: name, revision: revision))
                    } else {
                        self.kept.append(.init(id: event.id))
                    }
                }
                return (start..<start + UInt64(events.count), false, nil)
            }

            /// What readers see.
            var visible: [Kept] {
                self.kept.filter { kept in
                    guard let stream = kept.stream.flatMap({ self.streams[$0] }) else { return true }
                    return !stream.isDeleted && kept.revision ?? 0 >= stream.first
                }
            }
        }

        /// A call of a store, or of its own thread.
        struct Step {
            var events: [Event] = []
            var expected = ExpectedRevision.any
            var truncated: (stream: String, before: Revision)?
            var deleted: String?
        }

        private static func step(_ model: Model, _ old: [[Event]], _ generator: inout SeededGenerator) -> Step
        {
            // Ids that follow each other, as new events have them, and others.
            func new(_ type: String, _ stream: String?) -> Event {
                let isInOrder = Int.random(in: 0..<3, using: &generator) > 0
                let id = EventID("\(UInt64.random(in: 0..<(.max), using: &generator))")
                return Event(id: isInOrder ? .generate() : id, type: type, stream: stream)
            }
            let name = "s\(Int.random(in: 0..<5, using: &generator))"
            let last = model.streams[name]?.last
            switch Int.random(in: 0..<100, using: &generator) {
            case 0..<3: return Step(truncated: (name, Revision((last ?? 0) / 2 + 1)))
            case 3: return Step(deleted: name)
            case 4..<10 where !old.isEmpty:
                return Step(events: old[Int.random(in: 0..<old.count, using: &generator)])
            case 10..<13 where !old.isEmpty:
                let known = old[Int.random(in: 0..<old.count, using: &generator)][0]
                return Step(events: [new("new", name), known])
            case 13..<20: return Step(events: [new("pair", name), new("pair", name)])
            case 20..<25: return Step(events: [new("loose", nil)])
            default:
                let choices: [ExpectedRevision] = [
                    .any, .any, .any, .noStream, .streamExists, .exact(Revision(last ?? 0)),
                    .exact(Revision(last ?? 0)), .exact(Revision((last ?? 0) + 1)),
                ]
                let expected = choices[Int.random(in: 0..<choices.count, using: &generator)]
                return Step(events: [new("single", name)], expected: expected)
            }
        }

        private static func run(_ step: Step, on store: PostgresEventStore) async -> Result<
            AppendResult?, EventLogError
        > {
            do throws(EventLogError) {
                if let (stream, revision) = step.truncated {
                    try await store.truncate(stream: stream, before: revision)
                    return .success(nil)
                }
                if let stream = step.deleted {
                    try await store.delete(stream: stream, expecting: .any)
                    return .success(nil)
                }
                let condition: AppendCondition =
                    step.events[0].stream.map { .stream($0, step.expected) } ?? .always
                return .success(try await store.append(step.events, if: condition))
            } catch {
                return .failure(error)
            }
        }

        /// Does a step in the model, and says whether it answers as `result`.
        private static func agrees(
            _ model: inout Model, _ step: Step, _ result: Result<AppendResult?, EventLogError>
        ) -> Bool {
            if let name = step.truncated?.stream ?? step.deleted {
                var refusal: EventLogError.Code?
                let stream = model.streams[name] ?? .init()
                if stream.last == nil {
                    refusal = .notFound
                } else if stream.isDeleted {
                    refusal = .streamDeleted
                } else if let revision = step.truncated?.before, revision.rawValue > (stream.last ?? 0) + 1 {
                    refusal = .invalidArgument
                }
                if case .failure(let error) = result { return error.code == refusal }
                model.streams[name]?.isDeleted = step.deleted != nil
                model.streams[name]?.first = max(stream.first, step.truncated?.before.rawValue ?? 0)
                return refusal == nil
            }
            let (positions, isRepeat, refusal) = model.append(step.events, step.expected)
            switch result {
            case .failure(let error): return error.code == refusal
            case .success(let value):
                guard refusal == nil, let value else { return false }
                let range = Position(positions.lowerBound)..<Position(positions.upperBound)
                let revisions = value.streams.map { $0.lastRevision.rawValue }
                let expected = model.kept[Int(positions.upperBound) - 1].revision.map { [$0] } ?? []
                return value.positions == range && value.isRepeat == isRepeat && revisions == expected
            }
        }

        @Test("each sees what the others did, whoever was last", arguments: 1...10 as ClosedRange<UInt64>)
        func turns(seed: UInt64) async throws {
            try await withDatabase { server, database in
                let stores = [
                    try await server.openStore(database), try await server.openStore(database),
                ]
                try await stores[0].withOwnThread {
                    var generator = SeededGenerator(seed: seed)
                    var model = Model()
                    var old: [[Event]] = []
                    for round in 0..<50 {
                        let who = Int.random(in: 0..<3, using: &generator)
                        for _ in 0..<Int.random(in: 1...7, using: &generator) {
                            let step = Self.step(model, old, &generator)
                            // The second store leaves the thread; so does the first, every third time.
                            let store = stores[who % 2]
                            let result =
                                who == 2
                                ? await Task { await Self.run(step, on: store) }.value
                                : await Self.run(step, on: store)
                            #expect(
                                Self.agrees(&model, step, result),
                                "seed \(seed), round \(round), store \(who): \(step) answered \(result)")
                            if case .success = result, !step.events.isEmpty { old.append(step.events) }
                        }
                    }
                    let events = try await stores[1].events(.all, offset: 0)
                    let seen = events.map {
                        Model.Kept(id: $0.id, stream: $0.stream, revision: $0.revision?.rawValue)
                    }
                    #expect(seen == model.visible, "seed \(seed)")
                    for (name, stream) in model.streams {
                        let loaded = try await stores[1].events(.stream(name), offset: 0)
                        let mine = model.visible.filter { $0.stream == name }
                        #expect(
                            loaded.map(\.revision?.rawValue) == mine.map(\.revision),
                            "seed \(seed), \(stream)")
                    }
                    #expect(try await stores[0].end() == Position(UInt64(model.kept.count)), "seed \(seed)")
                }
                for store in stores { await store.close() }
            }
        }
    }
#endif
