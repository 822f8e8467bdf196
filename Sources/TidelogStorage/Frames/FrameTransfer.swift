/// Carries events from decoded frames into a frame that is being made, without making records of them.
///
/// A distinct value of a column is looked up once per source and target frame; after that an event's code
/// is translated by a table. Sealing and compaction move every event of the log in this way.
struct FrameTransfer: ~Copyable {
    private var types = Numbers<UInt32>()
    private var streams = Numbers<UInt32>()
    private var sources = Numbers<UInt32>()
    private var contentTypes = Numbers<UInt32>()
    private var tenants = Numbers<UInt32>()
    /// Stands for a code that was not translated yet.
    private static let unknown = UInt32.max

    init() {}

    /// What the indexes of a segment keep of an event, by its hashes.
    struct Hashes {
        /// `Identifier.hash64` of the event's id.
        var id: UInt64
        /// `Identifier.hash64` of the correlation id; 0 for none.
        var correlation: UInt64
    }

    /// Prepares for the events of `frame`, and decompresses all of it.
    mutating func begin(_ frame: FrameDecoder) throws(StorageError) {
        try frame.require(.all)
        let state = frame.state
        for group in 0..<state.pointee.groups.count where !state.pointee.groups[group].isUnpacked {
            try state.pointee.unpackGroup(group)
        }
        self.types.resize(frame.distinctCount(.type))
        self.streams.resize(frame.distinctCount(.stream))
        self.sources.resize(frame.distinctCount(.source))
        self.contentTypes.resize(frame.distinctCount(.contentType))
        self.tenants.resize(frame.distinctCount(.tenant))
        self.forget()
    }

    /// Forgets the translations, because the target was finished and has no values any more.
    func forget() {
        self.types.base.update(repeating: Self.unknown, count: self.types.count)
        self.streams.base.update(repeating: Self.unknown, count: self.streams.count)
        self.sources.base.update(repeating: Self.unknown, count: self.sources.count)
        self.contentTypes.base.update(repeating: Self.unknown, count: self.contentTypes.count)
        self.tenants.base.update(repeating: Self.unknown, count: self.tenants.count)
    }

    /// Adds event `index` of `frame`, for which `begin` was called, to the placed events of `encoder`.
    ///
    /// - Throws: ``StorageError`` with code `limitExceeded` if the target can take no more.
    func append(
        _ index: Int, of frame: FrameDecoder, to encoder: FrameEncoder
    ) throws(StorageError) -> Hashes {
        let source = frame.state
        let target = encoder.state
        precondition(index >= 0 && index < source.pointee.count, "the event is in the frame")
        precondition(encoder.isPlaced || target.pointee.count == 0, "a frame's events are all placed or not")
        let metadataCount = Int(source.pointee.metadataLengths[index])
        let payloadCount = Int(source.pointee.payloadLengths[index])
        let event = target.pointee.count
        guard
            target.pointee.bodyBytes + metadataCount + payloadCount <= FrameFormat.maximumBodyBytes,
            event < FrameFormat.maximumEvents, target.pointee.types.distinctCount < FrameFormat.maximumTypes
        else {
            throw StorageError(
                .limitExceeded, "a frame cannot take as much as is to be written to it at once")
        }
        encoder.isPlaced = true
        if event == target.pointee.rowCapacity { target.pointee.reserveRows() }
        let body = UnsafeRawPointer(source.pointee.body.base)
        Self.translate(.type, index, source, self.types, &target.pointee.types)
        Self.translate(.stream, index, source, self.streams, &target.pointee.streams)
        Self.translate(.source, index, source, self.sources, &target.pointee.sources)
        Self.translate(.contentType, index, source, self.contentTypes, &target.pointee.contentTypes)
        Self.translate(.tenant, index, source, self.tenants, &target.pointee.tenants)
        let id = source.pointee.ids.pointee.identifier(index)
        let hash = id.hash64
        target.pointee.ids.append(id)
        target.pointee.idHashes.push(hash)
        let correlation = Self.translate(
            .correlation, index, source, event, &target.pointee.correlations)
        Self.translate(.causation, index, source, event, &target.pointee.causations)
        target.pointee.timestamps.push(source.pointee.timestamps[index])
        target.pointee.schemaVersions.push(source.pointee.schemaVersions[index])
        target.pointee.metadataLengths.push(UInt32(truncatingIfNeeded: metadataCount))
        target.pointee.payloadLengths.push(UInt32(truncatingIfNeeded: payloadCount))
        target.pointee.bodies.pointee.metadata.append(
            UnsafeRawBufferPointer(
                start: body + Int(source.pointee.metadataStarts[index]), count: metadataCount))
        target.pointee.bodies.pointee.payloads.append(
            UnsafeRawBufferPointer(
                start: body + Int(source.pointee.payloadStarts[index]), count: payloadCount))
        target.pointee.positions.append(frame.position(index))
        target.pointee.revisions.append(frame.revision(index) ?? 0)
        return Hashes(id: hash, correlation: target.pointee.correlations.hashes[Int(correlation)])
    }

    /// Adds the event's text to a column of the target.
    @inline(__always)
    private static func translate(
        _ column: FrameColumn, _ index: Int, _ source: UnsafeMutablePointer<DecoderState>,
        _ table: borrowing Numbers<UInt32>, _ interner: inout TextInterner
    ) {
        let decoded = source.pointee.columns + column.rawValue
        let code = Int(decoded.pointee.codes[index])
        var translated = table[code]
        if translated == Self.unknown {
            translated = interner.intern(code == 0 ? nil : decoded.pointee.texts.string(code - 1))
            table[code] = translated
        }
        interner.codes.push(translated)
    }

    /// Adds the event's identifier to a column of the target and gives its code there.
    @inline(__always)
    @discardableResult
    private static func translate(
        _ column: FrameColumn, _ index: Int, _ source: UnsafeMutablePointer<DecoderState>, _ event: Int,
        _ interner: inout IdentifierInterner
    ) -> UInt32 {
        let code = Int((source.pointee.columns + column.rawValue).pointee.codes[index])
        let identifier =
            code == 0 ? nil : source.pointee.identifiers(of: column).pointee.identifier(code - 1)
        let translated = interner.intern(identifier, event: UInt32(truncatingIfNeeded: event))
        interner.codes.push(translated)
        return translated
    }
}
