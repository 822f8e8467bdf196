/// What must be true of a stream for an append to it to go ahead.
package enum StreamExpectation: Sendable, Equatable {
    case any
    case noStream
    case exists
    case exact(UInt64)
}

/// What an append answers once it is durable.
package struct AppendOutcome: Sendable, Hashable {
    /// The position of the first event; the others follow without a gap.
    package var firstPosition: UInt64
    /// How many events were appended.
    package var count: Int
    /// The streams that got events, in order of their first one.
    package var streams: [String]
    /// The revision of the last event of each of `streams`.
    package var lastRevisions: [UInt64]
    /// Whether the log had these events already and this is the answer that was given then.
    package var isRepeat: Bool

    package init(
        firstPosition: UInt64, count: Int, streams: [String], lastRevisions: [UInt64], isRepeat: Bool
    ) {
        self.firstPosition = firstPosition
        self.count = count
        self.streams = streams
        self.lastRevisions = lastRevisions
        self.isRepeat = isRepeat
    }
}

/// A change to the `records` of the head that becomes durable together with an append.
package enum RecordChange: Sendable {
    case set(RecordSpace, key: [UInt8], value: [UInt8])
    case remove(RecordSpace, key: [UInt8])

    /// Refuses keys that the head cannot store, before anything is written.
    static func checkKeys(_ changes: [RecordChange]) throws(StorageError) {
        for change in changes {
            let key =
                switch change {
                case .set(let space, let key, _), .remove(let space, let key): space.key(key)
                }
            guard key.count <= maximumKeyBytes else {
                throw StorageError(
                    .invalidArgument,
                    "the key of a record has \(key.count - 1) bytes, and \(maximumKeyBytes - 1) is the most")
            }
        }
    }
}

/// One caller's append, on its way to the writer.
final class AppendRequest: Sendable {
    let records: [EventRecord]
    /// The events encoded by the caller, where they are many; the writer encodes few ones together.
    let draft: FrameDraft?
    let idHashes: [UInt64]
    /// XXH64 of the names of the draft's streams, in their order.
    let streamHashes: [UInt64]
    let expectations: [(stream: String, expectation: StreamExpectation)]
    let changes: [RecordChange]
    /// Looked at inside the transaction, before anything is changed; what it throws refuses the request.
    let check: (@Sendable (borrowing HeadTransaction) throws(StorageError) -> Void)?
    let bytes: Int
    /// Changes records once the events are placed; answers whether it did (see ``HeadChange``).
    let apply: (@Sendable (borrowing HeadTransaction) throws(StorageError) -> Bool)?
    let reply: @Sendable (Result<AppendOutcome, StorageError>) -> Void

    init(
        records: [EventRecord], draft: FrameDraft?, idHashes: [UInt64],
        expectations: [(stream: String, expectation: StreamExpectation)], changes: [RecordChange],
        check: (@Sendable (borrowing HeadTransaction) throws(StorageError) -> Void)?, bytes: Int,
        apply: (@Sendable (borrowing HeadTransaction) throws(StorageError) -> Bool)? = nil,
        reply: @escaping @Sendable (Result<AppendOutcome, StorageError>) -> Void
    ) {
        self.records = records
        self.draft = draft
        self.idHashes = idHashes
        self.streamHashes = draft?.summary.streams.map { XXH64.hash($0) } ?? []
        self.expectations = expectations
        self.changes = changes
        self.check = check
        self.bytes = bytes
        self.apply = apply
        self.reply = reply
    }
}

extension AppendRequest {
    /// Whether two of the hashes are equal: then the request itself may hold one id twice.
    static func hasRepeatedHash(_ hashes: [UInt64]) -> Bool {
        guard hashes.count > 1 else { return false }
        if hashes.count <= 8 {
            for index in 1..<hashes.count where hashes[..<index].contains(hashes[index]) { return true }
            return false
        }
        let mask = hashes.count.nextPowerOfTwo() * 2 - 1
        return withUnsafeTemporaryAllocation(of: UInt64.self, capacity: mask + 1) { slots in
            slots.initialize(repeating: 0)
            for hash in hashes {
                let hash = hash == 0 ? 1 : hash
                var slot = Int(truncatingIfNeeded: hash &* 0x9E37_79B9_7F4A_7C15 >> 20) & mask
                while slots[slot] != 0 {
                    if slots[slot] == hash { return true }
                    slot = (slot + 1) & mask
                }
                slots[slot] = hash
            }
            return false
        }
    }
}

extension Int {
    fileprivate func nextPowerOfTwo() -> Int {
        self <= 1 ? 1 : 1 << (Int.bitWidth - (self - 1).leadingZeroBitCount)
    }
}
