import ArgumentParser
import Tidelog

/// How events are printed.
enum EventFormat: String, ExpressibleByArgument, CaseIterable {
    case cloudevents, plain, csv

    /// Events are JSON unless CSV was asked for, which is none.
    func validate(with output: ReportOptions) throws {
        if self == .csv, output.json { throw ValidationError("--json and --format csv exclude each other") }
    }
}

/// Writes events to an output, in a format.
final class EventPrinter {
    private let output: LineOutput
    private let format: EventFormat
    private let json: EventJSONEncoder
    private var csv = EventCSVEncoder()
    private(set) var count = 0

    init(_ output: LineOutput, _ format: EventFormat, guardsFormulas: Bool = false) throws {
        self.output = output
        self.format = format
        self.json = EventJSONEncoder(form: format == .plain ? .plain : .cloudEvents)
        self.csv.guardsFormulas = guardsFormulas
        if format == .csv { try output.write { self.csv.appendHeader(to: &$0) } }
    }

    /// Adds an event.
    func print(_ event: StoredEvent) throws {
        self.count += 1
        try self.output.write { text in
            if self.format == .csv {
                self.csv.append(event, to: &text)
            } else {
                self.json.append(event, to: &text)
                text.append(UInt8(ascii: "\n"))
            }
        }
    }

    /// Writes what waits.
    func flush() throws { try self.output.flush() }

    /// Prints every event that a query wants, but for the first `offset`; blocks the calling thread.
    func printAll(
        _ query: EventQuery, of log: EventLog, passingOver offset: Int = 0,
        tick: (StoredEvent) -> Void = { _ in }
    ) throws {
        var failure: (any Error)?
        var query = query
        if let limit = query.limit, limit > 0 {
            let (sum, overflows) = limit.addingReportingOverflow(offset)
            query.limit = overflows ? nil : sum
        }
        var toPass = offset
        do {
            try log.scan(query) { view throws(EventLogError) in
                if toPass > 0 {
                    toPass -= 1
                    return true
                }
                let event = try view.copy()
                do {
                    try self.print(event)
                } catch {
                    failure = error
                    return false
                }
                tick(event)
                return true
            }
        } catch {
            // What was read before it is right, and wanted.
            try self.flush()
            throw error
        }
        if let failure { throw failure }
        try self.flush()
    }
}
