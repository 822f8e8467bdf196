import Glibc
import SystemPackage
import Tidelog

/// A process of its own that fills a log's head, so that it can be killed.
///
/// It is this program with the hidden option `--fill`; it writes one byte once the head is full, and waits.
struct FillingChild {
    /// Uncompressed bytes of a full head: what a log seals by default.
    static let bytes = 64 << 20

    private let child: ChildProcess

    init(log: String, input: BenchInput) throws {
        var words = [
            "bench", "--fill", log, "--events", String(input.count), "--seed", String(input.seed),
            "--streams", String(input.streams),
        ]
        if let path = input.path { words += ["--input", path] }
        self.child = try ChildProcess(words)
    }

    /// Waits for the child's word.
    func waitUntilFull() throws {
        if self.child.read(atMost: 1).count == 1 { return }
        self.child.wait()
        throw Failure(.unable, "the child that fills a log ended early; see its message above")
    }

    /// Kills it without warning.
    func kill() { self.child.kill() }

    /// The child's work: fills the head, says so, and waits to be killed.
    static func fill(_ log: String, _ input: BenchInput) async throws {
        var configuration = EventLogConfiguration()
        configuration.sealsInBackground = false
        let log = try await EventLog.open(at: FilePath(log), configuration: configuration)
        var events = try input.reader()
        while case let batch = try events.next(1000), !batch.isEmpty {
            try await log.append(batch)
            if try await log.statistics().activeUncompressedBytes >= Self.bytes { break }
        }
        try show("f")
        try await Task.sleep(for: .seconds(86_400))
    }
}
