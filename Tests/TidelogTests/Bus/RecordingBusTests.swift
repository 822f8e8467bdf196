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
}
