#if Postgres
    import Testing
    import Tidelog
    import TidelogTesting

    @testable import TidelogPostgres

    @Suite("Streams by their prefix")
    struct PrefixTests {
        private static let alphabet = [
            "a", "b", "z", "~", "é", "\u{301}", "\u{D7FF}", "\u{E000}", "\u{10FFFF}",
        ]

        private static func name(_ generator: inout SeededGenerator) -> String {
            (0..<Int.random(in: 1...4, using: &generator)).map { _ in
                Self.alphabet[Int.random(in: 0..<Self.alphabet.count, using: &generator)]
            }.joined()
        }

        @Test("the end of a prefix is the first text behind it, in the order of bytes")
        func end() {
            #expect(StoreSelection.end(ofPrefix: "order-") == "order.")
            #expect(StoreSelection.end(ofPrefix: "a\u{D7FF}") == "a\u{E000}")
            #expect(StoreSelection.end(ofPrefix: "a\u{10FFFF}\u{10FFFF}") == "b")
            #expect(StoreSelection.end(ofPrefix: "\u{7F}") == "\u{80}")
            #expect(
                StoreSelection.end(ofPrefix: "\u{10FFFF}") == nil && StoreSelection.end(ofPrefix: "") == nil)
        }

        @Test(
            "a prefix selects the streams whose names begin with its bytes",
            arguments: 1...3 as ClosedRange<UInt64>)
        func selects(seed: UInt64) async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database)
                var generator = SeededGenerator(seed: seed)
                let names = (0..<300).map { _ in Self.name(&generator) }
                try await store.append(names.map { Event(type: "t", stream: $0) }, if: .always)
                let prefixes = Self.alphabet + (0..<60).map { _ in Self.name(&generator) }
                for prefix in prefixes {
                    var query = EventQuery.all
                    query.streamPrefix = prefix
                    let found = try await store.events(query).compactMap { $0.stream.map { Array($0.utf8) } }
                    let expected = names.map { Array($0.utf8) }.filter { $0.starts(with: prefix.utf8) }
                    #expect(found == expected, "seed \(seed), prefix \(prefix.unicodeScalars.map(\.value))")
                }
                await store.close()
            }
        }

        @Test("a page that costs as much as a large one is as large as fits, going by the events read before")
        func pages() async throws {
            try await withDatabase { server, database in
                let store = try await server.openStore(database)
                var query = EventQuery.all
                query.streamPrefix = "s"
                func size(_ query: EventQuery) throws -> Int { try PagePlan(query, store.core).size }
                #expect(try size(query) == 1024)
                #expect(try size(.all) == 256)
                for (bytes, name) in [(10, "small"), (20_000, "large")] {
                    let events = (0..<600).map { _ in
                        Event(
                            type: "t", stream: "s-\(name)",
                            payload: EventPayload(
                                bytes: Array(repeating: 7, count: bytes)[...],
                                contentType: "application/octet-stream"))
                    }
                    try await store.append(events, if: .always)
                    query.streamPrefix = "s-\(name)"
                    #expect(try await store.count(query) == 600)
                    #expect(try await store.events(.stream("s-\(name)"), offset: 0).count == 600)
                    let expected = bytes == 10 ? 4000...4000 : 150...210
                    let found = try size(query)
                    #expect(expected.contains(found), "\(found)")
                    #expect(try await store.events(query, offset: 0).count == 600)
                }
                #expect(try size(.all) == 256)
                await store.close()
            }
        }
    }
#endif
