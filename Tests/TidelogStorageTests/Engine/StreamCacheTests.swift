import Testing

@testable import TidelogStorage

/// Each read is compared with that of a second engine on the same log, which keeps nothing of streams.
@Suite("What is kept of streams that were read")
struct StreamCacheTests {
    let scratch = EngineScratch()

    /// A log of five segments and a head, in each of which two streams take turns.
    private func filled(_ options: EngineOptions? = nil) throws -> LogEngine {
        let engine = try self.scratch.open(options)
        for batch in 0..<6 {
            var records = EngineScratch.records(batch * 20..<batch * 20 + 20)
            for index in records.indices where index % 2 == 1 { records[index].stream = "other" }
            _ = try engine.appendBlocking(records)
            if batch < 5 { _ = try engine.seal() }
        }
        return engine
    }

    private static func query(
        _ stream: String = "s", _ change: (inout RecordQuery) -> Void = { _ in }
    ) -> RecordQuery {
        var query = RecordQuery()
        query.filter.streams = [stream]
        change(&query)
        return query
    }

    /// Queries of a stream, whole and in part.
    private static func queries(_ stream: String = "s") -> [RecordQuery] {
        var queries = [Self.query(stream), Self.query(stream) { $0.isBackwards = true }]
        for limit in [0, 1, 7, 49, 55, 1000] {
            queries.append(Self.query(stream) { $0.limit = limit })
            queries.append(
                Self.query(stream) {
                    $0.limit = limit
                    $0.isBackwards = true
                })
        }
        for revisions: Range<UInt64> in [0..<1, 3..<12, 17..<50, 45..<UInt64.max, 70..<80, 5..<5] {
            queries.append(Self.query(stream) { $0.filter.revisions = revisions })
        }
        for positions: Range<UInt64> in [0..<1, 15..<16, 15..<90, 90..<115, 101..<UInt64.max, 500..<600] {
            queries.append(Self.query(stream) { $0.positions = positions })
            queries.append(
                Self.query(stream) {
                    $0.positions = positions
                    $0.filter.revisions = 4..<48
                    $0.isBackwards = true
                    $0.limit = 9
                })
        }
        return queries
    }

    /// Requires that `engine`, which has read streams before, finds what one finds that has not.
    private func compare(_ engine: LogEngine, _ what: String) throws {
        for stream in ["s", "other", "none"] {
            for query in Self.queries(stream) {
                let found = try engine.records(query)
                var uncached: [PlacedRecord] = []
                try engine.scan(query) { (frame, selection) throws(StorageError) in
                    try frame.require(.all)
                    return try selection.forEach(backwards: query.isBackwards) {
                        (index) throws(StorageError) in
                        uncached.append(
                            PlacedRecord(
                                position: frame.position(index), revision: frame.revision(index),
                                record: try frame.record(index)))
                        return true
                    }
                }
                #expect(found == uncached, "\(what): \(query)")
                if let known = engine.recordsInMemory(query) {
                    #expect(known == uncached, "\(what), in memory: \(query)")
                }
            }
        }
    }

    @Test("what is in memory is answered from there, until somebody has appended to the stream")
    func inMemory() throws {
        let engine = try self.filled()
        #expect(engine.recordsInMemory(Self.query()) == nil)
        _ = try engine.records(Self.query())
        #expect(engine.recordsInMemory(Self.query()) == nil, "the head has some of it")
        _ = try engine.seal()
        #expect(engine.recordsInMemory(Self.query()) == nil, "a file was added")
        for query in Self.queries() {
            let read = try engine.records(query)
            #expect(engine.recordsInMemory(query) == read, "\(query)")
        }
        // Other streams do not matter.
        var third = EngineScratch.records(300..<301)
        third[0].stream = "third"
        _ = try engine.appendBlocking(third)
        _ = try engine.records(Self.query())
        #expect(engine.recordsInMemory(Self.query())?.count == 60)
        _ = try engine.appendBlocking(EngineScratch.records(301..<302))
        #expect(engine.recordsInMemory(Self.query()) == nil)
        try engine.truncate(stream: "other", before: 5)
        _ = try engine.records(Self.query("other"))
        #expect(engine.recordsInMemory(Self.query("other"))?.first?.revision == 5)
        try engine.delete(stream: "other", expecting: .any)
        #expect(try engine.records(Self.query("other")).isEmpty)
        #expect(engine.recordsInMemory(Self.query("other"))?.isEmpty ?? true)
        engine.close()
        #expect(engine.recordsInMemory(Self.query()) == nil)
    }

    @Test("a stream that was read is read again without its blocks, and the events are the same")
    func withoutBlocks() throws {
        let engine = try self.filled()
        let first = try engine.records(Self.query())
        #expect(first.count == 60 && engine.streams.contents.streams == 1)
        try self.compare(engine, "after a read")
        // Whoever wanted a block now would find the files gone.
        engine.segments.removeAll()
        for info in try engine.currentView().catalogue.segments {
            _ = try Files.unlink(self.scratch.directory + "/segments/" + info.fileName)
        }
        #expect(try engine.records(Self.query()) == first)
        #expect(try engine.records(Self.query { $0.isBackwards = true }) == first.reversed())
        #expect(throws: StorageError.self) { try engine.records(Self.query("unread")) }
        engine.close()
    }

    @Test("only a read of the whole stream puts it there; parts are read as ever")
    func partsAreNotKept() throws {
        let engine = try self.filled()
        for query in Self.queries().dropFirst(2) where query.limit != nil || query.filter.revisions != nil {
            _ = try engine.records(query)
        }
        #expect(engine.streams.contents.streams == 0)
        engine.close()
    }

    @Test("what is appended and sealed later is there")
    func laterEvents() throws {
        let engine = try self.filled()
        try self.compare(engine, "at first")
        _ = try engine.appendBlocking(EngineScratch.records(200..<230))
        try self.compare(engine, "appended")
        _ = try engine.seal()
        try self.compare(engine, "sealed")
        #expect(try engine.records(Self.query()).count == 90)
        engine.close()
    }

    @Test("what is truncated, deleted, compacted away or dropped is there no longer")
    func changes() throws {
        let engine = try self.filled()
        try self.compare(engine, "at first")
        try engine.truncate(stream: "s", before: 17)
        try self.compare(engine, "truncated")
        #expect(try engine.records(Self.query()).first?.revision == 17)
        _ = try engine.compact(CompactionPolicy())
        try self.compare(engine, "compacted")
        #expect(try engine.records(Self.query()).count == 43)

        var policy = CompactionPolicy()
        policy.mergedBytes = 1 << 20
        _ = try engine.compact(policy)
        try self.compare(engine, "merged")

        _ = try engine.seal()
        var limits = RetentionLimits()
        limits.maximumEvents = 15
        let dropped = try engine.retain(limits)
        try self.compare(engine, "retained")
        let low = dropped.last?.positions.upperBound ?? 0
        #expect(try engine.records(Self.query()).allSatisfy { $0.position >= low })

        try engine.delete(stream: "s", expecting: .any)
        try self.compare(engine, "deleted")
        #expect(try engine.records(Self.query()).isEmpty)
        policy.keepsLatestOnly = true
        _ = try engine.compact(policy)
        try self.compare(engine, "only the latest kept")
        engine.close()
    }

    @Test("another engine's changes on the same log are seen", arguments: [true, false])
    func otherProcess(isCompacted: Bool) throws {
        // LMDB allows an environment once a process, so the other one writes between two readings.
        var engine = try self.filled()
        try self.compare(engine, "at first")
        engine.close()
        engine = try self.scratch.open()
        try self.compare(engine, "opened again")
        try engine.truncate(stream: "other", before: 9)
        if isCompacted { _ = try engine.compact(CompactionPolicy()) }
        try self.compare(engine, "changed")
        engine.close()
    }

    @Test("memory stays within its bound, and large streams are not kept")
    func bounded() throws {
        var options = self.scratch.options
        options.streamCacheBytes = 64 << 10
        let engine = try self.scratch.open(options)
        let names = (0..<120).map { "stream-\($0)" }
        for round in 0..<3 {
            _ = try engine.appendBlocking(
                names.enumerated().map { EngineScratch.record(round * 1000 + $0.offset, stream: $0.element) })
            _ = try engine.appendBlocking(
                EngineScratch.records(round * 1000 + 500..<round * 1000 + 600, stream: "large"))
            _ = try engine.seal()
        }
        for name in names + ["large"] + names.reversed() + ["large"] {
            #expect(try engine.records(Self.query(name)).count == (name == "large" ? 300 : 3))
            #expect(engine.streams.contents.bytes <= options.streamCacheBytes + engine.streams.entryLimit)
        }
        #expect(engine.streams.contents.streams > 10)
        #expect(engine.streams.find(ExactText("large")) == nil)
        engine.close()

        options.streamCacheBytes = 0
        let without = try self.scratch.open(options)
        #expect(try without.records(Self.query(names[0])).count == 3)
        #expect(without.streams.contents.streams == 0)
        without.close()
    }

    @Test("a batch ends with the event that exceeds its bytes, kept or not")
    func batches() throws {
        let engine = try self.filled()
        for query in [Self.query(), Self.query { $0.isBackwards = true }] {
            let fresh = try engine.records(query, maximumBytes: 1500)
            #expect(try engine.records(query, maximumBytes: 1500) == fresh)
            #expect(fresh.count == 8)
        }
        engine.close()
    }

    @Test("of a stream of large events a read that wants a piece holds no more than the cache may keep")
    func largeEvents() throws {
        var options = self.scratch.options
        options.streamCacheBytes = 1 << 20
        let engine = try self.scratch.open(options)
        for batch in 0..<4 {
            _ = try engine.appendBlocking(
                EngineScratch.records(batch * 20..<batch * 20 + 20, bytes: 20_000))
            _ = try engine.seal()
        }
        #expect(try engine.records(Self.query(), maximumBytes: 50_000).count == 3)
        #expect(try engine.records(Self.query()).count == 80)
        #expect(engine.streams.contents.streams == 0)
        engine.close()
    }

    @Test("names that only look the same are different streams")
    func equivalentNames() throws {
        let engine = try self.scratch.open()
        let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}")
        _ = try engine.appendBlocking([
            EngineScratch.record(1, stream: composed), EngineScratch.record(2, stream: decomposed),
            EngineScratch.record(3, stream: decomposed),
        ])
        _ = try engine.seal()
        for _ in 0..<2 {
            #expect(try engine.records(Self.query(composed)).count == 1)
            #expect(try engine.records(Self.query(decomposed)).count == 2)
        }
        engine.close()
    }
}

@Suite("Work that several threads share")
struct SharedWorkTests {
    @Test("is done once, each piece of it, with helpers and without")
    func done() async throws {
        let pool = WorkerPool(name: "test", size: 3)
        for helpers in 0..<6 {
            for count in [0, 1, 2, 40] {
                let done = Lock([Int](repeating: 0, count: count))
                let work = SharedWork(count: count) { index in done.withLock { $0[index] += 1 } }
                for _ in 0..<helpers { #expect(pool.submit { work.help() }) }
                work.finish()
                #expect(done.withLock { $0.allSatisfy { $0 == 1 } })
            }
        }
        pool.shutdown()
    }

    @Test("is done where every helper waits for work of the same kind", .timeLimit(.minutes(30)))
    func nested() async throws {
        let pool = WorkerPool(name: "test", size: 2)
        let total = Lock(0)
        let outer = SharedWork(count: 8) { _ in
            let inner = SharedWork(count: 8) { _ in total.withLock { $0 += 1 } }
            for _ in 0..<3 { _ = pool.submit { inner.help() } }
            inner.finish()
        }
        for _ in 0..<2 { _ = pool.submit { outer.help() } }
        outer.finish()
        #expect(total.withLock { $0 } == 64)
        pool.shutdown()
    }
}
