import Foundation
import SystemPackage
package import Tidelog
import TidelogTesting

/// A tally that sums what it is given; a snapshot of it is kept every five events.
package enum Tally: Aggregate {
    package struct State: Codable, Sendable, Equatable {
        package var sum = 0
        package var count = 0
    }
    package enum Change: Codable, Sendable { case added(number: Int) }
    package typealias Command = Int

    package static let name = "tally"
    package static let initial = State()
    package static func evolve(_ state: inout State, _ change: Change) {
        guard case .added(let number) = change else { return }
        state.sum += number
        state.count += 1
    }
    package static func decide(_ command: Int, _ state: State) throws -> [Change] {
        (0..<(command % 3 + 1)).map { .added(number: command + $0) }
    }
}

/// Works on a log with all that the store keeps beside events, until it is killed: aggregates with snapshots,
/// a projection that is rebuilt now and then, a process manager with timers, and one that undoes what it did.
package struct StoreWorker {
    let log: String
    let seed: UInt64

    /// Sums by stream, and the number of events.
    package static func projection(version: UInt32) -> Projection {
        var projection = Projection("sums", version: version, of: .types("tally.*")) { stored, state in
            guard case .added(let number)? = try Self.codec.decode(stored) else { return }
            try state.add(Int64(number), to: "sum/\(stored.stream ?? "")")
            try state.add(1, to: "count")
        }
        projection.batchEvents = 7
        return projection
    }

    package static let codec = EventCodec<Tally.Change>.cases(prefix: Tally.name)

    /// Answers each "go" with one "done", and once more when its timer fires.
    package static func process(after pause: Duration) -> ProcessManager<Int> {
        ProcessManager("answer", state: 0, of: .types("go")) {
            $0.event.id.description
        } handle: {
            _, state, actions in
            state += 1
            actions.send(Event(type: "done", stream: "answers"))
            actions.setTimer("later", after: pause)
        } timer: { _, _, actions in
            actions.send(Event(type: "fired", stream: "answers"))
            actions.complete()
        }
    }

    /// Later seeds run later versions of the projection.
    private var version: UInt32 { UInt32(self.seed / 4) }

    func run() throws {
        let ended = DispatchSemaphore(value: 0)
        Task {
            do {
                try await self.work()
            } catch {
                acknowledge("FAILED \(error)")
                exit(1)
            }
            ended.signal()
        }
        ended.wait()
    }

    private func work() async throws {
        let log = try await EventLog.open(at: FilePath(self.log), configuration: Appender.configuration)
        acknowledge("OPEN")
        var repository = Repository<Tally, EventLog>(log)
        repository.snapshotEvery = 5
        repository.maximumAttempts = 1000
        let sums = try await log.start(Self.projection(version: self.version))
        let answers = try await log.start(Self.process(after: .milliseconds(3)))
        let trips = try await log.start(Compensating.process(patience: .milliseconds(10)))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<3 {
                group.addTask { [repository] in
                    var random = SeededGenerator(seed: self.seed &* 31 &+ UInt64(worker))
                    var number = 0
                    while true {
                        number += 1
                        let id = "\(random.below(5))"
                        let outcome = try await repository.execute(random.below(1000), on: id)
                        acknowledge("TALLY \(id) \(outcome.loaded.revision?.rawValue ?? 0)")
                        try await log.append(
                            Event(id: .init("go-\(self.seed)-\(worker)-\(number)"), type: "go"))
                        try await Compensating.travel(
                            log, "trip-\(self.seed)-\(worker)-\(number)", &random)
                    }
                }
            }
            group.addTask {
                while true {
                    try await Task.sleep(for: .milliseconds(20))
                    try await log.rebuild(Self.projection(version: self.version))
                }
            }
            group.addTask { try await sums.waitUntilStopped() }
            group.addTask { try await answers.waitUntilStopped() }
            group.addTask { try await trips.waitUntilStopped() }
            try await group.next()
        }
    }
}

/// What must be true of a log that a ``StoreWorker`` worked on and was killed at.
package enum StoreWork {
    /// Checks that projection, snapshots and process agree with the events, and answers how many events
    /// there were.
    package static func check(_ log: EventLog, acknowledged lines: [String]) async throws -> Int {
        let events = try await log.events(.all)
        try await self.checkProjection(log, events)
        try await self.checkSnapshots(log, events, lines)
        try await self.checkProcess(log, events)
        try await Compensating.check(log, events)
        return events.count
    }

    private static func fold(_ events: [StoredEvent]) throws -> Tally.State {
        try events.reduce(into: Tally.initial) { state, stored in
            if let change = try StoreWorker.codec.decode(stored) { Tally.evolve(&state, change) }
        }
    }

    private static func checkProjection(_ log: EventLog, _ events: [StoredEvent]) async throws {
        guard let status = try await log.projection("sums").status() else { return }
        let seen = events.filter { $0.position < status.next && $0.type.hasPrefix("tally.") }
        var wanted: [String: Int64] = seen.isEmpty ? [:] : ["count": Int64(seen.count)]
        for (stream, own) in Dictionary(grouping: seen, by: { $0.stream ?? "" }) {
            wanted["sum/\(stream)"] = Int64(try self.fold(own).sum)
        }
        let entries = try await log.projection("sums").entries()
        let found = Dictionary(entries.map { ($0.key, $0.value.integer ?? -1) }) { $1 }
        guard found == wanted else {
            throw Failure("the projection holds \(found) at \(status.next), and should hold \(wanted)")
        }
    }

    private static func checkSnapshots(
        _ log: EventLog, _ events: [StoredEvent], _ lines: [String]
    ) async throws {
        for (stream, own) in Dictionary(grouping: events, by: { $0.stream ?? "" })
        where stream.hasPrefix("tally-") {
            guard let snapshot = try await log.snapshot(of: stream) else {
                // One is kept with the append that completes five.
                if own.count >= 5 { throw Failure("\(stream) has \(own.count) events and no snapshot") }
                continue
            }
            let state = try EventPayload(bytes: snapshot.state).decode(as: Tally.State.self)
            let wanted = try self.fold(own.filter { $0.revision ?? 0 <= snapshot.revision })
            guard state == wanted, state.count == Int(snapshot.revision.rawValue) + 1 else {
                throw Failure("the snapshot of \(stream) at \(snapshot.revision) is \(state), not \(wanted)")
            }
            guard UInt64(own.count) - snapshot.revision.rawValue <= 6 else {
                throw Failure(
                    "the snapshot of \(stream) at \(snapshot.revision) is behind \(own.count) events")
            }
        }
        for line in lines where line.hasPrefix("TALLY ") {
            let words = line.split(separator: " ")
            let revision = UInt64(words[2]) ?? 0
            guard let last = try await log.stream("tally-\(words[1])")?.lastRevision.rawValue,
                last >= revision
            else { throw Failure("\(line) was acknowledged and is not there") }
        }
    }

    private static func checkProcess(_ log: EventLog, _ events: [StoredEvent]) async throws {
        let next = try await log.process("answer").status()?.next ?? 0
        let answered = Set(
            events.filter { $0.type == "done" }.map { $0.event.causationID?.description ?? "" })
        let wanted = Set(events.filter { $0.type == "go" && $0.position < next }.map(\.id.description))
        guard answered == wanted, events.count(where: { $0.type == "done" }) == wanted.count else {
            throw Failure("\(wanted.count) events were handled, and \(answered.count) answered")
        }
        let open = try await log.process("answer").instances(limit: .max)
        let timers = try await log.process("answer").timers(limit: .max)
        guard open.sorted() == timers.map(\.instance).sorted() else {
            throw Failure("\(open.count) instances wait for \(timers.count) timers")
        }
        let fired = events.count { $0.type == "fired" }
        guard fired + open.count == wanted.count else {
            throw Failure("of \(wanted.count) timers \(fired) fired and \(open.count) wait")
        }
    }
}
