import Testing
import Tidelog
import TidelogTesting

@Suite("Relays to a bus")
struct BusRelayTests {
    /// A bus that is offline now and then: before it has accepted anything, or after it has accepted some.
    final class FailingBus: EventBus {
        let inner: RecordingBus
        private let generator: Lines
        /// An event that it never takes.
        private let refused: String?
        /// - Parameter seed: nil for a line that never fails.
        init(_ inner: RecordingBus, seed: UInt64?, refusing refused: String? = nil) {
            self.inner = inner
            self.generator = Lines(seed: seed)
            self.refused = refused
        }

        actor Lines {
            private var generator: SeededGenerator
            private let isSound: Bool
            init(seed: UInt64?) {
                self.generator = SeededGenerator(seed: seed ?? 0)
                self.isSound = seed == nil
            }
            /// How many of so many events go through before the line breaks; nil: all.
            func survivors(of count: Int) -> Int? {
                guard !self.isSound, Int.random(in: 0..<10, using: &self.generator) < 4 else { return nil }
                return Int.random(in: 0...count, using: &self.generator)
            }
        }

        private static var offline: EventLogError { EventLogError(.inputOutput, "the line is down") }

        private func check(_ events: [Event]) throws(EventLogError) {
            guard events.contains(where: { $0.id.description == self.refused }) else { return }
            throw EventLogError(.invalidEvent, "this one is not for us")
        }

        func publish(_ event: Event) async throws(EventLogError) {
            try self.check([event])
            if await self.generator.survivors(of: 1) != nil { throw Self.offline }
            try await self.inner.publish(event)
        }

        func publish(_ events: [Event]) async throws(EventLogError) {
            try self.check(events)
            let count = await self.generator.survivors(of: events.count)
            try await self.inner.publish(Array(events.prefix(count ?? events.count)))
            if count != nil { throw Self.offline }
        }

        func subscribe(
            _ pattern: TypePattern, _ handler: @escaping @Sendable (Event) throws -> Void
        ) async throws(EventLogError) -> BusSubscription {
            try await self.inner.subscribe(pattern, handler)
        }

        func subscribe(
            _ pattern: TypePattern, buffer: BusBuffer,
            handler: @escaping @Sendable (Event) async throws -> Void
        ) async throws(EventLogError) -> BusSubscription {
            try await self.inner.subscribe(pattern, buffer: buffer, handler: handler)
        }

        func events(_ pattern: TypePattern, buffer: BusBuffer) async throws(EventLogError) -> EventStream {
            try await self.inner.events(pattern, buffer: buffer)
        }

        func close() async { await self.inner.close() }
        var health: BusHealth { get async { await self.inner.health } }
        var failures: AsyncStream<BusFailure> { self.inner.failures }
        var topics: [TypePattern] { self.inner.topics }
        var subscriberCount: Int { self.inner.subscriberCount }
        func subscriberCount(of type: String) -> Int { self.inner.subscriberCount(of: type) }
    }

    /// The ids in the order in which a receiver that drops what it has already sees them.
    static func received(_ bus: RecordingBus) -> [String] {
        var known: Set<String> = []
        return bus.events.map(\.id.description).filter { known.insert($0).inserted }
    }

    @Test("a bus that fails now and then gets every event under its id, in order, also across restarts")
    func failingBus() async throws {
        let seed = TestSeed.draw(for: "relay to a bus")
        let recorded = RecordingBus()
        let bus = FailingBus(recorded, seed: seed)
        try await withTemporaryLog { _, open in
            for round in 0..<3 {
                let log = try await open(.init())
                for batch in 0..<10 {
                    let first = round * 100 + batch * 10
                    try await log.append(ConsumerTests.events(first..<first + 10))
                }
                let relay = Task {
                    try await log.relay(
                        "r", to: bus, batchesOf: 16,
                        retry: .fixed(.milliseconds(1), maximumDeliveries: nil))
                }
                // The last round goes to the end; the others stop somewhere.
                let goal = round == 2 ? 300 : round * 100 + 50
                while Self.received(recorded).count < goal { try await Task.sleep(for: .milliseconds(2)) }
                await log.close()
                try await relay.value
            }
            #expect(Self.received(recorded) == (0..<300).map { "e-\($0)" }, "seed \(seed)")
        }
        await recorded.close()
    }

    @Test("what a bus refuses for good becomes a dead letter of its own; its neighbours arrive")
    func refused() async throws {
        let recorded = RecordingBus()
        let bus = FailingBus(recorded, seed: nil, refusing: "e-7")
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(ConsumerTests.events(0..<20))
            let relay = Task { try await log.relay("r", to: bus) }
            while recorded.events.count < 19 { try await Task.sleep(for: .milliseconds(2)) }
            while try await log.consumers.deadLetters(of: "r").isEmpty {
                try await Task.sleep(for: .milliseconds(2))
            }
            #expect(recorded.events.map(\.id.description) == (0..<20).filter { $0 != 7 }.map { "e-\($0)" })
            #expect(try await log.consumers.deadLetters(of: "r").map(\.position.rawValue) == [7])
            await log.close()
            try await relay.value
        }
        await bus.close()
    }
}
