#if ServiceLifecycle
    import Logging
    import ServiceLifecycle
    import Testing
    import TidelogTesting

    @testable import Tidelog

    @Suite("Services")
    struct ServiceTests {
        @Test("a graceful shutdown delivers what was accepted, and closes the bus and then the log")
        func gracefulShutdown() async throws {
            try await withTemporaryLog { _, open in
                let log = try await open(.init())
                let bus = LogBus(log)
                let memory = try InMemoryBus(dispatch: .asynchronous())
                let seen = Seen<String>()
                try await memory.subscribe("*", handler: { event in seen.add(event.type) })
                try await bus.subscribe("*") { event in seen.add(event.type) }
                var logger = Logger(label: "test")
                logger.logLevel = .critical
                let group = ServiceGroup(services: [log, bus, memory], logger: logger)
                let running = Task { try await group.run() }
                for number in 0..<20 { try await memory.publish(Event(type: "m.\(number)")) }
                try await bus.publish(Event(type: "durable"))
                await group.triggerGracefulShutdown()
                try await running.value
                #expect(seen.count == 21)
                #expect(bus.health.status == .closed && memory.health.status == .closed)
                await #expect(throws: EventLogError.self) { try await log.append([Event(type: "a")]) }
            }
        }
    }
#endif
