import Testing

@testable import TidelogStorage

/// Something to be done once, at a moment that the engine tells.
private final class Meanwhile: Sendable {
    private let body = Lock<(@Sendable () -> Void)?>(nil)

    func once(_ body: @escaping @Sendable () -> Void) {
        self.body.withLock { $0 = body }
    }

    func run() {
        let body = self.body.withLock { body in
            defer { body = nil }
            return body
        }
        body?()
    }
}

@Suite("What is known of streams while the log changes")
struct StreamRaceTests {
    let scratch = EngineScratch()
    private let meanwhile = Meanwhile()

    private enum Change: CaseIterable { case seal, fail, append }

    private func open() throws -> LogEngine {
        var options = self.scratch.options
        options.betweenReads = { [meanwhile = self.meanwhile] in meanwhile.run() }
        return try self.scratch.open(options)
    }

    /// Does something to the log between the next look at the index and the read of the head that follows it.
    private func prepare(_ change: Change, _ engine: LogEngine, _ number: Int) {
        let seam = self.scratch.seam
        self.meanwhile.once {
            do throws(StorageError) {
                switch change {
                case .seal: _ = try engine.seal()
                case .fail:
                    seam.fail(.before(.mapFull))
                    expectError(.mapFull) { _ = try engine.appendBlocking([EngineScratch.record(number)]) }
                case .append: _ = try engine.appendBlocking([EngineScratch.record(number, stream: "other")])
                }
            } catch {
                Issue.record(error)
            }
        }
    }

    @Test("is as of the question or later, whatever is sealed, refused or appended during the answer")
    func summaries() throws {
        let engine = try self.open()
        var next = 0
        var revision: UInt64 = 0
        for change in Change.allCases + Change.allCases {
            for question in 0..<3 {
                _ = try engine.appendBlocking(
                    [EngineScratch.record(next), EngineScratch.record(next + 1, stream: "n\(next)")])
                let position = try engine.currentView().end
                self.prepare(change, engine, next + 2)
                let what = "\(change), question \(question)"
                switch question {
                case 0:
                    let found = try engine.stream("s")
                    #expect(found?.lastRevision == revision, "\(what)")
                    #expect(found?.lastPosition == position - 2, "\(what)")
                    #expect(found?.firstPosition == 0, "\(what)")
                case 1:
                    let found = try engine.stream("n\(next)")
                    #expect(found?.lastRevision == 0, "\(what)")
                    #expect(found?.lastPosition == position - 1, "\(what)")
                default:
                    let found = try engine.streams(prefix: "", after: nil, limit: 1000)
                    #expect(found.last?.name == "s" && found.last?.lastRevision == revision, "\(what)")
                    #expect(found.contains { $0.name == "n\(next)" }, "\(what)")
                    let alone = found.filter { $0.name.hasPrefix("n") }
                    #expect(alone.allSatisfy { $0.lastRevision == 0 }, "\(what)")
                }
                next += 10
                revision += 1
            }
        }
        engine.close()
    }

    @Test("compaction that keeps the latest event finds it where a commit fails at that moment")
    func lastPositions() throws {
        let engine = try self.open()
        _ = try engine.appendBlocking(EngineScratch.records(0..<5))
        _ = try engine.seal()
        for (number, change) in Change.allCases.enumerated() {
            let outcome = try engine.appendBlocking(
                [EngineScratch.record(100 + number, stream: "\(change)")])
            self.prepare(change, engine, 200)
            #expect(try engine.lastPositions([nil, "\(change)", "s"]) == [nil, outcome.firstPosition, 4])
        }
        engine.close()
    }

    @Test("a page of streams is full where there are more, also while new ones are being committed")
    func pages() async throws {
        let engine = try self.scratch.open()
        let seam = self.scratch.seam
        _ = try engine.appendBlocking((0..<4).map { EngineScratch.record($0, stream: "m\($0)") })
        let (began, letGo, letGoOther) = (WakeSignal(), WakeSignal(), WakeSignal())
        seam.fail(.hold(began: began, letGo: letGo))
        async let held = engine.append([EngineScratch.record(9, stream: "m0")])
        while seam.commits < 2 { await Task.yield() }
        // Two frames in one transaction, so that the first is in the index before that is committed.
        async let first = engine.append(EngineScratch.records(100..<160, stream: "a"))
        async let second = engine.append(EngineScratch.records(200..<260, stream: "b"))
        while engine.writer?.waitingRequests != 2 { await Task.yield() }
        seam.fail(.hold(began: began, letGo: letGoOther))
        letGo.wake()
        while seam.commits < 3 { await Task.yield() }
        #expect(try engine.streams(prefix: "", after: nil, limit: 3).map(\.name) == ["m0", "m1", "m2"])
        letGoOther.wake()
        _ = try await (held, first, second)
        #expect(try engine.streams(prefix: "", after: nil, limit: 3).map(\.name) == ["a", "b", "m0"])
        engine.close()
    }

    @Test("an index that lacks what the view has in the head is not taken with it")
    func halfWay() {
        let summary = FrameSummary(
            count: 1, streams: ["s"], streamCodes: [1], types: ["t"], typeCodes: [0], idHashes: [1],
            correlationHashes: [0], minTimestamp: 0, maxTimestamp: 0, uncompressedBytes: 1)
        let state = HeadState.new(createdAt: 0)
        var shared = SharedState(
            view: ReadView(state: state, transactionID: 5, end: 1), active: ActiveIndex(first: 0),
            segmentBytes: 1 << 20)
        // As after a transaction that was not committed.
        var isComplete = [shared.isComplete]
        shared.add(FrameForIndex(summary: summary, first: 0, baseRevisions: [0]))
        isComplete.append(shared.isComplete)
        #expect(shared.viewOfSealed(stream: "s", since: 5)?.end == nil)
        #expect(shared.viewOfSealed(stream: "other", since: 5)?.end == 1)
        // As while the cache takes over that all of it was sealed: the view's files have none of it.
        shared.active.dropSealed(below: 1)
        isComplete.append(shared.isComplete)
        #expect(shared.viewOfSealed(stream: "s", since: 5)?.end == nil)
        shared.view.state.sealedEnd = 1
        isComplete.append(shared.isComplete)
        #expect(shared.viewOfSealed(stream: "s", since: 5)?.end == 1)
        #expect(isComplete == [false, true, false, true])
    }
}
