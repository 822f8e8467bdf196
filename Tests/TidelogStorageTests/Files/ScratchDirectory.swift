import Glibc
import Testing

@testable import TidelogStorage

/// A new directory that is gone, with everything in it, when the last reference to it is.
final class ScratchDirectory: Sendable {
    let path: String

    init() {
        var template = Array("/tmp/tidelog-test-XXXXXX".utf8CString)
        precondition(mkdtemp(&template) != nil, "cannot create a directory under /tmp")
        self.path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        Self.remove(self.path)
    }

    /// The path of something in the directory.
    func file(_ name: String) -> String { self.path + "/" + name }

    /// Removes a directory and all in it, or a file.
    static func remove(_ path: String) {
        guard (try? Files.kind(path)) == .directory else {
            unlink(path)
            return
        }
        chmod(path, 0o700)
        for name in (try? Files.list(path)) ?? [] { Self.remove(path + "/" + name) }
        rmdir(path)
    }
}

/// Requires that `body` throws a ``StorageError`` with `code`, and gives it back.
@discardableResult
func expectError(
    _ code: StorageError.Code, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) -> StorageError? {
    let error = #expect(throws: StorageError.self, sourceLocation: sourceLocation) { try body() }
    #expect(error?.code == code, "\(error.map(\.description) ?? "no error")", sourceLocation: sourceLocation)
    return error
}

/// Writes `bytes` over what stands at `offset` of a file.
func overwrite(_ path: String, at offset: Int, with bytes: [UInt8]) throws {
    let descriptor = try Files.open(path, flags: O_WRONLY)
    #expect(pwrite(descriptor.number, bytes, bytes.count, offset) == bytes.count)
}
