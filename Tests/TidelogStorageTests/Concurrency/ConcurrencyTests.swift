import Glibc
import Synchronization
import Testing

@testable import TidelogStorage

@Suite("Threads, locks and signals")
struct ConcurrencyTests {
    @Test("increments behind a lock are never lost")
    func lock() throws {
        let counter = SharedCounter()
        let threads = try (0..<4).map { index in
            try WorkerThread(name: "count-\(index)") {
                for _ in 0..<10_000 { counter.value.withLock { $0 += 1 } }
            }
        }
        for thread in threads { thread.join() }
        #expect(counter.value.withLock { $0 } == 40_000)
    }

    @Test("a lock is free again after its body threw")
    func lockThrows() {
        let counter = SharedCounter()
        expectError(.cancelled) {
            try counter.value.withLock { _ throws(StorageError) in throw StorageError(.cancelled, "") }
        }
        #expect(counter.value.withLock { $0 } == 0)
    }

    @Test("a wake before the sleep is not lost, and several count as one")
    func earlyWake() {
        let signal = WakeSignal()
        signal.wake()
        signal.wake()
        #expect(signal.wait(timeout: .zero))
        #expect(!signal.wait(timeout: .zero))
        #expect(!signal.wait(timeout: .milliseconds(1)))
    }

    @Test("two threads hand a number back and forth without ever missing a wake")
    func pingPong() throws {
        let there = WakeSignal()
        let back = WakeSignal()
        let shared = SharedNumber()
        let thread = try WorkerThread(name: "ping-pong") {
            for _ in 0..<5_000 {
                there.wait()
                shared.number.wrappingAdd(1, ordering: .relaxed)
                back.wake()
            }
        }
        for round in 1...5_000 {
            there.wake()
            // Sometimes with a timeout, so that both ways of sleeping are taken.
            while !back.wait(timeout: round % 3 == 0 ? .seconds(60) : nil) {}
            #expect(shared.number.load(ordering: .relaxed) == round)
        }
        thread.join()
    }

    @Test("a sleep without a wake ends by its timeout, and the signal works afterwards")
    func timeout() throws {
        let signal = WakeSignal()
        #expect(!signal.wait(timeout: .milliseconds(5)))
        let thread = try WorkerThread(name: "late") { signal.wake() }
        #expect(signal.wait(timeout: .seconds(60)))
        thread.join()
    }

    @Test("a worker thread has its name, and blocks an app's signals but none that a fault raises")
    func workerThread() throws {
        let seen = SharedObservation()
        let thread = try WorkerThread(name: "tidelog-writer-and-more") {
            var name = [UInt8](repeating: 0, count: 64)
            let descriptor = FileDescriptor(owning: open("/proc/thread-self/comm", O_RDONLY))
            let count = read(descriptor.number, &name, name.count)
            var mask = sigset_t()
            pthread_sigmask(SIG_SETMASK, nil, &mask)
            let blocked = [SIGTERM, SIGINT, SIGXFSZ, SIGPIPE].filter { sigismember(&mask, $0) == 0 }
            let open = [SIGSEGV, SIGBUS, SIGABRT].filter { sigismember(&mask, $0) == 1 }
            let observation = Observation(
                name: String(decoding: name.prefix(max(count, 0)), as: UTF8.self),
                wrongSignals: blocked + open)
            seen.observation.withLock { $0 = observation }
        }
        thread.join()
        thread.join()
        let observation = seen.observation.withLock { $0 }
        #expect(observation.name == "tidelog-writer-\n")
        #expect(observation.wrongSignals.isEmpty)
    }

    @Test(
        "a write over the file-size limit on a worker thread is a full disk, not the end of the process",
        .startsProcesses)
    func fileSizeLimit() async throws {
        let directory = ScratchDirectory()
        let path = directory.file("a")
        await #expect(processExitsWith: .exitCode(42)) { [path = path as String] in
            var limit = rlimit(rlim_cur: 1024, rlim_max: 1024)
            setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
            let thread = try WorkerThread(name: "writer") {
                do throws(StorageError) {
                    try Files.writeAtomically(Array(repeating: 1, count: 4096), to: path)
                } catch {
                    if error.code == .diskFull && error.number == EFBIG { exit(42) }
                }
            }
            thread.join()
        }
    }
}

private final class SharedCounter: Sendable {
    let value = Lock(0)
}

private final class SharedNumber: Sendable {
    let number = Atomic<Int>(0)
}

private struct Observation: Sendable {
    var name = ""
    var wrongSignals: [Int32] = []
}

private final class SharedObservation: Sendable {
    let observation = Lock(Observation())
}
