import Testing

@testable import TidelogStorage

/// A log's directory for a test, and a commit seam that fails when it is told to.
struct EngineScratch {
    let scratch = ScratchDirectory()
    let seam = FaultySeam()

    var directory: String { self.scratch.file("log") }

    /// Small segments and a commit that can fail; sealing only when asked for.
    var options: EngineOptions {
        var options = EngineOptions()
        options.segmentBytes = 16 << 10
        options.blockBytes = 2 << 10
        options.sealsInBackground = false
        options.seam = self.seam.commitSeam
        return options
    }

    func open(_ options: EngineOptions? = nil) throws -> LogEngine {
        try LogEngine(directory: self.directory, options: options ?? self.options)
    }

    static func record(_ number: Int, stream: String? = "s", bytes: Int = 60) -> EventRecord {
        EventRecord(
            id: .text("e\(number)"), type: "t\(number % 3)", stream: stream, timestamp: Int64(number),
            payload: ArraySlice((0..<bytes).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ number) }))
    }

    static func records(_ range: Range<Int>, stream: String? = "s", bytes: Int = 60) -> [EventRecord] {
        range.map { Self.record($0, stream: stream, bytes: bytes) }
    }
}

extension LogEngine {
    /// The numbers of all events, which ``EngineScratch`` gave them; checks places and revisions too.
    func checkedNumbers(sourceLocation: SourceLocation = #_sourceLocation) throws -> [Int] {
        let found = try self.records(RecordQuery())
        var revisions: [String: UInt64] = [:]
        for (index, placed) in found.enumerated() {
            #expect(placed.position == UInt64(index), sourceLocation: sourceLocation)
            guard let stream = placed.record.stream else { continue }
            #expect(placed.revision == revisions[stream, default: 0], sourceLocation: sourceLocation)
            revisions[stream, default: 0] += 1
        }
        return found.compactMap { placed in
            if case .text(let id) = placed.record.id { Int(id.dropFirst()) } else { nil }
        }
    }
}

/// A commit seam for tests: durable, unless a fault is set.
final class FaultySeam: Sendable {
    enum Fault: Sendable {
        /// The commit throws this and has changed nothing.
        case before(StorageError.Code)
        /// The commit is durable and throws all the same.
        case after(StorageError.Code)
        /// The commit says that it began, and waits until it is let go.
        case hold(began: WakeSignal, letGo: WakeSignal)
        /// The transaction ends, somebody else does what this does, and the commit throws.
        case overtaken(StorageError.Code, by: @Sendable () throws(StorageError) -> Void)
    }

    private struct State {
        var fault: Fault?
        /// Commits that go well before the fault comes.
        var delay = 0
        var commits = 0
    }

    private let state = Lock(State())

    /// Commits that were asked for so far.
    var commits: Int { self.state.withLock { $0.commits } }

    /// Lets the commit after the next `delay` ones, and that one alone, fail.
    func fail(_ fault: Fault?, after delay: Int = 0) {
        self.state.withLock { ($0.fault, $0.delay) = (fault, delay) }
    }

    var commitSeam: CommitSeam {
        CommitSeam { [self] transaction throws(StorageError) in
            switch self.next() {
            case nil: try transaction.commit()
            case .before(let code): throw StorageError(code, "a fault of the test", number: 5)
            case .after(let code):
                try transaction.commit()
                throw StorageError(code, "a fault of the test", number: 5)
            case .hold(let began, let letGo):
                began.wake()
                letGo.wait()
                try transaction.commit()
            case .overtaken(let code, let other):
                Self.end(transaction)
                try other()
                throw StorageError(code, "a fault of the test", number: 5)
            }
        }
    }

    /// Undoes it.
    private static func end(_ transaction: consuming WriteTransaction) {}

    private func next() -> Fault? {
        self.state.withLock { state in
            state.commits += 1
            guard state.fault != nil else { return nil }
            if state.delay > 0 {
                state.delay -= 1
                return nil
            }
            defer { state.fault = nil }
            return state.fault
        }
    }
}
