import Testing
import TidelogTesting

@testable import Tidelog

@Suite("The registry of schemas")
struct SchemaRegistryTests {
    private static let order =
        #"{"type":"object","required":["total"],"properties":{"total":{"type":"integer"}}}"#

    private func event(_ json: String, version: UInt32 = 1) -> Event {
        Event(type: "order.placed", stream: "o", json: json).withSchemaVersion(version)
    }

    @Test("an append that does not fit is refused whole, with the place, by every way of appending")
    func enforced() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(self.event(#"{"total":"free"}"#))  // before there was a schema
            try await log.schemas.register(JSONSchema(Self.order), for: "order.placed")
            try await log.append(self.event(#"{"total":1}"#))
            let bad = [self.event(#"{"total":1}"#), self.event(#"{"total":"free"}"#)]
            let error = await #expect(throws: EventLogError.self) { try await log.append(bad) }
            #expect(error?.code == .schemaViolation)
            #expect(error?.message.contains("/total") == true, "\(error as Any)")
            #expect(error?.message.contains("free") == false, "a payload stands in the message")
            await expectCode(.schemaViolation) { try await log.append(bad, if: .always) }
            await expectCode(.schemaViolation) { try await log.append(bad, expecting: ["o": .any]) }
            await expectCode(.schemaViolation) {
                _ = try await Task.detached { try log.appendBlocking(bad) }.value
            }
            await expectCode(.schemaViolation) {
                try await log.append(Array(repeating: (), count: 99).map { self.event("[]") })
            }
            await expectCode(.schemaViolation) {
                try await log.append(self.event(#"{"total":1}"#, version: 2))
            }
            try await log.append(Event(type: "other", json: "[]"))
            #expect(try await log.count() == 3)
            await log.close()
        }
    }

    @Test("what handlers append and schedule, and what processes send, must fit as well")
    func handlers() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.schemas.register(JSONSchema(Self.order), for: "order.placed")
            let (good, bad) = (self.event(#"{"total":1}"#), self.event("[]"))
            let transaction = HandlerTransaction(log: log)
            expectCode(.schemaViolation) { try transaction.append([good, bad]) }
            expectCode(.schemaViolation) { try transaction.schedule(bad, after: .seconds(3600)) }
            expectCode(.schemaViolation) { try transaction.schedule(bad, at: .now()) }
            await expectCode(.schemaViolation) { try await log.schedule(bad, after: .seconds(3600)) }
            await expectCode(.schemaViolation) { try await log.schedule(bad, at: .now()) }

            try await RefusedHandler.run(on: log) { transaction in
                try transaction.append(good)
                try transaction.append(bad)
            }

            let process = ProcessManager("p", state: 0, of: .types("in")) {
                $0.event.correlationID?.description
            } handle: { _, _, actions in
                actions.send(bad)
            }
            await expectCode(.projectionFailed) { try await log.catchUp(process) }
            #expect(try await log.count(.types("order.placed")) == 0)
            #expect(try await log.scheduledEvents().isEmpty)
            await log.close()
        }
    }

    @Test(
        "what was scheduled before its schema, and does not fit it when it is due, is kept with its problem")
    func scheduledBefore() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.schedule(self.event("[]"), after: .seconds(2))
            try await log.schedule(self.event(#"{"total":1}"#), after: .seconds(2))
            try await log.schemas.register(JSONSchema(Self.order), for: "order.placed")
            while try await log.count() == 0 { try await Task.sleep(for: .milliseconds(5)) }
            while try await log.scheduledEvents().first?.problem == nil {
                try await Task.sleep(for: .milliseconds(5))
            }
            #expect(try await log.events(.all).map { $0.payload.text } == [#"{"total":1}"#])
            #expect(try await log.scheduledEvents().map(\.event.payload.text) == ["[]"])
            await log.close()
        }
    }

    @Test("a mode for each type: off takes everything, warn takes it too, enforce does not")
    func modes() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.schemas.register(JSONSchema(Self.order), for: "order.placed")
            for mode in [SchemaMode.off, .warn] {
                try await log.schemas.setMode(mode, for: "order.placed")
                try await log.append(self.event("[]"))
                #expect(try log.schemas.violation(in: self.event("[]")) != nil)
            }
            try await log.schemas.setMode(.enforce, for: "order.placed")
            await expectCode(.schemaViolation) { try await log.append(self.event("[]")) }
            #expect(try await log.schemas.registered().map(\.mode) == [.enforce])
            await log.close()
        }
    }

    @Test("schemas are in the log: they hold after it was opened again, and in a copy of it")
    func kept() async throws {
        try await withTemporaryLog { _, open in
            let first = try await open(.init())
            try await first.schemas.register(JSONSchema(Self.order), for: "order.placed")
            try await first.schemas.register(JSONSchema("true"), for: "order.placed", version: 2)
            try await first.schemas.setCompatibility(.full, for: "order.placed")
            await first.close()
            let log = try await open(.init())
            await expectCode(.schemaViolation) { try await log.append(self.event("[]")) }
            try await log.append(self.event("[]", version: 2))
            let all = try await log.schemas.registered()
            #expect(all.map(\.version) == [1, 2])
            #expect(all.map { $0.schema?.text } == [Self.order, "true"])
            #expect(all.map(\.compatibility) == [.full, .full])
            await log.close()
        }
    }

    @Test("a version that does not go together with its neighbours is refused, as its type demands")
    func compatibility() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let schemas = log.schemas
            try await schemas.register(JSONSchema(#"{"properties":{"a":{"type":"integer"}}}"#), for: "t")
            let narrower = #"{"required":["a"],"properties":{"a":{"type":"integer"}}}"#
            let error = await #expect(throws: EventLogError.self) {
                try await schemas.register(JSONSchema(narrower), for: "t", version: 2)
            }
            #expect(error?.code == .incompatibleSchema)
            #expect(error?.message.contains("/a may be missing") == true, "\(error as Any)")
            try await schemas.setCompatibility(.forward, for: "t")
            try await schemas.register(JSONSchema(narrower), for: "t", version: 4)
            // Between two versions, both are looked at.
            await expectCode(.incompatibleSchema) {
                try await schemas.register(JSONSchema(#"{"type":"null"}"#), for: "t", version: 3)
            }
            try await schemas.setCompatibility(.none, for: "t")
            try await schemas.register(JSONSchema(#"{"type":"null"}"#), for: "t", version: 3)
            try await schemas.register(JSONSchema(#"{"type":"null"}"#), for: "t", version: 3)
            await expectCode(.alreadyExists) {
                try await schemas.register(JSONSchema("true"), for: "t", version: 3)
            }
            await expectCode(.invalidEvent) { try await schemas.register(JSONSchema("true"), for: "") }
            #expect(try await schemas.registered().map(\.version) == [1, 3, 4])
            await log.close()
        }
    }

    @Test("a Swift type stands for a schema: what does not decode is refused, with the place")
    func codable() async throws {
        struct Line: Codable { var price: Int }
        struct Order: Codable { var lines: [Line] }
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.schemas.register(Order.self, for: "order.placed")
            try await log.append(self.event(#"{"lines":[{"price":1}]}"#))
            let error = await #expect(throws: EventLogError.self) {
                try await log.append(self.event(#"{"lines":[{"price":1},{"price":"x"}]}"#))
            }
            #expect(error?.code == .schemaViolation)
            #expect(
                error?.message.contains("/lines/1/price") == true
                    || error?.message.contains("/lines/Index 1/price") == true, "\(error as Any)")
            await expectCode(.schemaViolation) { try await log.append(self.event("{}")) }
            #expect(try await log.schemas.registered().first?.typeName?.hasSuffix("Order") == true)
            await log.close()
        }
    }

    @Test("a look that another thread took after this one read the clock counts, and does not trap")
    func lookedAtLater() {
        #expect(SchemaRegistry.isFresh(lookedAt: 2_000, now: 1_000))
        #expect(SchemaRegistry.isFresh(lookedAt: 1_000, now: 2_000))
        #expect(!SchemaRegistry.isFresh(lookedAt: 1_000, now: 1_000_000_000))
        #expect(!SchemaRegistry.isFresh(lookedAt: nil, now: 1_000))
    }
}
