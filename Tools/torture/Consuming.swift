import Dispatch
import Foundation
import SystemPackage
import Tidelog
import TidelogStorage

/// Members of a durable consumer, to be killed and stopped.
enum Consuming {
    /// The settings of every member: short leases, so that a stopped one is missed soon.
    static var settings: ConsumerSettings {
        var settings = ConsumerSettings()
        settings.filter = .types("in")
        settings.leaseDuration = .seconds(1)
        settings.prefetch = 64
        settings.maximumInFlight = 128
        settings.retry = .immediate(maximumDeliveries: nil)
        return settings
    }

    /// Takes events of the consumer and says `GOT position attempt time`, and `ACK position time` once it is durable
    /// that it has finished one, or `LOST position` if it had no say in it any more. With `--events N` it leaves
    /// after so many, with `--pause-milliseconds N` it finishes one after the other, each after so long. A consumer
    /// that is there already keeps its settings, so that whoever made it decides how long leases are.
    static func consume(_ options: Options) throws {
        let path = try options.path()
        let isIdle = options.has("hold")
        let limit = options.number("events") ?? .max
        let pause = options.number("pause-milliseconds").map { Duration.milliseconds($0) }
        try self.blocking {
            let log = try await EventLog.open(at: FilePath(path), configuration: Appender.configuration)
            let isThere = try await log.consumers.status(of: "c") != nil
            let consumer = try await log.consumer("c", settings: isThere ? nil : Self.settings)
            acknowledge("READY")
            var taken: UInt64 = 0
            while taken < limit {
                let batch = try await consumer.next(max: 16, wait: .seconds(1))
                taken += UInt64(batch.count)
                for delivery in batch {
                    acknowledge("GOT \(delivery.position) \(delivery.attempt) \(BootClock.now)")
                }
                if isIdle, !batch.isEmpty {
                    acknowledge("HOLDS")
                    try await Task.sleep(for: .seconds(2))
                }
                if let pause {
                    for delivery in batch {
                        try await Task.sleep(for: pause)
                        await Self.finish(delivery)
                    }
                } else {
                    await withTaskGroup(of: Void.self) { group in
                        for delivery in batch { group.addTask { await Self.finish(delivery) } }
                    }
                }
            }
            await consumer.leave()
            acknowledge("LEFT")
            await log.close()
        }
    }

    private static func finish(_ delivery: Delivery) async {
        do {
            try await delivery.acknowledgeDurably()
            acknowledge("ACK \(delivery.position) \(BootClock.now)")
        } catch {
            acknowledge("LOST \(delivery.position)")
        }
    }

    /// Handles events one after the other, and dies of the one at position 4; ends when it has handled the rest.
    static func dieOfPoison(_ options: Options) throws {
        let path = try options.path()
        try self.blocking {
            let log = try await EventLog.open(at: FilePath(path), configuration: Appender.configuration)
            let consumer = try await log.consumer("c")
            let running = Task {
                try await consumer.run { delivery in
                    acknowledge("GOT \(delivery.position) \(delivery.attempt)")
                    if delivery.position == 4 { kill(getpid(), SIGKILL) }
                }
            }
            while try await log.consumers.status(of: "c")?.lag != 0 {
                try await Task.sleep(for: .milliseconds(5))
            }
            running.cancel()
            try await running.value
            await log.close()
            acknowledge("DONE")
        }
    }

    /// Appends one `out` for each `in` and counts it under `transformed`, exactly once.
    static func transform(_ options: Options) throws {
        let path = try options.path()
        try self.blocking {
            let log = try await EventLog.open(at: FilePath(path), configuration: Appender.configuration)
            let consumer = try await log.consumer("c", settings: Self.settings)
            acknowledge("READY")
            try await consumer.runExactlyOnce(batchesOf: 8, concurrency: 2) { deliveries, transaction in
                for delivery in deliveries {
                    let input = delivery.event.event
                    try transaction.append(
                        Event(type: "out", stream: "out", causationID: input.id))
                }
                let known = try await transaction.value(for: "transformed")
                let count = known.flatMap { Int(String(decoding: $0, as: UTF8.self)) } ?? 0
                try transaction.set(Array("\(count + deliveries.count)".utf8), for: "transformed")
            }
        }
    }

    /// Appends numbered `in` events for as long as it lives, and says `IN count` after each batch.
    static func feed(_ options: Options) throws {
        let log = try EventLog.openBlocking(
            at: FilePath(options.path()), configuration: Appender.configuration)
        acknowledge("READY")
        var total = 0
        let limit = Int(options.number("events") ?? .init(Int32.max))
        while total < limit {
            let events = (0..<10).map { Event(type: "in", stream: "s-\(($0 + total) % 7)") }
            try log.appendBlocking(events)
            total += 10
            acknowledge("IN \(total)")
            usleep(3000)
        }
        log.closeBlocking()
    }

    /// Runs `body` while the calling thread waits.
    static func blocking(_ body: @escaping @Sendable () async throws -> Void) throws {
        let done = DispatchSemaphore(value: 0)
        Task {
            do {
                try await body()
            } catch {
                acknowledge("FAILED \(error)")
            }
            done.signal()
        }
        done.wait()
    }
}
