import Tidelog

/// What one run of one scenario gave.
struct BenchResult: Sendable {
    /// What the figure is.
    enum Kind: Sendable, Equatable {
        /// Events a second.
        case rate
        /// The time of one read.
        case microseconds(Double)
        case bytesPerEvent(Double)
        case megabytes(Double)
        /// Of one core.
        case percent(Double)
    }

    let scenario: String
    let events: Int
    let seconds: Double
    let kind: Kind

    init(_ scenario: String, events: Int, seconds: Double, _ kind: Kind = .rate) {
        self.scenario = scenario
        self.events = events
        self.seconds = seconds
        self.kind = kind
    }

    /// The figure that the scenario is about.
    var value: Double {
        switch self.kind {
        case .rate: self.seconds > 0 ? Double(self.events) / self.seconds : 0
        case .microseconds(let value), .bytesPerEvent(let value), .megabytes(let value),
            .percent(let value):
            value
        }
    }

    /// The figure for people.
    static func text(_ value: Double, _ kind: Kind) -> String {
        switch kind {
        case .rate: Units.rate(Int(value.rounded()), 1)
        case .microseconds: Units.duration(value / 1e6)
        case .bytesPerEvent: Units.decimal(value, 1) + " bytes/event"
        case .megabytes: Units.decimal(value, 1) + " MB"
        case .percent: Units.decimal(value, 2) + " % of a core"
        }
    }

    /// For programs: the line that Benchmarks/run gathers.
    var json: JSONText {
        var members: [(String, JSONText)] = [
            ("peer", "tidelog"), ("scenario", .string(self.scenario)), ("events", .integer(self.events)),
            ("seconds", .number(self.seconds)),
            (
                "events_per_second",
                .number(self.seconds > 0 ? (Double(self.events) / self.seconds).rounded() : 0)
            ),
        ]
        switch self.kind {
        case .rate: break
        case .microseconds(let value): members.append(("median_us", .number(value)))
        case .bytesPerEvent(let value): members.append(("bytes_per_event", .number(value)))
        case .megabytes(let value): members.append(("megabytes", .number(value)))
        case .percent(let value): members.append(("percent", .number(value)))
        }
        return .object(members)
    }
}

/// Gathers results, and prints them at once or at the end.
final class BenchReport {
    private let isJSON: Bool
    private var results: [BenchResult] = []

    init(json: Bool) { self.isJSON = json }

    func add(_ result: BenchResult) throws {
        self.results.append(result)
        if self.isJSON { try report(json: true, result.json, []) }
    }

    /// The medians, for people.
    func finish() throws {
        if self.isJSON { return }
        var order: [String] = []
        var byScenario: [String: [BenchResult]] = [:]
        for result in self.results {
            if byScenario[result.scenario] == nil { order.append(result.scenario) }
            byScenario[result.scenario, default: []].append(result)
        }
        var table = Table([
            .text("scenario"), .number("median"), .number("range"), .number("runs"), .number("events"),
            .text("what"),
        ])
        for scenario in order {
            guard let results = byScenario[scenario], let first = results.first else { continue }
            let values = results.map(\.value).sorted()
            table.add([
                scenario, BenchResult.text(median(values), first.kind),
                values.count > 1
                    ? "\(BenchResult.text(values[0], first.kind)) to "
                        + BenchResult.text(values[values.count - 1], first.kind) : "",
                String(values.count), Units.count(first.events), BenchScenario(scenario)?.explanation ?? "",
            ])
        }
        try show(table.lines)
    }
}

/// The value in the middle.
func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    guard !sorted.isEmpty else { return 0 }
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}
