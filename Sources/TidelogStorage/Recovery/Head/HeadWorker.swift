// Walking the head in a child process.
//
// The child is this same program, or another one that calls `HeadWorker.runIfAsked` first thing, started with
// hidden arguments. It writes one line for each item to descriptor 3. If it dies, what it had told stands,
// and its death is a finding.
import Glibc
import Synchronization

/// Where a walk through the head runs.
package enum WalkPlace: Sendable, Hashable {
    /// In a child process if this program can be one, else in this process.
    case automatic
    /// In this process.
    case inProcess
    /// In a child process that runs this program.
    case child(executable: String)
}

/// The child's side.
package enum HeadWorker {
    static let argument = "--tidelog-head-walk"
    static let exclusive = "exclusive"
    static let shared = "shared"
    static let outputDescriptor: Int32 = 3
    private static let isInstalled = Atomic<Bool>(false)

    /// The program that can be started as a child, if this one can.
    static var executable: String? {
        self.isInstalled.load(ordering: .relaxed) ? "/proc/self/exe" : nil
    }

    /// Does the walk and ends the process if `arguments` ask for one. To be called first thing in `main`; it
    /// also makes known that this program can be started as a child.
    package static func runIfAsked(_ arguments: [String]) {
        guard arguments.count == 5, arguments[1] == self.argument,
            let mode = HeadWalk.Mode(rawValue: arguments[2])
        else {
            self.isInstalled.store(true, ordering: .relaxed)
            return
        }
        // A crash is expected here now and then, and its report is one line of the parent's.
        var limit = rlimit(rlim_cur: 0, rlim_max: 0)
        setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &limit)
        let output = LineOutput(descriptor: self.outputDescriptor)
        do throws(StorageError) {
            try HeadSession.run(
                directory: arguments[4], mode: mode, isExclusive: arguments[3] == self.exclusive
            ) { item throws(StorageError) in
                try output.write(item.line)
            }
            try output.flush()
            exit(0)
        } catch {
            let item = HeadItem.failure(code: error.code.rawValue, message: error.message)
            try? output.write(item.line)
            try? output.flush()
            exit(1)
        }
    }
}

/// Gathers lines and writes them in large pieces.
private final class LineOutput {
    private let descriptor: Int32
    private var bytes: [UInt8] = []

    init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    func write(_ line: String) throws(StorageError) {
        self.bytes.append(contentsOf: line.utf8)
        self.bytes.append(UInt8(ascii: "\n"))
        if self.bytes.count >= 1 << 16 { try self.flush() }
    }

    func flush() throws(StorageError) {
        let bytes = self.bytes
        self.bytes.removeAll(keepingCapacity: true)
        try bytes.span.bytes.withUnsafeBytes { buffer throws(StorageError) in
            try Files.write(descriptor: self.descriptor, buffer)
        }
    }
}

extension FileDescriptor {
    /// Closes it here, and so keeps it open until here.
    consuming func close() {}
}

/// The parent's side: walks the head of a log that this process does not have open.
struct HeadInspection {
    let directory: String
    let place: WalkPlace
    /// Whether it is certain that nobody has the log open.
    var isExclusive = false

    /// Walks the head and gives each item to `visit`.
    ///
    /// - Returns: whether the walk came to its end; if not, a finding told why.
    /// - Throws: what `visit` throws; ``StorageError`` as ``HeadSession/run(directory:mode:isExclusive:emit:)``.
    @discardableResult
    func run(_ mode: HeadWalk.Mode, _ visit: @escaping HeadWalk.Emit) throws(StorageError) -> Bool {
        let executable: String?
        switch self.place {
        case .automatic: executable = HeadWorker.executable
        case .inProcess: executable = nil
        case .child(let path): executable = path
        }
        guard let executable else {
            try HeadSession.run(
                directory: self.directory, mode: mode, isExclusive: self.isExclusive, emit: visit)
            return true
        }
        return try self.runChild(executable, mode, visit)
    }

    private func runChild(
        _ executable: String, _ mode: HeadWalk.Mode, _ visit: HeadWalk.Emit
    ) throws(StorageError) -> Bool {
        var ends: [Int32] = [-1, -1]
        try retrying("making a pipe") { pipe(&ends) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let reading = FileDescriptor(owning: ends[0])
        let child = try self.spawn(
            executable,
            [
                executable, HeadWorker.argument, mode.rawValue,
                self.isExclusive ? HeadWorker.exclusive : HeadWorker.shared, self.directory,
            ],
            output: FileDescriptor(owning: ends[1]))
        var lines = LineInput(descriptor: reading.number)
        var hasEnded = false
        var last = "its start"
        do throws(StorageError) {
            while !hasEnded, let line = try lines.next() {
                guard let item = HeadItem(line: line) else { continue }
                switch item {
                case .end: hasEnded = true
                case .failure(let code, let message):
                    throw StorageError(
                        StorageError.Code(rawValue: code) ?? .corrupted, message, path: self.directory)
                case .database(let name, _, _, _, _): last = "the database '\(name)'"
                case .frame(let frame): last = "the frame at position \(frame.first)"
                default: break
                }
                try visit(item)
            }
        } catch {
            kill(child, SIGKILL)
            _ = Self.wait(child)
            throw error
        }
        let status = Self.wait(child)
        reading.close()
        if hasEnded { return true }
        let signal = status.map { $0 & 0x7F } ?? 0
        let how = signal != 0 ? "died of signal \(signal)" : "ended"
        try visit(
            .finding(
                RecoveryFinding(
                    .headPages, "the head's pages are damaged (the walk \(how) after \(last))",
                    file: Head.Names.head)))
        return false
    }

    private func spawn(
        _ executable: String, _ arguments: [String], output: consuming FileDescriptor
    ) throws(StorageError) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, output.number, HeadWorker.outputDescriptor)
        for descriptor: Int32 in 0...2 {
            posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_RDWR, 0)
        }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))

        var strings: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        // A child that dies must not spend seconds on a report of its own.
        let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
        let library = getenv("LD_LIBRARY_PATH").map { String(cString: $0) }
        let variables =
            ["SWIFT_BACKTRACE=enable=no", "PATH=\(path)"]
            + (library.map { ["LD_LIBRARY_PATH=\($0)"] } ?? [])
        var environment: [UnsafeMutablePointer<CChar>?] = variables.map { strdup($0) } + [nil]
        defer {
            for string in strings + environment { free(string) }
        }
        var child: pid_t = 0
        let number = posix_spawn(&child, executable, &actions, &attributes, &strings, &environment)
        output.close()
        guard number == 0 else { throw .system(number, doing: "starting \(executable)") }
        return child
    }

    /// The status of a child that has ended; nil if somebody else has taken it.
    private static func wait(_ child: pid_t) -> Int32? {
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0 {
            if errno != EINTR { return nil }
        }
        return status
    }
}

/// Lines that come through a pipe.
private struct LineInput {
    let descriptor: Int32
    private var bytes: [UInt8] = []
    private var start = 0
    private var hasEnded = false

    init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    mutating func next() throws(StorageError) -> String? {
        var searched = self.start
        while true {
            if let end = self.bytes[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                defer { self.start = end + 1 }
                return String(decoding: self.bytes[self.start..<end], as: UTF8.self)
            }
            if self.hasEnded { return nil }  // half a line tells nothing
            self.bytes.removeFirst(self.start)
            self.start = 0
            searched = self.bytes.count
            try self.fill()
        }
    }

    private mutating func fill() throws(StorageError) {
        let piece = 1 << 16
        let old = self.bytes.count
        self.bytes.append(contentsOf: repeatElement(0, count: piece))
        let descriptor = self.descriptor
        let count = try retrying("reading from the child") {
            self.bytes.withUnsafeMutableBytes { buffer in
                read(descriptor, buffer.baseAddress.map { $0 + old }, piece)
            }
        }
        self.bytes.removeLast(piece - count)
        if count == 0 { self.hasEnded = true }
    }
}
