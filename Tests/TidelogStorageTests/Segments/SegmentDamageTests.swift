import Glibc
import Testing

@testable import TidelogStorage

/// What stands where a segment should be, and is none or no longer one.
@Suite("Damaged segments")
struct SegmentDamageTests {
    /// A small segment in a directory of its own.
    private struct Sealed {
        let scratch = ScratchDirectory()
        let info: SegmentInfo
        let sample: SegmentSample
        var directory: String { self.scratch.path }
        var path: String { self.scratch.file(self.info.fileName) }

        init(events: Int = 60, seed: UInt64 = 11) throws {
            var shape = SegmentSample.shapes[1]
            shape.events = events
            self.sample = SegmentSample(shape, seed: seed)
            self.info = try self.sample.seal(in: self.scratch.path)
            chmod(self.scratch.file(self.info.fileName), 0o600)
        }

        /// Expects that opening fails with `code` and names the file.
        func expectFailure(
            _ code: StorageError.Code, logID: (UInt64, UInt64)? = nil,
            sourceLocation: SourceLocation = #_sourceLocation
        ) {
            let error = expectError(code, sourceLocation: sourceLocation) {
                _ = try Segment.open(directory: self.directory, info: self.info, logID: logID)
            }
            #expect(error?.path == self.path, sourceLocation: sourceLocation)
        }
    }

    @Test("a flipped bit is found before what it is part of is believed, wherever in the file it is")
    func flippedBits() throws {
        let sealed = try Sealed()
        let seed = UInt64.random(in: .min ... .max)
        var random = SeededRandom(seed)
        let bytes = try Files.contents(sealed.path)
        let descriptor = try Files.open(sealed.path, flags: O_RDWR)
        let answers = try Self.answers(
            try Segment.open(directory: sealed.directory, info: sealed.info), sealed.sample)
        for offset in bytes.indices {
            var flipped = bytes[offset] ^ 1 << UInt8(random.below(8))
            #expect(pwrite(descriptor.number, &flipped, 1, offset) == 1)
            do {
                let segment = try Segment.open(directory: sealed.directory, info: sealed.info)
                guard
                    try segment.allEvents() == sealed.sample.events,
                    try Self.answers(segment, sealed.sample) == answers
                else { throw StorageError(.library, "other events") }
                // Nothing that reading looks at; whoever checks the whole file finds it.
                let digest = try Files.digest(descriptor: descriptor.number, length: bytes.count)
                #expect(digest != sealed.info.digest)
            } catch {
                let error = error as? StorageError
                // A flip in a version looks like a newer one.
                let isExpected = error?.code == .corrupted || error?.code == .unsupportedFormat
                if !isExpected || error?.path != sealed.path {
                    Issue.record("offset \(offset), seed \(seed): \(String(describing: error))")
                }
            }
            var original = bytes[offset]
            #expect(pwrite(descriptor.number, &original, 1, offset) == 1)
        }
        #expect(
            try Segment.open(directory: sealed.directory, info: sealed.info).allEvents()
                == sealed.sample.events)
    }

    @Test("a damaged block costs its own events, and nothing else of the segment")
    func damagedBlock() throws {
        let sealed = try Sealed(events: 400)
        var number = 0
        do {
            let segment = try Segment.open(directory: sealed.directory, info: sealed.info)
            #expect(segment.blocks.count > 3)
            number = segment.blocks.count / 2
            let offset = try segment.withBlock(number) { segment.file.pages.range(of: $0).lowerBound }
            var byte: UInt8 = 0
            let descriptor = try Files.open(sealed.path, flags: O_RDWR)
            #expect(pread(descriptor.number, &byte, 1, offset + 150) == 1)
            byte ^= 0x40
            #expect(pwrite(descriptor.number, &byte, 1, offset + 150) == 1)
        }
        let segment = try Segment.open(directory: sealed.directory, info: sealed.info)
        let decoder = FrameDecoder()
        var lost: [Int] = []
        for block in segment.blocks {
            do throws(StorageError) {
                try segment.withBlock(block.number) { frame throws(StorageError) in
                    try decoder.load(
                        frame, expectedFirstPosition: block.firstPosition, copies: false,
                        dictionary: segment.dictionary(id:))
                }
            } catch {
                #expect(error.code == .corrupted && error.path == sealed.path)
                #expect(error.positions == block.firstPosition..<block.lastPosition + 1)
                lost.append(block.number)
            }
        }
        decoder.unload()
        #expect(lost == [number])
    }

    /// What the indexes say of every event.
    private static func answers(
        _ segment: Segment, _ sample: SegmentSample
    ) throws(StorageError) -> [[BlockPosting]] {
        var answers: [[BlockPosting]] = []
        for event in sample.events {
            answers.append(try segment.streamPostings(event.record.stream ?? "none"))
            answers.append(try segment.correlationPostings(event.record.correlation ?? event.record.id))
            answers.append(try segment.typeBlocks(event.record.type))
            let blocks = try segment.idCandidates(event.record.id)
            answers.append(blocks.map { BlockPosting(block: $0, count: 1) })
        }
        return answers
    }

    @Test("a file cut anywhere, or lengthened, is found when it is opened")
    func truncated() throws {
        let sealed = try Sealed()
        let descriptor = try Files.open(sealed.path, flags: O_RDWR)
        for length in stride(from: sealed.info.fileBytes - 1, through: 0, by: -1) {
            try Files.truncate(descriptor: descriptor.number, length: length)
            sealed.expectFailure(.corrupted)
        }
        try Files.truncate(descriptor: descriptor.number, length: sealed.info.fileBytes + 4_096)
        sealed.expectFailure(.corrupted)
        try Files.truncate(descriptor: descriptor.number, length: sealed.info.fileBytes)
        sealed.expectFailure(.corrupted)
    }

    @Test("a missing file is not found")
    func missing() throws {
        let sealed = try Sealed()
        try Files.unlink(sealed.path)
        sealed.expectFailure(.notFound)
    }

    @Test("a symbolic link in its place is refused, also to the right file")
    func symbolicLink() throws {
        let sealed = try Sealed()
        try Files.rename(sealed.path, to: sealed.path + ".real")
        #expect(symlink(sealed.path + ".real", sealed.path) == 0)
        sealed.expectFailure(.permission)
    }

    @Test("a directory or a pipe in its place is refused")
    func otherKinds() throws {
        let sealed = try Sealed()
        try Files.unlink(sealed.path)
        try Files.createDirectory(sealed.path)
        sealed.expectFailure(.unsupportedFormat)
        try Files.removeDirectory(sealed.path)
        #expect(mkfifo(sealed.path, 0o600) == 0)
        sealed.expectFailure(.unsupportedFormat)
    }

    @Test("a file that may not be read gives a permission error", .enabled(if: geteuid() != 0))
    func unreadable() throws {
        let sealed = try Sealed()
        chmod(sealed.path, 0)
        sealed.expectFailure(.permission)
    }

    @Test("a file of the right length with other contents is not taken")
    func foreignFile() throws {
        let sealed = try Sealed()
        let other = try Sealed(seed: 12)
        var bytes = try Files.contents(other.path)
        bytes = Array(
            (bytes + Array(repeating: 0, count: sealed.info.fileBytes)).prefix(sealed.info.fileBytes))
        try Files.writeAtomically(bytes, to: sealed.path)
        sealed.expectFailure(.corrupted)
        try Files.writeAtomically(Array(repeating: 0x20, count: sealed.info.fileBytes), to: sealed.path)
        sealed.expectFailure(.corrupted)
    }

    @Test("a file that is no environment of LMDB is no segment, even with the digest it should have")
    func foreignFileInTheCatalogue() throws {
        let sealed = try Sealed()
        let page = [UInt8](repeating: 0x20, count: 4_096)
        var table = RecordWriter()
        for _ in 0..<2 { table.append(fixed: page.withUnsafeBytes { XXH64.hash($0) }) }
        table.append(fixed: UInt32(4_096))
        table.append(fixed: UInt32(2))
        try Files.writeAtomically(page + page + table.bytes, to: sealed.path)
        let descriptor = try Files.openReadOnlyNoFollow(sealed.path)
        var info = sealed.info
        info.fileBytes = 8_192 + table.bytes.count
        info.digest = try Files.digest(descriptor: descriptor.number, length: info.fileBytes)
        info.pagesDigest = table.bytes.withUnsafeBytes { XXH64.hash($0, seed: SegmentPages.tableSeed) }
        let error = expectError(.unsupportedFormat) {
            _ = try Segment.open(directory: sealed.directory, info: info)
        }
        #expect(error?.path == sealed.path)
    }

    @Test("a segment of another log is refused")
    func otherLog() throws {
        let sealed = try Sealed()
        sealed.expectFailure(.corrupted, logID: (1, 2))
    }

    @Test("a catalogue that says something else than the segment is refused")
    func otherCatalogue() throws {
        let sealed = try Sealed()
        var changed: [SegmentInfo] = Array(repeating: sealed.info, count: 7)
        changed[0].count -= 1
        changed[1].positions = sealed.info.positions.lowerBound..<sealed.info.positions.upperBound + 1
        changed[2].minTimestamp -= 1
        changed[3].maxTimestamp += 1
        changed[4].generation += 1
        changed[5].dictionaryID = 9
        changed[6].uncompressedBytes += 1
        for info in changed {
            expectError(.corrupted) { _ = try Segment.open(directory: sealed.directory, info: info) }
        }
    }

    @Test("a segment of a newer format is told from a damaged one")
    func newerFormat() throws {
        let sealed = try Sealed()
        var options = Environment.Options()
        options.noLock = true
        let environment = try Environment(path: sealed.path, options: options)
        let meta = try environment.openDatabase("meta", integerKeys: false, create: false)
        try environment.write { transaction throws(StorageError) in
            let value = CheckedValue.wrap(
                [SegmentMeta.version + 1, 1, 2, 3], key: SegmentKey.segment, part: .meta)
            try value.span.bytes.withUnsafeBytes { bytes throws(StorageError) in
                try transaction.put(meta, key: SegmentKey.segment, value: bytes)
            }
        }
        environment.close()
        let descriptor = try Files.open(sealed.path, flags: O_RDWR)
        var info = sealed.info
        info.pagesDigest = try SegmentPages.writeTable(descriptor: descriptor.number, path: sealed.path)
        info.fileBytes = try Files.size(sealed.path)
        info.digest = try Files.digest(descriptor: descriptor.number, length: info.fileBytes)
        let error = expectError(.unsupportedFormat) {
            _ = try Segment.open(directory: sealed.directory, info: info)
        }
        #expect(error?.path == sealed.path)
    }

    @Test("two may open the same file, and one goes on when the other has closed it")
    func openedTwice() throws {
        let sealed = try Sealed()
        var first: Segment? = try Segment.open(directory: sealed.directory, info: sealed.info)
        let second = try Segment.open(directory: sealed.directory, info: sealed.info)
        #expect(try first?.allEvents() == sealed.sample.events)
        first = nil
        #expect(try second.allEvents() == sealed.sample.events)
        var other = sealed.info
        other.pagesDigest ^= 1
        expectError(.corrupted) { _ = try Segment.open(directory: sealed.directory, info: other) }
    }

    @Test("threads that open and close the same file all the time never get in each other's way")
    func openedByThreads() async throws {
        let sealed = try Sealed()
        let (directory, info, events) = (sealed.directory, sealed.info, sealed.sample.events)
        let failures = await withTaskGroup(of: String?.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    for _ in 0..<50 {
                        do {
                            let segment = try Segment.open(directory: directory, info: info)
                            guard try segment.allEvents() == events else { return "other events" }
                        } catch { return "\(error)" }
                    }
                    return nil
                }
            }
            return await group.reduce(into: []) { $0.append($1) }.compactMap { $0 }
        }
        #expect(failures == [])
        _ = sealed
    }
}
