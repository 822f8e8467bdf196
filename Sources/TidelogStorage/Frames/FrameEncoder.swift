/// Makes frames of events: takes them one by one, keeps them in columns, compresses, and gives the frame.
///
/// Reusable: after ``finish()`` or ``finishPlaced()`` it is empty and keeps its memory. Not for several
/// threads at once.
package final class FrameEncoder {
    let state: UnsafeMutablePointer<EncoderState>
    /// The state's bodies, so that who packs them need not look at the state.
    let bodies: UnsafeMutablePointer<BodyState>
    let columnCompressor: Compressor
    let bodyCompressor: Compressor
    /// What compresses groups of at most ``dictionaryLimitBytes`` with a dictionary, and the dictionary's id.
    private(set) var dictionaryCompressor: (compressor: Compressor, id: UInt32)?
    let dictionaryLimitBytes: Int
    let groupsByType: Bool
    let groupThresholdBytes: Int
    let assistant: Assistant?
    let groupBytes: Int
    var isPlaced = false

    /// Creates an encoder.
    ///
    /// - Parameters:
    ///   - level: zstd's level, for the envelope and the bodies.
    ///   - dictionary: a dictionary for the bodies. The frames can then be read only with it.
    ///   - dictionaryLimitBytes: how many bytes a group may have to be compressed with the dictionary; a
    ///     larger one does as well without, and is compressed faster.
    ///   - groupsByType: whether the payloads of types with much data get a group of their own, which a
    ///     reader of other types need not decompress.
    ///   - groupThresholdBytes: how many bytes of payloads in a frame are much data. Small groups compress
    ///     less well.
    ///   - groupBytes: about how many bytes of metadata and payloads a group of consecutive events has, so
    ///     that a reader of one event decompresses no more than those; 0 for one group, or groups by type.
    ///   - assistant: who may compress the bodies of many events while the envelope is made.
    package init(
        level: Int32 = 1, dictionary: CompressionDictionary? = nil, dictionaryLimitBytes: Int = .max,
        groupsByType: Bool = false, groupThresholdBytes: Int = 4096, groupBytes: Int = 0,
        assistant: Assistant? = nil
    ) throws(StorageError) {
        self.columnCompressor = try Compressor(level: level)
        self.bodyCompressor = assistant == nil ? self.columnCompressor : try Compressor(level: level)
        self.assistant = assistant
        self.dictionaryCompressor = try Self.compressor(dictionary)
        self.dictionaryLimitBytes = dictionaryLimitBytes
        self.groupsByType = groupsByType
        self.groupThresholdBytes = groupThresholdBytes
        self.groupBytes = groupBytes
        self.state = .allocate(capacity: 1)
        self.state.initialize(to: EncoderState())
        self.bodies = self.state.pointee.bodies
    }

    deinit {
        self.state.deinitialize(count: 1)
        self.state.deallocate()
    }

    /// Compresses with this dictionary from now on, or with none.
    ///
    /// - Throws: ``StorageError`` with code `invalidArgument` for a dictionary that is for reading only.
    func use(_ dictionary: CompressionDictionary?) throws(StorageError) {
        self.dictionaryCompressor = try Self.compressor(dictionary)
    }

    private static func compressor(
        _ dictionary: CompressionDictionary?
    ) throws(StorageError) -> (compressor: Compressor, id: UInt32)? {
        guard let dictionary else { return nil }
        return (try Compressor(level: dictionary.level, dictionary: dictionary), dictionary.id)
    }

    /// How many events wait to be finished.
    package var count: Int { self.state.pointee.count }

    /// The bytes of metadata and payloads that wait to be finished.
    package var pendingBytes: Int { self.state.pointee.bodyBytes }

    /// Adds an event that has no place in the log yet.
    ///
    /// - Throws: ``StorageError`` with code `invalidArgument` for an empty type or id, `limitExceeded` for a
    ///   name of more than 255 bytes or for more than a frame takes; the encoder is as it was then.
    package func append(_ record: EventRecord) throws(StorageError) {
        precondition(!self.isPlaced || self.count == 0, "a frame's events are all placed or all not")
        self.isPlaced = false
        try withUnsafePointer(to: record) { record throws(StorageError) in
            try self.state.pointee.append(record)
        }
    }

    /// Adds an event that has no place in the log yet, and gives the code of its stream: 0 for none, or the
    /// number, from 1 on, of the distinct streams so far.
    ///
    /// - Throws: as ``append(_:)``.
    func append(at record: UnsafePointer<EventRecord>) throws(StorageError) -> Int {
        precondition(!self.isPlaced || self.count == 0, "a frame's events are all placed or all not")
        self.isPlaced = false
        try self.state.pointee.append(record)
        return Int(self.state.pointee.streams.codes[self.count - 1])
    }

    /// The code of a stream that an event added so far has; nil if none has.
    func streamCode(of stream: String) -> Int? { self.state.pointee.streams.find(stream).map { Int($0) } }

    /// Adds an event whose place is known; for frames that are sealed or compacted.
    ///
    /// - Parameters:
    ///   - position: greater than that of the event before; there may be gaps.
    ///   - revision: nil if and only if the event has no stream.
    /// - Throws: as ``append(_:)``, and `invalidArgument` for a place that cannot be.
    package func append(_ record: EventRecord, position: UInt64, revision: UInt64?) throws(StorageError) {
        precondition(self.isPlaced || self.count == 0, "a frame's events are all placed or all not")
        let count = self.count
        guard
            position < .max, count == 0 || position > self.state.pointee.positions[count - 1],
            (revision == nil) == (record.stream == nil), revision != .max
        else {
            throw StorageError(
                .invalidArgument,
                "an event cannot be placed at position \(position) with "
                    + "\(revision.map { "revision \($0)" } ?? "no revision") in this frame")
        }
        self.isPlaced = true
        try withUnsafePointer(to: record) { record throws(StorageError) in
            try self.state.pointee.append(record)
        }
        self.state.pointee.positions.append(position)
        self.state.pointee.revisions.append(revision ?? 0)
    }

    /// Forgets the events added so far.
    package func reset() { self.state.pointee.reset() }

    /// Finishes the frame of the events added so far, all but its place in the log.
    ///
    /// There must be at least one event.
    package func finish() throws(StorageError) -> FrameDraft {
        precondition(!self.isPlaced && self.count > 0, "there are events, and they have no place yet")
        defer { self.state.pointee.reset() }
        let (header, content) = try self.pack(isPlaced: false)
        return FrameDraft(summary: self.state.pointee.summary(header), header: header, content: content)
    }

    /// Finishes the frame of the placed events added so far.
    ///
    /// There must be at least one event.
    package func finishPlaced() throws(StorageError) -> [UInt8] {
        precondition(self.isPlaced && self.count > 0, "there are events, and they have a place")
        defer { self.state.pointee.reset() }
        let (header, content) = try self.pack(isPlaced: true)
        return [UInt8](unsafeUninitializedCapacity: header.prefixBytes + content.count) { target, count in
            guard let start = UnsafeMutableRawPointer(target.baseAddress) else { return }
            header.write(to: start)
            let prefix = UnsafeRawBufferPointer(start: start, count: header.prefixBytes)
            start.store(FrameHeader.checksum(prefix), at: FrameFormat.Offset.headerChecksum)
            content.withUnsafeBytes { bytes in
                if let base = bytes.baseAddress {
                    (start + header.prefixBytes).copyMemory(from: base, byteCount: bytes.count)
                }
            }
            count = header.prefixBytes + content.count
        }
    }
}
