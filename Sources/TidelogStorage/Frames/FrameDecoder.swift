/// Reads frames: holds one at a time, lends its columns and bytes, and makes owned records of its events.
///
/// `load` checks the envelope and unpacks the parts that are asked for; metadata and payloads are
/// decompressed, group by group, at the first use. The frame's bytes are copied, so that they may vanish
/// once `load` has returned, unless the caller says that they stay. Memory is reused from frame to frame, and
/// nothing is allocated per event as long as no owned values are asked for. Not for several threads at once.
///
/// Accessors of parts that were not asked for end the process: that is a mistake in the program. Everything
/// that a damaged frame can cause is thrown by `load` and `require`, and by what unpacks a group.
package final class FrameDecoder {
    let state: UnsafeMutablePointer<DecoderState>
    private let maximumUncompressedBytes: Int

    /// Creates a decoder.
    ///
    /// - Parameter maximumUncompressedBytes: the most metadata and payload bytes that a frame may claim.
    package init(maximumUncompressedBytes: Int = 64 << 20) {
        self.maximumUncompressedBytes = maximumUncompressedBytes
        self.state = .allocate(capacity: 1)
        self.state.initialize(to: DecoderState())
    }

    deinit {
        self.state.deinitialize(count: 1)
        self.state.deallocate()
    }

    /// Loads a frame in place of the one before.
    ///
    /// - Parameters:
    ///   - bytes: exactly the frame.
    ///   - expectedFirstPosition: where the frame was found, if known.
    ///   - copies: whether the bytes are copied. Otherwise they must stay until the next load, and 32 bytes
    ///     behind them must be readable, though they are never believed.
    ///   - verifyBody: whether the checksums of metadata and payloads are checked now; otherwise each group's
    ///     is checked before the group is decompressed.
    ///   - withBodies: whether metadata and payloads are taken over at all. Without them only the envelope is
    ///     read, even from memory.
    ///   - parts: what to unpack now; ``require(_:)`` unpacks more.
    ///   - dictionary: gives the dictionary with an id; asked only if the frame needs one.
    /// - Throws: ``StorageError`` with code `corrupted` or `unsupportedFormat`, or what `dictionary` throws;
    ///   no frame is loaded then.
    package func load(
        _ bytes: UnsafeRawBufferPointer, expectedFirstPosition: UInt64?, copies: Bool = true,
        verifyBody: Bool = true, withBodies: Bool = true, parts: FrameParts = .all,
        dictionary: (UInt32) throws(StorageError) -> CompressionDictionary
    ) throws(StorageError) {
        let state = self.state
        state.pointee.unload()
        do {
            let header = try FrameHeader.parse(bytes, expectedFirstPosition: expectedFirstPosition)
            try state.pointee.load(
                bytes, header: header, withBodies: withBodies, copies: copies,
                maximumBodyBytes: self.maximumUncompressedBytes)
            if withBodies {
                if verifyBody { try state.pointee.verifyGroups() }
                if header.dictionaryID != 0 {
                    state.pointee.dictionary = try dictionary(header.dictionaryID)
                }
            }
            try state.pointee.require(parts)
        } catch {
            state.pointee.unload()
            throw error
        }
    }

    /// Forgets the frame, and where its bytes stand.
    func unload() { self.state.pointee.unload() }

    /// Whether `parts` are unpacked.
    func has(_ parts: FrameParts) -> Bool { self.state.pointee.parts.isSuperset(of: parts) }

    /// Unpacks further parts of the loaded frame.
    ///
    /// - Throws: ``StorageError`` with code `corrupted`.
    package func require(_ parts: FrameParts) throws(StorageError) {
        if !self.state.pointee.parts.isSuperset(of: parts) { try self.state.pointee.require(parts) }
    }

    /// The header of the loaded frame.
    package var header: FrameHeader { self.state.pointee.header }

    /// How many events are loaded; 0 if no frame is.
    package var count: Int { self.state.pointee.count }

    /// How many groups were decompressed since the decoder was made.
    package var unpackedGroupCount: Int { self.state.pointee.unpackedGroups }

    // MARK: Per event

    @inline(__always)
    func check(_ index: Int, _ parts: FrameParts) {
        precondition(
            index >= 0 && index < self.state.pointee.count && self.state.pointee.parts.isSuperset(of: parts),
            "the event is in the frame, and the part was asked for")
    }

    /// The event's place in the log.
    package func position(_ index: Int) -> UInt64 {
        self.check(index, [])
        return self.state.pointee.header.isSparse
            ? self.state.pointee.positions.base[index]
            : self.state.pointee.header.firstPosition &+ UInt64(truncatingIfNeeded: index)
    }

    /// The event's place in its stream; nil if it has none.
    package func revision(_ index: Int) -> UInt64? {
        self.check(index, .revisions)
        let streams = self.state.pointee.columns + FrameColumn.stream.rawValue
        if streams.pointee.codes[index] == 0 { return nil }
        return self.state.pointee.revisions[index]
    }

    /// When the event happened, in nanoseconds since 1970.
    package func timestamp(_ index: Int) -> Int64 {
        self.check(index, .timestamps)
        return self.state.pointee.timestamps.base[index]
    }

    /// The event's id.
    package func id(_ index: Int) -> Identifier {
        self.check(index, .ids)
        return self.state.pointee.ids.pointee.identifier(index)
    }

    /// `Identifier.hash64` of the event's id.
    package func idHash(_ index: Int) -> UInt64 {
        self.check(index, .ids)
        return self.state.pointee.ids.pointee.hash(index)
    }

    /// The version of the payload's schema.
    package func schemaVersion(_ index: Int) -> UInt32 {
        self.check(index, .schemaVersions)
        return self.state.pointee.schemaVersions[index]
    }

    /// The index of the first event at `position` or after it; ``count`` if there is none.
    package func firstIndex(atOrAfterPosition position: UInt64) -> Int {
        let header = self.state.pointee.header
        let count = self.count
        if count == 0 || position > header.lastPosition { return count }
        if position <= header.firstPosition { return 0 }
        if !header.isSparse { return Int(position - header.firstPosition) }
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if self.state.pointee.positions[middle] < position { low = middle + 1 } else { high = middle }
        }
        return low
    }

    // MARK: Columns

    /// How many codes a column has: 0 stands for "none", whether an event has none or not, and 1, 2, 3, …
    /// for the distinct values in the order of their first events.
    package func distinctCount(_ column: FrameColumn) -> Int {
        self.column(column).pointee.distinctCount + 1
    }

    /// The text that a code stands for; nil for 0. Strings are made once per frame.
    package func distinctText(_ column: FrameColumn, _ code: Int) -> String? {
        let decoded = self.column(column)
        precondition(
            !column.holdsIdentifiers && code >= 0 && code <= decoded.pointee.distinctCount,
            "a code of a column of texts")
        return code == 0 ? nil : decoded.pointee.texts.string(code - 1)
    }

    /// Whether strings were made of a column's texts.
    package func hasStrings(_ column: FrameColumn) -> Bool {
        !self.column(column).pointee.texts.strings.isEmpty
    }

    /// Makes the strings of all texts of a column.
    package func makeStrings(_ column: FrameColumn) {
        for code in 1..<self.distinctCount(column) { _ = self.distinctText(column, code) }
    }

    /// The UTF-8 that a code stands for, without making a string; nil for 0.
    package func withDistinctText<Result: ~Copyable, Failure: Error>(
        _ column: FrameColumn, _ code: Int,
        _ body: (UnsafeRawBufferPointer?) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let decoded = self.column(column)
        precondition(
            !column.holdsIdentifiers && code >= 0 && code <= decoded.pointee.distinctCount,
            "a code of a column of texts")
        return try body(code == 0 ? nil : decoded.pointee.texts.utf8(code - 1))
    }

    /// The identifier that a code stands for; nil for 0.
    package func distinctIdentifier(_ column: FrameColumn, _ code: Int) -> Identifier? {
        let decoded = self.column(column)
        precondition(
            column.holdsIdentifiers && code >= 0 && code <= decoded.pointee.distinctCount,
            "a code of a column of identifiers")
        return code == 0 ? nil : self.state.pointee.identifiers(of: column).pointee.identifier(code - 1)
    }

    /// The code of an event's value.
    package func code(_ column: FrameColumn, _ index: Int) -> Int {
        self.check(index, .column(column))
        return Int((self.state.pointee.columns + column.rawValue).pointee.codes[index])
    }

    /// Lends the codes of all events.
    package func withCodes<Result: ~Copyable, Failure: Error>(
        _ column: FrameColumn, _ body: (UnsafeBufferPointer<UInt32>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(self.column(column).pointee.codes.all)
    }

    private func column(_ column: FrameColumn) -> UnsafeMutablePointer<DecodedColumn> {
        precondition(
            self.count > 0 && self.state.pointee.parts.isSuperset(of: .column(column)),
            "a frame is loaded, and the column was asked for")
        return self.state.pointee.columns + column.rawValue
    }
}
