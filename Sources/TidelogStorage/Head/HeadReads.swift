// What can be read of the head, alike in a read and in a write transaction.
extension HeadDatabases {
    func state<Transaction: StorageTransaction & ~Copyable>(
        in transaction: borrowing Transaction
    ) throws(StorageError) -> HeadState {
        guard let bytes = try self.value(self.meta, key: Array("state".utf8), in: transaction) else {
            throw StorageError(
                .corrupted, "the head has lost its state record; run `tidelog repair` or restore a backup")
        }
        return try HeadState.decode(bytes)
    }

    func catalogue<Transaction: StorageTransaction & ~Copyable>(
        in transaction: borrowing Transaction
    ) throws(StorageError) -> SegmentCatalogue {
        var segments: [SegmentInfo] = []
        try transaction.scan(self.segments, from: .first) { key, value throws(StorageError) in
            let bytes = try HeadFormat.unwrap(
                value, database: "segments", key: HeadKeys.integer(key.integerKey))
            segments.append(try SegmentInfo.decode(bytes))
            return true
        }
        try self.requireEntries(segments.count, of: self.segments, in: transaction)
        return SegmentCatalogue(segments)
    }

    func hiddenStreams<Transaction: StorageTransaction & ~Copyable>(
        in transaction: borrowing Transaction
    ) throws(StorageError) -> HiddenStreams {
        var lowest: [ExactText: UInt64] = [:]
        try self.forEachRecord(.hiddenStreams, in: transaction) { key, value throws(StorageError) in
            var reader = FieldReader(value, what: "the record of a truncated stream")
            lowest[ExactText(String(decoding: key, as: UTF8.self))] = try reader.fixed()
            return true
        }
        return HiddenStreams(lowest)
    }

    func stream<Transaction: StorageTransaction & ~Copyable>(
        _ name: String, in transaction: borrowing Transaction
    ) throws(StorageError) -> StreamHead? {
        guard !name.isEmpty, name.utf8.count <= maximumKeyBytes else { return nil }
        guard let bytes = try self.value(self.streams, key: Array(name.utf8), in: transaction) else {
            return nil
        }
        return try StreamHead.decode(bytes)
    }

    /// The position after the last event in the head's frames.
    func endOfFrames<Transaction: StorageTransaction & ~Copyable>(
        in transaction: borrowing Transaction
    ) throws(StorageError) -> UInt64? {
        var end: UInt64?
        try transaction.scan(self.frames, from: .last, direction: .backwards) {
            key, value throws(StorageError) in
            let header = try FrameHeader.parse(value, expectedFirstPosition: key.integerKey)
            end = header.lastPosition + 1
            return false
        }
        return end
    }

    /// The positions around `position` that no frame holds, up to `end` at the most.
    func gap<Transaction: StorageTransaction & ~Copyable>(
        around position: UInt64, before end: UInt64, in transaction: borrowing Transaction
    ) throws(StorageError) -> Range<UInt64> {
        var lower = try self.state(in: transaction).sealedEnd
        try transaction.scan(self.frames, from: .atOrBeforeInteger(position)) {
            key, value throws(StorageError) in
            let header = try FrameHeader.parse(value, expectedFirstPosition: key.integerKey)
            if header.lastPosition < position { lower = max(lower, header.lastPosition + 1) }
            return false
        }
        var upper = end
        try transaction.scan(self.frames, from: .atOrAfterInteger(position)) { key, _ in
            upper = min(upper, key.integerKey)
            return false
        }
        return min(lower, position)..<max(upper, position + 1)
    }

    /// Requires that LMDB leads to as many frames as it counts: where the last of them are missing, their
    /// positions would not tell.
    func requireAllFrames<Transaction: StorageTransaction & ~Copyable>(
        in transaction: borrowing Transaction
    ) throws(StorageError) {
        var count = 0
        try transaction.scan(self.frames, from: .first) { _, _ in
            count += 1
            return true
        }
        try self.requireEntries(count, of: self.frames, in: transaction)
    }

    private func requireEntries<Transaction: StorageTransaction & ~Copyable>(
        _ count: Int, of database: Database, in transaction: borrowing Transaction
    ) throws(StorageError) {
        let stated = try transaction.entryCount(database)
        guard count == stated else {
            throw StorageError(
                .corrupted,
                "the head's database '\(database.name)' has \(count) entries and counts \(stated); run "
                    + "`tidelog verify`, then `tidelog repair`",
                path: transaction.access.path)
        }
    }

    func dictionary<Transaction: StorageTransaction & ~Copyable>(
        _ id: UInt32, in transaction: borrowing Transaction
    ) throws(StorageError) -> [UInt8]? {
        try transaction.get(self.dictionaries, key: UInt64(id)) { value throws(StorageError) in
            try HeadFormat.unwrap(value, database: "dictionaries", key: HeadKeys.integer(UInt64(id)))
        }
    }

    // MARK: Records

    func record<Transaction: StorageTransaction & ~Copyable>(
        _ space: RecordSpace, key: [UInt8], in transaction: borrowing Transaction
    ) throws(StorageError) -> [UInt8]? {
        try self.value(self.records, key: space.key(key), in: transaction)
    }

    /// Calls `body` with each record of the space whose key begins with `prefix`, from `start` on, in the order
    /// of keys, until it answers false.
    func forEachRecord<Transaction: StorageTransaction & ~Copyable>(
        _ space: RecordSpace, prefix: [UInt8] = [], from start: [UInt8] = [],
        in transaction: borrowing Transaction,
        _ body: (_ key: [UInt8], _ value: [UInt8]) throws(StorageError) -> Bool
    ) throws(StorageError) {
        try transaction.scan(self.records, from: .atOrAfter(space.key(start))) {
            key, value throws(StorageError) in
            guard key.first == space.byte, key.dropFirst().starts(with: prefix) else { return false }
            let bytes = try HeadFormat.unwrap(value, database: "records", key: [UInt8](key))
            return try body([UInt8](key.dropFirst()), bytes)
        }
    }

    private func value<Transaction: StorageTransaction & ~Copyable>(
        _ database: Database, key: [UInt8], in transaction: borrowing Transaction
    ) throws(StorageError) -> [UInt8]? {
        try transaction.get(database, key: key) { value throws(StorageError) in
            try HeadFormat.unwrap(value, database: database.name, key: key)
        }
    }
}
