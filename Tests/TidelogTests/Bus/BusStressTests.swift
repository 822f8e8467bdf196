// The in-memory bus when everything happens at once, on plain threads and in tasks. Meant for Thread Sanitizer as
// much as for its own expectations.
import Foundation
import Testing
import TidelogTesting

@testable import Tidelog

@Suite("The in-memory bus, when everything happens at once", .serialized)
struct BusStressTests {
    static let dispatches: [InMemoryBus.Dispatch] = [
        .synchronous, .asynchronous(size: 8), .asynchronous(size: 8, whenFull: .fail),
        .asynchronous(size: 8, whenFull: .dropOldest), .asynchronous(size: 8, whenFull: .dropNewest),
    ]

    /// None comes twice, none that was accepted is lost, and each publisher's order is kept.
    @Test(
        "threads and tasks publish, subscribe and cancel at random until it is closed: all is as promised",
        arguments: dispatches, [1, 2])
    func everything(dispatch: InMemoryBus.Dispatch, seed: UInt64) async throws {
        let bus = try InMemoryBus(dispatch: dispatch)
        let permanent = Seen<String>()
        try bus.subscribe("n.*") { permanent.add($0.type + "/" + $0.id.description) }
        let workers = (0..<6).map { Worker(number: $0, seed: seed, bus: bus) }
        let finished = Door()
        for worker in workers.prefix(3) {
            let thread = Thread {
                worker.run()
                finished.arrive()
            }
            thread.start()
        }
        await withTaskGroup(of: Void.self) { group in
            for worker in workers.dropFirst(3) {
                group.addTask { await worker.runInTask() }
            }
            group.addTask {
                while workers.allSatisfy({ $0.accepted.count < Worker.steps / 2 }),
                    finished.arrivals.load(ordering: .relaxed) < 3
                {
                    try? await Task.sleep(for: .milliseconds(1))
                }
                await bus.close()
            }
        }
        await finished.arrived(3)

        let mayDrop =
            dispatch == .asynchronous(size: 8, whenFull: .dropOldest)
            || dispatch == .asynchronous(size: 8, whenFull: .dropNewest)
        let health = bus.health
        #expect(health.status == .closed && health.waiting == 0)
        let got = permanent.values
        for worker in workers {
            let mine = got.filter { $0.hasPrefix("n.\(worker.number)/") }
            let accepted = worker.accepted.values
            if !mayDrop { #expect(mine == accepted) }
            #expect(Set(mine).count == mine.count)
            #expect(mine == accepted.filter(Set(mine).contains))
            for collector in worker.collectors.values {
                let ids = collector.values
                #expect(Set(ids).count == ids.count)
            }
        }
    }

    /// One who does what comes to its mind.
    final class Worker: Sendable {
        /// The bus is closed before one has done that much, or soon after.
        static let steps = 400

        let number: Int
        let accepted = Seen<String>()
        let collectors = Seen<Seen<String>>()
        private let seed: UInt64
        private let bus: InMemoryBus

        init(number: Int, seed: UInt64, bus: InMemoryBus) {
            self.number = number
            self.seed = seed
            self.bus = bus
        }

        func run() {
            var generator = SeededGenerator(seed: self.seed * 100 + UInt64(self.number))
            var subscriptions: [BusSubscription] = []
            for step in 0..<Self.steps {
                do throws(EventLogError) {
                    if step % 4 == 0 {
                        try self.subscribeOrCancel(&subscriptions, &generator)
                    } else {
                        let event = self.event(step)
                        try self.bus.publish(event)
                        self.accept(event)
                    }
                } catch {
                    if error.code == .closed { return }
                    usleep(50)  // there is no room
                }
            }
        }

        func runInTask() async {
            var generator = SeededGenerator(seed: self.seed * 100 + UInt64(self.number))
            var subscriptions: [BusSubscription] = []
            for step in 0..<Self.steps {
                do throws(EventLogError) {
                    if step % 4 == 0 {
                        try self.subscribeOrCancel(&subscriptions, &generator)
                    } else {
                        let event = self.event(step)
                        try await self.bus.publish(event)
                        self.accept(event)
                        await Task.yield()
                    }
                } catch {
                    if error.code == .closed { return }
                    await Task.yield()  // there is no room
                }
            }
        }

        private func event(_ step: Int) -> Event {
            Event(id: EventID("\(step)"), type: "n.\(self.number)")
        }

        private func accept(_ event: Event) { self.accepted.add(event.type + "/" + event.id.description) }

        private func subscribeOrCancel(
            _ subscriptions: inout [BusSubscription], _ generator: inout SeededGenerator
        ) throws(EventLogError) {
            if subscriptions.count > 4 {
                subscriptions.remove(at: Int.random(in: 0..<5, using: &generator)).cancel()
                return
            }
            let collector = Seen<String>()
            self.collectors.add(collector)
            let add: @Sendable (Event) -> Void = { collector.add($0.type + "/" + $0.id.description) }
            if Bool.random(using: &generator) {
                subscriptions.append(try self.bus.subscribe("*") { add($0) })
            } else {
                let buffer = BusBuffer(size: 4, whenFull: .dropOldest)
                subscriptions.append(
                    try self.bus.subscribe(
                        "n.>", buffer: buffer, handler: { (event: Event) async in add(event) }))
            }
        }
    }

    @Test(
        "a slow subscriber of its own does not make the bus forget what it accepted, nor hold up the others")
    func slowSubscriber() async throws {
        let bus = try InMemoryBus(dispatch: .asynchronous(size: 4))
        let door = Door()
        let (slow, quick) = (Seen<String>(), Seen<String>())
        try bus.subscribe(
            "*", buffer: .init(size: 200),
            handler: { event in
                await door.pass()
                slow.add(event.type)
            })
        try bus.subscribe("*") { quick.add($0.type) }
        for number in 0..<100 { try await bus.publish(Event(type: "\(number)")) }
        while quick.count < 100 { await Task.yield() }
        #expect(slow.values.isEmpty)
        door.open()
        await bus.close()
        #expect(slow.values == quick.values)
    }
}
