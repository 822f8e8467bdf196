// Errors as events, and handlers that fail.
import Testing
import Tidelog

extension BasicUse {
    struct MeterUnreadable: Error, CustomStringConvertible {
        var meter: String
        var description: String { "meter \(self.meter) does not answer" }
    }

    @Test("publishing errors: whoever watches for `error` learns what went wrong, and where")
    func publishingErrors() async throws {
        let bus = InMemoryBus()
        let seen = Collected<Event>()
        try bus.subscribe(TypePattern(.error)) { seen.append($0) }

        try await bus.publishError(
            MeterUnreadable(meter: "m-3"), source: "ingestion", metadata: ["request_id": "r-9"])

        let event = try #require(seen.values.first)
        let payload = try EventMetadata(json: event.payload.bytes)
        #expect(payload["message"] == "meter m-3 does not answer")
        #expect(event.source == "ingestion" && event.metadata.requestID == "r-9")
        await bus.close()
    }

    @Test("a handler that throws is offered on the stream of failures, and others go on")
    func failures() async throws {
        let bus = InMemoryBus()
        let failures = bus.failures
        let seen = Collected<String>()
        try bus.subscribe("reading.*") { _ in throw MeterUnreadable(meter: "m-3") }
        try bus.subscribe("reading.*") { seen.append($0.type) }

        try await bus.publish(Event(type: "reading.taken"))
        await bus.close()

        var failed: [String] = []
        for await failure in failures { failed.append("\(failure.event.type): \(failure.error)") }
        #expect(failed == ["reading.taken: meter m-3 does not answer"])
        #expect(seen.values == ["reading.taken"])
    }
}
