import Glibc
import Testing

@testable import TidelogStorage

@Suite("Several processes on one file")
struct ProcessTests {
    let directory = ScratchDirectory()
    var path: String { self.directory.file("a.mdb") }

    @Test(
        "a process killed in a write transaction leaves nothing, and the next writer goes on",
        .startsProcesses)
    func killedWriter() async throws {
        let environment = try self.directory.open()
        let database = try environment.openDatabase("x", integerKeys: true, create: true)
        try environment.write { (transaction) throws(StorageError) in try transaction.put(database, 1, [1]) }
        await #expect(processExitsWith: .signal(SIGKILL)) { [path = self.path as String] in
            var options = Environment.Options()
            options.mapSizeBytes = 64 << 20
            let environment = try Environment(path: path, options: options)
            let database = try environment.openDatabase("x", integerKeys: true, create: false)
            let transaction = try environment.beginWrite()
            for key in 1..<500 as Range<UInt64> {
                try transaction.put(database, key, [UInt8](repeating: 9, count: 500))
            }
            kill(getpid(), SIGKILL)
            try transaction.commit()
        }
        try environment.write { (transaction) throws(StorageError) in
            #expect(try transaction.integerKeys(database) == [1])
            #expect(try transaction.value(database, 1) == [1])
            try transaction.put(database, 2, [2])
        }
        try environment.read { (transaction) throws(StorageError) in
            #expect(try transaction.integerKeys(database) == [1, 2])
        }
    }

    @Test("what another process commits is seen at once, and both can write in turn", .startsProcesses)
    func otherWriter() async throws {
        let environment = try self.directory.open()
        let database = try environment.openDatabase("x", integerKeys: true, create: true)
        for round in 0..<3 as Range<UInt64> {
            try environment.write { (transaction) throws(StorageError) in
                try transaction.put(database, round * 2, [1])
            }
            await #expect(processExitsWith: .exitCode(0)) {
                [path = self.path as String, key = round * 2 + 1 as UInt64] in
                var options = Environment.Options()
                options.mapSizeBytes = 64 << 20
                let environment = try Environment(path: path, options: options)
                let database = try environment.openDatabase("x", integerKeys: true, create: false)
                try environment.write { (transaction) throws(StorageError) in
                    #expect(try transaction.entryCount(database) == Int(key))
                    try transaction.put(database, key, [2])
                }
            }
            let keys = try environment.read { (transaction) throws(StorageError) in
                try transaction.integerKeys(database)
            }
            #expect(keys == Array(0...(round * 2 + 1)))
        }
    }

    @Test(
        "a file that another process let grow beyond this one's map says to reopen with a larger one",
        .startsProcesses)
    func grownBeyondMap() async throws {
        let environment = try self.directory.open { $0.mapSizeBytes = 1 << 20 }
        _ = try environment.openDatabase("x", integerKeys: true, create: true)
        await #expect(processExitsWith: .exitCode(0)) { [path = self.path as String] in
            let environment = try Environment(path: path)
            let database = try environment.openDatabase("x", integerKeys: true, create: false)
            try environment.write { (transaction) throws(StorageError) in
                try transaction.put(database, 1, [UInt8](repeating: 1, count: 4 << 20))
            }
        }
        let error = expectError(.poisoned) { try environment.read { _ in } }
        #expect(error?.message.contains("larger map") == true)
        expectError(.poisoned) { try environment.write { _ in } }
        environment.close()
        let again = try self.directory.open()
        let database = try again.openDatabase("x", integerKeys: true, create: false)
        let count = try again.read { (transaction) throws(StorageError) in
            try transaction.get(database, key: 1) { $0.count }
        }
        #expect(count == 4 << 20)
    }

    @Test("garbage in the lock file of an environment that nobody has open does no harm")
    func garbageLockFile() throws {
        for garbage in [[], [1, 2, 3], [UInt8](repeating: 0xFF, count: 100_000)] as [[UInt8]] {
            let environment = try self.directory.open()
            let database = try environment.openDatabase("x", integerKeys: true, create: true)
            try environment.write { (transaction) throws(StorageError) in
                try transaction.put(database, 1, [1])
            }
            environment.close()
            try Files.writeAtomically(garbage, to: self.path + "-lock")
            let again = try self.directory.open()
            let there = try again.openDatabase("x", integerKeys: true, create: false)
            try again.write { (transaction) throws(StorageError) in
                #expect(try transaction.value(there, 1) == [1])
            }
        }
    }

    @Test("without permission the error says so, and nothing is created", .startsProcesses)
    func permission() async throws {
        try self.directory.open().close()
        await #expect(processExitsWith: .exitCode(0)) {
            [path = self.path as String, directory = self.directory.path as String] in
            // For root everything is allowed, so the child becomes somebody else; else modes are enough.
            if geteuid() == 0 {
                #expect(setuid(65_534) == 0)
            } else {
                #expect(chmod(directory, 0) == 0)
            }
            let error = expectError(.permission) { _ = try Environment(path: path) }
            #expect(error?.number == EACCES)
            expectError(.permission) { _ = try Environment(path: directory + "/new.mdb") }
            expectError(.permission) { _ = try Files.list(directory) }
            expectError(.permission) { _ = try FileLock(directory + "/lock", .exclusive) }
        }
        #expect(chmod(self.directory.path, 0o700) == 0)
        #expect(try Files.list(self.directory.path) == ["a.mdb", "a.mdb-lock"])
    }
}

@Suite("What only a bug can do ends the process")
struct MisuseTests {
    let directory = ScratchDirectory()

    @Test("a database used with another environment", .startsProcesses)
    func otherEnvironment() async {
        await #expect(processExitsWith: .failure) { [path = self.directory.path as String] in
            let first = try Environment(path: path + "/a.mdb")
            let second = try Environment(path: path + "/b.mdb")
            let database = try first.openDatabase("x", integerKeys: true, create: true)
            _ = try second.openDatabase("x", integerKeys: true, create: true)
            _ = try? second.read { (t) throws(StorageError) in try t.entryCount(database) }
            exit(EXIT_SUCCESS)
        }
    }

    @Test("keys of the wrong kind", .startsProcesses)
    func wrongKeys() async {
        await #expect(processExitsWith: .failure) { [path = self.directory.path as String] in
            let environment = try Environment(path: path + "/a.mdb")
            let database = try environment.openDatabase("x", integerKeys: true, create: true)
            _ = try? environment.read { (t) throws(StorageError) in
                try t.get(database, key: [1]) { $0.count }
            }
            exit(EXIT_SUCCESS)
        }
    }

    @Test("a write transaction ended on another thread", .startsProcesses)
    func otherThread() async {
        await #expect(processExitsWith: .failure) { [path = self.directory.path as String] in
            let environment = try Environment(path: path + "/a.mdb")
            let carried = Carried(transaction: try environment.beginWrite())
            try WorkerThread(name: "other") { carried.end() }.join()
            exit(EXIT_SUCCESS)
        }
    }
}

/// Carries a transaction to another thread, which the compiler would forbid.
private final class Carried: @unchecked Sendable {
    // SAFETY: none; that is what the test is about.
    private var transaction: WriteTransaction?

    init(transaction: consuming WriteTransaction) {
        self.transaction = consume transaction
    }

    func end() {
        self.transaction = nil
    }
}
