/// What can be read of the head's records, alike in a read transaction and in the writer's.
package protocol RecordSource: ~Copyable {
    /// The value under `key` in `space`.
    func record(_ space: RecordSpace, key: [UInt8]) throws(StorageError) -> [UInt8]?

    /// Calls `body` with each record whose key begins with `prefix`, from `start` on, in the order of keys,
    /// until it answers false. `body` must not change records.
    func forEachRecord(
        _ space: RecordSpace, prefix: [UInt8], from start: [UInt8],
        _ body: (_ key: [UInt8], _ value: [UInt8]) throws(StorageError) -> Bool
    ) throws(StorageError)
}

extension HeadTransaction: RecordSource {
    package func forEachRecord(
        _ space: RecordSpace, prefix: [UInt8], from start: [UInt8],
        _ body: (_ key: [UInt8], _ value: [UInt8]) throws(StorageError) -> Bool
    ) throws(StorageError) {
        try self.databases.forEachRecord(space, prefix: prefix, from: start, in: self.transaction, body)
    }
}

/// A change of records that is worked out inside the writer's transaction, from what it finds there.
package struct HeadChange: Sendable {
    /// Looked at before anything is changed; what it throws refuses the request and its events.
    package var check: (@Sendable (borrowing HeadTransaction) throws(StorageError) -> Void)?
    /// Makes the change, after the request's events were placed; answers whether it wrote something. It must
    /// throw before its first write, or not at all but for what ends the whole transaction.
    package var apply: @Sendable (borrowing HeadTransaction) throws(StorageError) -> Bool

    package init(
        check: (@Sendable (borrowing HeadTransaction) throws(StorageError) -> Void)? = nil,
        apply: @escaping @Sendable (borrowing HeadTransaction) throws(StorageError) -> Bool
    ) {
        self.check = check
        self.apply = apply
    }
}

extension LogEngine {
    /// The number of the newest commit of any process: two loads from the map.
    package func newestTransaction() throws(StorageError) -> UInt64 { try self.head.newestTransactionID() }

    /// Where the log ends, as far as this process knows; costs a lock.
    package var knownEnd: UInt64 { self.shared.withLock { $0.view.end } }

    /// Hands a change to the writer, which makes it together with everything else that waits. `reply` is
    /// called on the writer's thread once it is durable, or at once with the reason if it is not accepted.
    package func submit(
        _ change: HeadChange, reply: @escaping @Sendable (StorageError?) -> Void
    ) {
        guard let writer = self.writer else { return reply(self.readOnlyError()) }
        let nothing = PreparedEvents(
            records: [], draft: nil, idHash: 0, idHashes: [], streamHash: 0, streamHashes: [], bytes: 0)
        let conditions = AppendConditions(check: change.check, apply: change.apply)
        let request = AppendRequest(
            nothing, conditions,
            .other { result in
                switch result {
                case .success: reply(nil)
                case .failure(let error): reply(error)
                }
            })
        if let refusal = writer.submit(request) { reply(refusal) }
    }

    /// Makes a change and suspends until it is durable.
    package func change(_ change: HeadChange) async throws(StorageError) {
        let failure = await withUnsafeContinuation { (reply: UnsafeContinuation<StorageError?, Never>) in
            self.submit(change) { reply.resume(returning: $0) }
        }
        if let failure { throw failure }
    }

    /// Appends events and makes a change, in one commit, or does neither.
    package func append(
        _ records: [EventRecord],
        expecting expectations: [(stream: String, expectation: StreamExpectation)],
        changing changes: [RecordChange], _ change: HeadChange
    ) async throws(StorageError) -> AppendOutcome {
        let writer = try self.requireWriter()
        let events = try self.prepare(records)
        try RecordChange.checkKeys(changes)
        if !records.isEmpty, writer.isCongested { await writer.waitForRoom() }
        let result = await withUnsafeContinuation {
            (reply: UnsafeContinuation<Result<AppendOutcome, StorageError>, Never>) in
            let conditions = AppendConditions(
                expectations: expectations, changes: changes, check: change.check, apply: change.apply)
            let refusal = writer.submit(AppendRequest(events, conditions, .task(reply)))
            if let refusal { reply.resume(returning: .failure(refusal)) }
        }
        return try result.get()
    }
}
