/// Looks for entries in every page of a file, whether or not a tree leads there: for what is left when the
/// trees are broken.
///
/// Pages that earlier commits left behind are found too. What an entry is worth, its own checksum tells, and
/// the caller must know how to tell old from new.
struct PageScan {
    /// A value that was found.
    struct Found {
        /// Nil where the leaf that names the value was not found.
        let key: UnsafeRawBufferPointer?
        /// The value; without a key all bytes of its pages, of which the value is the first part.
        let value: UnsafeRawBufferPointer
        let fileOffset: Int
    }

    let file: PageFile

    /// Visits what looks like an entry, in the order of pages: first those in leaves, then long values that
    /// no leaf names.
    func run(_ visit: (Found) throws(StorageError) -> Void) throws(StorageError) {
        var named = PageSet(limit: self.file.pageCount + 1)
        var long: [(page: UInt64, count: Int)] = []
        var page = [UInt8](repeating: 0, count: self.file.pageSizeBytes)
        var value: [UInt8] = []
        var number: UInt64 = 2
        while number < self.file.pageCount {
            defer { number += 1 }
            guard try self.file.read(number, into: &page) else { break }
            try page.span.bytes.withUnsafeBytes { bytes throws(StorageError) in
                if let count = self.longValuePages(bytes, number) {
                    long.append((number, count))
                } else if let nodes = try? PageNodes(bytes, number: number), nodes.isLeaf {
                    try self.visitLeaf(number, nodes, &named, &value, visit)
                }
            }
        }
        for (first, count) in long where !named.contains(first) {
            let offset = Int(first) * self.file.pageSizeBytes
            let length = count * self.file.pageSizeBytes
            guard try self.file.read(at: offset, count: length, into: &value) else { continue }
            try value.span.bytes.withUnsafeBytes { bytes throws(StorageError) in
                try visit(
                    Found(
                        key: nil,
                        value: UnsafeRawBufferPointer(rebasing: bytes[PageFile.headerBytes..<length]),
                        fileOffset: offset + PageFile.headerBytes))
            }
        }
    }

    /// How many pages a long value takes that begins here; nil if none does.
    private func longValuePages(_ bytes: UnsafeRawBufferPointer, _ number: UInt64) -> Int? {
        guard
            bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self) == number,
            bytes.loadUnaligned(fromByteOffset: 10, as: UInt16.self) == PageFlag.overflow
        else { return nil }
        let count = UInt64(bytes.loadUnaligned(fromByteOffset: 12, as: UInt32.self))
        // A file that was cut short may lack the end.
        return count >= 1 ? Int(min(count, self.file.pageCount - number)) : nil
    }

    private func beginsLongValue(
        _ page: UInt64, _ count: Int, _ buffer: inout [UInt8]
    ) throws(StorageError) -> Bool {
        let offset = Int(page) * self.file.pageSizeBytes
        guard try self.file.read(at: offset, count: PageFile.headerBytes, into: &buffer) else { return false }
        return buffer.withUnsafeBytes { self.longValuePages($0, page) == count }
    }

    private func visitLeaf(
        _ number: UInt64, _ nodes: PageNodes, _ named: inout PageSet, _ buffer: inout [UInt8],
        _ visit: (Found) throws(StorageError) -> Void
    ) throws(StorageError) {
        for index in 0..<nodes.count {
            guard let node = nodes.node(index), node.flags & PageNode.isDatabase == 0, !node.key.isEmpty
            else {
                continue
            }
            if node.flags & PageNode.isLong == 0 {
                try visit(
                    Found(
                        key: node.key, value: nodes.value(node),
                        fileOffset: Int(number) * self.file.pageSizeBytes + node.valueOffset))
                continue
            }
            let first = nodes.longValuePage(node)
            let pages = (PageFile.headerBytes - 1 + node.valueBytes) / self.file.pageSizeBytes + 1
            guard first >= 2, first < self.file.pageCount, try self.beginsLongValue(first, pages, &buffer)
            else {
                continue
            }
            let offset = Int(first) * self.file.pageSizeBytes + PageFile.headerBytes
            guard try self.file.read(at: offset, count: node.valueBytes, into: &buffer) else { continue }
            _ = named.insert(first)
            try buffer.span.bytes.withUnsafeBytes { bytes throws(StorageError) in
                try visit(
                    Found(
                        key: node.key, value: UnsafeRawBufferPointer(rebasing: bytes[..<node.valueBytes]),
                        fileOffset: offset))
            }
        }
    }
}
