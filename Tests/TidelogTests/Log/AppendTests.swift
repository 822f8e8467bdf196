import Testing
import Tidelog
import TidelogTesting

/// Appends through one form of the API, so that each promise is tested of the suspending and the blocking
/// one.
enum AppendForm: CaseIterable {
    case suspending, blocking

    func append(
        _ events: [Event], to stream: String? = nil, expecting expectation: ExpectedRevision = .any,
        in log: EventLog
    ) async throws -> AppendResult {
        switch self {
        case .suspending: try await log.append(events, to: stream, expecting: expectation)
        case .blocking: try log.appendBlocking(events, to: stream, expecting: expectation)
        }
    }

    func append(
        _ events: [Event], expecting expectations: [String: ExpectedRevision], in log: EventLog
    ) async throws -> AppendResult {
        switch self {
        case .suspending: try await log.append(events, expecting: expectations)
        case .blocking: try log.appendBlocking(events, expecting: expectations)
        }
    }
}

@Suite("Appending")
struct AppendTests {
    /// Few events are encoded by the writer, many by the caller.
    static let counts = [1, 3, 47, 48, 200]

    private static func events(
        _ numbers: Range<Int>, prefix: String = "e", stream: String? = nil
    ) -> [Event] {
        numbers.map {
            Event(id: EventID("\(prefix)-\($0)"), type: "t.\($0 % 3)", stream: stream, text: "text \($0)")
        }
    }

    @Test("answers with positions and revisions after the commit", arguments: AppendForm.allCases, counts)
    func places(form: AppendForm, count: Int) async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            for round in 0..<3 {
                let result = try await form.append(
                    Self.events(round * count..<(round + 1) * count), to: "s", in: log)
                let first = Position(UInt64(round * count))
                #expect(result.positions == first..<Position(UInt64((round + 1) * count)))
                let last = Revision(UInt64((round + 1) * count - 1))
                #expect(result.lastRevision(of: "s") == last)
                #expect(result.streams.map(\.name) == ["s"])
                #expect(result.lastRevision(of: "other") == nil)
                #expect(!result.isRepeat)
                #expect(try await log.count() == (round + 1) * count)
            }
            let apart = try await form.append(Self.events(0..<count, prefix: "none"), in: log)
            #expect(apart.streams.isEmpty)
            #expect(try await form.append([], in: log).positions.isEmpty)
            await log.close()
        }
    }

    @Test("goes ahead where the expectation holds", arguments: AppendForm.allCases, counts)
    func expectations(form: AppendForm, count: Int) async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            var next = 0
            for expectation in [
                ExpectedRevision.noStream, .exact(Revision(UInt64(count - 1))), .streamExists, .any,
            ] {
                let events = Self.events(next..<next + count)
                let result = try await form.append(events, to: "s", expecting: expectation, in: log)
                next += count
                #expect(result.lastRevision(of: "s") == Revision(UInt64(next - 1)))
            }
            await log.close()
        }
    }

    @Test(
        "to several streams is atomic: one expectation that fails refuses all, with the actual revision",
        arguments: AppendForm.allCases, counts)
    func severalStreams(form: AppendForm, count: Int) async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            _ = try await form.append(Self.events(0..<5, prefix: "a"), to: "a", in: log)
            var events = Self.events(0..<count, prefix: "x", stream: "a")
            events += Self.events(0..<count, prefix: "y", stream: "b")
            do {
                _ = try await form.append(events, expecting: ["a": .exact(4), "b": .streamExists], in: log)
                Issue.record("an expectation that does not hold was let through")
            } catch let error as EventLogError {
                #expect(error.code == .conflict)
                #expect(error.actualRevision == nil)
            }
            do {
                _ = try await form.append(events, expecting: ["a": .exact(3), "b": .noStream], in: log)
                Issue.record("an expectation that does not hold was let through")
            } catch let error as EventLogError {
                #expect(error.code == .conflict)
                #expect(error.actualRevision == 4)
            }
            #expect(try await log.count() == 5)
            // A stream that gets no event may be asked about too.
            let result = try await form.append(
                events, expecting: ["a": .exact(4), "b": .noStream, "c": .noStream], in: log)
            #expect(result.streams.map(\.name) == ["a", "b"])
            #expect(result.lastRevision(of: "a") == Revision(UInt64(4 + count)))
            #expect(result.lastRevision(of: "b") == Revision(UInt64(count - 1)))
            #expect(try await log.count() == 5 + 2 * count)
            await log.close()
        }
    }

    @Test(
        "repeated whole is stored once and answered as the first time, also after others, sealing, reopening",
        arguments: AppendForm.allCases, counts)
    func repeats(form: AppendForm, count: Int) async throws {
        try await withTemporaryLog { _, open in
            var log = try await open(.init())
            let events = Self.events(0..<count)
            let first = try await form.append(events, to: "s", expecting: .noStream, in: log)
            for step in ["at once", "after others", "after sealing", "after reopening"] {
                switch step {
                case "after others":
                    _ = try await form.append(Self.events(0..<60, prefix: "other"), to: "s", in: log)
                case "after sealing": try await log.seal()
                case "after reopening":
                    await log.close()
                    log = try await open(.init())
                default: break
                }
                let before = try await log.count()
                // The expectation held then, and does not hold now: the answer is the first one all the same.
                let again = try await form.append(events, to: "s", expecting: .noStream, in: log)
                #expect(again.isRepeat, "\(step)")
                #expect(again.positions == first.positions, "\(step)")
                #expect(again.lastRevision(of: "s") == first.lastRevision(of: "s"), "\(step)")
                #expect(try await log.count() == before, "\(step)")
            }
            await log.close()
        }
    }

    @Test(
        "repeated in part, in another order, changed, or to another stream is refused",
        arguments: AppendForm.allCases, counts)
    func notRepeats(form: AppendForm, count: Int) async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let events = Self.events(0..<count)
            _ = try await form.append(events, to: "s", in: log)
            var attempts = [(events + Self.events(1000..<1001), "s"), (events, "another")]
            if count > 1 { attempts.append((events.reversed(), "s")) }
            var changed = events
            changed[count - 1] = Event(
                id: events[count - 1].id, type: events[count - 1].type, text: "changed")
            attempts.append((changed, "s"))
            for (events, stream) in attempts {
                let error = await #expect(throws: EventLogError.self) {
                    try await form.append(events, to: stream, in: log)
                }
                #expect(error?.code == .duplicateEvent)
            }
            #expect(try await log.count() == count)
            await log.close()
        }
    }

    @Test("of many callers at once: each gets places of its own, and every stream its events in order")
    func manyCallers() async throws {
        try await withTemporaryLog { _, open in
            var configuration = EventLogConfiguration()
            configuration.segmentSizeBytes = 64 << 10
            // So little may wait that callers have to take turns.
            configuration.maximumWaitingBytes = 4 << 10
            let log = try await open(configuration)
            let callers = 24
            try await withThrowingTaskGroup(of: Void.self) { group in
                for caller in 0..<callers {
                    group.addTask {
                        var next: UInt64 = 0
                        for round in 0..<40 {
                            let count = [1, 2, 60][(caller + round) % 3]
                            let start = round * 100
                            let result = try await log.append(
                                Self.events(start..<start + count, prefix: "\(caller)"), to: "s-\(caller)",
                                expecting: next == 0 ? .noStream : .exact(Revision(next - 1)))
                            next += UInt64(count)
                            #expect(result.positions.count == count)
                            #expect(result.lastRevision(of: "s-\(caller)") == Revision(next - 1))
                            // Whoever was answered finds his events, and his stream as he left it.
                            let position = result.positions.lowerBound
                            #expect(try await log.event(at: position)?.stream == "s-\(caller)")
                            #expect(
                                try await log.stream("s-\(caller)")?.lastRevision == Revision(next - 1))
                        }
                    }
                }
                try await group.waitForAll()
            }
            var revisions: [String: UInt64] = [:]
            var position: UInt64 = 0
            for try await stored in log.read() {
                let stream = try #require(stored.stream)
                #expect(stored.position == Position(position))
                #expect(stored.revision == Revision(revisions[stream, default: 0]))
                revisions[stream, default: 0] += 1
                position += 1
            }
            #expect(revisions.count == callers)
            await log.close()
        }
    }
}
