import CTidelogFaults
import Foundation
import Synchronization
import SystemPackage
import Tidelog
import TidelogTesting

/// This program's clocks, which are not the machine's while one of these is in force.
enum Clocks {
    /// Puts the wall clock so many seconds ahead.
    static func jump(by seconds: Int64) {
        tidelog_faults_set_clocks(seconds * 1_000_000_000, 0)
    }

    /// Pretends that the machine has started `uptime` seconds ago, as the boot that is named so.
    ///
    /// - Parameter log: the file with the boot's id is made in the directory that it is in.
    static func restart(_ boot: String, uptime: Int64, beside log: String) throws {
        let path = URL(fileURLWithPath: log).deletingLastPathComponent().path + "/boot-\(boot)"
        try boot.write(toFile: path, atomically: true, encoding: .utf8)
        // Kept for as long as the process lives.
        tidelog_faults_set_boot(strdup(path))
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        tidelog_faults_set_clocks(0, (uptime - Int64(time.tv_sec)) * 1_000_000_000)
    }
}

extension Consuming {
    /// Handles events while the wall clock jumps an hour back and forth all the time: each event fails once and is
    /// due 100 ms later, and timers of 100 ms run. Says what came too early, too late, or too often, and `DONE` with
    /// the deliveries, the acknowledgements and the timers.
    static func jumpAbout(_ options: Options) throws {
        let path = try options.path()
        let (inputs, timers, delay) = (200, 20, Duration.milliseconds(100))
        try self.blocking {
            let log = try await EventLog.open(at: FilePath(path), configuration: Appender.configuration)
            try await log.append((0..<inputs).map { Event(type: "in", stream: "s-\($0 % 7)") })
            let jumps = Task.detached {
                var generator = SeededGenerator(seed: options.number("seed") ?? 1)
                while !Task.isCancelled {
                    Clocks.jump(by: [-3600, 0, 3600][generator.below(3)])
                    try? await Task.sleep(for: .milliseconds(3))
                }
            }
            var settings = Self.settings
            settings.retry = .fixed(delay, maximumDeliveries: nil)
            let consumer = try await log.consumer("c", settings: settings)
            let failed = Mutex<[UInt64: ContinuousClock.Instant]>([:])
            let running = Task {
                try await consumer.run(concurrency: 4) { delivery in
                    let position = delivery.position.rawValue
                    switch (delivery.attempt, failed.withLock { $0[position] }) {
                    case (1, nil):
                        failed.withLock { $0[position] = .now }
                        throw Failure("the first try")
                    case (2, let before?):
                        let waited = ContinuousClock.now - before
                        if waited < delay { acknowledge("EARLY \(position) \(waited)") }
                        if waited > .seconds(60) { acknowledge("LATE \(position) \(waited)") }
                    default: acknowledge("AGAIN \(position) \(delivery.attempt)")
                    }
                }
            }
            let begun = ContinuousClock.now
            for number in 0..<timers {
                try await log.schedule(Event(id: .init("t-\(number)"), type: "timer"), after: delay)
            }
            var came = 0
            while came < timers {
                came = try await log.count(.types("timer"))
                if came > 0, ContinuousClock.now - begun < delay { acknowledge("EARLY timer") }
                try await Task.sleep(for: .milliseconds(2))
            }
            if ContinuousClock.now - begun > .seconds(60) { acknowledge("LATE timer") }
            var status = try await log.consumers.status(of: "c")
            while status?.acknowledged ?? 0 < inputs {
                try await Task.sleep(for: .milliseconds(2))
                status = try await log.consumers.status(of: "c")
            }
            // What comes too often comes within a moment.
            try await Task.sleep(for: .milliseconds(300))
            jumps.cancel()
            await jumps.value
            status = try await log.consumers.status(of: "c")
            running.cancel()
            try await running.value
            came = try await log.count(.types("timer"))
            await log.close()
            acknowledge("DONE \(status?.delivered ?? 0) \(status?.acknowledged ?? 0) \(came)")
        }
    }

    /// Before a restart of the machine: finishes events 0 to 2 of ten, retries 3 in two seconds, holds the others,
    /// schedules two events in two seconds, says `HOLDS`, and waits for its end.
    static func beforeRestart(_ options: Options) throws {
        let path = try options.path()
        try Clocks.restart("before", uptime: 500_000, beside: path)
        try self.blocking {
            let log = try await EventLog.open(at: FilePath(path), configuration: Appender.configuration)
            try await log.append((0..<10).map { _ in Event(type: "in") })
            var settings = Self.settings
            settings.leaseDuration = .seconds(86_400)
            let consumer = try await log.consumer("c", settings: settings)
            let batch = try await consumer.next(max: 10, wait: .seconds(60))
            for delivery in batch[..<3] { try delivery.acknowledge() }
            let moment = Timestamp.now()
            try batch[3].retry(after: .seconds(2))
            try await consumer.flush()
            try await log.schedule(Event(id: "after", type: "timer"), after: .seconds(2))
            try await log.schedule(Event(id: "at", type: "timer"), at: moment.advanced(by: .seconds(2)))
            acknowledge("HOLDS \(moment.nanosecondsSinceEpoch)")
            try await Task.sleep(for: .seconds(86_400))
        }
    }

    /// After it: says `GOT position attempt time` of what is delivered and `CAME id time` of what was scheduled, until
    /// everything is done.
    static func afterRestart(_ options: Options) throws {
        let path = try options.path()
        try Clocks.restart("after", uptime: 10, beside: path)
        try self.blocking {
            let log = try await EventLog.open(at: FilePath(path), configuration: Appender.configuration)
            let consumer = try await log.consumer("c")
            while try await log.consumers.status(of: "c")?.acknowledged ?? 0 < 10 {
                for delivery in try await consumer.next(max: 10, wait: .milliseconds(100)) {
                    let now = Timestamp.now().nanosecondsSinceEpoch
                    acknowledge("GOT \(delivery.position) \(delivery.attempt) \(now)")
                    try delivery.acknowledge()
                }
                try await consumer.flush()
            }
            var query = EventQuery.types("timer")
            query.limit = 2
            for try await stored in try log.tail(query, from: .beginning) {
                acknowledge("CAME \(stored.event.id) \(Timestamp.now().nanosecondsSinceEpoch)")
            }
            await log.close()
            acknowledge("DONE")
        }
    }

    /// Schedules events `d-SEED-N` some moments ahead, takes every fifth back (`CANCELLED id` if it could), and says
    /// `SCHEDULED` before any other work; then waits to be ended.
    static func schedule(_ options: Options) throws {
        let path = try options.path()
        let seed = options.number("seed") ?? 1
        try self.blocking {
            var generator = SeededGenerator(seed: seed)
            let log = try await EventLog.open(at: FilePath(path), configuration: Appender.configuration)
            for number in 0..<Int(options.number("events") ?? 50) {
                let event = Event(id: .init("d-\(seed)-\(number)"), type: "timer", stream: "s-\(number % 3)")
                let delay = generator.below(400)
                if number % 2 == 0 {
                    try await log.schedule(event, after: .milliseconds(delay))
                } else {
                    try await log.schedule(event, at: Timestamp.now().advanced(by: .milliseconds(delay)))
                }
                acknowledge("SCHEDULED \(event.id)")
                if number % 5 == 4, try await log.cancelScheduled(id: event.id) {
                    acknowledge("CANCELLED \(event.id)")
                }
            }
            acknowledge("READY")
            try await Task.sleep(for: .seconds(86_400))
        }
    }
}
