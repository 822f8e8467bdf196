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
            """)

    @OptionGroup var log: LogArgument
    @OptionGroup(title: "Which events") var filter: FilterOptions
    @OptionGroup(title: "Which part of the log") var range: RangeOptions

    @Option(help: .init("The event at this position alone.", valueName: "n"))
    var at: Position?

    @Option(help: .init("The event with this id alone.", valueName: "id"))
    var id: EventID?

    @Flag(help: "Print how many events there are instead.")
    var count = false

    @Option(help: "How events are printed.")
    var format: EventFormat = .cloudevents

    @OptionGroup var output: ReportOptions

    func validate() throws {
        if self.at != nil, self.id != nil { throw ValidationError("--at and --id exclude each other") }
        try self.format.validate(with: self.output)
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
            } else {
                let format = self.format
                try await onThread {
                    try EventPrinter(LineOutput(), format).printAll(query, of: log)
                }
            }
        }
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
