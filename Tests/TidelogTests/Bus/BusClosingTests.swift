// Closing beside everything else: readers that do not read, publishers and subscribers that come meanwhile.
import Foundation
import Testing
import TidelogTesting

@testable import Tidelog

@Suite("Closing a bus")
struct BusClosingTests {
    static let dispatches: [InMemoryBus.Dispatch] = [
        .synchronous, .asynchronous(size: 4), .asynchronous(),
    ]

    private static func number(_ event: Event) -> Int64 { event.metadata["n"]?.integer ?? -1 }
    private static func event(_ number: Int) -> Event {
        Event(type: "n", metadata: ["n": .integer(Int64(number))])
    }

    private static func numbers(_ stream: EventStream) async throws -> [Int64] {
        var numbers: [Int64] = []
        for try await event in stream { numbers.append(Self.number(event)) }
        return numbers
    }

    /// Returns once that many wait for room in the queue.
    private static func waits(_ count: Int, for queue: EventQueue) async {
        while queue.locked({ $0.pointee.waiters.count }) < count { await Task.yield() }
    }

    /// Publishes until it is refused, and says why.
    private static func publish(
        on bus: any EventBus, _ accepted: Seen<EventID>
    ) async -> EventLogError.Code {
        while true {
            let event = Event(type: "n")
            do throws(EventLogError) {
                try await bus.publish(event)
            } catch {
                return error.code
            }
            accepted.add(event.id)
            await Task.yield()
        }
    }

    @Test(
        "ends although nobody reads a full sequence, which still gives all that was accepted",
        .timeLimit(.minutes(5)))
    func unread() async throws {
        let bus = try InMemoryBus(dispatch: .asynchronous(size: 4))
        let stream = try bus.events("n", buffer: .init(size: 1))
        let sequence = try #require(bus.state.core.current.entries.first?.queue)
        let buffer = try #require(bus.state.queue)
        // One lies in the sequence, one is in the dispatcher's hands, and four wait behind it.
        for number in 0..<6 { try await bus.publish(Self.event(number)) }
        await Self.waits(1, for: sequence)
        let refused = Task { try await bus.publish(Self.event(6)) }
        await Self.waits(1, for: buffer)
        await bus.close()
        let error = await #expect(throws: EventLogError.self) { try await refused.value }
        #expect(error?.code == .closed)
        #expect(bus.health.published == 6)
        #expect(try await Self.numbers(stream) == Array(0..<6))
    }

    @Test("lets a reader that stopped in the middle read on", .timeLimit(.minutes(5)))
    func stopped() async throws {
        let bus = try InMemoryBus(dispatch: .asynchronous(size: 8))
        let stream = try bus.events("n", buffer: .init(size: 2))
        var reader = stream.makeAsyncIterator()
        for number in 0..<3 { try await bus.publish(Self.event(number)) }
        let first = try await reader.next()
        #expect(first.map { Self.number($0) } == 0)
        for number in 3..<9 { try await bus.publish(Self.event(number)) }
        await bus.close()
        var rest: [Int64] = []
        while let event = try await reader.next() { rest.append(Self.number(event)) }
        #expect(rest == Array(1..<9))
    }

    @Test("refuses the publishers that wait for a sequence that nobody reads", .timeLimit(.minutes(5)))
    func waitingPublishers() async throws {
        let bus = InMemoryBus()
        let stream = try bus.events("n", buffer: .init(size: 1))
        let queue = try #require(bus.state.core.current.entries.first?.queue)
        try await bus.publish(Self.event(0))
        let task = Task { try await bus.publish(Self.event(1)) }
        let codes = Seen<EventLogError.Code>()
        let hasEnded = Door()
        let thread = Thread {
            do throws(EventLogError) {
                try bus.publish(Self.event(2))
            } catch {
                codes.add(error.code)
            }
            hasEnded.open()
        }
        thread.start()
        await Self.waits(2, for: queue)
        await bus.close()
        let error = await #expect(throws: EventLogError.self) { try await task.value }
        #expect(error?.code == .closed)
        await hasEnded.pass()
        #expect(codes.values == [.closed])
        #expect(try await Self.numbers(stream) == [0])
    }

    @Test("by letting go of the bus leaves a sequence all that was accepted", .timeLimit(.minutes(5)))
    func abandoned() async throws {
        let stream: EventStream
        do {
            let bus = try InMemoryBus(dispatch: .asynchronous(size: 4))
            stream = try bus.events("n", buffer: .init(size: 1))
            for number in 0..<6 { try await bus.publish(Self.event(number)) }
        }
        #expect(try await Self.numbers(stream) == Array(0..<6))
    }

    @Test("delivers what is published meanwhile before it ends, or refuses it", arguments: dispatches)
    func publishing(dispatch: InMemoryBus.Dispatch) async throws {
        for round in 0..<200 {
            let bus = try InMemoryBus(dispatch: dispatch)
            let (plain, suspending, accepted) = (Seen<EventID>(), Seen<EventID>(), Seen<EventID>())
            try bus.subscribe("n") { plain.add($0.id) }
            try bus.subscribe(
                "n", buffer: .init(size: 2),
                handler: { event in
                    await Task.yield()
                    suspending.add(event.id)
                })
            let stream = try bus.events("n", buffer: .init(size: 64))
            let tasks = (0..<3).map { _ in Task { await Self.publish(on: bus, accepted) } }
            let hasEnded = Door()
            let thread = Thread {
                for _ in 0..<100 {
                    let event = Event(type: "n")
                    do { try bus.publish(event) } catch { break }
                    accepted.add(event.id)
                }
                hasEnded.open()
            }
            thread.start()
            while accepted.count < round % 8 { await Task.yield() }
            await bus.close()
            let (plainAtEnd, suspendingAtEnd, health) = (plain.values, suspending.values, bus.health)
            for task in tasks { #expect(await task.value == .closed) }
            await hasEnded.pass()
            let all = Set(accepted.values)
            #expect(plainAtEnd.count == all.count && Set(plainAtEnd) == all)
            #expect(suspendingAtEnd.count == all.count && Set(suspendingAtEnd) == all)
            #expect(health.published == UInt64(all.count))
            #expect(health.delivered == UInt64(2 * all.count))
            var read: [EventID] = []
            for try await event in stream { read.append(event.id) }
            #expect(read.count == all.count && Set(read) == all)
        }
    }

    @Test("waits for handlers that are subscribed meanwhile, and for no reader", arguments: dispatches)
    func subscribing(dispatch: InMemoryBus.Dispatch) async throws {
        for _ in 0..<200 {
            let bus = try InMemoryBus(dispatch: dispatch)
            let seen = Seen<EventID>()
            let subscriber = Task { () -> EventStream? in
                do throws(EventLogError) {
                    try bus.subscribe(
                        "n", buffer: .init(size: 1),
                        handler: { event in
                            await Task.yield()
                            seen.add(event.id)
                        })
                    return try bus.events("n", buffer: .init(size: 1))
                } catch {
                    return nil
                }
            }
            let accepted = Seen<EventID>()
            let publisher = Task { await Self.publish(on: bus, accepted) }
            while accepted.count < 3, bus.subscriberCount == 0 { await Task.yield() }
            await bus.close()
            let atEnd = seen.count
            #expect(await publisher.value == .closed)
            let stream = await subscriber.value
            for _ in 0..<10 { await Task.yield() }
            #expect(seen.count == atEnd)
            #expect(Set(accepted.values).isSuperset(of: seen.values))
            if let stream {
                for try await event in stream { #expect(accepted.values.contains(event.id)) }
            }
        }
    }

    @Test("of a bus on a log delivers what is published meanwhile before it ends, or refuses it")
    func publishingOnLog() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            for round in 0..<20 {
                let bus = LogBus(log)
                let (seen, accepted) = (Seen<EventID>(), Seen<EventID>())
                try await bus.subscribe("n") { seen.add($0.id) }
                let stream = try await bus.events("n")
                let publishers = (0..<3).map { _ in Task { await Self.publish(on: bus, accepted) } }
                while accepted.count < round % 5 { await Task.yield() }
                await bus.close()
                let (atEnd, published) = (seen.values, bus.health.published)
                for publisher in publishers { #expect(await publisher.value == .closed) }
                let all = Set(accepted.values)
                #expect(atEnd.count == all.count && Set(atEnd) == all)
                #expect(published == UInt64(all.count))
                var read: [EventID] = []
                for try await event in stream { read.append(event.id) }
                #expect(read == atEnd)
            }
            await log.close()
        }
    }
}
