import Testing

@testable import TidelogStorage

@Suite("A head that has lost frames")
struct LostFrameTests {
    let scratch = EngineScratch()

    private var head: String { self.scratch.directory + "/" + Head.Names.head }

    /// A log with forty sealed events and, in the head, six frames of ten events each.
    private func filled() throws -> LogEngine {
        let engine = try self.scratch.open()
        _ = try engine.appendBlocking(EngineScratch.records(0..<40))
        _ = try engine.seal()
        for first in stride(from: 40, to: 100, by: 10) {
            _ = try engine.appendBlocking(EngineScratch.records(first..<first + 10))
        }
        return engine
    }

    @Test(
        "says which events are missing when it is opened and when it is verified",
        arguments: [[40], [60], [60, 70], [40, 50, 60, 70, 80]] as [[UInt64]])
    func closed(lost: [UInt64]) throws {
        try self.filled().close()
        let environment = try Environment(path: self.head)
        let frames = try environment.openDatabase("frames", integerKeys: true, create: false)
        try environment.write { transaction throws(StorageError) in
            for first in lost { try transaction.delete(frames, key: first) }
        }
        environment.close()

        let missing = lost[0]..<lost[lost.count - 1] + 10
        for isReadOnly in [false, true] {
            var options = self.scratch.options
            options.isReadOnly = isReadOnly
            let error = expectError(.corrupted) { _ = try self.scratch.open(options) }
            #expect(error?.positions == missing)
            #expect(error?.path == self.scratch.directory)
            #expect(error?.message.contains("tidelog repair") == true)
        }
        let findings = try SampleLog.verify(self.scratch.directory).findings
        #expect(findings.contains { $0.kind == .missingEvents && $0.positions == missing }, "\(findings)")
    }

    @Test("says it to whoever comes to the place while it is open, by whatever way, after what is before it")
    func open() throws {
        let engine = try self.filled()
        try engine.writer?.perform { transaction throws(StorageError) in
            _ = try transaction.transaction.delete(engine.head.databases.frames, key: UInt64(60))
        }
        let changes: [(inout RecordFilter) -> Void] = [
            { _ in }, { $0.streams = ["s"] }, { $0.types = .init { $0 != "none" } }, { $0.since = 0 },
        ]
        for (number, change) in changes.enumerated() {
            for isBackwards in [false, true] {
                var query = RecordQuery()
                change(&query.filter)
                query.isBackwards = isBackwards
                var found: [UInt64] = []
                let error = expectError(.corrupted) {
                    try engine.scan(query) { (frame, selection) throws(StorageError) in
                        try selection.forEach(backwards: isBackwards) { index in
                            found.append(frame.position(index))
                            return true
                        }
                    }
                }
                #expect(error?.positions == 60..<70, "filter \(number), backwards \(isBackwards)")
                let expected: [UInt64] = isBackwards ? (70..<100).reversed() : Array(0..<60)
                #expect(found == expected, "filter \(number), backwards \(isBackwards)")
            }
        }
        let errors = [
            expectError(.corrupted) { _ = try engine.record(at: 65) },
            expectError(.corrupted) { _ = try engine.count(RecordQuery()) },
            expectError(.corrupted) { _ = try engine.seal() },
        ]
        #expect(errors.map { $0?.positions } == [60..<70, 60..<70, 60..<70])
        #expect(try engine.record(at: 59)?.position == 59)
        #expect(try engine.record(at: 70)?.position == 70)
        engine.close()
    }

    /// The leaves of one of the head's databases, from the first one on, and the size of a page.
    private func leaves(of name: String) throws -> (pages: [UInt64], pageBytes: Int) {
        let descriptor = try Files.openReadOnlyNoFollow(self.head)
        let file = try PageFile(descriptor: descriptor.number, path: self.head)
        let meta = try #require(file.metas.first)
        var database: PageDatabase?
        _ = try PageWalk(file, meta).walk(meta.main) { entry in
            if entry.key.elementsEqual(name.utf8) { database = PageDatabase(entry.value) }
        }
        let root = try #require(database?.root)
        var page = [UInt8](repeating: 0, count: file.pageSizeBytes)
        let isRead = try file.read(root, into: &page)
        #expect(isRead)
        descriptor.close()
        let pages = page.withUnsafeBytes { bytes -> [UInt64] in
            guard let nodes = try? PageNodes(bytes, number: root), !nodes.isLeaf else { return [root] }
            return (0..<nodes.count).compactMap { nodes.node($0)?.child }
        }
        return (pages, file.pageSizeBytes)
    }

    /// Requires that the log is not opened when a leaf of the database shows an entry less than it has.
    private func expectEveryEntryCounted(in database: String, leaves count: Int) throws {
        let (pages, pageBytes) = try self.leaves(of: database)
        #expect(pages.count >= count)
        let bytes = try Files.contents(self.head, maximumBytes: 1 << 30)
        for page in pages {
            // The end of the offsets, two bytes each, that stand behind the page's header.
            let offset = Int(page) * pageBytes + 12
            let end = Int(bytes[offset]) | Int(bytes[offset + 1]) << 8
            guard end > PageFile.headerBytes + 2 else { continue }
            try overwrite(
                self.head, at: offset,
                with: [UInt8(truncatingIfNeeded: end - 2), UInt8(truncatingIfNeeded: (end - 2) >> 8)])
            for isReadOnly in [false, true] {
                var options = self.scratch.options
                options.isReadOnly = isReadOnly
                expectError(.corrupted) { _ = try self.scratch.open(options) }
            }
            #expect(try !SampleLog.verify(self.scratch.directory).isClean)
            try overwrite(self.head, at: offset, with: [bytes[offset], bytes[offset + 1]])
        }
        try self.scratch.open().close()
    }

    @Test("is not opened where a leaf of its tree shows a frame less than it has, whichever leaf it is")
    func hiddenFrames() throws {
        let engine = try self.scratch.open()
        for number in 0..<60 { _ = try engine.appendBlocking([EngineScratch.record(number)]) }
        engine.close()
        try self.expectEveryEntryCounted(in: "frames", leaves: 3)
    }

    @Test("is not opened where its catalogue shows a segment less than it has")
    func hiddenSegment() throws {
        let engine = try self.scratch.open()
        for round in 0..<3 {
            _ = try engine.appendBlocking(EngineScratch.records(round * 10..<round * 10 + 10))
            _ = try engine.seal()
        }
        engine.close()
        try self.expectEveryEntryCounted(in: "segments", leaves: 1)
    }
}
