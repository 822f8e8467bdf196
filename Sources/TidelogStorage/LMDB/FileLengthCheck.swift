// Finds a file that was cut short, before it is mapped: touching a page behind the end of a mapped file ends
// the process with SIGBUS.
//
// The rule is "at least (last page + 1) × page size bytes". It has one exception: a page that a transaction
// took at the end and gave back before its commit is counted in the last page and never written, so a sound
// file may lack the last few of its free pages. When a file is shorter than the rule asks for, the trees are
// walked with plain reads, and only a page that one of them needs is missed.
//
// The layout read here, for LMDB 0.9 and numbers in the byte order of the machine: a page has its number (8),
// padding (2), flags (2: 1 branch, 2 leaf), and two bounds (2, 2), of which the lower one tells how many
// offsets (2 each) to nodes follow. A node has two halves of a size (2, 2), flags (2), and the key's size
// (2), then the key and the value. In a branch, the first three fields are the child's page number, lowest bits
// first. In a leaf, flag 1 says that the value is a page number (8) of as many pages in a row as its size
// needs, flag 2 that it is a database record of 48 bytes, whose last 8 are the root.

/// The check of one file.
struct FileLengthCheck {
    private static let none = UInt64.max
    private static let headerBytes = 16

    let descriptor: Int32
    let path: String

    /// - Throws: ``StorageError`` with code `corrupted` if the file ends before a page in use.
    func run() throws(StorageError) {
        // The pages of a commit are written before its meta page, so the length is asked for after that.
        let meta = try MetaPage.newest(descriptor: self.descriptor, path: self.path)
        let size = try Files.status(descriptor: self.descriptor, path: self.path).size
        let pageCount = UInt64(size / meta.pageSizeBytes)
        for root in [meta.freeRoot, meta.mainRoot] where root != Self.none && root > meta.lastPage {
            throw StorageError(
                .corrupted, "the meta page has a root \(root) behind its last page \(meta.lastPage)",
                path: self.path)
        }
        if meta.lastPage < pageCount { return }
        var walk = Walk(meta: meta, pageCount: pageCount, size: size)
        try self.visitAll(&walk)
    }

    private struct Walk {
        let meta: MetaPage
        let pageCount: UInt64
        let size: Int
        var pending: [UInt64]
        var visited: UInt64 = 0

        init(meta: MetaPage, pageCount: UInt64, size: Int) {
            self.meta = meta
            self.pageCount = pageCount
            self.size = size
            self.pending = [meta.freeRoot, meta.mainRoot].filter { $0 != FileLengthCheck.none }
        }
    }

    private func visitAll(_ walk: inout Walk) throws(StorageError) {
        var page = [UInt8](repeating: 0, count: walk.meta.pageSizeBytes)
        while let number = walk.pending.popLast() {
            try self.require(number, count: 1, walk)
            walk.visited += 1
            // A sound tree has each page once; one that runs in circles is damaged.
            guard walk.visited <= walk.pageCount else { throw self.damaged(number) }
            var span = page.mutableSpan
            _ = try span.withUnsafeMutableBytes { buffer throws(StorageError) in
                try Files.read(
                    descriptor: self.descriptor, into: buffer, offset: Int(number) * buffer.count,
                    path: self.path)
            }
            try page.span.bytes.withUnsafeBytes { bytes throws(StorageError) in
                try self.visit(number, bytes, &walk)
            }
        }
    }

    private func visit(
        _ number: UInt64, _ page: UnsafeRawBufferPointer, _ walk: inout Walk
    ) throws(StorageError) {
        func field<Number: FixedWidthInteger>(_ offset: Int, _: Number.Type) throws(StorageError) -> Number {
            guard offset + Number.bitWidth / 8 <= page.count else { throw self.damaged(number) }
            return page.loadUnaligned(fromByteOffset: offset, as: Number.self)
        }
        let flags = try field(10, UInt16.self)
        let isBranch = flags & 1 != 0
        let lower = Int(try field(12, UInt16.self))
        guard isBranch || flags & 2 != 0, lower >= Self.headerBytes, lower <= page.count else {
            throw self.damaged(number)
        }
        for index in 0..<(lower - Self.headerBytes) / 2 {
            let node = Int(try field(Self.headerBytes + index * 2, UInt16.self))
            let low = UInt64(try field(node, UInt32.self))
            let nodeFlags = try field(node + 4, UInt16.self)
            if isBranch {
                walk.pending.append(low | UInt64(nodeFlags) << 32)
                continue
            }
            let value = node + 8 + Int(try field(node + 6, UInt16.self))
            if nodeFlags & 1 != 0 {
                let pages = (UInt64(Self.headerBytes - 1) + low) / UInt64(page.count) + 1
                try self.require(try field(value, UInt64.self), count: pages, walk)
            } else if nodeFlags & 2 != 0 {
                let root = try field(value + 40, UInt64.self)
                if root != Self.none { walk.pending.append(root) }
            }
        }
    }

    private func require(_ number: UInt64, count: UInt64, _ walk: Walk) throws(StorageError) {
        let end = number.addingReportingOverflow(count)
        if !end.overflow && end.partialValue <= walk.pageCount { return }
        throw StorageError(
            .corrupted,
            "the file was cut short: it has \(walk.size) bytes and lacks page \(number), which is in use, of "
                + "\(walk.meta.pageSizeBytes) bytes; "
                + "restore it from a backup or repair it", path: self.path)
    }

    private func damaged(_ number: UInt64) -> StorageError {
        StorageError(
            .corrupted, "the file is shorter than its meta page says, and page \(number) is damaged",
            path: self.path)
    }
}
