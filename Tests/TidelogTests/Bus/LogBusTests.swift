import Foundation
import Testing
import TidelogTesting

@testable import Tidelog

@Suite("The bus on a log")
struct LogBusTests {
    @Test("an event is durable when publish returns")
    func durable() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let bus = LogBus(log)
            let event = Event(type: "a", stream: "s")
            try await bus.publish(event)
            #expect(try await log.event(id: event.id)?.event == event)
            await bus.close()
            await log.close()
            let again = try await open(.init())
            #expect(try await again.count() == 1)
            await again.close()
        }
    }

    @Test("several events of one publish are appended together, or not at all")
    func atomic() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let bus = LogBus(log)
            let invalid = Event(type: "b", source: "")
            await #expect(throws: EventLogError.self) { try await bus.publish([Event(type: "a"), invalid]) }
            #expect(try await log.count() == 0)
            await bus.close()
            await log.close()
        }
    }

    @Test("what is appended through the log is published, exactly once and in the order of the log")
    func appendingPublishes() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let bus = LogBus(log)
            let seen = Seen<EventID>()
            try await log.append([Event(type: "before")])
            try await bus.subscribe("*") { event in
                // Never before it is durable: it can be read back.
                let isThere = try log.engine.record(id: event.id.identifier) != nil
                #expect(isThere)
                seen.add(event.id)
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for worker in 0..<4 {
                    group.addTask {
                        for number in 0..<25 {
                            let event = Event(type: "a", stream: "s-\(worker)")
                            if number.isMultiple(of: 2) {
                                try await log.append([event])
                                try await log.append([event])  // a repeat is no second event
                            } else {
                                try await bus.publish(event)
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
            await bus.close()
            var expected: [EventID] = []
            for try await stored in log.read() where stored.position > 0 { expected.append(stored.id) }
            #expect(expected.count == 100)
            #expect(seen.values == expected)
            await log.close()
        }
    }

    @Test("a named subscription goes on after a restart where it was, and misses nothing in between")
    func durableSubscription() async throws {
        try await withTemporaryLog { _, open in
            let seen = Seen<UInt64>()
            for round in 0..<3 {
                let log = try await open(.init())
                if round > 0 {
                    // Appended while nobody listened.
                    try await log.append((0..<10).map { _ in Event(type: "order.placed") })
                }
                let bus = LogBus(log)
                try await bus.subscribe("order.*", durable: "orders") { stored in
                    seen.add(stored.position.rawValue)
                }
                for _ in 0..<300 { try await bus.publish([Event(type: "other"), Event(type: "order.paid")]) }
                await bus.close()
                await log.close()
            }
            #expect(seen.count == 3 * 300 + 2 * 10)
            #expect(seen.values == seen.values.sorted())
            #expect(Set(seen.values).count == seen.count)
        }
    }

    @Test("a named subscription begins where it is told, once; later the saved place counts")
    func starts() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append((0..<5).map { Event(type: "\($0)") })
            let starts: [(TailStart, [String])] = [
                (.beginning, ["0", "1", "2", "3", "4"]), (.position(3), ["3", "4"]), (.end, []),
            ]
            for (index, (start, expected)) in starts.enumerated() {
                for round in 0..<2 {
                    let bus = LogBus(log)
                    let seen = Seen<String>()
                    try await bus.subscribe("*", durable: "c-\(index)", from: start) { seen.add($0.type) }
                    await bus.close()
                    #expect(seen.values == (round == 0 ? expected : []))
                }
            }
            await log.close()
        }
    }

    @Test("a name in use, an empty one and one that is too long are refused")
    func names() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let bus = LogBus(log)
            let first = try await bus.subscribe("*", durable: "one") { _ in }
            for name in ["one", "", String(repeating: "n", count: 201), "line\nbreak"] {
                await #expect(throws: EventLogError.self) {
                    try await bus.subscribe("*", durable: name) { _ in }
                }
            }
            first.cancel()
            while true {
                do throws(EventLogError) {
                    try await bus.subscribe("*", durable: "one") { _ in }
                    break
                } catch {
                    #expect(error.code == .alreadyExists)  // until the task has ended
                    await Task.yield()
                }
            }
            await bus.close()
            await log.close()
        }
    }

    @Test("of two buses that use one name, one finds out that the other moved its offset")
    func fencing() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let buses = [LogBus(log), LogBus(log)]
            let failures = buses.map(\.failures)
            for bus in buses { try await bus.subscribe("*", durable: "same") { _ in } }
            try await log.append([Event(type: "a")])
            var codes: [EventLogError.Code] = []
            while codes.isEmpty {
                for bus in buses where bus.health.status == .degraded { codes.append(.conflict) }
                try await log.append([Event(type: "a")])
                await Task.yield()
            }
            for bus in buses { await bus.close() }
            var conflicts = 0
            for stream in failures {
                for await failure in stream where EventLogError.Code.conflict ~= failure.error {
                    conflicts += 1
                }
            }
            #expect(conflicts >= 1)
            await log.close()
        }
    }

    @Test("closing the log ends its buses' subscriptions and sequences")
    func logCloses() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let bus = LogBus(log)
            let stream = try await bus.events()
            try await bus.publish(Event(type: "a"))
            let reader = Task {
                var count = 0
                for try await _ in stream { count += 1 }
                return count
            }
            while bus.health.delivered == 0 { await Task.yield() }
            await log.close()
            #expect(try await reader.value == 1)
            await #expect(throws: EventLogError.self) { try await bus.publish(Event(type: "a")) }
            await bus.close()
        }
    }
}
