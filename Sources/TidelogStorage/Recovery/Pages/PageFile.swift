// An LMDB 0.9 file read with plain reads and without LMDB, which believes what stands in a page and ends the
// process where it is wrong. Here nothing is believed: every number is checked against the file and the page
// before it is used, and what does not hold is an answer, never a trap. So a damaged file can be looked at in
// any process, and what is intact in it can be found.
//
// The layout, numbers in the byte order of the machine: pages of equal size, each with a header of 16 bytes:
// page number 8, padding 2, flags 2, and either two bounds (2, 2: the end of the offsets, the start of the
// nodes) or, on the first of the pages that hold one long value, their number 4. Pages 0 and 1 are the meta
// pages (see MetaPages.swift), which lead to two trees: that of free pages, and the main one, whose values
// are the records (48 bytes) of the named databases.
import Glibc

/// What a record of 48 bytes says of one tree.
struct PageDatabase: Hashable, Sendable {
    static let byteCount = 48
    /// Keys are integers of eight bytes.
    static let integerKeys: UInt16 = 0x08

    let flags: UInt16
    let depth: Int
    let branchPages: UInt64
    let leafPages: UInt64
    let overflowPages: UInt64
    let entries: UInt64
    /// Nil for an empty tree.
    let root: UInt64?

    /// Reads the record that begins at `offset`; there must be enough bytes.
    init(_ bytes: UnsafeRawBufferPointer, at offset: Int = 0) {
        func number<Number: FixedWidthInteger>(_ place: Int, _: Number.Type) -> Number {
            bytes.loadUnaligned(fromByteOffset: offset + place, as: Number.self)
        }
        self.flags = number(4, UInt16.self)
        self.depth = Int(number(6, UInt16.self))
        self.branchPages = number(8, UInt64.self)
        self.leafPages = number(16, UInt64.self)
        self.overflowPages = number(24, UInt64.self)
        self.entries = number(32, UInt64.self)
        let root = number(40, UInt64.self)
        self.root = root == .max ? nil : root
    }
}

/// What one of the two meta pages says: where the trees of one commit begin.
struct PageMeta: Hashable, Sendable {
    /// 0 or 1: the page that it stands on.
    let number: UInt64
    let pageSizeBytes: Int
    let lastPage: UInt64
    let transactionID: UInt64
    let free: PageDatabase
    let main: PageDatabase

    /// Reads a meta page; nil if it is none.
    init?(_ bytes: UnsafeRawBufferPointer, number: UInt64, path: String) {
        guard
            bytes.count >= MetaPage.byteCount, let meta = try? MetaPage(bytes, path: path),
            bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self) == number,
            bytes.loadUnaligned(fromByteOffset: 10, as: UInt16.self) == PageFlag.meta
        else { return nil }
        self.number = number
        self.pageSizeBytes = meta.pageSizeBytes
        self.lastPage = meta.lastPage
        self.transactionID = meta.transactionID
        self.free = PageDatabase(bytes, at: 40)
        self.main = PageDatabase(bytes, at: 88)
    }
}

/// What a page is for, as its header says; a page on the disk has exactly one of these.
enum PageFlag {
    static let branch: UInt16 = 1
    static let leaf: UInt16 = 2
    static let overflow: UInt16 = 4
    static let meta: UInt16 = 8
}

/// An LMDB file of which nothing is believed.
final class PageFile {
    static let headerBytes = 16

    let descriptor: Int32
    let path: String
    let sizeBytes: Int
    let pageSizeBytes: Int
    /// Whole pages in the file.
    let pageCount: UInt64
    /// The meta pages that can be read, the newer one first.
    let metas: [PageMeta]
    /// What is wrong with the meta pages.
    let metaProblems: [String]

    /// Looks at an open file; the descriptor must stay open as long as this is used.
    ///
    /// - Throws: ``StorageError`` if the system cannot read it; damage is no error here.
    init(descriptor: Int32, path: String) throws(StorageError) {
        self.descriptor = descriptor
        self.path = path
        self.sizeBytes = try Files.status(descriptor: descriptor, path: path).size
        var found: (metas: [PageMeta], problems: [String]) = ([], [])
        // Commits may come in between the two reads: a second look finds meta pages that go together.
        for _ in 0..<8 {
            found = try Self.readMetas(descriptor, path)
            if found.problems.isEmpty { break }
        }
        self.metas = found.metas
        self.metaProblems = found.problems
        self.pageSizeBytes = found.metas.first?.pageSizeBytes ?? sysconf(Int32(_SC_PAGESIZE))
        self.pageCount = UInt64(self.sizeBytes / self.pageSizeBytes)
    }

    private static func readMetas(
        _ descriptor: Int32, _ path: String
    ) throws(StorageError) -> (metas: [PageMeta], problems: [String]) {
        var metas: [PageMeta] = []
        var problems: [String] = []
        let first = try Self.readMeta(0, at: 0, descriptor, path)
        if let first { metas.append(first) } else { problems.append("meta page 0 is damaged") }
        let sizes =
            first.map { [$0.pageSizeBytes] } ?? [4096, 8192, 16384, 32768, 65536, 2048, 1024, 512, 256]
        var second: PageMeta?
        for size in sizes where second == nil {
            second = try Self.readMeta(1, at: size, descriptor, path)
            if second?.pageSizeBytes != size { second = nil }
        }
        if let second { metas.append(second) } else { problems.append("meta page 1 is damaged") }
        for meta in metas where meta.transactionID & 1 != meta.number && meta.transactionID != 0 {
            problems.append(
                "meta page \(meta.number) has the commit number \(meta.transactionID) of the other")
        }
        if let first, let second {
            let (low, high) = (
                min(first.transactionID, second.transactionID), max(first.transactionID, second.transactionID)
            )
            if high - low > 1 || high == low && high != 0 {
                problems.append(
                    "the meta pages have the commit numbers \(low) and \(high), which do not follow")
            }
        }
        metas.sort { $0.transactionID > $1.transactionID }
        return (metas, problems)
    }

    private static func readMeta(
        _ number: UInt64, at offset: Int, _ descriptor: Int32, _ path: String
    ) throws(StorageError) -> PageMeta? {
        var bytes = [UInt8](repeating: 0, count: MetaPage.byteCount)
        var span = bytes.mutableSpan
        let count = try span.withUnsafeMutableBytes { buffer throws(StorageError) in
            try Files.read(descriptor: descriptor, into: buffer, offset: offset, path: path)
        }
        guard count == MetaPage.byteCount else { return nil }
        return bytes.withUnsafeBytes { PageMeta($0, number: number, path: path) }
    }

    /// Reads a page into `buffer`, which has the size of one; false if the file ends before it does.
    func read(_ number: UInt64, into buffer: inout [UInt8]) throws(StorageError) -> Bool {
        guard number < self.pageCount else { return false }
        var span = buffer.mutableSpan
        let count = try span.withUnsafeMutableBytes { bytes throws(StorageError) in
            try Files.read(
                descriptor: self.descriptor, into: bytes, offset: Int(number) * self.pageSizeBytes,
                path: self.path)
        }
        return count == self.pageSizeBytes
    }

    /// Reads `count` bytes from `offset` on into `buffer`, whatever its size; false if the file ends before.
    func read(at offset: Int, count: Int, into buffer: inout [UInt8]) throws(StorageError) -> Bool {
        guard offset >= 0, count >= 0, offset <= self.sizeBytes, count <= self.sizeBytes - offset else {
            return false
        }
        if buffer.count < count { buffer = [UInt8](repeating: 0, count: max(count, 1 << 16)) }
        var span = buffer.mutableSpan
        let read = try span.withUnsafeMutableBytes { bytes throws(StorageError) in
            try Files.read(
                descriptor: self.descriptor, into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<count]),
                offset: offset, path: self.path)
        }
        return read == count
    }
}

/// A set of page numbers, a bit each.
struct PageSet {
    private var words: [UInt64]
    let limit: UInt64

    init(limit: UInt64) {
        self.limit = limit
        self.words = [UInt64](repeating: 0, count: Int(limit / 64) + 1)
    }

    /// Adds a page below the limit; false if it was there already.
    mutating func insert(_ page: UInt64) -> Bool {
        let (word, bit) = (Int(page / 64), UInt64(1) << (page % 64))
        if self.words[word] & bit != 0 { return false }
        self.words[word] |= bit
        return true
    }

    func contains(_ page: UInt64) -> Bool {
        page < self.limit && self.words[Int(page / 64)] & UInt64(1) << (page % 64) != 0
    }
}
