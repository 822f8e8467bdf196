/// The numbers of the frame format; `Docs/Format.md` describes it byte by byte.
///
/// A frame is `[header][revision table][directory][chunks][body groups]`. The directory and the chunks are
/// the envelope: what is known about the events, without their metadata and payloads. Each chunk is
/// compressed on its own, so that a reader unpacks only the columns that it looks at. Every number is
/// little-endian.
package enum FrameFormat {
    /// "TLFR", the first four bytes.
    static let magic: UInt32 = 0x5246_4c54
    /// The version that this code writes, and the only one it reads.
    static let version: UInt16 = 1
    /// The size of the header without the revision table.
    package static let headerBytes = 96
    /// The most events in one frame.
    package static let maximumEvents = 1 << 20
    /// The most distinct types in one frame.
    package static let maximumTypes = 65_535
    /// The longest type, stream, source, content type, tenant or textual id, in bytes of UTF-8.
    package static let maximumNameBytes = 255
    /// The most bytes of metadata and payloads that one frame takes.
    package static let maximumBodyBytes = 1 << 30
    /// The most bytes of an envelope, unpacked.
    package static let maximumEnvelopeBytes = 1 << 26
    /// The most bytes of the texts of one frame, each distinct text counted once a column.
    package static let maximumTextBytes = 1 << 26
    /// A chunk of the envelope below this size is never compressed.
    static let minimumCompressedChunkBytes = 256
    /// Metadata of this size in a frame are a group of their own, which is smaller and can be left alone.
    static let minimumMetadataGroupBytes = 2048
    /// A group below this size is never compressed, unless there is a dictionary.
    static let minimumCompressedGroupBytes = 512
    /// With a dictionary, even smaller groups are worth it.
    static let minimumCompressedGroupBytesWithDictionary = 48

    /// Where the fields of the header stand.
    enum Offset {
        static let magic = 0
        static let version = 4
        static let headerBytes = 6
        static let headerChecksum = 8
        static let firstPosition = 16
        static let lastPosition = 24
        static let count = 32
        static let flags = 36
        static let revisionWidth = 38
        static let codec = 39
        static let revisionCount = 40
        static let dictionaryID = 44
        static let minTimestamp = 48
        static let maxTimestamp = 56
        static let envelopeBytes = 64
        static let envelopePlainBytes = 68
        static let bodyBytes = 72
        static let bodyPlainBytes = 76
        static let groupCount = 80
        static let reserved = 84
        static let envelopeChecksum = 88
    }

    /// Bits of the header's flags; all others are zero.
    enum Flag {
        /// The positions are not consecutive: there is a chunk of gaps.
        static let sparse: UInt16 = 1
        /// The revisions stand in the envelope; there is no revision table.
        static let placedRevisions: UInt16 = 2
    }

    /// How the chunks and groups that say so are compressed; the header names it.
    static let codecZstd: UInt8 = 1

    /// The chunks of the envelope in the order in which they stand.
    enum Chunk: Int, CaseIterable {
        case groups
        case typeValues, typeCodes
        case streamValues, streamCodes
        case revisions, positions
        case timestamps
        case idShapes, idBytes
        case sourceValues, sourceCodes
        case contentTypeValues, contentTypeCodes
        case tenantValues, tenantCodes
        case correlationShapes, correlationBytes, correlationCodes
        case causationShapes, causationBytes, causationCodes
        case schemaVersions
        case payloadLengths, metadataLengths
    }

    /// How metadata and payloads are laid out.
    enum Layout {
        /// One group: the metadata of all events, then their payloads.
        static let together: UInt8 = 0
        /// The first group holds the metadata of all events, the others the payloads.
        static let apart: UInt8 = 1
        /// Each group holds the metadata and then the payloads of some consecutive events.
        static let consecutive: UInt8 = 2
    }

    /// How a group of metadata and payloads is kept.
    enum GroupCodec {
        /// As it is.
        static let plain: UInt8 = 0
        /// Compressed by zstd.
        static let zstd: UInt8 = 1
        /// Compressed by zstd with the dictionary that the header names.
        static let dictionary: UInt8 = 2
    }

    /// How an identifier in a list is kept.
    enum IdentifierTag {
        /// Sixteen bytes.
        static let uuid: UInt8 = 1
        /// A UUID of version 7: its milliseconds as a delta, its 74 other bits in planes.
        static let timeOrdered: UInt8 = 2
        /// The id of an event of this frame.
        static let reference: UInt8 = 3
        /// A text.
        static let text: UInt8 = 4
        /// Stands for "one tag per entry follows".
        static let mixed: UInt8 = 0
    }

    /// The units in which timestamps are counted, in nanoseconds.
    static let timestampUnits: [Int64] = [1, 1_000, 1_000_000, 1_000_000_000, 60_000_000_000]
}

/// The error for bytes that do not hold together, naming the frame that they belong to.
@inline(never)
func corruptedFrame(_ what: String, first: UInt64?, last: UInt64? = nil) -> StorageError {
    guard let first else { return StorageError(.corrupted, "a frame is damaged: \(what)") }
    var positions: Range<UInt64>?
    if first < .max {
        let last = last ?? first
        positions = first..<(last >= first && last < .max ? last + 1 : first + 1)
    }
    return StorageError(
        .corrupted, "the frame at position \(first) is damaged: \(what)", positions: positions)
}
