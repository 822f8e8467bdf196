import Glibc
import Testing

@testable import TidelogStorage

/// Swift hides `fork`, rightly; here it stands for what some other library in an app may do.
private func forkProcess() -> pid_t {
    typealias Fork = @convention(c) () -> pid_t
    guard let symbol = dlsym(nil, "fork") else { return -1 }
    return unsafeBitCast(symbol, to: Fork.self)()
}

/// Runs `body` in a forked child; what it returns is the child's exit status.
private func inFork(_ body: () -> Int32) -> Int32 {
    let child = forkProcess()
    if child == 0 {
        alarm(20)
        _exit(body())
    }
    var status: Int32 = -1
    waitpid(child, &status, 0)
    return status & 0x7F == 0 ? status >> 8 & 0xFF : -(status & 0x7F)
}

@Suite("After a fork")
struct ForkTests {
    let directory = ScratchDirectory()

    @Test(
        "a child made by fork is refused, and the parent's readers and writers are left alone",
        .startsProcesses)
    func fork() async throws {
        let path = self.directory.file("a.mdb")
        await #expect(processExitsWith: .exitCode(0)) { [path = path as String] in
            let environment = try Environment(path: path)
            let database = try environment.openDatabase("x", integerKeys: true, create: true)
            try environment.write { (transaction) throws(StorageError) in
                try transaction.put(database, 1, [1])
            }
            let reader = try environment.beginRead()
            func isRefused(_ body: () throws(StorageError) -> Void) -> Bool {
                do throws(StorageError) { try body() } catch {
                    return error.code == .closed && error.message.contains("fork")
                }
                return false
            }
            let status = inFork {
                guard isRefused({ () throws(StorageError) in try environment.read { _ in } }) else {
                    return 1
                }
                guard isRefused({ () throws(StorageError) in try environment.write { _ in } }) else {
                    return 2
                }
                guard isRefused({ () throws(StorageError) in _ = try environment.info() }) else { return 3 }
                environment.close()
                return 0
            }
            #expect(status == 0)
            #expect(try environment.oldestReaderTransactionID() == reader.id)
            #expect(try reader.value(database, 1) == [1])

            // What it opens itself, it can use, beside the parent.
            let anew = inFork {
                guard let own = try? Environment(path: path),
                    let there = try? own.openDatabase("x", integerKeys: true, create: false),
                    (try? own.read { (t) throws(StorageError) in try t.value(there, 1) }) == [1]
                else { return 1 }
                own.close()
                return 0
            }
            #expect(anew == 0)
            #expect(try environment.oldestReaderTransactionID() == reader.id)

            // A write transaction that is open during the fork ends in the parent alone.
            let transaction = try environment.beginWrite()
            try transaction.put(database, 1, [2])
            #expect(
                inFork { isRefused { () throws(StorageError) in try environment.read { _ in } } ? 0 : 1 } == 0
            )
            try transaction.commit()
            try environment.read { (transaction) throws(StorageError) in
                #expect(try transaction.value(database, 1) == [2])
            }
        }
    }
}
