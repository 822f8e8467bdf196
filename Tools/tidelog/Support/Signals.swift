// What signals do to the tool.
//
// LMDB trusts the pages that it maps, so a damaged or cut head can end the process by a signal in any of its
// threads: SIGSEGV, SIGBUS, SIGABRT. A script that reads a log must learn that as an error like any other, so
// the handlers here write one line to standard error and end the process with status 3. They do only what may
// be done in a handler: load atomics, `nanosleep`, `write`, `_exit`. Everything they touch is made before they
// are installed. Lines that wait to be written are dropped whole; a piece being written gets its end.
import Dispatch
import Glibc
import Synchronization

/// What signals do to the tool.
enum Signals {
    /// The address and the count of the bytes to write when a fault ends the process.
    private static let faultText = Atomic<UInt>(0)
    private static let faultTextBytes = Atomic<Int>(0)
    private static let isEnding = Atomic<Bool>(false)
    /// The descriptor that a request to stop is written to, -1 while nobody asks for that.
    private static let stopDescriptor = Atomic<Int32>(-1)

    /// Ignores what must be errors, and turns faults into one line and status 3.
    static func prepare() {
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        Self.setLog("LOG")
        _ = Self.isEnding.load(ordering: .relaxed)
        _ = Self.stopDescriptor.load(ordering: .relaxed)
        _ = LineOutput.isWriting.load(ordering: .relaxed)

        // A stack of its own, for a stack overflow on this thread.
        let bytes = 64 << 10
        var stack = stack_t()
        stack.ss_sp = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 16)
        stack.ss_size = bytes
        sigaltstack(&stack, nil)

        var action = sigaction()
        action.__sigaction_handler.sa_handler = { _ in Signals.endAfterFault() }
        action.sa_flags = SA_ONSTACK
        sigemptyset(&action.sa_mask)
        for number in [SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGTRAP] { sigaction(number, &action, nil) }
    }

    /// Says which log the line of a fault names.
    static func setLog(_ log: String) {
        let text =
            "tidelog: the log cannot be read further: its head is damaged; run `tidelog verify \(log)`, then "
            + "`tidelog repair \(log)`\n"
        let bytes = Array(text.utf8)
        // Kept until the process ends: the handler may run at any time.
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        copy.copyBytes(from: bytes)
        Self.faultTextBytes.store(0, ordering: .sequentiallyConsistent)
        Self.faultText.store(UInt(bitPattern: copy.baseAddress), ordering: .sequentiallyConsistent)
        Self.faultTextBytes.store(copy.count, ordering: .sequentiallyConsistent)
    }

    /// The handler's work.
    private static func endAfterFault() {
        // Another thread may be writing a piece of output: its last line must not be cut. Not for ever, since
        // its reader may have stopped, or this may be that thread.
        var pause = timespec(tv_sec: 0, tv_nsec: 5_000_000)
        var rounds = 0
        // A second thread with a fault leaves the ending to the first.
        while Self.isEnding.exchange(true, ordering: .sequentiallyConsistent) { nanosleep(&pause, nil) }
        while LineOutput.isWriting.load(ordering: .sequentiallyConsistent), rounds < 400 {
            nanosleep(&pause, nil)
            rounds += 1
        }
        let count = Self.faultTextBytes.load(ordering: .sequentiallyConsistent)
        let address = Self.faultText.load(ordering: .sequentiallyConsistent)
        _ = Glibc.write(STDERR_FILENO, UnsafeRawPointer(bitPattern: address), count)
        _exit(3)
    }

    /// Runs `body` once when SIGINT or SIGTERM asks the process to stop.
    static func onStop(_ body: @escaping @Sendable () -> Void) throws {
        let (reading, writing) = try makePipe()
        Self.stopDescriptor.store(writing, ordering: .sequentiallyConsistent)
        let thread = DispatchQueue(label: "tidelog.stop")
        thread.async {
            var byte: UInt8 = 0
            while read(reading, &byte, 1) < 0, errno == EINTR {}
            body()
        }
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { _ in Signals.requestStop() }
        sigemptyset(&action.sa_mask)
        action.sa_flags = SA_RESTART
        for number in [SIGINT, SIGTERM, SIGHUP] { sigaction(number, &action, nil) }
    }

    private static func requestStop() {
        let number = errno
        var byte: UInt8 = 1
        _ = Glibc.write(Self.stopDescriptor.load(ordering: .sequentiallyConsistent), &byte, 1)
        errno = number
    }
}

/// A pipe that child processes do not inherit.
func makePipe() throws -> (reading: Int32, writing: Int32) {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else {
        throw Failure(.unable, "cannot make a pipe: \(systemMessage(errno)); close other programs")
    }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return (ends[0], ends[1])
}
