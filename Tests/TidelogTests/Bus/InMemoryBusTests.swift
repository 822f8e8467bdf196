import Foundation
import Synchronization
import Testing
import TidelogStorage
import TidelogTesting

@testable import Tidelog

/// What handlers saw; a lock that Thread Sanitizer knows.
final class Seen<Value: Sendable>: Sendable {
    private let state = Lock<[Value]>([])
    var values: [Value] { self.state.withLock { $0 } }
    var count: Int { self.state.withLock { $0.count } }
    func add(_ value: Value) { self.state.withLock { $0.append(value) } }
}

/// A door that handlers wait at, and that says who has come.
final class Door: Sendable {
    let isOpen = Atomic<Bool>(false)
    let arrivals = Atomic<Int>(0)
    func open() { self.isOpen.store(true, ordering: .sequentiallyConsistent) }
    func pass() async {
        self.arrivals.add(1, ordering: .sequentiallyConsistent)
        while !self.isOpen.load(ordering: .sequentiallyConsistent) { await Task.yield() }
    }
    func arrived(_ count: Int = 1) async {
        while self.arrivals.load(ordering: .sequentiallyConsistent) < count { await Task.yield() }
    }
}

@Suite("The in-memory bus")
struct InMemoryBusTests {
    struct Oops: Error {}

    @Test("handlers run on the publisher's thread, in order of subscription, before publish returns")
    func synchronousDispatch() throws {
        let bus = InMemoryBus()
        let seen = Seen<Int>()
        let thread = pthread_self()
        for number in 0..<5 {
            try bus.subscribe(number.isMultiple(of: 2) ? "a" : "*") { _ in
                #expect(pthread_equal(pthread_self(), thread) != 0)
                seen.add(number)
            }
        }
        try bus.publish(Event(type: "a"))
        #expect(seen.values == [0, 1, 2, 3, 4])
        try bus.publish(Event(type: "b"))
        #expect(seen.values == [0, 1, 2, 3, 4, 1, 3])
    }

    @Test("a synchronous handler may publish, subscribe and cancel, however deep")
    func reentrance() throws {
        let bus = InMemoryBus()
        let seen = Seen<String>()
        try bus.subscribe("n.*") { event in
            seen.add(event.type)
            let number = Int(event.type.dropFirst(2)) ?? 0
            let temporary = try bus.subscribe("never") { _ in }
            // More often than a lane has room for.
            if number < 40 { try bus.publish(Event(type: "n.\(number + 1)")) }
            temporary.cancel()
        }
        try bus.publish(Event(type: "n.1"))
        #expect(seen.values == (1...40).map { "n.\($0)" })
        #expect(bus.subscriberCount == 1)
        #expect(bus.health.published == 40)
    }

    @Test("a subscription that a handler cancels is not called for the same event")
    func cancelledDuringDispatch() throws {
        let bus = InMemoryBus()
        let seen = Seen<Int>()
        let box = Box()
        try bus.subscribe("a") { _ in box.value.withLock { $0 }?.cancel() }
        let made = try bus.subscribe("a") { _ in seen.add(1) }
        box.value.withLock { $0 = made }
        try bus.publish(Event(type: "a"))
        #expect(seen.values.isEmpty)
    }

    final class Box: Sendable {
        let value = Lock<BusSubscription?>(nil)
    }

    @Test("a buffer that fails refuses what it has no room for, and nobody gets it")
    func failing() async throws {
        let bus = try InMemoryBus(dispatch: .asynchronous(size: 2, whenFull: .fail))
        let (door, seen) = try await Self.blocked(bus)
        try await bus.publish(Event(type: "1"))
        try await bus.publish(Event(type: "2"))
        for _ in 0..<3 {
            await #expect(throws: EventLogError.self) { try await bus.publish(Event(type: "3")) }
        }
        #expect(bus.health.waiting == 3)
        door.open()
        await bus.close()
        #expect(seen.values == ["first", "second", "third", "1", "2"])
    }

    @Test("a buffer that drops the newest keeps what waits")
    func droppingNewest() async throws {
        let bus = try InMemoryBus(dispatch: .asynchronous(size: 2, whenFull: .dropNewest))
        let (door, seen) = try await Self.blocked(bus)
        for number in 1...5 { try await bus.publish(Event(type: "\(number)")) }
        #expect(bus.health.dropped == 3)
        door.open()
        await bus.close()
        #expect(seen.values == ["first", "second", "third", "1", "2"])
        #expect(bus.health.published == 5)
    }

    @Test("a buffer that drops the oldest keeps the latest")
    func droppingOldest() async throws {
        let bus = try InMemoryBus(dispatch: .asynchronous(size: 2, whenFull: .dropOldest))
        let (door, seen) = try await Self.blocked(bus)
        for number in 1...5 { try await bus.publish(Event(type: "\(number)")) }
        #expect(bus.health.dropped == 3)
        door.open()
        await bus.close()
        #expect(seen.values == ["first", "second", "third", "4", "5"])
    }

    @Test("a publisher waits for room, and publishes nothing if it is cancelled meanwhile")
    func waiting() async throws {
        let bus = try InMemoryBus(dispatch: .asynchronous(size: 2, whenFull: .wait))
        let (door, seen) = try await Self.blocked(bus)
        try await bus.publish(Event(type: "1"))
        try await bus.publish(Event(type: "2"))
        // Synchronous code in a task must not block its thread.
        #expect(throws: EventLogError.self) { try Self.publishNow(bus, Event(type: "no")) }
        let cancelled = Task { try await bus.publish(Event(type: "cancelled")) }
        let patient = Task { try await bus.publish(Event(type: "3")) }
        for _ in 0..<100 { await Task.yield() }
        cancelled.cancel()
        await #expect(throws: EventLogError.self) { try await cancelled.value }
        #expect(seen.values.isEmpty)
        door.open()
        try await patient.value
        await bus.close()
        #expect(seen.values == ["first", "second", "third", "1", "2", "3"])
    }

    @Test("a plain thread that publishes into a full buffer blocks until there is room")
    func blocking() async throws {
        let bus = try InMemoryBus(dispatch: .asynchronous(size: 2, whenFull: .wait))
        let seen = Seen<Int64>()
        try await bus.subscribe(
            "n",
            handler: { event in
                await Task.yield()
                seen.add(event.metadata["n"]?.integer ?? -1)
            })
        let isDone = Door()
        let thread = Thread {
            for number in 0..<500 {
                do { try bus.publish(Event(type: "n", metadata: ["n": .integer(Int64(number))])) } catch {
                    return
                }
            }
            isDone.open()
        }
        thread.start()
        await isDone.pass()
        await bus.close()
        #expect(seen.values == Array(0..<500))
    }

    /// Gives the bus a subscription that is stuck: its handler waits at a door, its queue is full, and the
    /// dispatcher waits for it with one event in hand.
    private static func blocked(_ bus: InMemoryBus) async throws -> (Door, Seen<String>) {
        let door = Door()
        let seen = Seen<String>()
        try bus.subscribe(
            "*", buffer: .init(size: 1),
            handler: { event in
                if event.type == "first" { await door.pass() }
                seen.add(event.type)
            })
        try await bus.publish(Event(type: "first"))
        await door.arrived()
        let queue = try #require(bus.state.core.current.entries.first?.queue)
        for type in ["second", "third"] { try await bus.publish(Event(type: type)) }
        while queue.waiting < 1 || bus.health.waiting > 1 { await Task.yield() }
        return (door, seen)
    }

    /// From code that cannot suspend.
    private static func publishNow(_ bus: InMemoryBus, _ event: Event) throws { try bus.publish(event) }

    @Test("10,000 events from two tasks to ten subscribers: none lost, none repeated, order kept")
    func tenThousand() async throws {
        let bus = try InMemoryBus(dispatch: .asynchronous(size: 1024))
        let collectors = (0..<10).map { _ in Seen<Int64>() }
        for collector in collectors {
            try bus.subscribe("n.>") { collector.add($0.metadata["n"]?.integer ?? -1) }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for publisher in 0..<2 {
                group.addTask {
                    for number in 0..<5000 {
                        let id = Int64(publisher * 5000 + number)
                        try await bus.publish(Event(type: "n.\(publisher)", metadata: ["n": .integer(id)]))
                    }
                }
            }
            try await group.waitForAll()
        }
        await bus.close()
        for collector in collectors {
            let got = collector.values
            #expect(got.filter { $0 < 5000 } == Array(0..<5000))
            #expect(got.filter { $0 >= 5000 } == Array(5000..<10_000))
        }
        #expect(bus.health.delivered == 100_000)
    }

    @Test("a handler that floods its own bus gets a typed error, and no deadlock")
    func flooding() async throws {
        let bus = try InMemoryBus(dispatch: .asynchronous(size: 4))
        let refused = Seen<EventLogError.Code>()
        try bus.subscribe("start") { _ in
            for _ in 0..<100 {
                do throws(EventLogError) {
                    try bus.publish(Event(type: "flood"))
                } catch {
                    refused.add(error.code)
                }
            }
        }
        try await bus.publish(Event(type: "start"))
        while refused.count < 92 { await Task.yield() }
        await bus.close()
        #expect(refused.count == 92)
        #expect(refused.values.allSatisfy { $0 == .limitExceeded })
    }

    @Test("more types than are remembered are all delivered, also to subscriptions that come late")
    func manyTypes() throws {
        let bus = InMemoryBus()
        let seen = Seen<String>()
        let all = Seen<String>()
        try bus.subscribe("type.*.odd") { seen.add($0.type) }
        try bus.subscribe("*") { all.add($0.type) }
        for round in 0..<2 {
            for number in 0..<3000 {
                try bus.publish(Event(type: "type.\(number).\(number.isMultiple(of: 2) ? "even" : "odd")"))
            }
            if round == 0 { try bus.subscribe("type.7.odd") { seen.add("late " + $0.type) } }
        }
        #expect(all.count == 6000)
        #expect(seen.count == 3001)
        #expect(seen.values.filter { $0.hasPrefix("late") } == ["late type.7.odd"])
    }

    @Test("types of the same letters in other bytes are other types")
    func exactTypes() throws {
        let bus = InMemoryBus()
        let seen = Seen<Int>()
        try bus.subscribe("caf\u{E9}") { _ in seen.add(1) }
        try bus.subscribe("cafe\u{301}") { _ in seen.add(2) }
        try bus.publish(Event(type: "caf\u{E9}"))
        try bus.publish(Event(type: "cafe\u{301}"))
        #expect(seen.values == [1, 2])
    }

    @Test("tables of handlers that nobody reads are freed, and a handler that runs keeps one")
    func reclamation() async throws {
        let bus = InMemoryBus()
        let door = Door()
        let gate = DispatchSemaphore(value: 0)
        try bus.subscribe("slow") { _ in
            door.arrive()
            gate.wait()
        }
        let thread = Thread { try? bus.publish(Event(type: "slow")) }
        thread.start()
        await door.arrived()
        for _ in 0..<1000 { try bus.subscribe("x") { _ in }.cancel() }
        #expect(bus.state.core.retiredTables <= 1)
        gate.signal()
        await bus.close()
        #expect(bus.state.core.retiredTables == 0)
    }

    @Test("what a handler holds is released once it is cancelled")
    func releasing() throws {
        final class Held: Sendable {}
        let bus = InMemoryBus()
        weak var weakly: Held?
        do {
            let held = Held()
            weakly = held
            let subscription = try bus.subscribe("a") { _ in _ = held }
            try bus.publish(Event(type: "a"))
            subscription.cancel()
        }
        #expect(weakly == nil)
    }

    @Test("a bus that nobody holds any more delivers what it accepted, and goes")
    func abandoned() async throws {
        let seen = Seen<String>()
        weak var core: BusCore?
        do {
            let bus = try InMemoryBus(dispatch: .asynchronous())
            core = bus.state.core
            try await bus.subscribe("*", handler: { event in seen.add(event.type) })
            for number in 0..<100 { try await bus.publish(Event(type: "\(number)")) }
        }
        while seen.count < 100 || core != nil { await Task.yield() }
        #expect(seen.values == (0..<100).map { "\($0)" })
    }

    @Test("threads and buses that come and go leave counts and memory as they should be")
    func manyThreads() async throws {
        let bus = InMemoryBus()
        try bus.subscribe("a") { _ in }
        for _ in 0..<50 {
            let done = DispatchSemaphore(value: 0)
            let thread = Thread {
                let other = InMemoryBus()
                for _ in 0..<10 {
                    try? bus.publish(Event(type: "a"))
                    try? other.publish(Event(type: "a"))
                }
                done.signal()
            }
            thread.start()
            done.wait()
        }
        #expect(bus.health.published == 500)
        #expect(bus.health.delivered == 500)
    }

    @Test("a buffer without room for anything is refused", arguments: [0, -1, 1 << 30])
    func sizes(size: Int) {
        #expect(throws: EventLogError.self) { try InMemoryBus(dispatch: .asynchronous(size: size)) }
        #expect(throws: EventLogError.self) { try InMemoryBus().events("a", buffer: .init(size: size)) }
    }

    @Test("a reader whose task is cancelled ends, and its subscription with it")
    func cancelledReader() async throws {
        let bus = InMemoryBus()
        let reader = Task {
            for try await _ in try await bus.events("a") {}
            return bus.subscriberCount
        }
        while bus.subscriberCount == 0 { await Task.yield() }
        reader.cancel()
        #expect(try await reader.value == 0)
    }
}

extension Door {
    var isPassable: Bool { self.isOpen.load(ordering: .sequentiallyConsistent) }
    func arrive() { self.arrivals.add(1, ordering: .sequentiallyConsistent) }
}
