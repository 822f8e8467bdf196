import Glibc
import Testing

@testable import TidelogStorage

/// Segments whose file is whole and whose contents are not: what `verify` is for when a catalogue is made
/// anew and there is no digest to go by.
@Suite("Verifying segments")
struct SegmentVerifyTests {
    /// Seals a sample and changes the file through LMDB.
    private static func verify(
        _ shape: SegmentSample.Shape = SegmentSample.shapes[4], deep: Bool = true,
        changing part: SegmentFile.Part,
        _ change: (borrowing WriteTransaction, Database) throws(StorageError) -> Void
    ) throws -> [StorageError] {
        let scratch = ScratchDirectory()
        let info = try SegmentSample(shape, seed: 21).seal(in: scratch.path)
        chmod(scratch.file(info.fileName), 0o600)
        var options = Environment.Options()
        options.noLock = true
        let environment = try Environment(path: scratch.file(info.fileName), options: options)
        let database = try environment.openDatabase(
            part.rawValue, integerKeys: part == .blocks, create: false)
        try environment.write { transaction throws(StorageError) in try change(transaction, database) }
        environment.close()
        let descriptor = try Files.open(scratch.file(info.fileName), flags: O_RDWR)
        _ = try SegmentPages.writeTable(descriptor: descriptor.number, path: scratch.file(info.fileName))
        let segment = try Segment.openUnknown(directory: scratch.path, fileName: info.fileName)
        let findings = segment.verify(deep: deep)
        #expect(findings.allSatisfy { $0.path == scratch.file(info.fileName) && $0.positions != nil })
        return findings
    }

    /// The key and the checked value of the first page of an index.
    private static func firstPage(
        _ kind: UInt8, _ transaction: borrowing WriteTransaction, _ index: Database
    ) throws(StorageError) -> (key: [UInt8], value: [UInt8]) {
        var found: (key: [UInt8], value: [UInt8]) = ([], [])
        try transaction.scan(index, from: .atOrAfter([kind])) { key, value throws(StorageError) in
            found = (Array(key), Array(try CheckedValue.unwrap(value, key: key, part: .index)))
            return false
        }
        return found
    }

    private static func put(
        _ key: [UInt8], _ value: [UInt8], _ transaction: borrowing WriteTransaction, _ index: Database
    ) throws(StorageError) {
        let wrapped = CheckedValue.wrap(value, key: key, part: .index)
        try wrapped.span.bytes.withUnsafeBytes { bytes throws(StorageError) in
            try transaction.put(index, key: key, value: bytes)
        }
    }

    @Test("a damaged block is named with its positions, and the others are still checked")
    func damagedBlock() throws {
        let findings = try Self.verify(deep: false, changing: .blocks) {
            transaction, blocks throws(StorageError) in
            var run: [UInt8] = []
            try transaction.scan(blocks, from: .first) { _, value throws(StorageError) in
                run = Array(value)
                return false
            }
            // Two bytes in two blocks.
            for offset in [500, run.count - 100] { run[offset] ^= 0x10 }
            try run.span.bytes.withUnsafeBytes { bytes throws(StorageError) in
                try transaction.put(blocks, key: 0, value: bytes)
            }
        }
        #expect(findings.count == 2)
        #expect(findings.allSatisfy { $0.code == .corrupted })
        #expect(findings.first?.positions?.lowerBound == 0)
        #expect(Set(findings.map(\.positions)).count == 2)
    }

    @Test("a missing run is named for each of its blocks")
    func missingRun() throws {
        let findings = try Self.verify(changing: .blocks) { transaction, blocks throws(StorageError) in
            try transaction.delete(blocks, key: 0)
        }
        #expect(!findings.isEmpty)
    }

    @Test("a page that is missing is found", arguments: [UInt8(0x73), 0x63, 0x69, 0x74])
    func missingPage(kind: UInt8) throws {
        for deep in [false, true] {
            let findings = try Self.verify(deep: deep, changing: .index) {
                transaction, index throws(StorageError) in
                let page = try Self.firstPage(kind, transaction, index)
                try transaction.delete(index, key: page.key)
            }
            #expect(findings.count == 1)
        }
    }

    @Test("a page that was damaged is found", arguments: [UInt8(0x73), 0x63, 0x69, 0x74])
    func damagedPage(kind: UInt8) throws {
        let findings = try Self.verify(deep: false, changing: .index) {
            transaction, index throws(StorageError) in
            let page = try Self.firstPage(kind, transaction, index)
            var value = CheckedValue.wrap(page.value, key: page.key, part: .index)
            value[value.count / 2] ^= 1
            try value.span.bytes.withUnsafeBytes { bytes throws(StorageError) in
                try transaction.put(index, key: page.key, value: bytes)
            }
        }
        #expect(findings.count == 1)
    }

    @Test(
        "an index that is intact and wrong is found by comparing it with the blocks",
        arguments: SegmentIndex.allCases)
    func wrongIndex(kind: SegmentIndex) throws {
        let sample = SegmentSample(SegmentSample.shapes[4], seed: 21)
        let scratch = ScratchDirectory()
        let blocks = try Segment.open(directory: scratch.path, info: try sample.seal(in: scratch.path)).blocks
        let findings = try Self.verify(changing: .index) { transaction, index throws(StorageError) in
            // The same names, each a block further on.
            var builder = PostingsBuilder(isGrouped: kind.isGrouped)
            for event in sample.events {
                let block = blocks.first { event.position <= $0.lastPosition }?.number ?? 0
                let wrong = min(block + 1, blocks.count - 1)
                switch kind {
                case .id: builder.add(hash: event.record.id.hash64, block: wrong)
                case .stream:
                    if let stream = event.record.stream {
                        builder.add(hash: XXH64.hash(stream), block: wrong)
                    }
                case .correlation:
                    if let id = event.record.correlation { builder.add(hash: id.hash64, block: wrong) }
                }
            }
            _ = try builder.finish(blockCount: blocks.count) { firstKey, page throws(StorageError) in
                try Self.put(SegmentKey.page(kind, firstKey: firstKey), page, transaction, index)
            }
        }
        #expect(!findings.isEmpty)
        #expect(findings.allSatisfy { $0.message.contains("\(kind)") })
    }
}
