import ArgumentParser

/// One thing that is measured; its name is also how scripts ask for it.
struct BenchScenario: Hashable, Sendable, ExpressibleByArgument, CustomStringConvertible {
    enum Kind: Hashable, Sendable {
        /// So many callers, each awaiting its own durable batch of so many events.
        case append(callers: Int, batch: Int)
        case seal
        /// Appending while a full head is sealed.
        case sealStall
        /// Opening a log of so many segments, perhaps up to the first append.
        case reopenSegments(Int, appending: Bool)
        /// Opening after a kill, perhaps up to the first append.
        case reopen(appending: Bool)
        /// With a durable consumer of a fresh log.
        case consuming(Consuming)
        /// On one sealed log.
        case reading(Reading)
        /// All that the peers of Benchmarks/run are measured at on one sealed log.
        case read
    }

    /// What is measured of durable consumers.
    enum Consuming: String, CaseIterable, Sendable {
        case consume
        case transform = "transform-100"
        case latency = "delivery-latency"
        case idle = "consumers-idle"
        case open = "consumers-open"
    }

    /// What is measured on one sealed log, in this order.
    enum Reading: String, CaseIterable, Sendable {
        case replay
        case replay2 = "replay-2"
        case replayOwned = "replay-owned"
        case point
        case countType = "count-type"
        case readType = "read-type"
        case stream
        case streamUncached = "stream-uncached"
        case streamEvicted = "stream-evicted"
        case streamCold = "stream-cold"
        case reopenSealed = "reopen-sealed"
        case memory
        case bytesSealed = "bytes-sealed"
        case bytes

        /// Whether the log is opened so that it keeps no events of streams in memory.
        var isUncached: Bool { self == .streamUncached || self == .streamEvicted }
    }

    let kind: Kind
    let description: String

    init?(argument: String) { self.init(argument) }

    init?(_ name: String) {
        self.description = name
        switch name {
        case "seal": self.kind = .seal
        case "seal-stall": self.kind = .sealStall
        case "reopen-segments": self.kind = .reopenSegments(1000, appending: false)
        case "reopen-segments-append": self.kind = .reopenSegments(1000, appending: true)
        case "reopen": self.kind = .reopen(appending: false)
        case "reopen-append": self.kind = .reopen(appending: true)
        case "read": self.kind = .read
        default:
            if let consuming = Consuming(rawValue: name) {
                self.kind = .consuming(consuming)
                return
            }
            if let reading = Reading(rawValue: name) {
                self.kind = .reading(reading)
                return
            }
            guard name.hasPrefix("append-") else { return nil }
            let parts = name.dropFirst(7).split(separator: "x", omittingEmptySubsequences: false)
            guard parts.count == 2, let callers = Int(parts[0]), let batch = Int(parts[1]),
                (1...100_000).contains(callers), (1...100_000).contains(batch)
            else { return nil }
            self.kind = .append(callers: callers, batch: batch)
        }
    }

    /// Those that run where none are named.
    static let standard: [BenchScenario] =
        [
            "append-1x1000", "append-4x1000", "append-4x100", "append-64x1", "append-1024x1", "append-1x1",
            "seal", "seal-stall", "reopen", "reopen-append", "reopen-segments",
            "reopen-segments-append",
        ].compactMap { BenchScenario($0) }
        + Consuming.allCases.compactMap { BenchScenario($0.rawValue) }
        + Reading.allCases.compactMap { BenchScenario($0.rawValue) }

    static var allValueStrings: [String] {
        Self.standard.map(\.description) + ["read", "append-CALLERSxBATCH"]
    }

    /// For people.
    var explanation: String {
        switch self.kind {
        case .append(1, let batch): "one task awaiting each batch of \(batch)"
        case .append(let callers, let batch): "\(callers) tasks, each awaiting its batches of \(batch)"
        case .seal: "sealing a full head"
        case .sealStall: "the longest wait of a caller appending while a full head is sealed"
        case .reopenSegments(let count, false): "opening a log of \(count) sealed segments and an empty head"
        case .reopenSegments(_, true): "the same, and the first append"
        case .reopen(false): "opening after kill -9 with a full head"
        case .reopen(true): "the same, and the first append"
        case .read: ""
        case .consuming(let consuming): Self.explain(consuming)
        case .reading(let reading): Self.explain(reading)
        }
    }

    private static func explain(_ consuming: Consuming) -> String {
        switch consuming {
        case .consume: "a durable consumer that takes and acknowledges one by one"
        case .transform: "one event appended for each, exactly once, 100 to a transaction"
        case .latency: "from the durable append to the handler, 1,000 events/s offered"
        case .idle: "a thousand idle consumers: processor time a second, memory"
        case .open: "opening ten thousand consumers that have offsets"
        }
    }

    private static func explain(_ reading: Reading) -> String {
        switch reading {
        case .replay: "all sealed events as views, one thread"
        case .replay2: "the same on two threads, half of the log each"
        case .replayOwned: "all of them as an AsyncSequence"
        case .point: "one event by a random position, warm"
        case .countType: "counting the type of 1 % of the events"
        case .readType: "reading the type of 1 % of the events"
        case .stream: "one stream of 100 events, read before"
        case .streamUncached: "the same where no events are kept in memory"
        case .streamEvicted: "the same, and nothing in the page cache"
        case .streamCold: "the same, with opening the log"
        case .reopenSealed: "opening the sealed log"
        case .memory: "most anonymous memory of a process that replays it"
        case .bytesSealed: "sealed segments, indexes and all"
        case .bytes: "the whole directory"
        }
    }
}
