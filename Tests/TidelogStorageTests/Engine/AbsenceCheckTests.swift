import Testing

@testable import TidelogStorage

@Suite("Appends on the condition that a query finds nothing")
struct AbsenceCheckTests {
    let scratch = EngineScratch()

    private static func query(_ build: (inout RecordFilter) -> Void) -> RecordQuery {
        var query = RecordQuery()
        build(&query.filter)
        return query
    }

    private static func absence(_ query: RecordQuery, _ engine: LogEngine) throws -> AbsenceCheck {
        try AbsenceCheck(query, in: engine) { StorageError(.conflict, "found", positions: $0..<$0 + 1) }
    }

    /// Lets `body` hand over requests while a commit is held, so that they make one transaction, in the order
    /// in which they were handed over.
    private func inOneTransaction<Value: Sendable>(
        _ engine: LogEngine, _ requests: [@Sendable () async throws -> Value]
    ) async throws -> [Result<Value, any Error>] {
        let (began, letGo) = (WakeSignal(), WakeSignal())
        let commits = self.scratch.seam.commits
        self.scratch.seam.fail(.hold(began: began, letGo: letGo))
        var first = EngineScratch.record(9_999_999, stream: nil)
        first.timestamp = 1
        let held = Task { [first] in try await engine.append([first]) }
        while self.scratch.seam.commits == commits { await Task.yield() }
        var tasks: [Task<Value, any Error>] = []
        let writer = try engine.requireWriter()
        for (index, request) in requests.enumerated() {
            tasks.append(Task { try await request() })
            while writer.waitingRequests <= index { await Task.yield() }
        }
        letGo.wake()
        _ = try await held.value
        var results: [Result<Value, any Error>] = []
        for task in tasks { results.append(await task.result) }
        #expect(self.scratch.seam.commits == commits + 2, "the requests were not one transaction")
        return results
    }

    @Test("see what was accepted ahead of them in the same transaction, whatever the query asks for")
    func gathered() async throws {
        let engine = try self.scratch.open()
        _ = try engine.appendBlocking([EngineScratch.record(0)])
        var first = EngineScratch.record(1)
        first.correlation = .text("c")
        first.source = "here"
        first.tenant = "mine"
        let before = [first, EngineScratch.record(2, stream: "other")]
        let matching: [(inout RecordFilter) -> Void] = [
            { $0.streams = ["s"] }, { $0.types = .init { $0 == "t1" } }, { $0.correlation = .text("c") },
            { $0.source = "here" }, { $0.tenant = "mine" }, { $0.streamPrefix = "oth" },
            { ($0.streams, $0.revisions) = (["s"], 1..<2) }, { $0.since = 2 },
            { ($0.streams, $0.types) = (["other"], .init { $0 == "t2" }) },
        ]
        let others: [(inout RecordFilter) -> Void] = [
            { $0.streams = ["none"] }, { $0.types = .init { $0 == "t9" } }, { $0.correlation = .text("d") },
            { ($0.streams, $0.revisions) = (["s"], 2..<9) }, { $0.since = 90 },
            { ($0.streams, $0.types) = (["other"], .init { $0 == "t1" }) },
        ]
        var requests: [@Sendable () async throws -> AppendOutcome] = [{ try await engine.append(before) }]
        var next = 100
        for build in matching + others {
            var query = Self.query(build)
            query.positions = 1..<UInt64.max
            let check = try Self.absence(query, engine)
            let event = EngineScratch.record(next, stream: "n\(next)", bytes: 3)
            var plain = event
            (plain.type, plain.timestamp) = ("plain", 1)
            requests.append { [plain] in try await engine.append([plain], absences: [check]) }
            next += 1
        }
        let results = try await self.inOneTransaction(engine, requests)
        #expect(throws: Never.self) { try results[0].get() }
        for (index, result) in results.dropFirst().enumerated() {
            let isRefused = (try? result.get()) == nil
            #expect(isRefused == (index < matching.count), "query \(index)")
            guard index < matching.count, case .failure(let error) = result else { continue }
            // Position 1 is the event that held the first commit.
            let position = (error as? StorageError)?.positions?.lowerBound
            #expect(position == ([5, 7, 8].contains(index) ? 3 : 2), "query \(index)")
        }
        engine.close()
    }

    @Test("that wait together go into one frame, as appends without conditions do")
    func oneFrame() async throws {
        let engine = try self.scratch.open()
        _ = try engine.appendBlocking([EngineScratch.record(0)])
        let frames = engine.shared.withLock { $0.active.chunks.reduce(0) { $0 + $1.frames.count } }
        var requests: [@Sendable () async throws -> AppendOutcome] = []
        for number in 0..<64 {
            let check = try Self.absence(Self.query { $0.streams = ["name-\(number)"] }, engine)
            let event = EngineScratch.record(100 + number, stream: "name-\(number)")
            requests.append { try await engine.append([event], absences: [check]) }
        }
        for result in try await self.inOneTransaction(engine, requests) { _ = try result.get() }
        let after = engine.shared.withLock { $0.active.chunks.reduce(0) { $0 + $1.frames.count } }
        #expect(after == frames + 2, "the held one, and one for all 64")
        engine.close()
    }

    @Test("of hundreds that want the same name at once exactly one is granted")
    func oneWinner() async throws {
        let engine = try self.scratch.open()
        _ = try engine.appendBlocking([EngineScratch.record(0)])
        var requests: [@Sendable () async throws -> AppendOutcome] = []
        for number in 0..<400 {
            let name = "taken.\(number % 3)"
            let check = try Self.absence(Self.query { $0.types = .init { $0 == name } }, engine)
            var event = EngineScratch.record(100 + number, stream: "s\(number % 5)")
            event.type = name
            requests.append { [event] in try await engine.append([event], absences: [check]) }
            // In between, so many that the gathered frame is written on the way.
            let plain = EngineScratch.record(10_000 + number, stream: nil)
            requests.append { try await engine.append([plain]) }
        }
        let results = try await self.inOneTransaction(engine, requests)
        #expect(results.count { (try? $0.get()) != nil } == 403)
        for kind in 0..<3 {
            #expect(try engine.count(Self.query { $0.types = .init { $0 == "taken.\(kind)" } }) == 1)
        }
        engine.close()
    }
}
