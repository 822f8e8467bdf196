import Glibc
import Testing

@testable import TidelogStorage

/// What happens when the system fails under LMDB. The failures are real ones: the descriptors that LMDB
/// writes through are replaced by others that fail in the way wanted.
@Suite("Failures under LMDB")
struct FailureTests {
    let directory = ScratchDirectory()

    /// The descriptors of this process that are open on the environment's file.
    private static func descriptors(of path: String) throws -> [Int32] {
        try Files.list("/proc/self/fd").compactMap { Int32($0) }.filter { number in
            var target = [CChar](repeating: 0, count: 4096)
            let count = readlink("/proc/self/fd/\(number)", &target, target.count - 1)
            let bytes = target.prefix(max(count, 0)).map { UInt8(bitPattern: $0) }
            return String(decoding: bytes, as: UTF8.self) == path
        }
    }

    /// Lets descriptors be another file in truth until ``restore()``.
    private struct Replacement {
        private let originals: [(descriptor: Int32, saved: Int32)]

        init(_ descriptors: [Int32], by path: String) {
            let other = FileDescriptor(owning: open(path, O_RDWR))
            #expect(other.number >= 0)
            self.originals = descriptors.map { ($0, dup($0)) }
            for descriptor in descriptors { #expect(dup2(other.number, descriptor) == descriptor) }
        }

        func restore() {
            for (descriptor, saved) in self.originals {
                #expect(dup2(saved, descriptor) == descriptor)
                close(saved)
            }
        }
    }

    private func openFilled() throws -> (Environment, Database) {
        let environment = try self.directory.open()
        let database = try environment.openDatabase("x", integerKeys: true, create: true)
        try environment.write { (transaction) throws(StorageError) in try transaction.put(database, 1, [1]) }
        return (environment, database)
    }

    private func expectFirstCommitOnly(_ environment: Environment, _ database: Database) throws {
        try environment.read { (transaction) throws(StorageError) in
            #expect(try transaction.integerKeys(database) == [1])
            #expect(try transaction.value(database, 1) == [1])
        }
    }

    /// Begins a transaction, lets everything fail as `path` does, and commits.
    private func commitFailing(
        _ environment: Environment, _ database: Database, as path: String
    ) throws -> StorageError? {
        let transaction = try environment.beginWrite()
        try transaction.put(database, 1, [2])
        let replacement = Replacement([environment.fileDescriptor], by: path)
        defer { replacement.restore() }
        do throws(StorageError) { try transaction.commit() } catch { return error }
        return nil
    }

    @Test("after a write that failed nothing is written any more, until the environment is opened anew")
    func failedWrite() throws {
        let (environment, database) = try self.openFilled()
        // A write to an address that is not mapped fails with EIO.
        let error = try #require(try self.commitFailing(environment, database, as: "/proc/self/mem"))
        #expect(error.code == .inputOutput)
        #expect(error.number == EIO)
        #expect(error.message.contains("committing"))
        #expect(error.path == self.directory.file("a.mdb"))
        expectError(.poisoned) { try environment.write { _ in } }
        expectError(.poisoned) { _ = try environment.beginWrite() }
        try self.expectFirstCommitOnly(environment, database)
        environment.close()
        let again = try self.directory.open()
        let there = try again.openDatabase("x", integerKeys: true, create: false)
        try self.expectFirstCommitOnly(again, there)
        try again.write { (transaction) throws(StorageError) in try transaction.put(there, 1, [3]) }
    }

    @Test("after a sync that failed nothing is written any more, though LMDB itself would go on")
    func failedSync() throws {
        let (environment, database) = try self.openFilled()
        // The null device takes every write and cannot be synced.
        let error = try #require(try self.commitFailing(environment, database, as: "/dev/zero"))
        #expect(error.number == EINVAL)
        #expect(error.message.contains("committing"))
        let later = expectError(.poisoned) { try environment.write { _ in } }
        #expect(later?.message.contains("reopen") == true)
        try self.expectFirstCommitOnly(environment, database)
    }

    @Test("after a full disk the environment goes on, with everything that was committed before")
    func fullDevice() throws {
        let (environment, database) = try self.openFilled()
        let error = try #require(try self.commitFailing(environment, database, as: "/dev/full"))
        #expect(error.code == .diskFull)
        #expect(error.number == ENOSPC)
        try self.expectFirstCommitOnly(environment, database)
        try environment.write { (transaction) throws(StorageError) in try transaction.put(database, 2, [2]) }
        try environment.read { (transaction) throws(StorageError) in
            #expect(try transaction.integerKeys(database) == [1, 2])
        }
    }

    @Test("a named database whose creation failed is no database, and others are left alone")
    func failedCreation() throws {
        // LMDB's number of such a database means nothing once its transaction is undone.
        let small = try self.directory.open {
            $0.mapSizeBytes = 1 << 20
            $0.maxDatabases = 500
        }
        let database = try small.openDatabase("x", integerKeys: true, create: true)
        try small.write { (transaction) throws(StorageError) in try transaction.put(database, 1, [1]) }
        var created = 0
        var failure: StorageError?
        // A reader keeps every page from being used again, so that each creation takes new ones.
        try small.read { (_) throws(StorageError) in
            while failure == nil, created < 490 {
                do throws(StorageError) {
                    _ = try small.openDatabase("y\(created)", integerKeys: true, create: true)
                    created += 1
                } catch {
                    failure = error
                }
            }
        }
        #expect(failure?.code == .mapFull)
        expectError(.notFound) {
            _ = try small.openDatabase("y\(created)", integerKeys: true, create: false)
        }
        let other = try small.openDatabase("y\(created)", integerKeys: true, create: true)
        try small.write { (transaction) throws(StorageError) in try transaction.put(other, 5, [5]) }
        try small.read { (transaction) throws(StorageError) in
            #expect(try transaction.value(other, 5) == [5])
            #expect(try transaction.integerKeys(other) == [5])
            #expect(try transaction.integerKeys(database) == [1])
        }
    }

    @Test("after a meta page that could not be written neither readers nor writers go on")
    func failedMeta() throws {
        let (environment, database) = try self.openFilled()
        let others = try Self.descriptors(of: self.directory.file("a.mdb"))
            .filter { $0 != environment.fileDescriptor }
        #expect(others.count == 1)
        let transaction = try environment.beginWrite()
        try transaction.put(database, 1, [2])
        let replacement = Replacement(others, by: "/proc/self/mem")
        var failure: StorageError?
        do throws(StorageError) { try transaction.commit() } catch { failure = error }
        replacement.restore()
        #expect(failure?.code == .inputOutput)
        expectError(.poisoned) { try environment.write { _ in } }
        expectError(.poisoned) { try environment.read { _ in } }
        environment.close()
        let again = try self.directory.open()
        _ = try again.openDatabase("x", integerKeys: true, create: false)
    }

    @Test(
        "at the file-size limit a commit is a full disk, and there is more room once the limit is lifted",
        .startsProcesses)
    func fileSizeLimit() async throws {
        let path = self.directory.file("a.mdb")
        await #expect(processExitsWith: .exitCode(0)) { [path = path as String] in
            let environment = try Environment(path: path)
            let database = try environment.openDatabase("x", integerKeys: true, create: true)
            signal(SIGXFSZ, SIG_IGN)
            func append(_ key: UInt64) throws(StorageError) {
                try environment.write { (transaction) throws(StorageError) in
                    try transaction.put(database, key, [UInt8](repeating: UInt8(key), count: 20_000))
                }
            }
            func limit(_ bytes: UInt) {
                var limit = rlimit(rlim_cur: bytes, rlim_max: rlim_t.max)
                #expect(setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0)
            }
            try append(1)
            limit(200_000)
            var written: UInt64 = 1
            expectError(.diskFull) {
                while true {
                    try append(written + 1)
                    written += 1
                }
            }
            #expect(written > 2)
            expectError(.diskFull) { try append(written + 1) }
            try environment.write { (transaction) throws(StorageError) in
                _ = try transaction.delete(database, key: 1)
            }
            limit(UInt.max)
            try append(written + 1)
            try environment.read { (transaction) throws(StorageError) in
                #expect(try transaction.integerKeys(database) == Array(2...(written + 1)))
                for key in 2...(written + 1) {
                    #expect(
                        try transaction.value(database, key)
                            == [UInt8](repeating: UInt8(key), count: 20_000))
                }
            }
        }
    }

    @Test("a descriptor of the environment does not reach programs that are started")
    func closeOnExec() throws {
        let (environment, _) = try self.openFilled()
        let path = self.directory.file("a.mdb")
        let all = try Self.descriptors(of: path) + Self.descriptors(of: path + "-lock")
        #expect(all.count >= 3)
        for descriptor in all { #expect(fcntl(descriptor, F_GETFD) & FD_CLOEXEC != 0) }
        environment.close()
        #expect(try Self.descriptors(of: path).isEmpty)
    }

    @Test(
        "each number of LMDB has its code",
        arguments: [
            (-30799, .alreadyExists), (-30798, .notFound), (-30797, .corrupted), (-30796, .corrupted),
            (-30795, .poisoned), (-30794, .unsupportedFormat), (-30793, .unsupportedFormat),
            (-30792, .mapFull), (-30791, .limitExceeded), (-30790, .readersFull), (-30788, .limitExceeded),
            (-30785, .poisoned), (-30784, .unsupportedFormat), (-30782, .library), (-30781, .invalidArgument),
            (ENOSPC, .diskFull), (EACCES, .permission), (EIO, .inputOutput), (EINVAL, .invalidArgument),
        ] as [(Int32, StorageError.Code)])
    func codes(number: Int32, code: StorageError.Code) {
        let error = StorageError.lmdb(number, doing: "trying", path: "/p")
        #expect(error.code == code)
        #expect(error.number == number)
        #expect(error.path == "/p")
        #expect(error.message.hasPrefix("trying failed: "))
    }
}
