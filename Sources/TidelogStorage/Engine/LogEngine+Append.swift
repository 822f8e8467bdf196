import Glibc

extension LogEngine {
    /// From this many events on, the caller's thread encodes; fewer are encoded by the writer, together.
    private static let encodedByCaller = 48

    /// Appends events, each to the stream that it names, and suspends until they are durable.
    ///
    /// All of them are appended, next to each other, or none.
    package func append(
        _ records: [EventRecord],
        expecting expectations: [(stream: String, expectation: StreamExpectation)] = [],
        changing changes: [RecordChange] = [], absences: [AbsenceCheck] = [],
        check: (@Sendable (borrowing HeadTransaction) throws(StorageError) -> Void)? = nil
    ) async throws(StorageError) -> AppendOutcome {
        let writer = try self.requireWriter()
        let events = try self.prepare(records)
        try RecordChange.checkKeys(changes)
        if !records.isEmpty, writer.isCongested { await writer.waitForRoom() }
        if Task.isCancelled {
            throw StorageError(.cancelled, "the task was cancelled before its events were accepted")
        }
        let conditions = AppendConditions(
            expectations: expectations, changes: changes, absences: absences, check: check)
        let result = await withUnsafeContinuation {
            (reply: UnsafeContinuation<Result<AppendOutcome, StorageError>, Never>) in
            let refusal = writer.submit(AppendRequest(events, conditions, .task(reply)))
            if let refusal { reply.resume(returning: .failure(refusal)) }
        }
        return try result.get()
    }

    /// As ``append(_:expecting:changing:absences:check:)``, for threads that may block.
    ///
    /// - Parameter skipsKnown: whether events that are in the log already, with the same contents, are left out and
    ///   all else goes ahead, wherever they stand there. Otherwise only a repeat of the whole is known as one.
    package func appendBlocking(
        _ records: [EventRecord],
        expecting expectations: [(stream: String, expectation: StreamExpectation)] = [],
        changing changes: [RecordChange] = [], skipsKnown: Bool = false,
        check: (@Sendable (borrowing HeadTransaction) throws(StorageError) -> Void)? = nil
    ) throws(StorageError) -> AppendOutcome {
        let writer = try self.requireWriter()
        let events = try self.prepare(records)
        try RecordChange.checkKeys(changes)
        let conditions = AppendConditions(
            expectations: expectations, changes: changes, skipsKnown: skipsKnown, check: check)
        if !records.isEmpty, writer.isCongested { writer.waitForRoomBlocking() }
        let box = OutcomeBox<AppendOutcome>()
        if let refusal = writer.submit(AppendRequest(events, conditions, .thread(box))) { throw refusal }
        return try box.wait().get()
    }

    func requireWriter() throws(StorageError) -> LogWriter {
        guard let writer = self.writer else { throw self.readOnlyError() }
        return writer
    }

    /// Checks sizes and ids, and encodes large batches on the caller's thread.
    func prepare(_ records: [EventRecord]) throws(StorageError) -> PreparedEvents {
        let bytes = try self.checkedSize(of: records)
        var draft: FrameDraft?
        var hashes: [UInt64] = []
        var hash: UInt64 = 0
        var streamHash: UInt64 = 0
        if records.count >= Self.encodedByCaller || bytes >= 64 << 10 {
            let encoded = try self.encoders.encode(records)
            draft = encoded
            hashes = encoded.summary.idHashes
            hash = hashes[0]
        } else {
            // The writer encodes them with other callers' events: it must not find fault with one half-way.
            try records.withUnsafeBufferPointer { records throws(StorageError) in
                guard let start = records.baseAddress, !records.isEmpty else { return }
                for index in records.indices { try EncoderState.checkNames(start + index) }
                hash = start.pointee.id.hash64
                if let stream = start.pointee.stream { streamHash = XXH64.hash(stream) }
                if records.count > 1 { hashes = records.map(\.id.hash64) }
            }
        }
        if AppendRequest.hasRepeatedHash(hashes) {
            var ids: Set<Identifier> = []
            if let second = records.first(where: { !ids.insert($0.id).inserted }) {
                throw StorageError(
                    .invalidArgument, "a batch holds the same event id twice; give each event its own",
                    event: second.id)
            }
        }
        return PreparedEvents(
            records: records, draft: draft, idHash: hash, idHashes: hashes, streamHash: streamHash,
            streamHashes: draft?.summary.streams.map { XXH64.hash($0) } ?? [],
            bytes: bytes)
    }

    /// The bytes that the events count for; refuses an event or a batch that is over the limits.
    private func checkedSize(of records: [EventRecord]) throws(StorageError) -> Int {
        var bytes = 0
        // Through a pointer, for a loop over the array copies each record and counts its references.
        try records.withUnsafeBufferPointer { records throws(StorageError) in
            guard let start = records.baseAddress else { return }
            for index in records.indices {
                let record = start + index
                let size = record.pointee.payload.count + record.pointee.metadata.count
                if size > self.options.maximumEventBytes {
                    throw StorageError(
                        .limitExceeded,
                        "an event of type '\(record.pointee.type)' has \(size) bytes and the limit is "
                            + "\(self.options.maximumEventBytes); store large data elsewhere and append a "
                            + "reference", event: record.pointee.id)
                }
                bytes += size + 96
            }
        }
        if bytes > self.options.maximumBatchBytes {
            throw StorageError(
                .limitExceeded,
                "a batch has \(bytes) bytes and the limit is \(self.options.maximumBatchBytes); append it in "
                    + "several calls")
        }
        return bytes
    }
}

/// Encoders that wait for their next use.
///
/// A caller that encodes alone has an assistant who compresses meanwhile; where several encode at once, each
/// does it all himself, for then no processor is idle.
final class EncoderPool: Sendable {
    private struct State {
        /// An encoder is reachable from one place at a time: the pool, or the caller who took it.
        var idle: [Handed<FrameEncoder>] = []
        var busy = 0
    }

    private let level: Int32
    private let state = Lock(State())
    private let assistant: Assistant?

    init(level: Int32) {
        self.level = level
        self.assistant = sysconf(Int32(_SC_NPROCESSORS_ONLN)) > 1 ? Assistant() : nil
    }

    /// Makes a frame of the events.
    func encode(_ records: [EventRecord]) throws(StorageError) -> FrameDraft {
        let (known, isAlone) = self.state.withLock { state in
            state.busy += 1
            return (state.idle.popLast(), state.busy == 1)
        }
        do throws(StorageError) {
            let box: Handed<FrameEncoder>
            if let known {
                box = known
            } else {
                box = Handed(try FrameEncoder(level: self.level, assistant: self.assistant))
            }
            let draft = try box.value.encode(records, isAssisted: isAlone)
            self.state.withLock { state in
                state.busy -= 1
                if state.idle.count < 8 { state.idle.append(box) }
            }
            return draft
        } catch {
            self.state.withLock { $0.busy -= 1 }
            throw error
        }
    }

    /// Ends the assistant's thread.
    func close() { self.assistant?.stop() }
}
