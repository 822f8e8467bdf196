import ArgumentParser
import Glibc
import SystemPackage
import Tidelog

struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure appending, sealing and reading on this machine.",
        discussion: """
            Makes fresh logs of a seeded generator's events in temporary directories below DIRECTORY, and \
            removes them. Prints medians; with --json one line for each run. Events are made before the clock \
            starts. Build with -c release.

            Examples:
              tidelog bench
              tidelog bench /mnt/disk --events 10000000 --scenario replay --scenario count-type
              tidelog bench --scenario append-4x1000 --runs 5 --json
              tidelog bench --write-input events.bin --events 1000000
            """)

    @Argument(help: "Where to make logs. (default: the working directory)", completion: .directory)
    var path: String?

    @Option(name: .customLong("directory"), help: .init("The same, as an option.", valueName: "directory"))
    var directory: String?

    @Option(
        name: .customLong("scenario"),
        help: .init(
            "What to measure; several times for more. append-8x50 is 8 callers with batches of 50; read is "
                + "all that is measured on a sealed log. (default: all)", valueName: "name"))
    var scenarios: [BenchScenario] = []

    @Option(help: .init("How many events.", valueName: "n"), transform: Parse.atLeast(100))
    var events = 1_000_000

    @Option(
        help: .init(
            "Streams that the generator spreads them over. (default: a tenth of the events)", valueName: "n"),
        transform: Parse.atLeast(1))
    var streams: Int?

    @Option(help: .init("The generator's seed.", valueName: "n"))
    var seed: UInt64 = 42

    @Option(help: .init("How often to run each.", valueName: "n"), transform: Parse.atLeast(1))
    var runs = 3

    @Option(help: .init("How long appending may take in one run.", valueName: "s"))
    var seconds: Double = 3

    @Flag(help: "Do not seal in the background while appending is measured.")
    var noBackgroundSealing = false

    @Option(
        help: .init("Take events from a file that --write-input wrote.", valueName: "file"),
        completion: .file())
    var input: String?

    @Option(
        help: .init(
            "Write the generator's events to a file, length before plain JSON, and end.", valueName: "file"),
        completion: .file())
    var writeInput: String?

    @Option(
        help: .init(
            "Measure reading on the sealed log at LOG, which an earlier run with the same events made; make and "
                + "keep it if there is none.", valueName: "log"), completion: .directory)
    var keep: String?

    @Option(help: .hidden)
    var fill: String?

    @Option(help: .hidden)
    var replay: String?

    @OptionGroup var output: ReportOptions

    func validate() throws {
        if self.path != nil, self.directory != nil {
            throw ValidationError("DIRECTORY and --directory are the same: give one")
        }
    }

    func run() async throws {
        var streams = max(1, self.events / 10)
        if let chosen = self.streams { streams = chosen }
        let input = BenchInput(count: self.events, seed: self.seed, streams: streams, path: self.input)
        if let fill { return try await FillingChild.fill(fill, input) }
        if let replay { return try await ReplayingChild.replay(replay) }
        if let writeInput { return try await onThread { try input.write(to: writeInput) } }
        let place = self.path ?? self.directory ?? "."
        let runner = BenchRunner(
            directory: place, input: input, seconds: self.seconds,
            sealsInBackground: !self.noBackgroundSealing)
        let results = BenchReport(json: self.output.json)
        if !self.output.json { try show(self.setting(place)) }
        let chosen = self.scenarios.isEmpty ? BenchScenario.standard : self.scenarios
        try await self.write(chosen, runner, results)
        try await self.read(chosen, runner, results)
        try results.finish()
    }

    private func setting(_ place: String) -> [String] {
        var lines = [Machine().description]
        lines.append(
            "\(Units.count(self.events)) events of "
                + (self.input.map { "the file \($0)" } ?? "seed \(self.seed)")
                + ", logs in \(place), every append durable")
        #if DEBUG
            lines.append("A debug build: figures mean nothing. Build with -c release.")
        #endif
        return lines + [""]
    }

    /// The scenarios that write.
    private func write(
        _ scenarios: [BenchScenario], _ runner: BenchRunner, _ results: BenchReport
    ) async throws {
        var made: (size: Int, batches: [[Event]]) = (0, [])
        for scenario in scenarios {
            var size = 1000
            if case .append(_, let batch) = scenario.kind { size = batch }
            switch scenario.kind {
            case .append, .seal, .sealStall, .reopenSegments, .consuming:
                if made.size != size { made = (size, try runner.input.batches(of: size)) }
            default: break
            }
            for _ in 0..<self.runs {
                switch scenario.kind {
                case .append(let callers, _):
                    try results.add(
                        try await runner.append(scenario.description, callers: callers, made.batches))
                case .seal: try results.add(try await runner.seal(made.batches))
                case .sealStall: try results.add(try await runner.sealStall(made.batches))
                case .reopenSegments(let count, let isAppending):
                    try results.add(
                        try await runner.reopenSegments(
                            scenario.description, count: count, appending: isAppending, made.batches))
                case .consuming(let consuming):
                    for result in try await runner.consume(consuming, made.batches) {
                        try results.add(result)
                    }
                case .reopen(let isAppending):
                    try results.add(
                        try await runner.reopen(scenario.description, appending: isAppending))
                case .reading, .read: break
                }
            }
        }
    }

    /// The scenarios on one sealed log.
    private func read(
        _ scenarios: [BenchScenario], _ runner: BenchRunner, _ results: BenchReport
    ) async throws {
        var wanted: Set<BenchScenario.Reading> = []
        for scenario in scenarios {
            if case .reading(let reading) = scenario.kind { wanted.insert(reading) }
            if case .read = scenario.kind { wanted.formUnion(BenchScenario.Reading.allCases) }
        }
        guard !wanted.isEmpty else { return }
        let order = BenchScenario.Reading.allCases.filter { wanted.contains($0) }
        try await runner.withSealedLog(keptAt: self.keep) { path in
            let chosen = try await onThread { try ReadChoice(runner.input) }
            for isUncached in [false, true] {
                let readings = order.filter { $0.isUncached == isUncached }
                if readings.isEmpty { continue }
                try await self.readOpen(readings, isUncached, path, chosen, runner, results)
            }
            for reading in order {
                for _ in 0..<self.runs {
                    switch reading {
                    case .streamCold: try results.add(try await Self.coldStream(path, chosen))
                    case .reopenSealed:
                        try results.add(try await BenchRunner.timeToOpen(path, reading.rawValue))
                    default: break
                    }
                }
            }
            if wanted.contains(.bytes) {
                let bytes = Double(directoryBytes(path)) / Double(runner.input.count)
                try results.add(
                    BenchResult("bytes", events: runner.input.count, seconds: 0, .bytesPerEvent(bytes)))
            }
        }
    }

    private func readOpen(
        _ order: [BenchScenario.Reading], _ isUncached: Bool, _ path: String, _ chosen: ReadChoice,
        _ runner: BenchRunner, _ results: BenchReport
    ) async throws {
        var configuration = EventLogConfiguration()
        configuration.mode = .readOnly
        if isUncached { configuration.streamCacheBytes = 0 }
        let log = try await EventLog.open(at: FilePath(path), configuration: configuration)
        try await withLog(log) { log in
            let reader = ReadRunner(
                path: path, log: log, input: runner.input, stream: chosen.stream, type: chosen.type)
            for reading in order {
                switch reading {
                case .streamCold, .reopenSealed, .bytes: continue
                case .replay, .replay2, .replayOwned, .readType:
                    // Warms up.
                    _ = try await reader.run(reading)
                default: break
                }
                for _ in 0..<(reading == .bytesSealed ? 1 : self.runs) {
                    try results.add(try await reader.run(reading))
                }
            }
        }
    }

    /// Opens the log with nothing in the page cache, and reads one stream.
    private static func coldStream(_ path: String, _ chosen: ReadChoice) async throws -> BenchResult {
        evict(path)
        let watch = Stopwatch()
        var configuration = EventLogConfiguration()
        configuration.mode = .readOnly
        let log = try await EventLog.open(at: FilePath(path), configuration: configuration)
        let stream = chosen.stream
        let seen = try await onThread { try log.eventsBlocking(.stream(stream.name)).count }
        let seconds = watch.seconds
        await log.close()
        guard seen == stream.count else {
            throw Failure(.unmet, "the stream has \(seen) events, not the \(stream.count) that were written")
        }
        return BenchResult("stream-cold", events: seen, seconds: seconds, .microseconds(seconds * 1e6))
    }
}

/// What is asked for: the stream whose number of events is nearest to 100, the type nearest to 1 %.
struct ReadChoice: Sendable {
    let stream: (name: String, count: Int)
    let type: (pattern: TypePattern, count: Int)

    init(_ input: BenchInput) throws {
        var streams: [String: Int] = [:]
        var types: [String: Int] = [:]
        var reader = try input.reader()
        while case let events = try reader.next(4096), !events.isEmpty {
            for event in events {
                types[event.type, default: 0] += 1
                if let stream = event.stream { streams[stream, default: 0] += 1 }
            }
        }
        let stream = streams.min {
            (abs($0.value - 100), $0.key) < (abs($1.value - 100), $1.key)
        }
        let share = input.count / 100
        let type = types.min { (abs($0.value - share), $0.key) < (abs($1.value - share), $1.key) }
        guard let stream, let type else { throw Failure(.unable, "the input has no events with streams") }
        self.stream = (stream.key, stream.value)
        self.type = (try TypePattern(type.key), type.value)
    }
}
