import Glibc
import Synchronization
import Tidelog

/// Standard output, or a file, written in large pieces that end where a line ends.
///
/// On a terminal, what it would obey rather than show is escaped; into pipes and files the bytes go as they
/// are. Used by one thread at a time.
final class LineOutput {
    /// Whether some thread is in the middle of writing, so that whoever ends the process can wait for the end
    /// of the line.
    static let isWriting = Atomic<Bool>(false)

    private static let pieceBytes = 256 << 10

    /// Whether this is a terminal.
    let isTerminal: Bool
    private let descriptor: Int32
    private let name: String
    private var buffer: [UInt8] = []
    private var line: [UInt8] = []

    /// Standard output, or another open file.
    init(_ descriptor: Int32 = STDOUT_FILENO, name: String = "standard output") {
        self.descriptor = descriptor
        self.name = name
        self.isTerminal = isatty(descriptor) == 1
        self.buffer.reserveCapacity(Self.pieceBytes + 4096)
    }

    /// How many bytes wait.
    var waitingBytes: Int { self.buffer.count }

    /// Adds what `body` appends, which is whole lines of JSON or CSV.
    func write(_ body: (inout [UInt8]) -> Void) throws {
        if self.isTerminal {
            self.line.removeAll(keepingCapacity: true)
            body(&self.line)
            let text = String(decoding: self.line, as: UTF8.self)
            self.buffer.append(contentsOf: TerminalText.escapeJSON(text).utf8)
        } else {
            body(&self.buffer)
        }
        if self.buffer.count >= Self.pieceBytes { try self.flush() }
    }

    /// Adds a line of text, which the caller made safe to show.
    func write(line: String) throws {
        self.buffer.append(contentsOf: line.utf8)
        self.buffer.append(UInt8(ascii: "\n"))
        if self.buffer.count >= Self.pieceBytes { try self.flush() }
    }

    /// Writes what waits.
    func flush() throws {
        guard !self.buffer.isEmpty else { return }
        Self.isWriting.store(true, ordering: .sequentiallyConsistent)
        defer {
            Self.isWriting.store(false, ordering: .sequentiallyConsistent)
            self.buffer.removeAll(keepingCapacity: true)
        }
        try self.buffer.withUnsafeBytes { try Self.writeAll($0, to: self.descriptor, name: self.name) }
    }

    private static func writeAll(
        _ bytes: UnsafeRawBufferPointer, to descriptor: Int32, name: String
    ) throws {
        var rest = bytes
        while !rest.isEmpty {
            let written = Glibc.write(descriptor, rest.baseAddress, rest.count)
            if written >= 0 {
                rest = UnsafeRawBufferPointer(rebasing: rest[written...])
                continue
            }
            switch errno {
            case EINTR: continue
            case EPIPE: throw ClosedPipe()
            case EAGAIN:
                var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&waiting, 1, -1)
            case let number:
                throw Failure(
                    .unable, "cannot write to \(name): \(systemMessage(number)); make room or choose another")
            }
        }
    }
}

/// Prints a few lines at once.
func show(_ lines: [String]) throws {
    let output = LineOutput()
    for line in lines { try output.write(line: line) }
    try output.flush()
}

/// Prints one line.
func show(_ line: String) throws { try show([line]) }

/// What the system says of an error number.
func systemMessage(_ number: Int32) -> String { String(cString: strerror(number)) }
