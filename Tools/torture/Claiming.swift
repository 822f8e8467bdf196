import Foundation
import SystemPackage
package import Tidelog

/// Races other processes for seats. A seat is taken by an event that is appended on the condition that nobody has
/// taken it; the events are in streams of those who race, so that nothing but the condition keeps two from one seat.
package enum Claiming {
    /// The seat of a round: all events about it have this correlation.
    package static func seat(_ round: Int) -> EventID { EventID("seat-\(round)") }

    /// The event with which a racer takes the seat of a round.
    package static func event(_ round: Int, by name: String) -> Event {
        Event(
            id: .init("\(self.seat(round))-\(name)"), type: "seat.taken", stream: "by-\(name)",
            correlationID: self.seat(round))
    }

    /// The event that all racers wait for. It says when the first round begins; then one begins every two
    /// milliseconds, so that the racers come to each at the same time.
    package static func start(in milliseconds: UInt64) -> Event {
        Event(id: .init("start-\(self.now() + milliseconds * 1_000_000)"), type: "start")
    }

    private static let roundNanoseconds: UInt64 = 2_000_000

    /// Says `CLAIM round won position` or `CLAIM round lost` for each round, then `CLAIMED`.
    static func run(_ options: Options) throws {
        let path = try options.path()
        let name = options.text("name") ?? "racer"
        let rounds = Int(options.number("rounds") ?? 200)
        try Consuming.blocking {
            let log = try await EventLog.open(at: FilePath(path), configuration: Appender.configuration)
            acknowledge("OPEN")
            let begin = try await self.beginning(log)
            for round in 0..<rounds {
                let position = try await self.claim(
                    round, by: name, log, at: begin + UInt64(round) * self.roundNanoseconds)
                acknowledge("CLAIM \(round) " + (position.map { "won \($0)" } ?? "lost"))
            }
            acknowledge("CLAIMED")
            await log.close()
        }
    }

    /// When the first round begins, by the system's monotonic clock.
    private static func beginning(_ log: EventLog) async throws -> UInt64 {
        for try await stored in try log.tail(.types("start"), from: .beginning) {
            return UInt64(stored.event.id.description.dropFirst("start-".count)) ?? 0
        }
        throw Failure("nobody said when to start")
    }

    /// Tries to take a seat; answers where the event is that took it, nil if somebody else has.
    private static func claim(
        _ round: Int, by name: String, _ log: EventLog, at moment: UInt64
    ) async throws -> Position? {
        let seat = EventQuery.correlation(self.seat(round))
        let own = self.event(round, by: name)
        // Every other round is decided on what was read: nothing about the seat up to some place.
        let end = round % 2 == 0 ? try await log.end().rawValue : 0
        if end > 0, let holder = try await log.events(seat).first {
            return holder.event.id == own.id ? holder.position : nil
        }
        self.wait(until: moment)
        do {
            let result = try await log.append(
                [own], if: .noEvent(matching: seat, after: end > 0 ? Position(end - 1) : nil))
            return result.positions.lowerBound
        } catch EventLogError.Code.conflict {
            return nil
        }
    }

    private static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    private static func wait(until moment: UInt64) {
        let now = self.now()
        if moment > now { usleep(UInt32((moment - now) / 1000)) }
    }
}
