import Testing

@testable import TidelogStorage

@Suite("Long changes to the head, in slices")
struct GiveWayTests {
    private let scratch = EngineScratch()

    /// How often was asked whether appends wait, and how often some were let go first.
    private static func ways(_ engine: LogEngine) -> [Int] {
        let (asked, given) = engine.maintenance.waysGiven
        return [asked, given]
    }

    /// Runs `body` while a commit is held and one append waits for the next.
    private func whileOneWaits(_ engine: LogEngine, _ body: () -> Void) async throws {
        let (began, letGo) = (WakeSignal(), WakeSignal())
        let commits = self.scratch.seam.commits
        self.scratch.seam.fail(.hold(began: began, letGo: letGo))
        let held = Task { try await engine.append([EngineScratch.record(1_000_000)]) }
        while self.scratch.seam.commits == commits { await Task.yield() }
        let waiting = Task { try await engine.append([EngineScratch.record(1_000_001)]) }
        let writer = try engine.requireWriter()
        while writer.waitingRequests == 0 { await Task.yield() }
        body()
        letGo.wake()
        _ = try await held.value
        _ = try await waiting.value
    }

    @Test("let appends that wait go first, and stop for nobody else")
    func waiting() async throws {
        let engine = try self.scratch.open()
        engine.giveWay(after: .microseconds(1))
        #expect(Self.ways(engine) == [1, 0])
        try await self.whileOneWaits(engine) { engine.giveWay(after: .microseconds(1)) }
        #expect(Self.ways(engine) == [2, 1])
        engine.close()
    }

    @Test("go on at once where appends are about to be held up because too much waits to be sealed")
    func hurried() async throws {
        var options = self.scratch.options
        options.maximumUnsealedSegments = 0
        let engine = try self.scratch.open(options)
        try await self.whileOneWaits(engine) { engine.giveWay(after: .microseconds(1)) }
        #expect(Self.ways(engine) == [1, 0])
        engine.close()
    }

    @Test("are looked after while stream heads are written, and while frames are deleted")
    func sealing() throws {
        var options = self.scratch.options
        options.segmentBytes = 64 << 20
        let engine = try self.scratch.open(options)
        // More streams than a slice can grow to from the first one on: at least two slices of them.
        for first in stride(from: 0, to: 1200, by: 100) {
            let records = (first..<first + 100).map { EngineScratch.record($0, stream: "s\($0)") }
            _ = try engine.appendBlocking(records)
        }
        _ = try engine.seal()
        // Two of stream heads (500, and at most twice as many), one of frames.
        #expect(engine.maintenance.waysGiven.asked >= 3)
        #expect(try engine.checkedNumbers() == Array(0..<1200))
        engine.close()
    }
}
