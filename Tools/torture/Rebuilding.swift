import Foundation
import SystemPackage
package import Tidelog

/// Rebuilds a projection and stops in the middle of it, to be killed there.
package enum Rebuilding {
    /// The name of the projection.
    package static let name = "each"

    /// Keeps an entry for each event; a transaction has a hundred.
    ///
    /// - Parameter waiting: the number of the event at which it says `WAITS` and goes on no more.
    package static func projection(waitingAt waiting: Int? = nil) -> Projection {
        var projection = Projection(self.name, of: .types("n")) { stored, state in
            let number = Int(stored.payload.text ?? "") ?? -1
            if number == waiting {
                acknowledge("WAITS")
                self.waitToBeKilled()
            }
            try state.add(Int64(number), to: "n/\(number)")
        }
        projection.batchEvents = 100
        return projection
    }

    private static func waitToBeKilled() {
        for _ in 0..<1000 { sleep(1000) }
    }

    /// Events for it, numbered from 0.
    package static func events(_ count: Int) -> [Event] {
        (0..<count).map { Event(type: "n", payload: .init(text: "\($0)")) }
    }

    static func run(_ options: Options) throws {
        let path = try options.path()
        let waiting = options.number("events").map { Int($0) }
        try Consuming.blocking {
            let log = try await EventLog.open(at: FilePath(path), configuration: Appender.configuration)
            try await log.rebuild(self.projection(waitingAt: waiting))
            acknowledge("REBUILT")
            await log.close()
        }
    }
}
