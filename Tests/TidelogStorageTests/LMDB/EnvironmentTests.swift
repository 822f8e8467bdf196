import Glibc
import Testing

@testable import TidelogStorage

@Suite("Environments: opening and closing")
struct EnvironmentTests {
    let directory = ScratchDirectory()

    @Test("what was committed is there after closing and opening again")
    func persistence() throws {
        let first = try self.directory.open()
        let database = try first.openDatabase("frames", integerKeys: true, create: true)
        try first.write { (transaction) throws(StorageError) in try transaction.put(database, 7, [1, 2, 3]) }
        first.close()

        let second = try self.directory.open { $0.mustExist = true }
        let found = try second.openDatabase("frames", integerKeys: true, create: false)
        let value = try second.read { (transaction) throws(StorageError) in
            try transaction.value(found, 7)
        }
        #expect(value == [1, 2, 3])
        #expect(try Files.status(self.directory.file("a.mdb")).mode == 0o600)
        #expect(try Files.status(self.directory.file("a.mdb-lock")).mode == 0o600)
    }

    @Test("a file opened twice in the process is an error, under whatever name, until it is closed")
    func registry() throws {
        let environment = try self.directory.open()
        #expect(link(self.directory.file("a.mdb"), self.directory.file("b.mdb")) == 0)
        for name in ["a.mdb", "b.mdb", "../" + self.directory.path.dropFirst(5) + "/a.mdb"] {
            expectError(.locked) { _ = try self.directory.open(name) }
            expectError(.locked) {
                _ = try self.directory.open(name) {
                    $0.readOnly = true
                    $0.noLock = true
                }
            }
        }
        environment.close()
        let again = try self.directory.open()
        _ = try again.openDatabase("x", integerKeys: true, create: true)
    }

    @Test("an environment closes itself with the last reference to it")
    func closesItself() throws {
        for _ in 0..<3 { _ = try self.directory.open() }
    }

    @Test("everything on a closed environment is an error that says so")
    func closed() throws {
        let environment = try self.directory.open()
        let database = try environment.openDatabase("x", integerKeys: true, create: true)
        environment.close()
        environment.close()
        expectError(.closed) { try environment.read { _ in } }
        expectError(.closed) { try environment.write { _ in } }
        expectError(.closed) { _ = try environment.beginRead() }
        expectError(.closed) { _ = try environment.beginWrite() }
        expectError(.closed) { _ = try environment.info() }
        expectError(.closed) { _ = try environment.openDatabase("x", integerKeys: true, create: false) }
        expectError(.closed) { _ = try environment.newestMetaTransactionID() }
        expectError(.closed) { _ = try environment.clearDeadReaders() }
        expectError(.closed) { _ = try environment.oldestReaderTransactionID() }
        expectError(.closed) { try environment.copy(toDescriptor: 1, compacting: false) }
        expectError(.closed) { try environment.sync() }
        #expect(database.name == "x")
    }

    @Test("closing waits for transactions under way, and refuses new ones meanwhile")
    func closeWaits() throws {
        let environment = try self.directory.open()
        let database = try environment.openDatabase("x", integerKeys: true, create: true)
        try environment.write { (transaction) throws(StorageError) in try transaction.put(database, 1, [1]) }
        let closed = WakeSignal()
        let thread: WorkerThread
        do {
            let transaction = try environment.beginRead()
            thread = try WorkerThread(name: "closing") {
                environment.close()
                closed.wake()
            }
            while (try? environment.read { _ in }) != nil { sched_yield() }
            #expect(!closed.wait(timeout: .milliseconds(20)))
            #expect(try transaction.value(database, 1) == [1])
        }
        closed.wait()
        thread.join()
        _ = try self.directory.open()
    }

    @Test("a missing file is created only where that is allowed")
    func missing() throws {
        expectError(.notFound) { _ = try self.directory.open { $0.mustExist = true } }
        expectError(.notFound) { _ = try self.directory.open { $0.readOnly = true } }
        let error = expectError(.notFound) { _ = try self.directory.open("no/a.mdb") }
        #expect(error?.path == self.directory.file("no/a.mdb"))
        #expect(try Files.list(self.directory.path) == [])
    }

    @Test("an empty file is a new environment only where that is allowed")
    func empty() throws {
        try Files.writeAtomically([], to: self.directory.file("a.mdb"))
        expectError(.corrupted) { _ = try self.directory.open { $0.mustExist = true } }
        expectError(.corrupted) { _ = try self.directory.open { $0.readOnly = true } }
        _ = try self.directory.open()
    }

    @Test("a file of another kind, or one of a newer version, is refused and left as it is")
    func foreign() throws {
        let path = self.directory.file("a.mdb")
        let text = Array("SQLite format 3\u{0}".utf8) + [UInt8](repeating: 65, count: 20_000)
        try Files.writeAtomically(text, to: path)
        expectError(.unsupportedFormat) { _ = try self.directory.open() }
        #expect(try Files.contents(path) == text)
        try Files.writeAtomically([UInt8](repeating: 0, count: 100_000), to: path)
        expectError(.unsupportedFormat) { _ = try self.directory.open() }
        try Files.unlink(path)

        try self.directory.open().close()
        try overwrite(path, at: 20, with: [2, 0, 0, 0])
        let error = expectError(.unsupportedFormat) { _ = try self.directory.open() }
        #expect(error?.message.contains("version 2") == true)
    }

    @Test("symbolic links in place of the file or of its lock file are refused, and their targets are safe")
    func symbolicLinks() throws {
        try self.directory.open("real.mdb").close()
        try Files.writeAtomically([1, 2, 3], to: self.directory.file("victim"))
        #expect(symlink(self.directory.file("real.mdb"), self.directory.file("a.mdb")) == 0)
        expectError(.permission) { _ = try self.directory.open() }
        #expect(symlink(self.directory.file("victim"), self.directory.file("b.mdb-lock")) == 0)
        let error = expectError(.permission) { _ = try self.directory.open("b.mdb") }
        #expect(error?.path == self.directory.file("b.mdb-lock"))
        #expect(try Files.contents(self.directory.file("victim")) == [1, 2, 3])
        #expect(try !Files.exists(self.directory.file("b.mdb")))
        _ = try Files.createDirectory(self.directory.file("c.mdb-lock"))
        expectError(.unsupportedFormat) { _ = try self.directory.open("c.mdb") }
    }

    @Test("a sealed file is read through a descriptor, without a lock file, and only so")
    func throughDescriptor() throws {
        let environment = try self.directory.open()
        let database = try environment.openDatabase("x", integerKeys: true, create: true)
        try environment.write { (transaction) throws(StorageError) in try transaction.put(database, 1, [9]) }
        environment.close()
        let path = self.directory.file("a.mdb")
        try Files.rename(path, to: self.directory.file("sealed.mdb"))
        try Files.unlink(path + "-lock")
        let file = try Files.openReadOnlyNoFollow(self.directory.file("sealed.mdb"))
        try Files.setMode(descriptor: file.number, 0o400)

        let name = "/proc/self/fd/\(file.number)"
        expectError(.invalidArgument) { _ = try Environment(path: name) }
        var options = Environment.Options()
        options.readOnly = true
        options.noLock = true
        options.mapSizeBytes = 0
        let sealed = try Environment(path: name, options: options)
        let there = try sealed.openDatabase("x", integerKeys: true, create: false)
        #expect(
            try sealed.read { (transaction) throws(StorageError) in try transaction.value(there, 1) } == [9])
        #expect(try sealed.info().mapSizeBytes == Files.size(self.directory.file("sealed.mdb")))
        expectError(.permission) { try sealed.write { _ in } }
        expectError(.permission) { _ = try sealed.beginWrite() }
        expectError(.locked) { _ = try Environment(path: name, options: options) }
        sealed.close()
        #expect(try Files.list(self.directory.path) == ["sealed.mdb"])
    }

    @Test("a failed opening leaves no file, no lock and no entry in the registry behind")
    func failedOpening() throws {
        expectError(.invalidArgument) { _ = try self.directory.open { $0.maxReaders = 0 } }
        #expect(try Files.list(self.directory.path) == [])
        _ = try self.directory.open()
    }

    @Test("a missing named database is an error, and so is one with other keys, or one too many")
    func databases() throws {
        let environment = try self.directory.open { $0.maxDatabases = 2 }
        let error = expectError(.notFound) {
            _ = try environment.openDatabase("none", integerKeys: true, create: false)
        }
        #expect(error?.message.contains("\"none\"") == true)
        #expect(error?.path == self.directory.file("a.mdb"))
        #expect(error?.number == -30798)
        let numbers = try environment.openDatabase("numbers", integerKeys: true, create: true)
        #expect(try environment.openDatabase("numbers", integerKeys: true, create: true) == numbers)
        expectError(.unsupportedFormat) {
            _ = try environment.openDatabase("numbers", integerKeys: false, create: true)
        }
        expectError(.unsupportedFormat) {
            _ = try environment.openDatabase("numbers", integerKeys: false, create: false)
        }
        _ = try environment.openDatabase("second", integerKeys: false, create: true)
        expectError(.limitExceeded) {
            _ = try environment.openDatabase("third", integerKeys: false, create: true)
        }
    }

    @Test("a read-only environment does not create databases, and sees what others commit")
    func readOnly() throws {
        let environment = try self.directory.open()
        let database = try environment.openDatabase("x", integerKeys: true, create: true)
        try environment.write { (transaction) throws(StorageError) in try transaction.put(database, 1, [1]) }
        environment.close()
        let reader = try self.directory.open { $0.readOnly = true }
        expectError(.notFound) { _ = try reader.openDatabase("y", integerKeys: true, create: true) }
        let there = try reader.openDatabase("x", integerKeys: true, create: true)
        #expect(
            try reader.read { (transaction) throws(StorageError) in try transaction.value(there, 1) } == [1])
    }

    @Test("an environment tells its sizes and its newest commit, and the file agrees")
    func info() throws {
        let environment = try self.directory.open { $0.maxReaders = 100 }
        let database = try environment.openDatabase("x", integerKeys: true, create: true)
        for key in 0..<5 as Range<UInt64> {
            try environment.write { (transaction) throws(StorageError) in
                try transaction.put(database, key, [UInt8](repeating: 1, count: 10_000))
            }
        }
        let info = try environment.info()
        #expect(info.mapSizeBytes == 64 << 20)
        #expect(info.maxReaders == 100)
        #expect(info.pageSizeBytes == Int(sysconf(Int32(_SC_PAGESIZE))))
        #expect(info.lastTransactionID == 6)
        #expect(info.lastPage >= 15)
        #expect(info.usedBytes <= (try Files.size(self.directory.file("a.mdb"))))
        #expect(try environment.newestMetaTransactionID() == 6)
    }

    @Test("the versions of LMDB that carry a fault are told, and the tested ones are not")
    func versions() {
        for patch in 26...31 {
            let warning = LMDBVersion(0, 9, patch).warning
            #expect(warning?.contains("0.9.\(patch)") == true)
            #expect(!LMDBVersion(0, 9, patch).isSupported)
        }
        for patch in [24, 25, 32, 33] { #expect(LMDBVersion(0, 9, patch).isSupported) }
        #expect(!LMDBVersion(0, 9, 23).isSupported)
        #expect(!LMDBVersion(1, 0, 0).isSupported)
        #expect(LMDBVersion.linked.major == 0 && LMDBVersion.linked.minor == 9)
        #expect(LMDBVersion(0, 9, 24).description == "0.9.24")
    }
}
