import Glibc

extension Files {
    /// The bytes that an unprivileged process may still write on the file system of `path`.
    package static func freeBytes(_ path: String) throws(StorageError) -> Int {
        var status = statvfs()
        try retrying("asking for free space", path: path) { statvfs(path, &status) }
        let bytes = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
        return bytes.overflow ? Int.max : Int(clamping: bytes.partialValue)
    }

    /// Refuses a path on a file system where a mapped file may show stale bytes or locks may not hold.
    ///
    /// - Parameter allowingUserSpace: whether a file system in user space (FUSE, virtiofs) is let pass.
    /// - Throws: ``StorageError`` with code `unsupportedFormat` that names the file system.
    package static func refuseNetworkFileSystem(
        _ path: String, allowingUserSpace: Bool = false
    ) throws(StorageError) {
        try Self.refuse(
            fileSystemType: try SystemCalls.fileSystemType(path), path: path,
            allowingUserSpace: allowingUserSpace)
    }

    /// Refuses an open file on such a file system.
    static func refuseNetworkFileSystem(
        descriptor: Int32, path: String, allowingUserSpace: Bool
    ) throws(StorageError) {
        try Self.refuse(
            fileSystemType: try SystemCalls.fileSystemType(descriptor: descriptor, path: path), path: path,
            allowingUserSpace: allowingUserSpace)
    }

    /// The decision itself, on the number that `statfs(2)` gives as the type.
    static func refuse(
        fileSystemType: UInt32, path: String, allowingUserSpace: Bool
    ) throws(StorageError) {
        let name: String
        if let network = Self.networkFileSystems[fileSystemType] {
            name = network
        } else if fileSystemType == Self.userSpaceFileSystem && !allowingUserSpace {
            name = "FUSE"
        } else {
            return
        }
        throw StorageError(
            .unsupportedFormat,
            "the path is on \(name), where memory-mapped files and locks are not dependable; "
                + "choose a local disk", path: path)
    }

    static let userSpaceFileSystem: UInt32 = 0x6573_5546

    /// Numbers from linux/magic.h and the file systems' own sources.
    static let networkFileSystems: [UInt32: String] = [
        0x0000_6969: "NFS",
        0x0000_517B: "SMB",
        0xFF53_4D42: "CIFS",
        0xFE53_4D42: "SMB2",
        0x0102_1997: "9P",
        0x5346_414F: "AFS",
        0x6B41_4653: "AFS",
        0x7375_7245: "Coda",
        0x0000_564C: "NCP",
        0x00C3_6400: "Ceph",
        0x0116_1970: "GFS2",
        0x7461_636F: "OCFS2",
        0x0BD0_0BD0: "Lustre",
        0x4750_4653: "GPFS",
        0x1983_0326: "BeeGFS",
        0x786F_4256: "a VirtualBox shared folder",
        0xBACB_ACBC: "a VMware shared folder",
    ]
}
