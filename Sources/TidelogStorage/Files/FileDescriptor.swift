import Glibc

/// An open file that is closed with the last of it: nobody closes it twice or forgets to.
package struct FileDescriptor: ~Copyable, Sendable {
    /// The number, valid as long as this value lives.
    package let number: Int32

    /// Takes over `number`, which must be open and nobody else's.
    package init(owning number: Int32) {
        self.number = number
    }

    deinit {
        _ = Glibc.close(self.number)
    }
}

/// What identifies a file while it is open, whatever its name: device and inode.
package struct FileIdentity: Hashable, Sendable {
    package let device: UInt64
    package let inode: UInt64

    init(_ status: stat) {
        self.device = UInt64(truncatingIfNeeded: status.st_dev)
        self.inode = UInt64(truncatingIfNeeded: status.st_ino)
    }
}

/// What stands under a name; a symbolic link is not followed.
package enum FileKind: Hashable, Sendable {
    case file, directory, symbolicLink, other

    init(mode: mode_t) {
        switch mode & mode_t(S_IFMT) {
        case mode_t(S_IFREG): self = .file
        case mode_t(S_IFDIR): self = .directory
        case mode_t(S_IFLNK): self = .symbolicLink
        default: self = .other
        }
    }
}

/// What the system says about an open file.
package struct FileStatus: Hashable, Sendable {
    package let kind: FileKind
    package let identity: FileIdentity
    /// The length in bytes.
    package let size: Int
    /// The bytes that it takes on the disk.
    package let allocatedBytes: Int
    /// The permission bits.
    package let mode: UInt32

    init(_ status: stat) {
        self.kind = FileKind(mode: status.st_mode)
        self.identity = FileIdentity(status)
        self.size = Int(status.st_size)
        self.allocatedBytes = Int(status.st_blocks) * 512
        self.mode = UInt32(status.st_mode) & 0o7777
    }
}
