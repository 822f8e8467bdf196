import Glibc

extension Segment {
    /// Opens a sealed segment and checks its file before LMDB sees it: that it is a regular file and no
    /// symbolic link, that it has the length and the digest that the catalogue keeps, and then that it says
    /// of itself what the catalogue says. LMDB is given the descriptor that was checked, so nothing can come
    /// in between.
    ///
    /// A file that the process has open already is shared and not checked again.
    ///
    /// - Parameters:
    ///   - directory: where segments are kept.
    ///   - info: the catalogue's record.
    ///   - logID: the two halves of the log's UUID; nil if a segment of any log will do.
    /// - Throws: ``StorageError`` that names the file, with code `notFound`, `permission` (also for a
    ///   symbolic link), `corrupted`, or `unsupportedFormat` (also for what is no regular file).
    /// - Complexity: O(*n*) in the length of the file, which is read once.
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
        let digest = try Self.digest(descriptor, status, path)
        guard digest == info.digest else {
            throw StorageError(
                .corrupted,
                "the segment's file does not have the digest that the catalogue keeps: it was damaged or "
                    + "replaced; run `tidelog verify`, then restore a backup or run `tidelog repair`",
                path: path,
                positions: info.positions)
        }
        let file = try SegmentReader(path: path, descriptor: descriptor, status: status, digest: digest)
        let meta = try file.segmentMeta()
        guard meta.logID == logID ?? meta.logID else {
            throw StorageError(
                .corrupted, "the segment belongs to another log", path: path, positions: info.positions)
        }
        guard SegmentInfo(meta, fileBytes: size, digest: digest) == info else {
            throw StorageError(
                .corrupted, "the segment says of itself something else than the catalogue", path: path,
                positions: info.positions)
        }
        return try Segment(info: info, meta: meta, file: file)
    }

    /// Opens a file that no catalogue knows, to make the catalogue's record anew.
    ///
    /// There is no digest to check it against, so a damaged page may end the process: use this in a child
    /// process, and believe the result only after ``verify(deep:)`` has found nothing.
    ///
    /// - Throws: as ``open(directory:info:logID:)``.
    package static func openUnknown(
        directory: String, fileName: String, logID: (UInt64, UInt64)? = nil
    ) throws(StorageError) -> Segment {
        let path = "\(directory)/\(fileName)"
        let descriptor = try Files.openReadOnlyNoFollow(path)
        let status = try Files.status(descriptor: descriptor.number, path: path)
        let size = status.size
        let digest = try Self.digest(descriptor, status, path)
        let file = try SegmentReader(path: path, descriptor: descriptor, status: status, digest: digest)
        let meta = try file.segmentMeta()
        guard meta.logID == logID ?? meta.logID else {
            throw StorageError(.corrupted, "the segment belongs to another log", path: path)
        }
        let info = SegmentInfo(meta, fileBytes: size, digest: digest)
        guard info.fileName == fileName else {
            throw StorageError(
                .corrupted, "the segment's file should be called \(info.fileName)", path: path,
                positions: info.positions)
        }
        return try Segment(info: info, meta: meta, file: file)
    }

    private static func digest(
        _ descriptor: borrowing FileDescriptor, _ status: FileStatus, _ path: String
    ) throws(StorageError) -> UInt64 {
        if let known = SegmentMapping.digest(of: status.identity) { return known }
        return try Files.digest(descriptor: descriptor.number, length: status.size, path: path)
    }
}
