import Glibc
import Synchronization

/// The pages of a sealed segment's file, mapped, each checked against its digest before it is looked at.
///
/// Behind the pages stands a table with the XXH64 of each, and the catalogue keeps the XXH64 of that table. So
/// a first look at a segment costs its table and the pages that it needs, whatever the file's length, and a
/// damaged page costs what stands on it. A page is hashed once; that is noted in a bit.
///
/// Values that carry checksums of their own, as frames do, are lent without looking at their pages' digests.
final class SegmentPages: Sendable {
    /// What stands behind the digests: the size of a page and their number, four bytes each.
    static let tableEndBytes = 8
    /// The seed of the table's digest: "TLPAGES1".
    static let tableSeed: UInt64 = 0x3153_4547_4150_4c54

    let path: String
    let pageBytes: Int
    let pageCount: Int
    /// XXH64 of the table.
    let tableDigest: UInt64
    /// A bit a page each: those that were checked, and those that the system was asked for.
    private typealias Bits = UnsafeMutablePointer<Atomic<UInt64>>
    // SAFETY: the mapping is read-only and stays until `deinit`; the bits are atomic.
    nonisolated(unsafe) private let memory: (base: UnsafeRawPointer, checked: Bits, fetched: Bits)
    private var base: UnsafeRawPointer { self.memory.base }
    private var checked: Bits { self.memory.checked }
    private var fetched: Bits { self.memory.fetched }
    private let fileBytes: Int

    /// Maps the file that `descriptor` stands for, and reads its table.
    ///
    /// - Parameter expected: the table's digest by the catalogue; nil if no catalogue knows it.
    init(
        path: String, descriptor: borrowing FileDescriptor, fileBytes: Int, expected: UInt64?
    ) throws(StorageError) {
        self.path = path
        self.fileBytes = fileBytes
        let number = descriptor.number
        guard fileBytes >= Self.tableEndBytes else {
            throw StorageError(.corrupted, "the segment's file is too short", path: path)
        }
        guard let map = mmap(nil, fileBytes, PROT_READ, MAP_SHARED, number, 0), map != MAP_FAILED else {
            throw .system(errno, doing: "mapping the segment's file", path: path)
        }
        let base = UnsafeRawPointer(map)
        // A device may be set to read megabytes around each page that is missed; who reads on asks for it.
        madvise(map, fileBytes, MADV_RANDOM)
        Self.prefetch(base, max(0, fileBytes - Self.tailBytes(fileBytes))..<fileBytes)
        let end = fileBytes - Self.tableEndBytes
        let pageBytes = Int(base.littleEndian(UInt32.self, at: end))
        let pageCount = Int(base.littleEndian(UInt32.self, at: end + 4))
        let (tableBytes, _) = pageCount.multipliedReportingOverflow(by: 8)
        guard
            pageBytes >= 256, pageBytes <= 65_536, pageBytes & (pageBytes - 1) == 0, pageCount >= 2,
            pageCount * pageBytes + tableBytes == end
        else {
            munmap(map, fileBytes)
            throw StorageError(
                .corrupted,
                "the segment's file does not end with the table of its pages: it was damaged or "
                    + "replaced; run `tidelog verify`, then restore a backup or run `tidelog repair`",
                path: path)
        }
        let table = UnsafeRawBufferPointer(
            start: base + pageCount * pageBytes, count: tableBytes + Self.tableEndBytes)
        let digest = XXH64.hash(table, seed: Self.tableSeed)
        guard digest == expected ?? digest else {
            munmap(map, fileBytes)
            throw StorageError(
                .corrupted,
                "the table of the segment's pages does not have the digest that the catalogue keeps: the file "
                    + "was damaged or replaced; run `tidelog verify`, then restore a backup or run "
                    + "`tidelog repair`", path: path)
        }
        (self.pageBytes, self.pageCount, self.tableDigest) = (pageBytes, pageCount, digest)
        let words = (pageCount + 63) / 64
        self.memory = (base, .allocate(capacity: words), .allocate(capacity: words))
        for word in 0..<words {
            (self.checked + word).initialize(to: Atomic(0))
            (self.fetched + word).initialize(to: Atomic(0))
        }
    }

    deinit {
        self.checked.deinitialize(count: (self.pageCount + 63) / 64)
        self.checked.deallocate()
        self.fetched.deinitialize(count: (self.pageCount + 63) / 64)
        self.fetched.deallocate()
        munmap(UnsafeMutableRawPointer(mutating: self.base), self.fileBytes)
    }

    /// Writes the table behind the last page of an LMDB file that is complete.
    ///
    /// - Returns: the table's digest.
    static func writeTable(descriptor: Int32, path: String) throws(StorageError) -> UInt64 {
        let meta = try MetaPage.newest(descriptor: descriptor, path: path)
        let bytes = Int(meta.lastPage + 1) * meta.pageSizeBytes
        // LMDB may have made the file longer than its last page.
        try Files.truncate(descriptor: descriptor, length: bytes, path: path)
        var writer = RecordWriter()
        var page = [UInt8](repeating: 0, count: meta.pageSizeBytes)
        for offset in stride(from: 0, to: bytes, by: meta.pageSizeBytes) {
            var span = page.mutableSpan
            _ = try span.withUnsafeMutableBytes { buffer throws(StorageError) in
                try Files.read(descriptor: descriptor, into: buffer, offset: offset, path: path)
            }
            writer.append(fixed: page.withUnsafeBytes { XXH64.hash($0) })
        }
        writer.append(fixed: UInt32(meta.pageSizeBytes))
        writer.append(fixed: UInt32(bytes / meta.pageSizeBytes))
        guard lseek(descriptor, off_t(bytes), SEEK_SET) == off_t(bytes) else {
            throw .system(errno, doing: "going to the end of the file", path: path)
        }
        let table = writer.bytes
        return try table.span.bytes.withUnsafeBytes { bytes throws(StorageError) in
            try Files.write(descriptor: descriptor, bytes, path: path)
            return XXH64.hash(bytes, seed: Self.tableSeed)
        }
    }

    /// A page that matches its digest.
    func page(_ number: UInt64) throws(StorageError) -> UnsafeRawBufferPointer {
        guard number < UInt64(self.pageCount) else {
            throw StorageError(
                .corrupted, "the segment refers to page \(number) of \(self.pageCount)", path: self.path)
        }
        let index = Int(number)
        let page = UnsafeRawBufferPointer(start: self.base + index * self.pageBytes, count: self.pageBytes)
        let bit: UInt64 = 1 << UInt64(index & 63)
        if (self.checked + index / 64).pointee.load(ordering: .relaxed) & bit != 0 { return page }
        let expected = self.base.littleEndian(UInt64.self, at: self.pageCount * self.pageBytes + index * 8)
        guard XXH64.hash(page) == expected else {
            throw StorageError(
                .corrupted,
                "page \(number) of the segment's file does not have the digest that it should have; run "
                    + "`tidelog verify`, then restore a backup or run `tidelog repair`", path: self.path)
        }
        (self.checked + index / 64).pointee.bitwiseOr(bit, ordering: .relaxed)
        return page
    }

    /// Where a long value stands that begins on page `first`: bytes that must carry a checksum of their own.
    func longValue(_ first: UInt64, count: Int) throws(StorageError) -> Range<Int> {
        let end = self.pageCount * self.pageBytes
        guard first < UInt64(self.pageCount), count >= 0,
            count <= end - Int(first) * self.pageBytes - PageFile.headerBytes
        else { throw StorageError(.corrupted, "a value lies outside of the segment's file", path: self.path) }
        let start = Int(first) * self.pageBytes + PageFile.headerBytes
        return start..<start + count
    }

    /// Where bytes of a page stand in the file.
    func range(of bytes: UnsafeRawBufferPointer) -> Range<Int> {
        let start = bytes.baseAddress.map { $0 - self.base } ?? 0
        return start..<start + bytes.count
    }

    /// The bytes of a range that stands in the file or that lies in one. Behind them there are always more than
    /// 32 bytes: the table.
    @inline(__always)
    func bytes(_ range: Range<Int>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: self.base + range.lowerBound, count: range.count)
    }

    /// Asks the kernel to read a range ahead.
    func prefetch(_ range: Range<Int>) {
        Self.prefetch(self.base, range.clamped(to: 0..<self.fileBytes))
    }

    private static func prefetch(_ base: UnsafeRawPointer, _ range: Range<Int>) {
        // The kernel reads no more at once than it reads ahead of its own, often 128 KiB.
        var start = range.lowerBound & ~(Self.systemPageBytes - 1)
        while start < range.upperBound {
            let count = min(128 << 10, range.upperBound - start)
            madvise(UnsafeMutableRawPointer(mutating: base + start), count, MADV_WILLNEED)
            start += count
        }
    }

    private static let systemPageBytes = sysconf(Int32(_SC_PAGESIZE))

    /// Asks the kernel to read a range ahead, once.
    func prefetchOnce(_ range: Range<Int>) {
        let page = range.lowerBound / self.pageBytes
        let bit: UInt64 = 1 << UInt64(page & 63)
        let before = (self.fetched + page / 64).pointee.bitwiseOr(bit, ordering: .relaxed)
        if before.oldValue & bit == 0 { self.prefetch(range) }
    }

    /// What opening reads stands in so many bytes at the end: the directory, the dictionary, the table.
    private static func tailBytes(_ fileBytes: Int) -> Int { fileBytes / 200 + (64 << 10) }
}

/// One of the trees of a sealed segment's file, walked without LMDB: pages are checked against their digests,
/// and nothing on them is believed beyond that.
struct SegmentTree: Sendable {
    private let pages: SegmentPages
    private let root: UInt64?
    private let hasIntegerKeys: Bool
    private static let maximumDepth = 16

    /// The main tree, whose values are the records of the named databases.
    init(mainOf pages: SegmentPages) throws(StorageError) {
        var newest: PageMeta?
        for number: UInt64 in 0...1 {
            guard let meta = PageMeta(try pages.page(number), number: number, path: pages.path) else {
                throw StorageError(.unsupportedFormat, "this is no LMDB file", path: pages.path)
            }
            if newest.map({ $0.transactionID < meta.transactionID }) ?? true { newest = meta }
        }
        guard let newest, newest.pageSizeBytes == pages.pageBytes else {
            throw StorageError(.corrupted, "the segment's pages have another size", path: pages.path)
        }
        self.pages = pages
        self.root = newest.main.root
        self.hasIntegerKeys = false
    }

    private init(pages: SegmentPages, database: PageDatabase) {
        self.pages = pages
        self.root = database.root
        self.hasIntegerKeys = database.flags & PageDatabase.integerKeys != 0
    }

    /// The named database.
    func database(_ name: String) throws(StorageError) -> SegmentTree {
        var found: SegmentTree?
        let key = Array(name.utf8)
        try self.entry(atOrBefore: key) { found, node, page throws(StorageError) in
            guard found.elementsEqual(key), node.flags & PageNode.isDatabase != 0,
                node.valueBytes == PageDatabase.byteCount
            else { return nil as SegmentTree? }
            return SegmentTree(pages: self.pages, database: PageDatabase(page.value(node)))
        }.map { found = $0 }
        guard let found else {
            throw StorageError(
                .corrupted, "the segment has no database \"\(name)\"", path: self.pages.path)
        }
        return found
    }

    /// The value of a node: in its page, or on pages of its own.
    func value(_ node: PageNode, _ page: PageNodes) throws(StorageError) -> UnsafeRawBufferPointer {
        if node.flags & PageNode.isLong == 0 { return page.value(node) }
        return self.pages.bytes(try self.range(node, page))
    }

    /// Where the value of a node stands in the file.
    func range(_ node: PageNode, _ page: PageNodes) throws(StorageError) -> Range<Int> {
        if node.flags & PageNode.isLong == 0 { return self.pages.range(of: page.value(node)) }
        return try self.pages.longValue(page.longValuePage(node), count: node.valueBytes)
    }

    /// Gives the last entry whose key is `key` or before it to `body`; nil if there is none.
    func entry<Value>(
        atOrBefore key: [UInt8],
        _ body: (UnsafeRawBufferPointer, PageNode, PageNodes) throws(StorageError) -> Value?
    ) throws(StorageError) -> Value? {
        guard let root else { return nil }
        return try key.span.bytes.withUnsafeBytes { key throws(StorageError) in
            try self.entry(atOrBefore: key, root, depth: 0, body)
        }
    }

    private func entry<Value>(
        atOrBefore key: UnsafeRawBufferPointer, _ number: UInt64, depth: Int,
        _ body: (UnsafeRawBufferPointer, PageNode, PageNodes) throws(StorageError) -> Value?
    ) throws(StorageError) -> Value? {
        let page = try self.nodes(number, depth: depth)
        guard let place = try self.place(atOrBefore: key, page) else { return nil }
        if page.isLeaf {
            let node = try self.node(place, page)
            return try body(node.key, node, page)
        }
        // The first key of a child may be after the one that leads to it.
        for child in stride(from: place, through: 0, by: -1) {
            let next = try self.node(child, page).child
            if let value = try self.entry(atOrBefore: key, next, depth: depth + 1, body) { return value }
        }
        return nil
    }

    /// Gives the entries from `key` on to `body`, in their order, until it answers false.
    func forEach(
        atOrAfter key: [UInt8],
        _ body: (UnsafeRawBufferPointer, PageNode, PageNodes) throws(StorageError) -> Bool
    ) throws(StorageError) {
        guard let root else { return }
        try key.span.bytes.withUnsafeBytes { key throws(StorageError) in
            _ = try self.forEach(atOrAfter: key, root, depth: 0, body)
        }
    }

    private func forEach(
        atOrAfter key: UnsafeRawBufferPointer, _ number: UInt64, depth: Int,
        _ body: (UnsafeRawBufferPointer, PageNode, PageNodes) throws(StorageError) -> Bool
    ) throws(StorageError) -> Bool {
        let page = try self.nodes(number, depth: depth)
        for place in (try self.place(atOrBefore: key, page) ?? 0)..<page.count {
            let node = try self.node(place, page)
            if !page.isLeaf {
                if try !self.forEach(atOrAfter: key, node.child, depth: depth + 1, body) { return false }
            } else if self.compare(node.key, key) >= 0, try !body(node.key, node, page) {
                return false
            }
        }
        return true
    }

    private func nodes(_ number: UInt64, depth: Int) throws(StorageError) -> PageNodes {
        guard depth < Self.maximumDepth else { throw self.damaged(number) }
        do {
            return try PageNodes(try self.pages.page(number), number: number)
        } catch let error as StorageError {
            throw error
        } catch {
            throw self.damaged(number)
        }
    }

    private func node(_ place: Int, _ page: PageNodes) throws(StorageError) -> PageNode {
        guard let node = page.node(place) else { throw self.damaged(nil) }
        return node
    }

    /// The last place whose key is `key` or before it; in a branch the first key is before every other.
    private func place(atOrBefore key: UnsafeRawBufferPointer, _ page: PageNodes) throws(StorageError) -> Int?
    {
        var low = page.isLeaf ? 0 : 1
        var high = page.count
        while low < high {
            let middle = (low + high) / 2
            if self.compare(try self.node(middle, page).key, key) <= 0 {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low > 0 ? low - 1 : nil
    }

    private func compare(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
        if self.hasIntegerKeys, left.count == 8, right.count == 8 {
            let (a, b) = (left.loadUnaligned(as: UInt64.self), right.loadUnaligned(as: UInt64.self))
            return a < b ? -1 : a > b ? 1 : 0
        }
        let common = min(left.count, right.count)
        if common > 0, let a = left.baseAddress, let b = right.baseAddress {
            let order = memcmp(a, b, common)
            if order != 0 { return Int(order) }
        }
        return left.count - right.count
    }

    private func damaged(_ number: UInt64?) -> StorageError {
        StorageError(
            .corrupted, "\(number.map { "page \($0)" } ?? "a page") of the segment does not hold together",
            path: self.pages.path)
    }
}
