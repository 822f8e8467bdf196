extension FrameDecoder {
    /// Lends an event's payload; decompresses its group at the first use.
    ///
    /// - Throws: ``StorageError`` with code `corrupted`, or what `body` throws.
    package func withPayload<Result: ~Copyable>(
        _ index: Int, _ body: (UnsafeRawBufferPointer) throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        let state = self.state
        try self.prepare(index)
        let group = state.pointee.payloadGroup(index)
        if !state.pointee.groups[group].isUnpacked { try state.pointee.unpackGroup(group) }
        return try body(
            UnsafeRawBufferPointer(
                start: state.pointee.body.base + Int(state.pointee.payloadStarts[index]),
                count: Int(state.pointee.payloadLengths[index])))
    }

    /// Lends an event's metadata; decompresses its group at the first use.
    ///
    /// - Throws: ``StorageError`` with code `corrupted`, or what `body` throws.
    package func withMetadata<Result: ~Copyable>(
        _ index: Int, _ body: (UnsafeRawBufferPointer) throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        let state = self.state
        try self.prepare(index)
        let group = state.pointee.metadataGroup(index)
        if !state.pointee.groups[group].isUnpacked { try state.pointee.unpackGroup(group) }
        return try body(
            UnsafeRawBufferPointer(
                start: state.pointee.body.base + Int(state.pointee.metadataStarts[index]),
                count: Int(state.pointee.metadataLengths[index])))
    }

    /// An event as an owned record. The payloads and metadata of a frame's records share one array a group.
    ///
    /// - Throws: ``StorageError`` with code `corrupted`.
    package func record(_ index: Int) throws(StorageError) -> EventRecord {
        try self.require(.all)
        let state = self.state
        precondition(index >= 0 && index < state.pointee.count, "the event is in the frame")
        let group = state.pointee.payloadGroup(index)
        let metadataGroup = state.pointee.metadataGroup(index)
        if !state.pointee.groups[metadataGroup].isShared { try state.pointee.share(metadataGroup) }
        if !state.pointee.groups[group].isShared { try state.pointee.share(group) }
        let metadataStart =
            Int(state.pointee.metadataStarts[index]) &- state.pointee.groups[metadataGroup].plainStart
        let metadataEnd = metadataStart &+ Int(state.pointee.metadataLengths[index])
        let payloadStart =
            Int(state.pointee.payloadStarts[index]) &- state.pointee.groups[group].plainStart
        let payloadEnd = payloadStart &+ Int(state.pointee.payloadLengths[index])
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
            metadata: state.pointee.sharedGroups[metadataGroup][metadataStart..<metadataEnd],
            payload: state.pointee.sharedGroups[group][payloadStart..<payloadEnd])
    }

    /// What the log's memory keeps of the frame.
    ///
    /// - Throws: ``StorageError`` with code `corrupted`.
    package func summary() throws(StorageError) -> FrameSummary {
        try self.require([.types, .streams, .ids, .column(.correlation)])
        let count = self.count
        precondition(count > 0, "a frame is loaded")
        let hashes = (0..<self.distinctCount(.correlation)).map { code in
            code == 0 ? 0 : self.state.pointee.identifiers(of: .correlation).pointee.hash(code - 1)
        }
        let header = self.header
        return FrameSummary(
            count: count,
            streams: (1..<self.distinctCount(.stream)).compactMap { self.distinctText(.stream, $0) },
            streamCodes: self.withCodes(.stream) { Array($0) },
            types: (1..<self.distinctCount(.type)).compactMap { self.distinctText(.type, $0) },
            typeCodes: self.withCodes(.type) { codes in
                codes.map { UInt16(truncatingIfNeeded: $0 &- 1) }
            },
            idHashes: (0..<count).map { self.idHash($0) },
            correlationHashes: self.withCodes(.correlation) { codes in codes.map { hashes[Int($0)] } },
            minTimestamp: header.minTimestamp,
            maxTimestamp: header.maxTimestamp,
            uncompressedBytes: header.envelopePlainBytes + header.bodyPlainBytes)
    }

    /// Sees that it is known where an event's bytes lie.
    @inline(__always)
    private func prepare(_ index: Int) throws(StorageError) {
        precondition(index >= 0 && index < self.state.pointee.count, "the event is in the frame")
        if !self.state.pointee.parts.contains(.bodies) { try self.require(.bodies) }
    }
}

extension DecoderState {
    /// Puts a group's bytes into an array that records share.
    @inline(never)
    mutating func share(_ group: Int) throws(StorageError) {
        while self.sharedGroups.count < self.groups.count { self.sharedGroups.append([]) }
        let entry = self.groups[group]
        if entry.isUnpacked || entry.plainCount == 0 {
            if !entry.isUnpacked { try self.unpackGroup(group) }
            self.sharedGroups[group] = Array(
                UnsafeBufferPointer(start: self.body.base + entry.plainStart, count: entry.plainCount))
        } else {
            // Straight to where it is going to stay.
            var failure: StorageError?
            let bytes = [UInt8](unsafeUninitializedCapacity: entry.plainCount) { buffer, count in
                do throws(StorageError) {
                    try self.unpackGroup(group, into: UnsafeMutableRawBufferPointer(buffer))
                    count = entry.plainCount
                } catch { failure = error }
            }
            if let failure { throw failure }
            self.sharedGroups[group] = bytes
        }
        self.groups.base[group].isShared = true
    }

    @inline(__always)
    func text(_ column: FrameColumn, _ index: Int) -> String? {
        let decoded = self.columns + column.rawValue
        let code = Int(decoded.pointee.codes[index])
        return code == 0 ? nil : decoded.pointee.texts.string(code &- 1)
    }

    @inline(__always)
    func identifier(_ column: FrameColumn, _ index: Int) -> Identifier? {
        let decoded = self.columns + column.rawValue
        let code = Int(decoded.pointee.codes[index])
        return code == 0 ? nil : self.identifiers(of: column).pointee.identifier(code &- 1)
    }
}
