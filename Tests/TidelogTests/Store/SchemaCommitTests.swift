import Dispatch
import Logging
import Testing
import TidelogTesting

@testable import Tidelog

@Suite("Schemas that another process changes before a commit")
struct SchemaCommitTests {
    /// The schemas as another process has them: they share the head with the log's, and nothing in memory.
    private static func others(_ log: EventLog) -> SchemaRegistry {
        SchemaRegistry(engine: log.engine, logger: Logger(label: "another process"))
    }

    private static func register(_ schema: String, _ log: EventLog) async throws {
        // The log has looked just now, and takes what it saw for good.
        _ = try log.schemas.violation(in: Event(type: "out"))
        try await Self.others(log).register(JSONSchema(schema), for: "out")
    }

    /// Does it from a function that cannot wait.
    private static func blocking(_ body: @escaping @Sendable () async throws -> Void) {
        let done = DispatchSemaphore(value: 0)
        Task.detached {
            do { try await body() } catch { Issue.record(error) }
            done.signal()
        }
        done.wait()
    }

    @Test("what a handler appends or schedules must fit them as of its commit", arguments: [false, true])
    func handler(isScheduled: Bool) async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await RefusedHandler.run(on: log) { transaction in
                let event = Event(type: "out", json: "[]")
                if isScheduled {
                    try transaction.schedule(event, after: .seconds(3600))
                } else {
                    try transaction.append(event)
                }
                try transaction.set([1], for: "done")
                try await Self.register(#"{"type":"object"}"#, log)
            }
            #expect(try await log.count(.types("out")) == 0)
            #expect(try await log.scheduledEvents().isEmpty)
            #expect(try await log.value(for: "done") == nil)
            await log.close()
        }
    }

    @Test("what still fits is committed, once")
    func fits() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(Event(type: "in"))
            var settings = ConsumerSettings()
            settings.filter = .types("in")
            let consumer = try await log.consumer("c", settings: settings)
            let calls = Counter()
            let running = Task {
                try await consumer.runExactlyOnce { _, transaction in
                    calls.add(1)
                    try transaction.append(Event(type: "out", json: "{}"))
                    try await Self.register(#"{"type":"object"}"#, log)
                }
            }
            while try await log.consumers.status(of: "c")?.acknowledged != 1 {
                try await Task.sleep(for: .milliseconds(5))
            }
            running.cancel()
            try await running.value
            #expect(calls.value == 1)
            #expect(try await log.count(.types("out")) == 1)
            await log.close()
        }
    }

    @Test("what a process manager sends must fit them as of its commit; what no longer does stops it")
    func process() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append((0..<4).map { Event(id: .init("go-\($0)"), type: "go") })
            let process = ProcessManager("p", state: 0, of: .types("go")) {
                $0.event.id.description
            } handle: { stored, _, actions in
                let isLast = stored.event.id == "go-3"
                actions.send(Event(type: "out", json: stored.event.id == "go-2" ? "[]" : "{}"))
                if isLast { Self.blocking { try await Self.register(#"{"type":"object"}"#, log) } }
            }
            await expectCode(.projectionFailed) { try await log.catchUp(process) }
            let failure = try #require(try await log.process("p").status()?.failure)
            #expect(failure.code == .schemaViolation && failure.position == 2 && failure.output?.index == 0)
            #expect(try await log.count(.types("out")) == 2)
            try await log.schemas.setMode(.off, for: "out")
            #expect(try await log.catchUp(process).failure == nil)
            #expect(try await log.count(.types("out")) == 4)
            await log.close()
        }
    }

    @Test("what another process has let through just now does not stop a process manager")
    func letThrough() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.schemas.register(JSONSchema(#"{"type":"object"}"#), for: "out")
            try await log.append(Event(type: "go"))
            let process = ProcessManager("p", state: 0, of: .types("go")) {
                $0.event.id.description
            } handle: { _, _, actions in
                Self.blocking {
                    // The log has looked just now, and takes what it saw for good.
                    _ = try log.schemas.violation(in: Event(type: "out"))
                    try await Self.others(log).setMode(.off, for: "out")
                }
                actions.send(Event(type: "out", json: "[]"))
            }
            #expect(try await log.catchUp(process).failure == nil)
            #expect(try await log.count(.types("out")) == 1)
            await log.close()
        }
    }
}
