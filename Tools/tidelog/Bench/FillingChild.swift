import Glibc
import SystemPackage
import Tidelog

/// A process of its own that fills a log's head, so that it can be killed.
///
/// It is this program with the hidden option `--fill`; it writes one byte once the head is full, and waits.
struct FillingChild {
    /// Uncompressed bytes of a full head: what a log seals by default.
    static let bytes = 64 << 20

    private let process: pid_t
    private let output: Int32

    init(log: String, input: BenchInput) throws {
        let (reading, writing) = try makePipe()
        self.output = reading
        defer { close(writing) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, writing, STDOUT_FILENO)
        var words = [
            "tidelog", "bench", "--fill", log, "--events", String(input.count), "--seed", String(input.seed),
            "--streams", String(input.streams),
        ]
        if let path = input.path { words += ["--input", path] }
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var process = pid_t()
        let status = posix_spawn(&process, "/proc/self/exe", &actions, nil, &arguments, environ)
        guard status == 0 else { throw Self.failure(status) }
        self.process = process
    }

    /// Waits for the child's word.
    func waitUntilFull() throws {
        var byte: UInt8 = 0
        var got = 0
        repeat { got = read(self.output, &byte, 1) } while got < 0 && errno == EINTR
        if got == 1 { return }
        var status: Int32 = 0
        waitpid(self.process, &status, 0)
        throw Failure(.unable, "the child that fills a log ended early; see its message above")
    }

    /// Kills it without warning.
    func kill() {
        Glibc.kill(self.process, SIGKILL)
        var status: Int32 = 0
        waitpid(self.process, &status, 0)
        close(self.output)
    }

    private static func failure(_ number: Int32) -> Failure {
        Failure(.unable, "cannot start a child process: \(systemMessage(number)); close other programs")
    }

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
