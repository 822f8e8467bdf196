import SystemPackage
import Tidelog

/// A process that publishes on a bus of its own on the log.
enum Publishing {
    /// Publishes events of the types `other.odd` and `other.even`, by turns one and two at a time, and says
    /// `PUBLISHED id` of each once it is durable.
    static func run(_ options: Options) throws {
        let path = try options.path()
        let count = Int(options.number("events") ?? 100)
        try Consuming.blocking {
            let log = try await EventLog.open(at: FilePath(path), configuration: Appender.configuration)
            let bus = LogBus(log)
            var number = 0
            while number < count {
                let events = (number..<min(number + 1 + number % 2, count)).map { number in
                    Event(
                        id: .init("other-\(number)"),
                        type: number.isMultiple(of: 2) ? "other.even" : "other.odd",
                        stream: "other", text: "\(number)")
                }
                try await bus.publish(events)
                for event in events { acknowledge("PUBLISHED \(event.id)") }
                number += events.count
            }
            await bus.close()
            await log.close()
        }
    }
}
