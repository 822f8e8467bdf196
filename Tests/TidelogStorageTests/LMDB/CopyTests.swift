import Glibc
import Testing

@testable import TidelogStorage

@Suite("Hot copies")
struct CopyTests {
    let directory = ScratchDirectory()

    @Test("a copy made while others write holds one whole commit", arguments: [false, true])
    func consistent(compacting: Bool) throws {
        let environment = try self.directory.open {
            $0.noSync = true
            $0.mapSizeBytes = 8 << 30
        }
        let database = try environment.openDatabase("x", integerKeys: true, create: true)
        // Each commit sets every key to its own number: a copy with two numbers would be of two commits.
        @Sendable func commit(_ number: UInt8) throws(StorageError) {
            try environment.write { (transaction) throws(StorageError) in
                for key in 0..<50 as Range<UInt64> {
                    try transaction.put(database, key, [UInt8](repeating: number, count: 3000))
                }
            }
        }
        try commit(0)
        let stopping = Flag()
        let thread = try WorkerThread(name: "writing") {
            var number: UInt8 = 0
            while !stopping.isSet.withLock({ $0 }) {
                number &+= 1
                // A copy keeps pages from being reused: a writer that never rested would fill the map.
                usleep(1000)
                do throws(StorageError) { try commit(number) } catch { Issue.record(error) }
            }
        }
        for round in 0..<5 {
            let name = "copy-\(round).mdb"
            let file = try Files.open(self.directory.file(name), flags: O_WRONLY | O_CREAT | O_EXCL)
            try environment.copy(toDescriptor: file.number, compacting: compacting)
            try Files.syncFile(descriptor: file.number)
            let copy = try self.directory.open(name) { $0.mustExist = true }
            let there = try copy.openDatabase("x", integerKeys: true, create: false)
            var numbers: Set<UInt8> = []
            try copy.read { (transaction) throws(StorageError) in
                #expect(try transaction.entryCount(there) == 50)
                try transaction.scan(there, from: .first) { _, value in
                    #expect(value.count == 3000)
                    numbers.formUnion(value)
                    return true
                }
            }
            #expect(numbers.count == 1)
        }
        stopping.isSet.withLock { $0 = true }
        thread.join()
    }

    @Test("a copy to a full disk is an error, and the environment goes on", arguments: [false, true])
    func fullDisk(compacting: Bool) throws {
        let environment = try self.directory.open()
        let database = try environment.openDatabase("x", integerKeys: true, create: true)
        try environment.write { (transaction) throws(StorageError) in try transaction.put(database, 1, [1]) }
        let full = FileDescriptor(owning: open("/dev/full", O_WRONLY))
        let error = expectError(.diskFull) {
            try environment.copy(toDescriptor: full.number, compacting: compacting)
        }
        #expect(error?.number == ENOSPC)
        #expect(error?.message.contains("copying") == true)
        try environment.write { (transaction) throws(StorageError) in try transaction.put(database, 2, [1]) }
    }
}

private final class Flag: Sendable {
    let isSet = Lock(false)
}
