/// The file of a sealed segment: values come out with their checksums verified, errors with the file's name.
final class SegmentReader: Sendable {
    let pages: SegmentPages
    private let meta: SegmentTree
    private let blocks: SegmentTree
    private let index: SegmentTree
    /// Where the file was opened.
    var path: String { self.pages.path }

    init(_ pages: SegmentPages) throws(StorageError) {
        self.pages = pages
        let main = try SegmentTree(mainOf: pages)
        self.meta = try main.database(SegmentFile.Part.meta.rawValue)
        self.blocks = try main.database(SegmentFile.Part.blocks.rawValue)
        self.index = try main.database(SegmentFile.Part.index.rawValue)
    }

    /// What the segment says of itself.
    func segmentMeta() throws(StorageError) -> SegmentMeta {
        try self.value(key: SegmentKey.segment) { bytes throws(StorageError) in
            try SegmentMeta(decoding: bytes)
        }
    }

    /// The dictionary that the blocks need, checked against its hash; nil if they need none.
    func dictionary(_ meta: SegmentMeta) throws(StorageError) -> CompressionDictionary? {
        if meta.dictionaryID == 0 { return nil }
        return try self.value(key: SegmentKey.dictionary) { bytes throws(StorageError) in
            let dictionary = try CompressionDictionary(
                bytes: Array(bytes), level: 1, expectedHash: meta.dictionaryHash, isForReading: true)
            guard dictionary.id == meta.dictionaryID else {
                throw StorageError(.corrupted, "the segment's dictionary has another id than it says")
            }
            return dictionary
        }
    }

    /// The directory of blocks.
    func blockDirectory(_ meta: SegmentMeta) throws(StorageError) -> BlockDirectory {
        try self.value(key: SegmentKey.blocks) { bytes throws(StorageError) in
            let directory = try BlockDirectory(decoding: bytes, positions: meta.positions)
            let count = directory.blocks.reduce(0) { $0 + $1.count }
            guard directory.blocks.count == meta.blockCount, count == meta.count else {
                throw StorageError(.corrupted, "the directory of blocks does not have all events")
            }
            return directory
        }
    }

    /// Where each block begins in the file; nil for one that lies outside of its run, or whose run is missing.
    func blockStarts(_ directory: BlockDirectory) throws(StorageError) -> [Int?] {
        var runs: [UInt64: Range<Int>] = [:]
        try self.located { () throws(StorageError) in
            try self.blocks.forEach(atOrAfter: []) { key, node, page throws(StorageError) in
                guard key.count == 8 else { return true }
                runs[key.loadUnaligned(as: UInt64.self)] = try self.blocks.range(node, page)
                return true
            }
        }
        return directory.blocks.map { block in
            guard let run = runs[block.run], block.offset <= run.count,
                block.byteCount <= run.count - block.offset
            else { return nil }
            return run.lowerBound + block.offset
        }
    }

    /// Gives the page of `index` whose key is `key`, or else the one before it, to `body` with its key; does
    /// nothing if there is none.
    func page(
        atOrBefore key: [UInt8],
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(StorageError) -> Void
    ) throws(StorageError) {
        try self.located { () throws(StorageError) in
            _ = try self.index.entry(atOrBefore: key) { key, node, page throws(StorageError) -> Void? in
                try body(
                    key, try CheckedValue.unwrap(try self.index.value(node, page), key: key, part: .index))
            }
        }
    }

    /// Gives each page of `index` whose key begins with `kind` to `body`, in the order of their keys.
    func forEachPage(
        of kind: UInt8, _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(StorageError) -> Void
    ) throws(StorageError) {
        try self.located { () throws(StorageError) in
            try self.index.forEach(atOrAfter: [kind]) { key, node, page throws(StorageError) in
                guard key.first == kind else { return false }
                try body(
                    key, try CheckedValue.unwrap(try self.index.value(node, page), key: key, part: .index))
                return true
            }
        }
    }

    /// Gives a value of `meta` to `body`.
    private func value<Result>(
        key: [UInt8], _ body: (UnsafeRawBufferPointer) throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        let result = try self.located { () throws(StorageError) in
            try self.meta.entry(atOrBefore: key) { found, node, page throws(StorageError) -> Result? in
                guard found.elementsEqual(key) else { return nil }
                return try body(
                    try CheckedValue.unwrap(try self.meta.value(node, page), key: found, part: .meta))
            }
        }
        if let result { return result }
        let name = String(decoding: key, as: UTF8.self)
        throw StorageError(.corrupted, "the segment has no value \"\(name)\"", path: self.path)
    }

    private func located<Result>(
        _ body: () throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        do throws(StorageError) { return try body() } catch { throw Self.located(error, self.path) }
    }

    /// `error` with the name of the segment's file, unless it names another file already.
    static func located(_ error: StorageError, _ path: String) -> StorageError {
        if error.path != nil { return error }
        return StorageError(
            error.code, error.message, number: error.number, path: path, positions: error.positions,
            actualRevision: error.actualRevision)
    }
}
