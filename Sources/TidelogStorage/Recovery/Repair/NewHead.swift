/// The head of a repaired log while it is put together, under a temporary name.
///
/// It holds no events: what could be saved of them is in segments.
final class NewHead {
    private static let slice = 2000

    private let path: String
    private let directory: String
    private let environment: Environment
    private let databases: HeadDatabases
    private var waiting: [(database: String, key: [UInt8], value: [UInt8], isNewer: Bool)] = []

    init(_ directory: String) throws(StorageError) {
        self.directory = directory
        self.path = directory + "/" + Head.Names.temporary
        let options = EngineOptions()
        try Head.initialize(self.path, options, state: .new(createdAt: 0))
        var environmentOptions = Environment.Options()
        environmentOptions.mapSizeBytes = options.mapSizeBytes
        environmentOptions.noLock = true
        environmentOptions.mustExist = true
        self.environment = try Environment(path: self.path, options: environmentOptions)
        self.databases = try HeadDatabases(self.environment, create: false)
    }

    func close() {
        self.environment.close()
    }

    private func write(
        _ body: (borrowing HeadTransaction) throws(StorageError) -> Void
    ) throws(StorageError) {
        let transaction = HeadTransaction(
            transaction: try self.environment.beginWrite(), databases: self.databases)
        try body(transaction)
        try transaction.commit(through: .durable)
    }

    // MARK: Streams and records

    /// Adds a value of `streams` or `records`. One from the newest commit counts; older ones fill gaps, and
    /// what can only grow is taken at its largest.
    func add(_ database: String, key: [UInt8], value: [UInt8], rank: Int) throws(StorageError) {
        self.waiting.append((database, key, value, rank == 0))
        if self.waiting.count >= Self.slice { try self.flush() }
    }

    /// Adds what is known of a stream from its events.
    func add(stream name: String, _ head: StreamHead) throws(StorageError) {
        try self.add("streams", key: Array(name.utf8), value: head.encoded(), rank: 1)
    }

    func flush() throws(StorageError) {
        let waiting = self.waiting
        self.waiting.removeAll(keepingCapacity: true)
        guard !waiting.isEmpty else { return }
        try self.write { transaction throws(StorageError) in
            for entry in waiting {
                switch entry.database {
                case "streams": try self.putStream(entry.key, entry.value, transaction)
                case "records": try self.putRecord(entry.key, entry.value, entry.isNewer, transaction)
                default: break
                }
            }
        }
    }

    private func putStream(
        _ key: [UInt8], _ value: [UInt8], _ transaction: borrowing HeadTransaction
    ) throws(StorageError) {
        guard var head = try? StreamHead.decode(value) else { return }
        let name = String(decoding: key, as: UTF8.self)
        if let known = try self.databases.stream(name, in: transaction.transaction) {
            head.nextRevision = max(head.nextRevision, known.nextRevision)
            head.firstPosition = min(head.firstPosition, known.firstPosition)
            head.lastPosition = max(head.lastPosition, known.lastPosition)
            head.truncatedBefore = max(head.truncatedBefore, known.truncatedBefore)
            head.isDeleted = head.isDeleted || known.isDeleted
            if head == known { return }
        }
        try transaction.setStream(name, head)
    }

    private func putRecord(
        _ key: [UInt8], _ value: [UInt8], _ isNewer: Bool, _ transaction: borrowing HeadTransaction
    ) throws(StorageError) {
        guard let byte = key.first else { return }
        let space = RecordSpace(byte: byte)
        let rest = Array(key.dropFirst())
        if let known = try transaction.record(space, key: rest) {
            if isNewer { return }
            guard space == .hiddenStreams, value.count == 8, known.count == 8,
                Self.integer(value) > Self.integer(known)
            else { return }
        }
        try transaction.setRecord(space, key: rest, value: value)
    }

    private static func integer(_ bytes: [UInt8]) -> UInt64 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Makes the list of truncated and deleted streams anew from the streams' heads, which say it too.
    func restoreHiddenStreams() throws(StorageError) {
        try self.flush()
        var after: [UInt8] = [0]
        while true {
            var found: [(key: [UInt8], lowest: UInt64)] = []
            var last: [UInt8]?
            try self.environment.read { transaction throws(StorageError) in
                try transaction.scan(self.databases.streams, from: .atOrAfter(after)) {
                    key, value throws(StorageError) in
                    let name = [UInt8](key)
                    last = name
                    let head = try StreamHead.decode(
                        try HeadFormat.unwrap(value, database: "streams", key: name))
                    if head.isDeleted {
                        found.append((name, .max))
                    } else if head.truncatedBefore > 0 {
                        found.append((name, head.truncatedBefore))
                    }
                    return found.count < Self.slice
                }
            }
            for (key, lowest) in found {
                try self.add(
                    "records", key: RecordSpace.hiddenStreams.key(key), value: HeadKeys.integer(lowest),
                    rank: 1)
            }
            try self.flush()
            guard found.count >= Self.slice, let last else { return }
            after = last + [0]
        }
    }

    // MARK: The end

    /// Adds the catalogue and the state, and puts the head in place. To be called last.
    func finish(
        _ state: HeadState, _ segments: [SegmentInfo], lost: PositionRanges
    ) throws(StorageError) {
        try self.flush()
        try self.write { transaction throws(StorageError) in
            for info in segments { try transaction.setSegment(info) }
            if !lost.isEmpty {
                let known = try transaction.record(.settings, key: LostPositions.key) ?? []
                let all = PositionRanges(LostPositions.decode(known).ranges + lost.ranges)
                try transaction.setRecord(
                    .settings, key: LostPositions.key, value: LostPositions.encode(all))
            }
            try transaction.setState(state)
        }
        try Files.syncFile(descriptor: self.environment.fileDescriptor, path: self.path)
        self.environment.close()
        _ = try Files.unlink(self.path + "-lock", ignoringMissing: true)
        try Files.rename(self.path, to: self.directory + "/" + Head.Names.head)
        try Files.syncDirectory(self.directory)
    }
}

/// The record, among the head's settings, of positions that repairs had to give up: sixteen bytes for each
/// range, its first position and the one after its last, little-endian.
enum LostPositions {
    static let key = Array("lost-positions".utf8)

    static func encode(_ ranges: PositionRanges) -> [UInt8] {
        ranges.ranges.flatMap { HeadKeys.integer($0.lowerBound) + HeadKeys.integer($0.upperBound) }
    }

    static func decode(_ bytes: [UInt8]) -> PositionRanges {
        func integer(_ offset: Int) -> UInt64 {
            bytes[offset..<offset + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
        return PositionRanges(
            stride(from: 0, to: bytes.count - bytes.count % 16, by: 16).compactMap { offset in
                let (lower, upper) = (integer(offset), integer(offset + 8))
                return lower < upper ? lower..<upper : nil
            })
    }
}
