/// The file of a sealed segment as LMDB reads it: values come out with their checksums verified, errors with
/// the file's name.
final class SegmentReader: Sendable {
    /// Where the file was opened; messages name it and not the descriptor that LMDB was given.
    let path: String
    private let identity: FileIdentity
    private let mapping: SegmentMapping

    /// Opens what `descriptor` stands for.
    ///
    /// - Parameter digest: of the whole file, checked or just computed.
    init(
        path: String, descriptor: borrowing FileDescriptor, status: FileStatus, digest: UInt64
    ) throws(StorageError) {
        self.path = path
        self.identity = status.identity
        do throws(StorageError) {
            self.mapping = try SegmentMapping.acquire(
                status.identity, descriptor: descriptor, fileBytes: status.size, digest: digest)
        } catch {
            throw Self.located(error, path)
        }
    }

    deinit {
        SegmentMapping.release(self.identity)
    }

    /// What the segment says of itself.
    func segmentMeta() throws(StorageError) -> SegmentMeta {
        try self.value(.meta, key: SegmentKey.segment) { bytes throws(StorageError) in
            try SegmentMeta(decoding: bytes)
        }
    }

    /// The dictionary that the blocks need, checked against its hash; nil if they need none.
    func dictionary(_ meta: SegmentMeta) throws(StorageError) -> CompressionDictionary? {
        if meta.dictionaryID == 0 { return nil }
        return try self.value(.meta, key: SegmentKey.dictionary) { bytes throws(StorageError) in
            let dictionary = try CompressionDictionary(
                bytes: Array(bytes), level: 1, expectedHash: meta.dictionaryHash)
            guard dictionary.id == meta.dictionaryID else {
                throw StorageError(.corrupted, "the segment's dictionary has another id than it says")
            }
            return dictionary
        }
    }

    /// The directory of blocks.
    func blockDirectory(_ meta: SegmentMeta) throws(StorageError) -> BlockDirectory {
        try self.value(.index, key: SegmentKey.blocks) { bytes throws(StorageError) in
            let directory = try BlockDirectory(decoding: bytes, positions: meta.positions)
            let count = directory.blocks.reduce(0) { $0 + $1.count }
            guard directory.blocks.count == meta.blockCount, count == meta.count else {
                throw StorageError(.corrupted, "the directory of blocks does not have all events")
            }
            return directory
        }
    }

    /// Runs `body` with a run of blocks.
    @inline(__always)
    func withRun<Result>(
        _ key: UInt64, _ body: (UnsafeRawBufferPointer) throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        do throws(StorageError) {
            let result = try self.mapping.environment.read { transaction throws(StorageError) in
                try transaction.get(self.mapping.blocks, key: key, body)
            }
            if let result { return result }
        } catch {
            throw Self.located(error, self.path)
        }
        throw StorageError(
            .corrupted, "the run of blocks from position \(key) on is missing", path: self.path)
    }

    /// Gives the page of `index` whose key is `key`, or else the one before it, to `body` with its key; does
    /// nothing if there is none.
    func page(
        atOrBefore key: [UInt8],
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(StorageError) -> Void
    ) throws(StorageError) {
        try self.scan(.index, from: .atOrBefore(key)) { key, value throws(StorageError) in
            try body(key, try CheckedValue.unwrap(value, key: key, part: .index))
            return false
        }
    }

    /// Gives each page of `index` whose key begins with `kind` to `body`, in the order of their keys.
    func forEachPage(
        of kind: UInt8, _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(StorageError) -> Void
    ) throws(StorageError) {
        try self.scan(.index, from: .atOrAfter([kind])) { key, value throws(StorageError) in
            guard key.first == kind else { return false }
            try body(key, try CheckedValue.unwrap(value, key: key, part: .index))
            return true
        }
    }

    /// Goes through a database as it is stored: values of `meta` and `index` still have their checksums.
    func scan(
        _ part: SegmentFile.Part, from start: CursorStart,
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(StorageError) -> Bool
    ) throws(StorageError) {
        do throws(StorageError) {
            try self.mapping.environment.read { transaction throws(StorageError) in
                try transaction.scan(self.database(part), from: start, body)
            }
        } catch {
            throw Self.located(error, self.path)
        }
    }

    private func value<Result>(
        _ part: SegmentFile.Part, key: [UInt8],
        _ body: (UnsafeRawBufferPointer) throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        do throws(StorageError) {
            let result = try self.mapping.environment.read { transaction throws(StorageError) in
                try transaction.get(self.database(part), key: key) { stored throws(StorageError) in
                    try key.span.bytes.withUnsafeBytes { key throws(StorageError) in
                        try body(try CheckedValue.unwrap(stored, key: key, part: part))
                    }
                }
            }
            if let result { return result }
        } catch {
            throw Self.located(error, self.path)
        }
        let name = String(decoding: key, as: UTF8.self)
        throw StorageError(.corrupted, "the segment has no value \"\(name)\"", path: self.path)
    }

    private func database(_ part: SegmentFile.Part) -> Database {
        switch part {
        case .meta: self.mapping.meta
        case .blocks: self.mapping.blocks
        case .index: self.mapping.index
        }
    }

    /// `error` with the name of the segment's file, unless it names another file already.
    static func located(_ error: StorageError, _ path: String) -> StorageError {
        if let known = error.path, !known.hasPrefix("/proc/self/fd/") { return error }
        return StorageError(
            error.code, error.message, number: error.number, path: path, positions: error.positions,
            actualRevision: error.actualRevision)
    }
}
