import Glibc

/// Lines of a file as they stand there: the input of one batch.
struct Lines: Sendable {
    var bytes: [UInt8] = []
    /// Where each line ends in `bytes`, its line feed not counted.
    var ends: [Int] = []
    /// The number of the first line in the file.
    var firstNumber: Int

    /// Calls `body` with each line that is not white space, and its number.
    func forEach<Problem: Error>(
        _ body: (UnsafeRawBufferPointer, Int) throws(Problem) -> Void
    ) throws(Problem) {
        try self.bytes.withUnsafeBufferPointer { bytes throws(Problem) in
            let bytes = UnsafeRawBufferPointer(bytes)
            var start = 0
            for (index, end) in self.ends.enumerated() {
                let line = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
                start = end + 1
                if line.allSatisfy({ $0 == 0x20 || $0 == 0x0D || $0 == 0x09 }) { continue }
                try body(line, self.firstNumber + index)
            }
        }
    }
}

/// Reads lines from a file or a pipe, a batch at a time.
///
/// What has come from a pipe that then falls silent is handed out after a moment, so that a slow source's
/// events are in the log soon after they were written.
final class LineReader: Sendable {
    private static let chunkBytes = 1 << 20
    private static let patienceMilliseconds: Int32 = 100
    /// Six times the largest event, as text may need six bytes for one, and some for the names.
    private static let maximumLineBytes = 6 * (16 << 20) + (64 << 10)

    private let descriptor: Int32
    private let name: String
    /// How many bytes there are, where that is known.
    let totalBytes: Int?

    private init(_ descriptor: Int32, _ name: String, totalBytes: Int?) {
        self.descriptor = descriptor
        self.name = name
        self.totalBytes = totalBytes
    }

    deinit { if self.descriptor != STDIN_FILENO { close(self.descriptor) } }

    /// Opens a file; `-` is standard input.
    static func open(_ path: String) throws -> LineReader {
        var descriptor = STDIN_FILENO
        let name = path == "-" ? "standard input" : path
        if path != "-" {
            descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
            if descriptor < 0 {
                throw Failure(.unable, "cannot read \(name): \(systemMessage(errno)); check the path")
            }
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw Failure(.unable, "cannot read \(name): \(systemMessage(errno)); check the path")
        }
        if status.st_mode & S_IFMT == S_IFDIR {
            throw Failure(.unable, "\(name) is a directory; name a file, or - for standard input")
        }
        let isFile = status.st_mode & S_IFMT == S_IFREG
        return LineReader(descriptor, name, totalBytes: isFile ? Int(status.st_size) : nil)
    }

    /// Calls `body` with batches of up to `count` lines until the end, or until it answers false.
    func forEachBatch(of count: Int, _ body: (Lines) throws -> Bool) throws {
        var chunk = [UInt8](repeating: 0, count: Self.chunkBytes)
        var gathered = Gathered()
        while true {
            while let end = gathered.nextLineEnd() {
                gathered.ends.append(end)
                if gathered.ends.count == count {
                    guard try body(gathered.takeLines()) else { return }
                }
            }
            if gathered.openBytes > Self.maximumLineBytes {
                throw Failure(
                    .unmet,
                    "line \(gathered.openLine) of \(self.name) is longer than "
                        + "\(Units.bytes(Self.maximumLineBytes)); is this a file of one JSON object a line?")
            }
            if !gathered.ends.isEmpty, self.isSilent() {
                guard try body(gathered.takeLines()) else { return }
            }
            let got = try self.read(into: &chunk)
            if got == 0 { break }
            gathered.append(chunk[..<got])
        }
        if gathered.openBytes > 0 { gathered.ends.append(gathered.bytes.count) }
        if !gathered.ends.isEmpty { _ = try body(gathered.takeLines()) }
    }

    /// What was read and not yet handed out.
    private struct Gathered {
        private(set) var bytes: [UInt8] = []
        /// Where the lines end that are whole.
        var ends: [Int] = []
        private var start = 0
        private var searched = 0
        private var lineNumber = 1

        /// How many bytes follow the last whole line, and that line's number.
        var openBytes: Int { self.bytes.count - (self.ends.last.map { $0 + 1 } ?? self.start) }
        var openLine: Int { self.lineNumber + self.ends.count }

        mutating func append(_ chunk: ArraySlice<UInt8>) {
            if self.start > 0 {
                self.bytes.removeSubrange(..<self.start)
                self.searched -= self.start
                for index in self.ends.indices { self.ends[index] -= self.start }
                self.start = 0
            }
            self.bytes.append(contentsOf: chunk)
        }

        /// Where the next line ends, if it is whole.
        mutating func nextLineEnd() -> Int? {
            let from = self.searched
            let found = self.bytes.withUnsafeBytes { bytes -> Int? in
                guard let base = bytes.baseAddress, from < bytes.count,
                    let found = memchr(base + from, 0x0A, bytes.count - from)
                else { return nil }
                return UnsafeRawPointer(found) - base
            }
            self.searched = found.map { $0 + 1 } ?? self.bytes.count
            return found
        }

        mutating func takeLines() -> Lines {
            let end = min(self.bytes.count, (self.ends.last ?? self.start - 1) + 1)
            let lines = Lines(
                bytes: Array(self.bytes[self.start..<end]), ends: self.ends.map { $0 - self.start },
                firstNumber: self.lineNumber)
            self.lineNumber += self.ends.count
            self.ends.removeAll(keepingCapacity: true)
            self.start = end
            return lines
        }
    }

    /// Whether nothing is to be had for a moment.
    private func isSilent() -> Bool {
        if self.totalBytes != nil { return false }
        var waiting = pollfd(fd: self.descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&waiting, 1, Self.patienceMilliseconds) == 0
    }

    private func read(into chunk: inout [UInt8]) throws -> Int {
        while true {
            let got = chunk.withUnsafeMutableBytes { Glibc.read(self.descriptor, $0.baseAddress, $0.count) }
            if got >= 0 { return got }
            if errno == EINTR { continue }
            throw Failure(.unable, "cannot read \(self.name): \(systemMessage(errno)); check the file")
        }
    }
}

/// Everything that a descriptor has to give.
func readAll(_ descriptor: Int32, name: String) throws -> [UInt8] {
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    while true {
        let got = chunk.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
        if got < 0, errno == EINTR { continue }
        if got < 0 { throw Failure(.unable, "cannot read \(name): \(systemMessage(errno)); check it") }
        if got == 0 { return bytes }
        bytes.append(contentsOf: chunk[..<got])
    }
}
