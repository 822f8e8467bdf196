import Foundation

/// A process of this tool of which the parent sees when it stops, which Foundation's `Process` does not tell.
package final class Spawned {
    package enum Change: Equatable {
        case exited(Int32)
        case killed(Int32)
        case stopped
    }

    let pid: pid_t
    private let output: String
    private var end: Change?

    /// Starts it; what it writes goes to the file `output`.
    package init(_ arguments: [String], output: String) throws {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var pointers = ([Child.executable] + arguments).map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        var pid: pid_t = 0
        let status = posix_spawn(&pid, Child.executable, &actions, nil, &pointers, environ)
        guard status == 0 else { throw Failure("\(Child.executable) cannot be started: error \(status)") }
        self.pid = pid
        self.output = output
    }

    deinit {
        if self.end == nil { self.kill() }
    }

    /// Waits until it has ended or stopped.
    func wait() -> Change {
        if let end = self.end { return end }
        var status: Int32 = 0
        while waitpid(self.pid, &status, WUNTRACED) < 0, errno == EINTR {}
        return self.note(status)
    }

    /// Whether it has ended or stopped by now.
    package func poll() -> Change? {
        if let end = self.end { return end }
        var status: Int32 = 0
        return waitpid(self.pid, &status, WUNTRACED | WNOHANG) > 0 ? self.note(status) : nil
    }

    /// Whether it was seen to end.
    package var hasEnded: Bool { self.end != nil }

    /// Lets it go on after it has stopped.
    package func proceed() { _ = Foundation.kill(self.pid, SIGCONT) }

    /// Ends it without warning.
    func kill() {
        _ = Foundation.kill(self.pid, SIGKILL)
        while self.wait() == .stopped {}
    }

    /// The lines that it wrote so far.
    package func lines() -> [String] {
        let text = (try? String(contentsOfFile: self.output, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").map(String.init)
    }

    /// Waits until it has ended, waits for a lock that another holds, or some time has passed.
    func waitUntilBlocked() {
        for _ in 0..<100 {
            if self.poll() != nil { return }
            let locks = (try? String(contentsOfFile: "/proc/locks", encoding: .utf8)) ?? ""
            let waits = locks.split(separator: "\n").contains { line in
                line.contains("->") && line.split(separator: " ").contains("\(self.pid)")
            }
            if waits { return }
            usleep(2000)
        }
    }

    private func note(_ status: Int32) -> Change {
        let number = status & 0x7F
        if status & 0xFF == 0x7F { return .stopped }
        let end: Change = number == 0 ? .exited(status >> 8 & 0xFF) : .killed(number)
        self.end = end
        return end
    }
}
