import Testing

@testable import TidelogStorage

@Suite("The list of hidden streams")
struct HiddenStreamsTests {
    let scratch = EngineScratch()

    @Test("is what its changes make of it, one after the other", arguments: [1, 2, 3])
    func changes(seed: UInt64) {
        var random = FrameNumbers(seed: seed)
        var expected: [ExactText: UInt64] = [:]
        for number in 0..<UInt64.random(in: 0...3000, using: &random) {
            expected[ExactText("s\(number)")] = number
        }
        var list = HiddenStreams(expected)
        for version in 1...4000 as ClosedRange<UInt64> {
            let entries = (0..<Int.random(in: 0...3, using: &random)).map { _ -> (ExactText, UInt64?) in
                let name = ExactText("s\(Int.random(in: 0..<5000, using: &random))")
                return (name, Bool.random(using: &random) ? version : nil)
            }
            for (name, lowest) in entries { expected[name] = lowest }
            list = list.changed(by: HiddenChange(version: version, entries: entries))
            #expect(list.count == expected.count && list.isEmpty == expected.isEmpty, "seed \(seed)")
            let name = ExactText("s\(Int.random(in: 0..<5000, using: &random))")
            #expect(list[name] == expected[name], "seed \(seed)")
            if version % 500 == 0 { #expect(list.all == expected, "seed \(seed)") }
        }
    }

    /// The list as the head has it.
    private static func stored(_ engine: LogEngine) throws -> [ExactText: UInt64] {
        try engine.head.environment.read { transaction throws(StorageError) in
            try engine.head.databases.hiddenStreams(in: transaction).all
        }
    }

    @Test("is in memory what it is in the head: after truncating, deleting, compacting and opening again")
    func asInTheHead() throws {
        var engine = try self.scratch.open()
        for number in 0..<300 { _ = try engine.appendBlocking(Self.events(number)) }
        for number in 0..<200 {
            if number % 3 == 0 {
                try engine.delete(stream: "s\(number)", expecting: .any)
            } else {
                try engine.truncate(stream: "s\(number)", before: UInt64(number % 3))
            }
            #expect(try engine.currentView().hidden.all == Self.stored(engine))
        }
        #expect(try engine.currentView().hidden.count == 200)
        for number in 100..<250 { try? engine.truncate(stream: "s\(number)", before: 2) }
        #expect(try engine.currentView().hidden.all == Self.stored(engine))
        #expect(try engine.currentView().hidden.count == 250)
        _ = try engine.seal()
        _ = try engine.appendBlocking([EngineScratch.record(9000, stream: "s1")])
        _ = try engine.compact(CompactionPolicy())
        // Only of the stream that has an event in the active segment something may be left to hide.
        #expect(try engine.currentView().hidden.all.keys.map(\.text) == ["s1"])
        #expect(try engine.currentView().hidden.all == Self.stored(engine))
        engine.close()
        engine = try self.scratch.open()
        #expect(try engine.currentView().hidden.all == Self.stored(engine))
        for number in 0..<200 {
            let name = "s\(number)"
            #expect(try engine.stream(name)?.isDeleted == (number % 3 == 0))
        }
        engine.close()
    }

    private static func events(_ stream: Int) -> [EventRecord] {
        EngineScratch.records(stream * 3..<stream * 3 + 3, stream: "s\(stream)")
    }

    @Test("is that of another process where its change went ahead of one that failed")
    func overtaken() throws {
        let engine = try self.scratch.open()
        for number in 0..<3 { _ = try engine.appendBlocking(Self.events(number)) }
        try engine.truncate(stream: "s0", before: 1)
        let seen = Lock<[Bool]>([])
        self.scratch.seam.fail(
            .overtaken(.diskFull) { () throws(StorageError) in
                let transaction = try engine.head.beginWrite()
                try transaction.setRecord(
                    .hiddenStreams, key: Array("s2".utf8), value: HeadKeys.integer(2))
                var state = try engine.head.databases.state(in: transaction.transaction)
                state.hiddenVersion += 1
                try transaction.setState(state)
                try transaction.commit(through: .durable)
                let list = try engine.currentView().hidden
                seen.withLock { $0 = [list[ExactText("s0")] == 1, list[ExactText("s1")] == nil] }
            })
        expectError(.diskFull) { try engine.truncate(stream: "s1", before: 1) }
        #expect(seen.withLock { $0 } == [true, true])
        #expect(try engine.currentView().hidden.all == [ExactText("s0"): 1, ExactText("s2"): 2])
        try engine.truncate(stream: "s1", before: 2)
        let expected = [ExactText("s0"): 1, ExactText("s1"): 2, ExactText("s2"): 2] as [ExactText: UInt64]
        #expect(try engine.currentView().hidden.all == expected)
        #expect(try engine.records(RecordQuery()).count == 2 + 1 + 1)
        engine.close()
    }
}
