import ArgumentParser
import Dispatch
import Glibc
import Synchronization
import Tidelog

struct Tail: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print events as they come.",
        discussion: """
            Prints what there is from the start, then what this and other processes append, within 50 ms, \
            without a gap or a repeat. Ends with status 0 on SIGINT or SIGTERM, or when nobody reads any more.

            With --consumer it goes on where the durable consumer of that name was, which is created if there is \
            none; an event is finished once it is printed. Several tails of one name share the events.

            Examples:
              tidelog tail shop
              tidelog tail shop --from beginning --type 'order.>'
              tidelog tail shop --from 1000 --limit 5
              tidelog tail shop --consumer billing --from beginning
            """)

    @OptionGroup var log: LogArgument

    @Option(
        help: .init(
            "Where to begin: a position, end or beginning; for a consumer when it is created.",
            valueName: "n|end|beginning"),
        transform: Self.start)
    var from = Start(tail: .end, consumer: .end)

    @Option(
        name: [.customLong("consumer"), .customLong("group")],
        help: .init("Go on as this durable consumer.", valueName: "name"))
    var consumer: String?

    @Option(
        help: .init("End after so many events.", valueName: "n"), transform: Parse.atLeast(1))
    var limit: Int?

    @OptionGroup(title: "Which events") var filter: FilterOptions

    @Option(help: "How events are printed.")
    var format: EventFormat = .cloudevents

    @OptionGroup var output: ReportOptions

    func validate() throws { try self.format.validate(with: self.output) }

    /// Where to begin, for either kind of tail.
    struct Start {
        let tail: TailStart
        let consumer: ConsumerStart
    }

    @Sendable private static func start(_ text: String) throws -> Start {
        switch text {
        case "end": return Start(tail: .end, consumer: .end)
        case "beginning": return Start(tail: .beginning, consumer: .beginning)
        default:
            guard let position = Position(text) else {
                throw ValidationError("write a position, end or beginning")
            }
            return Start(tail: .position(position), consumer: .position(position))
        }
    }

    func run() async throws {
        if let consumer { return try await self.run(as: consumer) }
        var query = self.filter.query
        query.limit = self.limit
        let log = try await self.log.openForReading()
        try await withLog(log) { [query] log in
            let events = try log.tail(query, from: self.from.tail)
            let printer = TailPrinter(try EventPrinter(LineOutput(), self.format))
            let task = Task {
                var count = 0
                for try await event in events {
                    try printer.print(event)
                    count += 1
                    if count == query.limit { break }
                }
            }
            try Signals.onStop { task.cancel() }
            do {
                try await task.value
            } catch EventLogError.Code.cancelled {}
            try printer.flush()
        }
    }

    /// Prints what a durable consumer is given, and finishes it once it is written.
    private func run(as name: String) async throws {
        var settings = ConsumerSettings()
        settings.filter = self.filter.query
        settings.start = self.from.consumer
        let log = try await self.log.openForWriting()
        try await withLog(log) { [settings, limit, format] log in
            let isKnown = try await log.consumers.status(of: name) != nil
            let consumer = try await log.consumer(name, settings: isKnown ? nil : settings)
            let printer = TailPrinter(try EventPrinter(LineOutput(), format))
            let task = Task {
                var left = limit ?? .max
                while left > 0, !Task.isCancelled {
                    let batch = try await consumer.next(max: min(left, 256), wait: .seconds(3600))
                    for delivery in batch { try printer.print(delivery.event) }
                    try printer.flush()
                    for delivery in batch { try Self.finish(delivery) }
                    left -= batch.count
                }
            }
            try Signals.onStop { task.cancel() }
            do {
                try await task.value
            } catch EventLogError.Code.cancelled {}
            await consumer.leave()
        }
    }

    /// Finishes an event that was printed. One that was taken away meanwhile, as a reset does, is no error: it comes
    /// again if it is to.
    private static func finish(_ delivery: Delivery) throws {
        do {
            try delivery.acknowledge()
        } catch EventLogError.Code.leaseLost {
            return
        } catch {
            throw error
        }
    }
}

/// Prints events soon, yet many with one call: what waits is written 2 ms after the first of it.
private final class TailPrinter: Sendable {
    private struct State: ~Copyable {
        var printer: EventPrinter
        var isScheduled = false
        var failure: (any Error)?
    }

    private let state: Mutex<State>
    private let queue = DispatchQueue(label: "tidelog.tail")

    init(_ printer: sending EventPrinter) {
        self.state = Mutex(State(printer: printer))
    }

    func print(_ event: StoredEvent) throws {
        let mustSchedule = try self.state.withLock { state in
            if let failure = state.failure { throw failure }
            try state.printer.print(event)
            defer { state.isScheduled = true }
            return !state.isScheduled
        }
        guard mustSchedule else { return }
        self.queue.asyncAfter(deadline: .now() + .milliseconds(2)) {
            do {
                try self.flush()
            } catch {
                // Nobody may ask for a long time: end now.
                Ending(error).leave()
            }
        }
    }

    func flush() throws {
        try self.state.withLock { state in
            state.isScheduled = false
            try state.printer.flush()
        }
    }
}
