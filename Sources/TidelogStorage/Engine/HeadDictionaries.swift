// Dictionaries in the head.
//
// A frame of few events hardly compresses by itself, so it is compressed with the dictionary that was trained
// for the segment sealed last. Invariants:
// - a frame refers to a dictionary that its own transaction has seen in the head;
// - a dictionary stays there for as long as a frame that is not sealed refers to it: the transaction that
//   removes one has looked at all of those;
// - a dictionary's bytes never change: zstd would give wrong bytes without an error;
// - whoever copies a frame out of a transaction takes its dictionary along, which may be gone a moment later.

/// The dictionaries of the head's frames that were used lately, prepared for use.
final class HeadDictionaries: Sendable {
    /// Bytes of metadata and payloads beyond which a frame compresses as well without.
    static let limitBytes = 8 << 10
    /// How many are kept; each has about 200 KB of tables.
    private static let capacity = 4

    private let level: Int32
    private let known = Lock<[UInt32: CompressionDictionary]>([:])

    init(level: Int32) {
        self.level = level
    }

    /// The dictionary `id`; if it is not known yet, `read` gives its bytes.
    func find(
        _ id: UInt32, _ read: () throws(StorageError) -> [UInt8]
    ) throws(StorageError) -> CompressionDictionary {
        if let known = self.known.withLock({ $0[id] }) { return known }
        let dictionary = try CompressionDictionary(bytes: try read(), level: self.level)
        guard dictionary.id == id else {
            throw StorageError(.corrupted, "the head's dictionary \(id) says that it is \(dictionary.id)")
        }
        self.known.withLock { known in
            if known.count >= Self.capacity { known.removeAll() }
            known[id] = dictionary
        }
        return dictionary
    }
}

/// The dictionaries of some frames that were copied out of the head.
struct CopiedDictionaries {
    private var found: [UInt32: Result<CompressionDictionary, StorageError>] = [:]

    mutating func removeAll() {
        self.found.removeAll(keepingCapacity: true)
    }

    /// Takes along what `frame` refers to; one that cannot be had is an error only for who asks for it.
    mutating func add(
        for frame: UnsafeRawBufferPointer,
        _ find: (UInt32) throws(StorageError) -> CompressionDictionary
    ) {
        let id = FrameHeader.dictionaryID(of: frame)
        guard id != 0, self.found[id] == nil else { return }
        do throws(StorageError) {
            self.found[id] = .success(try find(id))
        } catch {
            self.found[id] = .failure(error)
        }
    }

    func find(_ id: UInt32) throws(StorageError) -> CompressionDictionary {
        guard let found = self.found[id] else {
            throw StorageError(
                .corrupted, "a frame of the head refers to the dictionary \(id), and did not before")
        }
        return try found.get()
    }
}

/// Which dictionaries the head's frames from a position on refer to.
struct DictionaryUsage {
    var ids: Set<UInt32> = []
    /// Where the frames end that have been looked at.
    var end: UInt64
}

extension LogEngine {
    /// The dictionary `id` as `transaction` has it in the head. If it is damaged there, the segment that it was
    /// trained for may still have it.
    func headDictionary<Transaction: StorageTransaction & ~Copyable>(
        _ id: UInt32, in transaction: borrowing Transaction
    ) throws(StorageError) -> CompressionDictionary {
        try self.dictionaries.find(id) { () throws(StorageError) in
            let failure: StorageError
            do throws(StorageError) {
                if let bytes = try self.head.databases.dictionary(id, in: transaction) { return bytes }
                failure = StorageError(
                    .corrupted,
                    "the head has lost the dictionary \(id) that some of its frames need; run "
                        + "`tidelog verify`, then `tidelog repair`", path: self.directory)
            } catch {
                failure = error
            }
            let catalogue = self.shared.withLock { $0.view.catalogue }
            for info in catalogue.segments.reversed() where info.dictionaryID == id {
                if let bytes = try? self.segments.segment(info).dictionary?.bytes { return bytes }
            }
            throw failure
        }
    }

    /// What the frames from `position` on refer to, so that the writer has only those to look at that come after.
    func dictionaryUsage(from position: UInt64) throws(StorageError) -> DictionaryUsage {
        try self.head.environment.read { transaction throws(StorageError) in
            var usage = DictionaryUsage(end: position)
            try self.add(&usage, in: transaction)
            return usage
        }
    }

    private func add<Transaction: StorageTransaction & ~Copyable>(
        _ usage: inout DictionaryUsage, in transaction: borrowing Transaction
    ) throws(StorageError) {
        var (ids, end) = (usage.ids, usage.end)
        try transaction.scan(self.head.databases.frames, from: .atOrAfterInteger(end)) {
            key, frame throws(StorageError) in
            let id = FrameHeader.dictionaryID(of: frame)
            if id != 0 { ids.insert(id) }
            end = key.integerKey + 1
            return true
        }
        usage = DictionaryUsage(ids: ids, end: end)
    }

    /// Makes `dictionary` the one for new small frames.
    func adopt(
        _ dictionary: [UInt8], _ state: inout HeadState, _ transaction: borrowing HeadTransaction
    ) throws(StorageError) {
        let id = try CompressionDictionary(
            bytes: dictionary, level: self.options.headLevel, isForReading: true
        ).id
        // A number is a hash of its contents: another dictionary with the same one is next to impossible, and
        // replacing it would make what refers to it unreadable.
        if let known = try self.head.databases.dictionary(id, in: transaction.transaction) {
            guard known == dictionary else { return }
        } else {
            try transaction.setDictionary(id, dictionary)
        }
        state.dictionaryID = id
    }

    /// Removes the dictionaries that no frame refers to any more, except `current`.
    func dropDictionaries(
        besides current: UInt32, _ known: DictionaryUsage, _ transaction: borrowing HeadTransaction
    ) throws(StorageError) {
        var stored: [UInt32] = []
        try transaction.transaction.scan(self.head.databases.dictionaries, from: .first) { key, _ in
            stored.append(UInt32(truncatingIfNeeded: key.integerKey))
            return true
        }
        stored.removeAll { $0 == current || known.ids.contains($0) }
        if stored.isEmpty { return }
        var usage = known
        try self.add(&usage, in: transaction.transaction)
        for id in stored where !usage.ids.contains(id) { try transaction.removeDictionary(id) }
    }
}
