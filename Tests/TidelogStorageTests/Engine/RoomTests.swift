import Glibc
import Testing

@testable import TidelogStorage

/// A file system in memory with room for little.
struct SmallDisk {
    let directory: String

    init(_ directory: String, _ options: String) throws {
        mkdir(directory, 0o700)
        guard mount("tmpfs", directory, "tmpfs", 0, options) == 0 else {
            throw StorageError.system(errno, doing: "mounting a small disk", path: directory)
        }
        self.directory = directory
    }

    func remove() { umount2(self.directory, 2 /* MNT_DETACH */) }

    /// Whether this process may mount. Where it may not, the tests of interrupted processes still fill the disk,
    /// by failing the calls.
    static let isPossible: Bool = {
        let scratch = ScratchDirectory()
        guard let disk = try? SmallDisk(scratch.file("disk"), "size=1m") else { return false }
        disk.remove()
        return true
    }()
}

@Suite("Room in the map and on the disk")
struct RoomTests {
    let scratch = EngineScratch()

    /// Appends until it is refused; answers how many events were acknowledged.
    private static func fill(_ engine: LogEngine, from start: Int, limit: Int = 5000) throws -> (
        Int, StorageError?
    ) {
        var next = start
        while next < start + limit {
            do throws(StorageError) {
                _ = try engine.appendBlocking(Self.noise(next..<next + 10))
                next += 10
            } catch {
                return (next, error)
            }
        }
        return (next, nil)
    }

    /// Events that do not compress.
    private static func noise(_ range: Range<Int>) -> [EventRecord] {
        var random = SystemRandomNumberGenerator()
        return range.map { number in
            var record = EngineScratch.record(number)
            record.payload = ArraySlice((0..<1000).map { _ in UInt8.random(in: 0...255, using: &random) })
            return record
        }
    }

    @Test("a full map is a typed error; sealing makes room, and appending goes on, again and again")
    func mapFull() throws {
        var options = self.scratch.options
        options.mapSizeBytes = 4 << 20
        options.reserveBytes = 1 << 20
        options.segmentBytes = 256 << 10
        var engine = try self.scratch.open(options)
        var next = 0
        for round in 0..<5 {
            let (reached, refusal) = try Self.fill(engine, from: next)
            #expect(refusal?.code == .mapFull, "round \(round): \(refusal as Any)")
            #expect(reached > next, "round \(round): no room was made")
            next = reached
            if round == 2 {
                engine.close()
                engine = try self.scratch.open(options)
            }
            #expect(try engine.checkedNumbers() == Array(0..<next))
            // A stream can still be truncated, and the log sealed.
            try engine.truncate(stream: "s", before: 0)
            #expect(try !engine.seal().isEmpty)
        }
        #expect(try engine.checkedNumbers() == Array(0..<next))
        engine.close()
    }

    @Test("what a reader that goes on for long keeps from being used again is no room for appends")
    func pinned() throws {
        var options = self.scratch.options
        options.mapSizeBytes = 6 << 20
        options.reserveBytes = 1 << 20
        options.segmentBytes = 256 << 10
        let engine = try self.scratch.open(options)
        let (next, _) = try Self.fill(engine, from: 0)
        let more = try Self.whilePinned(engine) { () throws in
            // Sealing takes the events out of the head, whose pages the reader may still look at.
            #expect(try !engine.seal().isEmpty)
            let (reached, refusal) = try Self.fill(engine, from: next)
            #expect(refusal?.code == .mapFull)
            let process = "a read in process \(getpid()) that has not ended"
            #expect(refusal?.message.contains(process) == true, "\(refusal as Any)")
            let statistics = try engine.statistics()
            #expect(statistics.pinnedHeadBytes > 2 << 20)
            #expect(statistics.pinningProcess == getpid())
            for revision in 1...20 { try engine.truncate(stream: "s", before: UInt64(revision)) }
            #expect(try engine.currentView().hidden.count == 1)
            return reached
        }
        let (last, _) = try Self.fill(engine, from: more, limit: 500)
        #expect(last == more + 500, "the reader is gone and appending does not go on")
        #expect(try engine.statistics().pinnedHeadBytes == 0)
        engine.close()
    }

    /// Runs `body` while a read transaction looks at what is there now.
    private static func whilePinned<Value: Sendable>(
        _ engine: LogEngine, _ body: () throws -> Value
    ) throws -> Value {
        let reader = try engine.head.environment.beginRead()
        let value = try body()
        #expect(reader.id > 0)
        return value
    }

    @Test("the age of the oldest reader is told while it lasts, and gone with it")
    func readerAge() throws {
        let ages = Lock<[Duration]>([])
        var options = self.scratch.options
        options.readerCheckInterval = .zero
        options.onReaderCheck = { age in ages.withLock { $0.append(age) } }
        let engine = try self.scratch.open(options)
        _ = try Self.fill(engine, from: 0, limit: 10)
        try Self.whilePinned(engine) { () throws in
            ages.withLock { $0 = [] }
            _ = try Self.fill(engine, from: 10, limit: 100)
            let seen = ages.withLock { $0 }
            #expect(seen.count == 10)
            #expect(seen == seen.sorted() && seen.last! > seen[0])
            #expect(try engine.statistics().oldestReaderAge >= seen.last!)
        }
        ages.withLock { $0 = [] }
        _ = try Self.fill(engine, from: 110, limit: 10)
        #expect(ages.withLock { $0 } == [.zero])
        #expect(try engine.statistics().oldestReaderAge == .zero)
        engine.close()
    }

    @Test(
        "a full disk is a typed error; all that was acknowledged stays, and appending goes on with more room",
        .enabled(if: SmallDisk.isPossible, "mounting a small file system needs root"))
    func diskFull() throws {
        let disk = try SmallDisk(self.scratch.scratch.file("disk"), "size=12m")
        defer { disk.remove() }
        let directory = disk.directory
        var options = self.scratch.options
        options.reserveBytes = 2 << 20
        options.segmentBytes = 256 << 10
        let log = directory + "/log"
        var engine = try LogEngine(directory: log, options: options)
        // Somebody else's file takes most of the disk, and goes later.
        let ballast = directory + "/ballast"
        let descriptor = open(ballast, O_CREAT | O_WRONLY, 0o600)
        #expect(posix_fallocate(descriptor, 0, 5 << 20) == 0)
        close(descriptor)

        let (next, refusal) = try Self.fill(engine, from: 0)
        #expect(refusal?.code == .diskFull, "\(refusal as Any)")
        #expect(next > 0)
        #expect(try engine.checkedNumbers() == Array(0..<next))
        // What is kept in reserve lets other changes through.
        try engine.truncate(stream: "s", before: 0)
        engine.close()
        engine = try LogEngine(directory: log, options: options)
        #expect(try engine.checkedNumbers() == Array(0..<next))

        unlink(ballast)
        let (more, _) = try Self.fill(engine, from: next, limit: 100)
        #expect(more > next, "there is room again and appending does not go on")
        #expect(try !engine.seal().isEmpty)
        #expect(try engine.checkedNumbers() == Array(0..<more))
        engine.close()
    }

    @Test(
        "a disk too full to seal reports that, and loses nothing",
        .enabled(if: SmallDisk.isPossible, "mounting a small file system needs root"))
    func diskFullWhileSealing() throws {
        let disk = try SmallDisk(self.scratch.scratch.file("disk"), "size=12m")
        defer { disk.remove() }
        let directory = disk.directory
        var options = self.scratch.options
        options.reserveBytes = 64 << 10
        options.segmentBytes = 64 << 20
        let engine = try LogEngine(directory: directory + "/log", options: options)
        _ = try Self.fill(engine, from: 0, limit: 2000)
        let ballast = directory + "/ballast"
        let descriptor = open(ballast, O_CREAT | O_WRONLY, 0o600)
        var room: off_t = 12 << 20
        while room > 0, posix_fallocate(descriptor, 0, room) != 0 { room -= 64 << 10 }
        let numbers = try engine.checkedNumbers()
        expectError(.diskFull) { _ = try engine.seal() }
        #expect(try engine.checkedNumbers() == numbers)
        close(descriptor)
        unlink(ballast)
        #expect(try !engine.seal().isEmpty)
        #expect(try engine.checkedNumbers() == numbers)
        engine.close()
    }

    @Test(
        "on a full disk retention goes on, and makes the room that appending goes on with",
        .enabled(if: SmallDisk.isPossible, "mounting a small file system needs root"))
    func retentionOnFullDisk() throws {
        let disk = try SmallDisk(self.scratch.scratch.file("disk"), "size=24m")
        defer { disk.remove() }
        var options = self.scratch.options
        options.reserveBytes = 1 << 20
        options.segmentBytes = 64 << 20
        let engine = try LogEngine(directory: disk.directory + "/log", options: options)
        let (sealed, _) = try Self.fill(engine, from: 0, limit: 4000)
        #expect(try !engine.seal().isEmpty)
        let descriptor = open(disk.directory + "/ballast", O_CREAT | O_WRONLY, 0o600)
        var room: off_t = 24 << 20
        while room > 0, posix_fallocate(descriptor, 0, room) != 0 { room -= 64 << 10 }
        close(descriptor)

        let (next, refusal) = try Self.fill(engine, from: sealed, limit: 20_000)
        #expect(refusal?.code == .diskFull, "\(refusal as Any)")
        var limits = RetentionLimits()
        limits.maximumAge = 0
        limits.keepFrom = UInt64(sealed)
        #expect(try engine.retain(limits).map(\.positions.upperBound) == [UInt64(sealed)])
        let (more, _) = try Self.fill(engine, from: next, limit: 100)
        #expect(more == next + 100, "there is room again and appending does not go on")
        let kept = try engine.records(RecordQuery()).map(\.position)
        #expect(kept == Array(UInt64(sealed)..<UInt64(more)))
        engine.close()
    }
}
