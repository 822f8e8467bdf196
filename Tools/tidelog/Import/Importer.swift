import Dispatch
import Tidelog

/// What an import did.
struct ImportResult: Sendable {
    var added = 0
    var repeated = 0
    var batches = 0
    var bytes = 0
    var seconds = 0.0
}

/// Appends a file's events to a log in their order, batch by batch, while the next batches are parsed.
///
/// Each batch is looked up by id first. If nothing of it is known it is appended as it is, in one transaction;
/// what is known is compared with what the log has and left out. Another process may append the same ids
/// meanwhile: then the log refuses the batch, and it is looked up again.
final class Importer {
    private let log: EventLog
    private let input: LineReader
    private let batch: Int
    private let window: Int
    private var known: KnownEvents
    private var result = ImportResult()

    init(log: EventLog, input: LineReader, batch: Int, window: Int) {
        self.log = log
        self.input = input
        self.batch = batch
        self.window = window
        self.known = KnownEvents(window: window, start: .zero)
    }

    /// Imports the whole input; blocks.
    func run() throws -> ImportResult {
        let watch = Stopwatch()
        let bar = ProgressBar("importing", total: self.input.totalBytes, describe: Units.bytes)
        defer { bar.finish() }
        self.known = KnownEvents(window: self.window, start: try self.firstLookedAt())
        try self.known.catchUp(with: self.log)

        let queue = ParseQueue(depth: 8)
        let (input, batch) = (self.input, self.batch)
        DispatchQueue(label: "tidelog.import").async { queue.fill(from: input, batch: batch) }
        do {
            while let parsed = try queue.next() {
                if let failure = parsed.failure { throw failure }
                try self.take(parsed)
                self.result.bytes += parsed.bytes
                let all = self.result.added + self.result.repeated
                bar.update(self.result.bytes, "\(Units.events(all))  \(Units.rate(all, watch.seconds))")
            }
        } catch {
            queue.cancel()
            throw self.withWhatIsStored(error)
        }
        self.result.seconds = watch.seconds
        return self.result
    }

    /// The position from which on ids are looked up.
    private func firstLookedAt() throws -> Position {
        var query = EventQuery.all
        query.order = .newestFirst
        query.limit = 1
        guard let last = try self.log.eventsBlocking(query).first?.position else { return .zero }
        return Position(last.rawValue - min(last.rawValue, UInt64(self.window)))
    }

    private func take(_ parsed: ParseQueue.Parsed) throws {
        if parsed.events.isEmpty { return }
        var tries = 0
        while true {
            let fresh = try self.withoutKnown(parsed)
            self.result.repeated += fresh.repeated
            if fresh.events.isEmpty { return }
            do {
                let answer = try self.log.appendBlocking(fresh.events)
                self.known.insert(fresh.events, at: answer.positions.lowerBound)
                if answer.isRepeat {
                    self.result.repeated += fresh.events.count
                } else {
                    self.result.added += fresh.events.count
                    self.result.batches += 1
                }
                return
            } catch let error as EventLogError {
                // Somebody else may have appended some of them just now.
                guard error.code == .duplicateEvent, tries < 3 else { throw self.placed(error, parsed) }
                tries += 1
                self.result.repeated -= fresh.repeated
                try self.known.catchUp(with: self.log)
            }
        }
    }

    /// The events of a batch that the log does not have.
    private func withoutKnown(
        _ parsed: ParseQueue.Parsed
    ) throws -> (events: [Event], repeated: Int) {
        var suspects: [(index: Int, position: Position)] = []
        for (index, event) in parsed.events.enumerated() {
            if let position = self.known.candidate(event.id) { suspects.append((index, position)) }
        }
        if suspects.isEmpty { return try self.withoutRepeats(parsed, leavingOut: []) }
        let stored = try self.events(at: suspects.map(\.position))
        var isKnown: Set<Int> = []
        for suspect in suspects {
            let event = parsed.events[suspect.index]
            guard let found = stored[suspect.position], found.id == event.id else { continue }
            guard Self.isSame(found.event, event) else {
                throw Failure(
                    .unmet,
                    "line \(parsed.lines[suspect.index]): the id \(event.id) is in the log already, at position "
                        + "\(suspect.position), with other contents; give this event an id of its own")
            }
            isKnown.insert(suspect.index)
        }
        return try self.withoutRepeats(parsed, leavingOut: isKnown)
    }

    /// Leaves out what is known, and events that the batch itself repeats.
    private func withoutRepeats(
        _ parsed: ParseQueue.Parsed, leavingOut known: Set<Int>
    ) throws -> (events: [Event], repeated: Int) {
        var first: [EventID: Int] = [:]
        first.reserveCapacity(parsed.events.count)
        var left: Set<Int> = known
        for (index, event) in parsed.events.enumerated() where !known.contains(index) {
            guard let before = first.updateValue(index, forKey: event.id) else { continue }
            guard Self.isSame(parsed.events[before], event) else {
                throw Failure(
                    .unmet,
                    "line \(parsed.lines[index]): the id \(event.id) was in line \(parsed.lines[before]) already, "
                        + "with other contents; give this event an id of its own")
            }
            left.insert(index)
        }
        if left.isEmpty { return (parsed.events, 0) }
        return (parsed.events.enumerated().filter { !left.contains($0.offset) }.map(\.element), left.count)
    }

    /// The events at these positions, read in runs: what was imported together stands together.
    private func events(at positions: [Position]) throws -> [Position: StoredEvent] {
        let sorted = positions.sorted()
        var found: [Position: StoredEvent] = [:]
        found.reserveCapacity(sorted.count)
        var start = 0
        while start < sorted.count {
            var end = start + 1
            while end < sorted.count, sorted[end].rawValue - sorted[end - 1].rawValue < 64 { end += 1 }
            var query = EventQuery.all
            query.from = sorted[start]
            query.to = sorted[end - 1].advanced(by: 1)
            for event in try self.log.eventsBlocking(query) { found[event.position] = event }
            start = end
        }
        return found
    }

    /// Whether two events are one; times aside, as a line without a time gets that of its reading.
    private static func isSame(_ stored: Event, _ offered: Event) -> Bool {
        var offered = offered
        offered.timestamp = stored.timestamp
        return stored == offered
    }

    private func placed(_ error: EventLogError, _ parsed: ParseQueue.Parsed) -> any Error {
        let place = "lines \(parsed.lines.first ?? 0) to \(parsed.lines.last ?? 0)"
        switch error.code {
        case .invalidEvent, .limitExceeded, .invalidArgument, .duplicateEvent, .streamDeleted, .conflict:
            return Failure(.unmet, "\(place): \(Ending.text(of: error))")
        default: return error
        }
    }

    /// Says how much of the file is in the log, so that one knows what to do.
    private func withWhatIsStored(_ error: any Error) -> any Error {
        let ending = Ending(error)
        guard let message = ending.message, let status = Failure.Status(rawValue: ending.status) else {
            return error
        }
        let stored = self.result.added + self.result.repeated
        return Failure(
            status, "\(message) (\(Units.events(stored)) of the batches before are in the log)")
    }
}
