import Testing

@testable import TidelogStorage

struct EnvironmentTests {
    @Test("what a transaction wrote is read back, and a throwing body leaves nothing behind")
    func roundTrip() throws {
        let path = "/tmp/tidelog-smoke-\(UInt64.random(in: 0 ... .max)).mdb"
        let environment = try Environment(path: path)
        let frames = try environment.openDatabase("frames", integerKeys: true, create: true)
        let names = try environment.openDatabase("names", integerKeys: false, create: true)
        try environment.write { (transaction) throws(StorageError) in
            try transaction.reserve(frames, key: 7, count: 3, append: true) { $0.copyBytes(from: [1, 2, 3]) }
            try "value".utf8CString.span.bytes.withUnsafeBytes { bytes throws(StorageError) in
                try transaction.put(names, key: Array("key".utf8), value: bytes)
            }
        }
        #expect(throws: StorageError.self) {
            try environment.write { (transaction) throws(StorageError) in
                _ = try transaction.delete(frames, key: 7)
                throw StorageError(.cancelled, "no")
            }
        }
        let found = try environment.read { (transaction) throws(StorageError) in
            try transaction.get(frames, key: 7) { Array($0) }
        }
        #expect(found == [1, 2, 3])
        #expect(throws: StorageError.self) { try Environment(path: path) }
        environment.close()
        _ = try Environment(path: path)
        try Files.unlink(path)
        try Files.unlink(path + "-lock")
    }
}
