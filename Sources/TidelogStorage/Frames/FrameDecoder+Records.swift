extension FrameDecoder {
    /// Lends an event's payload; decompresses its group at the first use.
    ///
    /// - Throws: ``StorageError`` with code `corrupted`, or what `body` throws.
    package func withPayload<Result: ~Copyable>(
        _ index: Int, _ body: (UnsafeRawBufferPointer) throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        let state = self.state
        try self.unpack(index)
        let start = Int(state.pointee.bodyStarts[index]) &+ Int(state.pointee.metadataLengths[index])
        return try body(
            UnsafeRawBufferPointer(
                start: state.pointee.body.base + start, count: Int(state.pointee.payloadLengths[index])))
    }

    /// Lends an event's metadata; decompresses its group at the first use.
    ///
    /// - Throws: ``StorageError`` with code `corrupted`, or what `body` throws.
    package func withMetadata<Result: ~Copyable>(
        _ index: Int, _ body: (UnsafeRawBufferPointer) throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        let state = self.state
        try self.unpack(index)
        return try body(
            UnsafeRawBufferPointer(
                start: state.pointee.body.base + Int(state.pointee.bodyStarts[index]),
                count: Int(state.pointee.metadataLengths[index])))
    }

    /// An event as an owned record. The payloads and metadata of a frame's records share one array a group.
    ///
    /// - Throws: ``StorageError`` with code `corrupted`.
    package func record(_ index: Int) throws(StorageError) -> EventRecord {
        try self.require(.all)
        let state = self.state
        try self.unpack(index)
        let group = state.pointee.group(index)
        let shared = state.pointee.shared(group)
        let start = Int(state.pointee.bodyStarts[index]) &- state.pointee.groups[group].plainStart
        let middle = start &+ Int(state.pointee.metadataLengths[index])
        let end = middle &+ Int(state.pointee.payloadLengths[index])
        return EventRecord(
            id: state.pointee.ids.pointee.identifier(index),
            type: state.pointee.text(.type, index) ?? "",
            stream: state.pointee.text(.stream, index),
            timestamp: state.pointee.timestamps[index],
            source: state.pointee.text(.source, index),
            contentType: state.pointee.text(.contentType, index),
            tenant: state.pointee.text(.tenant, index),
            correlation: state.pointee.identifier(.correlation, index),
            causation: state.pointee.identifier(.causation, index),
            schemaVersion: state.pointee.schemaVersions[index],
            metadata: shared[start..<middle], payload: shared[middle..<end])
    }

    /// What the log's memory keeps of the frame.
    ///
    /// - Throws: ``StorageError`` with code `corrupted`.
    package func summary() throws(StorageError) -> FrameSummary {
        try self.require([.types, .streams, .ids, .column(.correlation)])
        let count = self.count
        precondition(count > 0, "a frame is loaded")
        let none = (self.state.pointee.columns + FrameColumn.stream.rawValue).pointee.noneIndex
        var streams: [String] = []
        for value in 0..<self.distinctCount(.stream) {
            if let stream = self.distinctText(.stream, value) { streams.append(stream) }
        }
        let streamCodes = self.withCodes(.stream) { codes in
            codes.map { code in
                Int(code) == none ? 0 : none < 0 || Int(code) < none ? code &+ 1 : code
            }
        }
        let types = (0..<self.distinctCount(.type)).map { self.distinctText(.type, $0) ?? "" }
        let typeCodes = self.withCodes(.type) { codes in
            codes.map { UInt16(truncatingIfNeeded: $0) }
        }
        let correlations = self.state.pointee.identifiers(of: .correlation)
        let noCorrelation =
            (self.state.pointee.columns + FrameColumn.correlation.rawValue).pointee.noneIndex
        let hashes = (0..<self.distinctCount(.correlation)).map {
            $0 == noCorrelation ? 0 : correlations.pointee.hash($0)
        }
        let correlationHashes = self.withCodes(.correlation) { codes in codes.map { hashes[Int($0)] } }
        let header = self.header
        return FrameSummary(
            count: count, streams: streams, streamCodes: streamCodes, types: types,
            typeCodes: typeCodes, idHashes: (0..<count).map { self.idHash($0) },
            correlationHashes: correlationHashes, minTimestamp: header.minTimestamp,
            maxTimestamp: header.maxTimestamp,
            uncompressedBytes: header.envelopePlainBytes + header.bodyPlainBytes)
    }

    /// Sees that the group of an event is unpacked.
    @inline(__always)
    private func unpack(_ index: Int) throws(StorageError) {
        let state = self.state
        precondition(index >= 0 && index < state.pointee.count, "the event is in the frame")
        if !state.pointee.parts.contains(.bodies) { try self.require(.bodies) }
        let group = state.pointee.group(index)
        if !state.pointee.groups[group].isUnpacked { try state.pointee.unpackGroup(group) }
    }
}

extension DecoderState {
    /// A group's bytes in an array that records share, made at the first use.
    @inline(__always)
    mutating func shared(_ group: Int) -> ArraySlice<UInt8> {
        if group < self.sharedGroups.count, let shared = self.sharedGroups[group] { return shared }
        return self.share(group)
    }

    @inline(never)
    private mutating func share(_ group: Int) -> ArraySlice<UInt8> {
        if self.sharedGroups.count < self.groups.count {
            self.sharedGroups.append(
                contentsOf: repeatElement(nil, count: self.groups.count - self.sharedGroups.count))
        }
        let entry = self.groups[group]
        let bytes = UnsafeBufferPointer(start: self.body.base + entry.plainStart, count: entry.plainCount)
        let shared = ArraySlice(bytes)
        self.sharedGroups[group] = shared
        return shared
    }

    @inline(__always)
    func text(_ column: FrameColumn, _ index: Int) -> String? {
        let decoded = self.columns + column.rawValue
        let code = Int(decoded.pointee.codes[index])
        if code == decoded.pointee.noneIndex { return nil }
        return decoded.pointee.texts.string(code)
    }

    @inline(__always)
    func identifier(_ column: FrameColumn, _ index: Int) -> Identifier? {
        let decoded = self.columns + column.rawValue
        let code = Int(decoded.pointee.codes[index])
        if code == decoded.pointee.noneIndex { return nil }
        return self.identifiers(of: column).pointee.identifier(code)
    }
}
