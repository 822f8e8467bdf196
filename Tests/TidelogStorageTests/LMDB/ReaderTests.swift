import Glibc
import Testing

@testable import TidelogStorage

@Suite("Readers")
struct ReaderTests {
    let directory = ScratchDirectory()

    /// Opens the environment in a child that runs `body` with a reader under way and is then killed.
    private func leaveDeadReader() async {
        let path = self.directory.file("a.mdb")
        await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
            var options = Environment.Options()
            options.mapSizeBytes = 64 << 20
            let environment = try Environment(path: path, options: options)
            let transaction = try environment.beginRead()
            kill(getpid(), SIGKILL)
            _ = transaction.id
        }
    }

    @Test("reader slots beyond the last are an error, and one that ends makes room")
    func full() throws {
        let environment = try self.directory.open { $0.maxReaders = 3 }
        let first = try environment.beginRead()
        let second = try environment.beginRead()
        do {
            let third = try environment.beginRead()
            let error = expectError(.readersFull) { _ = try environment.beginRead() }
            #expect(error?.number == -30790)
            #expect(try environment.readers().count == 3)
            #expect(third.id == first.id)
        }
        #expect(try environment.beginRead().id == second.id)
    }

    @Test("readers that ended are used again: many in a row take few slots")
    func reuse() throws {
        let environment = try self.directory.open { $0.maxReaders = 4 }
        let database = try environment.openDatabase("x", integerKeys: true, create: true)
        for round in 0..<100 as Range<UInt64> {
            try environment.write { (transaction) throws(StorageError) in
                try transaction.put(database, round, [1])
            }
            try environment.read { (transaction) throws(StorageError) in
                #expect(try transaction.entryCount(database) == Int(round) + 1)
                let id = transaction.id
                let inner = try environment.read { (transaction) throws(StorageError) in
                    try transaction.value(database, round)
                }
                #expect(inner == [1])
                #expect(id == round + 2)
            }
        }
        #expect(try environment.readers().count <= 2)
    }

    @Test("a database opened after a reader was set aside is seen by that reader's next use")
    func databaseAfterReset() throws {
        let environment = try self.directory.open()
        try environment.read { _ in }
        let database = try environment.openDatabase("late", integerKeys: true, create: true)
        try environment.read { (transaction) throws(StorageError) in
            #expect(try transaction.entryCount(database) == 0)
        }
    }

    @Test("the oldest reader is told, and nobody's is nil")
    func oldest() throws {
        let environment = try self.directory.open()
        let database = try environment.openDatabase("x", integerKeys: true, create: true)
        #expect(try environment.oldestReaderTransactionID() == nil)
        do {
            let old = try environment.beginRead()
            let id = old.id
            for key in 0..<3 as Range<UInt64> {
                try environment.write { (transaction) throws(StorageError) in
                    try transaction.put(database, key, [1])
                }
            }
            let new = try environment.beginRead()
            #expect(new.id == id + 3)
            #expect(try environment.oldestReaderTransactionID() == id)
            #expect(try environment.readers().map(\.process) == [getpid(), getpid()])
        }
        #expect(try environment.oldestReaderTransactionID() == nil)
    }

    @Test(
        "the slot of a process killed while it read is cleared, and its pages are free again",
        .startsProcesses)
    func deadReader() async throws {
        let environment = try self.directory.open()
        let database = try environment.openDatabase("x", integerKeys: true, create: true)
        await self.leaveDeadReader()
        let stuck = try #require(try environment.oldestReaderTransactionID())
        try environment.write { (transaction) throws(StorageError) in try transaction.put(database, 1, [1]) }
        #expect(try environment.oldestReaderTransactionID() == stuck)
        #expect(try environment.clearDeadReaders() == 1)
        #expect(try environment.oldestReaderTransactionID() == nil)
        #expect(try environment.clearDeadReaders() == 0)
    }

    @Test(
        "a full table of dead readers does not keep a living one out",
        .startsProcesses)
    func fullOfDead() async throws {
        let environment = try self.directory.open { $0.maxReaders = 2 }
        let first = try environment.beginRead()
        await self.leaveDeadReader()
        #expect(try environment.readers().count == 2)
        let second = try environment.beginRead()
        #expect(first.id == second.id)
        #expect(try environment.readers().map(\.process) == [getpid(), getpid()])
        expectError(.readersFull) { _ = try environment.beginRead() }
    }

    @Test(
        "a dead reader holds pages back only until it is cleared",
        .startsProcesses)
    func growth() async throws {
        let environment = try self.directory.open { $0.noSync = true }
        let database = try environment.openDatabase("x", integerKeys: true, create: true)
        func rewrite(times: Int) throws -> Int {
            for _ in 0..<times {
                try environment.write { (transaction) throws(StorageError) in
                    try transaction.put(database, 1, [UInt8](repeating: 1, count: 40_000))
                }
            }
            return try environment.info().lastPage
        }
        let before = try rewrite(times: 50)
        await self.leaveDeadReader()
        let held = try rewrite(times: 100)
        #expect(held > before + 500)
        #expect(try environment.clearDeadReaders() == 1)
        #expect(try rewrite(times: 200) <= held + 50)
    }
}
