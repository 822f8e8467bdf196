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

            Examples:
              tidelog tail shop
              tidelog tail shop --from beginning --type 'order.>'
              tidelog tail shop --from 1000 --limit 5
            """)

    @OptionGroup var log: LogArgument

    @Option(
        help: .init("Where to begin: a position, end or beginning.", valueName: "n|end|beginning"),
        transform: Self.start)
    var from: TailStart = .end

    @Option(
        help: .init("End after so many events.", valueName: "n"), transform: Parse.atLeast(1))
    var limit: Int?

    @OptionGroup(title: "Which events") var filter: FilterOptions

    @Option(help: "How events are printed.")
    var format: EventFormat = .cloudevents

    @Sendable private static func start(_ text: String) throws -> TailStart {
        switch text {
        case "end": return .end
        case "beginning": return .beginning
        default:
            guard let position = Position(text) else {
                throw ValidationError("write a position, end or beginning")
            }
            return .position(position)
        }
    }

    func run() async throws {
        var query = self.filter.query
        query.limit = self.limit
        let log = try await self.log.openForReading()
        try await withLog(log) { [query] log in
            let events = try log.tail(query, from: self.from)
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
