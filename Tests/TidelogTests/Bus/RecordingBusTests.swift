import Glibc
import Testing
import Tidelog
import TidelogTesting

@Suite("The bus that records")
struct RecordingBusTests {
    @Test(
        "waiting for an event that does not come ends in time, however short that is", .timeLimit(.minutes(1))
    )
    func shortWaits() async throws {
        let bus = RecordingBus()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for wait in 0..<500 {
                        let error = await #expect(throws: EventLogError.self) {
                            try await bus.waitForEvent(ofType: "never", timeout: .microseconds(wait % 20))
                        }
                        #expect(error?.code == .notFound)
                    }
                }
            }
        }
    }

    @Test("a wait ends with the event that was there, with the one that comes, or when its task is cancelled")
    func waits() async throws {
        let bus = RecordingBus()
        let event = Event(type: "a")
        let waiting = Task { try await bus.waitForEvent(ofType: "a") }
        let cancelled = Task { try await bus.waitForEvent(ofType: "never", timeout: .seconds(600)) }
        try await Task.sleep(for: .milliseconds(5))
        try await bus.publish(event)
        #expect(try await waiting.value == event)
        #expect(try await bus.waitForEvent(timeout: .zero) { $0.id == event.id } == event)
        cancelled.cancel()
        let error = await #expect(throws: EventLogError.self) { try await cancelled.value }
        #expect(error?.code == .cancelled)
        bus.clear()
        #expect(bus.events.isEmpty && !bus.hasEvent(ofType: "a"))
        await bus.close()
        await #expect(throws: EventLogError.self) { try await bus.publish(event) }
        #expect(bus.events.isEmpty)  // what was refused is not recorded
    }

    @Test("an event that was there is found, though the time ends while it is looked for")
    func lateLook() async throws {
        let bus = RecordingBus()
        let event = Event(type: "a")
        try await bus.publish(event)
        let found = try await bus.waitForEvent(timeout: .zero) { known in
            usleep(50_000)
            return known.id == event.id
        }
        #expect(found == event)
    }

    /// A bus that passes an event on, and returns only once its consequence has been published.
    private final class Slow: EventBus {
        let inner = InMemoryBus()
        let handled = Seen<Event>()

        func publish(_ event: Event) async throws(EventLogError) {
            try await self.inner.publish(event)
            while event.type == "cause", self.handled.count == 0 { await Task.yield() }
        }
        func subscribe(
            _ pattern: TypePattern, _ handler: @escaping @Sendable (Event) throws -> Void
        ) async throws(EventLogError) -> BusSubscription { try self.inner.subscribe(pattern, handler) }
        func subscribe(
            _ pattern: TypePattern, buffer: BusBuffer,
            handler: @escaping @Sendable (Event) async throws -> Void
        ) async throws(EventLogError) -> BusSubscription {
            try self.inner.subscribe(pattern, buffer: buffer, handler: handler)
        }
        func events(_ pattern: TypePattern, buffer: BusBuffer) async throws(EventLogError) -> EventStream {
            try self.inner.events(pattern, buffer: buffer)
        }
        func close() async { await self.inner.close() }
        var health: BusHealth { self.inner.health }
        var failures: AsyncStream<BusFailure> { self.inner.failures }
        var topics: [TypePattern] { self.inner.topics }
        var subscriberCount: Int { self.inner.subscriberCount }
        func subscriberCount(of type: String) -> Int { self.inner.subscriberCount(of: type) }
    }

    @Test("an event is recorded before what its handlers publish, even if publishing it takes longer")
    func order() async throws {
        let slow = Slow()
        let bus = RecordingBus(forwardingTo: slow)
        try await bus.subscribe(
            "cause",
            handler: { event in
                try await bus.publish(Event(type: "effect").caused(by: event))
                slow.handled.add(event)
            })
        try await bus.publish(Event(type: "cause"))
        await bus.close()
        #expect(bus.events.map(\.type) == ["cause", "effect"])
        #expect(bus.events(ofType: "effect").first?.causationID == bus.events.first?.id)
    }
}
