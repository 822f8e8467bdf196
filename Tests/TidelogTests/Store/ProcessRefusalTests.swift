import Testing
import TidelogStorage
import TidelogTesting

@testable import Tidelog

@Suite("Process managers whose events the log refuses")
struct ProcessRefusalTests {
    private static func event(_ number: Int) -> Event { Event(id: .init("go-\(number)"), type: "go") }

    /// Sends what `answer` says to each event of type "go"; an instance for each of them.
    private static func process(
        _ name: String = "saga", from position: Position = .zero,
        _ answer: @escaping @Sendable (StoredEvent) throws -> [Event]
    ) -> ProcessManager<Int> {
        var query = EventQuery.types("go")
        query.from = position
        return ProcessManager(name, state: 0, of: query) {
            $0.event.id.description
        } handle: { stored, state, actions in
            state += 1
            for event in try answer(stored) { actions.send(event) }
        }
    }

    /// One event, whose id tells what it answers.
    private static func out(_ stored: StoredEvent, to stream: String = "kept") -> Event {
        Event(id: .init("out-\(stored.event.id)"), type: "out", stream: stream)
    }

    /// What the process manager stopped at.
    private static func failure(_ log: EventLog, _ name: String = "saga") async throws -> ProcessFailure {
        try #require(try await log.process(name).status()?.failure)
    }

    /// Runs one that works, and requires that each of the events was answered once.
    private static func expectOnce(
        _ log: EventLog, of count: Int, from position: Position = .zero
    ) async throws {
        let status = try await log.catchUp(Self.process(from: position) { [Self.out($0)] })
        #expect(status.failure == nil)
        #expect(status.lag == 0)
        var answers = EventQuery.types("out")
        answers.from = position
        let ids = try await log.events(answers).map(\.id.description)
        #expect(ids.sorted() == (0..<count).map { "out-go-\($0)" }.sorted())
        #expect(ids.count == count)
        for number in 0..<count {
            #expect(try await log.process("saga").state(of: "go-\(number)", as: Int.self) == 1)
        }
    }

    @Test(
        "a deleted stream stops one alone, after all that came before, and the status names the event that was sent",
        arguments: [0, 60])
    func deletedStream(others: Int) async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(Event(type: "x"), to: "gone")
            try await log.delete(stream: "gone")
            try await log.append((0..<10).map(Self.event))
            let beside = try await log.start(Self.process("beside") { _ in [Event(type: "other")] })
            let refused = Self.process { stored in
                let first = (0..<others).map { Event(type: "filler", stream: "s\($0 % 3)") }
                return first + [Self.out(stored, to: stored.event.id == "go-6" ? "gone" : "kept")]
            }
            let running = try await log.start(refused)
            await expectCode(.projectionFailed) { try await running.waitUntilStopped() }
            let status = try #require(try await log.process("saga").status())
            #expect(status.next == 7)
            let failure = try #require(status.failure)
            #expect(failure.position == 7 && failure.instance == "go-6" && failure.timer == nil)
            #expect(failure.code == .streamDeleted)
            #expect(failure.message.contains("'gone' was deleted"))
            #expect(
                failure.output
                    == ProcessOutput(index: others, eventID: "out-go-6", type: "out", stream: "gone"))
            #expect(try await log.process("saga").instances() == (0..<6).map { "go-\($0)" })
            #expect(try await log.count(.types("out")) == 6)
            #expect(try await log.count(.types("filler")) == 6 * others)
            await beside.waitUntil(10)
            #expect(try await log.count(.types("other")) == 10)
            #expect(try await log.process("beside").status()?.failure == nil)
            await beside.stop()
            // Started again it stops there again, with nothing done twice; repaired, it goes on.
            let error = await #expect(throws: EventLogError.self) { try await log.catchUp(refused) }
            #expect(error?.code == .projectionFailed && error?.positions == 7..<8)
            #expect(try await log.count(.types("out")) == 6)
            try await Self.expectOnce(log, of: 10)
            await log.close()
        }
    }

    @Test("an id that the log has with other contents stops it at the event that sent it")
    func otherContents() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(Event(id: "taken", type: "first", stream: "kept"))
            try await log.append((0..<4).map(Self.event))
            let process = Self.process { stored in
                let taken = Event(id: "taken", type: "second", stream: "kept")
                return [Self.out(stored)] + (stored.event.id == "go-2" ? [taken] : [])
            }
            await expectCode(.projectionFailed) { try await log.catchUp(process) }
            let failure = try await Self.failure(log)
            #expect(failure.code == .duplicateEvent && failure.position == 3)
            #expect(failure.output?.index == 1 && failure.output?.eventID == "taken")
            #expect(try await log.count(.types("out")) == 2)
            try await Self.expectOnce(log, of: 4)
            await log.close()
        }
    }

    @Test("what the log has already, with the same contents, counts as sent, beside what is new")
    func knownAmongNew() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let known = (0..<60).map { Event(id: .init("k-\($0)"), type: "k", causationID: "c") }
            try await log.append(Array(known[..<3]))
            try await log.append((0..<5).map(Self.event))
            // The first one sends three that are known and many that are new; the others send them all again.
            let process = Self.process { stored in [Self.out(stored)] + known.reversed() }
            #expect(try await log.catchUp(process).failure == nil)
            #expect(try await log.count(.types("k")) == 60)
            #expect(try await log.count(.types("out")) == 5)
            try await Self.expectOnce(log, of: 5)
            await log.close()
        }
    }

    @Test(
        "what takes something back, and no longer fits its schema, is named; once it is let through it goes on"
    )
    func refusedUndo() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let process = ProcessManager("saga", state: 0, of: .types("begin", "fail")) {
                $0.event.correlationID?.description
            } handle: { stored, _, actions in
                if stored.type == "begin" {
                    actions.send(
                        Event(type: "reserve", stream: "kept"),
                        undoneBy: Event(id: "back", type: "release", stream: "kept", json: "[]"))
                } else {
                    actions.send(Event(type: "sorry", stream: "kept"))
                    actions.undo()
                    actions.complete()
                }
            }
            try await log.append(Event(type: "begin", correlationID: "a"))
            try await log.catchUp(process)
            try await log.schemas.register(JSONSchema(#"{"type":"object"}"#), for: "release")
            let failing = try await log.append(Event(type: "fail", correlationID: "a"))
            try await log.append(Event(type: "begin", correlationID: "b"))
            await expectCode(.projectionFailed) { try await log.catchUp(process) }
            let failure = try await Self.failure(log)
            #expect(failure.code == .schemaViolation)
            #expect(failure.position == failing.positions.lowerBound && failure.instance == "a")
            #expect(failure.output?.index == 1 && failure.output?.eventID == "back")
            #expect(try await log.count(.types("sorry", "release")) == 0)
            #expect(try await log.process("saga").instances() == ["a"])
            try await log.schemas.setMode(.off, for: "release")
            #expect(try await log.catchUp(process).failure == nil)
            #expect(try await log.count(.types("sorry")) == 1)
            #expect(try await log.count(.types("release")) == 1)
            #expect(try await log.count(.types("reserve")) == 2)
            #expect(try await log.process("saga").instances() == ["b"])
            await log.close()
        }
    }

    @Test("what is to take something back later, and is no event that the log takes, is refused at once")
    func faultyUndo() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            func undoing(with type: String) -> ProcessManager<Int> {
                ProcessManager("saga", state: 0, of: .types("begin", "fail")) {
                    $0.event.correlationID?.description
                } handle: { stored, _, actions in
                    if stored.type == "fail" {
                        actions.undo()
                        return actions.complete()
                    }
                    let undo = Event(type: stored.event.id == "second" ? type : "release", stream: "kept")
                    actions.send(Event(type: "hello", stream: "kept"))
                    actions.send(Event(type: "reserve", stream: "kept"), undoneBy: undo)
                }
            }
            try await log.append(Event(id: "first", type: "begin", correlationID: "a"))
            let second = try await log.append(Event(id: "second", type: "begin", correlationID: "a"))
            try await log.append(Event(type: "fail", correlationID: "a"))
            await expectCode(.projectionFailed) { try await log.catchUp(undoing(with: "")) }
            let failure = try await Self.failure(log)
            #expect(failure.code == .invalidEvent && failure.position == second.positions.lowerBound)
            #expect(failure.instance == "a" && failure.output?.index == 1 && failure.output?.type == "")
            #expect(try await log.count(.types("reserve")) == 1)
            #expect(try await log.catchUp(undoing(with: "release")).failure == nil)
            #expect(try await log.count(.types("reserve")) == 2)
            #expect(try await log.count(.types("release")) == 2)
            #expect(try await log.process("saga").instances().isEmpty)
            await log.close()
        }
    }

    @Test(
        "events that are too much for one append go in several; those of one event that are too much stop it")
    func limits() async throws {
        try await withTemporaryLog { _, open in
            var configuration = EventLogConfiguration()
            configuration.maximumBatchBytes = 4096
            let log = try await open(configuration)
            for number in 0..<12 { try await log.append(Self.event(number)) }
            let text = String(repeating: "x", count: 1000)
            let process = Self.process { stored in
                let large = (0..<(stored.event.id == "go-9" ? 6 : 1)).map {
                    Event(
                        id: .init("large-\(stored.event.id)-\($0)"), type: "large", payload: .init(text: text)
                    )
                }
                return large + [Self.out(stored)]
            }
            await expectCode(.projectionFailed) { try await log.catchUp(process) }
            let failure = try await Self.failure(log)
            #expect(failure.code == .limitExceeded && failure.position == 9 && failure.output == nil)
            #expect(try await log.count(.types("large")) == 9)
            try await Self.expectOnce(log, of: 12)
            await log.close()
        }
    }

    @Test("an event that is too large, or an id twice, stops it, and the status names which")
    func faultyOutputs() async throws {
        try await withTemporaryLog { _, open in
            var configuration = EventLogConfiguration()
            configuration.limits.maximumEventBytes = 100
            let log = try await open(configuration)
            try await log.append((0..<3).map(Self.event))
            let large = Event(type: "large", payload: .init(text: String(repeating: "x", count: 101)))
            await expectCode(.projectionFailed) {
                try await log.catchUp(
                    Self.process { [Self.out($0)] + ($0.event.id == "go-1" ? [large] : []) })
            }
            #expect(try await Self.failure(log).output?.index == 1)
            #expect(try await Self.failure(log).output?.type == "large")
            await expectCode(.projectionFailed) {
                try await log.catchUp(Self.process { [Self.out($0), Self.out($0)] })
            }
            #expect(try await Self.failure(log).code == .invalidArgument)
            #expect(try await Self.failure(log).output?.eventID == "out-go-1")
            try await Self.expectOnce(log, of: 3)
            await log.close()
        }
    }

    @Test("two events that send the same one have it sent once")
    func sameFromTwo() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append((0..<20).map(Self.event))
            let same = Event(id: "same", type: "same", causationID: "c")
            #expect(try await log.catchUp(Self.process { [Self.out($0), same] }).failure == nil)
            #expect(try await log.count(.types("same")) == 1)
            try await Self.expectOnce(log, of: 20)
            await log.close()
        }
    }

    @Test("a timer whose event is refused stops it, waits, and fires once when it is resumed")
    func timer() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(Event(type: "x"), to: "gone")
            try await log.delete(stream: "gone")
            try await log.append((0..<5).map(Self.event))
            func waking(sending stream: String) -> ProcessManager<Int> {
                var process = ProcessManager("saga", state: 0, of: .types("go")) {
                    $0.event.id.description
                } handle: { stored, state, actions in
                    state = Int(stored.event.id.description.dropFirst(3)) ?? 0
                    actions.setTimer("wake", at: Timestamp(nanosecondsSinceEpoch: Int64(state)))
                } timer: { _, state, actions in
                    actions.send(Event(type: "woken", stream: state == 3 ? stream : "kept"))
                    actions.complete()
                }
                process.now = { Timestamp(nanosecondsSinceEpoch: 1000) }
                return process
            }
            await expectCode(.projectionFailed) { try await log.catchUp(waking(sending: "gone")) }
            let failure = try await Self.failure(log)
            #expect(failure.position == nil && failure.timer == "wake" && failure.instance == "go-3")
            #expect(failure.code == .streamDeleted && failure.output?.stream == "gone")
            #expect(try await log.count(.types("woken")) == 3)
            #expect(try await log.process("saga").timers().map(\.instance) == ["go-3", "go-4"])
            #expect(try await log.catchUp(waking(sending: "kept")).failure == nil)
            #expect(try await log.count(.types("woken")) == 5)
            #expect(try await log.process("saga").timers().isEmpty)
            await log.close()
        }
    }

    @Test("an id that may be in a damaged segment stops it, as a refusal")
    func damagedSegment() async throws {
        try await withTemporaryLog { _, open in
            let known = { @Sendable (number: Int) in
                Event(id: .init("k-\(number)"), type: "k", stream: "k", causationID: "c")
            }
            let log = try await DamagedSample.log(open, known)
            try await log.append((0..<6).map(Self.event))
            // From behind the damage on, so that all it sees can be read.
            let process = Self.process(from: 120) {
                [Self.out($0)] + ($0.event.id == "go-4" ? [known(70)] : [])
            }
            await expectCode(.projectionFailed) { try await log.catchUp(process) }
            let failure = try await Self.failure(log)
            #expect(failure.code == .corrupted && failure.position == 124)
            #expect(failure.output?.index == 1 && failure.output?.eventID == "k-70")
            #expect(try await log.process("saga").instances().count == 4)
            try await Self.expectOnce(log, of: 6, from: 120)
            await log.close()
        }
    }

    @Test("events that cannot be read stop it there, after those before them")
    func damagedInput() async throws {
        try await withTemporaryLog { _, open in
            let log = try await DamagedSample.log(open, Self.event)
            await expectCode(.projectionFailed) { try await log.catchUp(Self.process { [Self.out($0)] }) }
            let failure = try await Self.failure(log)
            #expect(failure.code == .corrupted && failure.position == 60 && failure.output == nil)
            #expect(try await log.process("saga").instances(limit: 1000).count == 60)
            var answers = EventQuery.types("out")
            answers.from = 120
            #expect(try await log.count(answers) == 60)
            await log.close()
        }
    }

    @Test("a log without room is no refusal: nothing is written down, and it goes on once there is room")
    func full() async throws {
        try await withTemporaryLog { _, open in
            let (log, bytes) = try await FullSample.log(open, holding: (0..<3).map(Self.event))
            let process = Self.process { [Self.out($0), Event(type: "large", bytes: bytes)] }
            await expectCode(.storageFull) { try await log.catchUp(process) }
            let running = try await log.start(process)
            try await Task.sleep(for: .milliseconds(200))
            #expect(try await log.process("saga").status()?.failure == nil)
            #expect(try await log.count(.types("out")) == 0)
            try await log.seal()
            await running.waitUntil(2)
            #expect(try await log.count(.types("large")) == 3)
            await running.stop()
            try await Self.expectOnce(log, of: 3)
            await log.close()
        }
    }
}
