import Foundation
package import Tidelog
import TidelogTesting

/// Trips that are booked a leg at a time, and of which all is given back if one fails or takes too long.
///
/// The events of a trip have its correlation. The process manager books a leg for each `trip.leg`, each
/// undone by giving it back; `trip.end` finishes the trip, `trip.fail` and a timer undo it. Whatever comes
/// for a trip that is over begins an instance that ends at once and sends nothing.
package enum Compensating {
    /// The name of the process manager.
    package static let name = "trips"

    package static func process(patience: Duration) -> ProcessManager<Int> {
        ProcessManager(self.name, state: 0, of: .types("trip.*")) {
            $0.event.correlationID?.description
        } handle: { stored, legs, actions in
            switch stored.type {
            case "trip.begin":
                actions.setTimer("late", after: patience)
                self.book(&legs, &actions)
            case _ where legs == 0: actions.complete()
            case "trip.leg": self.book(&legs, &actions)
            case "trip.end":
                actions.send(Event(type: "arrived", stream: "booked"))
                actions.complete()
            default:
                actions.undo()
                actions.complete()
            }
        } timer: { _, _, actions in
            actions.send(Event(type: "late", stream: "booked"))
            actions.undo()
            actions.complete()
        }
    }

    private static func book(_ legs: inout Int, _ actions: inout ProcessActions) {
        actions.send(
            Event(type: "book.\(legs)", stream: "booked"),
            undoneBy: Event(type: "give-back.\(legs)", stream: "booked"))
        legs += 1
    }

    /// The events of a trip in parts to be appended one after the other, so that a timer may come between.
    ///
    /// - Parameter end: how it ends; nil: not by itself.
    package static func trip(_ id: String, legs: Int, end: String?) -> [[Event]] {
        var parts = [["trip.begin"], Array(repeating: "trip.leg", count: legs - 1)]
        if let end { parts.append(["trip.\(end)"]) }
        return parts.filter { !$0.isEmpty }.map { types in
            types.map { Event(type: $0, correlationID: EventID(id)) }
        }
    }

    /// Appends a trip of one to four legs, which ends well, fails, or does neither; all at once or in parts.
    static func travel(_ log: EventLog, _ id: String, _ random: inout SeededGenerator) async throws {
        let end = ["end", "end", "fail", nil][random.below(4)]
        let parts = self.trip(id, legs: 1 + random.below(4), end: end)
        if random.chance(permille: 500) {
            try await log.append(Array(parts.joined()))
        } else {
            for part in parts { try await log.append(part) }
        }
    }

    /// Lets all trips come to their end, and checks them; answers how many were finished and undone.
    package static func finish(_ log: EventLog) async throws -> (done: Int, undone: Int) {
        var process = self.process(patience: .seconds(60))
        try await log.catchUp(process)
        // All timers are due.
        process.now = { .now().advanced(by: .seconds(3600)) }
        try await log.catchUp(process)
        return try await self.check(log, try await log.events(.all), isAtEnd: true)
    }

    // MARK: Checking

    /// What a log has of one trip.
    private struct Trip {
        var legs = 0, booked: [Int] = [], givenBack: [Int] = [], done = 0, late = 0
        /// Whether an event that ends it has been handled.
        var isEnded = false
        /// Whether something was sent after it was over.
        var isOverrun = false
        var isOver: Bool { self.done + self.givenBack.count > 0 }

        /// - Parameter end: how far the process manager has read.
        mutating func note(_ stored: StoredEvent, before end: Position) {
            let words = stored.type.split(separator: ".")
            switch words[0] {
            case "trip":
                guard stored.position < end else { return }
                if words[1] == "begin" || words[1] == "leg" { self.legs += 1 } else { self.isEnded = true }
            case "book":
                self.isOverrun = self.isOverrun || self.isOver
                self.booked.append(Int(words[1]) ?? -1)
            case "give-back": self.givenBack.append(Int(words[1]) ?? -1)
            case "arrived": self.done += 1
            case "late": self.late += 1
            default: self.isOverrun = true
            }
        }

        /// What is wrong with it; nil if nothing is.
        func problem(isOpen: Bool, state: Int?) -> String? {
            if self.isOverrun { return "it went on after its end" }
            if self.booked != Array(0..<self.booked.count) { return "its legs are out of order or doubled" }
            if self.done > 1 || self.late > 1 { return "it ended twice" }
            if self.done > 0, self.late > 0 || !self.givenBack.isEmpty { return "it was done and undone" }
            if self.late > 0, self.givenBack.isEmpty { return "it was late and not undone" }
            if !self.givenBack.isEmpty, self.givenBack != self.booked.reversed() {
                return "it gave back not what it had booked, the last leg first, once"
            }
            if self.legs > 0, isOpen == self.isOver { return "its instance and its events disagree" }
            if isOpen, state != self.booked.count { return "its state is \(state as Any)" }
            if isOpen, self.booked.count != self.legs || self.isEnded {
                return "it has not handled its events"
            }
            if self.legs == 0, !self.booked.isEmpty { return "it has booked and not read why" }
            return nil
        }
    }

    /// Checks that each trip is as one process that nothing interrupts would have left it: on its way,
    /// finished once, or undone once, the last leg first. Answers how many were finished and undone.
    ///
    /// - Parameter isAtEnd: whether all was handled, with no timer to come.
    @discardableResult
    package static func check(
        _ log: EventLog, _ events: [StoredEvent], isAtEnd: Bool = false
    ) async throws -> (done: Int, undone: Int) {
        let process = log.process(self.name)
        let next = try await process.status()?.next ?? .zero
        let open = Set(try await process.instances(limit: .max))
        let timers = try await process.timers(limit: .max).map(\.instance)
        guard timers.sorted() == open.sorted() else {
            throw Failure("\(open.count) trips are on their way, and \(timers.count) timers wait")
        }
        let kinds: Set<Substring> = ["trip", "book", "give-back", "arrived", "late"]
        var trips: [String: Trip] = [:]
        for stored in events {
            guard let id = stored.event.correlationID?.description, id.hasPrefix("trip-") else {
                if kinds.contains(stored.type.prefix { $0 != "." }) { throw Failure("\(stored) is nobody's") }
                continue
            }
            trips[id, default: Trip()].note(stored, before: next)
        }
        for (id, trip) in trips {
            let state = open.contains(id) ? try await process.state(of: id, as: Int.self) : nil
            if let problem = trip.problem(isOpen: open.contains(id), state: state) {
                throw Failure("the trip \(id): \(problem): \(trip)")
            }
            if isAtEnd, !trip.isOver { throw Failure("the trip \(id) has not ended: \(trip)") }
        }
        return (trips.values.count { $0.done > 0 }, trips.values.count { !$0.givenBack.isEmpty })
    }
}
