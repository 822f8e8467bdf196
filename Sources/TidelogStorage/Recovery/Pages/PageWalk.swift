/// An entry of a tree, lent while it is visited.
struct PageEntry {
    let key: UnsafeRawBufferPointer
    let value: UnsafeRawBufferPointer
    /// Where the value begins in the file.
    let fileOffset: Int
    /// Whether the value is the record of a named database.
    let isDatabase: Bool
}

/// What a walk through one tree found.
struct PageWalkResult {
    /// Entries that were visited.
    var entries: UInt64 = 0
    /// What is wrong with the pages; empty if the tree is sound.
    var problems: [String] = []
    /// How much was wrong, also beyond what `problems` has room for.
    var problemCount = 0
    /// Whether the last entry of the tree was visited, so that nothing can be missing behind it.
    var reachesEnd = false

    var isWhole: Bool { self.problemCount == 0 }
}

/// Walks the trees of one commit, going round what is damaged.
///
/// It checks all that LMDB relies on when it reads: page numbers, kinds and bounds, the places of nodes, the
/// order of keys within and between pages, the pages of long values, the depth, and the numbers that the
/// tree's record keeps. No page may be used twice, by one tree or by two.
final class PageWalk {
    private static let maximumProblems = 100
    private static let maximumDepth = 32

    let file: PageFile
    let meta: PageMeta
    /// Whether long values are read; otherwise only their pages' headers are checked, and entries with long
    /// values are visited with an empty one.
    private let readsLongValues: Bool
    private(set) var used: PageSet
    private var longValue: [UInt8] = []
    private var result = PageWalkResult()
    private var counts = (branch: UInt64(0), leaf: UInt64(0), overflow: UInt64(0))
    private var previousKey: [UInt8]?
    private var hasIntegerKeys = false
    private var database: PageDatabase

    init(_ file: PageFile, _ meta: PageMeta, readsLongValues: Bool = true) {
        self.file = file
        self.meta = meta
        self.readsLongValues = readsLongValues
        self.used = PageSet(limit: file.pageCount + 1)
        self.database = meta.main
    }

    typealias Visit = (PageEntry) throws(StorageError) -> Void

    /// Visits the entries of the tree in the order of their keys.
    ///
    /// - Throws: what `visit` throws, or the error of a failed read; damage is part of the result.
    func walk(_ database: PageDatabase, _ visit: Visit) throws(StorageError) -> PageWalkResult {
        self.database = database
        self.result = PageWalkResult()
        self.counts = (0, 0, 0)
        self.previousKey = nil
        self.hasIntegerKeys = database.flags & PageDatabase.integerKeys != 0
        if let root = database.root {
            if database.depth < 1 || database.depth > Self.maximumDepth {
                self.problem("a tree of depth \(database.depth) cannot be")
            } else {
                try self.descend(root, 1, nil, nil, isLast: true, visit)
            }
        } else {
            self.result.reachesEnd = true
        }
        self.compareCounts()
        return self.result
    }

    private func compareCounts() {
        // Where something was skipped, the numbers cannot agree.
        guard self.result.isWhole else { return }
        let database = self.database
        guard
            database.entries == self.result.entries, database.branchPages == self.counts.branch,
            database.leafPages == self.counts.leaf, database.overflowPages == self.counts.overflow
        else {
            self.problem(
                "the tree's record counts \(database.entries) entries on \(database.leafPages) leaves, "
                    + "\(database.branchPages) branches and \(database.overflowPages) further pages, and "
                    + "there are \(self.result.entries) on \(self.counts.leaf), \(self.counts.branch) and "
                    + "\(self.counts.overflow)")
            return
        }
    }

    private func problem(_ message: String) {
        self.result.problemCount += 1
        if self.result.problems.count < Self.maximumProblems { self.result.problems.append(message) }
    }

    // MARK: Pages

    private func descend(
        _ number: UInt64, _ level: Int, _ lower: [UInt8]?, _ upper: [UInt8]?, isLast: Bool, _ visit: Visit
    ) throws(StorageError) {
        guard self.take(number) else { return }
        var page = [UInt8](repeating: 0, count: self.file.pageSizeBytes)
        guard try self.file.read(number, into: &page) else {
            self.problem("page \(number) lies behind the end of the file")
            return
        }
        try page.span.bytes.withUnsafeBytes { bytes throws(StorageError) in
            let nodes: PageNodes
            do throws(PageNodes.Problem) {
                nodes = try PageNodes(bytes, number: number)
            } catch {
                self.problem("page \(number) is damaged: \(error.message)")
                return
            }
            guard nodes.isLeaf == (level == self.database.depth) else {
                self.problem("page \(number) is of the wrong kind for its place in the tree")
                return
            }
            if nodes.isLeaf {
                self.counts.leaf += 1
                try self.visitLeaf(number, nodes, lower, upper, isLast, visit)
            } else {
                self.counts.branch += 1
                try self.visitBranch(number, nodes, level, lower, upper, isLast, visit)
            }
        }
    }

    /// Marks a page as used; false, with a problem noted, if it cannot be.
    private func take(_ number: UInt64) -> Bool {
        guard number >= 2, number <= self.meta.lastPage, number < self.file.pageCount else {
            self.problem(
                "page \(number) is not among the \(min(self.meta.lastPage, self.file.pageCount)) of the file")
            return false
        }
        guard self.used.insert(number) else {
            self.problem("page \(number) is used in two places")
            return false
        }
        return true
    }

    private func visitBranch(
        _ number: UInt64, _ nodes: PageNodes, _ level: Int, _ lower: [UInt8]?, _ upper: [UInt8]?,
        _ isLast: Bool, _ visit: Visit
    ) throws(StorageError) {
        // The first key of a branch is not used; each other one bounds the children on both of its sides.
        var children: [(page: UInt64, key: [UInt8]?)?] = []
        var last = lower
        for index in 0..<nodes.count {
            guard let node = nodes.node(index) else {
                self.problem("child \(index) of page \(number) is damaged")
                children.append(nil)
                continue
            }
            if index == 0 {
                children.append((node.child, lower))
                continue
            }
            let key = [UInt8](node.key)
            guard self.isKey(node.key), last.map({ self.precedes($0, key) }) ?? true,
                upper.map({ self.precedes(key, $0) }) ?? true
            else {
                self.problem("the key of child \(index) of page \(number) is out of order")
                children.append((node.child, nil))
                continue
            }
            last = key
            children.append((node.child, key))
        }
        for index in children.indices {
            guard let child = children[index] else { continue }
            let isLastChild = index == children.count - 1
            let next = isLastChild ? upper : children[index + 1].flatMap { $0.key }
            try self.descend(
                child.page, level + 1, child.key, next, isLast: isLast && isLastChild, visit)
        }
    }

    private func visitLeaf(
        _ number: UInt64, _ nodes: PageNodes, _ lower: [UInt8]?, _ upper: [UInt8]?, _ isLast: Bool,
        _ visit: Visit
    ) throws(StorageError) {
        let start = Int(number) * self.file.pageSizeBytes
        for index in 0..<nodes.count {
            guard let node = nodes.node(index), self.isKey(node.key) else {
                self.problem("entry \(index) of page \(number) is damaged")
                continue
            }
            let key = [UInt8](node.key)
            if let previousKey, !self.precedes(previousKey, key) {
                self.problem("the key of entry \(index) of page \(number) is out of order")
            } else {
                self.previousKey = key
                let isBelow = lower.map { self.precedes(key, $0) } ?? false
                let isAbove = upper.map { !self.precedes(key, $0) } ?? false
                if isBelow || isAbove {
                    self.problem("the key of entry \(index) of page \(number) belongs on another page")
                }
            }
            self.result.entries += 1
            let isDatabase = node.flags & PageNode.isDatabase != 0
            if node.flags & PageNode.isLong != 0 {
                guard try self.visitLong(node, nodes, visit) else { continue }
            } else {
                try visit(
                    PageEntry(
                        key: node.key, value: nodes.value(node), fileOffset: start + node.valueOffset,
                        isDatabase: isDatabase))
            }
            if isLast, index == nodes.count - 1 { self.result.reachesEnd = true }
        }
    }

    /// Visits an entry whose value has pages of its own; false if they are not there.
    private func visitLong(_ node: PageNode, _ nodes: PageNodes, _ visit: Visit) throws(StorageError) -> Bool
    {
        let first = nodes.longValuePage(node)
        let count = UInt64((PageFile.headerBytes - 1 + node.valueBytes) / self.file.pageSizeBytes + 1)
        let (end, overflow) = first.addingReportingOverflow(count)
        guard !overflow, first >= 2, end - 1 <= self.meta.lastPage, end <= self.file.pageCount else {
            self.problem("a value of \(node.valueBytes) bytes lies behind the end of the file")
            return false
        }
        for page in first..<end where !self.used.insert(page) {
            self.problem("page \(page) is used in two places")
            break
        }
        self.counts.overflow += count
        let offset = Int(first) * self.file.pageSizeBytes
        let length = self.readsLongValues ? node.valueBytes : 0
        var buffer: [UInt8] = []
        swap(&buffer, &self.longValue)
        defer { self.longValue = buffer }
        guard try self.file.read(at: offset, count: PageFile.headerBytes + length, into: &buffer) else {
            self.problem("a value of \(node.valueBytes) bytes lies behind the end of the file")
            return false
        }
        try buffer.span.bytes.withUnsafeBytes { bytes throws(StorageError) in
            let stated = bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self)
            let flags = bytes.loadUnaligned(fromByteOffset: 10, as: UInt16.self)
            let pages = bytes.loadUnaligned(fromByteOffset: 12, as: UInt32.self)
            // The value's own checksum tells whether it is intact all the same, so it is visited anyway.
            if stated != first || flags != PageFlag.overflow || UInt64(pages) != count {
                self.problem("page \(first) is damaged: it does not begin like one of a long value")
            }
            let value = bytes[PageFile.headerBytes..<PageFile.headerBytes + length]
            try visit(
                PageEntry(
                    key: node.key, value: UnsafeRawBufferPointer(rebasing: value),
                    fileOffset: offset + PageFile.headerBytes,
                    isDatabase: node.flags & PageNode.isDatabase != 0))
        }
        return true
    }

    // MARK: Keys

    private func isKey(_ key: UnsafeRawBufferPointer) -> Bool {
        self.hasIntegerKeys ? key.count == 8 : key.count >= 1 && key.count <= 511
    }

    private func precedes(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        if self.hasIntegerKeys {
            return left.withUnsafeBytes { $0.integerKey } < right.withUnsafeBytes { $0.integerKey }
        }
        return left.lexicographicallyPrecedes(right)
    }
}

extension PageWalk {
    /// Walks the tree of free pages and checks that no page is both free and in use. To be called last.
    func walkFreePages() throws(StorageError) -> PageWalkResult {
        var problems: [String] = []
        let database = self.meta.free
        // A sound file may lack a few free pages at its end; a number far beyond is damage.
        let isPossible = self.meta.lastPage < self.file.pageCount + 1_000_000
        var free = PageSet(limit: isPossible ? self.meta.lastPage + 1 : 0)
        var result = try self.walk(database) { entry throws(StorageError) in
            guard entry.key.count == 8, entry.value.count >= 8, entry.value.count % 8 == 0 else {
                problems.append("a list of free pages is damaged")
                return
            }
            let transaction = entry.key.integerKey
            let count = entry.value.loadUnaligned(as: UInt64.self)
            guard count <= UInt64(entry.value.count / 8 - 1), transaction <= self.meta.transactionID else {
                problems.append("the list of pages that commit \(transaction) freed is damaged")
                return
            }
            var last = UInt64.max
            for index in 0..<Int(count) {
                let page = entry.value.loadUnaligned(fromByteOffset: 8 + index * 8, as: UInt64.self)
                guard page < last, page >= 2, page <= self.meta.lastPage, page < free.limit else {
                    problems.append("the list of pages that commit \(transaction) freed is damaged")
                    return
                }
                last = page
                if self.used.contains(page) {
                    problems.append("page \(page) is in use and among the free ones")
                    return
                }
                if !free.insert(page) {
                    problems.append("page \(page) is twice among the free ones")
                    return
                }
            }
        }
        result.problems += problems
        result.problemCount += problems.count
        return result
    }
}
