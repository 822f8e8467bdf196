import Glibc
import Testing

@testable import TidelogStorage

@Suite("File locks")
struct FileLockTests {
    let directory = ScratchDirectory()
    var path: String { self.directory.file("lock") }

    @Test("an exclusive lock excludes both kinds, until it is released")
    func exclusive() throws {
        let lock = try FileLock(self.path, .exclusive)
        let error = expectError(.locked) { _ = try FileLock(self.path, .exclusive) }
        #expect(error?.path == self.path)
        expectError(.locked) { _ = try FileLock(self.path, .shared) }
        lock.release()
        _ = try FileLock(self.path, .exclusive)
    }

    @Test("shared locks go together and exclude an exclusive one")
    func shared() throws {
        let first = try FileLock(self.path, .shared)
        let second = try FileLock(self.path, .shared)
        expectError(.locked) { _ = try FileLock(self.path, .exclusive) }
        first.release()
        expectError(.locked) { _ = try FileLock(self.path, .exclusive) }
        second.release()
        _ = try FileLock(self.path, .exclusive)
    }

    @Test("whoever waits gets the lock once it is free")
    func waiting() throws {
        let lock = try FileLock(self.path, .exclusive)
        let signal = WakeSignal()
        let path = self.path
        let thread = try WorkerThread(name: "waiting") {
            if (try? FileLock(path, .exclusive, waiting: true)) != nil { signal.wake() }
        }
        #expect(!signal.wait(timeout: .milliseconds(20)))
        lock.release()
        signal.wait()
        thread.join()
    }

    @Test("a lock lasts until its process dies, and no longer", .startsProcesses)
    func death() async throws {
        let path = self.path
        await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
            let lock = try FileLock(path, .exclusive)
            expectError(.locked) { _ = try FileLock(path, .shared) }
            kill(getpid(), SIGKILL)
            lock.release()
        }
        _ = try FileLock(path, .exclusive)
    }

    @Test("a lock in a directory that is not there is an error that says where")
    func missingDirectory() {
        let error = expectError(.notFound) { _ = try FileLock(self.directory.file("no/lock"), .shared) }
        #expect(error?.path == self.directory.file("no/lock"))
    }
}
