import ArgumentParser
import Dispatch
import Synchronization
import SystemPackage
import Tidelog

/// The log that a command works on.
struct LogArgument: ParsableArguments {
    @Argument(help: "The log's directory.", completion: .directory)
    var log: String

    func validate() throws {
        if self.log.isEmpty { throw ValidationError("LOG is empty: name the log's directory") }
    }

    /// Opens the log for reading; it must be there.
    func openForReading() async throws -> EventLog {
        var configuration = EventLogConfiguration()
        configuration.mode = .readOnly
        configuration.createsIfMissing = false
        return try await self.open(configuration)
    }

    /// Opens the log for writing; it must be there.
    func openForWriting(
        _ change: (inout EventLogConfiguration) -> Void = { _ in }
    ) async throws -> EventLog {
        var configuration = EventLogConfiguration()
        configuration.createsIfMissing = false
        change(&configuration)
        return try await self.open(configuration)
    }

    /// Opens the log.
    func open(_ configuration: EventLogConfiguration) async throws -> EventLog {
        Signals.setLog(self.log)
        do throws(EventLogError) {
            return try await EventLog.open(at: FilePath(self.log), configuration: configuration)
        } catch {
            guard error.code == .notFound, !configuration.createsIfMissing else { throw error }
            throw Failure(
                .unable, "there is no log in \(self.log); make one with `tidelog init \(self.log)`")
        }
    }
}

/// Whether a report is for programs.
struct ReportOptions: ParsableArguments {
    @Flag(help: "Print JSON, for programs.")
    var json = false
}

/// Opens a log, lends it to `body`, and closes it, whatever `body` does.
func withLog<Value>(
    _ log: EventLog, _ body: (EventLog) async throws -> Value
) async throws -> Value {
    do {
        let value = try await body(log)
        await log.close()
        return value
    } catch {
        await log.close()
        throw error
    }
}

/// Runs `body`, which blocks, on a thread outside of the pool that runs Swift's tasks.
func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { reply in
        DispatchQueue.global().async {
            reply.resume(with: Result { try body() })
        }
    }
}

/// Blocks the calling thread, which must not be one that runs Swift's tasks, until `body` has an answer.
func wait<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) throws -> Value {
    let answer = Answer<Value>()
    Task {
        do {
            let value = try await body()
            answer.value.withLock { $0 = .success(value) }
        } catch {
            answer.value.withLock { $0 = .failure(error) }
        }
        answer.isThere.signal()
    }
    answer.isThere.wait()
    guard let result = answer.value.withLock({ $0 }) else { throw ClosedPipe() }
    return try result.get()
}

private final class Answer<Value: Sendable>: Sendable {
    let isThere = DispatchSemaphore(value: 0)
    let value = Mutex<Result<Value, any Error>?>(nil)
}
