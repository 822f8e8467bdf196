#if Postgres
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("What a connection knows of its last append")
    struct AppendChainTests {
        /// An append of one event as a connection plans it.
        private static func single(
            _ id: EventID = .generate(), stream: String? = nil, _ expected: ExpectedRevision = .any
        ) throws -> SingleAppend {
            let context = StoreContext(
                settings: PostgresSettings(""), configuration: .init(), logID: .generate(),
                layout: .single)
            let condition: AppendCondition = stream.map { .stream($0, expected) } ?? .always
            return try #require(
                SingleAppend([Event(id: id, type: "t", stream: stream)], condition, [], in: context))
        }

        private static let log = AppendChain.Log(nextPosition: 7, changes: 3, newestID: Array("b".utf8))

        @Test("a connection goes by its last append until somebody else writes, then rests")
        func chain() throws {
            var chain = AppendChain()
            let single = try Self.single("a")
            func plan(isNext: Bool) throws -> AppendPlan {
                #expect(chain.isKnown == isNext)
                let planned = chain.plan(single)
                let plan = try #require(planned)
                #expect((plan.shape.knowledge != .nothing) == isNext)
                return plan
            }
            var first = try plan(isNext: false)
            // The rest doubles each time that it was wrong in a row, up to a limit.
            for rest in [2, 4, 8, 16, 32, 64, 64] {
                chain.note(first, single.id, revision: 0, before: Self.log)
                let next = try plan(isNext: true)
                #expect(next.position == 8 && next.changes == 3)
                chain.miss(next)
                first = try plan(isNext: false)
                chain.note(first, single.id, revision: 0, before: Self.log)
                for _ in 0..<rest { first = try plan(isNext: false) }
            }
            let next = try plan(isNext: true)
            chain.note(next, single.id, revision: 0, before: nil)
            chain.miss(try plan(isNext: true))
            chain.note(first, single.id, revision: 0, before: Self.log)
            for _ in 0..<2 { first = try plan(isNext: false) }
            _ = try plan(isNext: true)
            chain.end()
            _ = try plan(isNext: false)
            // A log with hidden streams is looked at each time.
            chain.note(first, single.id, revision: 0, before: nil)
            _ = try plan(isNext: false)
        }

        @Test("what is known of ids and streams is what the appends brought, and no more")
        func known() throws {
            var chain = AppendChain()
            func append(
                _ id: EventID, _ stream: String?, _ revision: Int64, before log: AppendChain.Log? = nil
            ) throws {
                let single = try Self.single(id, stream: stream)
                let plan = chain.plan(single)
                chain.note(try #require(plan), single.id, revision: revision, before: log)
            }
            func plan(_ id: EventID, _ stream: String? = nil, _ expected: ExpectedRevision = .any) throws
                -> AppendPlan?
            {
                chain.plan(try Self.single(id, stream: stream, expected))
            }
            try append("a", "s", 4, before: Self.log)
            for (id, knowledge) in [
                ("a", .row), ("b", .row), ("ab", .row), ("ba", .rowAndID), ("c", .rowAndID), ("é", .rowAndID),
            ] as [(EventID, SingleAppendText.Knowledge)] {
                #expect(try plan(id)?.shape.knowledge == knowledge, "\(id)")
            }
            try append("c", "t", 0)
            #expect(try plan("bz")?.shape.knowledge == .row && plan("ca")?.shape.knowledge == .rowAndID)
            // An older id changes nothing in that.
            try append("aa", "s", 5)
            #expect(try plan("bz")?.shape.knowledge == .row && plan("ca")?.shape.knowledge == .rowAndID)
            for expected in [.any, .streamExists, .exact(Revision(5))] as [ExpectedRevision] {
                let plan = try #require(try plan("d", "s", expected))
                #expect(plan.shape.expectation == .met && plan.last == 5 && plan.position == 10)
            }
            for expected in [.noStream, .exact(Revision(4)), .exact(Revision(6))] as [ExpectedRevision] {
                #expect(try plan("d", "s", expected) == nil)
            }
            #expect(try plan("d", "u")?.shape.expectation == .any)
            #expect(try plan("d", "u", .streamExists)?.shape.expectation == .exists)
            let exact = try #require(try plan("d", "u", .exact(Revision(9))))
            #expect(exact.shape.expectation == .exact && exact.last == 9)
            #expect(try plan("d", "u", .noStream)?.last == nil)
            #expect(try plan("d", nil)?.shape.expectation == .streamless)
            // Names that look alike are different ones.
            try append("d", "\u{E9}", 1)
            #expect(try plan("e", "e\u{301}")?.shape.expectation == .any)
            #expect(try plan("e", "\u{E9}")?.shape.expectation == .met)
            // Not more streams are remembered than a limit.
            for number in 0...AppendChain.Log.mostRevisions {
                try append(EventID("e\(number)"), "n\(number)", 0)
            }
            #expect(try plan("f", "s")?.shape.expectation == .any)
            #expect(try plan("f", "n\(AppendChain.Log.mostRevisions)")?.shape.expectation == .met)
        }

        @Test("an append after another of the same connection goes by the log's row alone, in every shape")
        func shapes() async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database)
                let context = store.core.context
                let connection = try server.connect(database)
                var count = 0
                func append(
                    _ stream: String?, _ expected: ExpectedRevision?, _ id: EventID = .generate()
                ) throws -> AppendResult? {
                    let condition: AppendCondition = expected.map { .stream(stream ?? "", $0) } ?? .always
                    let request = try AppendRequest(
                        [Event(id: id, type: "t", stream: stream)], condition, [], in: context)
                    return try connection.append(try #require(request.single), in: context)
                }
                // Every expectation: of a stream that was not written before, and of one that was.
                for knowledge in SingleAppendText.Knowledge.allCases {
                    let name = "s\(knowledge.rawValue)"
                    func next(_ stream: String?, _ expected: ExpectedRevision?) throws -> AppendResult? {
                        if knowledge == .nothing { connection.chain.end() }
                        if !connection.chain.isKnown, knowledge != .nothing { _ = try append(nil, nil) }
                        // An id before all others is looked up.
                        let id =
                            knowledge == .rowAndID
                            ? EventID.generate() : EventID("!\(knowledge.rawValue).\(count)")
                        count += 1
                        return try append(stream, expected, id)
                    }
                    for (suffix, cases) in [
                        ("", [.noStream, .any, .streamExists, .exact(Revision(2)), nil]),
                        ("b", [.any, .exact(.zero)]),
                    ] as [(String, [ExpectedRevision?])] {
                        for isForgotten in [false, true] {
                            let stream = "\(name)\(suffix)\(isForgotten)"
                            for (revision, expected) in cases.enumerated() {
                                if isForgotten { connection.chain = AppendChain() }
                                let result = try #require(try next(stream, expected))
                                #expect(result.streams.map(\.lastRevision) == [Revision(UInt64(revision))])
                            }
                        }
                    }
                    #expect(try #require(try next(nil, nil)).streams.isEmpty)
                    for isForgotten in [false, true] {
                        for expected in [.noStream, .exact(Revision(300)), .exact(Revision(900))]
                            as [ExpectedRevision]
                        {
                            _ = try next("\(name)c", .any)
                            if isForgotten { connection.chain = AppendChain() }
                            #expect(try next("\(name)c", expected) == nil)
                            // What is known to fail is not tried; what was tried ends the chain.
                            #expect(connection.chain.isKnown == (knowledge != .nothing && !isForgotten))
                        }
                    }
                    connection.chain = AppendChain()
                    #expect(try next("none", .streamExists) == nil)
                    connection.chain = AppendChain()
                }
                let unused = SingleAppendText.Shape(expectation: .met, knowledge: .nothing)
                for shape in SingleAppendText.Shape.all where shape != unused {
                    #expect(connection.placed[2 + shape.number] != nil, "\(shape)")
                }
                _ = try append(nil, nil)
                // Where a stream is hidden, each append must look.
                try await store.truncate(stream: "s0false", before: Revision(1))
                _ = try #require(try append(nil, nil) ?? (try append(nil, nil)))
                #expect(!connection.chain.isKnown)
                await store.close()
            }
        }
    }
#endif
