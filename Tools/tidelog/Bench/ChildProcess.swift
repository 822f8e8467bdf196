import Glibc
import Tidelog

/// This program once more, in a process of its own, with what it writes.
struct ChildProcess {
    private let process: pid_t
    private let output: Int32

    /// Starts `tidelog` with `words`.
    init(_ words: [String]) throws {
        let (reading, writing) = try makePipe()
        self.output = reading
        defer { close(writing) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, writing, STDOUT_FILENO)
        var arguments: [UnsafeMutablePointer<CChar>?] = (["tidelog"] + words).map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var process = pid_t()
        let status = posix_spawn(&process, "/proc/self/exe", &actions, nil, &arguments, environ)
        guard status == 0 else {
            throw Failure(
                .unable, "cannot start a child process: \(systemMessage(status)); close other programs")
        }
        self.process = process
    }

    /// Waits for the child's next bytes, at most `limit` of them; none if it has ended.
    func read(atMost limit: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: limit)
        var got = 0
        repeat { got = Glibc.read(self.output, &bytes, limit) } while got < 0 && errno == EINTR
        return Array(bytes.prefix(max(0, got)))
    }

    /// Kills it without warning.
    func kill() {
        Glibc.kill(self.process, SIGKILL)
        self.wait()
        close(self.output)
    }

    /// Waits for its end.
    func wait() {
        var status: Int32 = 0
        while waitpid(self.process, &status, 0) < 0 && errno == EINTR {}
    }
}
