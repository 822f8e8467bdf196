import Testing
import Tidelog
import TidelogStorage
import TidelogTesting

@Suite("Process managers")
struct ProcessManagerTests {
    struct Checkout: Codable, Sendable, Equatable {
        var placed = 0
        var paid = false
    }

    struct Broken: Error {}

    /// A clock that stands until it is put forward.
    final class Clock: Sendable {
        private let time = Lock(Timestamp(nanosecondsSinceEpoch: 1_000_000_000_000))
        var now: Timestamp { self.time.withLock { $0 } }
        func advance(by duration: Duration) { self.time.withLock { $0 = $0.advanced(by: duration) } }
    }

    /// Reserves goods and asks for payment; undoes both when it is refused or comes too late.
    static func checkout(_ clock: Clock = Clock()) -> ProcessManager<Checkout> {
        var process = ProcessManager("checkout", state: Checkout(), of: .types("order.*", "payment.*")) {
            $0.event.correlationID?.description
        } handle: { stored, state, actions in
            switch stored.type {
            case "order.placed":
                state.placed += 1
                actions.send(
                    Event(type: "goods.reserve", stream: "goods"),
                    undoneBy: Event(type: "goods.release", stream: "goods"))
                actions.send(
                    Event(type: "money.request", stream: "money"),
                    undoneBy: Event(type: "money.cancel", stream: "money"))
                actions.setTimer("unpaid", after: .seconds(60))
            case "payment.received":
                state.paid = true
                actions.clearTimer("unpaid")
                actions.send(Event(type: "goods.ship", stream: "goods"))
            case "payment.refused":
                actions.undo()
                actions.complete()
            case "order.broken": throw Broken()
            case "order.closed": actions.complete()
            default: break
            }
        } timer: { name, state, actions in
            if state.placed > 100 { throw Broken() }
            actions.send(Event(type: "timed.out.\(name)", stream: "timers"))
            actions.undo()
            actions.complete()
        }
        process.now = { clock.now }
        return process
    }

    private static func event(_ type: String, _ flow: String) -> Event {
        Event(type: type).withCorrelation(EventID(flow))
    }

    private static func sent(_ log: EventLog) async throws -> [String] {
        try await log.events(.types("goods.*", "money.*", "timed.>")).map(\.type)
    }

    @Test("events move their own instance, and what it sends is caused by them")
    func instances() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let placed = Self.event("order.placed", "a")
            try await log.append([placed, Self.event("order.placed", "b"), Event(type: "order.placed")])
            try await log.append([
                Self.event("payment.received", "b"), Event(type: "other", correlationID: "a"),
            ])
            let status = try await log.catchUp(Self.checkout())
            #expect(status.lag == 0)
            let process = log.process("checkout")
            #expect(try await process.state(of: "a", as: Checkout.self) == Checkout(placed: 1, paid: false))
            #expect(try await process.state(of: "b", as: Checkout.self) == Checkout(placed: 1, paid: true))
            #expect(try await process.state(of: "c", as: Checkout.self) == nil)
            #expect(try await process.instances() == ["a", "b"])
            #expect(try await process.timers().map(\.instance) == ["a"])
            let sent = try await log.events(.correlation("a")).filter { $0.type.hasPrefix("goods") }
            #expect(sent.map(\.event.causationID) == [placed.id])
            #expect(
                try await Self.sent(log)
                    == ["goods.reserve", "money.request", "goods.reserve", "money.request", "goods.ship"])
            // Nothing is done twice.
            try await log.catchUp(Self.checkout())
            #expect(try await Self.sent(log).count == 5)
            await log.close()
        }
    }

    @Test("what failed is undone in the other order, once, and the instance ends")
    func undo() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append(Self.event("order.placed", "a"))
            try await log.catchUp(Self.checkout())
            try await log.append(Self.event("payment.refused", "a"))
            try await log.append(Self.event("payment.refused", "a"))
            try await log.catchUp(Self.checkout())
            #expect(
                try await Self.sent(log)
                    == ["goods.reserve", "money.request", "money.cancel", "goods.release"])
            #expect(try await log.process("checkout").instances().isEmpty)
            #expect(try await log.process("checkout").timers().isEmpty)
            await log.close()
        }
    }

    @Test("a timer wakes its instance when it is due, once, also after the log was opened again")
    func timers() async throws {
        try await withTemporaryLog { _, open in
            let clock = Clock()
            let first = try await open(.init())
            try await first.append([Self.event("order.placed", "a"), Self.event("order.placed", "b")])
            try await first.catchUp(Self.checkout(clock))
            let due = clock.now.advanced(by: .seconds(60))
            #expect(try await first.process("checkout").timers().map(\.due) == [due, due])
            await first.close()
            let log = try await open(.init())
            clock.advance(by: .seconds(59))
            try await log.append(Self.event("payment.received", "b"))
            try await log.catchUp(Self.checkout(clock))
            #expect(try await log.count(.types("timed.>")) == 0)
            clock.advance(by: .seconds(1))
            try await log.catchUp(Self.checkout(clock))
            try await log.catchUp(Self.checkout(clock))
            #expect(try await log.count(.types("timed.out.unpaid")) == 1)
            #expect(try await log.process("checkout").instances() == ["b"])
            #expect(try await Self.sent(log).suffix(2) == ["money.cancel", "goods.release"])
            await log.close()
        }
    }

    @Test("what a timer sends, and what it undoes, belongs to the event that began the instance")
    func timersCause() async throws {
        try await withTemporaryLog { _, open in
            let clock = Clock()
            let log = try await open(.init())
            let first = Self.event("order.placed", "a")
            try await log.append([first, Self.event("order.placed", "a")])
            try await log.catchUp(Self.checkout(clock))
            clock.advance(by: .seconds(60))
            try await log.catchUp(Self.checkout(clock))
            let sent = try await log.events(.types("timed.>", "money.cancel", "goods.release"))
            #expect(sent.count == 5)
            #expect(sent.allSatisfy { $0.event.causationID == first.id })
            #expect(sent.allSatisfy { $0.event.correlationID == "a" })
            await log.close()
        }
    }

    @Test("a timer that is set anew is due at its new time alone")
    func setAnew() async throws {
        try await withTemporaryLog { _, open in
            let clock = Clock()
            let log = try await open(.init())
            try await log.append(Self.event("order.placed", "a"))
            try await log.catchUp(Self.checkout(clock))
            clock.advance(by: .seconds(30))
            try await log.append(Self.event("order.placed", "a"))
            try await log.catchUp(Self.checkout(clock))
            clock.advance(by: .seconds(40))
            try await log.catchUp(Self.checkout(clock))
            #expect(try await log.count(.types("timed.>")) == 0)
            clock.advance(by: .seconds(20))
            try await log.catchUp(Self.checkout(clock))
            #expect(try await log.count(.types("timed.>")) == 1)
            await log.close()
        }
    }

    @Test("one that throws stops as of the event before, alone, and says at which event of which instance")
    func throwing() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append([Self.event("order.placed", "a"), Self.event("order.broken", "b")])
            try await log.append(Self.event("order.placed", "c"))
            let error = await #expect(throws: EventLogError.self) { try await log.catchUp(Self.checkout()) }
            #expect(error?.code == .projectionFailed)
            #expect(error?.positions == 1..<2)
            let status = try await log.process("checkout").status()
            #expect(status?.next == 1)
            #expect(status?.failure?.instance == "b")
            #expect(try await log.process("checkout").instances() == ["a"])
            #expect(try await Self.sent(log) == ["goods.reserve", "money.request"])
            // Repaired, it goes on.
            var repaired = ProcessManager("checkout", state: Checkout(), of: .types("order.*")) {
                $0.event.correlationID?.description
            } handle: { _, state, _ in
                state.placed += 1
            }
            repaired.now = { Timestamp(nanosecondsSinceEpoch: 0) }
            #expect(try await log.catchUp(repaired).failure == nil)
            #expect(try await log.process("checkout").instances() == ["a", "b", "c"])
            await log.close()
        }
    }

    @Test("an event that the log would refuse is its sender's failure")
    func refused() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            try await log.append([Event(type: "go", correlationID: "a")])
            let process = ProcessManager("bad", state: 0, of: .types("go")) {
                $0.event.correlationID?.description
            } handle: { _, _, actions in
                actions.send(Event(type: ""))
            }
            await expectCode(.projectionFailed) { try await log.catchUp(process) }
            #expect(try await log.count() == 1)
            await log.close()
        }
    }

    @Test("one that sends an event which is in the log already goes on, and the log has it once")
    func repeated() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let known = Event(id: "known", type: "done", stream: "s", causationID: "k")
            try await log.append([known, Event(type: "go", correlationID: "a")])
            let process = ProcessManager("again", state: 0, of: .types("go")) {
                $0.event.correlationID?.description
            } handle: { _, state, actions in
                state += 1
                actions.send(known)
            }
            #expect(try await log.catchUp(process).next == 2)
            #expect(try await log.process("again").state(of: "a", as: Int.self) == 1)
            #expect(try await log.count() == 2)
            await log.close()
        }
    }

    @Test("two that run the same one at once, and follow the log, do everything once")
    func twice() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let first = try await log.start(Self.checkout())
            let second = try await log.start(Self.checkout())
            for number in 0..<60 { try await log.append(Self.event("order.placed", "flow-\(number)")) }
            while try await log.count(.types("money.request")) < 60 { await Task.yield() }
            let end = try await log.end()
            await first.waitUntil(end.advanced(by: -1))
            await second.waitUntil(end.advanced(by: -1))
            #expect(try await Self.sent(log).count == 120)
            #expect(try await log.process("checkout").instances().count == 60)
            await first.stop()
            await second.stop()
            await log.close()
        }
    }

    @Test("while it follows, a timer fires without an event to wake it")
    func followsTimers() async throws {
        try await withTemporaryLog { _, open in
            let log = try await open(.init())
            let process = ProcessManager("nap", state: 0, of: .types("go")) {
                $0.event.correlationID?.description
            } handle: { _, _, actions in
                actions.setTimer("wake", after: .milliseconds(5))
            } timer: { _, _, actions in
                actions.send(Event(type: "woken"))
            }
            let follower = try await log.start(process)
            try await log.append(Event(type: "go", correlationID: "a"))
            var iterator = try log.tail(.types("woken"), from: .beginning).makeAsyncIterator()
            #expect(try await iterator.next()?.type == "woken")
            await follower.stop()
            await log.close()
        }
    }
}
