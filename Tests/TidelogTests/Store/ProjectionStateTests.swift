import Testing
import TidelogStorage
import TidelogTesting

@testable import Tidelog

@Suite("The state of a projection in memory")
struct ProjectionStateTests {
    /// What is stored, as the head would have it.
    private final class Store: Sendable {
        let values = Lock<[[UInt8]: ProjectionValue]>([:])
    }

    @Test("is what a dictionary would be, through random changes, commits and failures")
    func random() throws {
        let seed = TestSeed.draw(for: "the state of a projection")
        var random = SeededGenerator(seed: seed)
        let store = Store()
        var state = ProjectionState(isComplete: true) { key throws(StorageError) in
            store.values.withLock { $0[key] }
        }
        var known: [String: ProjectionValue] = [:]
        for step in 0..<30_000 {
            let number = random.below(random.chance(permille: 500) ? 20 : 3000)
            let (prefix, rest) = ("group-\(number % 7)/", number % 3 == 0 ? "\(number)" : "ключ \(number)")
            let key = prefix + rest
            switch random.below(8) {
            case 0...2:
                let sum = (known[key]?.integer ?? 0) + Int64(step)
                let answer =
                    random.chance(permille: 500)
                    ? try state.add(Int64(step), to: prefix, rest) : try state.add(Int64(step), to: key)
                #expect(answer == sum, "seed \(seed)")
                known[key] = .integer(sum)
            case 3:
                try state.set(key, .bytes([UInt8(step % 256), 7]))
                known[key] = .bytes([UInt8(step % 256), 7])
            case 4:
                try state.set(key, .json(Array("[\(step)]".utf8)))
                known[key] = .json(Array("[\(step)]".utf8))
            case 5:
                try state.remove(key)
                known[key] = nil
            case 6: #expect(try state.value(key) == known[key], "seed \(seed)")
            default: #expect(try state.integer(key) == known[key]?.integer, "seed \(seed)")
            }
            if random.chance(permille: 4) {
                try Self.apply(state.changes(prefix: []), to: store)
                state.committed()
                let stored = store.values.withLock { $0 }
                #expect(stored.count == known.count, "seed \(seed)")
                #expect(known.allSatisfy { stored[Array($0.key.utf8)] == $0.value }, "seed \(seed)")
            } else if random.chance(permille: 1) {
                // The batch failed: what was committed is what there is.
                state.reset(isComplete: false)
                known = .init(
                    uniqueKeysWithValues: store.values.withLock { values in
                        values.map { (String(decoding: $0.key, as: UTF8.self), $0.value) }
                    })
            }
        }
    }

    private static func apply(_ changes: [RecordChange], to store: Store) throws {
        try store.values.withLock { values in
            for change in changes {
                switch change {
                case .set(_, let key, let value): values[key] = try ProjectionValue(stored: value)
                case .remove(_, let key): values[key] = nil
                }
            }
        }
    }

    @Test("has keys of 1 to 400 bytes, also where they are told in two parts")
    func limits() throws {
        var state = ProjectionState(isComplete: true) { _ throws(StorageError) in nil }
        let long = String(repeating: "a", count: 400)
        #expect(try state.add(2, to: "", long) == 2)
        #expect(try state.add(3, to: long, "") == 5)
        for (prefix, rest) in [("", ""), (long, "b"), ("b", long)] {
            #expect(throws: EventLogError.self) { try state.add(1, to: prefix, rest) }
            #expect(throws: EventLogError.self) { try state.set(prefix + rest, .integer(1)) }
        }
        #expect(try state.integer(long) == 5)
    }

    @Test(
        "refuses to read what cannot be a key, whether it knows all that is stored or not",
        arguments: [true, false])
    func unreadable(isComplete: Bool) throws {
        var state = ProjectionState(isComplete: isComplete) { _ throws(StorageError) in nil }
        for key in ["", String(repeating: "a", count: 401)] {
            expectCode(.invalidArgument) { _ = try state.value(key) }
            expectCode(.invalidArgument) { _ = try state.integer(key) }
            expectCode(.invalidArgument) { _ = try state.decode(key, as: Int.self) }
        }
        #expect(try state.value("a") == nil)
    }
}
