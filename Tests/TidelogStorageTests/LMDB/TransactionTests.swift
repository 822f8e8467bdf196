import Testing

@testable import TidelogStorage

@Suite("Transactions")
struct TransactionTests {
    let directory = ScratchDirectory()
    let environment: Environment
    let numbers: Database
    let names: Database

    init() throws {
        self.environment = try self.directory.open()
        self.numbers = try self.environment.openDatabase("numbers", integerKeys: true, create: true)
        self.names = try self.environment.openDatabase("names", integerKeys: false, create: true)
    }

    @Test("a throwing body leaves nothing behind, and the next transaction goes on")
    func throwingBody() throws {
        try self.environment.write { (transaction) throws(StorageError) in
            try transaction.put(self.numbers, 1, [1])
        }
        let before = try self.environment.newestMetaTransactionID()
        expectError(.cancelled) {
            try self.environment.write { (transaction) throws(StorageError) in
                try transaction.put(self.numbers, 1, [2])
                try transaction.put(self.numbers, 2, [2])
                try transaction.put(self.names, [3], [3])
                throw StorageError(.cancelled, "no")
            }
        }
        #expect(try self.environment.newestMetaTransactionID() == before)
        try self.environment.read { (transaction) throws(StorageError) in
            #expect(try transaction.value(self.numbers, 1) == [1])
            #expect(try transaction.integerKeys(self.numbers) == [1])
            #expect(try transaction.entryCount(self.names) == 0)
        }
        try self.environment.write { (transaction) throws(StorageError) in
            #expect(transaction.id == before + 1)
            try transaction.put(self.numbers, 2, [5])
        }
        #expect(try self.environment.newestMetaTransactionID() == before + 1)
    }

    @Test("a write transaction that ends without a commit is undone")
    func undone() throws {
        do {
            let transaction = try self.environment.beginWrite()
            try transaction.put(self.numbers, 1, [1])
            #expect(try transaction.value(self.numbers, 1) == [1])
        }
        try self.environment.read { (transaction) throws(StorageError) in
            #expect(try transaction.value(self.numbers, 1) == nil)
        }
        let transaction = try self.environment.beginWrite()
        try transaction.put(self.numbers, 1, [2])
        try transaction.commit()
        try self.environment.read { (transaction) throws(StorageError) in
            #expect(try transaction.value(self.numbers, 1) == [2])
        }
    }

    @Test("a reader keeps seeing what was there when it began, whatever is committed meanwhile")
    func isolation() throws {
        try self.environment.write { (transaction) throws(StorageError) in
            try transaction.put(self.numbers, 1, [1])
        }
        let reader = try self.environment.beginRead()
        for value in 2...50 as ClosedRange<UInt8> {
            try self.environment.write { (transaction) throws(StorageError) in
                try transaction.put(self.numbers, 1, [value])
                try transaction.put(self.numbers, UInt64(value), [value])
            }
        }
        #expect(try reader.value(self.numbers, 1) == [1])
        #expect(try reader.integerKeys(self.numbers) == [1])
        let newer = try self.environment.beginRead()
        #expect(newer.id == reader.id + 49)
        #expect(try newer.value(self.numbers, 1) == [50])
    }

    @Test("a write transaction inside another of the same thread is an error and not a standstill")
    func nested() throws {
        let transaction = try self.environment.beginWrite()
        expectError(.invalidArgument) { try self.environment.write { _ in } }
        try transaction.put(self.numbers, 1, [1])
        try transaction.commit()
        try self.environment.write { _ in }
    }

    @Test("write transactions of several threads come one after the other, and none is lost")
    func serialized() throws {
        let environment = self.environment
        let numbers = self.numbers
        let threads = try (0..<4).map { index in
            try WorkerThread(name: "writer-\(index)") {
                for _ in 0..<25 {
                    do throws(StorageError) {
                        try environment.write { (transaction) throws(StorageError) in
                            let old = try transaction.value(numbers, 0)?.first ?? 0
                            try transaction.put(numbers, 0, [old + 1])
                        }
                    } catch {
                        Issue.record(error)
                    }
                }
            }
        }
        for thread in threads { thread.join() }
        try environment.read { (transaction) throws(StorageError) in
            #expect(try transaction.value(numbers, 0) == [100])
        }
    }

    @Test("keys of 1 to 511 bytes are taken, all others are refused and nothing is written")
    func keyLengths() throws {
        for count in [1, 2, 510, 511] {
            let key = [UInt8](repeating: 7, count: count)
            try self.environment.write { (transaction) throws(StorageError) in
                try transaction.put(self.names, key, [1])
            }
            try self.environment.read { (transaction) throws(StorageError) in
                #expect(try transaction.get(self.names, key: key) { Array($0) } == [1])
            }
        }
        for count in [0, 512, 10_000] {
            let key = [UInt8](repeating: 7, count: count)
            let error = expectError(.invalidArgument) {
                try self.environment.write { (transaction) throws(StorageError) in
                    try transaction.put(self.names, key, [1])
                }
            }
            #expect(error?.message.contains("\(count) bytes") == true)
            expectError(.invalidArgument) {
                try self.environment.write { (transaction) throws(StorageError) in
                    _ = try transaction.delete(self.names, key: key)
                }
            }
            expectError(.invalidArgument) {
                try self.environment.read { (transaction) throws(StorageError) in
                    _ = try transaction.get(self.names, key: key) { $0.count }
                }
            }
        }
        #expect(try self.environment.read { (t) throws(StorageError) in try t.entryCount(self.names) } == 4)
    }

    @Test("values of any size come back whole, also an empty one and those over many pages")
    func valueSizes() throws {
        for count in [0, 1, 1000, 2000, 4096, 5000, 1 << 20] {
            let value = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            try self.environment.write { (transaction) throws(StorageError) in
                try transaction.put(self.numbers, UInt64(count), value)
                try transaction.reserve(self.numbers, key: UInt64(count) + 1, count: count, append: false) {
                    $0.copyBytes(from: value)
                }
            }
            try self.environment.read { (transaction) throws(StorageError) in
                #expect(try transaction.value(self.numbers, UInt64(count)) == value)
                #expect(try transaction.value(self.numbers, UInt64(count) + 1) == value)
            }
        }
    }

    @Test("integer keys are ordered by value, up to the largest")
    func integerOrder() throws {
        let keys: [UInt64] = [0, 1, 255, 256, 65_536, 1 << 32, 1 << 63, .max]
        try self.environment.write { (transaction) throws(StorageError) in
            for key in keys.reversed() { try transaction.put(self.numbers, key, [1]) }
        }
        try self.environment.read { (transaction) throws(StorageError) in
            #expect(try transaction.integerKeys(self.numbers) == keys)
            #expect(try transaction.integerKeys(self.numbers, from: .last, .backwards) == keys.reversed())
        }
    }

    @Test("an append that is not after all others is an error, and the transaction can go on")
    func append() throws {
        try self.environment.write { (transaction) throws(StorageError) in
            try transaction.reserve(self.numbers, key: 5, count: 1, append: true) { $0[0] = 5 }
            expectError(.alreadyExists) {
                try transaction.reserve(self.numbers, key: 5, count: 1, append: true) { $0[0] = 6 }
            }
            expectError(.alreadyExists) {
                try transaction.reserve(self.numbers, key: 4, count: 1, append: true) { $0[0] = 6 }
            }
            try transaction.put(self.names, [2], [2], append: true)
            expectError(.alreadyExists) { try transaction.put(self.names, [1], [1], append: true) }
            try transaction.reserve(self.numbers, key: 6, count: 1, append: true) { $0[0] = 6 }
        }
        try self.environment.read { (transaction) throws(StorageError) in
            #expect(try transaction.integerKeys(self.numbers) == [5, 6])
            #expect(try transaction.value(self.numbers, 5) == [5])
            #expect(try transaction.keys(self.names) == [[2]])
        }
    }

    @Test("deleting tells whether there was something")
    func delete() throws {
        try self.environment.write { (transaction) throws(StorageError) in
            try transaction.put(self.numbers, 1, [1])
            try transaction.put(self.names, [1], [1])
            #expect(try transaction.delete(self.numbers, key: 1))
            #expect(try !transaction.delete(self.numbers, key: 1))
            #expect(try transaction.delete(self.names, key: [1]))
            #expect(try !transaction.delete(self.names, key: [1]))
        }
    }

    @Test("a value out of a closure can be something that is not copyable")
    func noncopyableResult() throws {
        let descriptor = try self.environment.read { _ throws(StorageError) in
            try Files.openReadOnlyNoFollow(self.directory.file("a.mdb"))
        }
        #expect(try Files.status(descriptor: descriptor.number).size > 0)
    }

    @Test("a full map is an error, nothing of the transaction is there, and smaller ones go on")
    func mapFull() throws {
        let small = try self.directory.open("small.mdb") { $0.mapSizeBytes = 1 << 20 }
        let database = try small.openDatabase("x", integerKeys: true, create: true)
        try small.write { (transaction) throws(StorageError) in
            try transaction.put(database, 1, [UInt8](repeating: 1, count: 100_000))
        }
        let error = expectError(.mapFull) {
            try small.write { (transaction) throws(StorageError) in
                for key in 2..<100 as Range<UInt64> {
                    try transaction.put(database, key, [UInt8](repeating: 1, count: 100_000))
                }
            }
        }
        #expect(error?.number == -30792)
        // A body that goes on after the error cannot commit half of it.
        #expect(throws: StorageError.self) {
            try small.write { (transaction) throws(StorageError) in
                try transaction.put(database, 2, [2])
                do throws(StorageError) {
                    try transaction.put(database, 3, [UInt8](repeating: 1, count: 2 << 20))
                } catch { #expect(error.code == .mapFull) }
            }
        }
        try small.write { (transaction) throws(StorageError) in
            #expect(try transaction.integerKeys(database) == [1])
            try transaction.put(database, 2, [2])
        }
        try small.read { (transaction) throws(StorageError) in
            #expect(try transaction.integerKeys(database) == [1, 2])
        }
    }
}
