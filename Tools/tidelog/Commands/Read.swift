import ArgumentParser
import Tidelog

struct Read: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print events, one JSON object a line.",
        discussion: """
            Events come in the order of the log, as CloudEvents with `position` and `revision`, with the data \
            that was imported, byte for byte. Conditions combine; those that can be given several times widen.

            Examples:
              tidelog read shop --limit 10
              tidelog read shop --stream order-42
              tidelog read shop --type 'order.*' --since 2h
              tidelog read shop --type 'payment.>' --type refund.granted --count
              tidelog read shop --backwards --limit 1
              tidelog read shop --from 1000 --to 2000 --format csv > events.csv
              tidelog read shop --type 'order.*' --limit 50 --cursor first
            """)

    @OptionGroup var log: LogArgument
    @OptionGroup(title: "Which events") var filter: FilterOptions
    @OptionGroup(title: "Which part of the log") var range: RangeOptions

    @Option(help: .init("The event at this position alone.", valueName: "n"))
    var at: Position?

    @Option(help: .init("The event with this id alone.", valueName: "id"))
    var id: EventID?

    @Option(help: .init("Pass over so many events first.", valueName: "n"), transform: Parse.atLeast(0))
    var offset: Int?

    @Option(
        help: .init(
            "Print a page of --limit events (1,000), and behind it a line with the cursor of the next page: "
                + "`first`, or the cursor of the page before.", valueName: "cursor"),
        transform: PageStart.init(parsing:))
    var cursor: PageStart?

    @Flag(help: "Print how many events there are instead.")
    var count = false

    @Option(help: "How events are printed.")
    var format: EventFormat = .cloudevents

    @OptionGroup var output: ReportOptions

    func validate() throws {
        if self.at != nil, self.id != nil { throw ValidationError("--at and --id exclude each other") }
        try self.format.validate(with: self.output)
        guard self.offset != nil || self.cursor != nil else { return }
        let part = self.offset == nil ? "--cursor" : "--offset"
        for (other, isThere) in [
            ("--cursor", self.offset != nil && self.cursor != nil), ("--at", self.at != nil),
            ("--id", self.id != nil), ("--count", self.count),
            ("--format csv", self.cursor != nil && self.format == .csv),
        ] where isThere { throw ValidationError("\(part) and \(other) exclude each other") }
    }

    func run() async throws {
        var query = self.filter.query
        self.range.apply(to: &query)
        let log = try await self.log.openForReading()
        try await withLog(log) { [query] log in
            if self.at != nil || self.id != nil {
                try await self.printOne(log)
            } else if self.count {
                try self.show(count: try await log.count(query))
            } else if let cursor {
                try await self.printPage(query, cursor, of: log)
            } else {
                let (format, offset) = (self.format, self.offset ?? 0)
                try await onThread {
                    try EventPrinter(LineOutput(), format).printAll(query, of: log, passingOver: offset)
                }
            }
        }
    }

    private func printPage(_ query: EventQuery, _ start: PageStart, of log: EventLog) async throws {
        let page = try await log.page(query, size: query.limit ?? 1000, after: start.cursor)
        let output = LineOutput()
        let printer = try EventPrinter(output, self.format)
        for event in page.events { try printer.print(event) }
        let end: JSONText = ["next": JSONText(page.next?.description)]
        try output.write(line: end.line)
        try output.flush()
    }

    private func printOne(_ log: EventLog) async throws {
        var event: StoredEvent?
        if let at { event = try await log.event(at: at) }
        if let id { event = try await log.event(id: id) }
        if self.count { return try self.show(count: event == nil ? 0 : 1) }
        guard let event else {
            throw Failure(
                .unmet,
                self.at.map { "there is no event at position \($0); `tidelog stats LOG` tells what there is" }
                    ?? "there is no event with this id; it may have been retained away or never been there")
        }
        let printer = try EventPrinter(LineOutput(), self.format)
        try printer.print(event)
        try printer.flush()
    }

    private func show(count: Int) throws {
        try report(json: self.output.json, ["events": .integer(count)], [String(count)])
    }
}

/// Where a page of events begins.
struct PageStart: Sendable {
    /// Where the page before ended; nil for the first page.
    let cursor: EventCursor?

    /// Reads `first`, or the cursor that came with the page before.
    init(parsing text: String) throws {
        if text == "first" {
            self.cursor = nil
            return
        }
        do throws(EventLogError) {
            self.cursor = try EventCursor(parsing: text)
        } catch {
            throw ValidationError(Ending.text(of: error))
        }
    }
}
