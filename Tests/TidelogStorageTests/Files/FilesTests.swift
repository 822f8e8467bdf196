import Glibc
import Testing

@testable import TidelogStorage

@Suite("Files")
struct FilesTests {
    let directory = ScratchDirectory()

    @Test("a directory is created once, with the mode asked for, and found the second time")
    func createDirectory() throws {
        let path = self.directory.file("new")
        #expect(try Files.createDirectory(path))
        #expect(try !Files.createDirectory(path))
        #expect(try Files.status(path).mode == 0o700)
        #expect(try Files.kind(path) == .directory)
    }

    @Test("no directory is created where a file or a symbolic link stands, or below nothing")
    func createDirectoryRefused() throws {
        try Files.writeAtomically([1], to: self.directory.file("file"))
        expectError(.alreadyExists) { try Files.createDirectory(self.directory.file("file")) }
        #expect(symlink(self.directory.path, self.directory.file("link")) == 0)
        expectError(.permission) { try Files.createDirectory(self.directory.file("link")) }
        let error = expectError(.notFound) { try Files.createDirectory(self.directory.file("no/where")) }
        #expect(error?.number == ENOENT)
        #expect(error?.path == self.directory.file("no/where"))
    }

    @Test("a symbolic link is neither opened, read, listed through nor locked")
    func symbolicLinks() throws {
        let victim = self.directory.file("victim")
        let link = self.directory.file("link")
        try Files.writeAtomically([1, 2, 3], to: victim)
        #expect(symlink(victim, link) == 0)
        let error = expectError(.permission) { _ = try Files.openReadOnlyNoFollow(link) }
        #expect(error?.number == ELOOP)
        #expect(error?.message.contains("symbolic link") == true)
        expectError(.permission) { _ = try Files.contents(link) }
        expectError(.permission) { _ = try FileLock(link, .exclusive) }
        #expect(symlink(self.directory.path, self.directory.file("directory-link")) == 0)
        #expect(throws: StorageError.self) { try Files.list(self.directory.file("directory-link")) }
        #expect(try Files.kind(link) == .symbolicLink)
        #expect(try Files.exists(link))
        #expect(try Files.contents(victim) == [1, 2, 3])
    }

    @Test("a pipe or a directory where a file should be is refused without waiting for anybody")
    func notAFile() throws {
        #expect(mkfifo(self.directory.file("pipe"), 0o600) == 0)
        expectError(.unsupportedFormat) { _ = try Files.openReadOnlyNoFollow(self.directory.file("pipe")) }
        expectError(.unsupportedFormat) { _ = try Files.openReadOnlyNoFollow(self.directory.path) }
        #expect(try Files.kind(self.directory.file("pipe")) == .other)
    }

    @Test("an atomic write replaces the whole file and leaves no temporary one")
    func writeAtomically() throws {
        let path = self.directory.file("a")
        try Files.writeAtomically(Array(repeating: 7, count: 10_000), to: path)
        try Files.writeAtomically([1, 2], to: path)
        #expect(try Files.contents(path) == [1, 2])
        #expect(try Files.status(path).mode == 0o600)
        #expect(try Files.list(self.directory.path) == ["a"])
    }

    @Test("an atomic write that finds a link as its temporary file replaces the link, not its target")
    func writeAtomicallyOverLink() throws {
        try Files.writeAtomically([9], to: self.directory.file("victim"))
        #expect(symlink(self.directory.file("victim"), self.directory.file("a.tmp")) == 0)
        try Files.writeAtomically([1], to: self.directory.file("a"))
        #expect(try Files.contents(self.directory.file("victim")) == [9])
        #expect(try Files.contents(self.directory.file("a")) == [1])
    }

    @Test("a write to a full device is a full disk, with the system's number")
    func fullDevice() throws {
        let number = open("/dev/full", O_WRONLY)
        let descriptor = FileDescriptor(owning: number)
        let error = expectError(.diskFull) {
            try [UInt8](repeating: 0, count: 4096).span.bytes.withUnsafeBytes { bytes throws(StorageError) in
                try Files.write(descriptor: descriptor.number, bytes, path: "/dev/full")
            }
        }
        #expect(error?.number == ENOSPC)
        #expect(error?.path == "/dev/full")
    }

    @Test("contents over the size expected at most are refused")
    func contentsBounded() throws {
        try Files.writeAtomically([1, 2, 3], to: self.directory.file("a"))
        expectError(.limitExceeded) {
            _ = try Files.contents(self.directory.file("a"), maximumBytes: 2)
        }
    }

    @Test("a digest equals the hash of the bytes, over the border of its pieces, and a short file is refused")
    func digest() throws {
        let bytes = (0..<2_500_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        try Files.writeAtomically(bytes, to: self.directory.file("a"))
        let descriptor = try Files.openReadOnlyNoFollow(self.directory.file("a"))
        for length in [0, 1, 1 << 20, 1 << 20 + 1, bytes.count] {
            #expect(
                try Files.digest(descriptor: descriptor.number, length: length)
                    == bytes[..<length].withUnsafeBytes { XXH64.hash($0) })
        }
        expectError(.corrupted) {
            _ = try Files.digest(descriptor: descriptor.number, length: bytes.count + 1, path: "a")
        }
    }

    @Test("a preallocated file has its length and its blocks, and keeps its contents")
    func preallocate() throws {
        let path = self.directory.file("a")
        try Files.writeAtomically([5], to: path)
        let descriptor = try Files.open(path, flags: O_RDWR)
        try Files.preallocate(descriptor: descriptor.number, offset: 0, length: 1 << 20, path: path)
        #expect(try Files.size(path) == 1 << 20)
        #expect(try Files.status(path).allocatedBytes >= 1 << 20)
        #expect(try Files.contents(path).first == 5)
        try Files.truncate(descriptor: descriptor.number, length: 3)
        #expect(try Files.contents(path) == [5, 0, 0])
    }

    @Test("a preallocation beyond every disk is a full disk, and leaves the length alone")
    func preallocateTooMuch() throws {
        let descriptor = try Files.open(self.directory.file("a"), flags: O_RDWR | O_CREAT)
        expectError(.diskFull) {
            try Files.preallocate(descriptor: descriptor.number, offset: 0, length: 1 << 60)
        }
        #expect(try Files.status(descriptor: descriptor.number).size == 0)
    }

    @Test("names are listed in order, renamed and removed; a missing one is an error unless said")
    func names() throws {
        for name in ["b", "a", "c"] { try Files.writeAtomically([], to: self.directory.file(name)) }
        try Files.rename(self.directory.file("c"), to: self.directory.file("a"))
        #expect(try Files.list(self.directory.path) == ["a", "b"])
        #expect(try Files.unlink(self.directory.file("a")))
        #expect(try !Files.unlink(self.directory.file("a"), ignoringMissing: true))
        expectError(.notFound) { try Files.unlink(self.directory.file("a")) }
        expectError(.notFound) {
            try Files.rename(self.directory.file("a"), to: self.directory.file("b"))
        }
        try Files.syncDirectory(self.directory.path)
        #expect(try Files.list(self.directory.path) == ["b"])
    }

    @Test("the directory of a path is what stands before its last slash")
    func directoryOf() {
        #expect(Files.directory(of: "/a/b/c") == "/a/b")
        #expect(Files.directory(of: "/a") == "/")
        #expect(Files.directory(of: "a") == ".")
    }

    @Test("file systems of a network are refused by name, and a local disk is not")
    func networkFileSystems() throws {
        for (type, name) in Files.networkFileSystems {
            let error = expectError(.unsupportedFormat) {
                try Files.refuse(fileSystemType: type, path: "/mnt", allowingUserSpace: true)
            }
            #expect(error?.message.contains(name) == true)
        }
        expectError(.unsupportedFormat) {
            try Files.refuse(
                fileSystemType: Files.userSpaceFileSystem, path: "/mnt", allowingUserSpace: false)
        }
        try Files.refuse(fileSystemType: Files.userSpaceFileSystem, path: "/mnt", allowingUserSpace: true)
        for local: UInt32 in [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0x794C_7630, 0x2FC1_2FC1] {
            try Files.refuse(fileSystemType: local, path: "/", allowingUserSpace: false)
        }
        try Files.refuseNetworkFileSystem("/proc")
        expectError(.notFound) { try Files.refuseNetworkFileSystem(self.directory.file("none")) }
    }

    @Test("free space is told, and some is there")
    func freeBytes() throws {
        #expect(try Files.freeBytes(self.directory.path) > 0)
    }

    @Test(
        "each number of the system has its code",
        arguments: [
            (ENOSPC, .diskFull), (EDQUOT, .diskFull), (EFBIG, .diskFull), (EACCES, .permission),
            (EPERM, .permission), (EROFS, .permission), (ELOOP, .permission), (ENOENT, .notFound),
            (EEXIST, .alreadyExists), (EIO, .inputOutput), (EWOULDBLOCK, .locked), (EMFILE, .limitExceeded),
        ] as [(Int32, StorageError.Code)])
    func codes(number: Int32, code: StorageError.Code) {
        let error = StorageError.system(number, doing: "trying", path: "/p")
        #expect(error.code == code)
        #expect(error.number == number)
        #expect(error.path == "/p")
        #expect(error.message.hasPrefix("trying failed: "))
    }
}
