import Foundation
import Synchronization
import SystemPackage
import Tidelog

struct TidelogSide {
    let settings: Settings

    func run(_ scenario: String) async throws {
        switch scenario {
        case "append": try await self.append()
        case "append-condition": try await self.append(conditions: true)
        case "load": try await self.load()
        case "rebuild": try await self.rebuild()
        case "aggregate": try await self.aggregate()
        case "streams-1000": try await self.streams(1000)
        case "streams-1000000": try await self.streams(1_000_000)
        default: fail("no scenario \(scenario) here")
        }
    }

    private func open(cached: Bool = true) async throws -> EventLog {
        var configuration = EventLogConfiguration()
        if !cached { configuration.streamCacheBytes = 0 }
        return try await EventLog.open(
            at: FilePath(self.settings.directory + "/log"), configuration: configuration)
    }

    // MARK: Appending

    /// 64 tasks; each owns some of the streams and appends one event to each in turn, expecting its revision.
    private func append(conditions: Bool = false) async throws {
        let log = try await self.open()
        let made = try (0..<1000).map { try Made($0, stream: $0).event() }
        let start = ContinuousClock.now
        let total = try await self.inTurn(tasks: 64, since: start) { caller, round, place in
            let stream = place * 64 + caller
            guard stream < 1000 else { return false }
            var event = made[stream]
            event.id = .generate()
            if conditions {
                // A name may be taken once, in whatever stream.
                let name = "name-\(round)-\(stream)"
                try await log.append(
                    [event.withStream(name)],
                    if: .noEvent(matching: .stream(name).and(types: event.type), after: nil))
            } else {
                let expected: ExpectedRevision = round == 0 ? .noStream : .exact(Revision(round - 1))
                try await log.append([event], if: .stream(event.stream ?? "", expected))
            }
            return true
        }
        self.settings.report(
            conditions ? "append-condition" : "append", total, (ContinuousClock.now - start) / .seconds(1))
        await log.close()
    }

    /// Calls `body` from so many tasks, round after round, until the time is over; answers how often it said
    /// that it did something. A round ends where it says that it did not.
    private func inTurn(
        tasks: Int, since start: ContinuousClock.Instant,
        _ body: @escaping @Sendable (_ caller: Int, _ round: UInt64, _ place: Int) async throws -> Bool
    ) async throws -> Int {
        let limit = Duration.seconds(self.settings.seconds)
        return try await withThrowingTaskGroup(of: Int.self) { group in
            for caller in 0..<tasks {
                group.addTask {
                    var done = 0
                    for round in UInt64(0)... {
                        for place in 0... {
                            guard try await body(caller, round, place) else { break }
                            done += 1
                            if ContinuousClock.now - start > limit { return done }
                        }
                    }
                    return done
                }
            }
            return try await group.reduce(0, +)
        }
    }

    /// All streams in turn, batches of 1,000.
    private func fill(_ log: EventLog, streams: Int) async throws {
        for start in stride(from: 0, to: self.settings.events, by: 1000) {
            try await log.append(
                try (start..<start + 1000).map { try Made($0, stream: $0 % streams).event() }, if: .always)
        }
        try await log.seal()
    }

    /// A log that already has events in so many streams: then batches to all of them in turn, and 64 tasks
    /// with one event at a time, expecting the revision of the stream.
    private func streams(_ count: Int) async throws {
        let log = try await self.open()
        let made = try (0..<4096).map { try Made($0, stream: 0).event() }
        try await self.fill(log, streams: count)
        let settled = anonymousMegabytes()
        let first = UInt64(self.settings.events / count)
        let batches = min(1000, self.settings.events / 1000)
        var start = ContinuousClock.now
        for batch in 0..<batches {
            let events = (0..<1000).map { index -> Event in
                let number = batch * 1000 + index
                return made[number % 4096].with(id: .generate(), stream: Made.stream(number % count))
            }
            try await log.append(events, if: .always)
        }
        self.settings.report(
            "streams-\(count)-batches", batches * 1000, (ContinuousClock.now - start) / .seconds(1),
            [("anonymous_mb", max(settled, anonymousMegabytes()))])
        let now = first + UInt64(batches * 1000 / count)
        let revisions = Mutex([UInt32](repeating: UInt32(now), count: count))
        start = .now
        let total = try await self.inTurn(tasks: 64, since: start) { caller, round, place in
            // A stream of one's own, anywhere.
            let random = Made.mixed(round << 40 | UInt64(place) << 8 | UInt64(caller))
            let stream = Int(random % UInt64(count / 64)) * 64 + caller
            guard stream < count else { return true }
            let next = UInt64(revisions.withLock { $0[stream] })
            let event = made[place % 4096].with(id: .generate(), stream: Made.stream(stream))
            try await log.append([event], if: .stream(Made.stream(stream), .exact(Revision(next - 1))))
            revisions.withLock { $0[stream] += 1 }
            return true
        }
        self.settings.report(
            "streams-\(count)-64x1", total, (ContinuousClock.now - start) / .seconds(1),
            [("anonymous_mb", anonymousMegabytes())])
        await log.close()
    }

    // MARK: Reading

    private func load() async throws {
        let filled = try await self.open()
        try await self.fill(filled, streams: self.settings.streams)
        await filled.close()
        for (cached, suffix) in [(true, ""), (false, "-uncached")] {
            let log = try await self.open(cached: cached)
            for same in [true, false] {
                let streams = self.settings.streams
                let (total, median) = try await self.settings.median(same && cached ? 2000 : 1000) { index in
                    let stream = same ? streams / 2 : Int(Made.mixed(UInt64(index)) % UInt64(streams))
                    let events = try await log.events(.stream(Made.stream(stream)), offset: 0)
                    guard events.count == 100, events[99].revision == Revision(99) else {
                        fail("the stream has \(events.count) events")
                    }
                }
                self.settings.report(
                    (same ? "load" : "load-any") + suffix, (same && cached ? 2000 : 1000) * 100, total,
                    [("median_us", median)])
            }
            await log.close()
        }
    }

    private func rebuild() async throws {
        let log = try await self.open()
        try await self.fill(log, streams: self.settings.streams)
        let lent = Projection("lent", viewing: .all) { view, state in
            let bytes = Int64(try view.withPayload { $0.byteCount })
            try state.add(1, to: "events/", view.stream ?? "")
            try state.add(bytes, to: "bytes/", view.type)
        }
        let owned = Projection("owned", of: .all) { stored, state in
            try state.add(1, to: "events/", stored.stream ?? "")
            try state.add(Int64(stored.payload.bytes.count), to: "bytes/", stored.type)
        }
        for (name, projection) in [("rebuild-lent", lent), ("rebuild", owned)] {
            let (start, used) = (ContinuousClock.now, processorSeconds())
            let status = try await log.rebuild(projection)
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            guard status.applied == UInt64(self.settings.events) else { fail("\(status)") }
            let found = try await log.projection(projection.name).integer("events/" + Made.stream(7))
            guard found == 100 else { fail("the state is wrong: \(String(describing: found))") }
            self.settings.report(
                name, self.settings.events, seconds, [("processor_seconds", processorSeconds() - used)])
        }
        await log.close()
    }

    // MARK: Aggregates

    /// 32 aggregates of 10,050 events, written at the same time; then one is loaded.
    private func aggregate() async throws {
        let log = try await self.open()
        let accounts = Repository<Account, EventLog>(log)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<32 {
                group.addTask {
                    for step in 0..<201 {
                        try await accounts.execute(.deposits(of: step, times: 50), on: "\(number)")
                    }
                }
            }
            try await group.waitForAll()
        }
        try await log.seal()
        await log.close()
        for (cached, suffix) in [(true, ""), (false, "-uncached")] {
            let log = try await self.open(cached: cached)
            let repository = Repository<Account, EventLog>(log)
            let (total, median) = try await self.settings.median(1000) { _ in
                let loaded = try await repository.load("7")
                guard loaded.state.changes == 10_050, loaded.snapshot != nil else { fail("\(loaded)") }
            }
            self.settings.report("aggregate" + suffix, 1000, total, [("median_us", median)])
            await log.close()
        }
    }
}

enum Account: Aggregate {
    struct State: Codable, Sendable {
        var balance = 0
        var changes = 0
    }
    enum Change: Codable, Sendable { case deposited(amount: Int, reason: String) }
    enum Command: Sendable { case deposits(of: Int, times: Int) }
    static let name = "account"
    static let initial = State()

    static func evolve(_ state: inout State, _ change: Change) {
        guard case .deposited(let amount, _) = change else { return }
        state.balance += amount
        state.changes += 1
    }

    static func decide(_ command: Command, _ state: State) throws -> [Change] {
        guard case .deposits(let amount, let times) = command else { return [] }
        return (0..<times).map { .deposited(amount: amount, reason: "the \($0 + 1). of \(times)") }
    }
}

extension Event {
    func with(id: EventID, stream: String) -> Event {
        var event = self.withStream(stream)
        event.id = id
        return event
    }
}

extension EventQuery {
    func and(types: String) -> EventQuery {
        var query = self
        query.types = [TypePattern(stringLiteral: types)]
        return query
    }
}
