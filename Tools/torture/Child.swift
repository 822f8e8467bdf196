import Foundation

/// A process of this tool, whose acknowledgements go to a file: what it wrote before a kill is kept.
package final class Child {
    private let process = Process()
    package let output: String

    /// Where the tool stands: beside the program that asks.
    static var executable: String {
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent("torture").path
    }

    /// Starts it; `output` is overwritten.
    ///
    /// - Parameter environment: variables that it has beside this process's own.
    package init(_ arguments: [String], output: String, environment: [String: String] = [:]) throws {
        self.output = output
        guard FileManager.default.createFile(atPath: output, contents: nil),
            let file = FileHandle(forWritingAtPath: output)
        else { throw Failure("\(output) cannot be created") }
        self.process.executableURL = URL(fileURLWithPath: Self.executable)
        self.process.arguments = arguments
        self.process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        self.process.standardOutput = file
        self.process.standardError = file
        try self.process.run()
        try file.close()
    }

    /// Ends it without warning.
    package func kill() {
        _ = Foundation.kill(self.process.processIdentifier, SIGKILL)
        self.process.waitUntilExit()
    }

    /// Stops it as Ctrl-Z does, or lets it go on.
    package func signal(_ number: Int32) {
        _ = Foundation.kill(self.process.processIdentifier, number)
    }

    /// Waits for its own end; answers its status, negative for the signal that ended it.
    package func wait() -> Int32 {
        self.process.waitUntilExit()
        let status = self.process.terminationStatus
        return self.process.terminationReason == .uncaughtSignal ? -status : status
    }

    /// The whole lines that it wrote so far.
    package func lines() -> [String] {
        let text = (try? String(contentsOfFile: self.output, encoding: .utf8)) ?? ""
        let whole = text.lastIndex(of: "\n").map { text[..<$0] } ?? ""
        return whole.split(separator: "\n").map(String.init)
    }

    /// Waits until it has written a line that begins so.
    package func waitForLine(_ prefix: String) throws -> String {
        while true {
            if let line = self.lines().first(where: { $0.hasPrefix(prefix) }) { return line }
            guard self.process.isRunning else {
                throw Failure("the child ended before it said \(prefix): \(self.lines().suffix(3))")
            }
            usleep(2000)
        }
    }
}
