import Foundation
import Testing

/// The built `tidelog`, run as a process through its real interface.
enum Tool {
    /// How a run ended, and what it printed.
    struct Outcome {
        let status: Int32
        /// Whether a signal ended it.
        let wasKilled: Bool
        let outputBytes: Data
        let error: String

        var output: String { String(decoding: self.outputBytes, as: UTF8.self) }
        var lines: [Substring] { self.output.split(separator: "\n") }
    }

    /// The binary stands beside the test bundle.
    static let url = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
        .deletingLastPathComponent().appending(path: "tidelog")

    /// Starts the tool, its standard streams connected to files.
    ///
    /// - Parameter launcher: a program that runs another, and its arguments before that one's name.
    static func start(
        _ arguments: [String], by launcher: [String] = [], input: URL? = nil, output: URL, error: URL
    ) throws -> Process {
        let words = launcher + [Self.url.path(percentEncoded: false)] + arguments
        let process = Process()
        process.executableURL = URL(filePath: words[0])
        process.arguments = Array(words[1...])
        process.standardInput = try input.map { try FileHandle(forReadingFrom: $0) } ?? FileHandle.nullDevice
        process.standardOutput = try Self.fresh(output)
        process.standardError = try Self.fresh(error)
        try process.run()
        return process
    }

    /// Runs the tool to its end.
    static func run(
        _ arguments: [String], by launcher: [String] = [], input: String? = nil
    ) throws -> Outcome {
        try TemporaryFolder.with { folder in
            let stdin = folder.url("stdin")
            if let input { try Data(input.utf8).write(to: stdin) }
            let process = try Self.start(
                arguments, by: launcher, input: input == nil ? nil : stdin, output: folder.url("stdout"),
                error: folder.url("stderr"))
            process.waitUntilExit()
            return Outcome(
                status: process.terminationStatus, wasKilled: process.terminationReason == .uncaughtSignal,
                outputBytes: try Data(contentsOf: folder.url("stdout")),
                error: String(decoding: try Data(contentsOf: folder.url("stderr")), as: UTF8.self))
        }
    }

    /// Runs the tool, expects status 0 and nothing on standard error, and returns what it printed.
    @discardableResult
    static func succeed(
        _ arguments: String..., input: String? = nil, at location: SourceLocation = #_sourceLocation
    ) throws -> Outcome {
        let outcome = try Self.run(arguments, input: input)
        #expect(outcome.status == 0, "\(arguments): \(outcome.error)", sourceLocation: location)
        #expect(outcome.error == "", "\(arguments)", sourceLocation: location)
        return outcome
    }

    /// Runs the tool, and expects this status with one line on standard error that says so.
    @discardableResult
    static func fail(
        _ status: Int32, _ arguments: String..., input: String? = nil,
        at location: SourceLocation = #_sourceLocation
    ) throws -> Outcome {
        let outcome = try Self.run(arguments, input: input)
        #expect(!outcome.wasKilled, "\(arguments)", sourceLocation: location)
        #expect(outcome.status == status, "\(arguments): \(outcome.error)", sourceLocation: location)
        #expect(
            outcome.error.hasPrefix("tidelog: "), "\(arguments): \(outcome.error)", sourceLocation: location)
        #expect(
            outcome.error.split(separator: "\n", omittingEmptySubsequences: false).count == 2,
            "one line: \(outcome.error)", sourceLocation: location)
        return outcome
    }

    private static func fresh(_ url: URL) throws -> FileHandle {
        try Data().write(to: url)
        return try FileHandle(forWritingTo: url)
    }
}

/// A folder that is removed with all that is in it.
struct TemporaryFolder {
    let root: URL

    func url(_ name: String) -> URL { self.root.appending(path: name) }
    func path(_ name: String) -> String { self.url(name).path(percentEncoded: false) }
    func write(_ text: String, to name: String) throws -> String {
        try Data(text.utf8).write(to: self.url(name))
        return self.path(name)
    }

    static func with<Value>(_ body: (TemporaryFolder) throws -> Value) throws -> Value {
        let root = FileManager.default.temporaryDirectory.appending(path: "tidelog-tool-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: root) }
        return try body(TemporaryFolder(root: root))
    }

    /// A folder with an empty log in it, whose path is the second argument.
    static func withLog<Value>(_ body: (TemporaryFolder, String) throws -> Value) throws -> Value {
        try Self.with { folder in
            let log = folder.path("log")
            try Tool.succeed("init", log)
            return try body(folder, log)
        }
    }
}

/// The real events that stand in the repository: CloudEvents, one a line.
enum Sample {
    static let path = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Docs/Examples/data/flights-sample.ndjson")
        .path(percentEncoded: false)
    static func lines() throws -> [String] {
        try String(contentsOfFile: Self.path, encoding: .utf8).split(separator: "\n").map(String.init)
    }
}

/// A line that the tool printed, without the event's place: what was imported.
func withoutPlace(_ line: some StringProtocol) -> String {
    var text = String(line)
    for member in ["\"position\":", "\"revision\":"] {
        guard let found = text.range(of: member) else { continue }
        var (start, end) = (found.lowerBound, found.upperBound)
        while end < text.endIndex, text[end].isASCII, text[end].isNumber { end = text.index(after: end) }
        if end < text.endIndex, text[end] == "," {
            end = text.index(after: end)
        } else if start > text.startIndex, text[text.index(before: start)] == "," {
            start = text.index(before: start)
        }
        text.removeSubrange(start..<end)
    }
    return text
}
