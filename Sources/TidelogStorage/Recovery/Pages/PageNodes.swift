// The nodes of one page. A node begins with two halves of a size (2, 2), flags (2), and the key's size (2);
// the key and, in a leaf, the value follow. In a branch the first three fields are the child's page number,
// lowest bits first. In a leaf, flag 1 says that the value is the number (8) of the first of the pages that
// hold it, flag 2 that it is the record of a named database.

/// One entry of a leaf, or one child of a branch.
struct PageNode {
    static let headerBytes = 8
    static let isLong: UInt16 = 1
    static let isDatabase: UInt16 = 2

    /// Where the node begins in its page.
    let offset: Int
    let key: UnsafeRawBufferPointer
    /// The child, in a branch.
    let child: UInt64
    /// The value's length, in a leaf.
    let valueBytes: Int
    let flags: UInt16
    /// Where the value, or the number of its pages, begins in the page.
    let valueOffset: Int
}

/// A page whose header was checked.
struct PageNodes {
    let bytes: UnsafeRawBufferPointer
    let isLeaf: Bool
    let count: Int
    private let upper: Int

    /// Why a page is not what it should be.
    enum Problem: Error {
        case number(UInt64)
        case flags(UInt16)
        case bounds(Int, Int)

        var message: String {
            switch self {
            case .number(let number): "it says that it is page \(number)"
            case .flags(let flags): "its flags are \(flags)"
            case .bounds(let lower, let upper): "its bounds are \(lower) and \(upper)"
            }
        }
    }

    /// Checks the header of page `number`.
    init(_ bytes: UnsafeRawBufferPointer, number: UInt64) throws(Problem) {
        let stated = bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self)
        guard stated == number else { throw .number(stated) }
        let flags = bytes.loadUnaligned(fromByteOffset: 10, as: UInt16.self)
        guard flags == PageFlag.branch || flags == PageFlag.leaf else { throw .flags(flags) }
        let lower = Int(bytes.loadUnaligned(fromByteOffset: 12, as: UInt16.self))
        let upper = Int(bytes.loadUnaligned(fromByteOffset: 14, as: UInt16.self))
        guard
            lower >= PageFile.headerBytes, lower <= upper, upper <= bytes.count, lower & 1 == 0,
            lower > PageFile.headerBytes
        else { throw .bounds(lower, upper) }
        self.bytes = bytes
        self.isLeaf = flags == PageFlag.leaf
        self.upper = upper
        self.count = (lower - PageFile.headerBytes) / 2
    }

    /// The node of this place in the order of keys; nil if it does not lie in the page.
    func node(_ index: Int) -> PageNode? {
        let offset = Int(
            self.bytes.loadUnaligned(fromByteOffset: PageFile.headerBytes + index * 2, as: UInt16.self))
        guard offset >= self.upper, offset & 1 == 0, offset <= self.bytes.count - PageNode.headerBytes else {
            return nil
        }
        let low = UInt64(self.bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
        let flags = self.bytes.loadUnaligned(fromByteOffset: offset + 4, as: UInt16.self)
        let keyBytes = Int(self.bytes.loadUnaligned(fromByteOffset: offset + 6, as: UInt16.self))
        let keyOffset = offset + PageNode.headerBytes
        guard keyBytes <= self.bytes.count - keyOffset else { return nil }
        let valueOffset = keyOffset + keyBytes
        let key = UnsafeRawBufferPointer(rebasing: self.bytes[keyOffset..<valueOffset])
        if !self.isLeaf {
            return PageNode(
                offset: offset, key: key, child: low | UInt64(flags) << 32, valueBytes: 0, flags: 0,
                valueOffset: valueOffset)
        }
        guard flags & ~(PageNode.isLong | PageNode.isDatabase) == 0 else { return nil }
        let inPage = flags & PageNode.isLong != 0 ? 8 : Int(low)
        guard inPage <= self.bytes.count - valueOffset else { return nil }
        return PageNode(
            offset: offset, key: key, child: 0, valueBytes: Int(low), flags: flags, valueOffset: valueOffset)
    }

    /// The value of a leaf's node that stands in the page.
    func value(_ node: PageNode) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: self.bytes[node.valueOffset..<node.valueOffset + node.valueBytes])
    }

    /// The first of the pages that hold the value of a leaf's node.
    func longValuePage(_ node: PageNode) -> UInt64 {
        self.bytes.loadUnaligned(fromByteOffset: node.valueOffset, as: UInt64.self)
    }
}
