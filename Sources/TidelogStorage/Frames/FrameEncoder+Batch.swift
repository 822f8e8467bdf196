// A frame of many events at once: their bodies first, so that an assistant compresses those while the
// envelope is made of the rest.
extension FrameEncoder {
    /// From this many bytes of metadata and payloads on, they are worth handing over.
    private static let assistedBytes = 48 << 10

    /// Makes a frame of events that have no place in the log yet; quicker than adding them one by one.
    ///
    /// The encoder must be empty, and there must be at least one event.
    ///
    /// - Parameter isAssisted: whether the assistant may be asked; that pays where a processor is idle.
    /// - Throws: as ``append(_:)``; the encoder is empty then.
    package func encode(_ records: [EventRecord], isAssisted: Bool = false) throws(StorageError) -> FrameDraft
    {
        precondition(self.count == 0 && !records.isEmpty, "the encoder is empty, and there are events")
        self.isPlaced = false
        defer { self.state.pointee.reset() }
        return try records.withUnsafeBufferPointer { records throws(StorageError) in
            guard let start = records.baseAddress else { return try self.finish() }
            try self.state.pointee.appendBodies(start, records.count)
            guard isAssisted, !self.groupsByType, self.groupBytes == 0, let assistant,
                self.state.pointee.bodyBytes >= Self.assistedBytes
            else {
                try self.state.pointee.appendEnvelopes(start, records.count)
                return try self.finish()
            }
            return try self.encode(start, records.count, with: assistant)
        }
    }

    private func encode(
        _ start: UnsafePointer<EventRecord>, _ count: Int, with assistant: Assistant
    ) throws(StorageError) -> FrameDraft {
        let state = self.state
        let work = PackingWork(encoder: self)
        let isOffered = assistant.offer(work)
        var header = FrameHeader()
        var failure: StorageError?
        do throws(StorageError) {
            try state.pointee.appendEnvelopes(start, count)
            header = self.header(isPlaced: false)
            try self.packColumns(header)
        } catch {
            failure = error
        }
        // In any case: as long as the assistant works, the buffers are its.
        if !isOffered || !assistant.finish() { work.run() }
        if let failure { throw failure }
        let content = try self.assemble(&header, try work.result.get())
        return FrameDraft(summary: state.pointee.summary(header), header: header, content: content)
    }
}

/// The compression of one frame's groups, by whoever gets to it.
// SAFETY: it runs once, on one thread at a time: `Assistant.finish` tells whether the other thread has done
// it, and only then, or if not, does the encoder's own thread touch it again.
private final class PackingWork: Assistant.Work, @unchecked Sendable {
    private let encoder: FrameEncoder
    private(set) var result: Result<PackedGroups, StorageError> = .success(PackedGroups())

    init(encoder: FrameEncoder) { self.encoder = encoder }

    func run() {
        do throws(StorageError) {
            self.result = .success(try self.encoder.packGroups())
        } catch {
            self.result = .failure(error)
        }
    }
}

extension EncoderState {
    /// Adds metadata and payloads of events, whose envelopes follow.
    mutating func appendBodies(_ start: UnsafePointer<EventRecord>, _ count: Int) throws(StorageError) {
        var bytes = 0
        for index in 0..<count { bytes += start[index].metadata.count + start[index].payload.count }
        if bytes > FrameFormat.maximumBodyBytes { throw Self.tooManyBytes() }
        if count > FrameFormat.maximumEvents { throw Self.tooManyEvents() }
        while self.rowCapacity < count { self.reserveRows() }
        for index in 0..<count { self.appendBody(start + index) }
    }

    /// Adds the rest of events whose bodies were added.
    mutating func appendEnvelopes(_ start: UnsafePointer<EventRecord>, _ count: Int) throws(StorageError) {
        for index in 0..<count {
            try Self.checkNames(start + index)
            try self.checkTypes()
            self.appendEnvelope(start + index)
        }
    }
}
