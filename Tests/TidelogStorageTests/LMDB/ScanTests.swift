import Testing
import TidelogTesting

@testable import TidelogStorage

@Suite("Scans and ranges")
struct ScanTests {
    let directory = ScratchDirectory()

    @Test("every scan from every start agrees with a sorted array, both ways")
    func integerScans() throws {
        let environment = try self.directory.open()
        let database = try environment.openDatabase("x", integerKeys: true, create: true)
        let keys: [UInt64] = [3, 4, 10, 11, 12, 1000, .max]
        try environment.write { (transaction) throws(StorageError) in
            for key in keys { try transaction.put(database, key, [1]) }
        }
        try environment.read { (transaction) throws(StorageError) in
            for start: UInt64 in [0, 3, 5, 10, 12, 13, 1000, 1001, .max - 1, .max] {
                #expect(
                    try transaction.integerKeys(database, from: .atOrAfterInteger(start))
                        == keys.filter { $0 >= start })
                #expect(
                    try transaction.integerKeys(database, from: .atOrBeforeInteger(start), .backwards)
                        == keys.filter { $0 <= start }.reversed())
                #expect(
                    try transaction.integerKeys(database, from: .atOrAfterInteger(start), .backwards)
                        == keys.firstIndex { $0 >= start }.map { keys[...$0].reversed() } ?? [])
                #expect(
                    try transaction.integerKeys(database, from: .atOrBeforeInteger(start))
                        == keys.lastIndex { $0 <= start }.map { Array(keys[$0...]) } ?? [])
            }
        }
    }

    @Test("scans over keys of bytes agree with a sorted array, both ways")
    func byteScans() throws {
        let environment = try self.directory.open()
        let database = try environment.openDatabase("x", integerKeys: false, create: true)
        let keys: [[UInt8]] = [[1], [1, 0], [1, 0, 0], [1, 2], [2], [2, 255], [3, 0, 1]]
        try environment.write { (transaction) throws(StorageError) in
            for key in keys.shuffled() { try transaction.put(database, key, key) }
        }
        let starts: [[UInt8]] = [[], [0], [1], [1, 0], [1, 1], [2], [2, 255, 0], [3], [3, 0, 1], [9]]
        try environment.read { (transaction) throws(StorageError) in
            for start in starts {
                #expect(
                    try transaction.keys(database, from: .atOrAfter(start))
                        == keys.filter { !$0.lexicographicallyPrecedes(start) })
                if start.isEmpty { continue }
                #expect(
                    try transaction.keys(database, from: .atOrBefore(start), .backwards)
                        == keys.filter { !start.lexicographicallyPrecedes($0) }.reversed())
            }
        }
    }

    @Test("a scan stops where its body says, and passes on what its body throws")
    func stopping() throws {
        let environment = try self.directory.open()
        let database = try environment.openDatabase("x", integerKeys: true, create: true)
        try environment.write { (transaction) throws(StorageError) in
            for key in 0..<10 as Range<UInt64> { try transaction.put(database, key, [UInt8(key)]) }
        }
        var seen: [UInt8] = []
        try environment.read { (transaction) throws(StorageError) in
            try transaction.scan(database, from: .first) { _, value in
                seen.append(value[0])
                return seen.count < 3
            }
        }
        #expect(seen == [0, 1, 2])
        expectError(.cancelled) {
            try environment.read { (transaction) throws(StorageError) in
                try transaction.scan(database, from: .first) { _, _ throws(StorageError) in
                    throw StorageError(.cancelled, "")
                }
            }
        }
    }

    @Test("a scan of an empty database finds nothing, from any start")
    func emptyScan() throws {
        let environment = try self.directory.open()
        let numbers = try environment.openDatabase("x", integerKeys: true, create: true)
        let names = try environment.openDatabase("y", integerKeys: false, create: true)
        try environment.read { (transaction) throws(StorageError) in
            for start in [.first, .last, .atOrAfterInteger(1), .atOrBeforeInteger(1)] as [CursorStart] {
                #expect(try transaction.integerKeys(numbers, from: start) == [])
            }
            for start in [.first, .last, .atOrAfter([]), .atOrBefore([]), .atOrBefore([1])] as [CursorStart] {
                #expect(try transaction.keys(names, from: start) == [])
            }
        }
    }

    @Test("a range is deleted in slices, exactly up to its bound")
    func deleteRange() throws {
        let environment = try self.directory.open()
        let database = try environment.openDatabase("x", integerKeys: true, create: true)
        try environment.write { (transaction) throws(StorageError) in
            for key in 0..<1000 as Range<UInt64> {
                try transaction.put(database, key, [UInt8](repeating: 1, count: 50))
            }
        }
        var counts: [Int] = []
        repeat {
            counts.append(
                try environment.write { (transaction) throws(StorageError) in
                    try transaction.deleteRange(database, fromInteger: 100, belowInteger: 950, limit: 300)
                })
        } while counts.last == 300
        #expect(counts == [300, 300, 250])
        try environment.read { (transaction) throws(StorageError) in
            #expect(try transaction.integerKeys(database) == Array(0..<100) + Array(950..<1000))
        }
        try environment.write { (transaction) throws(StorageError) in
            #expect(
                try transaction.deleteRange(database, fromInteger: 0, belowInteger: .max, limit: 0) == 0)
            #expect(
                try transaction.deleteRange(database, fromInteger: 0, belowInteger: .max, limit: .max) == 150)
            #expect(try transaction.entryCount(database) == 0)
        }
    }

    @Test("a range of byte keys is deleted exactly up to its bound")
    func deleteByteRange() throws {
        let environment = try self.directory.open()
        let database = try environment.openDatabase("x", integerKeys: false, create: true)
        let keys: [[UInt8]] = [[1], [1, 5], [2], [2, 0], [2, 9, 9], [3], [3, 0]]
        try environment.write { (transaction) throws(StorageError) in
            for key in keys { try transaction.put(database, key, []) }
            #expect(try transaction.deleteRange(database, from: [2], below: [3], limit: 100) == 3)
            #expect(try transaction.keys(database) == [[1], [1, 5], [3], [3, 0]])
        }
    }

    @Test("random changes leave what a dictionary would hold, after every commit and every undo")
    func model() throws {
        let seed = TestSeed.draw(for: "model of transactions")
        var numbers = SeededNumbers(seed: seed)
        let environment = try self.directory.open { $0.noSync = true }
        let database = try environment.openDatabase("x", integerKeys: true, create: true)
        var model: [UInt64: [UInt8]] = [:]
        for _ in 0..<150 {
            let before = model
            do throws(StorageError) {
                try environment.write { (transaction) throws(StorageError) in
                    for _ in 0..<Int.random(in: 1...30, using: &numbers) {
                        try Self.step(transaction, database, &model, &numbers)
                    }
                    if Int.random(in: 0..<4, using: &numbers) == 0 { throw StorageError(.cancelled, "") }
                }
            } catch {
                #expect(error.code == .cancelled)
                model = before
            }
            try environment.read { (transaction) throws(StorageError) in
                var found: [UInt64: [UInt8]] = [:]
                try transaction.scan(database, from: .first) { key, value in
                    found[key.integerKey] = Array(value)
                    return true
                }
                #expect(found == model)
                #expect(try transaction.entryCount(database) == model.count)
            }
        }
    }

    private static func step(
        _ transaction: borrowing WriteTransaction, _ database: Database, _ model: inout [UInt64: [UInt8]],
        _ numbers: inout SeededNumbers
    ) throws(StorageError) {
        let key = UInt64.random(in: 0..<200, using: &numbers)
        switch Int.random(in: 0..<8, using: &numbers) {
        case 0:
            #expect(try transaction.delete(database, key: key) == (model.removeValue(forKey: key) != nil))
        case 1:
            let bound = key + UInt64.random(in: 0..<30, using: &numbers)
            let limit = Int.random(in: 0..<20, using: &numbers)
            let gone = model.keys.filter { $0 >= key && $0 < bound }.sorted().prefix(limit)
            let count = try transaction.deleteRange(
                database, fromInteger: key, belowInteger: bound, limit: limit)
            #expect(count == gone.count)
            for key in gone { model[key] = nil }
        default:
            let large = Int.random(in: 0..<10, using: &numbers) == 0
            let value = [UInt8](
                repeating: UInt8(truncatingIfNeeded: numbers.next()),
                count: Int.random(in: 0..<(large ? 20_000 : 300), using: &numbers))
            try transaction.put(database, key, value)
            model[key] = value
        }
    }
}
