import Logging
import Testing
import Tidelog
import TidelogTesting

@Suite("Schemas that warn")
struct SchemaWarningTests {
    private static let order =
        #"{"type":"object","required":["total"],"properties":{"total":{"type":"integer"}}}"#

    private static func event(_ json: String, version: UInt32 = 1) -> Event {
        Event(type: "order.placed", stream: "o", json: json).withSchemaVersion(version)
    }

    /// Runs `body` with a log that warns of orders, and with what it has warned of so far.
    private static func withLog(
        _ body: (EventLog, _ warnings: @Sendable () -> [LogEvent]) async throws -> Void
    ) async throws {
        let events = Seen<LogEvent>()
        try await withTemporaryLog { _, open in
            var configuration = EventLogConfiguration()
            configuration.logger = Logger(label: "test") { _ in LogRecorder(events) }
            let log = try await open(configuration)
            try await log.schemas.register(JSONSchema(Self.order), for: "order.placed", version: 7)
            try await log.schemas.setMode(.warn, for: "order.placed")
            try await body(log) {
                events.values.filter { $0.level == .warning && $0.metadata?["tidelog.event.type"] != nil }
            }
            await log.close()
        }
    }

    @Test("let through what does not fit, and log its type, id, version and place, not its payload")
    func contents() async throws {
        try await Self.withLog { log, warnings in
            let bad = Self.event(#"{"total":"free"}"#, version: 7)
            try await log.append([Self.event(#"{"total":1}"#, version: 7), bad])
            let warning = try #require(warnings().first)
            #expect(warnings().count == 1)
            let text = warning.message.description
            for part in ["\"order.placed\"", bad.id.description, "version 7", "/total"] {
                #expect(text.contains(part), "\(text)")
            }
            #expect(!text.contains("free"))
            #expect(warning.metadata?["tidelog.event.type"]?.description == "order.placed")
            #expect(warning.metadata?["tidelog.event.id"]?.description == bad.id.description)
            #expect(warning.metadata?["tidelog.schema.version"]?.description == "7")
            // A version that is not registered.
            try await log.append(Self.event(#"{"total":1}"#, version: 8))
            #expect(warnings().last?.message.description.contains("version 8") == true)
            #expect(warnings().count == 2)
            #expect(
                try await log.events(.all).map(\.payload.text)
                    == [#"{"total":1}"#, #"{"total":"free"}"#, #"{"total":1}"#])
        }
    }

    @Test("log each event that does not fit, however many, by every way of appending; off logs nothing")
    func rate() async throws {
        try await Self.withLog { log, warnings in
            let many = (0..<200).map { _ in Self.event("[]", version: 7) }
            try await log.append(many)
            #expect(warnings().count == 200)
            try await log.append(many)  // once more: the log has them, and says so again
            #expect(warnings().count == 400)
            try await log.append([Self.event("[]", version: 7)], if: .always)
            try await log.append([Self.event("[]", version: 7)], expecting: ["o": .any])
            _ = try await Task.detached { try log.appendBlocking([Self.event("[]", version: 7)]) }.value
            #expect(warnings().count == 403)
            try await log.schemas.setMode(.off, for: "order.placed")
            try await log.append(Self.event("[]", version: 7))
            #expect(warnings().count == 403)
            #expect(try await log.count(.types("order.placed")) == 204)
        }
    }

    @Test("log what processes send and undo, and what is scheduled, once: when it is appended")
    func later() async throws {
        try await Self.withLog { log, warnings in
            let process = ProcessManager("p", state: 0, of: .types("begin", "fail")) {
                $0.event.correlationID?.description
            } handle: { stored, _, actions in
                if stored.type == "fail" { return actions.undo() }
                actions.send(Self.event("[1]", version: 7), undoneBy: Self.event("[2]", version: 7))
            }
            try await log.append(Event(type: "begin", correlationID: "a"))
            try await log.catchUp(process)
            #expect(warnings().count == 1)
            try await log.append(Event(type: "fail", correlationID: "a"))
            try await log.catchUp(process)
            #expect(warnings().count == 2)
            try await log.schedule(Self.event("[3]", version: 7), after: .seconds(1))
            #expect(warnings().count == 2)
            while try await log.count(.types("order.placed")) < 3 {
                try await Task.sleep(for: .milliseconds(5))
            }
            #expect(warnings().count == 3)
        }
    }
}
