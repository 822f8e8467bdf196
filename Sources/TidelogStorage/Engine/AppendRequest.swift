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
    /// Whether the log had these events already and this is the answer that was given then.
    package var isRepeat: Bool
    private var heads: Heads

    /// Most appends concern one stream, which needs no array.
    private enum Heads: Sendable, Hashable {
        case none
        case one(String, UInt64)
        case several([String], [UInt64])
    }

    package init(
        firstPosition: UInt64, count: Int, streams: [String] = [], lastRevisions: [UInt64] = [],
        isRepeat: Bool = false
    ) {
        self.firstPosition = firstPosition
        self.count = count
        self.isRepeat = isRepeat
        self.heads = streams.isEmpty ? .none : .several(streams, lastRevisions)
    }

    /// The streams that got events, in order of their first one.
    package var streams: [String] {
        switch self.heads {
        case .none: []
        case .one(let stream, _): [stream]
        case .several(let streams, _): streams
        }
    }

    /// The revision of the last event of each of `streams`.
    package var lastRevisions: [UInt64] {
        switch self.heads {
        case .none: []
        case .one(_, let revision): [revision]
        case .several(_, let revisions): revisions
        }
    }

    /// Takes note of another event of a stream.
    mutating func note(_ stream: String, _ revision: UInt64) {
        switch self.heads {
        case .none: self.heads = .one(stream, revision)
        case .one(let known, _) where known.isExactly(stream): self.heads = .one(known, revision)
        case .one(let known, let last): self.heads = .several([known, stream], [last, revision])
        case .several(var streams, var revisions):
            self.heads = .none
            if let known = streams.firstIndex(where: stream.isExactly) {
                revisions[known] = revision
            } else {
                streams.append(stream)
                revisions.append(revision)
            }
            self.heads = .several(streams, revisions)
        }
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
    /// Who waits for the outcome.
    enum Caller: Sendable {
        case task(UnsafeContinuation<Result<AppendOutcome, StorageError>, Never>)
        case thread(OutcomeBox<AppendOutcome>)
        /// Called on the writer's thread.
        case other(@Sendable (Result<AppendOutcome, StorageError>) -> Void)
    }

    let events: PreparedEvents
    let conditions: AppendConditions
    let caller: Caller
    /// What it takes in the queue and, at most, in the head.
    let bytes: Int

    init(_ events: PreparedEvents, _ conditions: AppendConditions, _ caller: Caller) {
        self.events = events
        self.conditions = conditions
        self.caller = caller
        self.bytes = events.bytes + RecordChange.byteCount(conditions.changes)
    }

    /// What must be free in the head before it is tried. A small change of records alone, such as an
    /// acknowledgement, lives on the reserve.
    var roomBytes: Int {
        self.events.records.isEmpty && self.bytes <= Self.reservedChangeBytes ? 0 : self.bytes
    }

    private static let reservedChangeBytes = 16 << 10

    func reply(_ result: Result<AppendOutcome, StorageError>) {
        switch self.caller {
        case .task(let continuation): continuation.resume(returning: result)
        case .thread(let box): box.finish(result)
        case .other(let body): body(result)
        }
    }
}

/// Events that were checked and, where they are many, encoded.
struct PreparedEvents: Sendable {
    let records: [EventRecord]
    /// The events encoded by the caller, where they are many; the writer encodes few ones together.
    let draft: FrameDraft?
    /// `Identifier.hash64` of the event's id if there is one event; of more, see `idHashes`.
    let idHash: UInt64
    let idHashes: [UInt64]
    /// XXH64 of the name of the first event's stream, where the writer encodes the events; 0 for no stream.
    let streamHash: UInt64
    /// XXH64 of the names of the draft's streams, in their order.
    let streamHashes: [UInt64]
    let bytes: Int
}

/// What must be true for an append to go ahead, and what becomes durable with it.
struct AppendConditions: Sendable {
    var expectations: [(stream: String, expectation: StreamExpectation)] = []
    var changes: [RecordChange] = []
    /// Events that must not be there.
    var absences: [AbsenceCheck] = []
    /// Whether events that the log has already, with the same contents, are left out of the append.
    var skipsKnown = false
    /// Looks at records inside the transaction, before anything is changed; what it throws refuses the
    /// request. Events are none of its business: those of this turn may not be written yet.
    var check: (@Sendable (borrowing HeadTransaction) throws(StorageError) -> Void)?
    /// Changes records once the events are placed; answers whether it did (see ``HeadChange``).
    var apply: (@Sendable (borrowing HeadTransaction) throws(StorageError) -> Bool)?
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
