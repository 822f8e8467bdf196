import Testing

@testable import TidelogStorage

@Suite("Segments of another log")
struct ForeignSegmentTests {
    @Test(
        "one that the catalogue names is refused with a typed error, and what is in the head stays readable")
    func foreign() throws {
        let (own, other) = (EngineScratch(), EngineScratch())
        let engine = try own.open()
        let foreign = try other.open()
        defer {
            engine.close()
            foreign.close()
        }
        for log in [engine, foreign] {
            _ = try log.appendBlocking(EngineScratch.records(0..<40))
            _ = try log.seal()
            _ = try log.appendBlocking(EngineScratch.records(40..<50))
        }
        let info = try #require(try foreign.currentView().catalogue.segments.first)
        let segments = own.directory + "/" + Head.Names.segments
        let path = segments + "/" + info.fileName
        try Files.unlink(path)
        try Files.writeAtomically(
            try Files.contents(other.directory + "/" + Head.Names.segments + "/" + info.fileName), to: path)
        try engine.writer?.perform { transaction throws(StorageError) in
            var state = try engine.head.databases.state(in: transaction.transaction)
            try transaction.setSegment(info)
            state.catalogueVersion += 1
            try transaction.setState(state)
        }
        let error = #expect(throws: StorageError.self) { _ = try engine.record(at: 0) }
        #expect(error?.code == .corrupted)
        #expect(error?.path == path)
        #expect(error?.message.contains("another log") == true)
        #expect(try engine.record(at: 45)?.position == 45)
    }
}
