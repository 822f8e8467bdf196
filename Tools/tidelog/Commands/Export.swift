import ArgumentParser
import Glibc
import Tidelog

struct Export: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write events for other programs.", usage: "tidelog export FORM LOG …",
        discussion: """
            Examples:
              tidelog export cloudevents shop --output shop.ndjson
              tidelog export ndjson shop --type 'order.>' | gzip > orders.ndjson.gz
              tidelog export csv shop --guard-formulas --output shop.csv
            """,
        subcommands: Self.forms)

    private static var forms: [any ParsableCommand.Type] {
        var forms: [any ParsableCommand.Type] = [ExportNDJSON.self, ExportCloudEvents.self, ExportCSV.self]
        #if Postgres
            forms.append(ExportPostgres.self)
        #endif
        return forms
    }

    func run() async throws {
        throw ValidationError("Name a form: ndjson, cloudevents or csv")
    }
}

struct ExportNDJSON: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ndjson", abstract: "The plain form: one JSON object a line.",
        discussion: "Example:\n  tidelog export ndjson shop --type 'order.>' | gzip > orders.ndjson.gz")

    @OptionGroup var options: ExportOptions

    func run() async throws { try await self.options.export(.plain) }
}

struct ExportCloudEvents: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cloudevents", abstract: "CloudEvents 1.0: one JSON object a line.",
        discussion: "Example:\n  tidelog export cloudevents shop --output shop.ndjson")

    @OptionGroup var options: ExportOptions

    func run() async throws { try await self.options.export(.cloudevents) }
}

struct ExportCSV: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "csv", abstract: "Comma-separated values (RFC 4180), with a line of titles.",
        discussion: "Example:\n  tidelog export csv shop --guard-formulas --output shop.csv")

    @OptionGroup var options: ExportOptions

    @Flag(help: "Put an apostrophe before cells that a spreadsheet would run as formulas.")
    var guardFormulas = false

    func run() async throws { try await self.options.export(.csv, guardsFormulas: self.guardFormulas) }
}

/// What all forms of export have in common.
struct ExportOptions: ParsableArguments {
    @OptionGroup var log: LogArgument

    @Option(
        name: .shortAndLong,
        help: .init(
            "Write to this file, whole or not at all, rather than to standard output.", valueName: "file"),
        completion: .file())
    var output: String?

    @OptionGroup(title: "Which events") var filter: FilterOptions
    @OptionGroup(title: "Which part of the log") var range: RangeOptions
    @OptionGroup var reporting: ReportOptions

    func validate() throws {
        if self.reporting.json, self.output == nil {
            throw ValidationError("--json reports on the file that is written: name that with --output")
        }
    }

    /// Writes the events.
    func export(_ format: EventFormat, guardsFormulas: Bool = false) async throws {
        var query = self.filter.query
        self.range.apply(to: &query)
        let log = try await self.log.openForReading()
        try await withLog(log) { [query] log in
            let statistics = try await log.statistics()
            let path = self.output
            let low = max(query.from ?? .zero, statistics.firstPosition).rawValue
            let high = min(query.to ?? Position(.max), statistics.nextPosition).rawValue
            let (isBackwards, isJSON) = (self.range.backwards, self.reporting.json)
            try await onThread {
                let watch = Stopwatch()
                let file = try path.map { try NewFile($0) }
                // Beside events on the same terminal it would only be in the way.
                let isAlone = file != nil || isatty(STDOUT_FILENO) == 0
                let bar = ProgressBar(
                    "exporting", total: high > low ? Int(high - low) : nil, isWanted: isAlone && !isJSON
                ) { "\(Units.count($0)) positions" }
                bar.update(0)
                defer { bar.finish() }
                let output = file.map { LineOutput($0.descriptor, name: $0.path) } ?? LineOutput()
                let printer = try EventPrinter(output, format, guardsFormulas: guardsFormulas)
                try printer.printAll(query, of: log) { event in
                    let position = event.position.rawValue
                    if printer.count % 1024 == 0 {
                        bar.update(Int(isBackwards ? high &- position : position &- low))
                    }
                }
                try file?.complete()
                bar.finish()
                guard let file else { return }
                try report(
                    json: isJSON,
                    [
                        "file": .string(file.path), "events": .integer(printer.count),
                        "seconds": .number(watch.seconds),
                    ], ["\(Units.events(printer.count)) written"])
            }
        }
    }
}

/// A file that is there under its name only once it is whole.
final class NewFile {
    let path: String
    let descriptor: Int32
    private let partial: String
    private var isComplete = false

    init(_ path: String) throws {
        self.path = path
        self.partial = "\(path).\(getpid()).partial"
        self.descriptor = Glibc.open(self.partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        if self.descriptor < 0 {
            throw Failure(
                .unable, "cannot make \(self.partial): \(systemMessage(errno)); choose another place")
        }
    }

    deinit {
        if self.descriptor < 0 { return }
        close(self.descriptor)
        if !self.isComplete { unlink(self.partial) }
    }

    /// Gives the file its name, once its bytes are on the disk.
    func complete() throws {
        guard fsync(self.descriptor) == 0 || errno == EINVAL, rename(self.partial, self.path) == 0 else {
            throw Failure(.unable, "cannot write \(self.path): \(systemMessage(errno)); choose another place")
        }
        self.isComplete = true
    }
}
