// Tidelog's side of what Peers/bus measures in Go: the same scenarios, the same lines of results.
// Usage: bus SCENARIO [ROUNDS]
import Dispatch
import Foundation
import Tidelog

/// A count that a handler writes to; each on a cache line of its own.
struct Count: @unchecked Sendable {
    let value = UnsafeMutablePointer<UInt64>.allocate(capacity: 16)
    init() { self.value.initialize(repeating: 0, count: 16) }
}

func makeEvent() -> Event {
    Event(
        id: "0198c5f0-7d3a-7cc1-9d5b-1f2e3d4c5b6a", type: "order.placed", json: #"{"total":1299}"#,
        source: "shop"
    ).withCorrelation("0198c5f0-7d3a-7cc1-9d5b-1f2e3d4c5b6b")
}

func subscribe(_ bus: InMemoryBus, _ handlers: Int, counting: Bool) throws {
    for _ in 0..<handlers {
        let count = Count()
        if counting {
            try bus.subscribe("order.placed") { event in count.value.pointee &+= UInt64(event.schemaVersion) }
        } else {
            try bus.subscribe("order.placed") { event in _ = event.schemaVersion }
        }
    }
}

func measure(_ scenario: String, _ count: Int) async throws -> Duration {
    let event = makeEvent()
    switch scenario {
    case "publish-0", "publish-10", "threads-1", "threads-2":
        let bus = InMemoryBus()
        let isThreads = scenario.hasPrefix("threads")
        if scenario != "publish-0" { try subscribe(bus, 10, counting: !isThreads) }
        let threads = scenario == "threads-2" ? 2 : 1
        return publish(on: bus, threads: threads, events: [event], count)
    case "async-1", "async-1-distinct":
        let bus = try InMemoryBus(dispatch: .asynchronous(size: 1024))
        let seen = Count()
        try bus.subscribe("order.placed") { event in seen.value.pointee &+= UInt64(event.schemaVersion) }
        let events = scenario == "async-1" ? [event] : (0..<1000).map { _ in makeEvent() }
        let start = ContinuousClock.now
        _ = publish(on: bus, threads: 1, events: events, count)
        await bus.close()
        let took = ContinuousClock.now - start
        precondition(seen.value.pointee == UInt64(count), "events were lost")
        return took
    default:
        FileHandle.standardError.write(Data("no scenario \(scenario)\n".utf8))
        exit(2)
    }
}

func publish(on bus: InMemoryBus, threads: Int, events: [Event], _ count: Int) -> Duration {
    let group = DispatchGroup()
    let start = ContinuousClock.now
    for _ in 0..<threads {
        let thread = Thread {
            do {
                if events.count == 1 {
                    let event = events[0]
                    for _ in 0..<count / threads { try bus.publish(event) }
                } else {
                    for index in 0..<count / threads { try bus.publish(events[index % events.count]) }
                }
            } catch { preconditionFailure("\(error)") }
            group.leave()
        }
        group.enter()
        thread.start()
    }
    group.wait()
    return ContinuousClock.now - start
}

/// What all threads of the process have used of the processors.
func processorNanoseconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
}

let arguments = CommandLine.arguments
guard arguments.count > 1 else {
    FileHandle.standardError.write(Data("usage: bus SCENARIO [ROUNDS]\n".utf8))
    exit(2)
}
let count = 2_000_000
_ = try await measure(arguments[1], count / 10)
for _ in 0..<(arguments.count > 2 ? Int(arguments[2]) ?? 1 : 1) {
    let before = processorNanoseconds()
    let took = try await measure(arguments[1], count).components
    let processor = (processorNanoseconds() - before) / Double(count)
    let nanoseconds = (Double(took.seconds) * 1e9 + Double(took.attoseconds) / 1e9) / Double(count)
    let text = String(format: #""nanoseconds":%.2f,"cpu":%.2f"#, nanoseconds, processor)
    print(#"{"peer":"tidelog","scenario":"\#(arguments[1])",\#(text)}"#)
}
