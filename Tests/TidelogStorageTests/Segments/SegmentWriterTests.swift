import Glibc
import Testing

@testable import TidelogStorage

/// Writing a segment: what is left behind when it goes wrong, and what is refused.
@Suite("Writing segments")
struct SegmentWriterTests {
    private static func writer(_ directory: String, firstPosition: UInt64 = 10) throws -> SegmentWriter {
        try SegmentWriter(
            directory: directory, firstPosition: firstPosition, generation: 0, dictionaryBytes: nil,
            logID: SegmentSample.logID, level: 1)
    }

    private static func event(_ position: UInt64) -> PlacedRecord {
        PlacedRecord(
            position: position, revision: nil,
            record: EventRecord(id: .uuid(position, 1), type: "t", timestamp: 5, payload: [1, 2, 3]))
    }

    @Test("until it is finished there is only the temporary file")
    func temporaryName() throws {
        let scratch = ScratchDirectory()
        let writer = try Self.writer(scratch.path)
        try writer.append(Self.event(10))
        #expect(try Files.list(scratch.path) == ["00000000000000000010.mdb.tmp"])
        let info = try writer.finish(endPosition: 11)
        #expect(try Files.list(scratch.path) == [info.fileName])
    }

    @Test("giving it up, or forgetting it, leaves nothing behind")
    func abandoned() throws {
        let scratch = ScratchDirectory()
        let writer = try Self.writer(scratch.path)
        try writer.append(Self.event(10))
        writer.abandon()
        #expect(try Files.list(scratch.path).isEmpty)
        expectError(.closed) { try writer.append(Self.event(11)) }
        expectError(.closed) { _ = try writer.finish(endPosition: 12) }
        do {
            let forgotten = try Self.writer(scratch.path)
            try forgotten.append(Self.event(10))
        }
        #expect(try Files.list(scratch.path).isEmpty)
    }

    @Test("what a crash left under the temporary name is replaced, be it a file or a link")
    func leftovers() throws {
        let scratch = ScratchDirectory()
        let temporary = scratch.file("00000000000000000010.mdb.tmp")
        try Files.writeAtomically([1, 2, 3], to: scratch.file("victim"))
        #expect(symlink(scratch.file("victim"), temporary) == 0)
        let writer = try Self.writer(scratch.path)
        try writer.append(Self.event(10))
        try Files.writeAtomically([4], to: scratch.file("00000000000000000099.mdb.tmp"))
        let info = try writer.finish(endPosition: 11)
        #expect(try Files.contents(scratch.file("victim")) == [1, 2, 3])
        #expect(try Segment.open(directory: scratch.path, info: info).allEvents() == [Self.event(10)])
    }

    @Test("a segment of the same name is never replaced")
    func nameTaken() throws {
        let scratch = ScratchDirectory()
        let first = try Self.writer(scratch.path)
        try first.append(Self.event(10))
        let info = try first.finish(endPosition: 11)
        let error = expectError(.alreadyExists) { _ = try Self.writer(scratch.path) }
        #expect(error?.path == scratch.file(info.fileName))
        #expect(try Segment.open(directory: scratch.path, info: info).allEvents().count == 1)
    }

    @Test("positions that do not ascend, lie before the first or behind the end are refused")
    func wrongPositions() throws {
        let scratch = ScratchDirectory()
        for positions: [UInt64] in [[9], [10, 10], [12, 11], [.max]] {
            let writer = try Self.writer(scratch.path)
            expectError(.invalidArgument) {
                for position in positions { try writer.append(Self.event(position)) }
            }
            #expect(try Files.list(scratch.path).isEmpty)
        }
        let writer = try Self.writer(scratch.path)
        try writer.append(Self.event(15))
        expectError(.invalidArgument) { _ = try writer.finish(endPosition: 15) }
        expectError(.invalidArgument) { _ = try writer.finish(endPosition: 10) }
        #expect(try writer.finish(endPosition: 16).positions == 10..<16)
    }

    @Test("an event that cannot be stored gives the segment up")
    func badEvent() throws {
        let scratch = ScratchDirectory()
        let writer = try Self.writer(scratch.path)
        var event = Self.event(10)
        event.record.type = ""
        expectError(.invalidArgument) { try writer.append(event) }
        #expect(try Files.list(scratch.path).isEmpty)
    }

    @Test("a directory that is not there is an error that names the file")
    func missingDirectory() throws {
        let scratch = ScratchDirectory()
        let error = expectError(.notFound) { _ = try Self.writer(scratch.file("none")) }
        #expect(error?.path?.hasPrefix(scratch.file("none")) == true)
    }

    @Test("runs of blocks fill their pages: a large segment wastes little")
    func littleWaste() throws {
        let scratch = ScratchDirectory()
        let writer = try Self.writer(scratch.path, firstPosition: 0)
        var random = SeededRandom(3)
        for position in 0..<UInt64(3_000) {
            var event = Self.event(position)
            event.record.payload = ArraySlice(
                (0..<100).flatMap { _ in
                    withUnsafeBytes(of: random.next()) { Array($0) }
                })
            try writer.append(event)
        }
        let info = try writer.finish(endPosition: 3_000)
        let sizes = writer.sizes
        let content = sizes.blocks + sizes.ids + sizes.directory + sizes.types
        #expect(Double(info.fileBytes) < Double(content) * 1.04)
    }
}
