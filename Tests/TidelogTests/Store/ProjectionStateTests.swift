import Testing
import Tidelog
import TidelogTesting

@Suite("The state of a projection")
struct ProjectionStateTests {
    @Test("keys that look alike have values of their own, and many of them keep theirs")
    func keys() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append((0..<3000).map { Event(type: "n.x", payload: .init(text: "\($0)")) })
            let long = String(repeating: "k", count: 396)
            let projection = Projection("keys", of: .all) { stored, state in
                let number = Int64(stored.payload.text ?? "") ?? 0
                try state.set("\(long)\(number % 1000)", .integer(number))
                try state.add(1, to: "\u{E9}")
                try state.add(2, to: "e\u{301}")
                if number % 1000 == 999 { try state.remove("\(long)0") }
                if number == 5 { try state.set("bytes", .bytes([1])) }
                if number == 6 { try state.add(4, to: "bytes") }
            }
            try await log.catchUp(projection)
            let state = log.projection("keys")
            #expect(try await state.integer("\u{E9}") == 3000)
            #expect(try await state.integer("e\u{301}") == 6000)
            #expect(try await state.integer("bytes") == 4)
            #expect(try await state.integer("\(long)0") == nil)
            for number in Int64(1)..<1000 {
                #expect(try await state.integer("\(long)\(number)") == 2000 + number)
            }
            await log.close()
        }
    }

    @Test("values of every kind, by key, prefix and range, a page at a time")
    func reading() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append((0..<10).map { Event(type: "k", payload: .init(text: "\($0)")) })
            struct Value: Codable, Equatable { var number: Int }
            try await log.catchUp(
                Projection("kv", of: .all) { stored, state in
                    let number = Int(stored.payload.text ?? "") ?? 0
                    try state.encode("json/\(number)", Value(number: number))
                    try state.set("bytes/\(number)", .bytes([UInt8(number)]))
                    #expect(try state.decode("json/\(number)", as: Value.self) == Value(number: number))
                })
            let reader = log.projection("kv")
            #expect(try await reader.decode("json/3", as: Value.self) == Value(number: 3))
            #expect(try await reader.value("bytes/4") == .bytes([4]))
            #expect(try await reader.value("none") == nil)
            #expect(try await reader.entries(prefix: "json/").count == 10)
            let page = try await reader.entries(prefix: "json/", after: "json/3", limit: 2)
            #expect(page.map(\.key) == ["json/4", "json/5"])
            let range = try await reader.entries(from: "bytes/8", to: "json/2")
            #expect(range.map(\.key) == ["bytes/8", "bytes/9", "json/0", "json/1"])
            await expectCode(.invalidArgument) { _ = try await reader.entries(limit: 0) }
            await expectCode(.invalidArgument) { _ = try await reader.value("") }
            #expect(try await log.projection("none").entries().isEmpty)
            #expect(try await log.projection("none").status() == nil)
            try await log.deleteProjection("kv")
            #expect(try await reader.entries().isEmpty)
            await expectCode(.notFound) { try await log.deleteProjection("kv") }
            await log.close()
        }
    }
}
