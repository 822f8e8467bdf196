#if Postgres
    import Foundation
    import TidelogTesting

    /// The built `tidelog`, run as a process.
    struct Tool {
        static let url = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
            .appending(path: "tidelog")

        var status: Int32
        var output: String
        var error: String

        static func start(_ arguments: [String], _ folder: String) throws -> Process {
            let process = Process()
            process.executableURL = Self.url
            process.arguments = arguments
            process.standardInput = FileHandle.nullDevice
            for name in ["out", "err"] {
                _ = FileManager.default.createFile(atPath: folder + "/" + name, contents: nil)
            }
            process.standardOutput = FileHandle(forWritingAtPath: folder + "/out")
            process.standardError = FileHandle(forWritingAtPath: folder + "/err")
            try process.run()
            return process
        }

        static func run(_ arguments: String...) throws -> Tool {
            let folder = try TemporaryDirectory()
            defer { folder.remove() }
            let process = try Self.start(arguments, folder.path.string)
            process.waitUntilExit()
            return Tool(
                status: process.terminationStatus,
                output: try String(contentsOfFile: folder.path.string + "/out", encoding: .utf8),
                error: try String(contentsOfFile: folder.path.string + "/err", encoding: .utf8))
        }
    }
#endif
