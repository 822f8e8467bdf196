import ArgumentParser
import Glibc
import Tidelog

#if Postgres
    import TidelogPostgres
#endif

/// Why a command did not do what it was asked for.
struct Failure: Error {
    /// What the exit status tells scripts.
    enum Status: Int32 {
        /// The thing checked does not hold.
        case unmet = 1
        /// The command line is wrong.
        case usage = 2
        /// It could not run.
        case unable = 3
    }

    let status: Status
    /// What is wrong; what to do.
    let message: String

    init(_ status: Status, _ message: String) {
        self.status = status
        self.message = message
    }
}

/// Whoever read standard output has gone: nothing is wrong.
struct ClosedPipe: Error {}

/// How the process ends: a status, and one line on standard error.
struct Ending {
    let status: Int32
    /// What goes to standard output before it ends, as a help text does.
    var output: String?
    /// What goes to standard error, without the program's name.
    var message: String?

    /// The end that an error brings.
    init(_ error: any Error) {
        #if Postgres
            let error = (error as? PostgresError)?.failure ?? error
        #endif
        switch error {
        case is ClosedPipe:
            self.status = 0
        case let error as Failure:
            self.status = error.status.rawValue
            self.message = error.message
        case let error as EventLogError:
            self.status = Self.status(of: error).rawValue
            self.message = Self.text(of: error)
        case let error as ExitCode:
            self.status = error.rawValue
        default:
            // Either ArgumentParser's own: a request for help, or a command line that is wrong.
            if Root.exitCode(for: error).isSuccess {
                self.status = 0
                self.output = Root.fullMessage(for: error)
            } else {
                self.status = Failure.Status.usage.rawValue
                self.message = Self.usage(error)
            }
        }
    }

    /// Prints what there is to say and ends the process.
    func leave() -> Never {
        if let output {
            let lines = LineOutput()
            try? lines.write(line: output)
            try? lines.flush()
        }
        if let message { complain(message) }
        exit(self.status)
    }

    private static func status(of error: EventLogError) -> Failure.Status {
        switch error.code {
        case .conflict, .duplicateEvent, .streamDeleted, .schemaViolation, .incompatibleSchema: .unmet
        // A path that is no log is not the command line's fault.
        case .invalidArgument: error.path == nil ? .usage : .unable
        default: .unable
        }
    }

    /// The error on one line, with the file and the positions that its message may not name.
    static func text(of error: EventLogError) -> String {
        var text = Self.begun(error.message)
        if let path = error.path, !text.contains(path) { text += " [\(path)]" }
        if let positions = error.positions, error.code == .corrupted {
            text += " [positions \(positions.lowerBound) to before \(positions.upperBound)]"
        }
        return text
    }

    /// A sentence as the second half of a line: without capital and full stop.
    private static func begun(_ sentence: String) -> String {
        var text = sentence
        if text.hasSuffix(".") { text.removeLast() }
        guard let first = text.first, first.isUppercase, text.dropFirst().first?.isLowercase ?? false else {
            return text
        }
        return first.lowercased() + text.dropFirst()
    }

    /// What ArgumentParser has to say, on one line, with the help to turn to.
    private static func usage(_ error: any Error) -> String {
        let whole = Root.fullMessage(for: error)
        let command = whole.split(separator: "\n").lazy.compactMap { line -> Substring? in
            guard let range = line.firstRange(of: "See '") else { return nil }
            return line[range.upperBound...].split(separator: "'").first
        }.first
        let message = Root.message(for: error).split(separator: "\n").joined(separator: " ")
        let help = (command ?? "tidelog --help").replacing("tidelog import import", with: "tidelog import")
        return "\(Self.begun(message)); see `\(help)`"
    }
}

/// Says on standard error, in one line, that something is wrong.
func complain(_ message: String) {
    let line = message.split(whereSeparator: \.isNewline).joined(separator: " ")
    writeToStandardError("tidelog: " + TerminalText.escape(line) + "\n")
}

/// Writes text to standard error as it is; what cannot be written is lost.
func writeToStandardError(_ text: String) {
    var text = text
    text.withUTF8 { bytes in
        var rest = UnsafeRawBufferPointer(bytes)
        while !rest.isEmpty {
            let written = Glibc.write(STDERR_FILENO, rest.baseAddress, rest.count)
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { return }
            rest = UnsafeRawBufferPointer(rebasing: rest[written...])
        }
    }
}
