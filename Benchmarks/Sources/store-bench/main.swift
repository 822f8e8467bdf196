// The event store beside SQLite through GRDB, and the input with which the C peers append under the same rule.
//     store-bench --scenario append|load|projection|aggregate|streams|input --directory DIR [--events N]
import Foundation
import Synchronization
import SystemPackage
import Tidelog
import TidelogTesting

guard let scenario = Options.text("scenario"), let directory = Options.text("directory") else {
    fail("--scenario and --directory are missing")
}
let path = FilePath(directory).appending("log.tidelog")

/// Events of some 250 bytes, one to each of so many streams in turn.
func roundRobin(_ count: Int, streams: Int) -> [Event] {
    var generator = EventGenerator(seed: 42)
    return (0..<count).map { generator.nextEvent().withStream("stream-\($0 % streams)") }
}

switch scenario {
case "input": try writeInput(roundRobin(Options.number("events", 400_000), streams: 1000))
case "append": try await append(callers: 64, seconds: 3)
case "load": try await load(streams: 1000, each: 100)
case "projection": try await project(Options.number("events", 1_000_000))
case "aggregate": try await aggregate()
case "streams":
    try await manyStreams(Options.number("streams", 1_000_000), Options.number("events", 1_000_000))
default: fail("there is no scenario '\(scenario)'")
}

/// The same events for the C peers, whose unique index on (stream, revision) is their expected revision.
func writeInput(_ events: [Event]) throws {
    var bytes = Data()
    let encoder = EventJSONEncoder(form: .plain)
    for event in events {
        let text = encoder.encode(event)
        withUnsafeBytes(of: UInt32(text.count).littleEndian) { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: text)
    }
    try bytes.write(to: URL(filePath: directory).appending(path: "input"))
}

/// Tasks that each await one event after the other, with the revision that its stream must have.
func append(callers: Int, seconds: Double) async throws {
    let streams = 1000
    let events = roundRobin(Options.number("events", 400_000), streams: streams)
    let log = try await EventLog.open(at: path)
    let next = Atomic<Int>(0)
    let start = ContinuousClock.now
    let done = try await withThrowingTaskGroup(of: Int.self) { group in
        for _ in 0..<callers {
            group.addTask {
                var done = 0
                while true {
                    let index = next.add(1, ordering: .relaxed).oldValue
                    guard index < events.count, (ContinuousClock.now - start).seconds < seconds else { break }
                    let event = events[index]
                    try await log.append(
                        [event], to: event.stream,
                        expecting: index < streams ? .noStream : .exact(Revision(UInt64(index / streams - 1)))
                    )
                    done += 1
                }
                return done
            }
        }
        return try await group.reduce(0, +)
    }
    report(
        "tidelog", "append-expected-\(callers)x1", events: done,
        seconds: (ContinuousClock.now - start).seconds)
    await log.close()
}

/// Loads of one stream after the other, as owned events.
func load(streams: Int, each: Int) async throws {
    let events = roundRobin(streams * each, streams: streams)
    let log = try await EventLog.open(at: path)
    for start in stride(from: 0, to: events.count, by: 1000) {
        try await log.append(Array(events[start..<min(start + 1000, events.count)]))
    }
    let sqlite = try SQLiteEvents(directory: directory)
    for start in stride(from: 0, to: events.count, by: 1000) {
        try sqlite.insert(
            (start..<start + 1000).map {
                (
                    events[$0].stream ?? "", Int64($0 / streams), events[$0].type,
                    Data(events[$0].payload.bytes)
                )
            })
    }
    try sqlite.checkpoint()
    for isSealed in [false, true] {
        if isSealed { try await log.seal() }
        var own: [Double] = []
        var other: [Double] = []
        for round in 0..<4000 {
            // Few streams again and again are warm; the first rounds warm them.
            let name = "stream-\((round % 16) * 61)"
            own.append(
                try await time {
                    guard try await log.events(.stream(name)).count == each else { fail("lost") }
                })
            other.append(try await time { guard try sqlite.stream(name).count == each else { fail("lost") } })
        }
        let name = isSealed ? "load-sealed" : "load-head"
        let (mine, theirs) = (median(Array(own.dropFirst(400))), median(Array(other.dropFirst(400))))
        report("tidelog", name, events: each, seconds: mine, ("microseconds", mine * 1e6))
        report("sqlite-grdb", name, events: each, seconds: theirs, ("microseconds", theirs * 1e6))
    }
    await log.close()
}

/// Counts by type, and sums sizes by stream: about 1,020 keys.
func project(_ count: Int) async throws {
    let events = roundRobin(count, streams: 1000)
    let log = try await EventLog.open(at: path)
    for start in stride(from: 0, to: count, by: 1000) {
        try await log.append(Array(events[start..<min(start + 1000, count)]))
    }
    try await log.seal()
    let sqlite = try SQLiteEvents(directory: directory)
    for start in stride(from: 0, to: count, by: 10_000) {
        try sqlite.insert(
            (start..<min(start + 10_000, count)).map {
                (events[$0].stream ?? "", Int64($0 / 1000), events[$0].type, Data(events[$0].payload.bytes))
            })
    }
    try sqlite.checkpoint()
    let viewing = Projection("p", viewing: .all) { view, state in
        let size = try view.withPayload { $0.byteCount }
        try state.add(1, to: view.type)
        try state.add(Int64(size), to: view.stream ?? "")
    }
    let owned = Projection("owned", of: .all) { stored, state in
        try state.add(1, to: stored.type)
        try state.add(Int64(stored.payload.count), to: stored.stream ?? "")
    }
    for _ in 0..<3 {
        let mine = try await time { try await log.rebuild(viewing) }
        report("tidelog", "rebuild-views", events: count, seconds: mine)
        let slower = try await time { try await log.rebuild(owned) }
        report("tidelog", "rebuild-owned", events: count, seconds: slower)
        try sqlite.clearState()
        let theirs = try await time {
            try sqlite.project(batch: 16_384) { row, sums in
                let type: String = row[2]
                let stream: String = row[1]
                let payload: Data = row[3]
                sums[type, default: 0] += 1
                sums[stream, default: 0] += Int64(payload.count)
            }
        }
        report("sqlite-grdb", "rebuild", events: count, seconds: theirs)
    }
    let sum = try await log.projection("p").entries(limit: 10_000).reduce(0) { $0 + ($1.value.integer ?? 0) }
    guard try sqlite.total() == sum else { fail("the two sums differ") }
    await log.close()
}

/// A counter with 10,050 events.
enum Tally: Aggregate {
    struct State: Codable, Sendable { var sum = 0 }
    enum Change: Codable, Sendable { case added(number: Int) }
    static let name = "tally"
    static let initial = State()
    static func evolve(_ state: inout State, _ change: Change) {
        if case .added(let number) = change { state.sum += number }
    }
    static func decide(_ command: Int, _ state: State) throws -> [Change] { [.added(number: command)] }
}

func aggregate() async throws {
    let log = try await EventLog.open(at: path)
    let tallies = Repository<Tally, EventLog>(log)
    for number in 0..<10_050 { try await tallies.execute(number, on: "1") }
    var without = tallies
    without.snapshotEvery = nil
    for (name, repository) in [("aggregate-snapshot", tallies), ("aggregate-replay", without)] {
        var times: [Double] = []
        var read = 0
        for _ in 0..<200 {
            times.append(
                try await time {
                    let loaded = try await repository.load("1")
                    guard loaded.state.sum == 10_050 * 10_049 / 2 else { fail("a wrong sum") }
                    read = loaded.eventsRead
                })
        }
        report("tidelog", name, events: read, seconds: median(times), ("microseconds", median(times) * 1e6))
    }
    await log.close()
}

/// Batches of 1,000 events, each event to one of so many streams.
func manyStreams(_ streams: Int, _ count: Int) async throws {
    let log = try await EventLog.open(at: path)
    var generator = EventGenerator(seed: 42)
    var seconds = 0.0
    for start in stride(from: 0, to: count, by: 1000) {
        let batch = (start..<start + 1000).map {
            generator.nextEvent().withStream("stream-\($0 * 7919 % streams)")
        }
        seconds += try await time { try await log.append(batch) }
    }
    report("tidelog", "streams-\(streams)", events: count, seconds: seconds, ("peak_mib", peakMemory()))
    await log.close()
}
