import Testing

@testable import TidelogStorage

@Suite("A head that this build cannot use")
struct RefusedHeadTests {
    let scratch = EngineScratch()

    private var head: String { self.scratch.directory + "/" + Head.Names.head }

    /// The head's databases, and whether their keys are integers.
    private static let databases: [(String, Bool)] = [
        ("meta", false), ("frames", true), ("segments", true), ("streams", false), ("dictionaries", true),
        ("records", false),
    ]

    /// A closed log with a segment, events in the head, and a record.
    private func fill() throws {
        let engine = try self.scratch.open()
        _ = try engine.appendBlocking(EngineScratch.records(0..<20))
        _ = try engine.seal()
        _ = try engine.appendBlocking(
            EngineScratch.records(20..<30), changing: [.set(.app, key: [1], value: [2])])
        engine.close()
    }

    /// What stands in the log's directory, and the head's bytes.
    private func contents() throws -> (names: [String], head: [UInt8]) {
        let directory = self.scratch.directory
        let names = try Files.list(directory) + Files.list(directory + "/" + Head.Names.segments)
        return (names, try Files.contents(self.head, maximumBytes: 1 << 30))
    }

    /// Requires that opening is refused with this code, for reading and for writing, and changes nothing.
    private func expectRefusal(_ code: StorageError.Code, _ words: [String]) throws {
        let before = try self.contents()
        for isReadOnly in [false, true] {
            var options = self.scratch.options
            options.isReadOnly = isReadOnly
            let error = expectError(code) { _ = try self.scratch.open(options) }
            #expect(error?.path == self.head)
            for word in words {
                #expect(error?.message.contains(word) == true, "\(error?.message ?? "no error")")
            }
        }
        let after = try self.contents()
        #expect(after.names == before.names && after.head == before.head)
    }

    @Test("is refused where its format is newer, and the error says to use a newer Tidelog")
    func newerFormat() throws {
        try self.fill()
        let environment = try Environment(path: self.head)
        let meta = try environment.openDatabase("meta", integerKeys: false, create: false)
        let key = Array("state".utf8)
        try environment.write { transaction throws(StorageError) in
            let stored = try transaction.get(meta, key: key) { bytes throws(StorageError) in
                try HeadFormat.unwrap(bytes, database: "meta", key: key)
            }
            guard var state = stored else { throw StorageError(.notFound, "there is no state") }
            // The version is the first number of the state.
            state[0] = UInt8(HeadFormat.version + 1)
            try transaction.put(meta, key, HeadFormat.wrap(state, database: "meta", key: key))
        }
        environment.close()
        try self.expectRefusal(
            .unsupportedFormat, ["format version \(HeadFormat.version + 1)", "use a newer Tidelog"])
        expectError(.unsupportedFormat) { _ = try SampleLog.verify(self.scratch.directory) }
    }

    @Test(
        "is refused where it lacks one of its databases, and the error says which and what to do",
        arguments: ["meta", "frames", "segments", "streams", "dictionaries", "records"])
    func missingDatabase(name: String) throws {
        try self.fill()
        try self.copyHead(without: name)
        try self.expectRefusal(.corrupted, ["\"\(name)\"", "tidelog repair"])
        let findings = try SampleLog.verify(self.scratch.directory).findings
        #expect(findings.contains { $0.message.contains("'\(name)'") }, "\(findings)")
    }

    /// Puts a copy in the head's place that lacks one of its databases.
    private func copyHead(without missing: String) throws {
        let old = try Environment(path: self.head)
        let new = try Environment(path: self.head + ".new")
        for (name, integerKeys) in Self.databases where name != missing {
            let source = try old.openDatabase(name, integerKeys: integerKeys, create: false)
            let target = try new.openDatabase(name, integerKeys: integerKeys, create: true)
            var entries: [(key: [UInt8], value: [UInt8])] = []
            try old.read { transaction throws(StorageError) in
                try transaction.scan(source, from: .first) { key, value in
                    entries.append(([UInt8](key), [UInt8](value)))
                    return true
                }
            }
            try new.write { transaction throws(StorageError) in
                for (key, value) in entries {
                    if integerKeys {
                        try transaction.put(target, key.withUnsafeBytes { $0.integerKey }, value)
                    } else {
                        try transaction.put(target, key, value)
                    }
                }
            }
        }
        old.close()
        new.close()
        try Files.rename(self.head + ".new", to: self.head)
        try Files.unlink(self.head + ".new-lock")
    }
}
