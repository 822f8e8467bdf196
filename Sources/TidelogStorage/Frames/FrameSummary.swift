/// What the log's memory of recent events keeps of a frame: streams, types and hashed ids, event by event.
package struct FrameSummary: Sendable, Hashable {
    /// How many events the frame holds.
    package let count: Int
    /// The distinct streams in the order of their first events.
    package let streams: [String]
    /// For each event 0 if it has no stream, else *k* for `streams[k - 1]`.
    package let streamCodes: [UInt32]
    /// The distinct types in the order of their first events.
    package let types: [String]
    /// For each event the index of its type in `types`.
    package let typeCodes: [UInt16]
    /// For each event `Identifier.hash64` of its id.
    package let idHashes: [UInt64]
    /// For each event `Identifier.hash64` of its correlation id, or 0 if it has none.
    package let correlationHashes: [UInt64]
    /// The smallest timestamp.
    package let minTimestamp: Int64
    /// The largest timestamp.
    package let maxTimestamp: Int64
    /// The size of the events, unpacked: envelope, metadata and payloads.
    package let uncompressedBytes: Int
}

/// A frame that is complete but for its place in the log.
///
/// It is made and compressed on the caller's thread; the writer, who alone knows the place, completes it with
/// ``write(firstPosition:baseRevisions:into:)``. Everything behind the revision table is the same wherever
/// the frame comes to stand.
package struct FrameDraft: Sendable {
    /// What the frame holds.
    package let summary: FrameSummary
    /// The header, but for positions and revision table.
    let header: FrameHeader
    /// Directory, chunks and groups.
    let content: [UInt8]

    /// The size of the frame.
    ///
    /// - Parameter baseRevisions: for each of `summary.streams` the revision of its first event here.
    package func byteCount(baseRevisions: [UInt64]) -> Int {
        FrameFormat.headerBytes + Self.width(of: baseRevisions) * baseRevisions.count + self.content.count
    }

    /// Writes the complete frame.
    ///
    /// - Parameters:
    ///   - firstPosition: the position of the first event; the others follow without gaps.
    ///   - baseRevisions: for each of `summary.streams` the revision of its first event here; the stream's
    ///     other events follow without gaps.
    ///   - target: exactly ``byteCount(baseRevisions:)`` bytes.
    package func write(
        firstPosition: UInt64, baseRevisions: [UInt64], into target: UnsafeMutableRawBufferPointer
    ) {
        precondition(baseRevisions.count == self.summary.streams.count, "one base revision per stream")
        precondition(target.count == self.byteCount(baseRevisions: baseRevisions), "exactly the frame's size")
        guard let start = target.baseAddress else { return }
        var header = self.header
        header.firstPosition = firstPosition
        header.lastPosition = firstPosition + UInt64(header.count - 1)
        header.revisionCount = baseRevisions.count
        header.revisionWidth = Self.width(of: baseRevisions)
        header.write(to: start)
        Self.write(baseRevisions, width: header.revisionWidth, to: start + FrameFormat.headerBytes)
        let prefix = UnsafeRawBufferPointer(start: start, count: header.prefixBytes)
        start.store(FrameHeader.checksum(prefix), at: FrameFormat.Offset.headerChecksum)
        self.content.withUnsafeBytes { content in
            UnsafeMutableRawBufferPointer(rebasing: target[header.prefixBytes...]).copyMemory(from: content)
        }
    }

    /// The bytes that the largest of `revisions` needs.
    private static func width(of revisions: [UInt64]) -> Int {
        var union: UInt64 = 0
        for revision in revisions { union |= revision }
        if union == 0 { return 0 }
        if union <= 0xff { return 1 }
        if union <= 0xffff { return 2 }
        return union <= 0xffff_ffff ? 4 : 8
    }

    private static func write(_ revisions: [UInt64], width: Int, to start: UnsafeMutableRawPointer) {
        switch width {
        case 1:
            for index in revisions.indices {
                start.store(UInt8(truncatingIfNeeded: revisions[index]), at: index)
            }
        case 2:
            for index in revisions.indices {
                start.store(UInt16(truncatingIfNeeded: revisions[index]), at: index &* 2)
            }
        case 4:
            for index in revisions.indices {
                start.store(UInt32(truncatingIfNeeded: revisions[index]), at: index &* 4)
            }
        case 8:
            for index in revisions.indices { start.store(revisions[index], at: index &* 8) }
        default:
            break
        }
    }
}
