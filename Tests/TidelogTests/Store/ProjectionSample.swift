import Tidelog
import TidelogStorage

/// A projection and its events, for tests of several kinds.
enum ProjectionSample {
    /// Counts events and sums numbers by stream.
    static func sums(version: UInt32 = 1, factor: Int64 = 1, batch: Int = 16_384) -> Projection {
        var projection = Projection("sums", version: version, of: .types("n.*")) { stored, state in
            let number = Int64(stored.payload.text ?? "") ?? 0
            if number < 0 {
                // What was done for this event before it fails must leave no trace.
                try state.add(1000, to: "sum/\(stored.stream ?? "")")
                throw Refused()
            }
            try state.add(number * factor, to: "sum/\(stored.stream ?? "")")
            try state.add(1, to: "count")
            if number == 7 { try state.remove("count") }
        }
        projection.batchEvents = batch
        return projection
    }

    /// What the function throws for a number below zero.
    struct Refused: Error {}

    static func numbers(_ range: Range<Int>) -> [Event] {
        range.map { Event(type: "n.x", stream: "s\($0 % 3)", payload: .init(text: "\($0)")) }
    }

    static func entries(_ log: EventLog, _ name: String = "sums") async throws -> [String] {
        try await log.projection(name).entries().map { "\($0.key)=\($0.value.integer ?? -1)" }
    }
}

/// A count that closures share.
final class Counter: Sendable {
    private let count = Lock(0)
    var value: Int { self.count.withLock { $0 } }
    func add(_ number: Int) { self.count.withLock { $0 += number } }
}
