import Foundation
public import SystemPackage
public import Tidelog

/// Runs `body` with the path of a directory that does not exist yet, and removes what it left there.
///
/// - Parameter body: gets the path, and a function that opens a log there.
public func withTemporaryLog<Result>(
    isolation: isolated (any Actor)? = #isolation,
    _ body: (
        _ directory: FilePath, _ open: (EventLogConfiguration) async throws -> EventLog
    ) async throws -> Result
) async throws -> Result {
    let directory = try TemporaryDirectory()
    defer { directory.remove() }
    let path = directory.path.appending("log.tidelog")
    return try await body(path) { configuration in
        try await EventLog.open(at: path, configuration: configuration)
    }
}

/// A directory of its own for a test, on the disk that holds the system's temporary files.
public struct TemporaryDirectory: Sendable {
    /// Where it is.
    public let path: FilePath

    /// Makes one.
    public init() throws {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(base)/tidelog-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else {
            throw Errno(rawValue: errno)
        }
        self.path = FilePath(String(cString: made))
    }

    /// Removes it and everything in it.
    public func remove() {
        try? FileManager.default.removeItem(atPath: self.path.string)
    }
}
