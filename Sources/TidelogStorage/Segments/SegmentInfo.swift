/// What the catalogue in the head keeps of a sealed segment, and what its file is checked against.
package struct SegmentInfo: Sendable, Hashable {
    /// The file's name in the directory of segments.
    package var fileName: String
    /// The positions that the segment covers; after compaction not each of them has an event.
    package var positions: Range<UInt64>
    /// The number of events kept.
    package var count: Int
    /// The earliest timestamp of an event in nanoseconds since 1970; 0 if there are no events.
    package var minTimestamp: Int64
    /// The latest timestamp of an event in nanoseconds since 1970; 0 if there are no events.
    package var maxTimestamp: Int64
    /// The exact length of the file.
    package var fileBytes: Int
    /// What its events take when nothing is compressed.
    package var uncompressedBytes: Int
    /// XXH64, seed 0, of the whole file.
    package var digest: UInt64
    /// XXH64 of the table of pages at the file's end.
    package var pagesDigest: UInt64
    /// The id of the zstd dictionary that its blocks need; 0 if they need none.
    package var dictionaryID: UInt32
    /// XXH64, seed 0, of that dictionary; 0 if there is none.
    package var dictionaryHash: UInt64
    /// How many times this range was written anew; 0 for the file that sealing wrote.
    package var generation: UInt32
    /// When the file was written, in nanoseconds since 1970.
    package var createdAt: Int64

    package init(
        fileName: String, positions: Range<UInt64>, count: Int, minTimestamp: Int64, maxTimestamp: Int64,
        fileBytes: Int, uncompressedBytes: Int, digest: UInt64, pagesDigest: UInt64, dictionaryID: UInt32,
        dictionaryHash: UInt64, generation: UInt32, createdAt: Int64
    ) {
        self.fileName = fileName
        self.positions = positions
        self.count = count
        self.minTimestamp = minTimestamp
        self.maxTimestamp = maxTimestamp
        self.fileBytes = fileBytes
        self.uncompressedBytes = uncompressedBytes
        self.digest = digest
        self.pagesDigest = pagesDigest
        self.dictionaryID = dictionaryID
        self.dictionaryHash = dictionaryHash
        self.generation = generation
        self.createdAt = createdAt
    }

    /// The name of the file of a segment: twenty digits of its first position, and `-N` from the first
    /// rewriting on.
    package static func fileName(firstPosition: UInt64, generation: UInt32) -> String {
        let digits = String(firstPosition)
        let padded = String(repeating: "0", count: 20 - digits.utf8.count) + digits
        return generation == 0 ? "\(padded).mdb" : "\(padded)-\(generation).mdb"
    }
}

extension SegmentInfo {
    /// The version of the record that `encode` writes.
    package static let recordVersion: UInt8 = 1

    /// The record as bytes; `Docs/Format.md` describes them.
    package func encode() -> [UInt8] {
        var writer = RecordWriter()
        writer.append(Self.recordVersion)
        writer.append(UInt8(0))
        writer.append(fixed: self.generation)
        writer.append(fixed: self.positions.lowerBound)
        writer.append(fixed: self.positions.upperBound)
        writer.append(fixed: UInt64(self.count))
        writer.append(fixed: self.minTimestamp)
        writer.append(fixed: self.maxTimestamp)
        writer.append(fixed: UInt64(self.fileBytes))
        writer.append(fixed: UInt64(self.uncompressedBytes))
        writer.append(fixed: self.digest)
        writer.append(fixed: self.dictionaryHash)
        writer.append(fixed: self.createdAt)
        writer.append(fixed: self.dictionaryID)
        writer.append(fixed: self.pagesDigest)
        return writer.bytes
    }

    /// Reads a record and checks that its parts agree with each other.
    ///
    /// - Throws: ``StorageError`` with code `unsupportedFormat` for a newer version, `corrupted` for what no
    ///   version writes.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(StorageError) {
        var reader = RecordReader(bytes)
        let version = reader.byte()
        guard !reader.hasFailed else {
            throw StorageError(.corrupted, "a segment's catalogue record is empty")
        }
        guard version == Self.recordVersion else {
            throw StorageError(
                version > Self.recordVersion ? .unsupportedFormat : .corrupted,
                "a segment's catalogue record has version \(version); this build reads version "
                    + "\(Self.recordVersion)")
        }
        let flags = reader.byte()
        self.generation = reader.fixed(UInt32.self)
        let lower = reader.fixed(UInt64.self)
        let upper = reader.fixed(UInt64.self)
        let count = reader.fixed(UInt64.self)
        self.minTimestamp = reader.fixed(Int64.self)
        self.maxTimestamp = reader.fixed(Int64.self)
        let fileBytes = reader.fixed(UInt64.self)
        let uncompressedBytes = reader.fixed(UInt64.self)
        self.digest = reader.fixed(UInt64.self)
        self.dictionaryHash = reader.fixed(UInt64.self)
        self.createdAt = reader.fixed(Int64.self)
        self.dictionaryID = reader.fixed(UInt32.self)
        self.pagesDigest = reader.fixed(UInt64.self)
        let limit = UInt64(1) << 62
        guard
            !reader.hasFailed, reader.remaining == 0, flags == 0, lower < upper, count <= upper - lower,
            self.minTimestamp <= self.maxTimestamp, fileBytes > 0, fileBytes < limit,
            uncompressedBytes < limit, count < limit, (self.dictionaryID == 0) == (self.dictionaryHash == 0)
        else {
            throw StorageError(
                .corrupted, "a segment's catalogue record does not hold together",
                positions: lower < upper ? lower..<upper : nil)
        }
        self.positions = lower..<upper
        self.count = Int(count)
        self.fileBytes = Int(fileBytes)
        self.uncompressedBytes = Int(uncompressedBytes)
        self.fileName = Self.fileName(firstPosition: lower, generation: self.generation)
    }

    /// Reads a record from an array; see `init(decoding:)` for what is checked.
    package static func decode(_ bytes: [UInt8]) throws(StorageError) -> SegmentInfo {
        var result: Result<SegmentInfo, StorageError>?
        bytes.withUnsafeBytes { raw in
            do throws(StorageError) { result = .success(try SegmentInfo(decoding: raw)) } catch {
                result = .failure(error)
            }
        }
        guard let result else { throw StorageError(.corrupted, "a segment's catalogue record is empty") }
        return try result.get()
    }
}
