import Glibc
import Testing
import TidelogTesting

@testable import TidelogStorage

@Suite("Files cut short, and what LMDB believes")
struct FileLengthTests {
    let directory = ScratchDirectory()
    var path: String { self.directory.file("a.mdb") }

    /// A log-like file: some large values and many small ones.
    private func fill() throws {
        let environment = try self.directory.open()
        let numbers = try environment.openDatabase("frames", integerKeys: true, create: true)
        let names = try environment.openDatabase("names", integerKeys: false, create: true)
        for round in 0..<4 as Range<UInt64> {
            try environment.write { (transaction) throws(StorageError) in
                for key in 0..<60 as Range<UInt64> {
                    let count = key % 10 == 0 ? 9_000 : 300
                    try transaction.put(numbers, round * 60 + key, [UInt8](repeating: 1, count: count))
                    try transaction.put(names, [UInt8(key), UInt8(round)], [UInt8](repeating: 2, count: 100))
                }
            }
        }
        environment.close()
    }

    @Test("a file cut at any page is refused before it is mapped, and the whole one is not")
    func truncated() throws {
        try self.fill()
        let whole = try Files.contents(self.path)
        let pageSize = Int(sysconf(Int32(_SC_PAGESIZE)))
        for pages in 1..<(whole.count / pageSize) {
            for length in [pages * pageSize, pages * pageSize + 100] {
                try Files.writeAtomically(Array(whole[..<length]), to: self.path)
                let error = expectError(.corrupted) { _ = try self.directory.open() }
                #expect(error?.path == self.path)
            }
        }
        for length in [1, 16, 151, 152, 4000] {
            try Files.writeAtomically(Array(whole[..<length]), to: self.path)
            #expect(throws: StorageError.self) { try self.directory.open() }
        }
        try Files.writeAtomically(whole, to: self.path)
        _ = try self.directory.open()
    }

    @Test("a file that lacks free pages alone is sound, and is opened")
    func lacksFreePages() throws {
        let seed = TestSeed.draw(for: "files that lack free pages")
        var random = SeededNumbers(seed: seed)
        var shorter = 0
        for round in 0..<60 {
            let name = "f\(round).mdb"
            let environment = try self.directory.open(name) { $0.noSync = true }
            let database = try environment.openDatabase("x", integerKeys: true, create: true)
            var model: [UInt64: Int] = [:]
            for _ in 0..<6 {
                try environment.write { (transaction) throws(StorageError) in
                    for _ in 0..<40 {
                        let key = UInt64.random(in: 0..<60, using: &random)
                        if Bool.random(using: &random) {
                            let count = Int.random(in: 0..<12_000, using: &random)
                            try transaction.put(database, key, [UInt8](repeating: 1, count: count))
                            model[key] = count
                        } else {
                            try transaction.delete(database, key: key)
                            model[key] = nil
                        }
                    }
                    for key in model.keys { try transaction.delete(database, key: key) }
                    model = [:]
                    try transaction.put(database, 1, [1])
                    model[1] = 1
                }
            }
            let used = try environment.info().usedBytes
            environment.close()
            if try Files.size(self.directory.file(name)) < used { shorter += 1 }
            let again = try self.directory.open(name)
            let there = try again.openDatabase("x", integerKeys: true, create: false)
            try again.read { (transaction) throws(StorageError) in
                #expect(try transaction.integerKeys(there) == [1])
            }
        }
        // Else the sixty files have not shown what they are here for.
        #expect(shorter > 0)
    }

    @Test("a meta page whose root lies behind its last page is refused")
    func wildRoot() throws {
        try self.fill()
        let pageSize = Int(sysconf(Int32(_SC_PAGESIZE)))
        for page in 0..<2 {
            try overwrite(self.path, at: page * pageSize + 128, with: [0, 0, 0, 0, 1, 0, 0, 0])
        }
        expectError(.corrupted) { _ = try self.directory.open() }
    }

    @Test("a damaged page in the walk of a short file is an error, whatever is wrong with it")
    func damagedShortFile() throws {
        try self.fill()
        let whole = try Files.contents(self.path)
        let pageSize = Int(sysconf(Int32(_SC_PAGESIZE)))
        let seed = TestSeed.draw(for: "damaged short files")
        var random = SeededNumbers(seed: seed)
        for _ in 0..<300 {
            var bytes = Array(whole[..<(whole.count - pageSize)])
            for _ in 0..<20 {
                let page = Int.random(in: 2..<(bytes.count / pageSize), using: &random)
                let offset = Int.random(in: 0..<200, using: &random)
                bytes[page * pageSize + offset] = UInt8.random(in: 0...255, using: &random)
            }
            try Files.writeAtomically(bytes, to: self.path)
            let file = try Files.openReadOnlyNoFollow(self.path)
            do throws(StorageError) {
                try FileLengthCheck(descriptor: file.number, path: self.path).run()
            } catch {
                #expect(error.code == .corrupted)
            }
        }
    }

    @Test("a write transaction that would overwrite a commit is refused, and so is everything after it")
    func wrongMeta() throws {
        let environment = try self.directory.open()
        let database = try environment.openDatabase("x", integerKeys: true, create: true)
        try environment.write { (transaction) throws(StorageError) in try transaction.put(database, 1, [1]) }
        let newest = try environment.newestMetaTransactionID()
        // As if another process had committed without this one's LMDB knowing.
        try self.setTransactionID(newest + 1)
        let error = expectError(.poisoned) {
            try environment.write { (transaction) throws(StorageError) in
                try transaction.put(database, 1, [2])
            }
        }
        #expect(error?.message.contains("reopen") == true)
        expectError(.poisoned) { try environment.requireNewestCommit() }
        try self.setTransactionID(newest)
        expectError(.poisoned) { _ = try environment.beginWrite() }
        environment.close()
        let again = try self.directory.open()
        try again.write { (transaction) throws(StorageError) in #expect(transaction.id == newest + 1) }
    }

    @Test("an opening that starts from an older commit than the newest is refused", .startsProcesses)
    func wrongMetaAtOpening() async throws {
        try self.directory.open().close()
        let ready = self.directory.file("ready")
        let path = self.path
        // While a child holds the environment open, LMDB takes the newest commit's number from the lock file.
        async let child = #expect(processExitsWith: .exitCode(0)) {
            [path = path as String, ready = ready as String] in
            // Against hanging alone: among hundreds of tests the parent's turn can be minutes away.
            alarm(1800)
            let environment = try Environment(path: path)
            try Files.writeAtomically([], to: ready)
            while try Files.exists(ready) { usleep(1000) }
            environment.close()
        }
        while try !Files.exists(ready) { try await Task.sleep(for: .milliseconds(1)) }
        let file = try Files.openReadOnlyNoFollow(path)
        let newest = try MetaPage.newest(descriptor: file.number, path: path).transactionID
        try self.setTransactionID(newest + 1)
        expectError(.poisoned) { _ = try self.directory.open() }
        try self.setTransactionID(newest)
        #expect(throws: Never.self) { try self.directory.open() }
        try Files.unlink(ready)
        _ = await child
    }

    /// Writes `id` as the transaction of the newer meta page.
    private func setTransactionID(_ id: UInt64) throws {
        let bytes = try Files.contents(self.path, maximumBytes: 64 << 20)
        let pageSize = Int(sysconf(Int32(_SC_PAGESIZE)))
        func number(of page: Int) -> UInt64 {
            bytes.span.bytes.unsafeLoadUnaligned(fromByteOffset: page * pageSize + 144, as: UInt64.self)
        }
        let newer = number(of: 1) > number(of: 0) ? 1 : 0
        try overwrite(self.path, at: newer * pageSize + 144, with: withUnsafeBytes(of: id) { Array($0) })
    }
}
