extension FrameEncoder {
    /// Packs everything: the header but for what only the writer knows, and all that follows it.
    func pack(isPlaced: Bool) throws(StorageError) -> (FrameHeader, [UInt8]) {
        let groups = try self.packGroups()
        var header = self.header(isPlaced: isPlaced)
        try self.packColumns(header)
        let content = try self.assemble(&header, groups)
        return (header, content)
    }

    /// The header as far as the events say it.
    func header(isPlaced: Bool) -> FrameHeader {
        let state = self.state
        var header = FrameHeader()
        header.count = state.pointee.count
        (header.minTimestamp, header.maxTimestamp) = state.pointee.timestampRange
        if isPlaced {
            header.firstPosition = state.pointee.positions[0]
            header.lastPosition = state.pointee.positions[header.count - 1]
            header.isSparse =
                header.lastPosition - header.firstPosition != UInt64(header.count - 1)
            header.hasPlacedRevisions = true
        }
        return header
    }

    /// Puts the packed columns and groups together, and their sizes into the header.
    func assemble(_ header: inout FrameHeader, _ groups: PackedGroups) throws(StorageError) -> [UInt8] {
        let (state, bodies) = (self.state, self.bodies)
        header.groupCount = groups.entries.count
        header.bodyPlainBytes = state.pointee.bodyBytes
        header.bodyBytes = bodies.pointee.output.count
        header.dictionaryID = groups.usesDictionary ? self.dictionaryCompressor?.id ?? 0 : 0
        // The groups' chunk is the first one of the frame and the last one that is known.
        let (directoryCount, chunksCount) = (
            state.pointee.packer.directory.count, state.pointee.packer.chunks.count
        )
        state.pointee.packer.groups(groups)
        try state.pointee.packer.closeGroups(with: self.columnCompressor)
        header.envelopePlainBytes = state.pointee.packer.plainBytes
        header.envelopeBytes = state.pointee.packer.directory.count + state.pointee.packer.chunks.count
        guard
            header.envelopePlainBytes <= FrameFormat.maximumEnvelopeBytes,
            state.pointee.textBytes <= FrameFormat.maximumTextBytes
        else {
            throw StorageError(
                .limitExceeded,
                "the names and ids of one frame exceed \(FrameFormat.maximumTextBytes) bytes; "
                    + "append fewer events at once")
        }
        var content: [UInt8] = []
        content.reserveCapacity(header.envelopeBytes + header.bodyBytes)
        content.append(contentsOf: state.pointee.packer.directory.all[directoryCount...])
        content.append(contentsOf: state.pointee.packer.directory.all[..<directoryCount])
        content.append(contentsOf: state.pointee.packer.chunks.all[chunksCount...])
        content.append(contentsOf: state.pointee.packer.chunks.all[..<chunksCount])
        content.withUnsafeBytes { header.envelopeChecksum = XXH64.hash($0) }
        content.append(contentsOf: bodies.pointee.output.all)
        return content
    }

    /// Packs the envelope's columns, in the order of `FrameFormat.Chunk`, all but the groups' chunk.
    func packColumns(_ header: FrameHeader) throws(StorageError) {
        let state = self.state
        let compressor = self.columnCompressor
        try self.packTexts(state.pointee.types, .typeValues, .typeCodes)
        try self.packTexts(state.pointee.streams, .streamValues, .streamCodes)
        if header.hasPlacedRevisions {
            state.pointee.packer.revisions(state.pointee.revisions, streams: state.pointee.streams)
        }
        try state.pointee.packer.close(.revisions, with: compressor)
        if header.isSparse { state.pointee.packer.positions(state.pointee.positions) }
        try state.pointee.packer.close(.positions, with: compressor)
        state.pointee.packer.timestamps(
            state.pointee.timestamps, min: header.minTimestamp, max: header.maxTimestamp)
        try state.pointee.packer.close(.timestamps, with: compressor)
        state.pointee.packer.identifierShapes(
            state.pointee.ids, timestamps: state.pointee.timestamps.base, uses: nil, references: nil)
        try state.pointee.packer.close(.idShapes, with: compressor)
        state.pointee.packer.identifierBytes(state.pointee.ids)
        try state.pointee.packer.close(.idBytes, with: compressor)
        try self.packTexts(state.pointee.sources, .sourceValues, .sourceCodes)
        try self.packTexts(state.pointee.contentTypes, .contentTypeValues, .contentTypeCodes)
        try self.packTexts(state.pointee.tenants, .tenantValues, .tenantCodes)
        state.pointee.indexIDs()
        try self.packIdentifiers(
            state.pointee.correlations, .correlationShapes, .correlationBytes, .correlationCodes)
        try self.packIdentifiers(
            state.pointee.causations, .causationShapes, .causationBytes, .causationCodes)
        if state.pointee.schemaVersions.all.contains(where: { $0 != 1 }) {
            state.pointee.packer.numbers(state.pointee.schemaVersions)
        }
        try state.pointee.packer.close(.schemaVersions, with: compressor)
        state.pointee.packer.numbers(state.pointee.payloadLengths)
        try state.pointee.packer.close(.payloadLengths, with: compressor)
        state.pointee.packer.numbers(state.pointee.metadataLengths)
        try state.pointee.packer.close(.metadataLengths, with: compressor)
    }

    private func packTexts(
        _ interner: borrowing TextInterner, _ values: FrameFormat.Chunk, _ codes: FrameFormat.Chunk
    ) throws(StorageError) {
        self.state.pointee.packer.values(interner)
        try self.state.pointee.packer.close(values, with: self.columnCompressor)
        self.state.pointee.packer.codes(
            interner.codes, distinct: interner.distinctCount, hasNone: interner.hasNone)
        try self.state.pointee.packer.close(codes, with: self.columnCompressor)
    }

    private func packIdentifiers(
        _ interner: borrowing IdentifierInterner, _ shapes: FrameFormat.Chunk, _ bytes: FrameFormat.Chunk,
        _ codes: FrameFormat.Chunk
    ) throws(StorageError) {
        let state = self.state
        if !interner.isEmpty {
            state.pointee.packer.findReferences(
                interner, ids: state.pointee.ids, table: state.pointee.idTable)
            state.pointee.packer.distinct(interner.distinctCount, hasNone: interner.hasNone)
            state.pointee.packer.identifierShapes(
                interner.list, timestamps: state.pointee.timestamps.base,
                uses: interner.firstUses.base, references: state.pointee.packer.references.base)
        }
        try state.pointee.packer.close(shapes, with: self.columnCompressor)
        if !interner.isEmpty { state.pointee.packer.identifierBytes(interner.list) }
        try state.pointee.packer.close(bytes, with: self.columnCompressor)
        state.pointee.packer.codes(
            interner.codes, distinct: interner.distinctCount, hasNone: interner.hasNone)
        try state.pointee.packer.close(codes, with: self.columnCompressor)
    }

    // MARK: Groups

    /// Compresses metadata and payloads in groups into `output`.
    ///
    /// It touches nothing but the bodies, unless payloads are grouped by their types or consecutively.
    func packGroups() throws(StorageError) -> PackedGroups {
        let (state, bodies) = (self.state, self.bodies)
        if self.groupBytes > 0 { return try self.packConsecutiveGroups() }
        let groupOfType =
            self.groupsByType ? state.pointee.planGroups(self.groupThresholdBytes) : []
        let payloadGroups = Int(groupOfType.max() ?? 0) + 1
        var groups = PackedGroups()
        let isApart =
            payloadGroups > 1 || bodies.pointee.metadata.count >= FrameFormat.minimumMetadataGroupBytes
        groups.layout = isApart ? FrameFormat.Layout.apart : FrameFormat.Layout.together
        bodies.pointee.output.count = 0
        guard isApart else {
            bodies.pointee.regrouped.count = 0
            bodies.pointee.regrouped.append(bodies.pointee.metadata.bytes)
            bodies.pointee.regrouped.append(bodies.pointee.payloads.bytes)
            try self.packGroup(bodies.pointee.regrouped.bytes, &groups)
            return groups
        }
        try self.packGroup(bodies.pointee.metadata.bytes, &groups)
        guard payloadGroups > 1 else {
            try self.packGroup(bodies.pointee.payloads.bytes, &groups)
            return groups
        }
        let ends = state.pointee.regroup(groupOfType, count: payloadGroups)
        for group in 0..<payloadGroups {
            let start = group == 0 ? 0 : ends[group - 1]
            let bytes = UnsafeRawBufferPointer(
                rebasing: bodies.pointee.regrouped.bytes[start..<ends[group]])
            try self.packGroup(bytes, &groups)
        }
        groups.tail = groupOfType.map { UInt64($0) }
        groups.isCompressible = true
        return groups
    }

    /// Appends one group to `output`.
    func packGroup(
        _ bytes: UnsafeRawBufferPointer, _ groups: inout PackedGroups
    ) throws(StorageError) {
        let bodies = self.bodies
        let start = bodies.pointee.output.count
        let dictionary = bytes.count <= self.dictionaryLimitBytes ? self.dictionaryCompressor : nil
        let minimum =
            dictionary == nil
            ? FrameFormat.minimumCompressedGroupBytes
            : FrameFormat.minimumCompressedGroupBytesWithDictionary
        var codec = FrameFormat.GroupCodec.plain
        if bytes.count >= minimum {
            let compressor = dictionary?.compressor ?? self.bodyCompressor
            let stored = try compressor.append(bytes, to: &bodies.pointee.output)
            if stored < bytes.count {
                codec =
                    dictionary == nil ? FrameFormat.GroupCodec.zstd : FrameFormat.GroupCodec.dictionary
            } else {
                bodies.pointee.output.count = start
            }
        }
        if codec == FrameFormat.GroupCodec.plain { bodies.pointee.output.append(bytes) }
        let stored = UnsafeRawBufferPointer(
            rebasing: bodies.pointee.output.bytes[start..<bodies.pointee.output.count])
        groups.entries.append(
            PackedGroups.Entry(
                codec: codec, plainBytes: bytes.count, storedBytes: stored.count,
                checksum: XXH64.hash(stored)))
    }
}

/// What the envelope says of the groups in `BodyState.output`.
struct PackedGroups: Sendable {
    struct Entry: Sendable {
        var codec: UInt8
        var plainBytes: Int
        var storedBytes: Int
        var checksum: UInt64
    }

    /// One of `FrameFormat.Layout`.
    var layout = FrameFormat.Layout.together
    var entries: [Entry] = []
    /// What the layout needs besides: for each distinct type the group of its payloads, or for each group but
    /// the last how many events it has.
    var tail: [UInt64] = []
    /// Whether it may pay to compress what there is to know of them.
    var isCompressible = false

    var usesDictionary: Bool { self.entries.contains { $0.codec == FrameFormat.GroupCodec.dictionary } }
}

extension EncoderState {
    /// The bytes of all distinct texts.
    var textBytes: Int {
        self.types.bytes.count + self.streams.bytes.count + self.sources.bytes.count
            + self.contentTypes.bytes.count + self.tenants.bytes.count + self.ids.texts.count
            + self.correlations.list.texts.count + self.causations.list.texts.count
    }

    /// The smallest and the largest timestamp.
    var timestampRange: (Int64, Int64) {
        var (smallest, largest) = (Int64.max, Int64.min)
        for value in self.timestamps.all {
            smallest = min(smallest, value)
            largest = max(largest, value)
        }
        return (smallest, largest)
    }

    /// Makes the table that finds an event of the frame by its id, if any correlation or causation needs it.
    mutating func indexIDs() {
        if self.correlations.isEmpty, self.causations.isEmpty { return }
        let count = self.ids.entries.count
        self.idTable.prepare(count)
        for index in 0..<count {
            let hash = self.ids.hash(at: index)
            let finding = self.idTable.find(hash) { self.ids.matches(Int($0), self.ids, index) }
            if case .vacant(let slot) = finding {
                self.idTable.insert(UInt32(truncatingIfNeeded: index), hash: hash, at: slot)
            }
        }
    }

    /// For each distinct type the group of its payloads: small types share group 0, others have one each.
    func planGroups(_ threshold: Int) -> [UInt32] {
        var bytes = [Int](repeating: 0, count: self.types.distinctCount)
        for index in 0..<self.count {
            bytes[Int(self.types.codes[index]) - 1] += Int(self.payloadLengths[index])
        }
        var next: UInt32 = bytes.contains { $0 < threshold } ? 1 : 0
        return bytes.map { size in
            guard size >= threshold else { return 0 }
            next += 1
            return next - 1
        }
    }

    /// Copies the payloads so that those of a group stand together; gives where each group ends.
    mutating func regroup(_ groupOfType: [UInt32], count: Int) -> [Int] {
        var sizes = [Int](repeating: 0, count: count)
        for index in 0..<self.count {
            sizes[Int(groupOfType[Int(self.types.codes[index]) - 1])] += Int(self.payloadLengths[index])
        }
        var cursors: [Int] = []
        var total = 0
        for size in sizes {
            cursors.append(total)
            total += size
        }
        self.bodies.pointee.regrouped.resize(total)
        var source = 0
        for index in 0..<self.count {
            let group = Int(groupOfType[Int(self.types.codes[index]) - 1])
            let size = Int(self.payloadLengths[index])
            (UnsafeMutableRawPointer(self.bodies.pointee.regrouped.base) + cursors[group]).copyMemory(
                from: self.bodies.pointee.payloads.base + source, byteCount: size)
            cursors[group] += size
            source += size
        }
        return cursors
    }

    /// What the log's memory keeps of the frame.
    mutating func summary(_ header: FrameHeader) -> FrameSummary {
        let count = self.count
        self.typeCodes.resize(count)
        self.correlationHashes.resize(count)
        for index in 0..<count {
            self.typeCodes[index] = UInt16(truncatingIfNeeded: self.types.codes[index] &- 1)
            self.correlationHashes[index] =
                self.correlations.hashes[Int(self.correlations.codes[index])]
        }
        return FrameSummary(
            count: count, streams: self.streams.texts,
            streamCodes: Array(self.streams.codes.all), types: self.types.texts,
            typeCodes: Array(self.typeCodes.all), idHashes: Array(self.idHashes.all),
            correlationHashes: Array(self.correlationHashes.all), minTimestamp: header.minTimestamp,
            maxTimestamp: header.maxTimestamp,
            uncompressedBytes: header.envelopePlainBytes + header.bodyPlainBytes)
    }
}
