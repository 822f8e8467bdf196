import Glibc

extension Segment {
    /// Opens a sealed segment and checks that it is a regular file and no symbolic link, that it has the
    /// length that the catalogue keeps and a table of pages with the digest that the catalogue keeps, and that
    /// it says of itself what the catalogue says. Each page is checked against the table before it is looked
    /// at, and each frame against its own checksums.
    ///
    /// - Parameters:
    ///   - directory: where segments are kept.
    ///   - info: the catalogue's record.
    ///   - logID: the two halves of the log's UUID; nil if a segment of any log will do.
    /// - Throws: ``StorageError`` that names the file, with code `notFound`, `permission` (also for a
    ///   symbolic link), `corrupted`, or `unsupportedFormat` (also for what is no regular file).
    /// - Complexity: some pages are read: the table (a five hundredth of the file), the directory of blocks,
    ///   the dictionary.
    package static func open(
        directory: String, info: SegmentInfo, logID: (UInt64, UInt64)? = nil
    ) throws(StorageError) -> Segment {
        let path = "\(directory)/\(info.fileName)"
        let descriptor = try Files.openReadOnlyNoFollow(path)
        let status = try Files.status(descriptor: descriptor.number, path: path)
        let size = status.size
        guard size == info.fileBytes else {
            throw StorageError(
                .corrupted,
                "the segment's file has \(size) bytes and the catalogue says \(info.fileBytes): it was cut, "
                    + "lengthened or replaced; restore it from a backup", path: path,
                positions: info.positions)
        }
        let file: SegmentReader
        let meta: SegmentMeta
        do throws(StorageError) {
            let pages = try SegmentPages(
                path: path, descriptor: descriptor, fileBytes: size, expected: info.pagesDigest)
            file = try SegmentReader(pages)
            meta = try file.segmentMeta()
        } catch {
            throw StorageError(
                error.code, error.message, number: error.number, path: path, positions: info.positions)
        }
        guard meta.logID == logID ?? meta.logID else {
            throw StorageError(
                .corrupted, "the segment belongs to another log", path: path, positions: info.positions)
        }
        let stated = SegmentInfo(
            meta, fileBytes: size, digest: info.digest, pagesDigest: info.pagesDigest)
        guard stated == info else {
            throw StorageError(
                .corrupted, "the segment says of itself something else than the catalogue", path: path,
                positions: info.positions)
        }
        return try Segment(info: info, meta: meta, file: file)
    }

    /// Opens a file that no catalogue knows, to make the catalogue's record anew.
    ///
    /// There is no digest from elsewhere to check it against: believe the result only after
    /// ``verify(deep:)`` has found nothing.
    ///
    /// - Throws: as ``open(directory:info:logID:)``.
    package static func openUnknown(
        directory: String, fileName: String, logID: (UInt64, UInt64)? = nil
    ) throws(StorageError) -> Segment {
        let path = "\(directory)/\(fileName)"
        let descriptor = try Files.openReadOnlyNoFollow(path)
        let status = try Files.status(descriptor: descriptor.number, path: path)
        let size = status.size
        let digest = try Files.digest(descriptor: descriptor.number, length: size, path: path)
        let pages = try SegmentPages(path: path, descriptor: descriptor, fileBytes: size, expected: nil)
        let file = try SegmentReader(pages)
        let meta = try file.segmentMeta()
        guard meta.logID == logID ?? meta.logID else {
            throw StorageError(.corrupted, "the segment belongs to another log", path: path)
        }
        let info = SegmentInfo(
            meta, fileBytes: size, digest: digest, pagesDigest: pages.tableDigest)
        guard info.fileName == fileName else {
            throw StorageError(
                .corrupted, "the segment's file should be called \(info.fileName)", path: path,
                positions: info.positions)
        }
        return try Segment(info: info, meta: meta, file: file)
    }
}
